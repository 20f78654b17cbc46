"""Embeddings as they come: in the order of the texts, or a named error."""

import re
from typing import Any

import numpy as np
import pytest

from glm_magic.api.embedding import parse_embeddings
from glm_magic.api.events import Usage
from glm_magic.errors import GlmError

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


def test_vectors_in_another_order_than_the_texts_are_refused() -> None:
    shuffled = body(entry(2, 3), entry(0, 1), entry(1, 2))
    assert refusal(shuffled, count=3) == (
        "api.z.ai sent vectors in another order than the texts, or some that cannot be told "
        "apart; nothing was kept"
    )


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
    wanted = "vectors (for 2 texts|in another order .*cannot be told apart); nothing was kept"
    assert re.search(wanted, refusal(content))


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


def test_vectors_of_another_width_than_was_asked_for_are_refused() -> None:
    with pytest.raises(GlmError) as caught:
        parse_embeddings(body(entry(0, 1, 2)), count=1, host="api.z.ai", dimensions=256)
    assert str(caught.value) == (
        "api.z.ai sent vectors of 2 numbers where 256 were asked for; nothing was kept; leave "
        "--dimensions away if it cannot choose"
    )


def test_vectors_of_one_place_twice_cannot_be_told_apart() -> None:
    assert "cannot be told apart" in refusal(body(entry(0, 1), entry(0, 2)))
