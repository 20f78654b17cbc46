"""In IPython's terminal the answer streams as plain text."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator

import pexpect
import pytest
from glm_server import SOURCES, GlmServer, Script, call, failure

# From Python 3.12 on; the server's thread holds no lock that the child could need.
pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)
PROMPT = r"\r\nIn \[\d+\]: $"
OPTIONS = ("--simple-prompt", "--no-banner", "--no-confirm-exit", "--colors=NoColor")


class Terminal:
    """One IPython in a terminal of its own."""

    def __init__(self, child: pexpect.spawn[str]) -> None:
        self.child = child

    def run(self, code: str) -> str:
        """Type `code`; return what is on screen below it."""
        self.type(code)
        return self.rest()

    def type(self, code: str) -> None:
        """Type `code` and end it as the prompt wants it: a cell magic with two empty lines."""
        first, *rest = [*code.split("\n"), "", ""] if code.startswith("%%") else [code]
        self._send(first)
        for line in rest:
            self.child.expect(r" \.\.\.: $")
            self._send(line)

    def _send(self, line: str) -> None:
        self.child.sendline(line)
        self.child.expect_exact(f"{line}\r\n")

    def rest(self) -> str:
        """What comes until the next prompt."""
        self.child.expect(PROMPT)
        return str(self.child.before).replace("\r\n", "\n").strip("\n")


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pexpect.spawn[str]]:
    """A running IPython in a terminal without styles, where rich is not used."""
    yield from spawn(tmp_path_factory, "dumb")


@pytest.fixture(scope="module")
def styled_child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pexpect.spawn[str]]:
    """A running IPython in a terminal with styles, where rich is."""
    yield from spawn(tmp_path_factory, "xterm-256color")


def spawn(factory: pytest.TempPathFactory, term: str) -> Iterator[pexpect.spawn[str]]:
    """Run IPython in a terminal of this kind."""
    env = {**os.environ, "IPYTHONDIR": str(factory.mktemp("ipython")), "TERM": term}
    arguments = ["-m", "IPython", *OPTIONS]
    child = pexpect.spawn(sys.executable, arguments, env=env, encoding="utf-8", timeout=30)
    child.delaybeforesend = None
    child.expect(r"In \[\d+\]: $")
    yield child
    child.sendline("exit")
    child.expect(pexpect.EOF)
    child.close()


@pytest.fixture
def terminal(child: pexpect.spawn[str], server: GlmServer) -> Terminal:
    """The terminal with the extension as just loaded, the server in its environment."""
    return load(child, server)


@pytest.fixture
def styled_terminal(styled_child: pexpect.spawn[str], server: GlmServer) -> Terminal:
    """The terminal with styles likewise."""
    return load(styled_child, server)


def load(child: pexpect.spawn[str], server: GlmServer) -> Terminal:
    """Load the extension anew, with the server in its environment."""
    terminal = Terminal(child)
    variables = {"ZAI_API_KEY": server.key, "ZAI_BASE_URL": server.url}
    terminal.run(f"import os; os.environ |= {variables}")
    assert terminal.run("%reload_ext glm_magic") == ""
    return terminal


def test_an_answer_is_printed_once_with_its_counts(terminal: Terminal) -> None:
    screen = terminal.run("%%glm\nHello")
    assert screen.count("Hello! 你好！I am GLM, 很高兴见到你。") == 1
    assert re.search(
        r"^glm-4\.7-flash · 127\.0\.0\.1:\d+\n\d tokens in · 10 out · first token .* · finished$",
        screen,
        re.M,
    )
    assert "<" not in screen


def test_the_reply_is_the_value(terminal: Terminal) -> None:
    terminal.run("%%glm -o answer\nHello")
    assert terminal.run("print(_ is answer is _glm, type(_).__name__)") == "True Reply"


def test_a_reply_shown_again_is_its_text(terminal: Terminal) -> None:
    terminal.run("%%glm -o answer\nHello")
    assert "Hello! 你好！I am GLM, 很高兴见到你。" in terminal.run("answer")


def test_the_answer_is_seen_while_it_streams(terminal: Terminal, server: GlmServer) -> None:
    server.script = Script(text=("early ", "late"), stall_after=1)
    terminal.type("%%glm\nHello")
    terminal.child.expect_exact("early ")
    terminal.child.sendintr()
    assert "late" not in terminal.rest()


def test_reasoning_is_told_and_not_printed(terminal: Terminal, server: GlmServer) -> None:
    server.script = Script(reasoning=("let me ", "think"), text=("391",))
    screen = terminal.run("%%glm\n17 × 23")
    assert screen.startswith("(reasoning …)\n391\n")
    assert "think" not in screen


@pytest.mark.parametrize(
    "pieces",
    [
        ("\x1b[31mred\x1b[0m",),
        ("\x1b]0;title\x07red",),
        ("\x1b[2", "Jred"),
        ("\x1b", "]52;c;aGk=\x07red"),
        ("\x9b31mred", "\x08\x08\x08"),
    ],
    ids=["colour", "title", "cut erase", "cut clipboard", "C1 and backspace"],
)
def test_nothing_that_a_terminal_obeys_comes_through(
    terminal: Terminal, server: GlmServer, pieces: tuple[str, ...]
) -> None:
    server.script = Script(text=pieces, pace_s=0.1)
    screen = terminal.run("%%glm\nHello")
    assert "red" in screen
    assert re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", screen) == []


def test_sources_are_a_numbered_list(terminal: Terminal, server: GlmServer) -> None:
    server.script = Script(text=("It grew[ref_1].",), sources=SOURCES)
    screen = terminal.run("%%glm --web-search\nGDP")
    assert (
        "[1] 一季度国民经济开局良好 · https://example.org/stats/2024q1 · 示例统计网 · 2024-04-16 · "
        "cited\n[2] China's economy in the first quarter of 2024 · https://example.com/news/gdp-2024q1"
    ) in screen


def test_embeddings_are_rows_of_numbers(terminal: Terminal) -> None:
    screen = terminal.run("%%glm embed\na cat\na kitten\na dog")
    assert "2 texts" not in screen and "3 texts · 8 dimensions" in screen
    assert re.search(r"^ *1 +a cat +1\.00 +-?0\.\d\d +-?0\.\d\d", screen, re.MULTILINE)
    assert "Pairs, the closest first" in screen


def test_a_long_run_has_a_bar_that_is_gone_at_its_end(terminal: Terminal) -> None:
    terminal.run("texts = [f'text {i}' for i in range(200)]")
    screen = terminal.run("%glm embed --in texts -o e")
    assert "200 texts · 8 dimensions" in screen
    assert "texts/s" not in screen.rpartition("\r")[2]


def test_ctrl_c_ends_the_answer_with_one_line(terminal: Terminal, server: GlmServer) -> None:
    server.script = Script(text=("word ",) * 500, pace_s=0.02)
    terminal.type("%%glm\nTell me a story")
    terminal.child.expect_exact("word word")
    terminal.child.sendintr()
    screen = terminal.rest()
    server.wait_for_disconnect(2.0)
    assert screen.endswith("glm: stopped; the partial answer is in _glm, `%glm continue` goes on")
    assert "stopped: the answer is not complete" in screen
    assert "Traceback" not in screen
    assert terminal.run("print(_glm.text[:10], _glm.state)") == "word word  stopped"


def test_an_error_is_one_line(terminal: Terminal, server: GlmServer) -> None:
    server.script = Script(error=failure("1302"))
    screen = terminal.run("%%glm\nHello")
    assert "glm: 127.0.0.1" in screen.splitlines()[-1]
    assert "Traceback" not in screen


def test_settings_are_lines_of_text(terminal: Terminal) -> None:
    screen = terminal.run("%glm config")
    assert re.search(r"^model +glm-4\.7-flash +default +Chat model", screen, re.M)
    assert "<table" not in screen


def test_a_task_is_lines_of_progress_and_then_the_answer(
    terminal: Terminal, server: GlmServer
) -> None:
    screen = terminal.run("%%glm --task\nHello")
    task_id = server.requests[1].path.rpartition("/")[2]
    lines = [re.sub(r"^\(\d+ s", "(N s", line) for line in screen.splitlines()]
    assert lines[:4] == [
        "(submitting)",
        f"(N s · PROCESSING · 0 polls · task {task_id})",
        f"(N s · PROCESSING · 1 poll · task {task_id})",
        f"(N s · SUCCESS · 2 polls · task {task_id})",
    ]
    assert screen.count("Hello! 你好！I am GLM, 很高兴见到你。") == 1
    assert task_id in terminal.run("%glm task")


def test_ctrl_c_stops_the_waiting_for_a_task(terminal: Terminal, server: GlmServer) -> None:
    server.script = Script(processing_polls=99)
    terminal.type("%%glm --task\nHello")
    terminal.child.expect_exact("0 polls")
    terminal.child.sendintr()
    screen = terminal.rest()
    task_id = terminal.run("%glm task").splitlines()[-1].split()[0]
    assert screen.endswith(
        f"glm: stopped waiting; the task goes on, pick it up with %glm task {task_id}"
    )
    server.finish_tasks()
    picked_up = terminal.run(f"%glm task {task_id}")
    assert picked_up.count("Hello! 你好！I am GLM, 很高兴见到你。") == 1
    assert "submitting" not in picked_up


# -- with rich ---------------------------------------------------------------------------------

LONG = "农业生产形势总体稳定" * 8 + "末尾"
MARKDOWN = f"""# Title

