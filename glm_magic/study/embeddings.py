"""The vectors of some texts, and what they tell: how alike, what is near, what belongs together."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from glm_magic.api.cost import Cost, estimate_cost
from glm_magic.api.embedding import unit_vectors
from glm_magic.api.events import Usage, sum_usage
from glm_magic.api.tables import Currency
from glm_magic.errors import SettingsError
from glm_magic.study.neighbours import cosine_similarity, nearest

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from glm_magic.session.corpus import Corpus
    from glm_magic.session.embedding import EmbeddingRun
    from glm_magic.study.projection import Projection

__all__ = ["LIMIT_MATRIX_TEXTS", "Embeddings", "FloatArray", "build_embeddings"]

FloatArray = npt.NDArray[np.float32]

# A matrix of so many texts has 1.6 GB.
LIMIT_MATRIX_TEXTS = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """The vectors of some texts, and what they tell.

    Attributes:
        texts: n texts, in the order they were given; one that was cut is here as it was sent.
        vectors: shape (n, d), float32, each row of length 1.
        model: the id that was asked for.
        endpoint: the host they came from, or "local".
        usage: token counts of what was sent; nothing was for vectors that were kept already.
        labels: a short name for each text, or () where texts stand for themselves.
        split: the first so many texts are compared with the others; None compares all with all.
        requests: how many were sent.
        recalled: how many different texts had their vectors already, in the store or a variable.
        cut: positions of the texts that were cut to the model's limit.
        asked: the width that was asked for; None for the model's own.
        cut_from: the width of the vectors that these are the first numbers of; None as they came.
        missing: how many different texts have no vector yet, of a run that was stopped.
        date: when they came, ISO 8601 in UTC, to the second; "" when that is not known.
        billed_in: the currency that tokens are billed in; None where nobody is billed by token.
    """

    texts: tuple[str, ...]
    vectors: FloatArray
    model: str
    endpoint: str
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    labels: tuple[str, ...] = ()
    split: int | None = None
    requests: int = 1
    recalled: int = 0
    cut: tuple[int, ...] = ()
    asked: int | None = None
    cut_from: int | None = None
    missing: int = 0
    date: str = ""
    billed_in: Currency | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        count = "1 text" if len(self) == 1 else f"{len(self):,} texts"
        return f"<Embeddings of {count}, {self.dimensions} dimensions, model={self.model!r}>"

    def _repr_html_(self) -> str:
        """Show it where our own formatter does not: in other viewers."""
        from glm_magic.render.study.similarity import render_embeddings

        return render_embeddings(self)

    @property
    def dimensions(self) -> int:
        """The width of a vector."""
        return int(self.vectors.shape[1])

    @property
    def names(self) -> tuple[str, ...]:
        """What each text is called: its label, or itself."""
        return self.labels or self.texts

    @property
    def cost(self) -> Cost | None:
        """What the tokens cost, an estimate; None where nobody is billed or no price is known."""
        return estimate_cost(self.model, self.usage, self.billed_in) if self.billed_in else None

    # -- how alike -------------------------------------------------------------------------

    @property
    def rows(self) -> slice:
        """The texts that are the rows of the similarities: the first set, or all."""
        return slice(0, self.split)

    @property
    def columns(self) -> slice:
        """The texts that are their columns: the second set, or all."""
        return slice(self.split or 0, len(self))

    @property
    def similarity(self) -> FloatArray:
        """The cosine of every text with every other: shape (n, n), in [-1, 1].

        Of two sets: every text of the first with every one of the second. It is made each time
        it is asked for.

        Raises:
            SettingsError: more than 20,000 texts.
        """
        self.check_matrix("similarity")
        return cosine_similarity(self.vectors[self.rows], self.vectors[self.columns])

    @property
    def df(self) -> pd.DataFrame:
        """The similarities with the names of the texts as labels of rows and columns."""
        import pandas as pd

        rows, columns = self.names[self.rows], self.names[self.columns]
        return pd.DataFrame(self.similarity, index=list(rows), columns=list(columns))

    @property
    def pairs(self) -> pd.DataFrame:
        """Every pair of texts with its similarity, the closest first.

        Columns `a`, `b` (names), `similarity`, `i`, `j` (positions).

        Raises:
            SettingsError: too many texts.
        """
        from glm_magic.study.pairs import pair_frame

        return pair_frame(self)

    def check_matrix(self, name: str, limit: int = LIMIT_MATRIX_TEXTS) -> None:
        """Refuse what needs every text with every other, or all of one set with the other.

        Raises:
            SettingsError: it has more numbers than the matrix of `limit` texts.
        """
        others = len(self) - (self.split or 0)
        if (self.split or len(self)) * others > limit**2:
            raise SettingsError(
                f".{name} is made for {limit:,} texts at most, and these are {len(self):,}; "
                ".nearest(text, k) finds what is near one of them"
            )

    # -- what is near ----------------------------------------------------------------------

    def nearest(self, text: str | int | npt.ArrayLike, k: int = 5) -> pd.DataFrame:
        """Return the k texts nearest to one of them, itself left out, the nearest first.

        Args:
            text: one of the texts or labels, its position, or a vector of this model.

        Returns:
            Columns `text` and `similarity`, and `label` where there are labels; the index has
            the positions.

        Raises:
            SettingsError: it is none of the texts, or k is less than 1.
        """
        import pandas as pd

        query, place = self._query(text)
        # Left out is the same text, however often it is there.
        same = [] if place is None else self._positions(self.texts[place])
        found, cosines = nearest(self.vectors, query[None], checked_count(k) + len(same))
        kept = ~np.isin(found[0], same)
        positions, values = found[0][kept][:k], cosines[0][kept][:k]
        columns = self._text_columns(positions.tolist())
        return pd.DataFrame({**columns, "similarity": values}, index=positions)

    def _text_columns(self, positions: Sequence[int]) -> dict[str, list[str]]:
        """The texts at some positions, and their labels where they have some."""
        columns = {"text": [self.texts[i] for i in positions]}
        if self.labels:
            columns = {"label": [self.labels[i] for i in positions], **columns}
        return columns

    def _query(self, text: str | int | npt.ArrayLike) -> tuple[FloatArray, int | None]:
        if isinstance(text, str):
            place = self._position(text)
            return self._row(place), place
        if isinstance(text, int | np.integer) and not isinstance(text, bool):
            place = int(text)
            if not -len(self) <= place < len(self):
                raise SettingsError(f"there is no text {place}; there are {len(self):,}, from 0 on")
            return self._row(place), place % len(self)
        return self._vector(text), None

    def _row(self, place: int) -> FloatArray:
        row: FloatArray = self.vectors[place]
        return row

    def _vector(self, numbers: npt.ArrayLike) -> FloatArray:
        expected = f"a text, a position or a vector of {self.dimensions} numbers is expected"
        try:
            vector = np.asarray(numbers, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise SettingsError(f"{expected}, not {type(numbers).__name__}") from error
        if vector.shape != (self.dimensions,):
            raise SettingsError(f"{expected}, not an array of shape {vector.shape}")
        if not np.isfinite(vector).all() or not vector.any():
            raise SettingsError(f"{expected}; this one is zero or not finite")
        units: FloatArray = unit_vectors(vector[None])[0]
        return units

    def _position(self, text: str) -> int:
        for known in (self.texts, self.labels):
            if text in known:
                return known.index(text)
        raise SettingsError(
            'this text has no vector here; `%glm similar "..." --in NAME` embeds it and looks '
            "for what is near"
        )

    def _positions(self, text: str) -> list[int]:
        return [i for i, other in enumerate(self.texts) if other == text]

    def cluster(self, k: int) -> pd.DataFrame:
        """Return which of k groups each text belongs to; the same texts give the same groups.

        Returns:
            A row for each text, in their order: `cluster` (0 is the largest), `text`, `label`
            where there are labels, and `similarity` to the middle of its group.

        Raises:
            SettingsError: k is not from 1 to the number of texts.
        """
        import pandas as pd

        from glm_magic.study.clusters import cluster

        if not 1 <= k <= len(self):
            raise SettingsError(f"k={k}: from 1 to {len(self):,} groups, as many as texts")
        groups, cosines = cluster(self.vectors, k)
        columns = self._text_columns(range(len(self)))
        return pd.DataFrame({"cluster": groups, **columns, "similarity": cosines})

    def map(self) -> Projection:
        """Return the texts as points of a plane: their first two principal components.

        Raises:
            SettingsError: fewer than three texts.
        """
        from glm_magic.study.projection import build_projection

        return build_projection(self)

    def plot(self, kind: str = "map") -> Figure:
        """Return a matplotlib figure to change and to save: "map" or "heatmap"."""
        from glm_magic.render.study.figure import draw_figure

        return draw_figure(self, kind)

    # -- others of them --------------------------------------------------------------------

    def shortened(self, dimensions: int) -> Embeddings:
        """Return them with the first so many numbers of each vector, at length 1 again.

        Raises:
            SettingsError: there are not so many, or a vector is zero up to there.
        """
        if not 1 <= dimensions <= self.dimensions:
            raise SettingsError(f"dimensions={dimensions}: from 1 to {self.dimensions}")
        part = self.vectors[:, :dimensions]
        if not part.any(axis=1).all():
            raise SettingsError(f"a vector is zero in its first {dimensions} numbers")
        if dimensions == self.dimensions:
            return self
        return replace(self, vectors=unit_vectors(part), cut_from=self.cut_from or self.dimensions)

    def going_on_from(self, begun: Embeddings) -> Embeddings:
        """Return these with what it took to get those that were there before."""
        return replace(
            self,
            usage=sum_usage(begun.usage, self.usage),
            seconds=begun.seconds + self.seconds,
            requests=begun.requests + self.requests,
        )

    def __add__(self, other: Embeddings) -> Embeddings:
        """Return these texts and those of the other that are not here yet, as one set.

        Raises:
            SettingsError: they are of different models or dimensions, or only one was cut.
        """
        if not isinstance(other, Embeddings):
            return NotImplemented
        self._check_like(other)
        known = set(self.texts)
        firsts = {text: i for i, text in reversed(list(enumerate(other.texts)))}
        new = [i for i, text in enumerate(other.texts) if text not in known and firsts[text] == i]
        cut = sorted(set(other.cut) & set(new))
        return replace(
            self,
            texts=(*self.texts, *(other.texts[i] for i in new)),
            vectors=np.concatenate([self.vectors, other.vectors[new]]),
            endpoint=", ".join(dict.fromkeys((self.endpoint, other.endpoint))),
            usage=sum_usage(self.usage, other.usage),
            seconds=self.seconds + other.seconds,
            labels=self._joined_labels(other, new),
            split=None,
            requests=self.requests + other.requests,
            recalled=self.recalled + other.recalled,
            cut=(*self.cut, *(len(self) + bisect_left(new, i) for i in cut)),
            missing=self.missing + other.missing,
            date=max(self.date, other.date),
            billed_in=self.billed_in if self.billed_in == other.billed_in else None,
        )

    def _joined_labels(self, other: Embeddings, new: list[int]) -> tuple[str, ...]:
        if not (self.labels or other.labels):
            return ()
        return (*self.names, *(other.names[i] for i in new))

    def _check_like(self, other: Embeddings) -> None:
        if self.model.lower() != other.model.lower():
            raise SettingsError(
                f"vectors of {self.model!r} and {other.model!r} mean nothing to each other; embed "
                "the texts with one model to join them"
            )
        if self.dimensions != other.dimensions:
            raise SettingsError(
                f"one has {self.dimensions} dimensions and the other {other.dimensions}; "
                "compare_embeddings() with .shortened(n) of the longer one tells what that costs"
            )
        if (self.cut_from or self.dimensions) != (other.cut_from or other.dimensions):
            raise SettingsError(
                "one was cut from longer vectors and the other was not, or from others; embed the "
                "texts in one way to join them"
            )

    # -- to files and other engines --------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write texts, vectors and where they are from to a parquet file; return its path.

        `glm_magic.load_embeddings(path)` reads it.

        Raises:
            SettingsError: the file cannot be written.
        """
        from glm_magic.study.parquet import save_embeddings

        return save_embeddings(self, Path(path))

    def to_lance(self, path: str | Path, table: str = "embeddings") -> Any:
        """Write them into a table of a LanceDB database and return it: for millions of texts.

        Raises:
            SettingsError: the extra `lance` is not installed, or the table is there already.
        """
        from glm_magic.study.engines import write_lance

        return write_lance(self, Path(path), table)

    def atlas(self, **options: Any) -> Any:
        """Return Apple's embedding-atlas widget with these texts: a map to search and zoom.

        Args:
            options: of `embedding_atlas.widget.EmbeddingAtlasWidget`.

        Raises:
            SettingsError: the extra `atlas` is not installed.
        """
        from glm_magic.study.engines import open_atlas

        return open_atlas(self, **options)


