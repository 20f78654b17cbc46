"""Cosines and nearest texts: exact, in order, in bounded memory."""

import numpy as np
import pytest

from glm_magic.study.neighbours import cosine_similarity, nearest

FOUR = np.float32([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [-1.0, 0.0]])


def directions(count: int, width: int = 16, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_opposite_directions_have_a_cosine_of_minus_1() -> None:
    a, b = np.float32([[1, 0]]), np.float32([[-1, 0], [0, 1], [1, 0]])
    assert cosine_similarity(a, b).tolist() == [[-1.0, 0.0, 1.0]]


def test_rounding_never_makes_a_cosine_of_more_than_1() -> None:
    row = np.full((1, 7), 7**-0.5, dtype=np.float32)
    assert cosine_similarity(row * np.float32(1.0001), row).tolist() == [[1.0]]


def test_vectors_of_different_widths_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="size"):
        cosine_similarity(np.float32([[1.0]]), np.float32([[1.0, 0.0]]))


def test_the_nearest_come_first() -> None:
    rows, cosines = nearest(FOUR, FOUR[:1], 3)
    assert rows.tolist() == [[0, 1, 2]]
    assert cosines.tolist() == [pytest.approx([1.0, 0.6, 0.0])]


def test_a_row_to_skip_is_not_among_them() -> None:
    rows, _ = nearest(FOUR, FOUR[:2], 2, skip=np.array([0, 1]))
    assert rows.tolist() == [[1, 2], [2, 0]]


def test_of_equal_ones_none_comes_twice() -> None:
    same = np.tile(np.float32([[1.0, 0.0]]), (9, 1))
    rows, cosines = nearest(same, same[:1], 4)
    assert len(set(rows[0].tolist())) == 4
    assert cosines.tolist() == [[1.0] * 4]


@pytest.mark.parametrize("k", [4, 9])
def test_more_than_there_are_is_all_of_them(k: int) -> None:
    assert nearest(FOUR, FOUR[:1], k)[0].tolist() == [[0, 1, 2, 3]]
    assert nearest(FOUR, FOUR, k, skip=np.arange(4))[0].shape == (4, 3)


@pytest.mark.parametrize("queries", [1, 7, 300])
@pytest.mark.parametrize("count", [50, 5_000, 70_000])
def test_they_are_those_of_the_whole_matrix(queries: int, count: int) -> None:
    vectors, asked = directions(count), directions(queries, seed=1)
    rows, cosines = nearest(vectors, asked, 10)
    for query in (0, queries - 1):
        expected = np.argsort(-(vectors @ asked[query]), kind="stable")[:10]
        assert rows[query].tolist() == expected.tolist()
    assert (np.diff(cosines, axis=1) <= 0).all()


def test_the_texts_own_neighbours_are_those_without_itself() -> None:
    vectors = directions(400)
    matrix = vectors @ vectors.T
    np.fill_diagonal(matrix, -2)
    expected = np.argsort(-matrix, axis=1, kind="stable")[:, :5]
    found, _ = nearest(vectors, vectors, 5, skip=np.arange(400))
    assert (found == expected).all()
