"""The closest and the farthest pairs of texts, as small tables."""

from __future__ import annotations

from collections.abc import Sequence

from glm_magic.render.columns import align, is_short
from glm_magic.render.markdown import render_line
from glm_magic.render.study.labels import shorten
from glm_magic.render.study.shade import Shade
from glm_magic.study.embeddings import Embeddings
from glm_magic.study.pairs import Pair, extreme_pairs

__all__ = ["render_pairs", "render_pairs_plain"]

_PAIRS = 5
# As many as a square of 2,000 texts has cells; its cosines take a fifth of a second.
_LIMIT_CELLS = 2_000 * 2_000
_HEAD = ("Similarity", "a", "b")
_LABEL_COLUMNS, _PLAIN_COLUMNS = 48, 36

Group = tuple[str, Sequence[Pair]]


def render_pairs(embeddings: Embeddings) -> list[str]:
    """Return the tables; none of too many texts, or of texts that are all the same."""
    groups = _groups(embeddings)
    values = [pair.similarity for _, pairs in groups for pair in pairs]
    # One number alone has no other to differ from.
    shade = Shade(min(values) if len(values) > 1 else 0.0)
    return [_render_table(group, embeddings.names, shade) for group in groups]


def _groups(embeddings: Embeddings) -> list[Group]:
    """The pairs to show, by their captions: all of a few, else those at both ends."""
    if len(embeddings) == 2 and embeddings.split in (None, 1):
        return [("Cosine similarity", [Pair(0, 1, float(embeddings.similarity[0, -1]))])]
    split = embeddings.split or len(embeddings)
    if split * len(embeddings) > _LIMIT_CELLS:
        return []
    closest, farthest = extreme_pairs(embeddings, _PAIRS)
    if len(closest) + len(farthest) > _PAIRS:
        return [("Closest", closest), ("Farthest", farthest)]
    return [("Pairs, the closest first", [*closest, *reversed(farthest)])] if closest else []


def _render_table(group: Group, names: Sequence[str], shade: Shade) -> str:
    caption, pairs = group
    head = "".join(f'<th scope="col">{name}</th>' for name in _HEAD)
    rows = "".join(_row(pair, names, shade) for pair in pairs)
    return (
        f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _row(pair: Pair, names: Sequence[str], shade: Shade) -> str:
    texts = "".join(_cell(shorten(names[i], _LABEL_COLUMNS)) for i in (pair.i, pair.j))
    return f"<tr>{shade.cell(pair.similarity)}{texts}</tr>"


def _cell(text: str) -> str:
    nowrap = ' nowrap=""' if is_short(text) else ""
    return f"<td{nowrap}>{render_line(text)}</td>"


def render_pairs_plain(embeddings: Embeddings) -> list[str]:
    """Return the same as lines of text."""
    return [line for group in _groups(embeddings) for line in _lines(group, embeddings.names)]


def _lines(group: Group, names: Sequence[str]) -> list[str]:
    caption, pairs = group
    rows = [
        (f"{p.similarity:z.2f}", *(shorten(names[i], _PLAIN_COLUMNS) for i in (p.i, p.j)))
        for p in pairs
    ]
    return [caption, *align(rows, right=(0,))]
