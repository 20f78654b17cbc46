"""Tab in a real kernel: what a front end is given on our lines, in prompts and in Python cells."""

from __future__ import annotations

from math import inf

from bench.complete import PLACES, load, long_session, render, time_nothing, time_place
from glm_server import GlmServer
from kernels import TIMEOUT_S, Kernel

HEAVY = ("pandas", "numpy", "markdown_it", "jedi")


def press_tab(kernel: Kernel, text: str) -> tuple[list[str], str]:
    """The names for the cursor, which is the last `|` of a cell, and the text they replace."""
    before, _, after = text.rpartition("|")
    request_id = kernel.client.complete(before + after, len(before))
    reply = kernel.client.get_shell_msg(timeout=TIMEOUT_S)
    while reply["parent_header"].get("msg_id") != request_id:
        reply = kernel.client.get_shell_msg(timeout=TIMEOUT_S)
    found = reply["content"]
    assert found["status"] == "ok"
    assert found["cursor_end"] == len(before)
    return found["matches"], before[found["cursor_start"] :]


def test_options_and_values_are_completed(kernel: Kernel) -> None:
    assert press_tab(kernel, "%%glm --th|\nprompt") == (["--thinking"], "--th")
    assert press_tab(kernel, "%%glm --thinking |\nprompt") == (["on", "off"], "")
    assert press_tab(kernel, "%%glm --model=glm-5-|") == (["glm-5-turbo"], "glm-5-")
    assert press_tab(kernel, "x = 1\nr = %glm conf|") == (["config"], "conf")


def test_chats_are_completed_once_a_cell_has_made_one(kernel: Kernel, server: GlmServer) -> None:
    assert press_tab(kernel, "%%glm --chat |") == ([], "")
    assert server.requests == []
    assert kernel.run("%%glm --chat story\nOnce").status == "ok"
    assert press_tab(kernel, "%%glm --chat |") == (["story"], "")
    assert press_tab(kernel, "%glm history st|") == (["story"], "st")


def test_templates_are_completed_once_a_cell_has_kept_one(kernel: Kernel) -> None:
    assert kernel.run("%%glm --save shorten\nShorten: {{ body }}").status == "ok"
    assert press_tab(kernel, "%glm --use |") == (["shorten"], "")


def test_variables_are_completed_on_the_line_and_in_the_prompt(kernel: Kernel) -> None:
    kernel.run("cat_count = 3\ncat_names = {'tom cat': 1}\nimport math as cat_math")
    assert press_tab(kernel, "%%glm -o cat|") == (["cat_count", "cat_names"], "cat")
    names = ["cat_count", "cat_math", "cat_names"]
    assert press_tab(kernel, "%%glm\nI have {{ cat| }} of them") == (names, "cat")
    assert press_tab(kernel, "%%glm\n{{ cat_math.sq|") == (["sqrt"], "sq")
    assert press_tab(kernel, "%%glm\n{{ cat_names['|") == (["tom cat']"], "")
    assert press_tab(kernel, "%%glm -s '{{ cat_c|") == (["cat_count"], "cat_c")


def test_a_prompt_is_prose_and_a_python_cell_is_python(kernel: Kernel) -> None:
    assert press_tab(kernel, "%%glm\npri|") == ([], "")
    assert press_tab(kernel, "%%glm -m glm-5\n\nimport o|") == ([], "")
    assert "print" in press_tab(kernel, "pri|")[0]
    kernel.run("%unload_ext glm_magic")
    assert "--thinking" not in press_tab(kernel, "%%glm --th|")[0]


def test_the_help_is_a_question_mark_away(kernel: Kernel) -> None:
    for question in ("%%glm?", "%glm?"):
        page = kernel.run(question).payload
        assert "--temperature" in page
        assert "%glm history" in page


def test_the_bench_gives_times_and_our_lines_load_nothing() -> None:
    with long_session(lines=50) as kernel:
        has = f"{{name for name in {HEAVY} if name in __import__('sys').modules}}"
        before = kernel.value(has)
        load(kernel)
        rows = [time_place(kernel, place, code, runs=1) for place, code in PLACES.items()]
        rows.append(time_nothing(kernel, runs=1))
        assert kernel.value(has) == before
    assert all(0 < ms < inf for row in rows for ms in (row.first, *row.times))
    assert len(render("ms", rows).splitlines()) == 2 + len(PLACES) + 1
