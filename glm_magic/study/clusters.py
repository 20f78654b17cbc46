"""Texts that belong together: k-means on directions (spherical k-means, Dhillon and Modha 2001)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

__all__ = ["cluster"]

FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.intp]
SumArray = npt.NDArray[np.float64]

_ROUNDS, _STARTS = 25, 8
# So many multiplications of a round are divided among the starts: they take a second or two.
_LIMIT_WORK = 1_000_000_000
# Of what is made for some texts at a time.
_BLOCK_BYTES = 16 * 2**20


def cluster(vectors: FloatArray, k: int) -> tuple[IndexArray, FloatArray]:
    """Return the group of each row and its cosine with the middle of its group.

    The same rows give the same groups. Group 0 is the largest; of equal ones the first to come.

    Args:
        vectors: shape (n, d), float32, rows of length 1.
        k: 1 to n.
    """
    chance = np.random.default_rng(0)
    starts = max(1, min(_STARTS, _LIMIT_WORK // (vectors.size * k)))
    ways = (_settle(vectors, _begin(vectors, k, chance)) for _ in range(starts))
    groups, cosines = max(ways, key=lambda way: float(way[1].sum(dtype=np.float64)))
    groups = _numbered(_filled(groups, cosines, k), k)
    middles = _directions(_sums(vectors, groups, k))
    return groups, _own_cosines(vectors, middles, groups)


def _begin(vectors: FloatArray, k: int, chance: np.random.Generator) -> FloatArray:
    """Rows far from each other, by chance (k-means++, Arthur and Vassilvitskii 2007)."""
    chosen = [int(chance.integers(len(vectors)))]
    best = vectors @ vectors[chosen[0]]
    while len(chosen) < k:
        far = (1 - best.astype(np.float64)).clip(0)
        far[chosen] = 0
        if far.sum() < 1e-6:  # what is left is the same as what is chosen
            chosen += np.setdiff1d(np.arange(len(far)), chosen)[: k - len(chosen)].tolist()
            break
        rows = _draw(vectors, far, min(k - len(chosen), 1 + len(chosen) // 16), chance)
        chosen += rows
        np.maximum(best, (vectors @ vectors[rows].T).max(axis=1), out=best)
    return vectors[chosen]


def _draw(vectors: FloatArray, far: SumArray, count: int, chance: np.random.Generator) -> list[int]:
    """Rows, `count` at most, much as if each was drawn by how far it is from all before it.

    One after the other is a product of all vectors for each. So they are drawn at once, and one
    that is near another of these is refused, the more probably the nearer it is.
    """
    bounds = far.cumsum()
    drawn = np.searchsorted(bounds, chance.random(count) * bounds[-1], side="right")
    rows = np.unique(drawn.clip(max=len(far) - 1))
    cosines = vectors[rows] @ vectors[rows].T
    kept: list[int] = []
    for place, luck in enumerate(chance.random(len(rows)).tolist()):
        distance = 1 - float(cosines[place, kept].max(initial=-1.0))
        if luck * far[rows[place]] < distance:
            kept.append(place)
    return [int(row) for row in rows[kept]]


def _settle(vectors: FloatArray, middles: FloatArray) -> tuple[IndexArray, FloatArray]:
    """The nearest middle of each row, and the cosine, once middles and groups fit each other."""
    k = len(middles)
    groups, cosines = _assign(vectors, middles)
    sums = _sums(vectors, groups, k)
    for _ in range(_ROUNDS):
        middles, before = _directions(sums), groups
        if (empty := np.flatnonzero(np.bincount(groups, minlength=k) == 0)).size:
            middles[empty] = vectors[np.argsort(cosines, kind="stable")[: empty.size]]
        groups, cosines = _assign(vectors, middles)
        changed = np.flatnonzero(groups != before)
        if not changed.size:
            break
        # Soon there are few: the sums of all rows would take as long as all the rest.
        some = vectors[changed]
        sums += _sums(some, groups[changed], k) - _sums(some, before[changed], k)
    return groups, cosines


def _assign(vectors: FloatArray, middles: FloatArray) -> tuple[IndexArray, FloatArray]:
    groups = np.empty(len(vectors), dtype=np.intp)
    cosines = np.empty(len(vectors), dtype=np.float32)
    for part in _parts(len(vectors), len(middles)):
        block = vectors[part] @ middles.T
        groups[part] = block.argmax(axis=1)
        cosines[part] = block.max(axis=1)
    return groups, cosines


def _sums(vectors: FloatArray, groups: IndexArray, k: int) -> SumArray:
    """The sum of the rows of each group: shape (k, d)."""
    sums = np.zeros((k, vectors.shape[1]), dtype=np.float64)
    numbers = np.arange(k)[:, None]
    for part in _parts(len(vectors), k):
        # As a product of matrices: taking the rows of each group together takes four times as long.
        sums += (groups[part] == numbers).astype(np.float32) @ vectors[part]
    return sums


def _directions(sums: SumArray) -> FloatArray:
    """The middles of groups; one that is empty, or whose rows make up for each other, has none."""
    lengths = np.linalg.norm(sums, axis=1)[:, None]
    middles: FloatArray = (sums / np.where(lengths < 1e-6, np.inf, lengths)).astype(np.float32)
    return middles


def _filled(groups: IndexArray, cosines: FloatArray, k: int) -> IndexArray:
    """No group empty: each gets the row that fits worst where it is and is not alone there."""
    groups, counts = groups.copy(), np.bincount(groups, minlength=k)
    worst = iter(np.argsort(cosines, kind="stable").tolist())
    for group in np.flatnonzero(counts == 0).tolist():
        row = next(row for row in worst if counts[groups[row]] > 1)
        counts[groups[row]] -= 1
        counts[group], groups[row] = 1, group
    return groups


def _numbered(groups: IndexArray, k: int) -> IndexArray:
    """The groups numbered by their size, then by their first row."""
    _, firsts, counts = np.unique(groups, return_index=True, return_counts=True)
    numbers = np.empty(k, dtype=np.intp)
    numbers[np.lexsort((firsts, -counts))] = np.arange(k)
    return numbers[groups]


def _own_cosines(vectors: FloatArray, middles: FloatArray, groups: IndexArray) -> FloatArray:
    cosines = np.empty(len(vectors), dtype=np.float32)
    for part in _parts(len(vectors), vectors.shape[1]):
        np.einsum("ij,ij->i", vectors[part], middles[groups[part]], out=cosines[part])
    return np.clip(cosines, -1.0, 1.0, out=cosines)


def _parts(count: int, width: int) -> Iterator[slice]:
    """The rows in parts, each with so many numbers of its own that a block holds them."""
    step = max(1, _BLOCK_BYTES // (4 * width))
    return (slice(start, start + step) for start in range(0, count, step))
