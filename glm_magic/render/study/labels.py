"""What a text is called where there is little room: the start of it, in one line."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from wcwidth import wcwidth

from glm_magic.render.clean import clean_line
from glm_magic.render.columns import width

__all__ = ["count_named", "shorten"]

# Of one set of texts, or of each of two.
_LIMIT_NAMED = 40


def shorten(text: str, columns: int) -> str:
    """Return the text cleaned and in one line, as wide as so many columns of a terminal at most.

    Args:
        columns: at least 1; of a Chinese character it takes two. A longer line ends in "…".
    """
    line = clean_line(text, columns)
    if width(line) <= columns:
        return line
    ends = list(accumulate(max(0, wcwidth(letter)) for letter in line))
    return line[: bisect_right(ends, columns - 1)].rstrip() + "…"


def count_named(count: int, split: int | None) -> int:
    """Return how many of so many texts have their names on a map: all, the first set, or none."""
    first = split or 0
    if max(first, count - first) <= _LIMIT_NAMED:
        return count
    return first if first <= _LIMIT_NAMED else 0
