"""What the cells of structured answers say: values as words, and as HTML in one line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from glm_magic.render.clean import clean_line
from glm_magic.render.drawing import draw_text
from glm_magic.render.markdown import render_line

__all__ = [
    "FIELD_HEAD",
    "INVALID",
    "VALUE",
    "cells_of",
    "draw_line",
    "heads_of",
    "parse",
    "parse_leniently",
    "words_of",
]

# What a value without fields is called.
VALUE = "value"
FIELD_HEAD = ("Field", "Value")


class _Invalid:
    """Stands for what is no JSON."""


INVALID: Final = _Invalid()


def parse(text: str) -> Any:
    """Return the value of JSON that may be cut off anywhere, `INVALID` where it is none."""
    # Not at the top: it is there for structured answers only.
    from pydantic_core import from_json

    try:
        return from_json(text, allow_partial="trailing-strings")
    except (ValueError, TypeError):  # TypeError: the text holds half of a surrogate pair
        return parse_leniently(text)


def parse_leniently(text: str) -> Any:
    """Read what Python reads and others do not: halves of pairs, line ends in strings."""
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return INVALID


def words_of(value: Any) -> str:
    """Return what a cell says of a value: as it is, lists with commas, the rest as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and not any(isinstance(item, (list, dict)) for item in value):
        return ", ".join(item if isinstance(item, str) else _json(item) for item in value)
    return _json(value)


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError:
        return "nested too deep to be shown"


def draw_line(text: str, limit: int = 300) -> str:
    """Return text as safe HTML, in one line of so many characters at most."""
    return draw_text(clean_line(text, limit))


def cells_of(item: Any, columns: Sequence[str]) -> list[str]:
    """Return the words of a row; what has no fields stands in the first column."""
    if isinstance(item, dict) and columns:
        return [words_of(item.get(name)) for name in columns]
    return [words_of(item), *[""] * (len(columns) - 1)]


def heads_of(names: Iterable[str]) -> str:
    """Return the head of a table of such columns, as safe HTML."""
    heads = "".join(f'<th scope="col">{render_line(name)}</th>' for name in names)
    return f"<thead><tr>{heads}</tr></thead>"
