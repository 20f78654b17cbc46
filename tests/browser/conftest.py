"""A real JupyterLab in a real Chromium.

Without a browser these tests are skipped, unless GLM_MAGIC_REQUIRE_BROWSER=1 says that the
machine must have one (CI): then they fail.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from glm_server import GlmServer
from lab import Lab, launch, start_lab
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One headless Chromium for the tests of a module.

    Not for the session: playwright keeps an event loop in the main thread, and later tests
    could not run one of their own.
    """
    path = find_browser()
    with sync_playwright() as playwright:
        chromium = launch(playwright, path)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def lab_server() -> Iterator[GlmServer]:
    """The GLM API that the kernels of the one JupyterLab know."""
    with GlmServer() as server:
        yield server


@pytest.fixture(scope="module")
def _lab(tmp_path_factory: pytest.TempPathFactory, lab_server: GlmServer) -> Iterator[Lab]:
    folder: Path = tmp_path_factory.mktemp("lab")
    with start_lab(folder, lab_server) as lab:
        yield lab


@pytest.fixture
def lab(_lab: Lab) -> Iterator[Lab]:
    """The JupyterLab, with a server that answers by `Script()` until told otherwise."""
    _lab.reset()
    yield _lab
