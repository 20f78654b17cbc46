"""Structured answers, JSON with known fields, as tables: while they stream in, and whole."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from glm_magic.render.clean import clean_line, clean_text
from glm_magic.render.columns import align, is_short
from glm_magic.render.drawing import draw_text
from glm_magic.render.frame import muted
from glm_magic.render.growth import Step, _Fed
from glm_magic.render.json_members import Member, MemberScanner
from glm_magic.render.markdown import render_line, render_plain, render_prose
from glm_magic.render.study.labels import shorten

__all__ = ["FieldsGrowth", "render_fields", "render_fields_plain"]

# What a value without fields is called.
_VALUE = "value"
_FIELD_HEAD = ("Field", "Value")


# -- values as words ---------------------------------------------------------------------------


class _Invalid:
    """Stands for what is no JSON."""


_INVALID: Final = _Invalid()


def _parse(text: str) -> Any:
    """Return the value of JSON that may be cut off anywhere, `_INVALID` where it is none."""
    # Not at the top: it is there for structured answers only.
    from pydantic_core import from_json

    try:
        return from_json(text, allow_partial="trailing-strings")
    except (ValueError, TypeError):  # TypeError: the text holds half of a surrogate pair
        return _parse_leniently(text)


def _parse_leniently(text: str) -> Any:
    """Read what Python reads and others do not: halves of pairs, line ends in strings."""
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return _INVALID


def _words(value: Any) -> str:
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


def _draw(text: str, limit: int = 300) -> str:
    """Return text as safe HTML, in one line of so many characters at most."""
    return draw_text(clean_line(text, limit))


def _cells(item: Any, columns: Sequence[str]) -> list[str]:
    """Return the words of a row; what has no fields stands in the first column."""
    if isinstance(item, dict) and columns:
        return [_words(item.get(name)) for name in columns]
    return [_words(item), *[""] * (len(columns) - 1)]


def _heads(names: Iterable[str]) -> str:
    heads = "".join(f'<th scope="col">{render_line(name)}</th>' for name in names)
    return f"<thead><tr>{heads}</tr></thead>"


# -- while it streams in -----------------------------------------------------------------------

# Finished rows and the open one are tables of their own, and look like one: columns of one width.
_LIVE_TABLE = '<table style="table-layout: fixed; width: 100%; margin: 0; overflow-wrap: anywhere">'
# The blank: the frame closes what it put around each `<table>`, of which this is none.
_LIVE_TABLE_END = "</table >"
# Themes shade every second row of a table: this one, which nobody sees, shifts that by one.
_SHIFT = '<tr style="display: none"></tr>'
# A step draws no more cells than this: empty rows take few characters and many cells.
_STEP_CELLS = 1_000
_PROSE_CHARACTERS = 4_000
_LIVE_CHARACTERS = 500

# Where a string that begins anywhere is outside any escape: behind a letter that no escape has,
# or before a backslash that follows none. Some place is near the start.
_OUTSIDE_ESCAPE = re.compile(r'[^\\"/bfnrtu0-9A-Fa-f]|(?<=[^\\])(?=\\)')
_NEAR_CHARACTERS = 24
_KEY = re.compile(r'"((?:[^"\\]++|\\.)*+)"\s*+:\s*+', re.DOTALL)


class FieldsGrowth(_Fed):
    """A structured answer that grows: rows are finished one by one, fields fill their table.

    What is no JSON, such as a refusal, is shown as it is. Nothing is checked: what does not
    parse is shown as its text.

    Args:
        columns: the names of the fields, in the order to show them; others are left out.
        is_rows: the answer is a list, else one object.
    """

    def __init__(self, columns: Sequence[str], *, is_rows: bool) -> None:
        super().__init__()
        self._scanner = MemberScanner(is_rows=is_rows)
        self._table = _LiveRows(columns) if is_rows else _LiveFields(columns)
        self._members: deque[Member] = deque()
        self._at_a_step = max(1, _STEP_CELLS // max(1, len(columns)))
        self._prose = ""

    @property
    def is_waiting(self) -> bool:
        """Whether there is text that no step has taken in."""
        return bool(self._members) or super().is_waiting

    def step(self) -> Step:
        """Take in a bounded part of what waits, and return what there is to draw."""
        if not self._members:
            self._read(self._take())
        members = [self._members.popleft() for _ in range(min(self._at_a_step, len(self._members)))]
        finished = self._table.finish(members)
        if self._is_prose():
            return Step("", render_plain(self._prose))
        # What is open comes behind all that is finished.
        return Step(finished, self._table.draw(None if self._members else self._scanner.open))

    def _read(self, text: str) -> None:
        self._members += self._scanner.feed(text)
        if not self._scanner.has_started:
            self._prose = (self._prose + text)[-_PROSE_CHARACTERS:]

    def _is_prose(self) -> bool:
        """Whether there are words and no JSON; what opens a fence is not meant for anybody."""
        opening = self._prose.strip().strip("`").lower()
        return not self._scanner.has_started and not "json".startswith(opening)


class _LiveRows:
    """A table, a piece for each step; the head stands in the first one only."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._head = _heads(columns or (_VALUE,))
        self._count = 0

    def finish(self, members: Sequence[Member]) -> str:
        """Return the piece with these rows; "" without any."""
        html = self._piece(members) if members else ""
        self._count += len(members)
        return html

    def draw(self, member: Member | None) -> str:
        """Return the piece with the open row, or the head alone while there is no row."""
        members = [member] if member else []
        return self._piece(members) if members or not self._count else ""

    def _piece(self, members: Sequence[Member]) -> str:
        head = "" if self._count else self._head
        shift = _SHIFT if self._count % 2 else ""
        rows = "".join(map(self._row, members))
        return f"{_LIVE_TABLE}{head}<tbody>{shift}{rows}</tbody>{_LIVE_TABLE_END}"

    def _row(self, member: Member) -> str:
        item = _parse(member.text)
        cells = _cells(member.text if item is _INVALID else item, self._columns)
        return f"<tr>{''.join(f'<td>{_draw(cell)}</td>' for cell in cells)}</tr>"


