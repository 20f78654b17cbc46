"""The same texts embedded in several ways, side by side: what does a smaller vector cost me?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from glm_magic.api.events import Usage
from glm_magic.errors import SettingsError
from glm_magic.study.embeddings import Embeddings, checked_count
from glm_magic.study.neighbours import cosine_similarity, nearest

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison", "Member", "Move", "check_texts", "compare", "with_cuts"]

FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.intp]

# Of more texts so many stand for all: their pairs, and their neighbours among all.
_LIMIT_TEXTS = 1_000
_MOST_NEIGHBOURS = 10
# Of a cosine in float32, after products of some thousand numbers.
_DIGITS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One of those compared, with a name that tells it from the others."""

    name: str
    embeddings: Embeddings

    @property
    def cut_from(self) -> int | None:
        """The width of the vectors it was cut from; None as the model made it."""
        return self.embeddings.cut_from


@dataclass(frozen=True, slots=True)
class Move:
    """A pair of texts that is nearer or farther in one member than in the reference.

    Attributes:
        i, j: positions of the texts.
        name: of the member where it moved most.
        before, after: the similarity in the reference and there.
        rank_before, rank_after: among all pairs, 1 for the closest.
    """

    i: int
    j: int
    name: str
    before: float
    after: float
    rank_before: int
    rank_after: int


