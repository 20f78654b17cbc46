"""The client for code that does not await: scripts, notebooks' own cells, a REPL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self, TypeVar, cast

from glm_magic.api.catalog import DEFAULT_EMBEDDING_MODEL, DEFAULT_MODEL
from glm_magic.api.client import AsyncClient, Prompt
from glm_magic.api.embedding import EmbeddingReply
from glm_magic.api.endpoints import Endpoint
from glm_magic.api.events import Event
from glm_magic.api.loop import CLOSE_TIMEOUT_S, Job, LoopThread, pump
from glm_magic.api.reply import Reply
from glm_magic.api.requests import ChatRequest, EmbeddingRequest
from glm_magic.api.stream import ReplyStream
from glm_magic.secret import Secret

T = TypeVar("T")
# Waiting in steps keeps Ctrl-C working where a wait without end does not (Windows).
_STEP_S = 0.5


class Client:
    """A client of one endpoint with one key, safe to use from several threads.

        with Client(endpoint="bigmodel") as client:
            print(client.chat("Why is the sky blue?").text)

    Arguments and errors are those of `AsyncClient`.
    """

    def __init__(
        self,
        api_key: str | Secret | None = None,
        endpoint: str | Endpoint = "bigmodel",
        **settings: Any,
    ) -> None:
        self._client = AsyncClient(api_key, endpoint, **settings)
        self._thread = LoopThread()

    def stream(
        self, prompt: Prompt | ChatRequest, *, model: str = DEFAULT_MODEL, **options: Any
    ) -> EventStream:
        """Return the reply as an iterator of its events; it knows the reply so far."""
        return EventStream(self._thread, self._client.stream(prompt, model=model, **options))

    def chat(
        self, prompt: Prompt | ChatRequest, *, model: str = DEFAULT_MODEL, **options: Any
    ) -> Reply:
        """Return the whole reply."""
        with self.stream(prompt, model=model, **options) as stream:
            for _ in stream:
                pass
        return stream.reply

    def embed(
        self,
        texts: Sequence[str] | EmbeddingRequest,
        *,
        model: str = DEFAULT_EMBEDDING_MODEL,
        dimensions: int | None = None,
    ) -> EmbeddingReply:
        """Return one vector for each text, in their order."""
        ask = self._client.embed
        return _result(Job(self._thread, lambda _: ask(texts, model=model, dimensions=dimensions)))

    def close(self) -> None:
        """Close all connections and end the thread."""
        self._thread.close(self._client.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class EventStream:
    """One streamed reply; leaving its block, or `close`, closes the connection.

    Raises, while iterated: the errors of `ReplyStream`.
    """

    def __init__(self, thread: LoopThread, stream: ReplyStream) -> None:
        self._thread = thread
        self._stream = stream
        self._job: Job[None] | None = None

    @property
    def reply(self) -> Reply:
        """The reply so far."""
        return self._stream.reply

    def __iter__(self) -> Iterator[Event]:
        if self._job is None:
            self._job = Job(self._thread, lambda put: pump(self._stream, put))
        while not self._job.ended:
            yield from cast("list[Event]", self._job.take(_STEP_S))
        self._job.result()

    def close(self) -> None:
        """Close the connection; the reply stays what it was."""
        if self._job is not None and not self._job.ended:
            self._job.stop()
            self._job.wait(CLOSE_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _result(job: Job[T]) -> T:
    with job:
        while not job.ended:
            job.take(_STEP_S)
    return cast(T, job.result())