class _LiveFields:
    """All fields from the start on, with those values that there are."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._values: dict[str, str] = dict.fromkeys(columns, "")

    def finish(self, members: Sequence[Member]) -> str:
        """Keep what these say. Nothing is ever behind us: the table stays in the tail."""
        for member in members:
            name, text = _pair(member)
            words = member.text if name is None else text
            self._put(self._values, name, _draw(words, _LIVE_CHARACTERS + 1))
        return ""

    def draw(self, member: Member | None) -> str:
        """Return the table; of the open value its end is shown."""
        values = dict(self._values)
        if member:
            name, text = _pair(member)
            text = _ending(member) if member.end else text
            self._put(values, name, _draw_end(text, is_cut=bool(member.end)))
        rows = "".join(
            f'<tr><th scope="row">{render_line(name)}</th><td>{html}</td></tr>'
            for name, html in values.items()
        )
        columns = '<colgroup><col style="width: 25%"><col></colgroup>'
        head = columns + _heads(_FIELD_HEAD)
        return f"{_LIVE_TABLE}{head}<tbody>{rows}</tbody>{_LIVE_TABLE_END}"

    def _put(self, values: dict[str, str], name: str | None, html: str) -> None:
        """Enter a value; what has no name is no field, and stands below them."""
        if name is None and html:
            values[""] = html
        elif name in self._values:
            values[name] = html


def _pair(member: Member) -> tuple[str | None, str]:
    """Return the name of a field and the words of its value; no name while there is none."""
    fields = _parse("{" + member.text)
    if fields is _INVALID:
        fields = _parse_leniently("{" + member.text + "}")
    if isinstance(fields, dict) and fields:
        name, value = fields.popitem()
        return name, _words(value)
    key = _KEY.match(member.text)
    if key:
        return key[1], member.text[key.end() :]
    return None, member.text if fields is _INVALID else ""


def _ending(member: Member) -> str:
    """Return the end of a long open value, in its own words if it is a string."""
    key = _KEY.match(member.text)
    if not key or member.text[key.end() : key.end() + 1] != '"':
        return member.end
    near = _OUTSIDE_ESCAPE.finditer(member.end, 0, _NEAR_CHARACTERS)
    # The second half of a pair, where the first is cut off, does not parse: what follows does.
    for start in (*(place.end() for place in near), 0, 1):
        words = _parse('"' + member.end[start:])
        if isinstance(words, str):
            return words
    return member.end


def _draw_end(text: str, *, is_cut: bool) -> str:
    line = clean_line(text, len(text) + 1)
    is_cut = is_cut or len(line) > _LIVE_CHARACTERS
    return draw_text(("… " if is_cut else "") + line[-_LIVE_CHARACTERS:])


# -- the whole ---------------------------------------------------------------------------------

_MOST_ROWS = 100
# Of those that nobody named: each row may bring others.
_MOST_COLUMNS = 50
_VALUE_CHARACTERS = 10_000
_PLAIN_COLUMNS = 60


@dataclass(frozen=True, slots=True)
class _Table:
    """Words in rows, not cleaned.

    Attributes:
        note: what is left out, "" if nothing is.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str


