"""Texts that belong together."""

import numpy as np
import pytest

from glm_magic.study.clusters import cluster


def bunches(sizes: list[int], width: int = 20, spread: float = 0.05) -> np.ndarray:
    """Vectors around as many axes, in this order."""
    chance = np.random.default_rng(0)
    middles = np.repeat(np.eye(width, dtype=np.float32)[: len(sizes)], sizes, axis=0)
    vectors = middles + chance.normal(scale=spread, size=middles.shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_what_points_the_same_way_is_one_group_and_the_largest_is_0() -> None:
    groups, cosines = cluster(bunches([5, 12, 8]), 3)
    assert groups.tolist() == [2] * 5 + [0] * 12 + [1] * 8
    assert cosines.min() > 0.9


def test_the_same_texts_give_the_same_groups() -> None:
    vectors = bunches([10] * 6, spread=0.4)
    assert (cluster(vectors, 6)[0] == cluster(vectors, 6)[0]).all()


def test_one_group_has_all() -> None:
    assert cluster(bunches([3, 3]), 1)[0].tolist() == [0] * 6


def test_as_many_groups_as_texts_have_one_each() -> None:
    groups, cosines = cluster(bunches([2, 2], spread=0.2), 4)
    assert sorted(groups.tolist()) == [0, 1, 2, 3]
    assert cosines.tolist() == pytest.approx([1.0] * 4)


def test_texts_that_are_all_the_same_are_divided_all_the_same() -> None:
    groups, _ = cluster(np.tile(np.float32([[1.0, 0.0]]), (5, 1)), 3)
    assert sorted(set(groups.tolist())) == [0, 1, 2]


@pytest.mark.parametrize("k", [2, 5, 17])
def test_no_group_is_empty(k: int) -> None:
    vectors = np.random.default_rng(2).normal(size=(60, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert set(cluster(vectors, k)[0].tolist()) == set(range(k))


@pytest.mark.parametrize("k", [1, 4])
def test_the_cosine_is_that_with_the_middle_of_its_group(k: int) -> None:
    vectors = bunches([5, 12, 8, 7], spread=0.3)
    groups, cosines = cluster(vectors, k)
    for group in range(k):
        middle = vectors[groups == group].sum(axis=0)
        expected = vectors[groups == group] @ (middle / np.linalg.norm(middle))
        assert cosines[groups == group].tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_opposite_texts_have_no_middle() -> None:
    groups, cosines = cluster(np.float32([[1.0, 0.0], [-1.0, 0.0]]), 1)
    assert groups.tolist() == [0, 0]
    assert cosines.tolist() == [0.0, 0.0]


def test_of_a_hundred_groups_each_is_found() -> None:
    groups, _ = cluster(bunches([2] * 100, width=100, spread=0.005), 100)
    assert groups.tolist() == np.repeat(np.arange(100), 2).tolist()
