"""Many replies at once, and long ones: nothing is lost, crossed or piled up."""

import asyncio
import gc
import time
import tracemalloc
from collections.abc import AsyncIterator

import pytest
from asking import DONE, KEY, LAST, SITE, client_of, take_all
from glm_server import GlmServer, Script
from raw_server import HANG, RawServer, head

from glm_magic.api import http
from glm_magic.api.body import Body
from glm_magic.api.client import AsyncClient
from glm_magic.api.events import TextDelta
from glm_magic.api.requests import ChatRequest, build_messages

PIECES = tuple(f"{number} " for number in range(30))


def request(number: int) -> ChatRequest:
    return ChatRequest("glm-4.7", build_messages(f"number {number}"))


def test_a_hundred_replies_at_once_lose_nothing_and_do_not_cross(server: GlmServer) -> None:
    async def take(client: AsyncClient, number: int) -> tuple[list[str], str]:
        outcome = await take_all(client, request(number))
        assert outcome.error is None
        assert outcome.reply.state == "complete"
        texts = [event.text for event in outcome.events if isinstance(event, TextDelta)]
        return texts, outcome.reply.request_id

    async def run() -> list[tuple[list[str], str]]:
        async with client_of(server.url, concurrency=100) as client:
            return await asyncio.gather(*(take(client, number) for number in range(100)))

    # Which reply goes to whom, nobody knows; but each has its own text, whole and in order.
    server.queue(
        *(Script(text=tuple(f"{n}:{p}" for p in PIECES), pace_s=0.005) for n in range(100))
    )
    found = asyncio.run(run())
    assert server.peak_in_flight == 100
    assert len({request_id for _, request_id in found}) == 100
    owners = [texts[0].partition(":")[0] for texts, _ in found]
    assert sorted(map(int, owners)) == list(range(100))
    for texts, owner in zip((texts for texts, _ in found), owners, strict=True):
        assert texts == [f"{owner}:{piece}" for piece in PIECES]


def test_a_hundred_replies_at_once_progress_together(server: GlmServer) -> None:
    came: list[int] = [0] * 100
    behind: list[int] = []

    async def take(client: AsyncClient, number: int) -> None:
        async with client.stream(request(number)) as stream:
            async for event in stream:
                came[number] += isinstance(event, TextDelta)
                if min(came) > 0:
                    behind.append(max(came) - min(came))

    async def run() -> None:
        async with client_of(server.url, concurrency=100) as client:
            await asyncio.gather(*(take(client, number) for number in range(100)))

    server.script = Script(text=PIECES, first_chunk_delay_s=1.0, pace_s=0.03)
    asyncio.run(run())
    assert came == [30] * 100
    assert max(behind) <= 20


def test_one_slow_reader_does_not_hold_up_the_others(server: GlmServer) -> None:
    async def run() -> tuple[float, int]:
        async with client_of(server.url, concurrency=10) as client:
            start = time.perf_counter()
            async with client.stream(request(0)) as slow:
                async for event in slow:
                    if isinstance(event, TextDelta):
                        break
                await asyncio.gather(*(take_all(client, request(n)) for n in range(1, 10)))
                seconds = time.perf_counter() - start
                texts = [e async for e in slow if isinstance(e, TextDelta)]
            return seconds, len(texts)

    server.script = Script(text=PIECES)
    seconds, count = asyncio.run(run())
    assert seconds < 5
    assert count == 29


def test_more_than_a_hundred_replies_wait_for_no_connection() -> None:
    async def run(url: str) -> int:
        async with AsyncClient(KEY, url, concurrency=1000) as client:
            tasks = [asyncio.ensure_future(take_all(client, request(n))) for n in range(130)]
            try:
                return len(await asyncio.to_thread(server.wait_for_requests, 130, 15.0))
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    with RawServer((head(), HANG)) as server:
        assert asyncio.run(run(server.url)) == 130


# -- memory --------------------------------------------------------------------------------


class Flood(http.AsyncByteStream):
    """The same event so many times, then the end; nothing of it is kept here."""

    def __init__(self, event: bytes, count: int) -> None:
        self._event, self._count = event, count

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self._count):
            yield b"%b" % self._event
        yield LAST
        yield DONE


def peak_bytes(event: bytes, count: int) -> int:
    """The most memory that a reply of so many events took, with a reader that keeps none."""

    async def run() -> None:
        body = http.MockTransport(lambda _: http.Response(200, stream=Flood(event, count)))
        async with AsyncClient(KEY, SITE, transport=body) as client:
            async with client.stream(request(0)) as stream:
                async for _ in stream:
                    pass
            assert len(stream.reply.text) == (count * 3 if b"abc" in event else 1)

    first = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'
    event = event or first
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        asyncio.run(run())
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


TEXT = b'data: {"choices":[{"delta":{"content":"abc"}}]}\n\n'


def test_memory_grows_with_the_text_that_is_kept_and_with_nothing_else() -> None:
    peak_bytes(TEXT, 100)  # what is loaded once
    short, long = peak_bytes(TEXT, 5_000), peak_bytes(TEXT, 20_000)
    # A string of three characters and its place in a list, and the joined text: 60 to 80 bytes.
    assert (long - short) / 15_000 < 100


@pytest.mark.parametrize("noise", [b": ping\n\n", b'data: {"choices":[]}\n\n', b"id: 7\n\n"])
def test_what_is_no_text_is_not_kept(noise: bytes) -> None:
    async def run(count: int) -> int:
        body = Body(10**6, lambda _, __: None)
        body.feed(TEXT)
        tracemalloc.start()
        try:
            for _ in range(count):
                body.feed(b"%b" % noise)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    asyncio.run(run(100))
    assert asyncio.run(run(20_000)) < 20_000


def test_reading_the_reply_at_every_event_costs_no_memory_that_stays() -> None:
    async def run() -> int:
        body = http.MockTransport(lambda _: http.Response(200, stream=Flood(TEXT, 1000)))
        async with AsyncClient(KEY, SITE, transport=body) as client:
            tracemalloc.start()
            try:
                async with client.stream(request(0)) as stream:
                    async for _ in stream:
                        assert stream.reply.state == "streaming"
                return tracemalloc.get_traced_memory()[0]
            finally:
                tracemalloc.stop()

    asyncio.run(run())
    assert asyncio.run(run()) < 1_000_000
