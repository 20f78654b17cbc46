"""The code blocks and the JSON of an answer, for those who do not want the words around it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NoReturn

__all__ = ["CodeBlock", "json_text", "parse_code_blocks", "parse_json", "refuse_number"]


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
    if "```" not in text and "~~~" not in text:
        return ()  # at once: the parser takes seconds for a text of megabytes
    # Not at the top: few ask for code, and the parser takes a while to load.
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").disable("inline").parse(text)
    fences = [token for token in tokens if token.type == "fence"]
    return tuple(CodeBlock(fence.content, (fence.info.split() or [""])[0]) for fence in fences)


def parse_json(text: str) -> Any:
    """Return the value of an answer that is JSON, fenced or not.

    Raises:
        ValueError: it is no JSON (NaN and Infinity are none), or a number has more digits than
            Python reads.
        RecursionError: it is nested too deep to be read.
    """
    return json.loads(json_text(text), parse_constant=refuse_number)


def json_text(text: str) -> str:
    """Return what of an answer is JSON: all of it if it is, else its first fenced block, if any."""
    if _is_json(text):
        return text
    return next((block.code for block in parse_code_blocks(text)), text)


def _is_json(text: str) -> bool:
    try:
        # Numbers are not read: one of thousands of digits is as good as any.
        json.loads(text, parse_constant=refuse_number, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return False
    return True


def refuse_number(name: str) -> NoReturn:
    """Refuse NaN, Infinity or what else Python reads and is no number in JSON."""
    raise ValueError(f"it has {name} for a number")
