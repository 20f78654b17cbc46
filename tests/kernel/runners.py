"""Programs that run notebooks without a front end: nbclient, papermill, nbconvert."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from glm_server import GlmServer
from kernels import TIMEOUT_S
from nbclient import NotebookClient


@dataclass(frozen=True)
class Place:
    """A folder to run notebooks in, and the GLM API that the kernels know."""

    folder: Path
    server: GlmServer

    def write(self, *cells: str) -> Path:
        """Write a notebook of these code cells."""
        path = self.folder / "notebook.ipynb"
        nbformat.write(build(*cells), path)
        return path

    def run(self, *command: str, status: int = 0) -> str:
        """Run a program of this interpreter in the folder; return what it said."""
        done = subprocess.run(
            (sys.executable, "-m", *command),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    def read(self, name: str = "executed.ipynb") -> Any:
        return nbformat.read(self.folder / name, as_version=4)


def build(*cells: str) -> Any:
    """A notebook of these code cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    return notebook


def run_with_nbclient(_: Place, *cells: str, **options: Any) -> Any:
    notebook = build(*cells)
    NotebookClient(notebook, timeout=TIMEOUT_S, **options).execute()
    return notebook


def run_with_papermill(place: Place, *cells: str) -> Any:
    place.write(*cells)
    place.run("papermill", "--no-progress-bar", "notebook.ipynb", "executed.ipynb")
    return place.read()


def run_with_nbconvert(place: Place, *cells: str) -> Any:
    place.write(*cells)
    options = ("--to=notebook", "--execute", "--output=executed.ipynb")
    place.run("nbconvert", *options, "notebook.ipynb")
    return place.read()


RUNNERS: dict[str, Callable[..., Any]] = {
    "nbclient": run_with_nbclient,
    "papermill": run_with_papermill,
    "nbconvert": run_with_nbconvert,
}


@contextmanager
def open_place(folder: Path) -> Iterator[Place]:
    """A place with a server of its own, which every kernel started meanwhile knows."""
    with GlmServer() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZAI_API_KEY", server.key)
        patch.setenv("ZAI_BASE_URL", server.url)
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        yield Place(folder, server)