Some **bold** text with `code`, <b>raw</b> HTML and $a_1 * b_2$.

| 产业 | 说明 |
|---|---|
| 农业 | {LONG} |

```python
import os
```

See [here](https://example.org/x).
"""
STYLE = re.compile(r"\x1b\[[0-9;]*m")


def test_with_rich_an_answer_is_shown_as_markdown_and_nothing_is_lost(
    styled_terminal: Terminal, server: GlmServer
) -> None:
    server.script = Script(text=tuple(MARKDOWN[i : i + 7] for i in range(0, len(MARKDOWN), 7)))
    screen = styled_terminal.run("%%glm\nHello")
    assert "\x1b[1m" in screen
    text = STYLE.sub("", screen)
    assert "**bold**" not in text
    for words in ("<b>raw</b> HTML", "$a_1 * b_2$", "import os", "https://example.org/x", "末尾"):
        assert words in text
    assert "…" not in text
    assert re.search(r"tokens in · .* · finished$", text, re.M)


def test_with_rich_the_answer_is_seen_while_it_streams(
    styled_terminal: Terminal, server: GlmServer
) -> None:
    server.script = Script(text=("early ", "late"), stall_after=1)
    styled_terminal.type("%%glm\nHello")
    styled_terminal.child.expect_exact("early")
    styled_terminal.child.sendintr()
    screen = styled_terminal.rest()
    assert "late" not in screen
    assert "stopped: the answer is not complete" in screen
    assert "Traceback" not in screen


def test_with_rich_a_terminal_gets_styles_and_moves_of_our_own_only(
    styled_terminal: Terminal, server: GlmServer
) -> None:
    hostile = (
        "\x1b[2Jred \x1b]0;title\x07 \x1b]52;c;aGk=\x07 \x1b]8;;https://e.org\x07x \x9b31m\x08"
    )
    links = "\n\n[a](javascript:x) ![i](https://e.org/p.png) &#x202e;evil&#x2066; &#27;[2J"
    # A lexer of this name takes a minute for it.
    fence = f"\n\n```mcfunction\n{'1' * 500}z\n```\n"
    server.script = Script(text=(hostile, links, fence))
    screen = styled_terminal.run("%%glm\nHello")
    assert "red" in screen
    # Styles, and what rich draws the open block with: up, erase the line, hide the cursor.
    rest = re.sub(r"\x1b\[([0-9;]*m|[0-9]*A|2K|\?25[lh])", "", screen)
    assert re.findall(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u2069]", rest) == []
    assert "[image: i (https://e.org/p.png)]" in rest


def test_calls_are_printed_as_they_end_between_the_words(
    terminal: Terminal, server: GlmServer
) -> None:
    terminal.run(
        "exec('async def late(x: int) -> int:\\n \"Late.\"\\n print(5 * x)\\n return 2 * x')"
    )
    calls = (call("late", x=3), call("late", x="a"), call("nope"))
    server.queue(Script(text=("Let me ", "see."), tool_calls=calls), Script(text=("Well, 6.",)))
    screen = terminal.run("%%glm --tool late\nTwice 3?")
    lines = [line.strip() for line in screen.splitlines() if line.strip()]
    assert lines[lines.index("Let me see.") :][:7] == [
        "Let me see.",
        "(calling late …)",
        "→ late(x=3): 6 (0.00 s)",
        "15",
        "→ late(x=\"a\"): error: x: Input should be a valid integer (got 'a')",
        "→ nope(): error: there is no function 'nope'; there are: late",
        "Well, 6.",
    ]


def test_an_answer_that_was_sent_back_is_told(terminal: Terminal, server: GlmServer) -> None:
    server.queue(Script(text=('{"x": "a"}',)), Script(text=('{"x": 1}',)))
    screen = terminal.run('%%glm --schema "x int, y int?"\nSay')
    assert "(sent back: x: Input should be a valid integer" in screen
