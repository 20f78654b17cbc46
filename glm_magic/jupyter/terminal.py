"""A reply while it streams in a terminal: plain text, nothing that a terminal obeys."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import TextIO

from glm_magic.api.events import Event, ReasoningDelta, TextDelta, Waiting
from glm_magic.api.reply import Reply
from glm_magic.jupyter.show import model_note
from glm_magic.render.clean import clean_line, clean_text
from glm_magic.render.footer import ending_line, footer_line, header_line
from glm_magic.render.sources import render_sources_plain


class TerminalView:
    """Prints the answer as it comes.

    Each piece is cleaned by itself. An escape sequence cut in two pieces loses its control
    characters all the same; what is left of it is harmless letters.
    """

    def __init__(self, out: TextIO | None = None, *, start: str = "") -> None:
        self.dirty = False
        self._out = sys.stdout if out is None else out
        self._pieces: list[str] = [start] if start else []
        self._thinking = False

    def feed(self, values: list[Event]) -> None:
        """Take events; `paint` prints them."""
        self._pieces.extend(self._texts(values))
        self.dirty = bool(self._pieces)

    def _texts(self, values: list[Event]) -> Iterator[str]:
        for event in values:
            match event:
                case TextDelta(text):
                    yield text
                case ReasoningDelta() if not self._thinking:
                    self._thinking = True
                    yield "(reasoning …)\n"
                case Waiting(seconds, reason):
                    again = f"trying again in {seconds:.0f} s: " if seconds < math.inf else ""
                    yield f"({again}{reason})\n"

    def paint(self) -> None:
        """Print what is new."""
        if self._pieces:
            self._out.write(clean_text("".join(self._pieces)))
            self._out.flush()
        self._pieces.clear()
        self.dirty = False

    def finish(self, reply: Reply) -> None:
        """Print what belongs below the answer: how it ended, the sources, the counts."""
        self.paint()
        sources = render_sources_plain(reply.found, reply.cited_numbers)
        below = (ending_line(reply), sources, self._header(reply), footer_line(reply))
        print("", *filter(None, below), sep="\n", file=self._out)

    def leave(self, line: str) -> None:
        """Print one line in place of a reply that is not there."""
        self.paint()
        print(clean_line(line), file=self._out)

    def _header(self, reply: Reply) -> str:
        return header_line(reply, note=model_note(reply.model, reply.endpoint))
