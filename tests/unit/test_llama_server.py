"""The client over HTTP against llama.cpp's own server: a real model, a wire not written here."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from glm_magic import AsyncClient
from glm_magic.api.events import Finished, Identified, TextDelta, UsageReported
from glm_magic.errors import ApiError, AuthError
from glm_magic.local.engine import is_installed

pytestmark = pytest.mark.skipif(not is_installed(), reason="needs the extra `local`")

T = TypeVar("T")
KEY = secrets.token_urlsafe(32)
# The model's own default system message spoils this answer.
FRANCE = [
    {"role": "system", "content": ""},
    {"role": "user", "content": "What is the capital of France?"},
]
STORY = "Tell me a very long story about a fox."


@pytest.fixture(scope="module")
def url(smollm2: Path) -> Iterator[str]:
    """The base URL of the one server; the address has its free port."""
    server = start_server(smollm2)
    yield server.listening_address
    del server


def start_server(weights: Path, prefix: str = "") -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.n_ctx, params.n_parallel, params.cache_ram_mib = 2048, 1, 64
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.hostnames, params.port, params.api_prefix = ["127.0.0.1"], 0, prefix
    params.api_keys, params.cors_origins = [KEY], "http://127.0.0.1"
    params.ui, params.endpoint_slots, params.offline = False, True, True
    params.fit_params = params.warmup = False
    params.verbosity = 0
    return xllamacpp.Server(params)


def run(
    url: str, use: Callable[[AsyncClient], Awaitable[T]], *, path: str = "/v1", key: str = KEY
) -> T:
    async def main() -> T:
        async with AsyncClient(key, url + path, max_retries=0, concurrency=4) as client:
            return await use(client)

    return asyncio.run(main())


def is_slot_busy(url: str) -> bool:
    headers = {"Authorization": f"Bearer {KEY}"}
    (slot,) = httpx.get(f"{url}/slots", headers=headers).json()
    return slot["is_processing"]


def test_a_reply_streams_with_its_usage(url: str) -> None:
    async def ask(client: AsyncClient) -> list[Any]:
        stream = client.stream(FRANCE, temperature=0, max_tokens=32)
        return [[event async for event in stream], stream.reply]

    events, reply = run(url, ask)
    assert [type(event) for event in events[:2]] == [Identified, TextDelta]
    assert sum(type(event) is TextDelta for event in events) > 3
    assert [type(event) for event in events[-2:]] == [Finished, UsageReported]
    assert "Paris" in reply.text
    assert (reply.state, reply.finish_reason) == ("complete", "stop")
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert 0 < reply.usage.completion_tokens <= 32
    assert reply.request_id.startswith("chatcmpl-")
    assert reply.endpoint == httpx.URL(url).netloc.decode()


def test_a_reply_may_come_whole(url: str) -> None:
    streamed = run(url, lambda client: client.chat(FRANCE, temperature=0, max_tokens=32))
    whole = run(url, lambda client: client.chat(FRANCE, temperature=0, max_tokens=32, stream=False))
    assert (whole.text, whole.state, whole.usage) == (streamed.text, "complete", streamed.usage)


def test_a_reply_ends_where_it_may_have_no_more_tokens(url: str) -> None:
    reply = run(url, lambda client: client.chat(STORY, max_tokens=5))
    assert (reply.finish_reason, reply.usage.completion_tokens) == ("length", 5)


def test_a_reply_that_is_left_frees_its_place_on_the_server(url: str) -> None:
    async def leave(client: AsyncClient) -> tuple[str, str, bool]:
        async with client.stream(STORY, max_tokens=1500) as stream:
            async for event in stream:
                if type(event) is TextDelta:
                    break
            was_busy = await asyncio.to_thread(is_slot_busy, url)
        return stream.reply.text, stream.reply.state, was_busy

    text, state, was_busy = run(url, leave)
    deadline = time.monotonic() + 5  # 1500 tokens take 15 s and more
    while (is_busy := is_slot_busy(url)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (bool(text), state, was_busy, is_busy) == (True, "stopped", True, False)


def test_more_replies_than_the_server_has_places_are_all_whole(url: str) -> None:
    async def ask(client: AsyncClient) -> list[str]:
        asks = [client.chat(FRANCE, temperature=0, max_tokens=16) for _ in range(4)]
        return [reply.text for reply in await asyncio.gather(*asks)]

    texts = run(url, ask)
    assert len(texts) == 4
    assert all("Paris" in text for text in texts)


def test_texts_have_embeddings(url: str) -> None:
    reply = run(url, lambda client: client.embed(["a cat", "a dog", "a cat"]))
    assert reply.vectors.shape == (3, 576)
    assert reply.vectors[0] == pytest.approx(reply.vectors[2], abs=1e-3)
    assert reply.vectors[0] != pytest.approx(reply.vectors[1], abs=1e-3)


def test_a_wrong_key_is_refused(url: str) -> None:
    with pytest.raises(AuthError):
        run(url, lambda client: client.chat("hi"), key="not-the-key")
    with pytest.raises(AuthError):
        run(url, lambda client: client.embed(["hi"]), key="not-the-key")


def test_a_prompt_over_the_context_is_refused_and_not_repeated_in_the_error(url: str) -> None:
    with pytest.raises(ApiError, match="context") as caught:
        run(url, lambda client: client.chat("tomato " * 4000))
    assert caught.value.status == 400
    assert "tomato" not in str(caught.value)


@pytest.mark.parametrize("thinking", [None, False, True])
def test_thinking_may_be_chosen_where_a_template_does_not_know_it(
    url: str, thinking: bool | None
) -> None:
    reply = run(url, lambda client: client.chat(FRANCE, thinking=thinking, max_tokens=4))
    assert reply.state == "complete"


def test_the_fields_of_glm_are_taken_under_its_path(smollm2: Path) -> None:
    server = start_server(smollm2, prefix="/api/paas/v4")
    reply = run(
        server.listening_address,
        lambda client: client.chat(FRANCE, temperature=0.01, thinking=False, max_tokens=32),
        path="/api/paas/v4",
    )
    del server
    assert ("Paris" in reply.text, reply.state) == (True, "complete")
