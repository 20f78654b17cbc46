"""The texts nearest to one, as a table and as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from glm_magic.render.clean import clean_line
from glm_magic.render.columns import align
from glm_magic.render.frame import frame, muted
from glm_magic.render.markdown import render_line
from glm_magic.render.study.labels import shorten
from glm_magic.render.study.shade import Shade

__all__ = ["Near", "render_nearest", "render_nearest_plain"]

# So far to read at once.
_LIMIT_ROWS = 200
_TEXT_COLUMNS, _LABEL_COLUMNS, _QUERY_COLUMNS = 160, 32, 100


@dataclass(frozen=True, slots=True)
class Near:
    """A text that is near.

    Attributes:
        position: among the texts it was looked for in, from 0.
        name: its label, or the text.
        similarity: the cosine, in [-1, 1].
    """

    position: int
    name: str
    text: str
    similarity: float


def render_nearest(query: str, found: Sequence[Near], footer: str) -> str:
    """Return a table of what was found, the nearest first.

    Args:
        query: what it is near to.
        footer: where it was looked for, plain text.
    """
    rows = found[:_LIMIT_ROWS]
    head = "".join(_head(name) for name in _heads(rows))
    body = "".join(_row(rank, near, _heads(rows)) for rank, near in enumerate(rows, 1))
    table = (
        f"<table><caption>{render_line(_caption(query, rows))}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )
    return frame(
        table if rows else muted(render_line(_caption(query, rows))), *_notes(found, footer)
    )


def _caption(query: str, rows: Sequence[Near]) -> str:
    what = "Nearest to" if rows else "There is nothing near"
    return f"{what} {shorten(query, _QUERY_COLUMNS)}"


def _heads(rows: Sequence[Near]) -> tuple[str, ...]:
    """The columns; a label is one where it is not the text itself."""
    has_labels = any(near.name != near.text for near in rows)
    return ("", "Similarity", *(("Label",) if has_labels else ()), "Text")


def _head(name: str) -> str:
    align_right = ' align="right"' if name in ("", "Similarity") else ""
    return f'<th scope="col"{align_right}>{name}</th>' if name else "<td></td>"


def _row(rank: int, near: Near, heads: Sequence[str]) -> str:
    label = (
        f"<td>{render_line(shorten(near.name, _LABEL_COLUMNS))}</td>" if "Label" in heads else ""
    )
    # 0 is what texts have that have nothing in common, to many models at least.
    value = Shade(0.0).cell(near.similarity)
    return (
        f'<tr><th scope="row" align="right">{rank}</th>'
        f"{value}{label}<td>{render_line(shorten(near.text, _TEXT_COLUMNS))}</td></tr>"
    )


def _notes(found: Sequence[Near], footer: str) -> Iterator[str]:
    if len(found) > _LIMIT_ROWS:
        yield muted(f"and {len(found) - _LIMIT_ROWS:,} more")
    yield muted(render_line(footer))


def render_nearest_plain(query: str, found: Sequence[Near], footer: str) -> str:
    """Return the same as lines of text."""
    rows = found[:_LIMIT_ROWS]
    lines = (
        align([_cells(rank, near, _heads(rows)) for rank, near in enumerate(rows, 1)], right=(0, 1))
        if rows
        else []
    )
    rest = len(found) - len(rows)
    more = [f"and {rest:,} more"] if rest else []
    return "\n".join((_caption(query, rows), *lines, *more, clean_line(footer)))


def _cells(rank: int, near: Near, heads: Sequence[str]) -> tuple[str, ...]:
    label = (shorten(near.name, _LABEL_COLUMNS),) if "Label" in heads else ()
    return (str(rank), f"{near.similarity:z.2f}", *label, shorten(near.text, 80))
