"""Where labels stand beside their points, so that none covers another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from glm_magic.render.columns import width

__all__ = ["Anchor", "Box", "Label", "place_labels"]

Anchor = Literal["start", "middle", "end"]
# Of letters of 12 pixels in a sans-serif font: a Chinese one takes two columns.
_COLUMN_PIXELS = 6.5
_ASCENT, _DESCENT = 10, 3
# What of a text stands before its anchor.
_BEFORE: dict[Anchor, float] = {"start": 0.0, "middle": 0.5, "end": 1.0}
_GAP = 8
_RADIUS = 5


class Box(NamedTuple):
    """A part of a picture, in pixels; `top` is less than `bottom`."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def holds(self, other: Box) -> bool:
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        )


class Label(NamedTuple):
    """Text at its place: `x` is where its anchor is, `y` its base line.

    How wide it is drawn only the viewer knows; the anchor is where it must be right.
    """

    text: str
    x: float
    y: float
    anchor: Anchor = "start"


def place_labels(
    points: Sequence[tuple[float, float]], names: Mapping[int, str], area: Box
) -> dict[int, Label]:
    """Return where the labels of points stand; those that have no place are left out.

    Those with the most room around them choose first. One that finds no place for its name is
    its number instead, counted from 1, if there is a place for that.

    Args:
        points: in pixels, y downwards.
        names: what is to stand beside some of them, by their places in `points`.
        area: what no label leaves.
    """
    taken = [Box(x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS) for x, y in points]
    labels: dict[int, Label] = {}
    order = _loneliest_first(points, names)
    for texts in (names, {i: str(i + 1) for i in names}):
        for i in order:
            if i not in labels and (found := _find_place(points[i], texts[i], taken, area)):
                labels[i] = found
                taken.append(_box(found))
    return labels


def _loneliest_first(points: Sequence[tuple[float, float]], chosen: Iterable[int]) -> list[int]:
    def room(i: int) -> float:
        x, y = points[i]
        distances = ((x - a) ** 2 + (y - b) ** 2 for j, (a, b) in enumerate(points) if j != i)
        return min(distances, default=0.0)

    return sorted(chosen, key=room, reverse=True)


def _find_place(
    point: tuple[float, float], text: str, taken: Sequence[Box], area: Box
) -> Label | None:
    for label in _places(point, text):
        box = _box(label)
        if area.holds(box) and not any(box.overlaps(other) for other in taken):
            return label
    return None


def _places(point: tuple[float, float], text: str) -> Iterator[Label]:
    """Beside the point, above and below it, then at its corners."""
    x, y = point
    right, left = x + _GAP, x - _GAP
    above, level, below = y - _GAP, y + 4, y + _GAP + _ASCENT
    yield Label(text, right, level)
    yield Label(text, left, level, "end")
    yield Label(text, x, above, "middle")
    yield Label(text, x, below, "middle")
    for base in (above, below):
        yield Label(text, x + 2, base)
        yield Label(text, x - 2, base, "end")


def _box(label: Label) -> Box:
    length = width(label.text) * _COLUMN_PIXELS
    left = label.x - length * _BEFORE[label.anchor]
    return Box(left, label.y - _ASCENT, left + length, label.y + _DESCENT)
