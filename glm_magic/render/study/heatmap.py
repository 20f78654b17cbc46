"""How alike texts are, as shaded cells: a table of few, a drawing of some, a picture of many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np

from glm_magic.render.columns import align
from glm_magic.render.frame import muted
from glm_magic.render.markdown import render_line
from glm_magic.render.study.labels import shorten
from glm_magic.render.study.picture import png_image, svg_document, svg_image
from glm_magic.render.study.sample import sample_embeddings
from glm_magic.render.study.shade import COLOUR, MOST, Shade
from glm_magic.render.words import counted
from glm_magic.study.embeddings import Embeddings, FloatArray

__all__ = ["draw_cells", "render_heatmap", "render_heatmap_plain"]

_CAPTION = "Cosine similarity"

# A table with more rows or columns would be read by nobody.
_LIMIT_TABLE = 40
# The cosines of so many texts with each other take a fifth of a second.
_LIMIT_SIDE = 2_000

_LABEL_COLUMNS = 48
# Heads of a table that has few columns tell the texts; else they are listed below it.
_LIMIT_HEADS = 6
_HEAD = ' style="text-align: right; vertical-align: bottom; min-width: 3em; max-width: 13em"'
# With more columns a table is wider than a page: smaller type, and its labels stay in sight.
_LIMIT_WIDE = 12
_SMALL = ' style="font-size: 0.85em"'
_STAYS = (
    ' style="text-align: left; white-space: nowrap; position: sticky; left: 0; background: inherit"'
)

# More numbers in a line break it in a terminal.
_LIMIT_PLAIN = 12
_PLAIN_COLUMNS = 30

# A picture: its longest side, that of one beside others, and a cell's side where there are few.
_PIXELS, _SMALL_PIXELS, _CELL_PIXELS = 480, 240, 24
# More steps of the shade are not seen, and make the file larger.
_STEPS = 32

# A drawing: up to so many texts a side it has cells, and numbers in them.
_LIMIT_CELLS, _LIMIT_VALUES = 20, 8
_MARGIN, _CELLS_WIDTH = 22, 280


@dataclass(frozen=True, slots=True)
class _Grid:
    """What the rows and the columns are.

    Attributes:
        rows: positions of texts, as `columns`; of two sets, the larger one.
        matrix: the cosine of each with each.
    """

    rows: range
    columns: range
    matrix: FloatArray

    @classmethod
    def of(cls, embeddings: Embeddings) -> _Grid:
        places = range(len(embeddings))
        rows, columns = places[embeddings.rows], places[embeddings.columns]
        if len(columns) > len(rows):
            return cls(columns, rows, embeddings.similarity.T)
        return cls(rows, columns, embeddings.similarity)


def _longest_side(embeddings: Embeddings) -> int:
    split = embeddings.split or 0
    return max(split, len(embeddings) - split)


def render_heatmap(embeddings: Embeddings) -> str:
    """Return a table where each side has 40 texts at most, else a picture.

    "" where one of two sets is empty, as it may be when a run was stopped.
    """
    if embeddings.split in (0, len(embeddings)):
        return ""
    if _longest_side(embeddings) <= _LIMIT_TABLE:
        return _render_table(embeddings)
    return _render_picture(_sample(embeddings), len(embeddings))


def _sample(embeddings: Embeddings) -> Embeddings:
    """At most 2,000 of the texts, or so many of each set."""
    return sample_embeddings(embeddings, _LIMIT_SIDE * (1 if embeddings.split is None else 2))


# -- a table -----------------------------------------------------------------------------------


def _render_table(embeddings: Embeddings) -> str:
    grid = _Grid.of(embeddings)
    names = [render_line(shorten(name, _LABEL_COLUMNS)) for name in embeddings.names]
    is_one_set = embeddings.split is None
    has_heads = not is_one_set and len(grid.columns) <= _LIMIT_HEADS
    heads = "".join(_head(i + 1, names[i] if has_heads else "") for i in grid.columns)
    small, label = (_SMALL, _STAYS) if len(grid.columns) > _LIMIT_WIDE else ("", ' nowrap=""')
    rows = "".join(
        f'<tr><th scope="row" align="right">{i + 1}</th><th scope="row"{label}>{names[i]}</th>'
        f"{cells}</tr>"
        for i, cells in zip(grid.rows, _cells(grid.matrix, is_one_set), strict=True)
    )
    below = "" if is_one_set or has_heads else _render_list(names, grid.columns)
    return (
        f"<table><caption>{_CAPTION}</caption><thead{small}><tr><td></td>"
        f'<th scope="col">Text</th>{heads}</tr></thead><tbody{small}>{rows}</tbody></table>{below}'
    )


def _head(number: int, name: str) -> str:
    if not name:
        return f'<th scope="col" align="right">{number}</th>'
    return f'<th scope="col"{_HEAD}>{number}<br>{name}</th>'


def _cells(matrix: FloatArray, is_one_set: bool) -> Iterator[str]:
    """The cells of each row; of 40 texts there are 1,600, hence so little in each."""
    shade = Shade.of(matrix)
    for place, values in enumerate(matrix):
        cells = [
            f'<td style="{style}">{value:z.2f}</td>'
            for value, style in zip(values.tolist(), shade.styles(values), strict=True)
        ]
        if is_one_set:
            # How alike a text is to itself tells nothing.
            cells[place] = f'<td style="opacity: 0.5">{values[place]:.2f}</td>'
        yield "".join(cells)


def _render_list(names: Sequence[str], places: range) -> str:
    """The texts that stand for the columns, by their numbers."""
    items = "".join(f"<li>{names[i]}</li>" for i in places)
    return f'<ol start="{places[0] + 1}">{items}</ol>'


def render_heatmap_plain(embeddings: Embeddings) -> list[str]:
    """Return the table as lines, if it is narrow enough for a terminal; else none."""
    if _longest_side(embeddings) > _LIMIT_TABLE:
        return []
    grid = _Grid.of(embeddings)
    if not 0 < len(grid.columns) <= _LIMIT_PLAIN:
        return []
    names = [shorten(name, _PLAIN_COLUMNS) for name in embeddings.names]
    head = ("", "", *(str(i + 1) for i in grid.columns))
    body = [
        (str(i + 1), names[i], *(f"{value:z.2f}" for value in values))
        for i, values in zip(grid.rows, grid.matrix.tolist(), strict=True)
    ]
    lines = align([head, *body], right=(0, *range(2, len(head))))
    columns = () if embeddings.split is None else grid.columns
    return [_CAPTION, *lines, *(f"{i + 1}  {names[i]}" for i in columns)]


# -- a picture ---------------------------------------------------------------------------------


def _render_picture(embeddings: Embeddings, count: int) -> str:
    matrix = embeddings.similarity
    drawn = _averaged(matrix, _PIXELS)
    shade = _shade_of(drawn)
    size, png = _draw_png(drawn, shade, _PIXELS)
    what = _what(embeddings)
    notes = (
        f"{what}: {shade.low:z.2f} and less is clear, {shade.high:z.2f} and more is full",
        f"{len(embeddings):,} evenly chosen ones of {count:,}" if len(embeddings) < count else "",
        "a point is the average of its neighbourhood" if drawn.size < matrix.size else "",
    )
    image = png_image(png, f"Heat map: {what}", size)
    words = muted(render_line("; ".join(filter(None, notes))))
    return f"<div>{_CAPTION}</div><div>{image}</div>{words}"


def _what(embeddings: Embeddings) -> str:
    count, split = len(embeddings), embeddings.split
    if split is None:
        return f"{counted(count, 'text')} with each other, from the upper left on in their order"
    return f"{counted(split, 'text')} (downwards) with {count - split:,} others (to the right)"


def _averaged(matrix: FloatArray, pixels: int) -> FloatArray:
    """The matrix, or the averages of blocks of it where it has more than a picture's points."""
    for axis in (0, 1):
        count = matrix.shape[axis]
        if count > pixels:
            starts = np.arange(pixels) * count // pixels
            sizes = np.diff(starts, append=count).astype(np.float32)
            shape = (-1, 1) if axis == 0 else (1, -1)
            matrix = np.add.reduceat(matrix, starts, axis=axis) / sizes.reshape(shape)
    return matrix


