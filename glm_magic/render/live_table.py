"""The table of a structured answer while it streams in: rows one by one, or fields that fill."""

from __future__ import annotations

import re
from collections.abc import Sequence

from glm_magic.render.cells import (
    FIELD_HEAD,
    INVALID,
    VALUE,
    cells_of,
    draw_line,
    heads_of,
    parse,
    parse_leniently,
    words_of,
)
from glm_magic.render.clean import clean_line
from glm_magic.render.drawing import draw_text
from glm_magic.render.json_members import Member
from glm_magic.render.markdown import render_line

__all__ = ["LiveFields", "LiveRows"]

# Finished rows and the open one are tables of their own, and look like one: columns of one width.
_LIVE_TABLE = '<table style="table-layout: fixed; width: 100%; margin: 0; overflow-wrap: anywhere">'
# The blank: the frame closes what it put around each `<table>`, of which this is none.
_LIVE_TABLE_END = "</table >"
# Themes shade every second row of a table: this one, which nobody sees, shifts that by one.
_SHIFT = '<tr style="display: none"></tr>'
_LIVE_CHARACTERS = 500

# Where a string that begins anywhere is outside any escape: behind a letter that no escape has,
# or before a backslash that follows none. Some place is near the start.
_OUTSIDE_ESCAPE = re.compile(r'[^\\"/bfnrtu0-9A-Fa-f]|(?<=[^\\])(?=\\)')
_NEAR_CHARACTERS = 24
_KEY = re.compile(r'"((?:[^"\\]++|\\.)*+)"\s*+:\s*+', re.DOTALL)


class LiveRows:
    """A table, a piece for each step; the head stands in the first one only."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._head = heads_of(columns or (VALUE,))
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
        item = parse(member.text)
        cells = cells_of(member.text if item is INVALID else item, self._columns)
        return f"<tr>{''.join(f'<td>{draw_line(cell)}</td>' for cell in cells)}</tr>"


class LiveFields:
    """All fields from the start on, with those values that there are."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._values: dict[str, str] = dict.fromkeys(columns, "")

    def finish(self, members: Sequence[Member]) -> str:
        """Keep what these say. Nothing is ever behind us: the table stays in the tail."""
        for member in members:
            name, text = _pair(member)
            words = member.text if name is None else text
            self._put(self._values, name, draw_line(words, _LIVE_CHARACTERS + 1))
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
        head = columns + heads_of(FIELD_HEAD)
        return f"{_LIVE_TABLE}{head}<tbody>{rows}</tbody>{_LIVE_TABLE_END}"

    def _put(self, values: dict[str, str], name: str | None, html: str) -> None:
        """Enter a value; what has no name is no field, and stands below them."""
        if name is None and html:
            values[""] = html
        elif name in self._values:
            values[name] = html


def _pair(member: Member) -> tuple[str | None, str]:
    """Return the name of a field and the words of its value; no name while there is none."""
    fields = parse("{" + member.text)
    if fields is INVALID:
        fields = parse_leniently("{" + member.text + "}")
    if isinstance(fields, dict) and fields:
        name, value = fields.popitem()
        return name, words_of(value)
    key = _KEY.match(member.text)
    if key:
        return key[1], member.text[key.end() :]
    return None, member.text if fields is INVALID else ""


def _ending(member: Member) -> str:
    """Return the end of a long open value, in its own words if it is a string."""
    key = _KEY.match(member.text)
    if not key or member.text[key.end() : key.end() + 1] != '"':
        return member.end
    near = _OUTSIDE_ESCAPE.finditer(member.end, 0, _NEAR_CHARACTERS)
    # The second half of a pair, where the first is cut off, does not parse: what follows does.
    for start in (*(place.end() for place in near), 0, 1):
        words = parse('"' + member.end[start:])
        if isinstance(words, str):
            return words
    return member.end


def _draw_end(text: str, *, is_cut: bool) -> str:
    line = clean_line(text, len(text) + 1)
    is_cut = is_cut or len(line) > _LIVE_CHARACTERS
    return draw_text(("… " if is_cut else "") + line[-_LIVE_CHARACTERS:])
