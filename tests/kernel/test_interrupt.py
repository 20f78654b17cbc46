"""The kernel's stop button and our own: the connection closes, what came is kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from glm_server import GlmServer, Script
from kernels import Cell, Kernel

# Generous: it tells a closed connection from one that is left open, and measures nothing.
SOON_S = 2.0
PIECES = tuple(f"word{i} " for i in range(200))
STREAMING = Script(text=PIECES, pace_s=0.02)
STALLED = Script(text=PIECES, stall_after=5)
SILENT = Script(headers_delay_s=30.0)
THINKING = Script(reasoning=PIECES, pace_s=0.02)
LINE = "glm: stopped; the partial answer is in _glm, `%glm continue` goes on"
EARLY = "glm: stopped before the answer began; `%glm again` sends it again"


@pytest.fixture(scope="module")
def module_kernel(kernel_of_each_line: Kernel) -> Kernel:
    """A kernel of each line of ipykernel."""
    return kernel_of_each_line


def is_streaming(cell: Cell) -> bool:
    return cell.shows("word3")


def is_waiting(cell: Cell) -> bool:
    return cell.shows("waiting for the first token")


def start(
    kernel: Kernel, server: GlmServer, script: Script, when: Callable[[Cell], bool] = is_streaming
) -> tuple[str, Cell]:
    """Run a cell until `when` is so and its request has come; return its id and the cell."""
    server.script = script
    seen = len(server.requests)
    request_id = kernel.send("%%glm -o answer\nTell me a story")
    cell = kernel.read(request_id, when)
    assert when(cell)
    server.wait_for_requests(seen + 1)
    return request_id, cell


def stop(
    kernel: Kernel, server: GlmServer, script: Script, when: Callable[[Cell], bool] = is_streaming
) -> Cell:
    """Start a cell, interrupt the kernel, and see the connection closed."""
    request_id, cell = start(kernel, server, script, when)
    kernel.interrupt()
    server.wait_for_disconnect(SOON_S)
    return kernel.wait(request_id, cell)


@pytest.mark.parametrize("script", [STREAMING, STALLED], ids=["streaming", "stalled"])
def test_an_interrupt_closes_the_connection_and_keeps_what_came(
    kernel: Kernel, server: GlmServer, script: Script
) -> None:
    cell = stop(kernel, server, script)
    assert (cell.status, cell.error_line) == ("error", LINE)
    assert "word3" in cell.html
    assert "[stopped: the answer is not complete]" in cell.html
    text, state = kernel.value("(_glm.text, _glm.state)")
    assert text.startswith("word0 word1 word2 word3 ")
    assert len(text) < 1000
    assert state == "stopped"


def test_an_interrupt_before_any_answer_closes_the_connection(
    kernel: Kernel, server: GlmServer
) -> None:
    cell = stop(kernel, server, SILENT, is_waiting)
    assert (cell.status, cell.error_line) == ("error", EARLY)
    assert "[stopped: the answer is not complete]" in cell.html
    assert kernel.value("(_glm.text, _glm.state)") == ("", "stopped")


def test_an_interrupt_keeps_the_reasoning_that_came(kernel: Kernel, server: GlmServer) -> None:
    cell = stop(kernel, server, THINKING)
    assert "word3" in cell.html
    assert kernel.value("_glm.reasoning.startswith('word0 word1 word2 word3 ')")


def test_an_interrupt_closes_every_widget(kernel: Kernel, server: GlmServer) -> None:
    cell = stop(kernel, server, STREAMING)
    assert cell.open_comms == set()
    assert cell.output["data"].keys() == {"text/html", "text/plain"}


def test_an_interrupted_cell_assigns_no_variable(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("answer = 'old'")
    stop(kernel, server, STREAMING)
    assert kernel.value("answer") == "old"


def test_the_next_cell_answers_after_an_interrupt(kernel: Kernel, server: GlmServer) -> None:
    for script, when in ((STREAMING, is_streaming), (SILENT, is_waiting)):
        stop(kernel, server, script, when)
        server.script = Script()
        cell = kernel.run("%%glm\nHello")
        assert cell.status == "ok"
        assert "很高兴见到你" in cell.html


def test_an_interrupt_halts_run_all(kernel: Kernel, server: GlmServer) -> None:
    server.script = STREAMING
    first = kernel.send("%%glm\nTell me a story")
    second, third = kernel.send("%%glm\nAnother"), kernel.send("ran = True")
    cell = kernel.read(first, is_streaming)
    kernel.interrupt()
    statuses = [kernel.wait(first, cell).status, kernel.wait(second).status]
    assert [*statuses, kernel.wait(third).status] == ["error", "aborted", "aborted"]
    assert len(server.requests) == 1
    assert kernel.value("'ran' in globals()") is False


# Widgets tell when they are made: here the very first one interrupts the kernel, after the
# time that the request takes to be sent.
INTERRUPT_AT_FIRST_WIDGET = """
import ipywidgets, os, signal, time
def interrupt(widget):
    ipywidgets.Widget.on_widget_constructed(None)
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGINT)
ipywidgets.Widget.on_widget_constructed(interrupt)
"""


def test_an_interrupt_before_anything_is_on_screen_leaves_nothing_running(
    kernel: Kernel, server: GlmServer
) -> None:
    server.script = SILENT
    kernel.run(INTERRUPT_AT_FIRST_WIDGET)
    cell = kernel.run("%%glm\nTell me a story")
    server.wait_for_disconnect(SOON_S)
    assert (cell.status, cell.error_line) == ("error", EARLY)
    assert cell.open_comms == set()
    assert "[stopped: the answer is not complete]" in cell.html
    assert kernel.value("_glm.state") == "stopped"


def test_an_interrupt_ends_an_embed_cell(kernel: Kernel, server: GlmServer) -> None:
    server.script = SILENT
    request_id = kernel.send("%%glm embed\na cat")
    server.wait_for_requests(1)
    kernel.interrupt()
    server.wait_for_disconnect(SOON_S)
    cell = kernel.wait(request_id)
    assert cell.error_line == "glm: stopped; nothing came"


# Hooks see each output on its way: here the page that takes the widget's place interrupts.
INTERRUPT_AT_THE_PAGE = """
import os, signal
def interrupt(message):
    if message["msg_type"] == "update_display_data":
        publisher.unregister_hook(interrupt)
        os.kill(os.getpid(), signal.SIGINT)
    return message
