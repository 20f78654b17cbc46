"""Texts as points of a plane: their first two principal components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from glm_magic.errors import SettingsError

if TYPE_CHECKING:
    import pandas as pd

    from glm_magic.study.embeddings import Embeddings

__all__ = ["Projection", "build_projection", "project"]

FloatArray = npt.NDArray[np.float32]
# Of more texts the axes are those of an even sample of so many.
_LIMIT_FIT = 20_000
# All singular values of a matrix that is no larger on its shorter side take 30 ms.
_LIMIT_EXACT = 200
_SUBSPACE, _ROUNDS = 12, 12


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Texts on a plane.

    Attributes:
        points: shape (n, 2), float32.
        explained: the share of the variance along each axis, 0 to 1.
        names: what each text is called.
        split: the first so many texts are one set, the others another; None is one set.
    """

    points: FloatArray
    explained: npt.NDArray[np.float64]
    names: tuple[str, ...]
    texts: tuple[str, ...]
    split: int | None
    model: str

    @property
    def df(self) -> pd.DataFrame:
        """The points with their texts, and labels where texts have them."""
        import pandas as pd

        columns = {"x": self.points[:, 0], "y": self.points[:, 1], "text": self.texts}
        if self.names != self.texts:
            columns["label"] = self.names
        return pd.DataFrame(columns)

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        return f"<Projection of {len(self):,} texts, {self.explained.sum():.0%} of the variance>"

    def _repr_html_(self) -> str:
        """Show it where our own formatter does not: in other viewers."""
        from glm_magic.render.study.plane import render_plane

        return render_plane(self)


def build_projection(embeddings: Embeddings) -> Projection:
    """Return the texts as points.

    Raises:
        SettingsError: fewer than three texts.
    """
    if len(embeddings) < 3:
        raise SettingsError(f"a map needs three texts or more; here is {len(embeddings)}")
    points, explained = project(embeddings.vectors)
    e = embeddings
    return Projection(points, explained, e.names, e.texts, e.split, e.model)


def project(vectors: FloatArray) -> tuple[FloatArray, npt.NDArray[np.float64]]:
    """Return the first two principal components of each row, and their shares of the variance.

    By the singular values of the centred rows; of each axis the point farthest out is positive.

    Args:
        vectors: shape (n, d), at least one row.

    Returns:
        Shapes (n, 2) and (2,); zeros where all rows are the same.
    """
    sample = vectors[:: -(-len(vectors) // _LIMIT_FIT)]
    middle = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = sample - middle
    total = float(np.einsum("ij,ij->", centred, centred, dtype=np.float64))
    if total <= 1e-10 * len(sample):  # what rounding leaves of rows that are all the same
        return np.zeros((len(vectors), 2), dtype=np.float32), np.zeros(2)
    axes, variances = _axes(centred)
    points = (centred if len(sample) == len(vectors) else vectors - middle) @ axes
    farthest = points[np.abs(points).argmax(axis=0), (0, 1)]
    return points * np.where(farthest < 0, np.float32(-1), np.float32(1)), variances / total


def _axes(centred: FloatArray) -> tuple[FloatArray, npt.NDArray[np.float64]]:
    """The two directions of the largest variance, shape (d, 2), and the variances.

    Of a large matrix by iteration on a subspace (Halko, Martinsson and Tropp 2011, 4.5): all of
    its singular values would take a hundred times as long.
    """
    width = min(centred.shape)
    block = centred if width <= _LIMIT_EXACT else _subspace(centred)
    _, values, directions = np.linalg.svd(block.astype(np.float64), full_matrices=False)
    gap = max(0, 2 - len(values))
    axes = np.pad(directions[:2].T, ((0, 0), (0, gap))).astype(np.float32)
    return axes, np.pad(values[:2] ** 2, (0, gap))


def _subspace(centred: FloatArray) -> FloatArray:
    """A few rows with the largest singular values and their directions of the whole."""
    chance = np.random.default_rng(0)
    start = chance.standard_normal((centred.shape[1], _SUBSPACE), dtype=np.float32)
    basis = np.linalg.qr(centred @ start)[0]
    for _ in range(_ROUNDS):
        basis = np.linalg.qr(centred @ np.linalg.qr(centred.T @ basis)[0])[0]
    rows: FloatArray = basis.T @ centred
    return rows
