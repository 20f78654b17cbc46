"""An answer printed as it comes: plain, or as Markdown where rich is installed.

Nothing reaches the terminal that it would obey, but the colours that rich itself gives.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Protocol, TextIO

from glm_magic.render.clean import clean_line, clean_text

__all__ = ["Printer", "new_printer"]


class Printer(Protocol):
    """Prints text that comes in pieces."""

    @property
    def is_waiting(self) -> bool:
        """Whether there is text to print."""

    def add(self, text: str) -> None:
        """Take text; print nothing yet."""

    def print(self) -> None:
        """Print what came."""

    def tell(self, line: str) -> None:
        """Print a line of our own between the text."""

    def end(self) -> None:
        """Print what is left; no more text comes."""


def new_printer(out: TextIO, *, is_markdown: bool = True) -> Printer:
    """Return a printer of Markdown for a terminal that can show it, a plain one for any other."""
    shows_styles = is_markdown and out.isatty() and os.environ.get("TERM") != "dumb"
    if not shows_styles or find_spec("rich") is None:
        return _PlainPrinter(out)
    from glm_magic.jupyter.views.rich_printer import MarkdownPrinter

    return MarkdownPrinter(out)


class _PlainPrinter:
    """Prints each piece as it is.

    A piece is cleaned by itself. An escape sequence cut in two pieces loses its control
    characters all the same; what is left of it is harmless letters.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._pieces: list[str] = []

    @property
    def is_waiting(self) -> bool:
        return bool(self._pieces)

    def add(self, text: str) -> None:
        self._pieces.append(text)

    def print(self) -> None:
        if self._pieces:
            self._out.write(clean_text("".join(self._pieces)))
            self._out.flush()
        self._pieces.clear()

    def tell(self, line: str) -> None:
        self.print()
        self._out.write(f"{clean_line(line)}\n")
        self._out.flush()

    def end(self) -> None:
        self.print()
        self._out.write("\n")
