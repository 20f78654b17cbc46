"""A reply while it streams in a terminal: the answer as it comes, nothing that a terminal obeys."""

from __future__ import annotations

import math
import sys
from typing import TextIO

from glm_magic.api.events import Event, ReasoningDelta, TextDelta, Waiting
from glm_magic.api.reply import Reply
from glm_magic.jupyter.printer import new_printer
from glm_magic.jupyter.show import model_note
from glm_magic.render.clean import clean_line
from glm_magic.render.footer import ending_line, footer_line, header_line
from glm_magic.render.sources import render_sources_plain


class TerminalView:
    """Prints the answer as it comes.

    Args:
        start: the beginning of the answer where it is known already.
        is_markdown: whether it may be shown as Markdown; as it comes otherwise.
    """

    def __init__(
        self, out: TextIO | None = None, *, start: str = "", is_markdown: bool = True
    ) -> None:
        self._out = sys.stdout if out is None else out
        self._printer = new_printer(self._out, is_markdown=is_markdown)
        if start:
            self._printer.add(start)
        self._thinking = False

    @property
    def dirty(self) -> bool:
        """Whether there is something to print."""
        return self._printer.is_waiting

    def feed(self, values: list[Event]) -> None:
        """Take events; `paint` prints the text of them."""
        for event in values:
            match event:
                case TextDelta(text):
                    self._printer.add(text)
                case ReasoningDelta() if not self._thinking:
                    self._thinking = True
                    self._printer.tell("(reasoning …)")
                case Waiting(seconds, reason):
                    again = f"trying again in {seconds:.0f} s: " if seconds < math.inf else ""
                    self._printer.tell(f"({again}{reason})")

    def paint(self) -> None:
        """Print what is new."""
        self._printer.print()

    def finish(self, reply: Reply) -> None:
        """Print what belongs below the answer: how it ended, the sources, the counts."""
        self._printer.end()
        sources = render_sources_plain(reply.found, reply.cited_numbers)
        below = (ending_line(reply), sources, self._header(reply), footer_line(reply))
        print(*filter(None, below), sep="\n", file=self._out)

    def leave(self, line: str) -> None:
        """Print one line in place of a reply that is not there."""
        self._printer.print()
        print(clean_line(line), file=self._out)

    def _header(self, reply: Reply) -> str:
        return header_line(reply, note=model_note(reply.model, reply.endpoint))
