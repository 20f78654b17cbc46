"""The code blocks of an answer, for those who want the code and not the words around it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CodeBlock", "parse_code_blocks"]


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """One fenced block.

    Attributes:
        code: as written, without the indentation of a list around it.
        language: the first word behind the fence, "" if there is none.
    """

    code: str
    language: str


def parse_code_blocks(text: str) -> tuple[CodeBlock, ...]:
    """Return the fenced blocks of Markdown in their order; one left open ends with the text."""
    # Not at the top: few ask for code, and the parser takes a while to load.
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").disable("inline").parse(text)
    fences = [token for token in tokens if token.type == "fence"]
    return tuple(CodeBlock(fence.content, (fence.info.split() or [""])[0]) for fence in fences)
