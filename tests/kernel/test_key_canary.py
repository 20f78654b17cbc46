"""A key goes to its server and nowhere else: not on screen, not on disk, into no error."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from glm_server import ApiFailure, GlmServer, Script, failure
from kernels import Kernel, start_kernel
from nbclient import NotebookClient
from runners import build

# Two halves, as the platform's keys have: neither may be seen.
ID, SECRET = "c4nary0123456789abcdef", "Tw33tTw33tTw33t"
KEY = f"{ID}.{SECRET}"
# The client tries again as it does by itself, and need not wait for it.
SOON = {"retry-after": "0.05"}
FAILING = (
    Script(error=ApiFailure(401, "1000", f"invalid Authorization: Bearer {KEY}")),
    Script(error=ApiFailure(400, "1210", f"bad request with key '{KEY}'")),
    Script(error=ApiFailure(500, None, f"<p>Authorization: Bearer {KEY}</p>", SOON)),
    Script(error=ApiFailure(429, KEY, f"code and message: {KEY}", SOON)),
    Script(error=ApiFailure(400, "1214", f"id {ID}, secret {SECRET}")),
    Script(error=failure("1302", retry_after="0.05")),
    Script(in_band_error={"error": {"code": "1210", "message": f"key {KEY}"}}),
    Script(cut_after=1),
    Script(text=(), cut_after=0),
    Script(html=True),
)
# The errors of the HTTP library, with the frames that hold headers.
CAUSE = """
import sys
raise sys.last_value.__cause__ or sys.last_value
"""
# What a bug of ours would look like: our own frames, with all that is in reach of them.
BUG = """
import ipywidgets
kept, ipywidgets.HBox = ipywidgets.HBox, None
"""
MENDED = "ipywidgets.HBox = kept"
WIDGETS = "print([w.get_state() for w in __import__('ipywidgets').Widget._instances.values()])"
LOOKS = ("%glm", "%glm config", "%config GlmMagic", "%whos", "%glm help", "%tb", "_", WIDGETS)
# All that a session can be asked for; the first line of each is a cell's.
EVERYTHING = (
    "%glm config panel",
    "%%glm --chat story -s pirate\nHello",
    "%%glm --chat story\nGo on",
    "%glm history",
    "%glm chats",
    "%glm fork story other",
    "%glm usage",
    "%glm config budget=5 cache=on",
    "%%glm --dry-run\nHello",
    "%%glm --def ask\nTell {{ what }}",
    "told = ask(what='a joke')\ntold.request, told.messages, repr(told), told.asked",
    "%glm error --dry-run",
    "%glm models",
    "%glm limits",
    "%glm check",
    "%glm templates",
)


@dataclass(frozen=True)
class Session:
    """A session in which much happened to the key; `folder` is all that IPython wrote."""

    kernel: Kernel
    server: GlmServer
    folder: Path

    @property
    def shown(self) -> str:
        """All that the kernel has published so far."""
        return json.dumps(self.kernel.log, default=str, ensure_ascii=False)


@pytest.fixture(scope="module", params=["environment", "login", "keyring"])
def session(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Session]:
    """A session that was told the key in one way or the other, and shows all it can."""
    folder = tmp_path_factory.mktemp("ipython")
    key = {"ZAI_API_KEY": KEY} if request.param == "environment" else {}
    with GlmServer() as server:
        server.key = KEY
        env = {"ZAI_BASE_URL": server.url, "IPYTHONDIR": str(folder), **key}
        if request.param == "keyring":
            env |= save_key(env, tmp_path_factory.mktemp("keyring"))
        with start_kernel(env) as kernel:
            kernel.run("import logging\nlogging.basicConfig(level=logging.DEBUG)\n%xmode Verbose")
            kernel.run("%load_ext glm_magic")
            kernel.run("%glm config retry_base_s=0.01")
            if request.param == "login":
                kernel.run_typing("%glm login", KEY)
            use(kernel, server)
            yield Session(kernel, server, folder)


def save_key(env: dict[str, str], folder: Path) -> dict[str, str]:
    """Keep the key in a keyring, by another session; return where that is."""
    backend = "keyrings.alt.file.PlaintextKeyring"
    where = {"PYTHON_KEYRING_BACKEND": backend, "XDG_DATA_HOME": str(folder)}
    with start_kernel({**env, **where}) as kernel:
        kernel.run("%load_ext glm_magic")
        kernel.run_typing("%glm login --save", KEY)
    return where


def use(kernel: Kernel, server: GlmServer) -> None:
    """Answer, fail in every way, be interrupted, and look at everything."""
    kernel.run("%%glm embed -o e\na cat\na kitten")
    for server.script in FAILING:
        for code in ("%%glm\nHello", "%tb", CAUSE, "%%glm embed\na cat", CAUSE):
            kernel.run(code)
    interrupt(kernel, server)
    server.script = Script()
    for code in (CAUSE, BUG, "%%glm\nHello", "%tb", MENDED, "%%glm -o answer\nHello", *LOOKS):
        kernel.run(code)
    for code in (*EVERYTHING, WIDGETS):
        kernel.run(code)
    hang_up(kernel)
    kernel.run("%glm config endpoint=auto")


def interrupt(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(pace_s=0.05, text=("word ",) * 100)
    request_id = kernel.send("%%glm\nTell me a story")
    cell = kernel.read(request_id, lambda cell: cell.shows("word word"))
    kernel.interrupt()
    assert kernel.wait(request_id, cell).status == "error"


def hang_up(kernel: Kernel) -> None:
    """Send the key to servers that say nothing: one hangs up, then there is none."""
    with rude_server() as url:
        kernel.run(f"%glm config endpoint={url} max_retries=1")
        kernel.run_typing("%glm login", KEY)
        for code in ("%%glm\nHello", "%tb", CAUSE):
            kernel.run(code)
    for code in ("%%glm\nHello", "%tb", CAUSE):
        kernel.run(code)


@contextmanager
def rude_server() -> Iterator[str]:
    """A server that reads a request and closes the connection."""

    class Rude(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)

    with socketserver.TCPServer(("127.0.0.1", 0), Rude) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


def has_canary(text: str) -> bool:
    return ID in text or SECRET in text


def test_the_key_went_to_its_server(session: Session) -> None:
    sent = {request.headers["authorization"] for request in session.server.requests}
    assert sent == {f"Bearer {KEY}"}


def test_the_session_showed_all_that_might_hold_the_key(session: Session) -> None:
    assert "httpcore/_async/http11.py" in session.shown
    assert "'NoneType' object is not callable" in session.shown
    assert "Server disconnected without sending a response" in session.shown
    assert "All connection attempts failed" in session.shown
    assert "send_request_headers.started" in session.shown


def test_the_key_is_not_on_screen(session: Session) -> None:
    assert not has_canary(session.shown)


def test_the_key_is_in_no_file_of_ipython(session: Session) -> None:
    session.kernel.run("get_ipython().history_manager.writeout_cache()")
    files = [path.read_bytes() for path in session.folder.rglob("*") if path.is_file()]
    written = b"".join(files).decode("latin-1")
    assert "Tell me a story" in written
    assert not has_canary(written)


def test_a_pickle_of_a_reply_holds_no_key(session: Session) -> None:
    session.kernel.run("import pickle")
    pickled = bytes.fromhex(session.kernel.value("pickle.dumps((answer, _glm, e, told)).hex()"))
    assert "很高兴见到你".encode() in pickled
    assert not has_canary(pickled.decode("latin-1"))


def test_what_holds_the_key_refuses_to_be_pickled(session: Session) -> None:
    session.kernel.run("import glm_magic, pickle\nglm = glm_magic._loaded[get_ipython()]")
    cell = session.kernel.run("pickle.dumps(list(glm._session._clients))")
    assert cell.contents("error")[0]["evalue"].startswith("a Secret is not pickled")
    assert not has_canary(session.shown)


def test_the_key_is_in_no_chat_that_was_exported(session: Session) -> None:
    for name in ("story.md", "story.json"):
        path = session.folder / name
        session.kernel.run(f"%glm export story {path}")
        assert "Go on" in path.read_text("utf-8")
        assert not has_canary(path.read_text("utf-8"))


def test_the_doctor_finds_nothing_and_shows_nothing(session: Session) -> None:
    path = session.folder / "saved.ipynb"
    outputs = [{"output_type": "stream", "name": "stdout", "text": session.shown}]
    cell = {"cell_type": "code", "source": "x", "metadata": {}, "outputs": outputs}
    cell["execution_count"] = None
    path.write_text(json.dumps({"nbformat": 4, "metadata": {}, "cells": [cell]}), "utf-8")
    cell_of_doctor = session.kernel.run(f"%glm doctor {path}")
    assert cell_of_doctor.output["data"]["text/plain"].startswith("no key-like text in 1 cell")


@pytest.mark.parametrize("kept", ["environment", "keyring"])
def test_the_key_is_in_no_notebook_that_a_program_saves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    with GlmServer() as server:
        server.key = KEY
        env = {"ZAI_BASE_URL": server.url, "IPYTHONDIR": str(tmp_path / "ipython")}
        if kept == "keyring":
            env |= save_key(env, tmp_path / "keyring")
        else:
            env["ZAI_API_KEY"] = KEY
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        log = "import logging\nlogging.basicConfig(level=logging.DEBUG)"
        notebook = build(log, "%load_ext glm_magic", *EVERYTHING, "1 / 0", "%glm error -y")
        NotebookClient(notebook, timeout=60, allow_errors=True).execute()
        saved = nbformat.writes(notebook)
    assert {request.headers.get("authorization") for request in server.requests} == {
        f"Bearer {KEY}"
    }
    assert "send_request_headers.started" in saved
    assert not has_canary(saved)
