"""Many embedding requests: as many at a time as may be, each reply as it comes, none paid twice."""

import asyncio
from typing import Any

import pytest
from asking import KEY
from glm_server import GlmServer, Script, build_embedding, failure

from glm_magic.api.client import AsyncClient
from glm_magic.api.embedding import EmbeddingReply
from glm_magic.api.requests import EmbeddingRequest
from glm_magic.errors import GlmError, RateLimitError

REQUESTS = [EmbeddingRequest("embedding-3", (f"text {i}",)) for i in range(6)]


def embed_each(url: str, requests: Any = REQUESTS, **options: Any) -> dict[int, EmbeddingReply]:
    """The replies by position in the order they came; an error rides on them as `error`."""
    replies: dict[int, EmbeddingReply] = {}

    async def take() -> None:
        async with AsyncClient(KEY, url, **{"max_retries": 0, "retry_base_s": 0.01} | options) as c:
            await c.embed_each(requests, replies.__setitem__)

    try:
        asyncio.run(take())
    except GlmError as error:
        error.replies = replies  # type: ignore[attr-defined]
        raise
    return replies


def test_every_reply_comes_with_the_position_of_its_request(server: GlmServer) -> None:
    replies = embed_each(server.url, concurrency=3)
    assert sorted(replies) == [0, 1, 2, 3, 4, 5]
    for position, reply in replies.items():
        assert reply.vectors[0].tolist() == pytest.approx(build_embedding(f"text {position}", 8))


def test_replies_come_in_the_order_the_server_gives_them(server: GlmServer) -> None:
    server.queue(Script(headers_delay_s=1.5))
    assert list(embed_each(server.url, concurrency=2)) == [1, 2, 3, 4, 5, 0]


def test_no_more_are_in_flight_than_the_limiter_lets_pass(server: GlmServer) -> None:
    server.script = Script(headers_delay_s=0.05)
    embed_each(server.url, concurrency=3)
    assert server.peak_in_flight == 3


def test_no_request_is_no_work(server: GlmServer) -> None:
    assert embed_each(server.url, []) == {}
    assert server.requests == []


def test_after_a_failure_no_other_is_sent_but_those_in_flight_are_kept(server: GlmServer) -> None:
    server.queue(Script(headers_delay_s=0.3), Script(error=failure("1113")))
    with pytest.raises(RateLimitError) as caught:
        embed_each(server.url, concurrency=2)
    assert len(caught.value.replies) == 1  # type: ignore[attr-defined]
    assert len(server.requests) == 2


def test_a_refusal_halves_the_places_and_the_text_is_sent_again(server: GlmServer) -> None:
    server.concurrency = 2
    server.script = Script(headers_delay_s=0.02)
    replies = embed_each(server.url, concurrency=6, max_retries=4)
    assert sorted(replies) == [0, 1, 2, 3, 4, 5]
