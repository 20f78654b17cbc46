"""A real JupyterLab, and a real Notebook, in a real Chromium.

Without a browser these tests are skipped, unless GLM_MAGIC_REQUIRE_BROWSER=1 says that the
machine must have one (CI): then they fail.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from glm_server import GlmServer
from lab import JUPYTERLAB, NOTEBOOK, App, Lab, launch, start_lab
from playwright.sync_api import Browser, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_browser() -> str:
    """The path of a Chromium; skips, or fails where one is required, when there is none."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is not None:
        return found
    if os.environ.get("GLM_MAGIC_REQUIRE_BROWSER") == "1":
        pytest.fail("no Chromium on the PATH, and GLM_MAGIC_REQUIRE_BROWSER=1 asks for one")
    pytest.skip("no Chromium on the PATH")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One headless Chromium for the tests of this folder.

    Not for the session: playwright keeps an event loop in the main thread, and later tests
    could not run one of their own.
    """
    path = find_browser()
    with sync_playwright() as playwright:
        chromium = launch(playwright, path)
        yield chromium
        chromium.close()


@contextmanager
def run(folder: Path, app: App) -> Iterator[Lab]:
    """A front end, and the GLM API that its kernels know."""
    with GlmServer() as server, start_lab(folder, server, app) as lab:
        yield lab


@pytest.fixture(scope="package")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The one JupyterLab."""
    with run(tmp_path_factory.mktemp("jupyterlab"), JUPYTERLAB) as lab:
        yield lab


@pytest.fixture(scope="package")
def notebook_7(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The one Notebook."""
    with run(tmp_path_factory.mktemp("notebook"), NOTEBOOK) as lab:
        yield lab


@pytest.fixture
def lab(jupyterlab: Lab) -> Lab:
    """The JupyterLab, with a server that answers by `Script()` until told otherwise."""
    jupyterlab.reset()
    return jupyterlab


@pytest.fixture(params=["jupyterlab", "notebook_7"], ids=["JupyterLab 4", "Notebook 7"])
def front_end(request: pytest.FixtureRequest) -> Lab:
    """JupyterLab and Notebook, one after the other, as `lab` is."""
    running: Lab = request.getfixturevalue(request.param)
    running.reset()
    return running