publisher = get_ipython().display_pub
publisher.register_hook(interrupt)
"""


def test_a_second_interrupt_does_not_spoil_the_end_of_the_first(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run(INTERRUPT_AT_THE_PAGE)
    cell = stop(kernel, server, STREAMING)
    assert len(cell.error_line.splitlines()) == 1
    assert "[stopped: the answer is not complete]" in cell.html
    assert cell.open_comms == set()
    assert kernel.value("_glm.state") == "stopped"


def test_an_interrupt_at_the_very_end_leaves_the_whole_answer(kernel: Kernel) -> None:
    kernel.run(INTERRUPT_AT_THE_PAGE)
    cell = kernel.run("%%glm\nHello")
    assert (cell.status, cell.error_line) == ("error", "glm: stopped; the answer is in _glm")
    assert "很高兴见到你" in cell.html
    assert cell.open_comms == set()
    assert kernel.value("_glm.state") == "complete"


def skip_without_subshells(ipykernel_line: str) -> None:
    if ipykernel_line == "6.31":
        pytest.skip("ipykernel 6 has no subshells: a click waits until the cell has ended")


def test_the_stop_button_ends_the_answer_and_the_cell_is_fine(
    kernel: Kernel, server: GlmServer, ipykernel_line: str
) -> None:
    skip_without_subshells(ipykernel_line)
    request_id, cell = start(kernel, server, STREAMING)
    kernel.click(cell.comm_of("ButtonModel"))
    server.wait_for_disconnect(SOON_S)
    cell = kernel.wait(request_id, cell)
    assert cell.status == "ok"
    assert "[stopped: the answer is not complete]" in cell.html
    assert cell.open_comms == set()
    assert kernel.value("(answer.state, answer is _glm)") == ("stopped", True)
    assert kernel.value("answer.text.startswith('word0 word1 ')")


def test_the_stop_button_works_before_the_first_token(
    kernel: Kernel, server: GlmServer, ipykernel_line: str
) -> None:
    skip_without_subshells(ipykernel_line)
    request_id, cell = start(kernel, server, SILENT, is_waiting)
    kernel.click(cell.comm_of("ButtonModel"))
    server.wait_for_disconnect(SOON_S)
    assert kernel.wait(request_id, cell).status == "ok"
    assert kernel.value("(answer.text, answer.state)") == ("", "stopped")
