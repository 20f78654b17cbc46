"""Embeddings of a handful of texts, and how alike they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from glm_magic.api.embedding import EmbeddingReply
from glm_magic.api.events import Usage

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """The vectors of some texts, and what they tell.

    Attributes:
        texts: n texts, in the order of the cell.
        vectors: shape (n, d), float32, each row of length 1.
        model: the id that the server says made them.
        endpoint: the host they came from, or "local".
        usage: token counts of the request.
    """

    texts: tuple[str, ...]
    vectors: FloatArray
    model: str
    endpoint: str
    usage: Usage
    seconds: float = 0.0

    @property
    def similarity(self) -> FloatArray:
        """The cosine of every text with every other: shape (n, n), in [-1, 1]."""
        return cosine_similarity(self.vectors, self.vectors)

    @property
    def df(self) -> pd.DataFrame:
        """The similarities with the texts as labels of rows and columns."""
        import pandas as pd

        return pd.DataFrame(self.similarity, index=list(self.texts), columns=list(self.texts))

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        count, width = self.vectors.shape
        return f"<Embeddings of {count} texts, {width} dimensions, model={self.model!r}>"


def build_embeddings(
    texts: tuple[str, ...], reply: EmbeddingReply, *, endpoint: str, seconds: float
) -> Embeddings:
    """Return the embeddings of `texts` with vectors of length 1."""
    # In float32 the square of a very long or very short vector would be infinite, or zero.
    exact = reply.vectors.astype(np.float64)
    vectors = (exact / np.linalg.norm(exact, axis=1, keepdims=True)).astype(np.float32)
    return Embeddings(texts, vectors, reply.model, endpoint, reply.usage, seconds)


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
    # Rounding may leave a cosine a few millionths outside of what a cosine can be.
    cosines: FloatArray = np.clip(a @ b.T, -1.0, 1.0)
    return cosines
