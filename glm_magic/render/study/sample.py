"""Which of very many texts are drawn: evenly chosen ones, so that every part is there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from glm_magic.study.embeddings import Embeddings

__all__ = ["sample_embeddings", "sample_positions"]

Positions = npt.NDArray[np.intp]


def sample_positions(count: int, split: int | None, limit: int) -> Positions:
    """Return the positions of at most `limit` of so many texts, in their order.

    Of two sets, the smaller one is thinned out only as far as it has more than half of the limit:
    a few texts that are compared with many stay.
    """
    if split is None:
        return _evenly(count, limit)
    rest = count - split
    first = min(split, max(limit // 2, limit - rest))
    return np.concatenate([_evenly(split, first), split + _evenly(rest, limit - first)])


def _evenly(count: int, limit: int) -> Positions:
    if count <= limit:
        return np.arange(count)
    return np.linspace(0, count - 1, limit).round().astype(np.intp)


def sample_embeddings(embeddings: Embeddings, limit: int) -> Embeddings:
    """Return at most so many of the texts, with their vectors."""
    if len(embeddings) <= limit:
        return embeddings
    split = embeddings.split
    kept = sample_positions(len(embeddings), split, limit)
    return replace(
        embeddings,
        texts=tuple(embeddings.texts[i] for i in kept),
        vectors=embeddings.vectors[kept],
        labels=tuple(embeddings.labels[i] for i in kept) if embeddings.labels else (),
        split=None if split is None else int(np.searchsorted(kept, split)),
        cut=(),
    )
