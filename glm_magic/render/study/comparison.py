"""The same texts embedded in several ways: what each makes of them, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glm_magic.api.cost import format_money
from glm_magic.render.columns import align, is_short
from glm_magic.render.frame import frame, muted
from glm_magic.render.markdown import render_line
from glm_magic.render.study.heatmap import draw_cells
from glm_magic.render.study.labels import shorten
from glm_magic.render.study.layout import columns
from glm_magic.render.study.provenance import count_words, cut_words, joined
from glm_magic.render.words import percent
from glm_magic.study.comparison import Comparison, Member, Move

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["render_comparison", "render_comparison_plain"]

_MOVES = 5
# A longer list is read by nobody.
_LIMIT_LISTED = 40
_NAME_COLUMNS, _LABEL_COLUMNS, _PLAIN_COLUMNS = 40, 48, 30


@dataclass(frozen=True, slots=True)
class _Table:
    """Rows of words, then of numbers.

    Attributes:
        words: how many columns, from the first on, are words.
        has_names: whether the first column names its row.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1
    has_names: bool = True

    def render(self) -> str:
        """Return it as HTML; "" where it has no row."""
        if not self.rows:
            return ""
        heads = "".join(self._cell(place, name, "col") for place, name in enumerate(self.head))
        rows = "".join(f"<tr>{self._row(row)}</tr>" for row in self.rows)
        return (
            f"<table><caption>{render_line(self.caption)}</caption>"
            f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        )

    def _row(self, cells: Sequence[str]) -> str:
        return "".join(
            self._cell(place, cell, "" if place or not self.has_names else "row")
            for place, cell in enumerate(cells)
        )

    def _cell(self, place: int, text: str, scope: str) -> str:
        tag, scope = ("th", f' scope="{scope}"') if scope else ("td", "")
        align_right = "" if place < self.words else ' align="right"'
        nowrap = ' nowrap=""' if is_short(text) else ""
        return f"<{tag}{scope}{align_right}{nowrap}>{render_line(text)}</{tag}>"

    def lines(self) -> list[str]:
        """Return it as lines of text; none where it has no row."""
        right = range(self.words, len(self.head))
        return [self.caption, *align([self.head, *self.rows], right=right)] if self.rows else []


def render_comparison(comparison: Comparison) -> str:
    """Return the members, their heat maps and the pairs that moved most as HTML."""
    return frame(
        muted(render_line(_header(comparison)), "p"),
        _member_table(comparison).render(),
        muted("<br>".join(map(render_line, _notes(comparison))), "p"),
        columns(*map(_render_member, comparison), _render_list(comparison.names)),
        _move_table(comparison, _LABEL_COLUMNS).render(),
        _render_details(comparison),
    )


def render_comparison_plain(comparison: Comparison) -> str:
    """Return the same as lines of text, without the heat maps."""
    members = _member_table(comparison)
    moves = _move_table(comparison, _PLAIN_COLUMNS)
    return "\n".join((_header(comparison), *members.lines(), *_notes(comparison), *moves.lines()))


def _header(comparison: Comparison) -> str:
    members = [member.embeddings for member in comparison]
    return joined(
        ", ".join(dict.fromkeys(e.model for e in members)),
        ", ".join(dict.fromkeys(e.endpoint for e in members)),
        count_words(members[0]),
        f"compared with {comparison.reference.name}",
        cut_words(members[0]),
    )


# -- the members -------------------------------------------------------------------------------


def _member_table(comparison: Comparison) -> _Table:
    name = comparison.reference.name
    head = (
        *("Name", "Made by", "Dimensions", "Bytes a text", "Spearman"),
        *(f"Nearest {comparison.k} in common", "Tokens", "Cost"),
    )
    correlation, overlap = comparison.correlation[name], comparison.overlap()[name]
    rows = [
        (*_made(member), _number(float(rank)), percent(float(shared)), *_took(member))
        for member, rank, shared in zip(comparison, correlation, overlap, strict=True)
    ]
    return _Table("Ways to embed", head, rows, words=2)


def _made(member: Member) -> tuple[str, ...]:
    e, cut_from = member.embeddings, member.cut_from
    return (
        shorten(member.name, _NAME_COLUMNS),
        "the model" if cut_from is None else f"cut from {cut_from:,}",
        f"{e.dimensions:,}",
        f"{e.dimensions * e.vectors.itemsize:,}",
    )


def _took(member: Member) -> tuple[str, str]:
    e = member.embeddings
    if member.cut_from is not None:
        return "", ""
    cost = e.cost if e.requests else None
    amount = format_money(cost.amount, cost.currency) if cost else ""
    return f"{e.usage.prompt_tokens:,}", amount


def _notes(comparison: Comparison) -> Iterator[str]:
    yield (
        "Spearman is the correlation of the ranks of all pairs: 1.00 is the same order. "
        "In common are the nearest texts of each text, as shares of them."
    )
    if comparison.is_sampled:
        yield "Of so many texts some pairs, and the neighbours of some texts, stand for all."
    costs = [cost for member in comparison if (cost := member.embeddings.cost)]
    if costs:
        yield f"Cost is an estimate by the prices of {min(cost.read for cost in costs)}."


def _number(value: float) -> str:
    """A correlation; there is none where all pairs are equally alike."""
    return f"{value:z.3f}" if value == value else "none"


def _render_member(member: Member) -> str:
    name = shorten(member.name, _NAME_COLUMNS)
    return f"<div>{render_line(name)}</div><div>{draw_cells(member.embeddings, name)}</div>"


def _render_list(names: Sequence[str]) -> str:
    """Which texts the numbers of rows and columns stand for."""
    if len(names) > _LIMIT_LISTED:
        return ""
    items = "".join(f"<li>{render_line(shorten(name, _LABEL_COLUMNS))}</li>" for name in names)
    return f"<ol>{items}</ol>"


# -- what differs ------------------------------------------------------------------------------


def _move_table(comparison: Comparison, width: int) -> _Table:
    rows = [_move_row(move, comparison.names, width) for move in comparison.moved(_MOVES)]
    head = ("a", "b", "In", "Similarity", "Rank among pairs")
    return _Table("Pairs that moved most", head, rows, words=3, has_names=False)


def _move_row(move: Move, names: Sequence[str], width: int) -> tuple[str, ...]:
    return (
        shorten(names[move.i], width),
        shorten(names[move.j], width),
        shorten(move.name, _NAME_COLUMNS),
        f"{move.before:z.2f} → {move.after:z.2f}",
        f"{move.rank_before:,} → {move.rank_after:,}",
    )


def _render_details(comparison: Comparison) -> str:
    """How each agrees with each, where that is more than one number."""
    if len(comparison) == 2:
        return ""
    nearest = f"Nearest {comparison.k} in common"
    tables = (
        _square("Spearman", comparison.correlation, _number),
        _square(nearest, comparison.overlap(), percent),
    )
    inside = columns(*(table.render() for table in tables))
    return f"<details><summary>Each with each</summary>{inside}</details>"


def _square(caption: str, frame: pd.DataFrame, words: Callable[[float], str]) -> _Table:
    names = [shorten(name, _NAME_COLUMNS) for name in frame.index]
    rows = [
        (name, *(words(float(value)) for value in row))
        for name, row in zip(names, frame.to_numpy(), strict=True)
    ]
    return _Table(caption, ("", *names), rows)
