"""Connections: kept for the next request where the server ended the body, closed elsewhere."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest
from glm_server import GlmServer, Script

import glm_magic
from glm_magic.api.reply import Reply

EVENTS = (
    b'data: {"id":"1","model":"m","choices":[{"delta":{"content":"Hello"}}]}\n\n'
    b'data: {"choices":[{"finish_reason":"stop","delta":{"content":""}}]}\n\n'
    b"data: [DONE]\n\n"
)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
UNENDED = HEAD + b"%x\r\n%s\r\n" % (len(EVENTS), EVENTS)
END = b"0\r\n\r\n"


class CountingServer(ThreadingTCPServer):
    """Answers every request with the same bytes and counts the connections."""

    daemon_threads = True

    def __init__(self, response: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.response = response
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Answering(StreamRequestHandler):
    server: CountingServer

    def handle(self) -> None:
        self.server.connections += 1
        while self._read_request():
            self.wfile.write(self.server.response)

    def _read_request(self) -> bool:
        length = 0
        for line in iter(self.rfile.readline, b"\r\n"):
            if not line:
                return False
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        return bool(self.rfile.read(length))


@contextmanager
def serving(response: bytes) -> Iterator[CountingServer]:
    with CountingServer(response) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def ask_thrice(url: str) -> list[Reply]:
    async def ask() -> list[Reply]:
        async with glm_magic.AsyncClient("k", url, max_retries=0) as client:
            return [await client.chat("hi") for _ in range(3)]

    return asyncio.run(ask())


def test_replies_one_after_another_share_a_connection() -> None:
    with serving(UNENDED + END) as server:
        replies = ask_thrice(server.url)
    assert [(reply.text, reply.state) for reply in replies] == [("Hello", "complete")] * 3
    assert server.connections == 1


def test_a_body_without_an_end_is_not_waited_for_and_its_connection_is_closed() -> None:
    with serving(UNENDED) as server:
        start = time.perf_counter()
        replies = ask_thrice(server.url)
    assert time.perf_counter() - start < 5  # far under the idle time-out of 60 s
    assert [reply.state for reply in replies] == ["complete"] * 3
    assert server.connections == 3


@pytest.mark.parametrize("take", [1, 100], ids=["stopped", "whole"])
def test_a_closed_client_leaves_no_task_behind(
    server: GlmServer, caplog: pytest.LogCaptureFixture, take: int
) -> None:
    server.script = Script(text=("a", "b", "c"), pace_s=0.001)
    with caplog.at_level(logging.ERROR, "asyncio"):
        for _ in range(5):
            with glm_magic.Client(server.key, server.url) as client, client.stream("hi") as stream:
                for _ in zip(range(take), stream, strict=False):
                    pass
            gc.collect()
    assert caplog.messages == []
