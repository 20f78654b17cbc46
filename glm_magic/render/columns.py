"""Rows of text in columns, for a terminal and for whoever reads a notebook as text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import zip_longest

from wcwidth import wcswidth, wcwidth

__all__ = ["align", "is_short", "width"]

# A cell of so many columns looks better in one line: eight Chinese characters.
_SHORT_COLUMNS = 16


def width(text: str) -> int:
    """Return how many columns of a terminal a line takes: two for a Chinese character."""
    columns = wcswidth(text)
    # Controls have no width of their own, and wcswidth then tells none at all.
    return columns if columns >= 0 else sum(max(0, wcwidth(letter)) for letter in text)


def is_short(text: str) -> bool:
    """Return whether a cell is so short that it should not be broken into lines."""
    return len(text) <= _SHORT_COLUMNS and width(text) <= _SHORT_COLUMNS


def align(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> list[str]:
    """Return each row as a line; every cell is as wide as the widest of its column.

    Args:
        rows: at least one; shorter ones are filled up.
        right: the places of the columns that are flush right, from 0.
    """
    widths = [max(map(width, column)) for column in zip_longest(*rows, fillvalue="")]
    return ["  ".join(_cells(row, widths, right)).rstrip() for row in rows]


def _cells(row: Sequence[str], widths: Sequence[int], right: Collection[int]) -> list[str]:
    return [
        _padded(cell, most, is_right=place in right)
        for place, (cell, most) in enumerate(zip(row, widths, strict=False))
    ]


def _padded(cell: str, most: int, *, is_right: bool) -> str:
    blank = " " * (most - width(cell))
    return blank + cell if is_right else cell + blank
