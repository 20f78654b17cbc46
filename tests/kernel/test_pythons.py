"""The same on the newest line of Python that is at hand, with a kernel of its own, if it is there.

Their environments lack what a chat never imports: pandas, numpy, matplotlib and pyarrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from environments import HEAVY
from glm_server import GlmServer, Script
from kernels import Cell, Kernel, start_kernel

ANSWER = "Hello! 你好！I am GLM, 很高兴见到你。"
STREAMING = Script(text=tuple(f"word{i} " for i in range(200)), pace_s=0.02)


@pytest.fixture(scope="session", params=["3.13"], ids="Python {}".format)
def python_line(request: pytest.FixtureRequest) -> str:
    """The lines of Python that the package runs on, newer than the oldest of them."""
    line: str = request.param
    return line


@pytest.fixture(scope="session")
def python(python_line: str, pythons: Callable[[str], Path]) -> Path:
    """The Python of an environment that has the package, its light dependencies and a kernel."""
    return pythons(python_line)


@pytest.fixture(scope="module")
def module_kernel(python: Path, python_line: str) -> Iterator[Kernel]:
    """A kernel of each line, in which every warning is an error."""
    with start_kernel({}, str(python)) as kernel:
        assert kernel.value("'%d.%d' % __import__('sys').version_info[:2]") == python_line
        kernel.run("import gc, warnings; warnings.simplefilter('error')")
        yield kernel


def start(kernel: Kernel, server: GlmServer) -> tuple[str, Cell]:
    """Run a cell until its answer streams; return its id and the cell."""
    server.script = STREAMING
    request_id = kernel.send("%%glm -o answer\nTell me a story")
    return request_id, kernel.read(request_id, lambda cell: cell.shows("word3"))


def test_loading_prints_nothing(kernel: Kernel) -> None:
    kernel.run("%unload_ext glm_magic")
    cell = kernel.run("%load_ext glm_magic")
    assert (cell.status, cell.outputs, cell.stdout, cell.stderr) == ("ok", [], "", "")


def test_an_answer_streams_and_becomes_one_static_output(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(text=("early ", "late"), pauses=(1,))
    request_id = kernel.send("%%glm -o answer\nHello")
    cell = kernel.read(request_id, lambda cell: cell.shows("early"))
    server.go_on()
    cell = kernel.wait(request_id, cell)
    assert cell.status == "ok"
    assert cell.output["data"].keys() == {"text/html", "text/plain"}
    assert cell.output["data"]["text/plain"] == "early late"
    assert cell.open_comms == set()
    assert kernel.value("(_ is answer is _glm, answer.text)") == (True, "early late")


def test_an_interrupt_closes_the_connection_and_leaves_one_line(
    kernel: Kernel, server: GlmServer
) -> None:
    request_id, cell = start(kernel, server)
    kernel.interrupt()
    server.wait_for_disconnect(2.0)
    cell = kernel.wait(request_id, cell)
    assert cell.status == "error"
    assert cell.error_line.startswith("glm: stopped; the partial answer is in _glm")
    assert "\n" not in cell.error_line
    assert "[stopped: the answer is not complete]" in cell.html
    assert cell.open_comms == set()


def test_the_stop_button_ends_the_answer_and_the_cell_is_fine(
    kernel: Kernel, server: GlmServer
) -> None:
    request_id, cell = start(kernel, server)
    kernel.click(cell.comm_of("ButtonModel"))
    server.wait_for_disconnect(2.0)
    cell = kernel.wait(request_id, cell)
    assert cell.status == "ok"
    assert "[stopped: the answer is not complete]" in cell.html
    assert kernel.value("(answer.state, answer is _glm)") == ("stopped", True)


def test_the_extension_is_unloaded_loaded_again_and_answers(kernel: Kernel) -> None:
    for code in ("%unload_ext glm_magic", "%load_ext glm_magic", "%reload_ext glm_magic"):
        assert kernel.run(code).status == "ok"
    assert kernel.run("%%glm\nHello").output["data"]["text/plain"] == ANSWER


def test_a_chat_needs_nothing_heavy(kernel: Kernel) -> None:
    kernel.run("from importlib.util import find_spec")
    assert kernel.value(f"[name for name in {sorted(HEAVY)} if find_spec(name)]") == []
    assert kernel.run("%%glm\nHello").status == "ok"


def test_nothing_is_warned_of(kernel: Kernel) -> None:
    assert kernel.run("%%glm\nHello").status == "ok"
    # What is left open warns when it is collected, on whatever thread.
    kernel.run("%unload_ext glm_magic\ngc.collect()")
    streams = [message["content"] for message in kernel.log if message["msg_type"] == "stream"]
    assert [content["text"] for content in streams if content["name"] == "stderr"] == []
    assert kernel.run("warnings.warn('told')").status == "error"
