"""The table of a whole structured answer: which rows and columns of it are shown, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from glm_magic.render.cells import FIELD_HEAD, VALUE, cells_of, draw_line, words_of
from glm_magic.render.clean import clean_text
from glm_magic.render.columns import is_short
from glm_magic.render.markdown import render_line, render_prose

__all__ = ["FieldTable", "draw_field", "draw_row", "table_of"]

_MOST_ROWS = 100
# Of those that nobody named: each row may bring others.
_MOST_COLUMNS = 50
_VALUE_CHARACTERS = 10_000


@dataclass(frozen=True, slots=True)
class FieldTable:
    """Words in rows, not cleaned.

    Attributes:
        note: what is left out, "" if nothing is.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str


def table_of(value: Any, columns: Sequence[str], *, is_rows: bool) -> FieldTable:
    """Return what is shown of a value; see `render_fields`."""
    if is_rows:
        return _row_table(value if isinstance(value, list) else [value], columns)
    name = columns[0] if columns else VALUE
    return _field_table(value if isinstance(value, dict) else {name: value}, columns)


def _row_table(items: Sequence[Any], columns: Sequence[str]) -> FieldTable:
    shown = items[:_MOST_ROWS]
    keys = [key for item in shown if isinstance(item, dict) for key in item]
    is_plain = any(not isinstance(item, dict) for item in shown)
    first = columns or ((VALUE,) if is_plain or not keys else ())
    names = list(dict.fromkeys((*first, *keys)))
    head = names[: max(len(first), _MOST_COLUMNS)]
    note = _note((len(shown), len(items), "row"), (len(head), len(names), "column"))
    return FieldTable(
        head, [cells_of(item, head) for item in shown], note and f"{note}; reply.df has all"
    )


def _field_table(fields: dict[str, Any], columns: Sequence[str]) -> FieldTable:
    names = list(dict.fromkeys((*columns, *fields)))
    shown = names[: max(len(columns), _MOST_ROWS)]
    note = _note((len(shown), len(names), "field"))
    rows = [(name, words_of(fields.get(name))) for name in shown]
    return FieldTable(FIELD_HEAD, rows, note and f"{note}; reply.value has all")


def _note(*counts: tuple[int, int, str]) -> str:
    """Return how many are shown of what there is more of."""
    parts = [f"{some:,} of {every:,} {noun}s" for some, every, noun in counts if some < every]
    return f"{', '.join(parts)} are shown" if parts else ""


def draw_row(cells: Sequence[str]) -> str:
    """Return the row of an item, as safe HTML."""
    return f"<tr>{''.join(map(_draw_cell, cells))}</tr>"


def _draw_cell(text: str) -> str:
    return f"<td{_nowrap(text)}>{draw_line(text)}</td>"


def draw_field(cells: Sequence[str]) -> str:
    """Return the row of a field, name and value; a value of many lines is drawn as prose."""
    name, text = cells
    lines = clean_text(text).strip()
    if "\n" in lines:
        clipped = lines if len(lines) <= _VALUE_CHARACTERS else lines[:_VALUE_CHARACTERS] + "…"
        drawn = f"<td>{render_prose(clipped)}</td>"
    else:
        drawn = f"<td{_nowrap(text)}>{draw_line(text, _VALUE_CHARACTERS)}</td>"
    return f'<tr><th scope="row"{_nowrap(name)}>{render_line(name)}</th>{drawn}</tr>'


def _nowrap(text: str) -> str:
    return ' nowrap=""' if is_short(text) else ""
