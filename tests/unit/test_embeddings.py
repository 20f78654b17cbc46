"""The value of an embed cell: how alike its texts are, what is near, and what fits together."""

from dataclasses import replace

import numpy as np
import pytest

from glm_magic.api.cost import Cost
from glm_magic.api.embedding import unit_vectors
from glm_magic.api.events import Usage
from glm_magic.errors import SettingsError
from glm_magic.study.embeddings import Embeddings

VECTORS = np.float32([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [-1.0, 0.0]])
FOUR = Embeddings(
    ("cat", "猫", "dog", "tax"), VECTORS, "embedding-3", "api.z.ai", Usage(1000, 0, 1000), 0.5
)


def refusal(act: object, *arguments: object) -> str:
    with pytest.raises(SettingsError) as caught:
        act(*arguments)  # type: ignore[operator]
    return str(caught.value)


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_vectors_of_any_length_get_length_1(size: float) -> None:
    vectors = unit_vectors(np.array([[3 * size, 4 * size]], dtype=np.float32))
    assert vectors.tolist() == [pytest.approx([0.6, 0.8])]
    assert vectors.dtype == np.float32


def test_every_text_is_compared_with_every_other() -> None:
    assert FOUR.similarity.shape == (4, 4)
    assert FOUR.similarity[0].tolist() == pytest.approx([1.0, 0.6, 0.0, -1.0])


def test_of_two_sets_the_first_is_compared_with_the_second() -> None:
    two = replace(FOUR, split=1)
    assert two.similarity.tolist() == [pytest.approx([0.6, 0.0, -1.0])]
    assert list(two.df.index) == ["cat"]
    assert list(two.df.columns) == ["猫", "dog", "tax"]


def test_the_table_of_similarities_is_labelled_by_the_texts_or_their_labels() -> None:
    assert FOUR.df.loc["cat", "dog"] == 0.0
    assert list(replace(FOUR, labels=("a", "b", "c", "d")).df.columns) == ["a", "b", "c", "d"]


def test_a_matrix_of_too_many_texts_is_refused_with_the_way_out() -> None:
    many = Embeddings(("x",) * 20_001, np.ones((20_001, 1), np.float32), "m", "local")
    assert ".nearest(text, k)" in refusal(lambda: many.similarity)
    assert "20,001" in refusal(lambda: many.df)


def test_what_is_near_a_text_leaves_out_itself() -> None:
    near = FOUR.nearest("cat", 2)
    assert near.text.tolist() == ["猫", "dog"]
    assert near.similarity.tolist() == pytest.approx([0.6, 0.0])
    assert near.index.tolist() == [1, 2]


def test_what_is_near_is_asked_by_text_label_position_or_vector() -> None:
    labelled = replace(FOUR, labels=("a", "b", "c", "d"))
    assert labelled.nearest("a", 1).label.tolist() == ["b"]
    assert FOUR.nearest(-1, 1).text.tolist() == ["dog"]
    assert FOUR.nearest(np.array([0.0, 5.0]), 1).text.tolist() == ["dog"]


def test_a_text_that_is_there_twice_is_not_near_itself() -> None:
    twice = replace(FOUR, texts=("cat", "cat", "dog", "tax"))
    assert twice.nearest("cat", 3).text.tolist() == ["dog", "tax"]


def test_what_is_no_text_here_is_refused() -> None:
    assert '%glm similar "..." --in NAME' in refusal(FOUR.nearest, "cow")
    assert "there is no text 4" in refusal(FOUR.nearest, 4)
    assert "a vector of 2 numbers is expected" in refusal(FOUR.nearest, [1.0, 2.0, 3.0])
    assert "zero or not finite" in refusal(FOUR.nearest, [0.0, 0.0])
    assert "not list" in refusal(FOUR.nearest, ["cat"])
    assert "k=0" in refusal(FOUR.nearest, "cat", 0)


def test_texts_fall_into_groups() -> None:
    groups = FOUR.cluster(4)
    assert sorted(groups.cluster) == [0, 1, 2, 3]
    assert groups.text.tolist() == ["cat", "猫", "dog", "tax"]
    assert "from 1 to 4 groups" in refusal(FOUR.cluster, 5)


def test_two_of_a_model_are_joined_each_text_once() -> None:
    other = replace(FOUR, texts=("cat", "cow", "hen", "猫"), cut=(2,), endpoint="local")
    both = FOUR + other
    assert both.texts == ("cat", "猫", "dog", "tax", "cow", "hen")
    assert both.vectors.tolist()[4] == pytest.approx([0.6, 0.8])
    assert both.usage.prompt_tokens == 2000
    assert both.cut == (5,)
    assert both.endpoint == "api.z.ai, local"


def test_a_text_that_the_other_has_twice_is_joined_once() -> None:
    other = replace(FOUR, texts=("cow", "cow", "hen", "cow"), missing=2)
    assert (FOUR + other).texts == ("cat", "猫", "dog", "tax", "cow", "hen")
    assert (FOUR + other).missing == 2


def test_labels_go_along_where_one_of_the_two_has_them() -> None:
    other = replace(FOUR, texts=("1", "2", "3", "4"), labels=("a", "b", "c", "d"))
    assert (FOUR + other).labels == ("cat", "猫", "dog", "tax", "a", "b", "c", "d")


def test_two_of_different_models_or_widths_are_not_joined() -> None:
    assert "mean nothing to each other" in refusal(FOUR.__add__, replace(FOUR, model="embedding-2"))
    wide = replace(FOUR, vectors=np.eye(4, dtype=np.float32))
    assert ".shortened(n) of the longer one" in refusal(FOUR.__add__, wide)


def test_one_that_was_cut_is_not_joined_with_one_that_was_not() -> None:
    assert "one was cut" in refusal(FOUR.__add__, replace(FOUR, cut_from=1024))


def test_what_it_took_before_is_added_to_what_it_took_to_go_on() -> None:
    both = FOUR.going_on_from(replace(FOUR, requests=3))
    assert (both.usage.prompt_tokens, both.requests, both.seconds) == (2000, 4, 1.0)


def test_nothing_else_is_joined() -> None:
    with pytest.raises(TypeError):
        FOUR + 1  # type: ignore[operator]


def test_shorter_vectors_have_length_1_again() -> None:
    wide = Embeddings(("a",), np.float32([[0.6, 0.0, 0.8]]), "m", "local")
    assert wide.shortened(2).vectors.tolist() == [[1.0, 0.0]]
    assert wide.shortened(2).cut_from == 3
    assert wide.shortened(3) is wide
    assert "from 1 to 3" in refusal(wide.shortened, 4)
    assert "zero in its first 1" in refusal(replace(FOUR).shortened, 1)


def test_it_costs_what_its_tokens_cost_where_they_are_billed() -> None:
    assert FOUR.cost is None
    assert replace(FOUR, billed_in="CNY").cost == Cost(0.0005, "CNY", "2026")


def test_it_says_what_it_is() -> None:
    assert repr(FOUR) == "<Embeddings of 4 texts, 2 dimensions, model='embedding-3'>"
    assert repr(replace(FOUR, texts=("a",), vectors=VECTORS[:1])).startswith(
        "<Embeddings of 1 text,"
    )
