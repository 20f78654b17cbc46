"""Servers that fail, as a reader of the notebook sees it, on each line of ipykernel."""

from __future__ import annotations

import time

import pytest
from glm_server import GlmServer, Script, failure
from kernels import Cell, Kernel

ASK = "%%glm\nTell me a canary-story"
PIECES = ("word0 ", "word1 ", "word2 ", "word3 ")
FAST = "%glm config max_retries=0 first_byte_timeout_s=0.5 idle_timeout_s=0.5"


@pytest.fixture(scope="module", params=["7.4", "6.31"], ids="ipykernel {}".format)
def ipykernel_line(request: pytest.FixtureRequest) -> str:
    """The newest line of ipykernel and the oldest; within 7 no server makes a difference."""
    line: str = request.param
    return line


@pytest.fixture(scope="module")
def module_kernel(kernel_of_each_line: Kernel) -> Kernel:
    """A kernel of each line of ipykernel."""
    return kernel_of_each_line


def ask(kernel: Kernel, server: GlmServer, script: Script, config: str = FAST) -> Cell:
    assert kernel.run(config).status == "ok"
    server.script = script
    return kernel.run(ASK)


BROKEN = {
    "cut off in a chunk": (Script(text=PIECES, cut_after=4), "the connection broke"),
    "ended without a reason": (
        Script(text=PIECES, end_after=4),
        "closed the stream before the end",
    ),
    "silent in mid-answer": (Script(text=PIECES, stall_after=4), "silent for 0.5 s"),
    "an error in the stream": (
        Script(text=PIECES, in_band_error={"error": {"code": "1234", "message": "x"}}),
        "code 1234",
    ),
    "a failure of the platform": (
        Script(text=PIECES, finish_reason="network_error"),
        "the platform failed in mid-answer",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_reply_that_breaks_off_stays_marked_and_fails_the_cell_in_one_line(
    kernel: Kernel, server: GlmServer, name: str
) -> None:
    script, words = BROKEN[name]
    cell = ask(kernel, server, script)
    assert cell.status == "error"
    assert words in cell.error_line
    assert "canary" not in cell.error_line
    assert "\n" not in cell.error_line
    assert "word3" in cell.html
    assert "[cut off: the answer is not complete]" in cell.html
    assert cell.open_comms == set()
    assert kernel.value("(_glm.text.strip()[-5:], _glm.state)") == ("word3", "cut off")


REFUSED = {
    "a web page": (Script(html=True), "answered with a web page (text/html)"),
    "no answer": (Script(headers_delay_s=5.0), "no answer within 0.5 s"),
    "a redirect": (Script(redirect="https://evil.example/x"), "sends on to evil.example"),
    "no balance": (Script(error=failure("1113")), "no balance or resource package"),
    "overloaded": (Script(error=failure("1305")), "overloaded for this model"),
    "unsafe": (Script(error=failure("1301")), "the safety review refused the content"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_request_fails_the_cell_in_one_line(
    kernel: Kernel, server: GlmServer, name: str
) -> None:
    script, words = REFUSED[name]
    cell = ask(kernel, server, script)
    assert cell.status == "error"
    assert words in cell.error_line
    assert "canary" not in cell.error_line
    assert "\n" not in cell.error_line
    assert kernel.value("(_glm.text, _glm.state)") == ("", "failed")
    server.script = Script(text=("well again",))
    assert "well again" in kernel.run(ASK).html


def test_a_reply_that_the_safety_review_ends_is_withdrawn_with_the_reason(
    kernel: Kernel, server: GlmServer
) -> None:
    findings = ({"role": "assistant", "level": 1},)
    script = Script(text=PIECES, finish_reason="sensitive", content_filter=findings)
    cell = ask(kernel, server, script)
    assert cell.status == "error"
    assert "the safety review withdrew the answer: unsafe content in the answer, level 1" in (
        cell.error_line
    )
    assert "word3" not in cell.html
    assert "withdrawn" in cell.html
    assert kernel.value("(_glm.text, _glm.state)") == ("", "withdrawn")


def test_too_many_requests_are_waited_for_in_sight_and_then_answered(
    kernel: Kernel, server: GlmServer
) -> None:
    server.queue(Script(error=failure("1302", retry_after="0.5")))
    cell = ask(kernel, server, Script(text=("here you are",)), "%glm config max_retries=2")
    assert cell.status == "ok"
    assert "here you are" in cell.html
    assert cell.shows("trying again in")
    assert cell.shows("too many requests at once")
    assert len(server.requests) == 2


def test_an_interrupt_ends_the_wait_and_sends_nothing_more(
    kernel: Kernel, server: GlmServer
) -> None:
    assert kernel.run("%glm config max_retries=2").status == "ok"
    server.script = Script(error=failure("1302", retry_after="30"))
    request_id = kernel.send(ASK)
    cell = kernel.read(request_id, lambda cell: cell.shows("trying again in"))
    started = time.monotonic()
    kernel.interrupt()
    cell = kernel.wait(request_id, cell)
    assert time.monotonic() - started < 5
    assert cell.error_line == ("glm: stopped before the answer began; `%glm again` sends it again")
    assert len(server.requests) == 1
