"""Cosines of vectors, and what is nearest, without building the matrix of all with all."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

__all__ = ["cosine_similarity", "nearest"]

FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.intp]

# Of one block of cosines: large enough for BLAS, small beside vectors that need blocks.
_BLOCK_BYTES = 64 * 2**20


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
        Shapes (q, k); which of equal cosines comes first is not said, but always the same.
    """
    count = min(k, len(vectors) - (skip is not None))
    rows = np.empty((len(queries), count), dtype=np.intp)
    cosines = np.empty((len(queries), count), dtype=np.float32)
    buffer = np.empty((0, 0), dtype=np.float32)
    for part in _blocks(len(queries), len(vectors)):
        asked = queries[part]
        if not buffer.size:  # of the first block, the largest
            buffer = np.empty((len(asked), len(vectors)), dtype=np.float32)
        block = np.matmul(asked, vectors.T, out=buffer[: len(asked)])
        if skip is not None:
            block[np.arange(len(block)), skip[part]] = -np.inf
        rows[part], cosines[part] = _top(block, count)
    # Rounding may leave a cosine a few millionths outside of what a cosine can be.
    return rows, np.clip(cosines, -1.0, 1.0, out=cosines)


def _blocks(count: int, width: int) -> Iterator[slice]:
    """The queries in parts of about one size, whose cosines with all rows fit in a block."""
    most = max(1, _BLOCK_BYTES // (4 * max(1, width)))
    step = -(-count // -(-count // most)) if count else 1
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def _top(block: FloatArray, count: int) -> tuple[IndexArray, FloatArray]:
    """The columns with the highest values of each row, the highest first."""
    columns = _candidates(block, count)
    values = np.take_along_axis(block, columns, axis=1)
    if count < columns.shape[1]:
        part = np.argpartition(values, -count, axis=1)[:, columns.shape[1] - count :]
        columns = np.take_along_axis(columns, part, axis=1)
        values = np.take_along_axis(values, part, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1), np.take_along_axis(values, order, axis=1)


def _candidates(block: FloatArray, count: int) -> IndexArray:
    """Some columns of each row, the `count` highest of it among them.

    The columns are dealt into classes, and the highest value of each class is found, which is
    quick. A value outside of the `count` best classes has as many above it, or its equals.
    """
    width = block.shape[1]
    deals = int((width / max(1, count)) ** 0.5)
    classes = width // max(1, deals)
    if deals < 4 or classes <= count:
        return np.broadcast_to(np.arange(width), block.shape)
    dealt = block[:, : deals * classes].reshape(len(block), deals, classes)
    best = np.argpartition(dealt.max(axis=1), -count, axis=1)[:, classes - count :]
    rows = best[:, :, None] + classes * np.arange(deals)
    rest = np.arange(deals * classes, width)
    rest = np.broadcast_to(rest, (len(block), rest.size))
    return np.concatenate([rows.reshape(len(block), -1), rest], axis=1)
