"""`%glm error` and `%glm fix`: what they show, what they send, and that they ask before it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest
from glm_server import GlmServer, Script
from kernels import TIMEOUT_S, Cell, Kernel

BOOM = "rows = [1]\n# 乘以二\nrows + valeu"
OTHER_KEY = "0123456789abcdef0123456789abcdef.AbCdEfGh12345678"
MENDED = Script(text=("```python\nrows = [1]\nrows * 2\n```\n", "Misspelled."))
NO_EXCEPTION = "import sys\nsys.last_value = sys.last_type = sys.last_traceback = None"
NOTHING_SENT = "glm: nothing was sent\n"


def prompt_sent(server: GlmServer) -> str:
    """The one prompt that was sent, alone."""
    (request,) = server.requests
    (message,) = request.json["messages"]
    assert message["role"] == "user"
    return str(message["content"])


def shown(cell: Cell) -> str:
    """The first output, its HTML without tags."""
    return unescape(re.sub("<[^>]*>", "", cell.outputs[0]["data"]["text/html"]))


def next_cells(kernel: Kernel, code: str) -> list[str]:
    """What a cell asks the front end to put below it."""
    request_id = kernel.send(code)
    kernel.read(request_id, lambda _: False)
    reply = kernel.client.get_shell_msg(timeout=TIMEOUT_S)
    while reply["parent_header"].get("msg_id") != request_id:
        reply = kernel.client.get_shell_msg(timeout=TIMEOUT_S)
    payload = reply["content"]["payload"]
    return [part["text"] for part in payload if part["source"] == "set_next_input"]


# -- asked first -------------------------------------------------------------------------------


def test_an_error_is_explained_after_a_yes_and_nothing_is_sent_before(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run(BOOM)
    request_id = kernel.send("%glm error -o why")
    asked = kernel.client.get_stdin_msg(timeout=TIMEOUT_S)["content"]["prompt"]
    assert asked == f"Send this to {server.url.split('/')[2]}? [y/N] "
    assert server.requests == []
    kernel.client.input("y")
    cell = kernel.wait(request_id)
    assert cell.status == "ok"
    prompt = prompt_sent(server)
    assert BOOM in prompt
    assert "NameError: name 'valeu' is not defined" in prompt
    assert "line 3, in <module>" in prompt
    assert prompt in shown(cell)
    assert prompt in cell.outputs[0]["data"]["text/plain"]
    assert "Hello! 你好！" in cell.outputs[1]["data"]["text/html"]
    assert kernel.value("why is _glm is _ and why.text[:5]") == "Hello"


def test_what_is_sent_is_open_while_it_asks_and_folded_after(kernel: Kernel) -> None:
    kernel.run(BOOM)
    cell, _ = kernel.run_typing("%glm error", "yes")
    first = cell.contents("display_data")[0]["data"]["text/html"]
    assert "<details open>" in first
    assert "<details>" in cell.outputs[0]["data"]["text/html"]


@pytest.mark.parametrize("typed", ["", "n", "no", "yep"])
def test_without_a_yes_nothing_is_sent(kernel: Kernel, server: GlmServer, typed: str) -> None:
    kernel.run(BOOM)
    cell, _ = kernel.run_typing("%glm fix", typed)
    assert (cell.status, cell.stdout) == ("ok", NOTHING_SENT)
    assert server.requests == []


def test_an_interrupt_at_the_question_sends_nothing(kernel: Kernel, server: GlmServer) -> None:
    kernel.run(BOOM)
    request_id = kernel.send("%glm error")
    kernel.client.get_stdin_msg(timeout=TIMEOUT_S)
    kernel.interrupt()
    assert kernel.wait(request_id).error_line == "glm: stopped; nothing came"
    assert server.requests == []
    assert "valeu" in kernel.run("%glm error --dry-run").text


def test_with_y_nobody_is_asked(kernel: Kernel, server: GlmServer) -> None:
    kernel.run(BOOM)
    cell = kernel.run("%glm error -y", allow_stdin=False)
    assert prompt_sent(server) in shown(cell)
    assert "<details>" in cell.outputs[0]["data"]["text/html"]


@pytest.mark.parametrize("word", ["error", "fix"])
def test_where_nobody_can_type_nothing_is_sent(
    kernel: Kernel, server: GlmServer, word: str
) -> None:
    kernel.run(BOOM)
    cell = kernel.run(f"%glm {word}", allow_stdin=False)
    assert cell.status == "ok"
    assert "valeu" in shown(cell)
    assert cell.stdout == f"glm: nothing was sent; %glm {word} -y sends it\n"
    assert server.requests == []


def test_a_dry_run_shows_it_and_sends_nothing(kernel: Kernel, server: GlmServer) -> None:
    kernel.run(BOOM)
    for cell in (kernel.run("%glm error --dry-run"), kernel.run("%glm error -y --dry-run")):
        assert BOOM in shown(cell)
        assert re.match(r"To glm-4\.7-flash at 127\.0\.0\.1:\d+, about \d+ tokens", shown(cell))
        assert cell.stdout == NOTHING_SENT
    assert server.requests == []


def test_the_system_message_is_shown_as_it_goes_along(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("%glm config system='Be brief.'")
    kernel.run(BOOM)
    cell = kernel.run("%glm error -y")
    assert "Be brief." in shown(cell)
    assert [m["role"] for m in server.requests[0].json["messages"]] == ["system", "user"]


def test_it_is_no_turn_of_a_chat(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("%%glm --chat story\nOnce")
    kernel.run(BOOM)
    kernel.run("%glm error -y")
    kernel.run("%%glm -c\nand then")
    _, error, last = (len(request.json["messages"]) for request in server.requests)
    assert (error, last) == (1, 3)


# -- what goes out -----------------------------------------------------------------------------


def test_a_syntax_error_goes_with_its_cell(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("x = 1\nif x\n    y")
    kernel.run("%glm error -y")
    prompt = prompt_sent(server)
    assert "SyntaxError: expected ':'" in prompt
    assert "which failed in line 2, `if x`:\n\n```python\nx = 1\nif x\n    y\n```" in prompt


def test_no_key_goes_out(kernel: Kernel, server: GlmServer) -> None:
    code = f"import os\nraise KeyError(str(dict(os.environ, MY_TOKEN={OTHER_KEY!r})))"
    kernel.run(code)
    kernel.log.clear()  # the exception is the cell's own, and showed it all
    cell = kernel.run("%glm error -y")
    prompt = prompt_sent(server)
    assert "'MY_TOKEN': '<key>'" in prompt
    assert "MY_TOKEN='<key>'" in prompt
    for text in (prompt, cell.text):
        for part in (server.key, *server.key.split("."), *OTHER_KEY.split(".")):
            assert part not in text


def test_a_path_does_not_name_the_user(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("import os\nopen(os.path.expanduser('~/no/such.csv'))")
    kernel.run("%glm error -y")
    assert "No such file or directory: '~/no/such.csv'" in prompt_sent(server)


def test_of_an_imported_file_the_lines_go_and_of_ipython_none(
    kernel: Kernel, server: GlmServer, tmp_path: Path
) -> None:
    (tmp_path / "broken_module.py").write_text("def load():\n    return {}['x']\n")
    kernel.run(f"import sys\nsys.path.insert(0, {str(tmp_path)!r})")
    kernel.run("import broken_module\nbroken_module.load()")
    kernel.run("%glm error -y")
    prompt = prompt_sent(server)
    assert "broken_module.py\", line 2, in load\n    return {}['x']" in prompt
    assert "which failed in line 2, `broken_module.load()`" in prompt
    assert "interactiveshell" not in prompt
    assert "ipykernel" not in prompt


def test_of_two_cells_both_go_as_they_were_typed(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("\n\ndef half(x):\n    return x / 0")
    kernel.run("%time\nhalf(1)")
    kernel.run("%glm error -y")
    prompt = prompt_sent(server)
    assert "which called it in line 2, `half(1)`:\n\n```python\n%time\nhalf(1)\n```" in prompt
    assert "which failed in line 2, `return x / 0`" in prompt
    assert "Types there: x: int" in prompt


def test_a_cell_magic_goes_as_it_was_typed(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("%%time\nx = 1\nx / 0")
    kernel.run("%glm error -y")
    assert "```python\n%%time\nx = 1\nx / 0\n```" in prompt_sent(server)


def test_of_a_huge_cell_the_part_that_failed_goes(kernel: Kernel, server: GlmServer) -> None:
    lines = [f"x{n} = {n}" for n in range(5_000)]
    kernel.run("\n".join([*lines[:3_000], "1 / 0", *lines[3_000:]]))
    kernel.run("%glm error -y")
    prompt = prompt_sent(server)
    assert "which failed in line 3001, `1 / 0` (lines " in prompt
    assert len(prompt) < 15_000


def test_braces_are_no_expressions(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("raise ValueError('{{ 1 + 1 }} {x} $x')")
    kernel.run("%glm error -y")
    assert "ValueError: {{ 1 + 1 }} {x} $x" in prompt_sent(server)


# -- which exception ---------------------------------------------------------------------------


def test_without_an_exception_there_is_one_line(kernel: Kernel) -> None:
    kernel.run(NO_EXCEPTION)
    for word in ("error", "fix", "error"):
        line = "glm: no exception yet in this session"
        assert kernel.run(f"%glm {word}").error_line == line


def test_of_an_error_of_its_own_it_says_that_there_is_nothing_to_explain(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run("%%glm -t 9\nHello")
    cell = kernel.run("%glm error")
    assert cell.status == "ok"
    assert cell.stdout.startswith("glm: the last error was glm's own, it says all there is: ")
    assert server.requests == []


def test_where_it_fails_itself_the_exception_stays_the_last(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run(BOOM)
    server.script = Script(html=True)
    assert kernel.run("%glm error -y").status == "error"
    assert kernel.run("%glm fix -y").status == "error"
    server.script = Script()
    assert kernel.run("%glm error -y").status == "ok"
    assert all("valeu" in r.json["messages"][0]["content"] for r in server.requests)


# -- mended ------------------------------------------------------------------------------------


def test_the_mended_cell_goes_into_the_next_cell_and_is_not_run(
    kernel: Kernel, server: GlmServer
) -> None:
    server.script = MENDED
    kernel.run(BOOM)
    assert next_cells(kernel, "%glm fix -y") == ["rows = [1]\nrows * 2"]
    assert "the whole corrected cell in one Python code block" in prompt_sent(server)
    assert BOOM in prompt_sent(server)
    assert kernel.value("(_glm.format, rows)") == ("code", [1])


def test_an_explanation_makes_no_cell(kernel: Kernel, server: GlmServer) -> None:
    server.script = MENDED
    kernel.run(BOOM)
    assert next_cells(kernel, "%glm error -y") == []


def test_what_came_from_no_cell_is_explained_and_not_mended(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run("import sys\nsys.last_value = ValueError('lost')")
    line = "glm: the last exception came from no cell; `%glm error` explains it"
    assert kernel.run("%glm fix -y").error_line == line
    kernel.run("%glm error -y")
    assert "ValueError: lost" in prompt_sent(server)


# -- in the terminal ---------------------------------------------------------------------------


def test_in_the_terminal_it_asks_too(server: GlmServer, tmp_path: Path) -> None:
    typed = "%load_ext glm_magic\nrows + valeu\n%glm error\nn\n%glm error\ny\nexit\n"
    variables = {"ZAI_API_KEY": server.key, "ZAI_BASE_URL": server.url, "TERM": "dumb"}
    done = subprocess.run(
        (sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor"),
        env={**os.environ, **variables, "IPYTHONDIR": str(tmp_path)},
        input=typed,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.stdout.count("? [y/N] ") == 2
    assert NOTHING_SENT in done.stdout
    prompt = prompt_sent(server)
    assert "Cell In[2], which failed in line 1, `rows + valeu`" in prompt
    assert prompt in done.stdout
    assert "Hello! 你好！" in done.stdout