def _shade_of(drawn: FloatArray) -> Shade:
    """The shade of a picture: a few values far out do not make the others pale."""
    return Shade(*np.quantile(drawn, (0.01, 0.99)).tolist())


def _draw_png(drawn: FloatArray, shade: Shade, most: int) -> tuple[int, bytes]:
    """The width of a picture with a square for each value, and its PNG."""
    from PIL import Image

    steps = np.rint(shade.strengths(drawn) * (_STEPS - 1)).astype(np.uint8)
    for axis, count in enumerate(steps.shape):
        # Enlarged here: not every viewer keeps the style that would do it without blur.
        pixels = min(most, _CELL_PIXELS * count)
        steps = steps.take(np.arange(pixels) * count // pixels, axis=axis)
    image = Image.fromarray(steps)
    image.putpalette(bytes.fromhex(COLOUR[1:]) * _STEPS)
    file = BytesIO()
    alphas = np.rint(np.linspace(0, 255, _STEPS)).astype(np.uint8)
    image.save(file, "PNG", transparency=alphas.tobytes())
    return image.width, file.getvalue()


# -- a drawing ---------------------------------------------------------------------------------


def draw_cells(embeddings: Embeddings, name: str) -> str:
    """Return the similarities as a small image: of a few texts with their numbers, else without.

    Args:
        name: of the embeddings, plain text.
    """
    alt = f"Heat map, {name}: {_what(embeddings)}"
    if _longest_side(embeddings) > _LIMIT_CELLS:
        drawn = _averaged(_sample(embeddings).similarity, _SMALL_PIXELS)
        width, png = _draw_png(drawn, _shade_of(drawn), _SMALL_PIXELS)
        return png_image(png, alt, width)
    grid = _Grid.of(embeddings)
    side = min(34, _CELLS_WIDTH // len(grid.rows))
    body = "".join((*_draw_squares(grid.matrix, side), *_draw_numbers(grid, side)))
    size = (_MARGIN + len(grid.columns) * side, _MARGIN + len(grid.rows) * side)
    return svg_image(svg_document(body, *size), alt, size[0])


def _draw_squares(matrix: FloatArray, side: int) -> Iterator[str]:
    has_values = max(matrix.shape) <= _LIMIT_VALUES
    alphas = Shade.of(matrix).strengths(matrix) * (MOST if has_values else 1.0)
    yield f'<g transform="translate({_MARGIN} {_MARGIN})scale({side})" fill="{COLOUR}">'
    for y, row in enumerate(alphas.tolist()):
        for x, alpha in enumerate(row):
            yield f'<path d="M{x} {y}h.95v.95h-.95z" opacity="{alpha:.2f}"/>'
    yield "</g>"
    if has_values:
        for y, row in enumerate(matrix.tolist()):
            for x, value in enumerate(row):
                yield _text(x, y, f"{value:z.2f}", side, 'class="cell" font-size="11"')


def _draw_numbers(grid: _Grid, side: int) -> Iterator[str]:
    style = 'font-size="10" opacity=".75"'
    for place, i in enumerate(grid.rows):
        yield _text(-1, place, str(i + 1), side, style)
    for place, i in enumerate(grid.columns):
        yield _text(place, -1, str(i + 1), side, style)


def _text(x: int, y: int, text: str, side: int, style: str) -> str:
    """Text in the middle of a square, or of the margin where a place is -1."""
    left, top = (_MARGIN / 2 if place < 0 else _MARGIN + (place + 0.48) * side for place in (x, y))
    return f'<text x="{left:.0f}" y="{top + 4:.0f}" text-anchor="middle" {style}>{text}</text>'
