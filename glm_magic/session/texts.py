"""Text to the value of a setting, by the trait that holds it; and the words for what it takes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from traitlets import Bool, Enum, Float, Int, List, TraitType

__all__ = ["choices_of", "expected", "read_text", "unit_of"]

_TRUE = ("true", "on", "yes", "1")
_FALSE = ("false", "off", "no", "0")


def read_text(trait: TraitType[Any, Any], text: str) -> Any:
    """Return the value that a text stands for; whether a trait allows it, the trait says.

    "None" is None where a trait allows that. A list is a JSON list, or the one text itself.

    Raises:
        ValueError: the text is of another kind; the message says of which it should be.
    """
    if trait.allow_none and _means_none(trait, text):
        return None
    if isinstance(trait, Bool):
        return _read_bool(text)
    if isinstance(trait, List):
        return _read_list(text)
    if isinstance(trait, (Float, Int)):
        return _read_number(trait, text)
    return "" if text == "None" and trait.default_value == "" else text


def _means_none(trait: TraitType[Any, Any], text: str) -> bool:
    """Whether a text is None; "none" is a value of its own where a trait has one."""
    return text == "None" or (text.lower() == "none" and text not in choices_of(trait))


def _read_bool(text: str) -> bool:
    word = text.lower()
    if word not in (*_TRUE, *_FALSE):
        raise ValueError(f"{text} is not on or off")
    return word in _TRUE


def _read_list(text: str) -> list[str]:
    if not text.startswith("["):
        return [text] if text else []
    try:
        values = json.loads(text)
    except ValueError as error:
        raise ValueError(f"no JSON list: {error}") from error
    if not all(isinstance(value, str) for value in values):
        raise ValueError("a list of texts is expected")
    return list(values)


def _read_number(trait: TraitType[Any, Any], text: str) -> float:
    try:
        return int(text) if isinstance(trait, Int) else float(text)
    except ValueError:
        raise ValueError(f"{text} is no {_kind(trait)}") from None


def _kind(trait: TraitType[Any, Any]) -> str:
    return "whole number" if isinstance(trait, Int) else "number"


def expected(trait: TraitType[Any, Any]) -> str:
    """Return what values a trait takes, in words that follow "is not"."""
    if isinstance(trait, Enum):
        return in_words(choices_of(trait))
    low, high = getattr(trait, "min", None), getattr(trait, "max", None)
    if low is None:
        return f"a {_kind(trait)}"
    return f"{low:g} or more" if high in (None, math.inf) else f"from {low:g} to {high:g}"


def in_words(choices: Sequence[str]) -> str:
    """Return "a, b or c"."""
    *first, last = choices
    return f"{', '.join(first)} or {last}" if first else last


def choices_of(trait: TraitType[Any, Any]) -> tuple[str, ...]:
    """Return the texts of all values of a trait, if they are few; none if they are open."""
    if isinstance(trait, Bool):
        return ("on", "off")
    if not isinstance(trait, Enum):
        return ()
    return (*map(str, trait.values or ()), *(("None",) if trait.allow_none else ()))


def unit_of(trait: TraitType[Any, Any]) -> str:
    """Return what the numbers of a setting count; "" for none."""
    return str(trait.metadata.get("unit", ""))
