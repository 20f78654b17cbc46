"""Asynchronous tasks in a notebook: submitted, waited for, let go and picked up again."""

from __future__ import annotations

import re

import pytest
from glm_server import GlmServer, Script, failure
from kernels import Cell, Kernel

ANSWER = "Hello! 你好！I am GLM, 很高兴见到你。"
# The first poll comes after 2 s, so a test that needs no wait has a task done by then.
QUICK = Script(processing_polls=0)
ENDLESS = Script(processing_polls=10**6)
OTHER = "http://127.0.0.1:1/v1"


def host_of(server: GlmServer) -> str:
    return server.url.split("/")[2]


def start(kernel: Kernel, server: GlmServer, prompt: str = "Tell me") -> tuple[str, Cell, str]:
    """Submit a task that never ends; return the request, the cell so far and the task's id."""
    server.script = ENDLESS
    request_id = kernel.send(f"%%glm --task -o answer\n{prompt}")
    cell = kernel.read(request_id, lambda cell: cell.shows("PROCESSING"))
    return request_id, cell, id_in(cell)


def id_in(cell: Cell) -> str:
    shown = "".join(html for _, html in cell.live_html)
    (found,) = set(re.findall(r"task (\d{14}[0-9a-f]{16})<", shown))
    return str(found)


def interrupt(kernel: Kernel, server: GlmServer, prompt: str = "Tell me") -> tuple[Cell, str]:
    """Submit a task that never ends and interrupt the wait; return the cell and the task's id."""
    request_id, cell, task_id = start(kernel, server, prompt)
    kernel.interrupt()
    return kernel.wait(request_id, cell), task_id


# -- a whole cell ----------------------------------------------------------------------------


def test_a_task_is_submitted_asked_about_and_shown_as_any_reply(
    kernel: Kernel, server: GlmServer
) -> None:
    server.script = Script(substitutes_model=True)
    cell = kernel.run("%%glm --task -m glm-4.6 -t 0.2 -o answer\nHello")
    assert cell.status == "ok"
    assert kernel.value("_ is answer is _glm")
    assert kernel.value("(answer.text, answer.state, answer.model, answer.asked_model)") == (
        ANSWER,
        "complete",
        "GLM-4.7",
        "glm-4.6",
    )
    assert [request.method for request in server.requests] == ["POST", "GET", "GET"]
    assert server.requests[0].path == "/api/paas/v4/async/chat/completions"
    assert server.requests[0].json == {
        "model": "glm-4.6",
        "messages": [{"role": "user", "content": "Hello"}],
        "temperature": 0.2,
    }
    assert f"<p>{ANSWER}</p>" in cell.html
    assert "asked for glm-4.6, answered by GLM-4.7" in cell.html
    assert cell.output["data"].keys() == {"text/html", "text/plain"}
    assert cell.open_comms == set()
    assert cell.contents("execute_result") == []
    assert cell.stdout + cell.stderr == ""
    facts = cell.output["metadata"]["glm_magic"]
    assert facts["usage"]["completion_tokens"] == 10
    assert (facts["model"], facts["asked_model"]) == ("GLM-4.7", "glm-4.6")
    assert 5.0 <= facts["seconds"] < 30


