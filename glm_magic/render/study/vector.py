"""One text alone: nothing to compare, but its vector can be looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glm_magic.render.columns import align
from glm_magic.render.markdown import render_line
from glm_magic.render.study.labels import shorten
from glm_magic.render.words import percent
from glm_magic.study.embeddings import Embeddings, FloatArray

__all__ = ["render_vector", "render_vector_plain"]

_NOTE = "two texts make a comparison; this is one"
_FIRST, _LARGEST = 8, 5
# Widths to which vectors are cut.
_CUTS = (64, 256, 512)


def render_vector(embeddings: Embeddings) -> str:
    """Return what there is to know of the first vector."""
    rows = "".join(
        f'<tr><th scope="row" nowrap="">{name}</th><td>{render_line(value)}</td></tr>'
        for name, value in _facts(embeddings)
    )
    return f"<p>{_NOTE}</p><table><caption>Its vector</caption><tbody>{rows}</tbody></table>"


def render_vector_plain(embeddings: Embeddings) -> list[str]:
    """Return the same as lines."""
    return [_NOTE, *align(_facts(embeddings))]


def _facts(embeddings: Embeddings) -> Sequence[tuple[str, str]]:
    vector = embeddings.vectors[0]
    largest = np.argsort(-np.abs(vector), kind="stable")[:_LARGEST]
    return (
        ("Text", shorten(embeddings.names[0], 100)),
        ("First numbers", _numbers(vector[:_FIRST]) + (", …" if vector.size > _FIRST else "")),
        ("Largest", ", ".join(f"{vector[i]:z.3f} at {i}" for i in largest)),
        ("Range", f"{vector.min():z.3f} to {vector.max():z.3f}"),
        *_shares(vector),
    )


def _numbers(values: FloatArray) -> str:
    return ", ".join(f"{value:z.3f}" for value in values)


def _shares(vector: FloatArray) -> list[tuple[str, str]]:
    """How much of the length the first numbers hold: what is left of a shorter vector."""
    parts = [
        f"{percent(float(np.linalg.norm(vector[:cut])))} in the first {cut}"
        for cut in _CUTS
        if cut < vector.size
    ]
    return [("Length 1, of it", ", ".join(parts))] if parts else []
