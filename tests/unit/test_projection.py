"""Texts on a plane: the first two principal components, always the same."""

from dataclasses import replace

import numpy as np
import pytest

from glm_magic.errors import SettingsError
from glm_magic.study.embeddings import Embeddings
from glm_magic.study.projection import build_projection, project

THREE = Embeddings(
    ("a", "b", "c"),
    np.float32([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    "m",
    "local",
    labels=("A", "B", "C"),
)


def test_a_line_is_its_first_axis() -> None:
    points, explained = project(np.float32([[0, 0, 0], [1, 2, 2], [3, 6, 6]]))
    assert points[:, 0].tolist() == pytest.approx([-4.0, -1.0, 5.0])
    assert points[:, 1].tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert explained.tolist() == pytest.approx([1.0, 0.0], abs=1e-6)


@pytest.mark.parametrize(
    "shape", [(40, 6), (6, 40), (3, 3), (900, 300)], ids=["tall", "wide", "square", "large"]
)
def test_the_shares_are_those_of_the_singular_values(shape: tuple[int, int]) -> None:
    vectors = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    vectors *= 0.9 ** np.arange(shape[1], dtype=np.float32)
    points, explained = project(vectors)
    values = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False) ** 2
    assert explained.tolist() == pytest.approx((values[:2] / values.sum()).tolist(), rel=1e-4)
    assert (points**2).sum(axis=0).tolist() == pytest.approx(values[:2].tolist(), rel=1e-3)


def test_of_each_axis_the_point_farthest_out_is_positive() -> None:
    vectors = np.random.default_rng(1).normal(size=(20, 5)).astype(np.float32)
    for turned in (vectors, -vectors):
        points, _ = project(turned)
        assert (points[np.abs(points).argmax(axis=0), (0, 1)] > 0).all()


def test_texts_that_are_all_the_same_are_one_point() -> None:
    points, explained = project(np.tile(np.float32([[0.6, 0.8]]), (4, 1)))
    assert np.abs(points).max() < 1e-6
    assert explained.tolist() == [0.0, 0.0]


def test_vectors_of_one_number_have_one_axis() -> None:
    points, explained = project(np.float32([[1], [2], [4]]))
    assert points.shape == (3, 2)
    assert (points[:, 1] == 0).all()
    assert explained.tolist() == pytest.approx([1.0, 0.0])


def test_a_map_names_its_points() -> None:
    plane = build_projection(replace(THREE, split=1))
    assert (plane.names, plane.split, len(plane)) == (("A", "B", "C"), 1, 3)
    assert plane.df.columns.tolist() == ["x", "y", "text", "label"]
    assert repr(plane) == "<Projection of 3 texts, 100% of the variance>"


def test_a_map_needs_three_texts() -> None:
    with pytest.raises(SettingsError, match="three texts or more; here is 2"):
        build_projection(replace(THREE, texts=("a", "b"), vectors=THREE.vectors[:2]))
