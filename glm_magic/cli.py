"""The console script `glm-magic`: fetch a local model, open the demo.

    glm-magic fetch [NAME] [--list]
    glm-magic demo [--headless FOLDER] [--port N] [--no-browser]

An expected failure is one line on stderr and exit status 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from glm_magic import __version__
from glm_magic.errors import GlmError, SettingsError
from glm_magic.local.engine import is_installed
from glm_magic.local.weights import (
    DEFAULT_MODEL,
    WEIGHTS,
    describe,
    fetch_weights,
    find_weights,
    format_size,
)

__all__ = ["main"]

_NOTEBOOK = "quickstart.ipynb"
# A cell of the demo takes seconds; a slow machine may take minutes to load a large model.
_CELL_TIMEOUT_S = 600
_STOP_TIMEOUT_S = 5.0
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the console script and return its exit status.

    Args:
        arguments: what follows the program's name; None takes `sys.argv`.
    """
    options = _build_parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except GlmError as error:
        print(f"glm-magic: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="glm-magic", description="Local models and the demo of the %%glm notebook magics."
    )
    parser.add_argument("--version", action="version", version=f"glm-magic {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_fetch(commands.add_parser("fetch", help="download the weights of a local model"))
    _add_demo(commands.add_parser("demo", help="open the quickstart notebook with a local model"))
    return parser


def _add_fetch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", default=DEFAULT_MODEL, help=f"the model (default: {DEFAULT_MODEL})"
    )
    parser.add_argument("--list", action="store_true", help="show what there is, fetch nothing")
    parser.set_defaults(run=_run_fetch)


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--headless",
        metavar="FOLDER",
        type=Path,
        help="execute the notebook without a browser and write it there, as .ipynb and .html",
    )
    parser.add_argument("--port", type=int, help="port of JupyterLab (default: a free one)")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    # For the tests, which execute notebooks of their own.
    parser.add_argument("--notebook", type=Path, help=argparse.SUPPRESS)
    parser.set_defaults(run=_run_demo)


def _run_fetch(options: argparse.Namespace) -> int:
    if options.list:
        for name in WEIGHTS:
            print(_list_row(name))
    else:
        # Flushed, so that in a log each step stands before what pip writes about it.
        fetch_weights(options.name, _say)
    return 0


def _list_row(name: str) -> str:
    size = format_size(WEIGHTS[name].download_bytes)
    state = "fetched" if find_weights(name) else "not fetched"
    return f"{name:<20} {size:>7}  {state:<12} {describe(name)}"


def _run_demo(options: argparse.Namespace) -> int:
    _check_demo(options)
    if not find_weights(DEFAULT_MODEL):
        fetch_weights(DEFAULT_MODEL, _say)
    if options.headless:
        return _execute(options.notebook or _find_notebooks() / _NOTEBOOK, options.headless)
    return _open_lab((options.notebook or _place_notebook()).resolve(), options)


def _check_demo(options: argparse.Namespace) -> None:
    needed = ("nbclient", "nbconvert") if options.headless else ("jupyterlab",)
    if not (is_installed() and all(importlib.util.find_spec(name) for name in needed)):
        raise SettingsError('the demo needs its extra: pip install "glm-magic[demo]"')


def _find_notebooks() -> Path:
    """The folder of the notebooks: in the package, or beside it in a checkout."""
    package = Path(__file__).parent
    for folder in (package / "notebooks", package.parent / "notebooks"):
        if (folder / _NOTEBOOK).is_file():
            return folder
    raise SettingsError(f"{_NOTEBOOK} is not in this installation; install glm-magic again")


def _place_notebook() -> Path:
    """The notebook to open: of a checkout itself, of an installed package a copy of one's own."""
    folder = _find_notebooks()
    if folder.parent != Path(__file__).parent:
        return folder / _NOTEBOOK
    for source in sorted(folder.iterdir()):
        _copy_once(source, Path.cwd() / source.name)
    return Path.cwd() / _NOTEBOOK


def _copy_once(source: Path, target: Path) -> None:
    """Copy a file or folder unless something of its name is there, which is the user's."""
    if target.exists():
        _say(f"{target.name} is here already and was left as it is")
    elif source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


