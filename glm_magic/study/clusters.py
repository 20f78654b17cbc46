"""Texts that belong together: k-means on directions (spherical k-means, Dhillon and Modha 2001)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from glm_magic.study.neighbours import nearest

__all__ = ["cluster"]

FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.intp]

_ROUNDS, _STARTS = 25, 8
# One start is enough for many texts, and all there is time for.
_MANY = 20_000


def cluster(vectors: FloatArray, k: int) -> tuple[IndexArray, FloatArray]:
    """Return the group of each row and its cosine with the middle of its group.

    The same rows give the same groups. Group 0 is the largest; of equal ones the first to come.

    Args:
        vectors: shape (n, d), float32, rows of length 1.
        k: 1 to n.
    """
    chance = np.random.default_rng(0)
    starts = 1 if len(vectors) > _MANY else _STARTS
    ways = (_settle(vectors, _begin(vectors, k, chance)) for _ in range(starts))
    groups, cosines = max(ways, key=lambda way: float(way[1].sum(dtype=np.float64)))
    return _ordered(groups, k), cosines


def _begin(vectors: FloatArray, k: int, chance: np.random.Generator) -> FloatArray:
    """Rows far from each other, by chance (k-means++)."""
    chosen = [int(chance.integers(len(vectors)))]
    best = vectors @ vectors[chosen[0]]
    for _ in range(k - 1):
        far = (1 - best.astype(np.float64)).clip(0)
        far[chosen] = 0
        total = far.sum()
        left = np.setdiff1d(np.arange(len(vectors)), chosen) if total < 1e-9 else None
        row = int(left[0]) if left is not None else int(chance.choice(len(far), p=far / total))
        chosen.append(row)
        np.maximum(best, vectors @ vectors[row], out=best)
    return vectors[chosen]


def _settle(vectors: FloatArray, middles: FloatArray) -> tuple[IndexArray, FloatArray]:
    groups, cosines = _assign(vectors, middles)
    for _ in range(_ROUNDS):
        middles = _middles(vectors, groups, cosines, len(middles))
        before = groups
        groups, cosines = _assign(vectors, middles)
        if (groups == before).all():
            break
    return _filled(groups, cosines, len(middles))


def _assign(vectors: FloatArray, middles: FloatArray) -> tuple[IndexArray, FloatArray]:
    groups, cosines = nearest(middles, vectors, 1)
    return groups[:, 0], cosines[:, 0]


def _middles(vectors: FloatArray, groups: IndexArray, cosines: FloatArray, k: int) -> FloatArray:
    """The direction of each group; a group without texts gets the one that fits worst."""
    sums = np.zeros((k, vectors.shape[1]), dtype=np.float64)
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], np.arange(k))
    present = np.unique(groups)
    sums[present] = np.add.reduceat(vectors[order], starts[present], axis=0)
    lengths = np.linalg.norm(sums, axis=1)
    worst = iter(np.argsort(cosines, kind="stable"))
    for group in np.flatnonzero(lengths < 1e-9):
        sums[group] = vectors[next(worst)]
        lengths[group] = 1.0
    middles: FloatArray = (sums / lengths[:, None]).astype(np.float32)
    return middles


def _filled(groups: IndexArray, cosines: FloatArray, k: int) -> tuple[IndexArray, FloatArray]:
    """No group empty: texts that are all the same are divided all the same."""
    groups, counts = groups.copy(), np.bincount(groups, minlength=k)
    for group in np.flatnonzero(counts == 0):
        place = int(np.flatnonzero(counts[groups] > 1)[-1])
        counts[groups[place]] -= 1
        counts[group], groups[place], cosines[place] = 1, group, 1.0
    return groups, cosines


def _ordered(groups: IndexArray, k: int) -> IndexArray:
    """The groups numbered by their size, then by their first member."""
    firsts = np.array([np.flatnonzero(groups == group)[0] for group in range(k)])
    order = np.lexsort((firsts, -np.bincount(groups, minlength=k)))
    numbers = np.empty(k, dtype=np.intp)
    numbers[order] = np.arange(k)
    return numbers[groups]
