"""The JSON of an answer that is to fit a schema, and what can be wrong with it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NoReturn, Protocol

from glm_magic.api.code import parse_code_blocks, refuse_number
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

# Of servers that do not part reasoning from the answer.
_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)


class NoJson(Exception):
    """An answer is no JSON; the message says why, after "it is"."""


class Misfit(Exception):
    """An answer does not fit; the message is the first problem."""


class Reader(Protocol):
    """What reads an answer. An answer is JSON text and its value; a wrapped one has `key`."""

    def read(self, text: str, data: Any, *, is_wrapped: bool) -> Any: ...

    def write(self, value: Any, *, as_json: bool) -> Any: ...


def find_json(text: str) -> Iterator[tuple[str, Any]]:
    """Yield what of an answer is JSON, as text and as its value, the likeliest first.

    All of it is, or what is between the first bracket and the last, or fenced blocks, the last
    one first; or what the text begins with. What a model thinks aloud is not looked at.

    Raises:
        NoJson: there is none.
    """
    text = _THOUGHTS.sub("", text)
    problem: Exception | None = None
    has_some = False
    # What is wrong with JSON that was cut off shows in all of it only.
    begins = text.lstrip().startswith(("{", "["))
    for source in _candidates(text):
        try:
            value = load_json(source)
        except (ValueError, RecursionError) as error:
            problem = problem if problem and begins else error
        else:
            yield source, value
            if source is text:
                return
            has_some = True
    if not has_some:
        _refuse(text, problem)


def _candidates(text: str) -> Iterator[str]:
    yield text
    start = re.search(r"[{[]", text)
    inside = text[start.start() :] if start else ""
    if between := inside[: max(inside.rfind("}"), inside.rfind("]")) + 1]:
        yield between
    yield from (block.code for block in reversed(parse_code_blocks(text)))
    if leading := _leading_json(inside):
        yield leading


def _leading_json(text: str) -> str:
    """The JSON that a text begins with, if nothing that may be more of it follows."""
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return ""
    return "" if "{" in text[end:] else text[:end]


def _refuse(text: str, problem: Exception | None) -> NoReturn:
    if isinstance(problem, RecursionError):
        raise NoJson(TOO_DEEP) from problem
    reason = short(str(problem), REASON_CHARACTERS) if text.strip() else "it is empty"
    raise NoJson(f"no JSON: {reason}") from problem


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
