"""Embeddings as they come: in the order of the texts, or a named error."""

from typing import Any

import numpy as np
import pytest

from glm_magic.api.embedding import parse_embeddings
from glm_magic.api.events import Usage
from glm_magic.errors import GlmError
from glm_magic.study.embeddings import build_embeddings, cosine_similarity

USAGE = {"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7}


def entry(index: int, *numbers: float) -> dict[str, Any]:
    return {"object": "embedding", "index": index, "embedding": list(numbers)}


def body(*entries: Any) -> dict[str, Any]:
    return {"object": "list", "model": "embedding-3", "data": list(entries), "usage": USAGE}


def refusal(content: object, *, count: int = 2) -> str:
    with pytest.raises(GlmError) as caught:
        parse_embeddings(content, count=count, host="api.z.ai")
    return str(caught.value)


def test_vectors_come_with_their_model_and_counts() -> None:
    reply = parse_embeddings(body(entry(0, 1, 2), entry(1, 3, 4)), count=2, host="api.z.ai")
    assert reply.vectors.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert reply.vectors.dtype == np.float32
    assert reply.model == "embedding-3"
    assert reply.usage == Usage(7, 0, 7)


def test_vectors_in_another_order_are_sorted_by_their_index() -> None:
    shuffled = body(entry(2, 3), entry(0, 1), entry(1, 2))
    assert parse_embeddings(shuffled, count=3, host="a").vectors.tolist() == [[1.0], [2.0], [3.0]]


def test_vectors_without_an_index_are_in_the_order_of_the_texts() -> None:
    plain = body({"embedding": [1.0]}, {"embedding": [2.0]})
    assert parse_embeddings(plain, count=2, host="a").vectors.tolist() == [[1.0], [2.0]]


@pytest.mark.parametrize("usage", [None, [], "7", {}])
def test_missing_counts_are_zero(usage: object) -> None:
    content = body(entry(0, 1)) | {"usage": usage}
    assert parse_embeddings(content, count=1, host="a").usage == Usage()


def test_fewer_vectors_than_texts_are_refused() -> None:
    assert refusal(body(entry(0, 1))) == "api.z.ai sent 1 vectors for 2 texts; nothing was kept"


def test_more_vectors_than_texts_are_refused() -> None:
    three = body(entry(0, 1), entry(1, 2), entry(2, 3))
    assert refusal(three) == "api.z.ai sent 3 vectors for 2 texts; nothing was kept"


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        "text",
        {},
        {"data": None},
        {"data": {}},
        body(1, 2),
        body(entry(0, 1), entry(1, 2), "more"),
        body(entry(0, 1), entry(0, 2)),
        body(entry(1, 1), entry(2, 2)),
        body(entry(0, 1), {"index": None, "embedding": [1.0]}),
        body(entry(0, 1), {"index": [1], "embedding": [1.0]}),
    ],
)
def test_a_list_that_does_not_fit_the_texts_is_refused(content: object) -> None:
    assert "vectors for 2 texts" in refusal(content)


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([[1.0, 2.0], [1.0]], "different widths"),
        ([[1.0], ["x"]], "different widths"),
        ([[1.0], [{}]], "different widths"),
        ([[1.0], [10**400]], "different widths"),
        ([1.0, 2.0], "no list of vectors"),
        ([[], []], "no list of vectors"),
        ([[[1.0]], [[1.0]]], "no list of vectors"),
        ([[1.0], [float("nan")]], "zero or not finite"),
        ([[1.0], [float("inf")]], "zero or not finite"),
        ([[1.0], [1e300]], "zero or not finite"),
        ([[1.0, 0.0], [0.0, 0.0]], "zero or not finite"),
    ],
)
def test_numbers_that_are_no_vectors_are_refused(rows: list[Any], what: str) -> None:
    content = body(*({"index": i, "embedding": row} for i, row in enumerate(rows)))
    assert what in refusal(content)


def test_embeddings_have_length_1_and_know_how_alike_their_texts_are() -> None:
    reply = parse_embeddings(body(entry(0, 3, 4), entry(1, 0, 5)), count=2, host="a")
    embeddings = build_embeddings(("cat", "dog"), reply, endpoint="api.z.ai", seconds=0.5)
    assert embeddings.vectors.tolist() == [pytest.approx([0.6, 0.8]), [0.0, 1.0]]
    assert embeddings.similarity.tolist() == [pytest.approx([1, 0.8]), pytest.approx([0.8, 1])]
    assert len(embeddings) == 2
    assert repr(embeddings) == "<Embeddings of 2 texts, 2 dimensions, model='embedding-3'>"


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_very_short_and_very_long_vectors_have_length_1_too(size: float) -> None:
    reply = parse_embeddings(body(entry(0, 3 * size, 4 * size)), count=1, host="a")
    embeddings = build_embeddings(("cat",), reply, endpoint="a", seconds=0.0)
    assert embeddings.vectors.tolist() == [pytest.approx([0.6, 0.8])]
    assert embeddings.vectors.dtype == np.float32


def test_the_table_of_similarities_is_labelled_by_the_texts() -> None:
    reply = parse_embeddings(body(entry(0, 1, 0), entry(1, 0, 1)), count=2, host="a")
    table = build_embeddings(("猫", "dog"), reply, endpoint="a", seconds=0.0).df
    assert list(table.index) == ["猫", "dog"]
    assert list(table.columns) == ["猫", "dog"]
    assert table.loc["猫", "dog"] == 0.0


def test_opposite_directions_have_a_cosine_of_minus_1() -> None:
    a, b = np.float32([[1, 0]]), np.float32([[-1, 0], [0, 1], [1, 0]])
    assert cosine_similarity(a, b).tolist() == [[-1.0, 0.0, 1.0]]


def test_rounding_never_makes_a_cosine_of_more_than_1() -> None:
    row = np.full((1, 7), 7**-0.5, dtype=np.float32)
    assert cosine_similarity(row * np.float32(1.0001), row).tolist() == [[1.0]]


def test_vectors_of_different_widths_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="size"):
        cosine_similarity(np.float32([[1.0]]), np.float32([[1.0, 0.0]]))
