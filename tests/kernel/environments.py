"""Environments of other lines of Python, and of other lines of ipykernel, for kernels of tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import glm_magic

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
HEAVY = {"matplotlib", "numpy", "pandas", "pyarrow"}
_QUIET = ("--quiet", "--disable-pip-version-check")


def make_environment(line: str, folder: Path) -> Path:
    """Return the Python of a new environment; skip the test where the machine has no such line.

    It has the package, its light dependencies and the newest ipykernel.
    """
    found = find_python(line)
    if found is None:
        pytest.skip(f"no Python {line} on the PATH or among pyenv's")
    # With a pip of its own: an older one, such as Debian 12's, does not run on newer Pythons.
    subprocess.run((found, "-m", "venv", str(folder)), check=True)
    python = folder / "bin" / "python"
    pip = (str(python), "-m", "pip", "install", *_QUIET, "--no-compile")
    subprocess.run((*pip, *light_dependencies(), "ipykernel"), check=True)
    # What an editable install comes to, without its build.
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "glm_magic.pth").write_text(str(Path(glm_magic.__file__).parents[1]))
    return python


def install_ipykernel(line: str, folder: Path) -> Path:
    """Return a folder with the ipykernel of a line such as "7.3", for any Python."""
    # The one dependency of any of them that another line may not have brought.
    wanted = (f"ipykernel=={line}.*", "nest-asyncio")
    options = (*_QUIET, "--no-deps", "--target", str(folder))
    subprocess.run((sys.executable, "-m", "pip", "install", *options, *wanted), check=True)
    return folder


def find_python(line: str) -> str | None:
    """The path of a Python of this line: one on the PATH, or one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    beside = sorted(map(str, pyenv.glob(f"versions/{line}.*/bin/python{line}")))
    candidates = (shutil.which(f"python{line}"), *beside)
    return next((path for path in candidates if path and starts(path)), None)


def starts(python: str) -> bool:
    """Whether a Python runs at all: what pyenv puts on the PATH may only say where one is."""
    return subprocess.run((python, "-c", "import venv"), capture_output=True).returncode == 0


def light_dependencies() -> list[str]:
    wanted = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    names = {each: re.split(r"[^\w-]", each)[0] for each in wanted}
    assert set(names.values()) >= HEAVY
    return [each for each in wanted if names[each] not in HEAVY]
