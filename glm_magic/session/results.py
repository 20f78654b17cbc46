"""What a model gets of what a function gave back: its text, a table, JSON, or what it raised."""

from __future__ import annotations

import json
import math
import sys
from collections import deque
from collections.abc import Callable, ItemsView, Iterable, KeysView, Mapping, ValuesView
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from glm_magic.api.characters import valid_unicode
from glm_magic.api.line import name_and_message, reason, short
from glm_magic.api.reply import Reply
from glm_magic.session.values import is_a, to_prompt_text

__all__ = ["ResultError", "compact_json", "error_text", "result_text"]

# Some 25,000 tokens of English: more than a model makes use of, and a fifth of a window of 128k.
_RESULT_CHARACTERS = 100_000
_ERROR_CHARACTERS, _ERROR_LINES = 2_000, 10
# A value that holds itself is deep, and one that holds its parts many times over is large: both
# must end. Data that anybody reads is neither.
_DEPTH, _VALUES = 100, 500_000

_WAY_OUT = "which is neither text nor JSON nor a table; return one of these"

# Lists, or what JSON has no other word for. Generators are not among them: they may never end.
_LISTS = (list, tuple, range, deque, KeysView, ValuesView, ItemsView)
_TEXTS = (Decimal, UUID, PurePath, timedelta)


Clean = Callable[[str], str]


class ResultError(TypeError):
    """A function gave back what no model can read; the message is one line."""


def result_text(value: object, clean: Clean = str) -> str:
    """Return the text that a model gets of what a function returned.

    - Text and a `Reply` are their text; None is `null`.
    - A DataFrame or Series is a Markdown table, as in a prompt.
    - All else is compact JSON: numbers, dicts, lists, tuples, sets, dates, times, Decimal, UUID,
      paths, enums, dataclasses, pydantic models, arrays and scalars of numpy and pandas, bytes of
      UTF-8, and these within one another. NaN is `null`; a key that is no text is its JSON.

    A half of a surrogate pair is U+FFFD. What is longer than 100,000 characters is cut, and says
    so in its last line.

    Args:
        clean: takes out what is not to be sent, before anything is cut: a part of it is too much.

    Raises:
        ResultError: it is, or holds, something else; it holds itself, is nested deeper than 100
            or holds more than 500,000 values; or a method of its own raised an exception.
    """
    try:
        text = _whole_text(value)
    except RecursionError as error:
        raise ResultError(f"it returned {_a(value)} that is nested too deep") from error
    except ResultError:
        raise
    # The value's own methods run here, whatever they raise.
    except Exception as error:
        raise ResultError(
            f"it returned {_a(value)} that cannot be read: {reason(error)}"
        ) from error
    return _cut(clean(valid_unicode(text)))


def error_text(error: BaseException, clean: Clean = str) -> str:
    """Return the text that a model gets of an exception: "error: ValueError: no such city".

    At most 10 lines and 2,000 characters of it. One whose message cannot be had is its name.

    Args:
        clean: as for `result_text`.
    """
    lines = clean(f"error: {name_and_message(error)}").splitlines()
    text = "\n".join(lines[:_ERROR_LINES])
    if len(lines) > _ERROR_LINES or len(text) > _ERROR_CHARACTERS:
        return f"{text[: _ERROR_CHARACTERS - 1]}…"
    return text


def _whole_text(value: object) -> str:
    if isinstance(value, str):
        return str.__str__(value)  # not what a subclass makes of it
    if isinstance(value, Reply):
        return value.text
    if is_a(value, "pandas", "DataFrame", "Series"):
        return to_prompt_text(value)
    return compact_json(_Plain(value).plain(value, 0))


def compact_json(plain: object) -> str:
    """Return the JSON of plain data, without blanks; it has no word for NaN."""
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


