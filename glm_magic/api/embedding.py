"""What /embeddings answers: vectors in the order of the texts, or a named error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glm_magic.api.events import Usage, parse_usage
from glm_magic.errors import GlmError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingReply:
    """The vectors of some texts.

    Attributes:
        vectors: shape (n, d), float32, as the server sent them.
        model: the id that the server says made them.
    """

    vectors: npt.NDArray[np.float32]
    model: str
    usage: Usage


def parse_embeddings(
    content: object, *, count: int, host: str, dimensions: int | None = None
) -> EmbeddingReply:
    """Return the `count` vectors of a response body, in the order of the texts.

    Args:
        dimensions: the width that was asked for.

    Raises:
        GlmError: fewer or more vectors than texts, in another order by their `index`, rows of
            different or no width or of another one than was asked for, or numbers that are not
            finite.
    """
    body = content if isinstance(content, dict) else {}
    rows = _rows(body.get("data"), count=count, host=host)
    usage = body.get("usage")
    counts = parse_usage(usage) if isinstance(usage, dict) else Usage()
    vectors = _matrix(rows, host=host)
    if dimensions is not None and vectors.shape[1] != dimensions:
        raise GlmError(
            f"{host} sent vectors of {vectors.shape[1]} numbers where {dimensions} were asked "
            "for; nothing was kept; leave --dimensions away if it cannot choose"
        )
    return EmbeddingReply(vectors, str(body.get("model") or ""), counts)


def _rows(data: object, *, count: int, host: str) -> list[Any]:
    """The vectors, if there is one for each text and their `index` tells them in order.

    A server that mixes the order up may have mixed up the texts as well, and nobody would see it.
    """
    entries = data if isinstance(data, list) else []
    if len(entries) != count:
        raise GlmError(f"{host} sent {len(entries)} vectors for {count} texts; nothing was kept")
    known = [entry if isinstance(entry, dict) else {"index": None} for entry in entries]
    places = [entry.get("index", place) for place, entry in enumerate(known)]
    if places != list(range(count)) or any(type(place) is not int for place in places):
        raise GlmError(
            f"{host} sent vectors in another order than the texts, or some that cannot be told "
            "apart; nothing was kept"
        )
    return [entry.get("embedding") for entry in known]


def _matrix(rows: Sequence[Any], *, host: str) -> npt.NDArray[np.float32]:
    import numpy as np

    try:
        with np.errstate(over="ignore"):  # too large for float32 is not finite, as below
            matrix = np.asarray(rows, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise GlmError(f"{host} sent vectors of different widths; nothing was kept") from error
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise GlmError(f"{host} sent something that is no list of vectors; nothing was kept")
    if not np.isfinite(matrix).all() or not matrix.any(axis=1).all():
        raise GlmError(f"{host} sent a vector that is zero or not finite; nothing was kept")
    return matrix


def unit_vectors(vectors: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return the rows at length 1, float32; none may be all zero."""
    import numpy as np

    # In float32 the square of a very long or very short vector would be infinite, or zero.
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    units: npt.NDArray[np.float32] = (vectors / lengths[:, None]).astype(np.float32)
    return units
