"""Structured answers, JSON with known fields, as tables: while they stream in, and whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from glm_magic.render.cells import heads_of
from glm_magic.render.columns import align
from glm_magic.render.field_table import draw_field, draw_row, table_of
from glm_magic.render.frame import muted
from glm_magic.render.growth import Fed, Step
from glm_magic.render.json_members import Member, MemberScanner
from glm_magic.render.live_table import LiveFields, LiveRows
from glm_magic.render.markdown import render_line, render_plain
from glm_magic.render.study.labels import shorten

__all__ = ["FieldsGrowth", "render_fields", "render_fields_plain"]

# A step draws no more cells than this: empty rows take few characters and many cells.
_STEP_CELLS = 1_000
_PROSE_CHARACTERS = 4_000
_PLAIN_COLUMNS = 60


class FieldsGrowth(Fed):
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
        self._table = LiveRows(columns) if is_rows else LiveFields(columns)
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


def render_fields(value: Any, columns: Sequence[str], *, is_rows: bool) -> str:
    """Return a structured answer as a table: HTML to be framed.

    Args:
        value: plain JSON data: a list of objects or of single values, an object, or one value.
        columns: the names of the fields, in the order to show them; further ones come after.
        is_rows: each item of the list is a row, else each field is one. 100 rows are shown.
    """
    table = table_of(value, columns, is_rows=is_rows)
    rows = "".join(map(draw_row if is_rows else draw_field, table.rows))
    if not rows:
        rows = f'<tr><td colspan="{len(table.head)}" style="text-align: left">no rows</td></tr>'
    html = f"<table>{heads_of(table.head)}<tbody>{rows}</tbody></table>"
    return html + muted(render_line(table.note))


def render_fields_plain(value: Any, columns: Sequence[str], *, is_rows: bool) -> str:
    """Return the same as lines of text, each cell in 60 columns of a terminal at most."""
    table = table_of(value, columns, is_rows=is_rows)
    rows = [[shorten(cell, _PLAIN_COLUMNS) for cell in row] for row in (table.head, *table.rows)]
    empty = [] if table.rows else ["no rows"]
    return "\n".join((*align(rows), *empty, *filter(None, [table.note])))
