"""Text that grows while it streams in: what is finished is rendered once, the rest again.

All work is bounded: a step takes in a bounded piece of text, and a block that stays open for
too long is shown in pieces, so a frame costs the same at the end of a long answer as at its
start. What such pieces look like together is mended when the whole is rendered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from glm_magic.render.clean import LINE_END, clean_text
from glm_magic.render.definitions import References
from glm_magic.render.markdown import (
    TEXT_LIMIT,
    Part,
    render_markdown,
    render_open_part,
    render_part,
    render_plain,
)
from glm_magic.render.parser import parser

if TYPE_CHECKING:
    from markdown_it.token import Token

__all__ = ["Fed", "Growth", "MarkdownGrowth", "PlainGrowth", "Step", "finished_length"]

# Of what waits, so much is taken in at a step: some 10 ms of work, on a busy machine 50.
_STEP_CHARACTERS = 4_000
# An open block longer than this is shown in pieces.
_OPEN_CHARACTERS = 4_000
# What opens a table or a fence is repeated for each piece, unless it is this long.
_OPENING_CHARACTERS = 1_000
# One word may be cut where there is no better place within so many characters.
_WORD_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Step:
    """How a text has grown: safe HTML.

    Attributes:
        finished: to be appended, once, to all that was finished before.
        tail: what is still open; it takes the place of the last tail.
    """

    finished: str
    tail: str


class Growth(Protocol):
    """A text that is fed in pieces and drawn in steps."""

    @property
    def is_waiting(self) -> bool:
        """Whether there is text that no step has taken in."""

    def add(self, text: str) -> None:
        """Take text; render nothing yet."""

    def step(self) -> Step:
        """Take in a bounded part of what waits, and return what there is to draw."""


class Fed:
    """Text that comes in pieces and is taken in in bounded parts."""

    def __init__(self) -> None:
        self._pieces: deque[str] = deque()
        self._length = 0

    @property
    def is_waiting(self) -> bool:
        """Whether there is text that no step has taken in."""
        return bool(self._pieces)

    def add(self, text: str) -> None:
        """Take text; render nothing yet."""
        self._length += len(text)
        self._pieces.extend(
            text[start : start + _STEP_CHARACTERS]
            for start in range(0, len(text), _STEP_CHARACTERS)
        )

    def _take(self) -> str:
        taken: list[str] = []
        length = 0
        while self._pieces and length < _STEP_CHARACTERS:
            taken.append(self._pieces.popleft())
            length += len(taken[-1])
        return "".join(taken)


class PlainGrowth(Fed):
    """Text that is no Markdown: what is finished are its complete lines."""

    def __init__(self, render: Callable[[str], str] = render_plain) -> None:
        super().__init__()
        self._open = ""
        self._render = render

    def step(self) -> Step:
        """Take in a bounded part of what waits, and return what there is to draw."""
        text = self._open + self._take()
        cut = text.rfind("\n") + 1
        if len(text) - cut > _OPEN_CHARACTERS:
            cut = _word_end(text)
        self._open = text[cut:]
        return Step(_rendered(self._render, text[:cut]), _rendered(self._render, self._open))


@dataclass(frozen=True, slots=True)
class _Block:
    """Finished Markdown, one block or several."""

    text: str
    html: str


class MarkdownGrowth(Fed):
    """Markdown: what is finished are all top-level blocks but the last.

    Args:
        render: how text that is finished is drawn.
        render_tail: how text that is still open is drawn, many times.
    """

    def __init__(
        self,
        render: Callable[[str], Part] = render_part,
        render_tail: Callable[[str], Part] = render_open_part,
    ) -> None:
        super().__init__()
        self._render, self._render_tail = render, render_tail
        self._open = ""
        # Lines before the open text that make it what it is: the head of a table cut in pieces.
        self._opening = ""
        self._blocks: list[_Block] = []
        # Whether the blocks, rendered apart, look like the whole.
        self._is_exact = True

    def step(self) -> Step:
        """Take in a bounded part of what waits, and return what there is to draw."""
        finished = self._advance()
        tail = self._opening + self._open
        return Step(finished, self._render_tail(tail).html if self._open else "")

    def whole(self, text: str, links: Mapping[int, str] = {}) -> str:
        """Return `render_markdown(text, links)`, from what is rendered already where that holds.

        Args:
            text: all that was added, or another text, which is then rendered anew.
        """
        if len(text) > TEXT_LIMIT or len(text) != self._length:
            return render_markdown(text, links)
        while self.is_waiting and self._is_exact:
            self._advance()
        if not self._is_exact or not self._is_whole(text):
            return render_markdown(text, links)
        tail = render_part(self._open, links)
        if tail.has_definitions:
            return render_markdown(text, links)
        return "".join(_with_links(block, links) for block in self._blocks) + tail.html

    def _is_whole(self, text: str) -> bool:
        return text == "".join(block.text for block in self._blocks) + self._open

    def _advance(self) -> str:
        """Take in some text; return what became finished by it as HTML."""
        came = self._take()
        self._open += came
        # What is finished is decided on complete lines: without another one nothing changes.
        finished = self._finish_blocks() if LINE_END.search(came) else ""
        if len(self._open) > _OPEN_CHARACTERS:
            finished += self._cut_open_block()
        return finished

    def _finish_blocks(self) -> str:
        cut = finished_length(self._opening + self._open) - len(self._opening)
        if cut <= 0:
            return ""
        part = self._render(self._opening + self._open[:cut])
        self._blocks.append(_Block(self._open[:cut], part.html))
        self._open, self._opening = self._open[cut:], ""
        self._is_exact = self._is_exact and not part.has_definitions
        return part.html

    def _cut_open_block(self) -> str:
        """Show the open block so far for good, and go on with another of its kind."""
        text = self._opening + self._open
        cut, opening = _cut_block(text)
        html = self._render(text[:cut]).html
        self._open, self._opening, self._is_exact = text[cut:], opening, False
        return html


def _with_links(block: _Block, links: Mapping[int, str]) -> str:
    """Sources come last of all: only now their marks can become links."""
    return render_part(block.text, links).html if links and "ref_" in block.html else block.html


def finished_length(text: str) -> int:
    """Return how many leading characters of `text` no later text can change the look of.

    The HTML of the parts, joined, is the HTML of the whole, as long as the whole is short enough
    not to be shown plain and has no definitions. `n` is 0 or stands where a line begins, never
    between CR and LF.

    All top-level blocks but the last are finished, and a last one that is a closed fence. Only
    complete lines are looked at: what a line is (an item, a paragraph, a table's head) is open
    until it ends.

    Args:
        text: not cleaned, as it came in; from its start or from an earlier cut.
    """
    starts = _line_starts(text)
    cleaned = clean_text(text[: starts[-1]])
    last = _last_block(_top_blocks(cleaned))
    if last is None or last.map is None:
        return 0
    # Cleaning gives a line for a line, so the parser's line numbers fit the raw text.
    return starts[last.map[1] if _is_closed_fence(last, cleaned) else last.map[0]]


def _line_starts(text: str) -> list[int]:
    # The LF of a CR LF may still be on its way.
    return [0, *(line.end() for line in LINE_END.finditer(text.removesuffix("\r")))]


def _top_blocks(text: str) -> list[Token]:
    """The tokens of all blocks; inline text is not parsed."""
    markdown = parser()
    tokens: list[Token] = []
    markdown.block.parse(text, markdown, {"references": References()}, tokens)
    return tokens


def _last_block(tokens: list[Token]) -> Token | None:
    return next((t for t in reversed(tokens) if not t.level and t.map), None)


def _is_closed_fence(block: Token, text: str) -> bool:
    if block.type != "fence" or block.map is None or block.map[1] - block.map[0] < 2:
        return False
    # As the parser has it: other blanks than these, such as U+3000, are no blanks of Markdown.
    line = text.split("\n")[block.map[1] - 1].expandtabs(4)
    mark = line.strip(" ")
    is_mark = len(mark) >= len(block.markup) and not mark.strip(block.markup[0])
    return is_mark and len(line) - len(line.lstrip(" ")) < 4


def _cut_block(text: str) -> tuple[int, str]:
    """Return where to cut a long open block, and the lines that open it anew.

    A fence and a table go on after any line, a list from item to item. Whatever else there is
    goes on after a line too, or after a word, and may look otherwise until it is whole.
    """
    starts = _line_starts(text)
    tokens = _top_blocks(clean_text(text[: starts[-1]]))
    if not tokens or not starts[-1]:
        return _word_end(text), ""
    first = tokens[0]
    heads = {"fence": 1, "table_open": 2}.get(first.type, 0)
    if first.type in ("bullet_list_open", "ordered_list_open"):
        items = [t.map[0] for t in tokens if t.level == 1 and t.type == "list_item_open" and t.map]
        return starts[items[-1]] or starts[-1], ""
    head = text[: starts[heads]]
    head = head if len(head) <= _OPENING_CHARACTERS else ""
    # Behind the head there may be a single line, which has no end yet.
    return starts[-1] if starts[-1] > len(head) else _word_end(text), head


def _word_end(text: str) -> int:
    return text.rfind(" ", len(text) - _WORD_CHARACTERS) + 1 or len(text)


def _rendered(render: Callable[[str], str], text: str) -> str:
    return render(text) if text else ""
