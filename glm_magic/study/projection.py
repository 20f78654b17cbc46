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
        from glm_magic.render.plane import render_plane

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
    sample = vectors[:: -(-len(vectors) // _LIMIT_FIT)].astype(np.float64)
    middle = sample.mean(axis=0)
    axes, shares = _axes(sample - middle)
    points = (vectors - middle.astype(np.float32)) @ axes.astype(np.float32)
    farthest = points[np.abs(points).argmax(axis=0), (0, 1)]
    return points * np.where(farthest < 0, np.float32(-1), np.float32(1)), shares


def _axes(centred: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    """Two directions, shape (d, 2), and their shares; by the smaller of the two square matrices."""
    count, width = centred.shape
    is_tall = count > width
    square = centred.T @ centred if is_tall else centred @ centred.T
    values, directions = np.linalg.eigh(square)
    values, directions = values[::-1][:2].clip(0), directions[:, ::-1][:, :2]
    total = np.trace(square)
    if not is_tall:
        lengths = np.sqrt(np.where(values > total * 1e-12, values, np.inf))
        directions = centred.T @ directions / lengths
    shares = values / total if total > 1e-12 * count else np.zeros_like(values)
    gap = 2 - len(values)
    return np.pad(directions, ((0, 0), (0, gap))), np.pad(shares, (0, gap))
