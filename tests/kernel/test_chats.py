"""Chats where cells have no ids, with tasks, with the end of a window; and what a chat keeps."""

from __future__ import annotations

import pytest
from glm_server import GlmServer, Script
from kernels import Kernel

LONG = "word " * 20_000


def sent(server: GlmServer) -> list[str]:
    """The texts of the messages of the last request."""
    return [message["content"] for message in server.requests[-1].json["messages"]]


def turns(kernel: Kernel, name: str = "x") -> list[tuple[str, str, bool]]:
    """Prompt, answer and whether it is stale, of each turn of a chat."""
    found: list[tuple[str, str, bool]] = kernel.value(
        "[(t.prompt, t.reply.text, t.is_stale) for t in __import__('glm_magic')"
        f".magics_of(get_ipython()).open()[0].chats.find({name!r}).turns]"
    )
    return found


def test_without_ids_a_turn_is_asked_again_in_its_place(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(text=("part",), finish_reason="length")
    kernel.run("%%glm --chat x\nq1")
    server.script = Script(text=(" and rest",))
    kernel.run("%glm continue")
    assert turns(kernel) == [("q1", "part and rest", False)]
    kernel.run("%glm again")
    assert turns(kernel) == [("q1", " and rest", False)]
    kernel.run("%%glm --chat x\nq2")
    assert [turn[0] for turn in turns(kernel)] == ["q1", "q2"]


def test_a_forgotten_chat_does_not_come_back(kernel: Kernel, server: GlmServer) -> None:
    for prompt in ("q1", "q2"):
        kernel.run(f"%%glm --chat x\n{prompt}")
    kernel.run("%glm reset x")
    kernel.run("%glm again")
    assert [turn[0] for turn in turns(kernel)] == ["q2"]


def test_a_task_picked_up_late_goes_into_the_chat_as_it_is_now(
    kernel: Kernel, server: GlmServer
) -> None:
    server.script = Script(text=("task",), processing_polls=1000)
    request_id = kernel.send("%%glm --task --chat x\nq1", cell_id="T")
    cell = kernel.read(request_id, lambda cell: cell.shows("task"))
    kernel.interrupt()
    kernel.wait(request_id, cell)
    (task_id,) = kernel.value(
        "list(__import__('glm_magic').magics_of(get_ipython()).open()[0].tasks._kept)"
    )
    server.script = Script(text=("live",))
    for cell_id in ("U", "V"):
        kernel.run(f"%%glm --chat x\n{cell_id}", cell_id=cell_id)
    server.finish_tasks()
    kernel.run(f"%glm task {task_id}")
    assert turns(kernel) == [("U", "live", False), ("V", "live", False), ("q1", "task", False)]
    kernel.run(f"%glm task {task_id}")
    kernel.run("%%glm --chat x\nW", cell_id="W")
    assert [turn[0] for turn in turns(kernel)] == ["U", "V", "q1", "W"]


def test_a_chat_longer_than_the_window_leaves_the_oldest_out(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run(f"long = {LONG!r}")
    for number in range(6):
        kernel.run(f"%%glm --chat x -m glm-4-plus\n{number} {{{{ long }}}}")
    cell = kernel.run("%%glm --chat x\nlast")
    assert [text[:2] for text in sent(server)[::2]] == ["2 ", "3 ", "4 ", "5 ", "la"]
    assert "chat x, turn 7 · the oldest 2 turns were left out" in cell.html
    history = kernel.run("%glm history x").output["data"]["text/plain"]
    assert history.count("left out") == 4


def test_reasoning_stays_out_of_a_chat_unless_it_is_asked_for(
    kernel: Kernel, server: GlmServer
) -> None:
    server.script = Script(reasoning=("hm",), text=("so",))
    kernel.run("%%glm --chat x\nwhy")
    kernel.run("%%glm --chat x\nreally")
    assert "reasoning_content" not in server.requests[-1].json["messages"][1]
    kernel.run("%%glm --chat x --keep-reasoning\nand")
    assert server.requests[-1].json["messages"][1]["reasoning_content"] == "hm"
    assert server.requests[-1].json["thinking"] == {"type": "enabled", "clear_thinking": False}


def test_the_setting_makes_every_cell_go_on(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("%glm config chat=x")
    kernel.run("%%glm\none")
    kernel.run("%%glm\ntwo")
    assert sent(server)[::2] == ["one", "two"]
    kernel.run('%%glm --chat ""\nalone')
    assert sent(server) == ["alone"]


@pytest.mark.parametrize("option", ["-s pirate", "-m glm-4.6"])
def test_what_a_line_no_longer_says_is_forgotten(
    kernel: Kernel, server: GlmServer, option: str
) -> None:
    kernel.run(f"%%glm --chat x {option}\na", cell_id="A")
    kernel.run("%%glm --chat x\nb", cell_id="B")
    asked = server.requests[-1].json
    assert asked["model"] == "glm-4.6" or sent(server)[0] == "pirate"
    kernel.run("%%glm --chat x\na", cell_id="A")
    kernel.run("%%glm --chat x\nc", cell_id="C")
    assert server.requests[-1].json["model"] == "glm-4.7-flash"
    assert sent(server)[::2] == ["a", "c"]


def test_a_loop_in_a_cell_that_asks_less_leaves_the_rest_stale(
    kernel: Kernel, server: GlmServer
) -> None:
    ask = "for n in range({}): get_ipython().run_cell_magic('glm', '--chat x', f'q{{n}}')"
    kernel.run(ask.format(3), cell_id="L")
    assert sent(server)[::2] == ["q0", "q1", "q2"]
    kernel.run(ask.format(2), cell_id="L")
    kernel.run("%%glm --chat x\nafter", cell_id="M")
    assert sent(server)[::2] == ["q0", "q1", "after"]
    assert [turn[0] for turn in turns(kernel)] == ["q0", "q1", "after", "q2"]
