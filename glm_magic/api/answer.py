"""The JSON of an answer that is to fit a schema, and what can be wrong with it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from typing import Any, Protocol

from glm_magic.api.code import json_text, refuse_number
from glm_magic.api.line import REASON_CHARACTERS, TOO_DEEP, quoted, short

__all__ = [
    "Misfit",
    "NoJson",
    "Reader",
    "find_json",
    "load_json",
    "place_words",
    "value_words",
]

# Half of a surrogate pair: valid JSON, but no text, so that neither files nor frames take it.
_HALF = re.compile("\\\\u[dD][89a-fA-F]|[\ud800-\udfff]")


class NoJson(Exception):
    """An answer is no JSON; the message says why, after "it is"."""


class Misfit(Exception):
    """An answer does not fit; the message is the first problem."""


class Reader(Protocol):
    """What reads an answer. An answer is JSON text and its value; a wrapped one has `key`."""

    def read(self, text: str, data: Any, *, is_wrapped: bool) -> Any: ...

    def write(self, value: Any, *, as_json: bool) -> Any: ...


def find_json(text: str) -> tuple[str, Any]:
    """Return the JSON of an answer, as text and as its value.

    Raises:
        NoJson: there is none.
    """
    source = json_text(text)
    try:
        return _load_in(source) if source is text else (source, load_json(source))
    except RecursionError as error:
        raise NoJson(TOO_DEEP) from error
    except ValueError as error:
        reason = short(str(error), REASON_CHARACTERS) if source.strip() else "it is empty"
        raise NoJson(f"no JSON: {reason}") from error


def _load_in(text: str) -> tuple[str, Any]:
    """The JSON of a text without a fence, which may have words around it."""
    try:
        return text, load_json(text)
    except ValueError:
        start = re.search(r"[{[]", text)
        end = max(text.rfind("}"), text.rfind("]")) + 1
        inside = text[start.start() : end] if start else ""
        if not inside:
            raise
        # What is wrong with JSON that was cut off shows in all of it only.
        with suppress(ValueError) if text.lstrip()[0] in "{[" else nullcontext():
            return inside, load_json(inside)
        raise


def load_json(source: str) -> Any:
    """Return the value of JSON text that Python and the wire both can hold.

    Raises:
        ValueError: it is no JSON, or has NaN, an endless number, or half of a character.
        RecursionError: it is nested too deep to be read.
    """
    value = json.loads(source, parse_constant=refuse_number, parse_float=_finite)
    if _HALF.search(source):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError("it has half of a character") from error
    return value


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else refuse_number(short(digits))


def place_words(path: Iterable[str | int]) -> str:
    """Return where a value is, as Python would write it: `items[3].name: `; "" for the root."""
    steps = (f"[{s}]" if isinstance(s, int) else f".{short(str(s))}" for s in path)
    place = short("".join(steps).removeprefix("."), REASON_CHARACTERS)
    return f"{place}: " if place else ""


def value_words(value: object) -> str:
    """Return a value of an answer for a message: short texts and numbers themselves."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict | list | tuple):
        return "an object" if isinstance(value, dict) else "a list"
    with suppress(ValueError, TypeError):  # more digits than Python writes
        return short(json.dumps(value))
    return "a value of another kind"
