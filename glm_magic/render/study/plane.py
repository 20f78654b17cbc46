"""Texts as points of a plane: a map of which are near each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from glm_magic.render.clean import clean_line
from glm_magic.render.columns import align
from glm_magic.render.frame import frame, muted
from glm_magic.render.markdown import render_line
from glm_magic.render.study.labels import count_named, shorten
from glm_magic.render.study.picture import svg_document, svg_image, svg_text
from glm_magic.render.study.placement import Anchor, Box, Label, place_labels
from glm_magic.render.study.sample import Positions, sample_positions
from glm_magic.render.words import counted, percent
from glm_magic.study.embeddings import FloatArray
from glm_magic.study.projection import Projection

__all__ = ["MAP_PIXELS", "render_map", "render_plane", "render_plane_plain"]

MAP_PIXELS = 560
_WIDTH, _HEIGHT = MAP_PIXELS, 380
_AREA = Box(24, 24, _WIDTH - 6, _HEIGHT - 24)
# Between the outermost points and the edge of the area.
_PADDING = 18
# How much more the one component may be stretched than the other, to fill the area.
_LIMIT_STRETCH = 1.5
_LEAST_GRID_PIXELS = 50

_LIMIT_POINTS = 1_000
# More points lie over each other, and are drawn half-clear.
_LIMIT_STRONG = 80
_LIMIT_PLAIN = 40
_LABEL_COLUMNS = 32

# They read on white and on near-black, and are told apart without colours by their shapes.
_COLOURS = ("#3b82f6", "#e8743b")
_SETS = ("first set", "second set")


def render_plane(projection: Projection) -> str:
    """Return the map alone, in a frame."""
    header = f"{projection.model} · {counted(len(projection.names), 'text')}"
    return frame(muted(render_line(clean_line(header))), render_map(projection))


def render_map(projection: Projection, count: int | None = None) -> str:
    """Return the map as an image, and what there is to say of it.

    Args:
        count: how many texts there are, where the projection is of a part of them.
    """
    plan = _Plan.of(projection)
    svg = svg_document("".join(_draw(projection, plan)), _WIDTH, _HEIGHT)
    notes = muted(render_line("; ".join(_notes(plan, count or len(projection.names)))))
    return f"<div>{svg_image(svg, _describe(projection), _WIDTH)}</div>{notes}"


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is drawn, in pixels from the upper left corner.

    Attributes:
        positions: of the texts that are drawn.
        points: of those.
        origin: where both components are 0.
        grid: the distances of the lines, to the right and down.
        labels: of the points that have one, by their places in `points`.
        is_named: whether the labels are all that there should be.
    """

    positions: Positions
    points: Sequence[tuple[float, float]]
    origin: tuple[float, float]
    grid: tuple[float, float]
    labels: Mapping[int, Label]
    is_named: bool

    @classmethod
    def of(cls, projection: Projection) -> _Plan:
        count = len(projection.names)
        positions = sample_positions(count, projection.split, _LIMIT_POINTS)
        chosen = projection.points[positions].astype(float)
        scale, offset = _fit(chosen)
        points = [(float(x), float(y)) for x, y in chosen * scale + offset]
        names = {
            i: shorten(projection.names[i], _LABEL_COLUMNS)
            for i in range(count_named(count, projection.split))
        }
        labels = place_labels(points, names, _AREA)
        is_named = all(i in labels and labels[i].text == name for i, name in names.items())
        origin = (float(offset[0]), float(offset[1]))
        return cls(positions, points, origin, _steps(scale), labels, is_named)


