"""An answer printed as Markdown by rich; imported only where rich is installed.

rich's own parser takes raw HTML for markup and then drops it; ours shows it. Links and images
are followed by where they lead, and nothing is cut: Chinese text wraps in tables too.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import chain
from typing import Any, ClassVar, TextIO

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markdown import CodeBlock, Markdown, TableElement

from glm_magic.render.blocks import NESTING_LIMIT, use_blocks
from glm_magic.render.clean import clean_line, clean_text
from glm_magic.render.code import is_coloured
from glm_magic.render.growth import MarkdownGrowth
from glm_magic.render.inlines import use_formulas
from glm_magic.render.markdown import Part

__all__ = ["MarkdownPrinter"]


class MarkdownPrinter:
    """Prints each block once it is finished; what is still open stands below and is redrawn."""

    def __init__(self, out: TextIO) -> None:
        self._console = Console(file=out, markup=False, highlight=False, emoji=False)
        self._growth = MarkdownGrowth(_as_text, _as_text)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._tail = ""

    @property
    def is_waiting(self) -> bool:
        """Whether there is text to print."""
        return self._growth.is_waiting

    def add(self, text: str) -> None:
        """Take text; print nothing yet."""
        self._growth.add(text)

    def print(self) -> None:
        """Print what is finished by what came, and show what is open."""
        if not self.is_waiting:
            return
        self._live.start()
        step = self._growth.step()
        if step.finished:
            self._print(step.finished)
        self._tail = step.tail
        self._live.update(_parse(self._tail), refresh=True)

    def _print(self, text: str) -> None:
        self._console.print(_parse(text))
        self._console.print()

    def tell(self, line: str) -> None:
        """Print a line of our own between the text."""
        self._console.print(clean_line(line))

    def end(self) -> None:
        """Print what is left; no more text comes."""
        while self.is_waiting:
            self.print()
        self._live.update("")
        self._live.stop()
        if self._tail:
            self._print(self._tail)


def _as_text(text: str) -> Part:
    return Part(text, has_definitions=False)


class _Table(TableElement):
    """A table whose cells go on in the next line, where rich cuts a long word off."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for cell in self._cells():
            cell.content.overflow = "fold"
        yield from super().__rich_console__(console, options)

    def _cells(self) -> Iterator[Any]:
        head = [self.header.row] if self.header and self.header.row else []
        rows = chain(head, self.body.rows if self.body else [])
        return chain.from_iterable(row.cells for row in rows)


class _Code(CodeBlock):
    """A code block; its colours are rich's, but only where ours would have any."""

    @classmethod
    def create(cls, markdown: Markdown, token: Token) -> _Code:
        language = (token.info.split() or [""])[0]
        known = language if is_coloured(token.content, language) else "text"
        return cls(known, markdown.code_theme)


class _Markdown(Markdown):
    elements: ClassVar = {
        **Markdown.elements,
        "table_open": _Table,
        "fence": _Code,
        "code_block": _Code,
    }


def _parse(text: str) -> Markdown:
    markdown = _Markdown("", hyperlinks=False, code_theme="ansi_dark")
    markdown.parsed = _parser().parse(clean_text(text))
    for token in markdown.parsed:
        for child in token.children or ():
            _clean(child)
    return markdown


def _clean(token: Token) -> None:
    """Clean text again, since entities (`&#x202e;`) are resolved by now; images become text."""
    if token.type == "image":
        token.type = "text"
        token.content = f"[image: {token.content} ({token.attrs.get('src', '')})]"
    token.content = clean_text(token.content)


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": NESTING_LIMIT})
    parser.enable(["strikethrough", "table"])
    use_blocks(parser)
    use_formulas(parser, "text")
    return parser
