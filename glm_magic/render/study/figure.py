"""Embeddings as a figure of matplotlib, to change and to save.

It is made without pyplot: no window, no backend and no global state is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glm_magic.errors import SettingsError
from glm_magic.render.study.fonts import choose_families, drawable
from glm_magic.render.study.labels import count_named, shorten
from glm_magic.render.study.placement import Box, place_labels
from glm_magic.render.study.sample import sample_embeddings
from glm_magic.render.words import percent
from glm_magic.study.embeddings import Embeddings
from glm_magic.study.projection import Projection, build_projection

__all__ = ["draw_figure"]

_LIMIT_LABELS = 40
_LIMIT_MAP, _LIMIT_HEATMAP = 5_000, 4_000
_LABEL_COLUMNS = 32
_LABEL_POINTS = 9
_SETS = (("first set", "o", "#3b82f6"), ("second set", "D", "#e8743b"))


class _ShownFigure(Figure):
    """A figure that notebooks show, also where pyplot, which would see to it, is not loaded."""

    def _repr_png_(self) -> bytes:
        file = BytesIO()
        self.savefig(file, format="png", bbox_inches="tight")
        return file.getvalue()


def draw_figure(embeddings: Embeddings, kind: str) -> Figure:
    """Return a figure: a "map" or a "heatmap".

    Up to 40 texts have their names at their points, rows and columns. Of more than 5,000 texts
    (in a heat map 4,000) evenly chosen ones are drawn.

    Raises:
        SettingsError: it is another kind, or a map of fewer than three texts.
    """
    if kind not in _KINDS:
        near = get_close_matches(str(kind).lower(), _KINDS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise SettingsError(f"kind={kind!r}: 'map' or 'heatmap' is expected{hint}")
    return _KINDS[kind](embeddings)


def _title(axes: Axes, embeddings: Embeddings) -> None:
    families = choose_families()
    (title,) = drawable(
        [shorten(f"{embeddings.model}, {embeddings.dimensions:,} dimensions", 80)], families
    )
    axes.set_title(title, parse_math=False, family=families)


def _labels(names: Sequence[str], families: Sequence[str]) -> list[str]:
    return drawable((shorten(name, _LABEL_COLUMNS) for name in names), families)


# -- a heat map --------------------------------------------------------------------------------


def _draw_heatmap(embeddings: Embeddings) -> Figure:
    drawn = sample_embeddings(embeddings, _LIMIT_HEATMAP)
    matrix = drawn.similarity
    rows, columns = matrix.shape
    size = (min(12.0, 4 + 0.28 * columns), min(12.0, 3 + 0.28 * rows))
    figure = _ShownFigure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(matrix, cmap="Blues", vmax=1.0, aspect="equal" if rows > 3 else "auto")
    figure.colorbar(image, label="cosine similarity", shrink=0.8)
    _title(axes, embeddings)
    if max(rows, columns) <= _LIMIT_LABELS:
        _label_axes(axes, drawn)
    return figure


def _label_axes(axes: Axes, embeddings: Embeddings) -> None:
    families = choose_families()
    labels = _labels(embeddings.names, families)
    style: dict[str, Any] = {"parse_math": False, "family": families, "fontsize": _LABEL_POINTS}
    rows, columns = labels[embeddings.rows], labels[embeddings.columns]
    axes.set_yticks(range(len(rows)), labels=rows, **style)
    axes.set_xticks(range(len(columns)), labels=columns, rotation=45, ha="right", **style)


# -- a map -------------------------------------------------------------------------------------


def _draw_map(embeddings: Embeddings) -> Figure:
    projection = build_projection(sample_embeddings(embeddings, _LIMIT_MAP))
    figure = _ShownFigure(figsize=(8, 5.5), layout="constrained")
    axes = figure.add_subplot()
    _draw_points(axes, projection)
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.1)
    axes.grid(alpha=0.25)
    first, second = map(percent, projection.explained.tolist())
    axes.set_xlabel(f"1st component, {first} of the variance")
    axes.set_ylabel(f"2nd component, {second}")
    _title(axes, embeddings)
    if count_named(len(projection), projection.split):
        _label_points(figure, axes, projection)
    return figure


def _draw_points(axes: Axes, projection: Projection) -> None:
    split = projection.split
    points = projection.points
    parts = [points] if split is None else [points[:split], points[split:]]
    for order, (part, (name, marker, colour)) in enumerate(zip(parts, _SETS, strict=False)):
        axes.scatter(
            part[:, 0],
            part[:, 1],
            s=28,
            c=colour,
            marker=marker,
            alpha=0.8,
            label=name,
            zorder=3 - order,  # the first set, often the smaller one, lies on top
        )
    if split is not None:
        axes.legend()


def _label_points(figure: Figure, axes: Axes, projection: Projection) -> None:
    """Put each label beside its point, where it covers no other."""
    figure.draw_without_rendering()  # only now it is known where the points are
    families = choose_families()
    named = projection.names[: count_named(len(projection), projection.split)]
    labels = _labels(named, families)
    height = figure.bbox.height
    points = [(x, height - y) for x, y in axes.transData.transform(projection.points)]
    extent = axes.get_window_extent()
    area = Box(extent.x0, height - extent.y1, extent.x1, height - extent.y0)
    for i, label in place_labels(points, dict(enumerate(labels)), area).items():
        offset = np.array([label.x - points[i][0], points[i][1] - label.y]) * 72 / figure.dpi
        axes.annotate(
            label.text,
            (float(projection.points[i, 0]), float(projection.points[i, 1])),
            (float(offset[0]), float(offset[1])),
            textcoords="offset points",
            parse_math=False,
            family=families,
            fontsize=_LABEL_POINTS,
        )


_KINDS = {"map": _draw_map, "heatmap": _draw_heatmap}