def _fit(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Pixels a unit and an offset, to the right and down, that fit the points into the area."""
    low, high = points.min(axis=0), points.max(axis=0)
    left, top, right, bottom = _AREA
    room = np.array([right - left, bottom - top]) - 2 * _PADDING
    scale = room / np.maximum(high - low, 1e-6)  # all texts may be in one place
    scale = np.minimum(scale, scale.min() * _LIMIT_STRETCH) * (1, -1)
    middle = np.array([left + right, top + bottom]) / 2
    return scale, middle - (low + high) / 2 * scale


def _steps(scale: FloatArray) -> tuple[float, float]:
    """The distances of grid lines: 1, 2 or 5 of a power of ten, in pixels."""
    least = _LEAST_GRID_PIXELS / float(np.abs(scale).min())
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= least)
    across, down = (np.abs(scale) * step).tolist()
    return across, down


# -- the drawing -------------------------------------------------------------------------------


def _draw(projection: Projection, plan: _Plan) -> Iterator[str]:
    yield from _draw_grid(plan)
    yield from _draw_points(projection.split, plan)
    yield from (_text(*label) for label in plan.labels.values())
    yield from _draw_titles(projection)
    if projection.split is not None:
        yield from _draw_legend()


def _draw_grid(plan: _Plan) -> Iterator[str]:
    left, top, right, bottom = _AREA
    across = ((x, top, x, bottom) for x in _lines(left, right, plan.origin[0], plan.grid[0]))
    down = ((left, y, right, y) for y in _lines(top, bottom, plan.origin[1], plan.grid[1]))
    lines = "".join(f"M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}" for a, b, c, d in (*across, *down))
    yield f'<path class="grid" d="{lines}"/>'
    x, y = plan.origin
    zero = f"M{x:.1f} {top}V{bottom}" if left <= x <= right else ""
    zero += f"M{left} {y:.1f}H{right}" if top <= y <= bottom else ""
    yield f'<path class="zero" d="{zero}"/>'


def _lines(low: float, high: float, origin: float, step: float) -> Iterator[float]:
    first, last = math.ceil((low - origin) / step), math.floor((high - origin) / step)
    return (origin + step * i for i in range(first, last + 1) if i)


def _draw_points(split: int | None, plan: _Plan) -> Iterator[str]:
    alpha = 0.9 if len(plan.points) <= _LIMIT_STRONG else 0.6
    sets = [int(split is not None and i >= split) for i in plan.positions.tolist()]
    for number in (1, 0):  # the first set, often the smaller one, lies on top
        marks = "".join(
            _mark(x, y, number)
            for (x, y), own in zip(plan.points, sets, strict=True)
            if own == number
        )
        yield f'<g fill="{_COLOURS[number]}" fill-opacity="{alpha}">{marks}</g>' if marks else ""


def _mark(x: float, y: float, number: int) -> str:
    """A point of the first set (0) or of the second."""
    if number:
        return f'<path d="M{x:.1f} {y - 5.5:.1f}l5.5 5.5-5.5 5.5-5.5-5.5z"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/>'


def _draw_titles(projection: Projection) -> Iterator[str]:
    first, second = _titles(projection)
    middle = (_AREA.left + _AREA.right) / 2, (_AREA.top + _AREA.bottom) / 2
    style = 'text-anchor="middle" opacity=".8"'
    yield f'<text x="{middle[0]}" y="{_HEIGHT - 6}" {style}>{first}</text>'
    yield f'<text transform="translate(14 {middle[1]})rotate(-90)" {style}>{second}</text>'


def _titles(projection: Projection) -> tuple[str, str]:
    first, second = map(percent, projection.explained.tolist())
    return f"1st component, {first} of the variance", f"2nd component, {second}"


def _draw_legend() -> Iterator[str]:
    for number, (name, colour) in enumerate(zip(_SETS, _COLOURS, strict=True)):
        left = 30 + 90 * number
        yield f'<g fill="{colour}">{_mark(left, 10, number)}</g>'
        yield _text(name, left + 10, 14)


def _text(text: str, x: float, y: float, anchor: Anchor = "start") -> str:
    style = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}"{style}>{svg_text(text)}</text>'


# -- words -------------------------------------------------------------------------------------


def _notes(plan: _Plan, count: int) -> Iterator[str]:
    if len(plan.positions) < count:
        yield f"{len(plan.positions):,} evenly chosen ones of {count:,} texts"
    if not plan.is_named:
        yield "where there is no room for a name its number stands, or nothing"


def _describe(projection: Projection) -> str:
    """What is to be seen, for those who do not see it: who stands at the edges."""
    points, names = projection.points, projection.names
    ends = {"left": points[:, 0].argmin(), "right": points[:, 0].argmax()}
    ends |= {"top": points[:, 1].argmax(), "bottom": points[:, 1].argmin()}
    edges = "; ".join(f"{side}: {shorten(names[i], 40)}" for side, i in ends.items())
    title, other = _titles(projection)
    return f"Map of {counted(len(names), 'text')}; across: {title}; up: {other}. Farthest {edges}"


def render_plane_plain(projection: Projection) -> str:
    """Return the coordinates of the first texts as lines."""
    names, points = projection.names[:_LIMIT_PLAIN], projection.points[:_LIMIT_PLAIN].tolist()
    rows = [
        (f"{x:z.2f}", f"{y:z.2f}", shorten(name, 48))
        for (x, y), name in zip(points, names, strict=True)
    ]
    rest = len(projection.names) - len(names)
    more = [f"and {rest:,} more; all are in .points"] if rest else []
    header = f"{clean_line(projection.model)} · {counted(len(projection.names), 'text')}"
    lines = align([("1st", "2nd", ""), *rows], right=(0, 1))
    return "\n".join((header, ", ".join(_titles(projection)), *lines, *more))