class _Plain:
    """Makes one value into what the JSON of the standard library takes."""

    def __init__(self, whole: object) -> None:
        self._whole = whole
        self._count = 0

    def plain(self, value: Any, depth: int) -> object:
        """Return what JSON holds for a value."""
        self._count += 1
        if depth > _DEPTH:
            whole = _a(self._whole)
            raise ResultError(
                f"it returned {whole} that is nested deeper than {_DEPTH} levels, or holds itself"
            )
        if self._count > _VALUES:
            raise ResultError(
                f"it returned {_a(self._whole)} of more than {_VALUES:,} values; return fewer"
            )
        # Most of what there is, before the slow questions.
        if value is None or type(value) in (str, int, bool):
            return value
        if isinstance(value, float):
            return _float(float(value))
        inner = depth + 1
        if isinstance(value, Mapping):
            return self._object(value, inner)
        if isinstance(value, (set, frozenset)):
            return self._set(value, inner)
        if isinstance(value, _LISTS) or _is_array(value):
            return [self.plain(each, inner) for each in _elements(value)]
        return self._scalar(value, inner)

    def _scalar(self, value: Any, inner: int) -> object:
        if isinstance(value, Enum):
            return self.plain(value.value, inner)
        if _is_missing(value):
            return None
        if isinstance(value, (str, Reply)):
            return _whole_text(value)
        if isinstance(value, int):
            return int(value)
        if isinstance(value, (date, time)):
            return value.isoformat()
        if isinstance(value, _TEXTS):
            return str(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value).decode("utf-8")
        return self._of_library(value, inner)

    def _of_library(self, value: Any, inner: int) -> object:
        if is_a(value, "pydantic", "BaseModel"):
            return self.plain(value.model_dump(mode="json", warnings=False), inner)
        if is_dataclass(value) and not isinstance(value, type):
            return {
                each.name: self.plain(getattr(value, each.name), inner) for each in fields(value)
            }
        if is_a(value, "numpy", "floating"):
            return _float(float(str(value)))  # float32 keeps its digits
        if is_a(value, "numpy", "datetime64", "timedelta64"):
            return str(value)
        if is_a(value, "numpy", "integer", "bool_"):
            return value.item()
        if is_a(value, "numpy", "void"):  # a row of named columns
            return self.plain(value.item(), inner)
        if is_a(value, "numpy", "ndarray"):  # without a dimension
            return self.plain(value[()], inner)
        if is_a(value, "pandas", "DataFrame", "Series"):
            return to_prompt_text(value)
        if is_a(value, "pandas", "Period", "Interval"):
            return str(value)
        raise self._refusal(value)

    def _refusal(self, value: object) -> ResultError:
        if value is self._whole:
            return ResultError(f"it returned {_a(value)}, {_WAY_OUT}")
        return ResultError(f"it returned {_a(self._whole)} that holds {_a(value)}, {_WAY_OUT}")

    def _object(self, value: Mapping[Any, Any], depth: int) -> dict[str, object]:
        plain = {self._key(key, depth): self.plain(each, depth) for key, each in value.items()}
        if len(plain) < len(value):  # 1 and "1"
            raise ResultError(
                f"it returned {_a(self._whole)} with two keys that are the same in JSON"
            )
        return plain

    def _key(self, key: object, depth: int) -> str:
        plain = self.plain(key, depth)
        return plain if isinstance(plain, str) else compact_json(plain)

    def _set(self, values: Iterable[Any], depth: int) -> list[object]:
        """The same list each time: sorted, by their JSON where they have no order."""
        with suppress(TypeError):
            values = sorted(values)
        plain = [self.plain(each, depth) for each in values]
        return plain if isinstance(values, list) else sorted(plain, key=compact_json)


def _float(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)


def _is_array(value: Any) -> bool:
    """Whether it is a list of a library's; an array without a dimension is a number."""
    if is_a(value, "numpy", "ndarray"):
        return bool(value.ndim)
    return is_a(value, "pandas", "Index") or is_a(value, "pandas.api.extensions", "ExtensionArray")


def _elements(value: Any) -> Iterable[Any]:
    """The elements of a list or an array, as Python's own numbers where that loses nothing."""
    elements: Iterable[Any] = value
    if not is_a(value, "numpy", "ndarray") or value.size > _VALUES:
        return elements
    # Many times as fast as one by one; float32 would lose its digits, and times their unit.
    if value.dtype.kind in "biuU" or value.dtype == "float64":
        elements = value.tolist()
    return elements


def _is_missing(value: Any) -> bool:
    """Whether it is NaT, <NA> or a NaN of numpy's own."""
    if value is getattr(sys.modules.get("pandas"), "NA", None):
        return True
    kinds = ("floating", "datetime64", "timedelta64")
    if isinstance(value, date) or is_a(value, "numpy", *kinds):
        return bool(value != value)
    return False


def _a(value: object) -> str:
    """What kind of thing it is, such as "a socket.socket"."""
    kind = type(value)
    own = kind.__module__ in ("builtins", "__main__")
    name = kind.__qualname__ if own else f"{kind.__module__}.{kind.__qualname__}"
    shown = short(name)
    return f"an {shown}" if shown[:1] in "aeiouAEIOU" else f"a {shown}"


def _cut(text: str) -> str:
    if len(text) <= _RESULT_CHARACTERS:
        return text
    note = f"(cut: the first {_RESULT_CHARACTERS:,} of {len(text):,} characters)"
    return f"{text[:_RESULT_CHARACTERS]}\n{note}"