def checked_count(k: int) -> int:
    """Return k.

    Raises:
        SettingsError: it is less than 1.
    """
    if k < 1:
        raise SettingsError(f"k={k}: at least 1 is expected")
    return k


def build_embeddings(
    corpus: Corpus,
    run: EmbeddingRun,
    *,
    seconds: float,
    cut: tuple[int, ...] = (),
    billed_in: Currency | None = None,
) -> Embeddings:
    """Return the texts that have their vectors, in the order of the corpus.

    Args:
        run: of the different ones among them.
        cut: positions of texts that were cut.
    """
    rows = _rows_of(run)
    kept = [i for i, text in enumerate(corpus.texts) if text in rows]
    texts = tuple(corpus.texts[i] for i in kept)
    vectors = run.vectors
    if len(texts) != len(vectors):  # some texts are there twice
        vectors = vectors[[rows[text] for text in texts]]
    return Embeddings(
        texts,
        vectors,
        run.request.model,
        run.endpoint.host,
        run.usage,
        seconds,
        tuple(corpus.labels[i] for i in kept) if corpus.labels else (),
        None if corpus.split is None else bisect_left(kept, corpus.split),
        requests=run.answered,
        recalled=run.recalled,
        cut=tuple(bisect_left(kept, i) for i in cut if corpus.texts[i] in rows),
        asked=run.request.dimensions,
        missing=run.missing.size,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        billed_in=billed_in,
    )


def _rows_of(run: EmbeddingRun) -> dict[str, int]:
    """The row of each text that has one."""
    missing = set(run.missing.tolist())
    there = (text for i, text in enumerate(run.request.texts) if i not in missing)
    return {text: row for row, text in enumerate(there)}
