"""Leaving a reply at any stage: at once, with the connection closed and what came kept."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress

import pytest
from asking import ASK, CHUNK, client_of
from glm_server import GlmServer, Script
from raw_server import HANG, Forever, RawServer, Step, head

from glm_magic.api.client import AsyncClient
from glm_magic.api.events import TextDelta, Waiting
from glm_magic.api.stream import ReplyStream
from glm_magic.errors import GlmError

# Every stage of a request, as steps of a server that then hangs.
STAGES: dict[str, tuple[Step, ...]] = {
    "before the headers": (HANG,),
    "in the headers": (b"HTTP/1.1 200 OK\r\ncontent-", HANG),
    "before the first byte": (head(), HANG),
    "in the first event": (head(), CHUNK[:30], HANG),
    "between events": (head(), CHUNK, HANG),
    "in an event": (head(), CHUNK + CHUNK[:30], HANG),
    "in a chunk": (head(transfer_encoding="chunked"), b"ff\r\n" + CHUNK, HANG),
    "in a flood": (head(), Forever(CHUNK * 10)),
    "in pings": (head(), Forever(b": ping\n\n", 0.01)),
    "in an error": (head(500), b'{"error":', HANG),
    "in a redirect": (head(307), HANG),
    "in one JSON": (head(content_type="application/json"), b'{"choices":[', HANG),
}


async def cancel(stream: ReplyStream, after_s: float) -> float:
    """Take events for so long, cancel, and return how long that took."""

    async def take() -> None:
        async for _ in stream:
            pass

    task = asyncio.create_task(take())
    await asyncio.sleep(after_s)
    start = time.perf_counter()
    task.cancel()
    with suppress(asyncio.CancelledError, GlmError):
        await task
    return time.perf_counter() - start


@pytest.mark.parametrize("stage", STAGES)
def test_a_cancel_is_done_in_a_moment_and_closes_the_socket(stage: str) -> None:
    async def run(url: str) -> tuple[ReplyStream, float]:
        async with client_of(url, max_retries=2) as client:
            stream = client.stream(ASK)
            seconds = await cancel(stream, 0.15)
            # Before the client is closed, which closes all there is.
            await asyncio.to_thread(server.wait_for_left, 1.0)
            return stream, seconds

    with RawServer(STAGES[stage]) as server:
        stream, seconds = asyncio.run(run(server.url))
        assert len(server.requests) == 1
    assert seconds < 1
    if stage != "in a redirect":  # which was told by its headers already
        assert stream.reply.state == "stopped"
    assert stream.reply.text.startswith("Hello" if stage in KEEPS else "")


KEEPS = ("between events", "in an event", "in a chunk", "in a flood")


def test_a_cancel_in_the_handshake_is_done_in_a_moment() -> None:
    async def run(port: int) -> float:
        async with AsyncClient("", f"https://127.0.0.1:{port}/v1") as client:
            seconds = await cancel(client.stream(ASK), 0.15)
            await asyncio.to_thread(server.wait_for_left, 1.0)
            return seconds

    with RawServer((HANG,)) as server:
        assert asyncio.run(run(server.port)) < 1


def test_a_cancel_before_the_first_step_sends_nothing(server: GlmServer) -> None:
    async def run() -> str:
        async with client_of(server.url) as client:
            stream = client.stream(ASK)
            await cancel(stream, 0.0)
            return stream.reply.state

    assert asyncio.run(run()) in ("stopped", "streaming")
    time.sleep(0.05)
    assert len(server.requests) <= 1


def test_a_cancel_of_vectors_closes_the_socket() -> None:
    async def run(url: str) -> None:
        async with client_of(url) as client:
            task = asyncio.ensure_future(client.embed(["a"]))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(server.wait_for_left, 1.0)
            assert client.limiter("embedding-3").in_flight == 0

    with RawServer((head(content_type="application/json"), b'{"data":[', HANG)) as server:
        asyncio.run(run(server.url))


Leave = Callable[[AsyncClient], Awaitable[ReplyStream]]


async def leave_by_its_block(client: AsyncClient) -> ReplyStream:
    async with client.stream(ASK) as stream:
        async for event in stream:
            if isinstance(event, TextDelta):
                break
    return stream


async def leave_by_its_iterator(client: AsyncClient) -> ReplyStream:
    stream = client.stream(ASK)
    async with aclosing(aiter(stream)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    return stream


async def leave_by_aclose(client: AsyncClient) -> ReplyStream:
    stream = client.stream(ASK)
    async for event in stream:
        if isinstance(event, TextDelta):
            break
    await stream.aclose()
    await stream.aclose()
    return stream


async def leave_by_an_error(client: AsyncClient) -> ReplyStream:
    stream = client.stream(ASK)
    with pytest.raises(ZeroDivisionError):
        async with stream:
            async for event in stream:
                if isinstance(event, TextDelta):
                    raise ZeroDivisionError
    return stream


async def leave_by_cancelling(client: AsyncClient) -> ReplyStream:
    stream, came = client.stream(ASK), asyncio.Event()

    async def take() -> None:
        async for event in stream:
            if isinstance(event, TextDelta):
                came.set()

    task = asyncio.create_task(take())
    await came.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return stream


async def leave_by_a_time_out(client: AsyncClient) -> ReplyStream:
    stream = client.stream(ASK)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            async for _ in stream:
                pass
    return stream


LEAVES = [
    leave_by_its_block,
    leave_by_its_iterator,
    leave_by_aclose,
    leave_by_an_error,
    leave_by_cancelling,
    leave_by_a_time_out,
]


@pytest.mark.parametrize("leave", LEAVES)
def test_leaving_early_ends_the_work_of_the_server(server: GlmServer, leave: Leave) -> None:
    async def run() -> ReplyStream:
        async with client_of(server.url) as client:
            stream = await leave(client)
            await asyncio.to_thread(server.wait_for_disconnect)  # before the client is closed
            assert client.limiter("glm-4.7").in_flight == 0
            return stream

    server.script = Script(text=("Hello", "never"), stall_after=1)
    reply = asyncio.run(run()).reply
    assert (reply.text, reply.state) == ("Hello", "stopped")
    assert reply.seconds < 5


def test_what_has_ended_is_not_stopped_by_closing_it(server: GlmServer) -> None:
    async def run() -> str:
        async with client_of(server.url) as client:
            async with client.stream(ASK) as stream:
                async for _ in stream:
                    pass
            await stream.aclose()
            return stream.reply.state

    assert asyncio.run(run()) == "complete"


def test_a_stream_that_was_closed_before_it_began_sends_nothing(server: GlmServer) -> None:
    async def run() -> str:
        async with client_of(server.url) as client:
            stream = client.stream(ASK)
            await stream.aclose()
            async for _ in stream:
                raise AssertionError("an event of a closed stream")
            return stream.reply.state

    assert asyncio.run(run()) == "stopped"
    assert server.requests == []


def test_one_who_leaves_after_the_review_withdrew_the_answer_keeps_no_text(
    server: GlmServer,
) -> None:
    async def run() -> tuple[str, str]:
        async with client_of(server.url) as client, client.stream(ASK) as stream:
            async for event in stream:
                if not isinstance(event, TextDelta | Waiting) and stream.reply.finish_reason:
                    break
        return stream.reply.text, stream.reply.state

    server.script = Script(text=("bad",), finish_reason="sensitive")
    assert asyncio.run(run()) == ("", "withdrawn")


def test_the_wait_for_a_place_is_part_of_the_whole_time(server: GlmServer) -> None:
    async def run() -> tuple[str, float]:
        async with client_of(server.url, concurrency=1, total_timeout_s=0.2) as client:
            async with client.limiter("glm-4.7").slot():
                start = time.perf_counter()
                with pytest.raises(GlmError) as caught:
                    await client.chat(ASK)
            assert client.limiter("glm-4.7").in_flight == 0
            return str(caught.value), time.perf_counter() - start

    line, seconds = asyncio.run(run())
    assert "no answer: over 0.2 s in all (total_timeout_s)" in line
    assert 0.2 <= seconds < 1
    assert server.requests == []


def test_a_closed_client_has_closed_its_connections(server: GlmServer) -> None:
    async def run() -> ReplyStream:
        client = client_of(server.url)
        stream = client.stream(ASK)
        async for event in stream:
            if isinstance(event, TextDelta):
                break
        await client.aclose()
        await asyncio.to_thread(server.wait_for_disconnect)
        await stream.aclose()
        return stream

    server.script = Script(text=("Hello", "never"), stall_after=1)
    assert asyncio.run(run()).reply.state == "stopped"
