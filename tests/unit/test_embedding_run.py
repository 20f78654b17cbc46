"""Many texts to vectors: what is kept is not sent, what comes is kept, whatever happens then."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from asking import KEY
from glm_server import GlmServer, build_embedding

from glm_magic.api.client import AsyncClient
from glm_magic.api.embedding import EmbeddingReply
from glm_magic.api.endpoints import Endpoint, parse_endpoint
from glm_magic.api.events import Usage
from glm_magic.api.requests import EmbeddingRequest
from glm_magic.errors import GlmError
from glm_magic.session.corpus import Corpus, read_cell, read_variable
from glm_magic.session.embedding import EmbeddingRun
from glm_magic.session.store import VectorStore
from glm_magic.study.embeddings import build_embeddings

HERE = parse_endpoint("http://127.0.0.1:1/v1")
TEXTS = tuple(f"text {i}" for i in range(130))


@pytest.fixture
def store(tmp_path: Path) -> VectorStore:
    return VectorStore(tmp_path / "vectors.sqlite")


def run_of(
    texts: tuple[str, ...] = TEXTS,
    store: VectorStore | None = None,
    endpoint: Endpoint = HERE,
    model: str = "embedding-3",
) -> EmbeddingRun:
    """A run that has looked into the store and has its requests."""
    run = EmbeddingRun(EmbeddingRequest(model, texts), endpoint, store)
    run.recall()
    run.plan()
    return run


def keep_all(run: EmbeddingRun, *vectors: list[float]) -> None:
    """Take a reply to the first request, and end the run."""
    run.take(0, reply(*vectors))
    run.keep()


def reply(*vectors: list[float]) -> EmbeddingReply:
    return EmbeddingReply(np.array(vectors, dtype=np.float32), "m", Usage(5, 0, 5))


def test_texts_go_in_requests_of_64() -> None:
    assert [len(request.texts) for request in run_of().requests] == [64, 64, 2]


def test_a_reply_in_any_order_fills_the_rows_of_its_texts() -> None:
    run = run_of(("a", "b"))
    run.take(0, reply([3.0, 4.0], [0.0, 2.0]))
    assert run.vectors.tolist() == [pytest.approx([0.6, 0.8]), [0.0, 1.0]]
    assert (run.answered, run.usage, run.missing.size) == (1, Usage(5, 0, 5), 0)


def test_what_came_is_there_though_the_rest_did_not() -> None:
    run = run_of()
    run.take(2, reply([1.0, 0.0], [0.0, 1.0]))
    assert run.vectors.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert run.missing.tolist() == list(range(128))


def test_vectors_of_another_width_than_those_before_are_refused(store: VectorStore) -> None:
    run = run_of(store=store)
    run.take(2, reply([1.0, 0.0], [0.0, 1.0]))
    with pytest.raises(GlmError, match="of 3 numbers, and those before had 2; nothing of it"):
        run.take(0, reply(*[[1.0, 0.0, 0.0]] * 64))
    run.keep()
    assert run_of(store=store).recalled == 2


def test_a_second_run_finds_all_in_the_store(store: VectorStore) -> None:
    first = run_of(("a", "b"), store)
    keep_all(first, [1.0, 0.0], [0.0, 1.0])
    again = run_of(("b", "new", "a"), store)
    assert [request.texts for request in again.requests] == [("new",)]
    assert (again.recalled, again.answered) == (2, 0)
    again.take(0, reply([0.6, 0.8]))
    assert again.vectors.tolist() == [[0.0, 1.0], pytest.approx([0.6, 0.8]), [1.0, 0.0]]


def test_what_came_is_kept_every_half_second_and_at_the_end(store: VectorStore) -> None:
    now = [0.0]
    run = EmbeddingRun(EmbeddingRequest("m", TEXTS), HERE, store, clock=lambda: now[0])
    run.plan()
    run.take(2, reply([1.0, 0.0], [0.0, 1.0]))
    assert store.facts().texts == 0
    now[0] = 0.6
    run.take(1, reply(*[[1.0, 0.0]] * 64))
    assert store.facts().texts == 66
    run.take(0, reply(*[[1.0, 0.0]] * 64))
    assert store.facts().texts == 66
    run.keep()
    assert store.facts().texts == 130


@pytest.mark.parametrize(
    "other",
    [
        {"model": "embedding-2"},
        {"endpoint": parse_endpoint("http://127.0.0.1:2/v1")},
    ],
    ids=["model", "endpoint"],
)
def test_vectors_of_another_place_are_not_found(
    store: VectorStore, other: dict[str, object]
) -> None:
    keep_all(run_of(("a",), store), [1.0, 0.0])
    assert run_of(("a",), store, **other).recalled == 0  # type: ignore[arg-type]
    assert run_of(("a",), store).recalled == 1


def test_at_the_platform_the_default_width_and_its_number_are_one(store: VectorStore) -> None:
    place = parse_endpoint("bigmodel")
    vector = [1.0, *[0.0] * 2047]
    keep_all(run_of(("a",), store, place), vector)
    asked = EmbeddingRun(EmbeddingRequest("embedding-3", ("a",), 2048), place, store)
    asked.recall()
    assert asked.recalled == 1


def test_vectors_known_from_before_come_before_the_store() -> None:
    run = EmbeddingRun(EmbeddingRequest("m", ("a", "b")), HERE, None)
    run.recall({"b": np.float32([0.0, 1.0]), "c": np.float32([1.0, 0.0])})
    assert (run.recalled, run.missing.tolist()) == (1, [0])
    assert run.plan().texts == ("a",)


def test_a_store_that_fails_is_left_with_its_reason_and_the_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("a letter to a friend, and no database")
    run = run_of(("a",), VectorStore(path))
    assert "letter.txt" in run.store_failure
    keep_all(run, [1.0, 0.0])
    assert run.vectors.tolist() == [[1.0, 0.0]]
    assert path.read_text().startswith("a letter")


def test_all_of_it_goes_over_the_wire_and_comes_back_in_order(
    server: GlmServer, store: VectorStore
) -> None:
    endpoint = parse_endpoint(server.url)
    run = run_of(store=store, endpoint=endpoint)

    async def send() -> None:
        async with AsyncClient(KEY, server.url, concurrency=3) as client:
            await run.send(client, lambda taken: run.take(*taken))

    asyncio.run(send())
    run.keep()
    assert run.missing.size == 0
    for place in (0, 64, 129):
        assert run.vectors[place].tolist() == pytest.approx(build_embedding(f"text {place}", 8))
    assert run_of(store=store, endpoint=endpoint).requests == []


# -- to embeddings -----------------------------------------------------------------------------


def embedded(corpus: Corpus, *vectors: list[float], cut: tuple[int, ...] = ()) -> EmbeddingRun:
    run = run_of(tuple(dict.fromkeys(corpus.texts)))
    run.take(0, reply(*vectors))
    return run


def test_a_text_that_is_there_twice_has_its_vector_twice() -> None:
    corpus = read_cell("a\nb\na")
    made = build_embeddings(corpus, embedded(corpus, [1.0, 0.0], [0.0, 1.0]), seconds=0.5)
    assert made.texts == ("a", "b", "a")
    assert made.vectors.tolist() == [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    assert made.seconds == 0.5


def test_a_part_has_the_texts_that_came_with_their_labels_and_their_sets() -> None:
    corpus = read_variable({f"k{i}": text for i, text in enumerate(TEXTS)}, "t")
    run = run_of()
    run.take(2, reply([1.0, 0.0], [0.0, 1.0]))
    made = build_embeddings(corpus, run, seconds=0.0, cut=(3, 129))
    assert made.texts == ("text 128", "text 129")
    assert made.labels == ("k128", "k129")
    assert (made.missing, made.cut) == (128, (1,))


def test_a_part_of_two_sets_knows_where_the_second_begins() -> None:
    lines = [f"text {i}" for i in range(129)]
    corpus = read_cell("\n".join([*lines, "---", "text 129"]))
    run = run_of()
    run.take(2, reply([1.0, 0.0], [0.0, 1.0]))
    assert build_embeddings(corpus, run, seconds=0.0).split == 1