def render_fields(value: Any, columns: Sequence[str], *, is_rows: bool) -> str:
    """Return a structured answer as a table: HTML to be framed.

    Args:
        value: plain JSON data: a list of objects or of single values, an object, or one value.
        columns: the names of the fields, in the order to show them; further ones come after.
        is_rows: each item of the list is a row, else each field is one. 100 rows are shown.
    """
    table = _table(value, columns, is_rows=is_rows)
    rows = "".join(map(_draw_row if is_rows else _draw_field, table.rows))
    if not rows:
        rows = f'<tr><td colspan="{len(table.head)}" style="text-align: left">no rows</td></tr>'
    html = f"<table>{_heads(table.head)}<tbody>{rows}</tbody></table>"
    return html + muted(render_line(table.note))


def render_fields_plain(value: Any, columns: Sequence[str], *, is_rows: bool) -> str:
    """Return the same as lines of text, each cell in 60 columns of a terminal at most."""
    table = _table(value, columns, is_rows=is_rows)
    rows = [[shorten(cell, _PLAIN_COLUMNS) for cell in row] for row in (table.head, *table.rows)]
    empty = [] if table.rows else ["no rows"]
    return "\n".join((*align(rows), *empty, *filter(None, [table.note])))


def _table(value: Any, columns: Sequence[str], *, is_rows: bool) -> _Table:
    if is_rows:
        return _row_table(value if isinstance(value, list) else [value], columns)
    name = columns[0] if columns else _VALUE
    return _field_table(value if isinstance(value, dict) else {name: value}, columns)


def _row_table(items: Sequence[Any], columns: Sequence[str]) -> _Table:
    shown = items[:_MOST_ROWS]
    keys = [key for item in shown if isinstance(item, dict) for key in item]
    is_plain = any(not isinstance(item, dict) for item in shown)
    first = columns or ((_VALUE,) if is_plain or not keys else ())
    names = list(dict.fromkeys((*first, *keys)))
    head = names[: max(len(first), _MOST_COLUMNS)]
    note = _note((len(shown), len(items), "row"), (len(head), len(names), "column"))
    return _Table(
        head, [_cells(item, head) for item in shown], note and f"{note}; reply.df has all"
    )


def _field_table(fields: dict[str, Any], columns: Sequence[str]) -> _Table:
    names = list(dict.fromkeys((*columns, *fields)))
    shown = names[: max(len(columns), _MOST_ROWS)]
    note = _note((len(shown), len(names), "field"))
    rows = [(name, _words(fields.get(name))) for name in shown]
    return _Table(_FIELD_HEAD, rows, note and f"{note}; reply.value has all")


def _note(*counts: tuple[int, int, str]) -> str:
    """Return how many are shown of what there is more of."""
    parts = [f"{some:,} of {every:,} {noun}s" for some, every, noun in counts if some < every]
    return f"{', '.join(parts)} are shown" if parts else ""


def _draw_row(cells: Sequence[str]) -> str:
    return f"<tr>{''.join(map(_draw_cell, cells))}</tr>"


def _draw_cell(text: str) -> str:
    return f"<td{_nowrap(text)}>{_draw(text)}</td>"


def _draw_field(cells: Sequence[str]) -> str:
    name, text = cells
    lines = clean_text(text).strip()
    if "\n" in lines:
        clipped = lines if len(lines) <= _VALUE_CHARACTERS else lines[:_VALUE_CHARACTERS] + "…"
        drawn = f"<td>{render_prose(clipped)}</td>"
    else:
        drawn = f"<td{_nowrap(text)}>{_draw(text, _VALUE_CHARACTERS)}</td>"
    return f'<tr><th scope="row"{_nowrap(name)}>{render_line(name)}</th>{drawn}</tr>'


def _nowrap(text: str) -> str:
    return ' nowrap=""' if is_short(text) else ""
