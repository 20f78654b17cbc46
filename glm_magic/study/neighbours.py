"""Cosines of vectors, and what is nearest, without building the matrix of all with all."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

__all__ = ["cosine_similarity", "nearest", "neighbours"]

FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.intp]

# Of one block of cosines: large enough for BLAS, small beside the vectors.
_BLOCK_BYTES = 32 * 2**20


def cosine_similarity(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the cosine of every row of `a` with every row of `b`.

    Args:
        a: shape (n, d), float32, rows of length 1.
        b: shape (m, d), likewise, of the same model.

    Returns:
        Shape (n, m), without unit, in [-1.0, 1.0]; 1.0 is the same direction.

    Raises:
        ValueError: the widths differ.
    """
    cosines: FloatArray = a @ b.T
    # Rounding may leave a cosine a few millionths outside of what a cosine can be.
    return np.clip(cosines, -1.0, 1.0, out=cosines)


def nearest(
    vectors: FloatArray, queries: FloatArray, k: int, *, skip: IndexArray | None = None
) -> tuple[IndexArray, FloatArray]:
    """Return the k rows of `vectors` nearest to each query, and their cosines, nearest first.

    Args:
        vectors: shape (n, d), float32, rows of length 1.
        queries: shape (q, d), likewise.
        k: at least 1; with fewer rows there are fewer columns.
        skip: for each query a row that does not count: itself, mostly.

    Returns:
        Shapes (q, k); of equal cosines the lower row comes first.
    """
    count = min(k, len(vectors) - (skip is not None))
    rows = np.empty((len(queries), count), dtype=np.intp)
    cosines = np.empty((len(queries), count), dtype=np.float32)
    for part in _blocks(len(queries), len(vectors)):
        block = cosine_similarity(queries[part], vectors)
        if skip is not None:
            block[np.arange(len(block)), skip[part]] = -np.inf
        rows[part], cosines[part] = _top(block, count)
    return rows, cosines


def neighbours(vectors: FloatArray, k: int) -> IndexArray:
    """Return for each row the k others nearest to it, the nearest first: shape (n, k)."""
    return nearest(vectors, vectors, k, skip=np.arange(len(vectors)))[0]


def _blocks(count: int, width: int) -> Iterator[slice]:
    """The queries in parts whose cosines with all rows fit in a block."""
    step = max(1, _BLOCK_BYTES // (4 * max(1, width)))
    return (slice(start, start + step) for start in range(0, count, step))


def _top(block: FloatArray, count: int) -> tuple[IndexArray, FloatArray]:
    """The columns with the highest values of each row, the highest first."""
    if count < block.shape[1]:
        part = np.argpartition(block, -count, axis=1)[:, -count:] if count else block[:, :0]
    else:
        part = np.broadcast_to(np.arange(block.shape[1]), block.shape)
    part = np.sort(part.astype(np.intp), axis=1)
    values = np.take_along_axis(block, part, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(part, order, axis=1), np.take_along_axis(values, order, axis=1)
