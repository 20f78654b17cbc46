"""One request to its end and how it went, and transports that answer without a network."""

import asyncio
import ssl
import traceback
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from glm_magic.api import http
from glm_magic.api.client import AsyncClient
from glm_magic.api.events import Event
from glm_magic.api.reply import Reply
from glm_magic.api.requests import ChatRequest, EmbeddingRequest, build_messages
from glm_magic.errors import GlmError, StreamError

KEY = "test-key-id.test-secret"  # the loopback server's
PROMPT = "我的日记：今天 I hid the gold under the old oak."
ASK = ChatRequest("glm-4.7", build_messages(PROMPT))
TEXTS = EmbeddingRequest("embedding-3", ("猫", "dog"))
SITE = "https://llm.example.org/api/paas/v4"
CHUNK = b'data: {"id":"1","model":"m","choices":[{"delta":{"content":"Hello"}}]}\n\n'
LAST = b'data: {"choices":[{"finish_reason":"stop","delta":{"content":""}}]}\n\n'
DONE = b"data: [DONE]\n\n"
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass
class Outcome:
    """How one request went."""

    events: list[Event]
    reply: Reply
    error: GlmError | None


def ask(url: str, request: ChatRequest = ASK, key: str = KEY, **options: Any) -> Outcome:
    """Send one request, with no second try unless told, and take all of its events."""

    async def take() -> Outcome:
        async with client_of(url, key, **options) as client:
            return await take_all(client, request)

    return asyncio.run(take())


def client_of(url: str, key: str = KEY, **options: Any) -> AsyncClient:
    """A client that does not try again unless told, to be made on its event loop."""
    defaults: dict[str, Any] = {"max_retries": 0}
    if url.startswith("http://127."):
        # The network as ever; but reading all the certificates there are takes 50 ms a client.
        defaults["transport"] = http.AsyncHTTPTransport(verify=_NO_CERTIFICATES)
    return AsyncClient(key, url, **{**defaults, **options})


async def take_all(client: AsyncClient, request: ChatRequest = ASK) -> Outcome:
    """Take all events of one reply."""
    stream, events, caught = client.stream(request), [], None
    try:
        async with asyncio.timeout(20), stream:
            async for event in stream:
                events.append(event)  # noqa: PERF401 - what came before an error counts
    except GlmError as error:
        caught = error
    return Outcome(events, stream.reply, caught)


def embed(url: str, request: EmbeddingRequest = TEXTS, **options: Any) -> list[list[float]]:
    """Send one request for vectors."""

    async def take() -> list[list[float]]:
        async with client_of(url, **options) as client:
            rows: list[list[float]] = (await client.embed(request)).vectors.tolist()
            return rows

    return asyncio.run(take())


def error_of(outcome: Outcome, kind: type[GlmError]) -> str:
    """The one line of the error: of exactly this kind, with neither key nor prompt in it."""
    assert type(outcome.error) is kind, outcome.error
    line = str(outcome.error)
    assert "\n" not in line
    assert "\x1b" not in line
    assert_keeps_secrets(outcome.error)
    return line


def broken(outcome: Outcome) -> str:
    """The line of a reply that broke, which must carry all that had come."""
    line = error_of(outcome, StreamError)
    assert isinstance(outcome.error, StreamError)
    assert outcome.error.reply == outcome.reply
    return line


def assert_keeps_secrets(error: BaseException) -> None:
    """Neither the error nor what caused it, as a traceback prints them, holds key or prompt."""
    shown = "".join(traceback.format_exception(error))
    for part in (KEY, "test-secret", PROMPT, "gold under", "我的日记"):
        assert part not in shown


class Pieces(http.AsyncByteStream):
    """A body in pieces; an exception is raised in its turn, a number is waited for."""

    def __init__(self, *pieces: bytes | float | Exception) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, bytes):
                yield piece
            else:
                await asyncio.sleep(piece)


def replying(*pieces: bytes | float | Exception, status: int = 200, **headers: str) -> Any:
    """A transport that answers any request with these pieces."""
    return replying_in_turn((status, headers, pieces))


def replying_in_turn(*answers: tuple[int, dict[str, str], tuple[Any, ...]] | Exception) -> Any:
    """A transport that answers with the next of these each time, with the last for good."""
    left = list(answers)

    def handle(_: http.Request) -> http.Response:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        status, headers, pieces = answer
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return http.Response(status, headers=named, stream=Pieces(*pieces))

    return http.MockTransport(handle)


def failing(error: Exception) -> Any:
    """A transport on which every request fails."""
    return replying_in_turn(error)
