"""Embeddings as one output: how alike the texts are, which belong together, and what it took."""

from __future__ import annotations

from glm_magic.render.frame import frame, muted
from glm_magic.render.markdown import render_line
from glm_magic.render.study.heatmap import render_heatmap, render_heatmap_plain
from glm_magic.render.study.layout import beside, columns
from glm_magic.render.study.pairs import render_pairs, render_pairs_plain
from glm_magic.render.study.plane import MAP_PIXELS, render_map
from glm_magic.render.study.provenance import header_line
from glm_magic.render.study.sample import sample_embeddings
from glm_magic.render.study.vector import render_vector, render_vector_plain
from glm_magic.study.embeddings import Embeddings
from glm_magic.study.projection import build_projection

__all__ = ["render_embeddings", "render_embeddings_plain"]

# The principal components of so many texts take a second.
_LIMIT_MAP = 5_000
_NUMBERS = "all numbers are in .similarity"
_FURTHER = ".nearest(text, k) finds what is near one of them"


def render_embeddings(embeddings: Embeddings) -> str:
    """Return the similarities, the pairs at both ends and a map as HTML."""
    header = muted(render_line(header_line(embeddings)), "p")
    if not len(embeddings):
        return frame(header)
    if len(embeddings) == 1:
        return frame(header, render_vector(embeddings))
    pairs = render_pairs(embeddings)
    if len(embeddings) == 2:
        return frame(header, columns(*pairs))
    plane = build_projection(sample_embeddings(embeddings, _LIMIT_MAP))
    drawn = render_map(plane, len(embeddings))
    ends = columns(*pairs) if pairs else muted(_FURTHER)
    return frame(header, beside(render_heatmap(embeddings), drawn, MAP_PIXELS), ends)


def render_embeddings_plain(embeddings: Embeddings) -> str:
    """Return the same as lines of text, without the map."""
    return "\n".join((header_line(embeddings), *_plain_parts(embeddings)))


def _plain_parts(embeddings: Embeddings) -> list[str]:
    if not len(embeddings):
        return []
    if len(embeddings) == 1:
        return render_vector_plain(embeddings)
    pairs = render_pairs_plain(embeddings)
    if len(embeddings) == 2:
        return pairs
    heatmap = render_heatmap_plain(embeddings)
    return [*heatmap, *pairs] if heatmap else [*pairs, _NUMBERS if pairs else _FURTHER]
