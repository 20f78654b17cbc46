"""The pairs of texts that are closest and farthest, and all of them as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

    from glm_magic.study.embeddings import Embeddings

__all__ = ["LIMIT_PAIRS_TEXTS", "Pair", "extreme_pairs", "pair_frame"]

# Of so many texts there are twelve million pairs.
LIMIT_PAIRS_TEXTS = 5_000


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts by their positions, and their cosine; of two sets `i` is of the first."""

    i: int
    j: int
    similarity: float


def _positions(embeddings: Embeddings) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the positions of both texts of every pair, each pair once."""
    count, split = len(embeddings), embeddings.split
    if split is None:
        return np.triu_indices(count, k=1)
    rows, columns = np.indices((split, count - split))
    return rows.ravel(), columns.ravel() + split


def pair_frame(embeddings: Embeddings) -> pd.DataFrame:
    """Return every pair with its similarity, the closest first.

    Raises:
        SettingsError: more than 5,000 texts.
    """
    import pandas as pd

    embeddings.check_matrix("pairs", LIMIT_PAIRS_TEXTS)
    i, j = _positions(embeddings)
    cosines = embeddings.similarity[i, j - (embeddings.split or 0)]
    order = np.argsort(-cosines, kind="stable")
    i, j, cosines = i[order].astype(np.int32), j[order].astype(np.int32), cosines[order]
    # Of millions of pairs each text is kept once.
    names = pd.Categorical(embeddings.names)
    columns = {"a": names.take(i), "b": names.take(j), "similarity": cosines, "i": i, "j": j}
    return pd.DataFrame(columns)


def extreme_pairs(embeddings: Embeddings, count: int) -> tuple[list[Pair], list[Pair]]:
    """Return the closest pairs and the farthest ones, at most `count` of each, none in both.

    Two that are the same text are no pair here.

    Raises:
        SettingsError: too many texts for their matrix.
    """
    i, j = _positions(embeddings)
    codes = np.unique(np.array(embeddings.texts, dtype=object), return_inverse=True)[1]
    is_pair = codes[i] != codes[j]
    i, j = i[is_pair], j[is_pair]
    cosines = embeddings.similarity[i, j - (embeddings.split or 0)]
    closest = _lowest(-cosines, min(count, -(-len(cosines) // 2)))
    cosines_left = cosines.copy()
    cosines_left[closest] = np.inf
    farthest = _lowest(cosines_left, min(count, len(cosines) // 2))

    def pairs(places: npt.NDArray[np.intp]) -> list[Pair]:
        return [Pair(int(i[p]), int(j[p]), float(cosines[p])) for p in places]

    return pairs(closest), pairs(farthest)


def _lowest(values: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.intp]:
    """The places of the lowest values, the lowest first; of equal ones the first."""
    if count == 0:
        return np.empty(0, dtype=np.intp)
    limit = np.partition(values, count - 1)[count - 1]
    some = np.flatnonzero(values <= limit)
    return some[np.argsort(values[some], kind="stable")][:count]
