"""A reply while it streams in a terminal: the answer as it comes, nothing that a terminal obeys."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TextIO

from glm_magic.api.events import Event, ReasoningDelta, TextDelta, Waiting
from glm_magic.api.reply import ReasoningView, Reply
from glm_magic.api.rounds import Round
from glm_magic.jupyter.views.bundles import model_note
from glm_magic.jupyter.views.printer import new_printer
from glm_magic.render.calls import render_calls_plain
from glm_magic.render.clean import clean_line
from glm_magic.render.footer import ending_line, footer_line, header_line
from glm_magic.render.sources import render_sources_plain


class TerminalView:
    """Prints the answer as it comes.

    Args:
        start: the beginning of the answer where it is known already.
        is_markdown: whether it may be shown as Markdown; as it comes otherwise.
        reasoning: "show" prints it before the answer, "fold" says that there is some.
    """

    def __init__(
        self,
        out: TextIO | None = None,
        *,
        start: str = "",
        is_markdown: bool = True,
        reasoning: ReasoningView = "fold",
    ) -> None:
        self._out = sys.stdout if out is None else out
        self._is_markdown = is_markdown
        self._shows = reasoning
        self._rounds = self._called = 0
        self._begin_round()
        if start:
            self._printer.add(start)

    def _begin_round(self) -> None:
        self._printer = new_printer(self._out, is_markdown=self._is_markdown)
        self._thoughts = new_printer(self._out, is_markdown=False)
        self._is_thinking = self._is_answering = False

    @property
    def dirty(self) -> bool:
        """Whether there is something to print."""
        return self._printer.is_waiting or self._thoughts.is_waiting

    def feed(self, values: list[Event]) -> None:
        """Take events; `paint` prints the text of them."""
        for event in values:
            match event:
                case TextDelta(text):
                    self._end_thoughts()
                    self._printer.add(text)
                case ReasoningDelta(text) if self._shows != "hide":
                    self._think(text)
                case Waiting(seconds, reason):
                    again = f"trying again in {seconds:.0f} s: " if seconds < math.inf else ""
                    self._printer.tell(f"({again}{reason})")

    def show_rounds(self, rounds: Sequence[Round]) -> None:
        """Print each call once it has ended, below what the model wrote before it."""
        if len(rounds) > self._rounds:
            self._rounds = len(rounds)
            self._end_round(rounds[-1])
        calls = [call for each in rounds for call in each.calls]
        ended = [call for call in calls if call.state not in ("asked", "running")]
        if new := ended[self._called :]:
            print(render_calls_plain(new), file=self._out, flush=True)
        self._called = len(ended)

    def show_again(self) -> None:
        """Print nothing again: what was cleared is in the terminal's own history."""

    def _end_round(self, ended: Round) -> None:
        if self._is_thinking or ended.text:
            self._end_thoughts()
            self._printer.end()
        if ended.problem:
            self._printer.tell(f"(sent back: {ended.problem})")
        self._begin_round()

    def _think(self, text: str) -> None:
        """Say once that it reasons; print how, unless the answer has begun above."""
        if not self._is_thinking:
            self._is_thinking = True
            self._printer.tell("(reasoning …)")
        if self._shows == "show" and not self._is_answering:
            self._thoughts.add(text)

    def _end_thoughts(self) -> None:
        if self._is_thinking and self._shows == "show" and not self._is_answering:
            self._thoughts.add("\n")
            self._thoughts.end()
        self._is_answering = True

    def paint(self) -> None:
        """Print what is new."""
        self._thoughts.print()
        self._printer.print()

    def finish(self, reply: Reply) -> None:
        """Print what belongs below the answer: how it ended, the sources, the counts."""
        self._end_thoughts()
        self._printer.end()
        sources = render_sources_plain(reply.found, reply.cited_numbers)
        footer = footer_line(reply) if reply.has_footer else ""
        below = (ending_line(reply), sources, self._header(reply), footer)
        print(*filter(None, below), sep="\n", file=self._out)

    def leave(self, line: str) -> None:
        """Print one line in place of a reply that is not there."""
        self.paint()
        print(clean_line(line), file=self._out)

    def _header(self, reply: Reply) -> str:
        return header_line(reply, note=model_note(reply.model, reply.endpoint))
