"""What stands in a prompt for a value of the notebook: Markdown tables, JSON, or its text.

Tables: GitHub Flavored Markdown, 4.10, https://github.github.com/gfm/#tables-extension-
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["is_a", "to_prompt_text"]

# Enough to tell what a table is about; 50 rows of 20 short cells are some 4,000 tokens.
_ROWS, _COLUMNS, _CELL_CHARACTERS = 50, 20, 200

_LINE_END = re.compile(r"\r\n|\r|\n")
# With the backslashes before it: whether two of them leave a pipe escaped, parsers disagree.
_PIPE = re.compile(r"(\\*)\|")


def to_prompt_text(value: object) -> str:
    r"""Return the text that a value has in a prompt.

    - Text is itself.
    - A DataFrame or Series is a Markdown table of at most 50 rows, 20 columns and 200 characters
      a cell, with a line after it on what was left out. A default index is left out too. A line
      end in a cell is `<br>`, a pipe `\|`.
    - A dict, list, tuple or set is JSON, and `repr` where JSON has no word for it: NaN, a key that
      is no text or number, a list within itself.
    - Anything else is `str` of it.

    Whatever the value's own `__str__` or `__repr__` raises passes through.
    """
    if isinstance(value, str):
        return value
    if _is_frame(value):
        return _table_text(value.iloc[:_ROWS, :_COLUMNS], *value.shape)
    if _is_series(value):
        name = "value" if value.name is None else value.name
        return _table_text(value.iloc[:_ROWS].to_frame(name), len(value), 1)
    if isinstance(value, (dict, list, tuple, set, frozenset)):
        return _json_text(value)
    return str(value)


def is_a(value: object, module: str, *names: str) -> TypeGuard[Any]:
    """Return whether a value is of such a class; a module that nobody imported has no values."""
    kinds = (getattr(sys.modules.get(module), name, None) for name in names)
    return isinstance(value, tuple(kind for kind in kinds if isinstance(kind, type)))


def _is_frame(value: object) -> TypeGuard[pd.DataFrame]:
    return is_a(value, "pandas", "DataFrame")


def _is_series(value: object) -> TypeGuard[pd.Series[Any]]:
    return is_a(value, "pandas", "Series")


# -- tables ------------------------------------------------------------------------------------


def _table_text(shown: pd.DataFrame, rows: int, columns: int) -> str:
    heads = [" / ".join(filter(None, map(_cell, labels))) for labels in _labels(shown.columns)]
    body: list[list[object]] = [
        # An array gives its own scalars: float32 keeps its digits, a time is a Timestamp.
        list(shown.iloc[:, column].array)
        for column in range(len(heads))
    ]
    if not _is_default(shown.index):
        heads = ["" if name is None else _cell(name) for name in shown.index.names] + heads
        body = [list(shown.index.get_level_values(n)) for n in range(shown.index.nlevels)] + body
    note = _note(rows, columns)
    if not heads:
        return note
    lines = [heads, ["---"] * len(heads), *(map(_cell, row) for row in zip(*body, strict=True))]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    # Without the empty line between, the note were one more row.
    return f"{table}\n\n{note}" if note else table


def _labels(index: pd.Index[Any]) -> Iterator[tuple[object, ...]]:
    # Level by level: `values` of a MultiIndex may unpack its levels whole, however few are shown.
    return zip(*(index.get_level_values(n) for n in range(index.nlevels)), strict=True)


def _is_default(index: Any) -> bool:
    if not is_a(index, "pandas", "RangeIndex"):
        return False
    return index.name is None and (index.start, index.step) == (0, 1)


def _cell(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    if len(text) > _CELL_CHARACTERS:
        text = f"{text[: _CELL_CHARACTERS - 1]}…"
    return _PIPE.sub(r"\1\1\\|", _LINE_END.sub("<br>", text))


def _note(rows: int, columns: int) -> str:
    """What was left out; of a table without rows or columns, how many it has of both."""
    if not rows or not columns:
        return f"({rows:,} rows, {columns:,} columns)"
    sides = ((_ROWS, rows, "rows"), (_COLUMNS, columns, "columns"))
    cut = [f"{most} of {count:,} {name}" for most, count, name in sides if count > most]
    return f"({', '.join(cut)})" if cut else ""


# -- JSON --------------------------------------------------------------------------------------


def _json_text(value: object) -> str:
    plain = _sorted(value) if isinstance(value, (set, frozenset)) else value
    try:
        return json.dumps(plain, ensure_ascii=False, indent=2, allow_nan=False, default=_plain)
    except (TypeError, ValueError):
        return repr(value)


def _plain(value: object) -> object:
    """What JSON holds in place of a value that it has no word for."""
    if isinstance(value, (set, frozenset)):
        return _sorted(value)
    if is_a(value, "numpy", "integer", "floating", "bool_"):
        number: Any = value
        return number.item()
    return str(value)


def _sorted(values: Iterable[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=repr)  # the same prompt each time, at least
