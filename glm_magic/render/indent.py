"""JSON from a model, indented for a reader and otherwise as it was written.

Only blanks between its tokens change: no number is rounded, no name of an object that stands
there twice is dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NoReturn

from glm_magic.render.clean import clean_text

__all__ = ["indent_json"]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')
_INDENT = "  "
# Each level of nesting is paid for in every line, so a short text could ask for megabytes.
_LEAST_LIMIT = 100_000
_GROWTH_LIMIT = 4


def indent_json(text: str) -> str:
    """Return the JSON `text` with a line for each value.

    Raises:
        ValueError: it is no JSON, or would grow far beyond its own length.
        RecursionError: it is nested too deep to be read.
    """
    # Numbers are not read: one of thousands of digits is as good as any.
    json.loads(text, parse_constant=_refuse, parse_int=str, parse_float=str)
    limit = max(_LEAST_LIMIT, _GROWTH_LIMIT * len(text))
    pieces, length = [], 0
    for piece in _pieces(_TOKEN.findall(text)):
        pieces.append(piece)
        length += len(piece)
        if length > limit:
            raise ValueError("it is nested so deep that its indentation would be longer than it")
    return "".join(pieces)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _pieces(tokens: list[str]) -> Iterator[str]:
    depth = 0
    for place, token in enumerate(tokens):
        before = tokens[place - 1] if place else ""
        if token in "]}":
            depth -= 1
            yield token if before in ("[", "{") else f"\n{_INDENT * depth}{token}"
            continue
        if before in ("[", "{", ","):
            yield f"\n{_INDENT * depth}"
        yield ": " if token == ":" else _shown(token)
        depth += token in ("[", "{")


def _shown(token: str) -> str:
    """A token as JSON spells it where a character in it would not be shown as it is."""
    if clean_text(token) == token:
        return token
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in token)