@dataclass(frozen=True, eq=False)
class Comparison:
    """The same texts, embedded in several ways. Without slots: what is reckoned is kept.

    Attributes:
        members: at least two, of the same texts in the same order.
    """

    members: tuple[Member, ...]

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members)

    def __getitem__(self, key: str | int) -> Embeddings:
        """Return the embeddings of a member, by its name or position."""
        if not isinstance(key, str):
            return self.members[key].embeddings
        for member in self.members:
            if member.name == key:
                return member.embeddings
        raise KeyError(key)

    def __repr__(self) -> str:
        names = ", ".join(member.name for member in self.members)
        return f"<Comparison of {names} on {len(self.texts):,} texts>"

    def _repr_html_(self) -> str:
        """Show it where our own formatter does not: in other viewers."""
        from glm_magic.render.study.comparison import render_comparison

        return render_comparison(self)

    @property
    def texts(self) -> tuple[str, ...]:
        """What was embedded."""
        return self.members[0].embeddings.texts

    @property
    def names(self) -> tuple[str, ...]:
        """What each text is called."""
        return self.members[0].embeddings.names

    @property
    def reference(self) -> Member:
        """The widest that a model made itself; the first of equals."""
        own = [member for member in self.members if member.cut_from is None]
        return max(own or self.members, key=lambda member: member.embeddings.dimensions)

    @property
    def is_sampled(self) -> bool:
        """Whether there are so many texts that some pairs stand for all."""
        split = self._split or 0
        return max(split, len(self.texts) - split) > _LIMIT_TEXTS

    @property
    def k(self) -> int:
        """How many nearest texts are compared: 10, or half of those there are."""
        others = len(self._distinct[1]) - (self._split is None)
        return max(1, min(_MOST_NEIGHBOURS, others // 2))

    @cached_property
    def correlation(self) -> pd.DataFrame:
        """Spearman's rank correlation of the similarities of pairs: members x members, -1 to 1.

        1: both order all pairs the same way. NaN where all similarities of one are equal.
        """
        return self._ranks.corr()

    def overlap(self, k: int | None = None) -> pd.DataFrame:
        """Return the mean share of the k nearest texts that two members agree on, 0 to 1.

        Args:
            k: None takes `.k`.

        Raises:
            SettingsError: k is less than 1.
        """
        return self._overlap if k is None else self._overlap_of(checked_count(k))

    @cached_property
    def _overlap(self) -> pd.DataFrame:
        return self._overlap_of(self.k)

    def _overlap_of(self, k: int) -> pd.DataFrame:
        import pandas as pd

        near = [self._near(member.embeddings, k) for member in self.members]
        shares = [[_shared(a, b) for b in near] for a in near]
        names = self._member_names
        return pd.DataFrame(shares, index=names, columns=names)

    def moved(self, count: int = 10) -> list[Move]:
        """Return the pairs whose rank moved most from the reference to any other member."""
        # From the closest, and of equal pairs the middle of their ranks.
        ranks = len(self._ranks) + 1 - self._ranks.to_numpy()
        place = self._member_names.index(self.reference.name)
        shifts = np.abs(ranks - ranks[:, [place]])
        most = shifts.argmax(axis=1)
        largest = shifts.max(axis=1)
        order = np.argsort(-largest, kind="stable")[:count]
        return [
            self._move(int(pair), place, int(most[pair]), ranks)
            for pair in order
            if largest[pair] > 0
        ]

    def _move(self, pair: int, place: int, to: int, ranks: npt.NDArray[Any]) -> Move:
        i, j = (int(positions[pair]) for positions in self._pairs)
        return Move(
            i,
            j,
            self.members[to].name,
            _cosine(self.members[place].embeddings, i, j),
            _cosine(self.members[to].embeddings, i, j),
            int(ranks[pair, place]),
            int(ranks[pair, to]),
        )

    @property
    def df(self) -> pd.DataFrame:
        """A row for each member: what it is, how it agrees with the reference, what it took."""
        import pandas as pd

        name = self.reference.name
        correlation, overlap = self.correlation[name], self.overlap()[name]
        rows = [_facts(member) for member in self.members]
        table = pd.DataFrame(rows, index=pd.Index(self._member_names, name="name"))
        table.insert(3, "correlation", correlation.to_numpy())
        table.insert(4, "overlap", overlap.to_numpy())
        return table.astype({"cut_from": "Int64"})

    @property
    def _split(self) -> int | None:
        return self.members[0].embeddings.split

    @property
    def _member_names(self) -> list[str]:
        return [member.name for member in self.members]

    @cached_property
    def _distinct(self) -> tuple[IndexArray, IndexArray]:
        """The positions of different texts, of the rows and of the columns.

        The same text is as near to itself in every member, and would count as agreement.
        """
        count, split = len(self.texts), self._split
        if split is None:
            rows = _firsts(self.texts, range(count))
            return rows, rows
        return _firsts(self.texts, range(split)), _firsts(self.texts, range(split, count))

    @cached_property
    def _chosen(self) -> tuple[IndexArray, IndexArray]:
        """The positions of the texts whose pairs are looked at: of the rows and of the columns."""
        rows, columns = self._distinct
        chance = np.random.default_rng(0)
        if self._split is None:
            chosen = _some(rows, chance)
            return chosen, chosen
        return _some(rows, chance), _some(columns, chance)

    @cached_property
    def _pairs(self) -> tuple[IndexArray, IndexArray]:
        """The positions of both texts of each pair that is looked at."""
        rows, columns = self._chosen
        i, j = self._places
        return rows[i], columns[j]

    @cached_property
    def _places(self) -> tuple[IndexArray, IndexArray]:
        """The same as places among those chosen."""
        rows, columns = self._chosen
        if self._split is None:
            return np.triu_indices(len(rows), k=1)
        texts = np.array(self.texts, dtype=object)
        i, j = np.nonzero(texts[rows][:, None] != texts[columns])
        return i, j

    @cached_property
    def _ranks(self) -> pd.DataFrame:
        """The rank of each pair, the lowest similarity first: pairs x members."""
        import pandas as pd

        cosines = {member.name: self._cosines(member.embeddings) for member in self.members}
        return pd.DataFrame(cosines).rank()

    def _cosines(self, embeddings: Embeddings) -> FloatArray:
        rows, columns = (embeddings.vectors[chosen] for chosen in self._chosen)
        cosines: FloatArray = cosine_similarity(rows, columns)[self._places]
        # What differs by rounding alone is equally alike, and has one rank.
        return cosines.round(_DIGITS)

    def _near(self, embeddings: Embeddings, k: int) -> IndexArray:
        """The k nearest among the columns of each row, or of some rows."""
        rows, columns = self._chosen[0], self._distinct[1]
        skip = np.searchsorted(columns, rows) if self._split is None else None
        return nearest(embeddings.vectors[columns], embeddings.vectors[rows], k, skip=skip)[0]


def _firsts(texts: Sequence[str], places: range) -> IndexArray:
    """The places of the first of each text."""
    firsts = {texts[place]: place for place in reversed(places)}
    return np.sort(np.fromiter(firsts.values(), dtype=np.intp))


def _cosine(embeddings: Embeddings, i: int, j: int) -> float:
    return float(embeddings.vectors[i] @ embeddings.vectors[j])


def _some(positions: IndexArray, chance: np.random.Generator) -> IndexArray:
    """All, or some of many, the same each time."""
    if positions.size <= _LIMIT_TEXTS:
        return positions
    return np.sort(chance.choice(positions, _LIMIT_TEXTS, replace=False))


def _shared(a: IndexArray, b: IndexArray) -> float:
    """The mean share of each row of `a` that is in the row of `b`."""
    return float((a[:, :, None] == b[:, None, :]).any(axis=2).mean())


def _facts(member: Member) -> dict[str, Any]:
    e = member.embeddings
    return {
        "model": e.model,
        "dimensions": e.dimensions,
        "cut_from": member.cut_from,
        "bytes_per_text": e.dimensions * e.vectors.itemsize,
        "prompt_tokens": e.usage.prompt_tokens,
        "cost": e.cost.amount if e.cost else None,
    }


def check_texts(texts: Sequence[str]) -> None:
    """Let pass so many texts that their pairs can be ranked.

    Raises:
        SettingsError: there are fewer than three different ones.
    """
    if (count := len(set(texts))) < 3:
        raise SettingsError(f"a comparison needs three different texts or more; here is {count}")


def compare(embeddings: Sequence[Embeddings], names: Sequence[str] | None = None) -> Comparison:
    """Return embeddings of the same texts side by side.

    Args:
        names: one for each; None calls them by what they differ in, model or width.

    Raises:
        SettingsError: fewer than two, or not the same texts, or fewer than three texts, whose
            pairs could not be ranked, or a set without texts.
    """
    if isinstance(embeddings, Embeddings) or len(embeddings) < 2:
        raise SettingsError("a comparison needs two embeddings or more")
    first = embeddings[0]
    check_texts(first.texts)
    if first.split in (0, len(first)):
        raise SettingsError("one of the two sets has no texts; nothing can be compared across them")
    for number, other in enumerate(embeddings[1:], 2):
        if difference := _difference(first, other):
            raise SettingsError(
                f"the texts of number {number} are not those of number 1: {difference}"
            )
    if names is None:
        names = _unique(_own_names(embeddings))
    if len(names) != len(embeddings) or len(set(names)) != len(names):
        raise SettingsError(f"{len(embeddings)} names are expected, each another")
    return Comparison(tuple(map(Member, names, embeddings)))


def _difference(first: Embeddings, other: Embeddings) -> str:
    """What is not the same of their texts, in words; "" if all is."""
    if len(other) != len(first):
        return f"{len(other):,}, not {len(first):,}"
    for place, (text, expected) in enumerate(zip(other.texts, first.texts, strict=True)):
        if text != expected:
            return f"the one at position {place} is another"
    return "" if other.split == first.split else "they are divided otherwise"


def _own_names(embeddings: Sequence[Embeddings]) -> list[str]:
    """Model, width or both: what they differ in."""
    models = [e.model for e in embeddings]
    widths = [_width_name(e) for e in embeddings]
    if len(set(models)) == 1:
        return widths
    if len(set(models)) == len(models):
        return models
    return [f"{model} · {width}" for model, width in zip(models, widths, strict=True)]


def _width_name(e: Embeddings) -> str:
    return f"{e.cut_from} cut to {e.dimensions}" if e.cut_from else str(e.dimensions)


def _unique(names: Sequence[str]) -> list[str]:
    """The names, those that came before with a number."""
    counts = [names[: place + 1].count(name) for place, name in enumerate(names)]
    return [
        f"{name} ({count})" if count > 1 else name
        for name, count in zip(names, counts, strict=True)
    ]


def with_cuts(comparison: Comparison) -> Comparison:
    """Return it with a twin of each narrower member: the widest of its model cut to that width.

    A twin that is there already gets no other.
    """
    members = [member.embeddings for member in comparison]
    own = [e for e in members if e.cut_from is None]
    models = dict.fromkeys(e.model for e in own)
    there = {(e.model, e.cut_from, e.dimensions) for e in members}
    cuts = [
        cut
        for model in models
        for cut in _cuts([e for e in own if e.model == model])
        if (cut.model, cut.cut_from, cut.dimensions) not in there
    ]
    cut_names = [_width_name(e) for e in cuts]
    if len(models) > 1:
        cut_names = [f"{e.model} · {name}" for e, name in zip(cuts, cut_names, strict=True)]
    names = _unique([*(member.name for member in comparison), *cut_names])
    return Comparison(tuple(map(Member, names, [*members, *cuts])))


def _cuts(of_model: Sequence[Embeddings]) -> Iterator[Embeddings]:
    """The widest cut to the width of each other one, where that leaves of each vector something."""
    widest = max(of_model, key=lambda e: e.dimensions)
    for width in dict.fromkeys(e.dimensions for e in of_model):
        if width < widest.dimensions and widest.vectors[:, :width].any(axis=1).all():
            # It is made of what is there: nothing is sent, and nothing is paid twice.
            yield replace(widest.shortened(width), usage=Usage(), seconds=0.0, requests=0)
