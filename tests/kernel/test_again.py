"""`%glm again`, `%glm continue`, `--format` and `-x`."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from glm_server import SOURCES, GlmServer, Script
from kernels import Cell, Kernel

FENCED = "Sure:\n\n```python\nx = '\u202e1'\nprint(x)\n```\n\nand\n\n```sh\nls\n```\n"


def cut(text: str, **more: Any) -> Script:
    """A reply that ends in the middle, after `text`."""
    return Script(text=(text, "never"), cut_after=1 + len(more.get("reasoning", ())), **more)


def messages(server: GlmServer) -> list[tuple[str, str]]:
    """Role and text of each turn of the last request."""
    return [(m["role"], m["content"]) for m in server.requests[-1].json["messages"]]


def next_cells(kernel: Kernel, code: str) -> list[str]:
    """What a cell asks the front end to put below it."""
    request_id = kernel.send(code)
    cell = Cell()
    kernel.read(request_id, lambda _: False, cell)
    reply = kernel.client.get_shell_msg(timeout=60)
    while reply["parent_header"].get("msg_id") != request_id:
        reply = kernel.client.get_shell_msg(timeout=60)
    payload = reply["content"]["payload"]
    return [part["text"] for part in payload if part["source"] == "set_next_input"]


# -- again -------------------------------------------------------------------------------------


def test_again_sends_the_same_request_again(kernel: Kernel, server: GlmServer) -> None:
    kernel.run('%%glm -m glm-4.6 -s "Be brief." -t 0.3\nHello {x}')
    kernel.run("%glm config model=glm-4.5")
    cell = kernel.run("%glm again -o second")
    first, second = server.requests
    assert first.json == second.json
    assert cell.status == "ok"
    assert len(cell.outputs) == 1
    assert kernel.value("_ is second is _glm and second.state") == "complete"


def test_again_keeps_the_format_of_the_first_time(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(text=("**bold**",))
    kernel.run("%%glm --format text\nHello")
    assert "**bold**" in kernel.run("%glm again").html


def test_again_works_after_a_failure(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(html=True)
    assert kernel.run("%%glm\nHello").status == "error"
    server.script = Script()
    assert kernel.run("%glm again").status == "ok"
    assert messages(server) == [("user", "Hello")]


def test_again_after_a_task_that_was_let_go_is_that_task(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("%%glm\nFirst")
    server.script = Script(processing_polls=99)
    request_id = kernel.send("%%glm --task\nSecond")
    cell = kernel.read(request_id, lambda cell: cell.shows("PROCESSING"))
    kernel.interrupt()
    kernel.wait(request_id, cell)
    server.script = Script(processing_polls=0)
    kernel.run("%glm again")
    (sent,) = (r.json for r in server.requests[-2:] if r.method == "POST")
    assert sent["messages"][-1]["content"] == "Second"


def test_continue_goes_on_from_a_task_that_was_picked_up(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(text=("half",), finish_reason="length", processing_polls=0)
    kernel.run("%%glm --task\nTask")
    task_id = server.requests[-1].path.rpartition("/")[2]
    kernel.run("%%glm\nAnother")
    kernel.run(f"%glm task {task_id}")
    server.script = Script(text=(" whole",))
    kernel.run("%glm continue")
    assert messages(server)[0] == ("user", "Task")
    assert kernel.value("_glm.text") == "half whole"


def test_again_submits_a_task_again(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(processing_polls=0)
    kernel.run("%%glm --task\nHello")
    kernel.run("%glm again")
    submits = [r.path for r in server.requests if r.path.endswith("/async/chat/completions")]
    assert len(submits) == 2


# -- continue ----------------------------------------------------------------------------------


def test_continue_goes_on_from_the_partial_text_and_the_two_are_one(
    kernel: Kernel, server: GlmServer
) -> None:
    server.script = cut("```python\nx = 1\n", reasoning=("hm",))
    assert kernel.run("%%glm -s Brief.\nCode").status == "error"
    rest = ("y = 2\n```\n", "Done.")
    # What is known is on screen before anything new comes.
    server.script = Script(text=rest, usage={"prompt_tokens": 7}, first_chunk_delay_s=0.5)
    cell = kernel.run("%glm continue -o whole")
    assert cell.status == "ok", cell.error_line
    asked = messages(server)
    assert asked[:3] == [
        ("system", "Brief."),
        ("user", "Code"),
        ("assistant", "```python\nx = 1\n"),
    ]
    assert asked[3][0] == "user"
    assert asked[3][1].startswith("Continue your last message exactly where it broke off.")
    assert kernel.value("whole.text") == "```python\nx = 1\ny = 2\n```\nDone."
    assert kernel.value("(whole is _glm, whole.state, whole.usage.prompt_tokens)") == (
        True,
        "complete",
        7,
    )
    assert re.search(r"<p>Done\.</p>", cell.html)
    assert cell.shows("x = 1")


def test_continue_can_go_on_several_times(kernel: Kernel, server: GlmServer) -> None:
    for text in ("one ", "two ", "three "):
        server.script = cut(text)
        kernel.run("%glm continue" if text != "one " else "%%glm\nCount")
    server.script = Script(text=("four",))
    kernel.run("%glm continue")
    assert messages(server)[:2] == [("user", "Count"), ("assistant", "one two three ")]
    assert len(messages(server)) == 3
    assert kernel.value("_glm.text") == "one two three four"
    kernel.run("%glm again")
    assert messages(server) == [("user", "Count")]


def test_continue_goes_on_after_the_token_limit(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(text=("half",), finish_reason="length", sources=SOURCES)
    kernel.run("%%glm --web-search\nTell")
    server.script = Script(text=(" whole",))
    kernel.run("%glm continue")
    assert kernel.value("(_glm.text, len(_glm.sources))") == ("half whole", 2)


@pytest.mark.parametrize(
    ("script", "line"),
    [
        (Script(), "glm: the last answer is complete; `%glm again` sends the request again"),
        (
            Script(text=(), reasoning=("hm",), cut_after=1),
            "glm: the last answer has no text to go on from; `%glm again` sends the request again",
        ),
        (
            Script(finish_reason="sensitive"),
            "glm: the safety review withdrew the last answer; rephrase the prompt",
        ),
    ],
    ids=["whole", "no text", "withdrawn"],
)
def test_continue_says_why_it_cannot_go_on(
    kernel: Kernel, server: GlmServer, script: Script, line: str
) -> None:
    server.script = script
    kernel.run("%%glm\nHello")
    sent = len(server.requests)
    assert kernel.run("%glm continue").error_line == line
    assert len(server.requests) == sent


@pytest.mark.parametrize("word", ["again", "continue"])
def test_before_the_first_question_there_is_one_line(kernel: Kernel, word: str) -> None:
    line = "glm: nothing was asked yet in this session; write a %%glm cell"
    assert kernel.run(f"%glm {word}").error_line == line


@pytest.mark.parametrize("word", ["again", "continue"])
def test_a_mistake_on_the_line_sends_nothing(kernel: Kernel, server: GlmServer, word: str) -> None:
    kernel.run("%%glm\nHello")
    assert "unknown option '--outt'" in kernel.run(f"%glm {word} --outt x").error_line
    assert "--out NAME" in kernel.run(f"%glm {word} --help").stdout
    assert len(server.requests) == 1


# -- formats -----------------------------------------------------------------------------------


def test_as_text_nothing_is_markdown(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(text=("# not a heading\n", "**x** <b>\n"), pace_s=0.05)
    cell = kernel.run("%%glm --format text\nHello")
    for html in (cell.html, *(html for _, html in cell.live_html)):
        assert "<h1" not in html
        assert "<strong" not in html
    assert "# not a heading\n**x** &lt;b&gt;" in cell.html


def test_as_code_the_code_is_shown_and_the_words_are_folded(
    kernel: Kernel, server: GlmServer
) -> None:
    server.script = Script(text=(FENCED,))
    cell = kernel.run("%%glm --format code\nHello")
    shown, _, folded = cell.html.partition("<details>")
    assert 'class="language-python"' in shown
    assert 'class="language-sh"' in shown
    assert "Sure:" not in shown
    assert "Sure:" in folded
    assert kernel.value("_.code") == "x = '\u202e1'\nprint(x)\n"


def test_as_code_an_answer_without_any_is_shown_whole(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(text=("no code",))
    assert "<p>no code</p>" in kernel.run("%%glm --format code\nHello").html
    assert kernel.value("_.code") == ""


@pytest.mark.parametrize("text", ['{"名": [1, 2.5]}', 'Here:\n```json\n{"名": [1, 2.5]}\n```\n'])
def test_as_json_it_is_indented(kernel: Kernel, server: GlmServer, text: str) -> None:
    server.script = Script(text=(text,))
    shown = re.sub("<[^>]*>", "", kernel.run("%%glm --format json\nHello").html)
    assert '{\n  "名": [\n    1,\n    2.5\n  ]\n}' in shown


def test_as_json_every_value_stays_as_it_was_written(kernel: Kernel, server: GlmServer) -> None:
    number = "9" * 5_000
    text = f'{{"a":1e400,"a":1.10,"b":{number},"c":[],"d":"x\\"y,{{ \u2028"}}'
    server.script = Script(text=(text,))
    shown = unescape(re.sub("<[^>]*>", "", kernel.run("%%glm --format json\nHello").html))
    lines = ("{", '"a": 1e400,', '"a": 1.10,', f'"b": {number},', '"c": [],')
    assert "\n  ".join((*lines, '"d": "x\\"y,{ \\u2028"\n}')) in shown


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("not JSON", "not shown as JSON: Expecting value"),
        ("[" * 100_000, "not shown as JSON: "),
        ("[" * 300 + "1," * 30_000 + "1" + "]" * 300, "not shown as JSON: it is nested so deep"),
        ('{"a": NaN}', "not shown as JSON: NaN is no JSON"),
    ],
)
def test_what_is_no_json_is_shown_as_it_came(
    kernel: Kernel, server: GlmServer, text: str, why: str
) -> None:
    server.script = Script(text=(text,))
    cell = kernel.run("%%glm --format json\nHello")
    assert cell.status == "ok"
    shown = unescape(re.sub("<[^>]*>", "", cell.html))
    assert why in shown
    assert shown.count(text) == 1


def test_a_reply_shown_again_has_its_format(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(text=("**x**",))
    page = kernel.run("%%glm --format text -o answer\nHello").html
    assert kernel.run("answer").html == page


# -- into the next cell ------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["-x", "--format code -x", "--format md --extract"])
def test_the_first_code_block_goes_into_the_next_cell_and_is_not_run(
    kernel: Kernel, server: GlmServer, line: str
) -> None:
    server.script = Script(text=(FENCED,))
    assert next_cells(kernel, f"%%glm {line}\nHello") == ["x = '1'\nprint(x)"]
    assert kernel.value("'x' in globals()") is False


def test_code_that_was_cut_off_goes_nowhere(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(text=("```python\nimport os\nos.remo",), finish_reason="length")
    line = "glm: the answer is not complete; no cell was made of its code\n"
    assert kernel.run("%%glm -x\nHello").stdout == line


def test_without_code_no_cell_is_made(kernel: Kernel) -> None:
    line = "glm: no code block in the answer; no cell was made\n"
    assert kernel.run("%%glm -x\nHello").stdout == line
