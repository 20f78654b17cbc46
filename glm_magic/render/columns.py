"""Rows of text in columns, for a terminal and for whoever reads a notebook as text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import zip_longest

__all__ = ["align"]


def align(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> list[str]:
    """Return each row as a line; every cell is as wide as the widest of its column.

    Args:
        rows: at least one; shorter ones are filled up.
        right: the places of the columns that are flush right, from 0.
    """
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    return ["  ".join(_cells(row, widths, right)).rstrip() for row in rows]


def _cells(row: Sequence[str], widths: Sequence[int], right: Collection[int]) -> list[str]:
    return [
        cell.rjust(width) if place in right else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(row, widths, strict=False))
    ]
