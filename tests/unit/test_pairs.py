"""The pairs of texts at both ends, and all of them."""

from dataclasses import replace

import numpy as np
import pytest

from glm_magic.errors import SettingsError
from glm_magic.study.embeddings import Embeddings
from glm_magic.study.pairs import Pair, extreme_pairs, pair_frame

VECTORS = np.float32([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [-1.0, 0.0]])
FOUR = Embeddings(("a", "b", "c", "d"), VECTORS, "m", "local")


def places(pairs: list[Pair]) -> list[tuple[int, int]]:
    return [(pair.i, pair.j) for pair in pairs]


def test_the_closest_and_the_farthest_pairs_are_at_both_ends() -> None:
    closest, farthest = extreme_pairs(FOUR, 2)
    assert places(closest) == [(1, 2), (0, 1)]
    assert places(farthest) == [(0, 3), (1, 3)]
    assert closest[0].similarity == pytest.approx(0.8)
    assert farthest[0].similarity == pytest.approx(-1.0)


def test_no_pair_is_at_both_ends() -> None:
    closest, farthest = extreme_pairs(FOUR, 5)  # two of the six pairs are equally far
    assert sorted(places(closest) + places(farthest)) == [
        (0, 1),
        (0, 2),
        (0, 3),
        (1, 2),
        (1, 3),
        (2, 3),
    ]


def test_one_pair_is_the_closest() -> None:
    two = replace(FOUR, texts=("a", "b"), vectors=VECTORS[:2])
    closest, farthest = extreme_pairs(two, 5)
    assert (places(closest), farthest) == ([(0, 1)], [])


def test_the_same_text_twice_is_no_pair() -> None:
    closest, _ = extreme_pairs(replace(FOUR, texts=("a", "a", "c", "d")), 5)
    assert (0, 1) not in places(closest)
    assert extreme_pairs(replace(FOUR, texts=("a", "a", "a", "a")), 5) == ([], [])


def test_of_two_sets_a_pair_has_one_of_each() -> None:
    closest, farthest = extreme_pairs(replace(FOUR, split=2), 1)
    assert (places(closest), places(farthest)) == ([(1, 2)], [(0, 3)])


def test_all_pairs_are_a_table_with_the_closest_first() -> None:
    table = pair_frame(FOUR)
    assert table.columns.tolist() == ["a", "b", "similarity", "i", "j"]
    assert table.iloc[0, :2].tolist() == ["b", "c"]
    assert table.similarity.tolist() == pytest.approx([0.8, 0.6, 0.0, 0.0, -0.6, -1.0])
    assert (table.i < table.j).all()


def test_of_two_sets_the_table_has_every_text_with_every_other() -> None:
    table = pair_frame(replace(FOUR, split=1))
    assert list(zip(table.i, table.j, strict=True)) == [(0, 1), (0, 2), (0, 3)]


def test_a_table_of_too_many_pairs_is_refused_with_the_way_out() -> None:
    many = Embeddings(("x",) * 5_001, np.ones((5_001, 1), np.float32), "m", "local")
    with pytest.raises(SettingsError, match=r"\.pairs is made for 5,000 texts .* \.nearest"):
        pair_frame(many)
