"""Answers that are too long, too deep, too wide or broken: shown whole, and the kernel is well."""

from __future__ import annotations

import re
from collections.abc import Callable

import html5lib
import pytest
from glm_server import GlmServer, Script
from hostile import attack, find_acts
from kernels import Cell, Kernel

# Each text has its words in order: w0 w1 w2 ...; none may get lost.
WORDS = re.compile(r"w\d+")


def words(count: int, line: Callable[[int], str]) -> str:
    return "".join(line(n) for n in range(count))


BAD = {
    "a fence left open": "```py\n" + words(50, lambda n: f"w{n}\n"),
    "a fence of 10,000 lines": "```py\n" + words(10_000, lambda n: f"w{n} = {n}\n"),
    "a table of 1,000 columns": (
        f"|{words(1_000, lambda n: f'w{n}|')}\n|{'-|' * 1_000}\n|{'x|' * 1_000}\n"
    ),
    "lists nested 200 deep": words(200, lambda n: f"{'  ' * n}- w{n}\n"),
    "quotations nested 200 deep": words(200, lambda n: f"{'> ' * (n + 1)}w{n}\n\n"),
    "references that expand": f"[a]: https://example.org/{'u' * 3_000}\n\n"
    + words(300, lambda n: f"[w{n}][a] "),
    "ends of lines of each kind": words(40, lambda n: f"w{n}" + "\r\n\n\r\u2028"[n % 4]),
    "NUL and other controls": words(40, lambda n: f"w{n}\x00\x08\x7f\x85 "),
    "escapes of a terminal": words(40, lambda n: f"\x1b[31mw{n}\x1b]0;x\x07 \x9b1m"),
    "texts turned around": words(40, lambda n: f"\u202ew{n}\u2066 "),
    "2 MB at once": words(250_000, lambda n: f"w{n} " + "\n" * (n % 9 == 0)),
    "2 MB in a line": words(250_000, lambda n: f"w{n} "),
    "200,000 tokens": words(120_000, lambda n: f"w{n}" + (" ", ", ", ".\n\n")[n % 3]),
}
# As JSON spells them: two that belong together in two chunks, one first half, one second.
HALVES = (r"a\ud83d", r"\ude00b\ud83d", r"c\ude00")
AT_ONCE = ("2 MB at once", "2 MB in a line")


def ask(kernel: Kernel, server: GlmServer, text: str, *, piece: int) -> Cell:
    pieces = (text[start : start + piece] for start in range(0, len(text), piece))
    server.script = Script(text=tuple(pieces))
    return kernel.run("%%glm\nHello")


def text_of(html: str) -> str:
    return "".join(html5lib.parseFragment(html, namespaceHTMLElements=False).itertext())


@pytest.mark.parametrize("name", BAD)
def test_a_bad_text_is_shown_whole_and_the_next_cell_works(
    kernel: Kernel, server: GlmServer, name: str
) -> None:
    text = BAD[name]
    cell = ask(kernel, server, text, piece=len(text) if name in AT_ONCE else 4_000)
    assert cell.status == "ok"
    assert cell.stderr == ""
    wanted = WORDS.findall(text)
    # A parser of whole pages would take minutes for the longest.
    shown = text_of(cell.html) if len(text) < 300_000 else re.sub("<[^>]*>", "", cell.html)
    assert WORDS.findall(shown) == wanted
    plain = cell.output["data"]["text/plain"]
    assert WORDS.findall(plain) == wanted
    assert re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", plain) == []
    assert kernel.value("len(_.text)") == len(text)
    assert kernel.value("1 + 1") == 2


def test_halves_of_characters_are_joined_or_marked(kernel: Kernel, server: GlmServer) -> None:
    chunks = (rf'data: {{"choices":[{{"delta":{{"content":"{text}"}}}}]}}' for text in HALVES)
    body = "\n\n".join((*chunks, "data: [DONE]\n\n"))
    server.script = Script(malformed=body.encode())
    cell = kernel.run("%%glm\nHello")
    assert cell.status == "ok"
    assert "<p>a\U0001f600b\ufffdc\ufffd</p>" in cell.html
    assert kernel.value("_.text") == "a\U0001f600b\ufffdc\ufffd"


def test_a_giant_says_that_it_is_shown_as_plain_text(kernel: Kernel, server: GlmServer) -> None:
    cell = ask(kernel, server, "**w** " * 60_000, piece=50_000)
    assert "shown as plain text: 360,000 characters" in cell.html
    assert "<strong>" not in cell.html


def test_nothing_of_a_hostile_reply_acts_in_any_value_of_a_widget(
    kernel: Kernel, server: GlmServer
) -> None:
    attack(server)
    cell = kernel.run("%%glm --web-search\nHello")
    values = [html for _, html in cell.live_html]
    assert len(values) > 5
    for html in (cell.html, *values):
        fragment = html5lib.parseFragment(html, namespaceHTMLElements=False)
        assert list(find_acts(fragment)) == []


def test_an_interrupt_ends_a_giant_too(kernel: Kernel, server: GlmServer) -> None:
    text = BAD["200,000 tokens"]
    server.script = Script(text=(text[:500_000], text[500_000:], "more"), stall_after=2)
    request_id = kernel.send("%%glm\nHello")
    cell = kernel.read(request_id, lambda cell: cell.shows("w1000,"))
    kernel.interrupt()
    server.wait_for_disconnect(2.0)
    cell = kernel.wait(request_id, cell)
    assert cell.error_line.startswith("glm: stopped")
    assert kernel.value("len(_glm.text)") == len(text)
