"""JupyterLab and Notebook as a person uses them: open a notebook, run, look, save, reopen."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import nbformat
from glm_server import GlmServer, Script
from playwright.sync_api import Browser, Locator, Page, Playwright, Route, expect

Theme = Literal["JupyterLab Light", "JupyterLab Dark"]
# Two cores shared by browser, server and kernel: slow is not broken.
TIMEOUT_MS = 60_000
_NUMBERED = re.compile(r"\[\d+\]:")


def launch(playwright: Playwright, path: str) -> Browser:
    """Start a headless Chromium that reaches this machine and no other."""
    # No sandbox: CI runs as root, where Chromium has none.
    flags = (
        "--no-sandbox",
        "--disable-background-networking",
        "--disable-quic",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    )
    return playwright.chromium.launch(executable_path=path, args=flags)


@dataclass(frozen=True, slots=True)
class App:
    """What tells one front end from the other.

    Attributes:
        module: what `python -m` runs; the distribution has the same name.
        line: how the version starts.
        address: the path of a notebook; each `window` has a workspace of its own.
        idle: where a page says that the kernel is connected and idle.
    """

    module: str
    line: str
    address: str
    idle: str


# In both the toolbar's indicator says idle before the kernel is connected; these do not.
JUPYTERLAB = App(
    module="jupyterlab",
    line="4.",
    address="lab/workspaces/{window}/tree/{name}",
    idle=".jp-StatusBar-TextItem:has-text('| Idle')",
)
NOTEBOOK = App(
    module="notebook",
    line="7.",
    address="notebooks/{name}",
    # Fades once it has said "Connecting", and is empty when that is over.
    idle=".jp-NotebookKernelStatus-fade:empty",
)


class Lab:
    """One running JupyterLab or Notebook and the GLM API its kernels know."""

    def __init__(
        self, folder: Path, url: str, token: str, server: GlmServer, app: App = JUPYTERLAB
    ) -> None:
        self.folder, self.url, self.token, self.server = folder, url, token, server
        self.app = app

    def reset(self) -> None:
        """Let the server answer as at first."""
        self.server.script = Script()
        self.server.requests.clear()

    def write(self, *cells: str, name: str = "", notebook: Any = None) -> str:
        """Write a notebook, or one of these code cells; return its name."""
        name = name or f"{secrets.token_hex(4)}.ipynb"
        if notebook is None:
            code = [nbformat.v4.new_code_cell(cell) for cell in cells]
            notebook = nbformat.v4.new_notebook(cells=code)
            notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(notebook, self.folder / name)
        return name

    def read(self, name: str) -> Any:
        """The notebook as it is on disk."""
        return nbformat.read(self.folder / name, as_version=4)

    def trusts(self, name: str) -> bool:
        """Whether the server tells front ends to show the outputs as they are."""
        content = json.loads(self._ask("GET", f"/api/contents/{name}"))["content"]
        return all(cell["metadata"]["trusted"] for cell in content["cells"])

    @contextmanager
    def open(
        self,
        browser: Browser,
        name: str,
        *,
        theme: Theme = "JupyterLab Light",
        kernel: bool = True,
    ) -> Iterator[Notebook]:
        """Open a notebook in a window of its own, with a kernel or with none."""
        _write_setting(self.folder, "apputils-extension/themes", {"theme": theme})
        page = browser.new_page(viewport={"width": 1200, "height": 1000})
        page.set_default_timeout(TIMEOUT_MS)
        notebook = Notebook(page, self.url, self.app)
        if not kernel:
            page.route("**/api/sessions*", _leave_unanswered)
        address = self.app.address.format(window=secrets.token_hex(4), name=name)
        try:
            page.goto(f"{self.url}/{address}?token={self.token}")
            notebook.wait_until_open(kernel=kernel)
            yield notebook
        except BaseException:
            notebook.screenshot(f"failed-{name}")
            raise
        finally:
            page.close()
            self._end_kernels()

    def _end_kernels(self) -> None:
        """A kernel that lives on would be taken up again by the next window."""
        for session in json.loads(self._ask("GET", "/api/sessions")):
            self._ask("DELETE", f"/api/sessions/{session['id']}")

    def _ask(self, method: str, path: str) -> bytes:
        headers = {"Authorization": f"token {self.token}"}
        request = Request(self.url + path, method=method, headers=headers)
        with urlopen(request, timeout=TIMEOUT_MS / 1000) as response:
            return bytes(response.read())


def _leave_unanswered(route: Route) -> None:
    """Let no kernel start, and no dialog tell so: what is shown then is what the file holds."""
    if route.request.method != "POST":
        route.continue_()


class Notebook:
    """One open notebook.

    Attributes:
        foreign: the URLs on any other host that the page asked for; none of them got through.
    """

    def __init__(self, page: Page, url: str, app: App = JUPYTERLAB) -> None:
        self.page, self._app = page, app
        self.foreign: list[str] = []
        self._host = urlsplit(url).netloc
        page.on("request", self._note)

    def _note(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.netloc != self._host and parts.scheme not in ("data", "blob"):
            self.foreign.append(request.url)

    def wait_until_open(self, *, kernel: bool) -> None:
        """Wait until the notebook is there, and its kernel idle."""
        if kernel:
            expect(self.page.locator(self._app.idle)).to_have_count(1, timeout=TIMEOUT_MS)
        expect(self.page.locator(".jp-Notebook .jp-Cell").first).to_be_visible(timeout=TIMEOUT_MS)

    def cell(self, index: int) -> Locator:
        """The cell at `index`, from 0."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def output(self, index: int) -> Locator:
        """The output area of a cell."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    def start(self, index: int) -> None:
        """Run one cell, without waiting for it."""
        self.cell(index).locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")

    def run(self, index: int) -> None:
        """Run one cell and wait until it has its number."""
        self.start(index)
        prompt = self.cell(index).locator(".jp-InputPrompt")
        expect(prompt).to_have_text(_NUMBERED, timeout=TIMEOUT_MS)

    def wait_until_done(self, index: int) -> None:
        """Wait until a started cell has its number."""
        expect(self.cell(index).locator(".jp-InputPrompt")).to_have_text(
            _NUMBERED, timeout=TIMEOUT_MS
        )

    def interrupt(self) -> None:
        """Press the kernel's stop button as the keyboard has it: I, I."""
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("i")
        self.page.keyboard.press("i")

    def save(self) -> None:
        """Save, and wait until the server has it."""
        with self.page.expect_response(
            lambda r: r.request.method == "PUT" and "/api/contents/" in r.url
        ):
            self.page.keyboard.press("Control+s")

    def screenshot(self, name: str) -> None:
        """Keep a picture in the folder that GLM_MAGIC_SCREENSHOTS names, if it is set."""
        if folder := os.environ.get("GLM_MAGIC_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(folder) / f"{name}.png")


@contextmanager
def start_lab(folder: Path, server: GlmServer, app: App = JUPYTERLAB) -> Iterator[Lab]:
    """Run a front end on a free port, with settings and runtime files of its own."""
    assert version(app.module).startswith(app.line)
    port, token = _free_port(), secrets.token_hex(16)
    _write_setting(
        folder, "apputils-extension/notification", {"fetchNews": "false", "checkForUpdates": False}
    )
    log = (folder / "lab.log").open("wb")
    process = subprocess.Popen(
        _command(app, folder, port, token), env=_env(folder, server), stdout=log, stderr=log
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_up(f"{url}/api/status?token={token}", process, folder)
        yield Lab(folder, url, token, server, app)
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def _command(app: App, folder: Path, port: int, token: str) -> Sequence[str]:
    options = {
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": folder,
        "IdentityProvider.token": token,
        "ExtensionApp.open_browser": False,
        "ServerApp.allow_root": True,
        "LabServerApp.user_settings_dir": folder / "settings",
        "LabServerApp.workspaces_dir": folder / "workspaces",
    }
    return [sys.executable, "-m", app.module, *(f"--{k}={v}" for k, v in options.items())]


def _env(folder: Path, server: GlmServer) -> dict[str, str]:
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("ZAI_", "ZHIPUAI_"))}
    return keep | {
        "ZAI_BASE_URL": server.url,
        "ZAI_API_KEY": server.key,
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "IPYTHONDIR": str(folder / "ipython"),
    }


def _write_setting(folder: Path, plugin: str, values: dict[str, Any]) -> None:
    path = folder / "settings" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _wait_until_up(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + TIMEOUT_MS / 1000
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the front end did not start:\n{(folder / 'lab.log').read_text()[-3000:]}")