def _open_lab(notebook: Path, options: argparse.Namespace) -> int:
    """Run JupyterLab until it ends or Ctrl-C comes; both are a good end."""
    lab = subprocess.Popen(
        _lab_command(notebook, options),
        # Of two kernels with the same name, the one of this environment.
        env=os.environ | {"JUPYTER_PREFER_ENV_PATH": "1"},
    )
    try:
        return lab.wait()
    except KeyboardInterrupt:
        return _stop(lab)


def _lab_command(notebook: Path, options: argparse.Namespace) -> list[str]:
    # -P: no `jupyterlab.py` of the current folder. -y: Ctrl-C ends it without a question.
    command = [sys.executable, "-P", "-m", "jupyterlab", "-y"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # Who is root here, as in most containers, has no other user to be.
        command += ["--allow-root"]
    if options.port is not None:
        command += [f"--port={options.port}"]
    if options.no_browser:
        command += ["--no-browser"]
    # Rather than naming the notebook: so the address that is printed leads to it, too.
    address = f"/lab/tree/{quote(notebook.name)}"
    return [*command, f"--ServerApp.root_dir={notebook.parent}", f"--LabApp.default_url={address}"]


def _stop(lab: subprocess.Popen[bytes]) -> int:
    """Wait for JupyterLab, which the terminal's Ctrl-C has reached too; then insist."""
    for insist in (lab.terminate, lab.kill):
        try:
            lab.wait(_STOP_TIMEOUT_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            # Not at once: while it ends its kernels a second signal would orphan them.
            insist()
    lab.wait()
    return 0


def _execute(notebook: Path, folder: Path) -> int:
    """Execute the notebook in `folder` and write it there, as far as it got.

    Raises:
        SettingsError: the folder cannot be written.
        GlmError: a cell failed, took too long, or the kernel died; the cell is named.
    """
    import nbformat

    try:
        folder.mkdir(parents=True, exist_ok=True)
        content = nbformat.read(notebook, as_version=4)
        try:
            _run_cells(content, folder)
        finally:
            _write(content, folder / notebook.name)
    except OSError as error:
        raise SettingsError(f"cannot write into {folder} ({error.strerror or error})") from error
    return 0


def _run_cells(content: Any, folder: Path) -> None:
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellControlSignal, DeadKernelError

    progress = _Progress(sum(cell.cell_type == "code" for cell in content.cells))
    client = NotebookClient(
        content,
        # With no folder to look in, the kernel is that of this very interpreter.
        km=AsyncKernelManager(kernel_spec_manager=KernelSpecManager(kernel_dirs=[])),
        kernel_name="python3",
        timeout=_CELL_TIMEOUT_S,
        # A widget in the file would be drawn by scripts from elsewhere.
        store_widget_state=False,
        resources={"metadata": {"path": str(folder)}},
        on_cell_execute=progress.start,
        on_cell_executed=progress.end,
    )
    try:
        # The client ends only kernels whose manager it made, unless told so.
        client.execute(cleanup_kc=True)
    except (CellControlSignal, DeadKernelError, RuntimeError) as error:
        raise GlmError(f"{progress.where} failed: {_last_line(error)}") from error


class _Progress:
    """Says which cell runs, for a person who waits, and remembers it for the error."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._number = 0
        self._first_line = ""

    @property
    def where(self) -> str:
        """The current cell, by its number among the code cells and its first line."""
        if not self._number:
            return "the start of the kernel"
        return f"cell {self._number} of {self._count} ({self._first_line})"

    def start(self, *, cell: Any, cell_index: int) -> None:
        if cell.cell_type == "code":
            self._number += 1
            self._first_line = (cell.source.strip().splitlines() or [""])[0][:60]
            print(f"{self.where} ...", end=" ", flush=True)

    def end(self, *, cell: Any, cell_index: int, execute_reply: Any) -> None:
        print(execute_reply["content"]["status"], flush=True)


def _last_line(error: BaseException) -> str:
    """The line of an error of nbclient's that names the error of the cell."""
    if name := getattr(error, "ename", ""):
        return f"{name}: {getattr(error, 'evalue', '')}".splitlines()[0][:200]
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__


def _write(content: Any, path: Path) -> None:
    import nbformat
    from nbconvert import HTMLExporter

    nbformat.write(content, path)
    page, _ = HTMLExporter().from_notebook_node(content)
    path.with_suffix(".html").write_text(page, encoding="utf-8")
    print(f"wrote {path} and {path.with_suffix('.html').name}")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