def test_the_line_of_a_wait_moves(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script()
    cell = kernel.run("%%glm --task --no-stream\nHello")
    lines = [re.sub("<[^>]*>", "", html) for _, html in cell.live_html]
    task_id = server.requests[1].path.rpartition("/")[2]
    for polls in ("0 polls", "1 poll"):
        told = rf"glm-4\.7-flash · [\d.:]+ · PROCESSING · {polls} · task {task_id}"
        assert any(re.fullmatch(told, line) for line in lines)
    assert len({line for line in lines if re.fullmatch(r"\d\.\d s", line)}) > 10


def test_a_task_that_failed_is_one_line(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(processing_polls=0, task_fails=True)
    cell = kernel.run("%%glm --task\nHello")
    task_id = server.requests[1].path.rpartition("/")[2]
    assert cell.error_line == (
        f"glm: {host_of(server)}: task {task_id} failed, and the server does not say why; "
        "run the cell again"
    )
    assert re.search(rf" · FAIL · 1 poll · 2\.\d s · task {task_id}<", cell.html)
    assert "goes on" not in cell.html
    assert cell.open_comms == set()


def test_a_refused_submission_is_one_line(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(error=failure("1113"))
    cell = kernel.run("%%glm --task\nHello")
    assert "no balance or resource package" in cell.error_line
    assert len(cell.error_line.splitlines()) == 1
    assert "no task was named by the server" in cell.html
    assert cell.open_comms == set()
    assert "no tasks yet" in kernel.run("%glm task").stdout


def test_tasks_are_refused_where_there_are_none(kernel: Kernel, server: GlmServer) -> None:
    kernel.run(f"%glm config endpoint={OTHER}")
    for code in ("%%glm --task\nHello", "%glm task 123"):
        cell = kernel.run(code)
        assert cell.error_line == (
            "glm: 127.0.0.1:1 has no asynchronous tasks; leave --task out, or use "
            "`%glm config endpoint=bigmodel`"
        )
        assert cell.outputs == []
    assert server.requests == []


def test_a_wait_ends_with_the_total_time(kernel: Kernel, server: GlmServer) -> None:
    server.script = ENDLESS
    kernel.run("%glm config total_timeout_s=0.5")
    cell = kernel.run("%%glm --task\nHello")
    task_id = id_in(cell)
    assert cell.error_line == (
        f"glm: task {task_id} is not done after 0.5 s (total_timeout_s); it goes on, "
        f"pick it up with %glm task {task_id}"
    )
    assert f"pick it up with %glm task {task_id}" in cell.html


# -- let go and picked up --------------------------------------------------------------------


def test_an_interrupt_stops_the_waiting_and_says_how_to_pick_it_up(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run("answer = 'old'")
    cell, task_id = interrupt(kernel, server)
    assert (cell.status, cell.error_line) == (
        "error",
        f"glm: stopped waiting; the task goes on, pick it up with %glm task {task_id}",
    )
    assert "PROCESSING · 0 polls · " in cell.html
    assert cell.output["data"]["text/plain"].endswith(
        f" s · the task goes on, pick it up with %glm task {task_id}"
    )
    assert cell.open_comms == set()
    assert kernel.value("answer") == "old"


def test_a_task_is_picked_up_again(kernel: Kernel, server: GlmServer) -> None:
    _, task_id = interrupt(kernel, server)
    server.finish_tasks()
    cell = kernel.run(f"%glm task {task_id}")
    assert cell.status == "ok"
    assert f"<p>{ANSWER}</p>" in cell.html
    assert cell.contents("execute_result") == []
    assert kernel.value("(_.text, _ is _glm, _.model)") == (ANSWER, True, "glm-4.7-flash")


def test_a_task_is_picked_up_where_it_was_submitted(kernel: Kernel, server: GlmServer) -> None:
    _, task_id = interrupt(kernel, server)
    server.finish_tasks()
    kernel.run(f"%glm config endpoint={OTHER}")
    assert kernel.run(f"%glm task {task_id}").status == "ok"


def test_a_task_that_is_done_is_shown_from_memory(kernel: Kernel, server: GlmServer) -> None:
    _, task_id = interrupt(kernel, server)
    server.finish_tasks()
    first = kernel.run(f"%glm task {task_id}").output
    asked = len(server.requests)
    again = kernel.run(f"%glm task {task_id}")
    assert (again.output["data"], again.output["metadata"]) == (first["data"], first["metadata"])
    assert len(server.requests) == asked


def test_a_task_of_another_session_is_picked_up_by_its_id(
    kernel: Kernel, server: GlmServer
) -> None:
    _, task_id = interrupt(kernel, server)
    server.finish_tasks()
    kernel.run("%reload_ext glm_magic")
    assert "no tasks yet" in kernel.run("%glm task").stdout
    cell = kernel.run(f"answer = %glm task {task_id}")
    assert f"<p>{ANSWER}</p>" in cell.html
    assert kernel.value("answer.text") == ANSWER


def test_picking_up_can_be_interrupted_too(kernel: Kernel, server: GlmServer) -> None:
    _, task_id = interrupt(kernel, server)
    request_id = kernel.send(f"%glm task {task_id}")
    cell = kernel.read(request_id, lambda cell: cell.shows("1 poll"))
    kernel.interrupt()
    cell = kernel.wait(request_id, cell)
    assert cell.error_line.endswith(f"pick it up with %glm task {task_id}")


def test_an_id_that_the_server_does_not_know_is_one_line(kernel: Kernel) -> None:
    cell = kernel.run("%glm task 123-abc")
    assert cell.error_line.startswith("glm: task 123-abc: 127.0.0.1")
    assert "code 1214" in cell.error_line
    assert "goes on" not in cell.html


@pytest.mark.parametrize(
    ("rest", "line"),
    [
        ("a b", "glm: unexpected word 'b'"),
        ("test-key-id.test-secret", "glm: that is no task id: "),
    ],
)
def test_what_is_no_id_is_refused_and_not_repeated(kernel: Kernel, rest: str, line: str) -> None:
    cell = kernel.run(f"%glm task {rest}")
    assert cell.error_line.startswith(line)
    assert "secret" not in cell.text


def test_an_interrupt_halts_run_all(kernel: Kernel, server: GlmServer) -> None:
    server.script = ENDLESS
    first, second = kernel.send("%%glm --task\nTell me"), kernel.send("ran = True")
    cell = kernel.read(first, lambda cell: cell.shows("PROCESSING"))
    kernel.interrupt()
    assert [kernel.wait(first, cell).status, kernel.wait(second).status] == ["error", "aborted"]
    assert kernel.value("'ran' in globals()") is False


def test_the_stop_button_stops_the_waiting_and_the_cell_is_fine(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run("answer = 'old'")
    request_id, cell, task_id = start(kernel, server)
    kernel.click(cell.comm_of("ButtonModel"))
    cell = kernel.wait(request_id, cell)
    assert cell.status == "ok"
    assert f"pick it up with %glm task {task_id}" in cell.html
    assert cell.open_comms == set()
    assert kernel.value("answer") == "old"


def test_an_interrupt_before_the_server_has_named_the_task_says_so(
    kernel: Kernel, server: GlmServer
) -> None:
    server.script = Script(headers_delay_s=30.0)
    request_id = kernel.send("%%glm --task\nTell me")
    cell = kernel.read(request_id, lambda cell: cell.shows("submitting"))
    server.wait_for_requests(1)
    kernel.interrupt()
    cell = kernel.wait(request_id, cell)
    assert cell.error_line == (
        "glm: stopped before the server named the task; it may go on all the same"
    )
    assert cell.open_comms == set()


# -- the list --------------------------------------------------------------------------------


def test_a_session_without_tasks_says_how_to_make_one(kernel: Kernel) -> None:
    cell = kernel.run("%glm task")
    assert cell.stdout == "no tasks yet in this session; `%%glm --task` submits the cell as one\n"


def test_the_tasks_of_a_session_are_a_table(kernel: Kernel, server: GlmServer) -> None:
    _, first = interrupt(kernel, server, "<b>Tell</b> me\nall " + "x" * 99)
    server.script = QUICK
    kernel.run("%%glm --task -m glm-4.6\nHello")
    asked = len(server.requests)
    cell = kernel.run("%glm task")
    rows = re.findall(r"<tr><th><code>(.*?)</code></th>(.*?)</tr>", cell.tags)
    assert rows[0][0] == first
    cells = [re.findall("<td>(.*?)</td>", row) for _, row in rows]
    assert cells[0][:2] == ["glm-4.7-flash", "PROCESSING"]
    assert re.fullmatch(r"\d+ s", cells[0][2])
    assert cells[0][3].startswith("&lt;b&gt;Tell&lt;/b&gt; me all xxx")
    assert cells[1][:2] == ["glm-4.6", "SUCCESS"]
    assert cells[1][3] == "Hello"
    assert cell.output["data"]["text/plain"].startswith("Task ")
    assert len(server.requests) == asked
