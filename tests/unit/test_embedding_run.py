"""Many texts to vectors: what is kept is not sent, what comes is kept, whatever happens then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from asking import KEY
from glm_server import GlmServer, Script, build_embedding

from glm_magic.api.client import AsyncClient
from glm_magic.api.embedding import EmbeddingReply
from glm_magic.api.endpoints import Endpoint, parse_endpoint
from glm_magic.api.events import Usage
from glm_magic.api.requests import EmbeddingRequest
from glm_magic.errors import GlmError, SettingsError
from glm_magic.session.corpus import Corpus, read_cell, read_variable
from glm_magic.session.embedding import EmbeddingRun, Taken
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


def send(
    run: EmbeddingRun,
    server: GlmServer,
    noted: list[Taken] | None = None,
    *,
    concurrency: int = 3,
    note: Callable[[Taken], None] | None = None,
) -> None:
    """Send what is to be sent, and take and keep what comes."""
    seen = [] if noted is None else noted

    async def act() -> None:
        async with AsyncClient(KEY, server.url, concurrency=concurrency) as client:
            await run.send(client, lambda taken: run.take(*taken), note or seen.append)

    try:
        asyncio.run(act())
    finally:
        run.keep()


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


def test_vectors_of_another_width_than_those_before_are_refused_and_noted_all_the_same(
    server: GlmServer, store: VectorStore
) -> None:
    server.queue(Script(embeddings_dims=2), Script(embeddings_dims=3))
    endpoint = parse_endpoint(server.url)
    run, noted = run_of(store=store, endpoint=endpoint), []
    with pytest.raises(GlmError, match="of 3 numbers, and those before had 2; nothing of it"):
        send(run, server, noted, concurrency=1)
    assert [position for position, _ in noted] == [0, 1]
    assert run_of(store=store, endpoint=endpoint).recalled == 64


def test_kept_vectors_of_another_width_are_named_with_the_way_out(
    server: GlmServer, store: VectorStore
) -> None:
    endpoint = parse_endpoint(server.url)
    send(run_of(("a",), store, endpoint), server)
    server.script = Script(embeddings_dims=3)
    with pytest.raises(GlmError, match="`%glm store --clear`"):
        send(run_of(("a", "b"), store, endpoint), server)


def test_no_other_request_is_sent_once_what_is_noted_is_too_much(server: GlmServer) -> None:
    run = run_of(endpoint=parse_endpoint(server.url))

    def refuse(_: object) -> None:
        raise SettingsError("the budget is passed")

    with pytest.raises(SettingsError):
        send(run, server, concurrency=1, note=refuse)
    assert len(server.requests) == 1
    assert run.missing.size == 66


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

    send(run, server)
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
