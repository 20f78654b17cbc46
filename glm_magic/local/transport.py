"""An httpx transport that answers in this process: GLM's wire, no network, no key.

    async with httpx.AsyncClient(transport=LocalTransport()) as client: ...

It knows `chat/completions`, `embeddings` and `models` under any host and prefix.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from glm_magic.api.http import (
    AsyncBaseTransport,
    AsyncByteStream,
    Request,
    Response,
    TransportError,
)
from glm_magic.local import wire
from glm_magic.local.engine import EMBEDDING_DIMENSIONS, EngineError, Models, is_installed
from glm_magic.local.jobs import Job, Line
from glm_magic.local.weights import (
    EMBEDDING_MODEL,
    WEIGHTS,
    UnknownModel,
    find_weights,
    resolve_model,
)
from glm_magic.local.wire import Refusal

__all__ = ["LocalTransport", "is_installed"]

Json = dict[str, Any]


class LocalTransport(AsyncBaseTransport):
    """Answers requests with models in this process.

    Models are loaded when first asked for, on a thread, and stay loaded until `aclose` or, for
    a chat model, until another one is asked for. Chat requests are answered one after
    another, in the order they came, and so are embeddings; the two do not wait for each
    other. A request whose response is closed, or whose task is cancelled, frees its place:
    at once while it waits, at the next token while it is answered, after the current 64
    tokens while its prompt is read, and after loading while its model is loaded.

    One transport may be used from several event loops, one after another or at once.

    Raises, out of a request:
        SettingsError: the extra `local` is not installed, the weights are not fetched, or a
            GGUF file is missing or damaged.

    Mistakes in a request are answered as the platform does: HTTP 400 with the business codes
    1210, 1211 (unknown model), 1212, 1213, 1214 (a field) and 1261 (prompt too long).
    """

    def __init__(self) -> None:
        self._models = Models()
        self._chats = Line()
        self._embeddings = Line()
        self._open: set[Job] = set()

    async def handle_async_request(self, request: Request) -> Response:
        """Answer one request; see the class for what it raises."""
        try:
            return await self._route(request.method, request.url.path)(await request.aread())
        except Refusal as refusal:
            body = wire.build_error(refusal.code, str(refusal))
            return _respond(body, status=refusal.status)

    async def aclose(self) -> None:
        """Stop what is answered and free all models; returns when they are gone."""
        for job in tuple(self._open):
            job.stop()
        await _wait_for(self._chats, self._models.close_engine)
        await _wait_for(self._embeddings, self._models.close_encoder)

    def _route(self, method: str, path: str) -> Callable[[bytes], Awaitable[Response]]:
        routes: dict[tuple[str, str], Callable[[bytes], Awaitable[Response]]] = {
            ("POST", "chat/completions"): self._answer_chat,
            ("POST", "embeddings"): self._answer_embeddings,
            ("GET", "models"): self._answer_models,
        }
        for (known, end), answer in routes.items():
            if method == known and path.endswith(f"/{end}"):
                return answer
        raise Refusal("1222", f"there is no {method} {path} in the local engine", status=404)

    async def _answer_models(self, content: bytes) -> Response:
        fetched = [name for name in WEIGHTS if find_weights(name)]
        return _respond(wire.build_models([*fetched, EMBEDDING_MODEL]))

    async def _answer_chat(self, content: bytes) -> Response:
        body = wire.parse_body(content)
        model = body["model"]
        path = _find_model(model)
        known = WEIGHTS.get(model)
        asked = wire.build_engine_request(body, empty_system=bool(known and known.empty_system))
        job = self._start(self._chats, partial(self._chat, path=path, asked=asked, model=model))
        first = await self._first(job)
        if body.get("stream"):
            headers = {"Content-Type": "text/event-stream"}
            return Response(200, headers=headers, stream=_EventStream(job, first))
        return _respond(wire.build_whole(await _read_rest(job, first)))

    async def _answer_embeddings(self, content: bytes) -> Response:
        body = wire.parse_body(content)
        if body["model"] != EMBEDDING_MODEL:
            raise Refusal("1211", f"the local engine makes embeddings with '{EMBEDDING_MODEL}'")
        texts = wire.parse_texts(body, dimensions=EMBEDDING_DIMENSIONS)
        job = self._start(self._embeddings, partial(self._embed, texts=texts))
        return _respond(await self._first(job))

    def _start(self, line: Line, work: Callable[[Job], None]) -> Job:
        job = Job(work)
        self._open.add(job)

        def run() -> None:
            try:
                job.run()
            finally:
                self._open.discard(job)

        line.add(run)
        return job

    async def _first(self, job: Job) -> Json:
        """The first result, before which nothing is answered: until then errors have a status."""
        try:
            first = await job.next()
        except EngineError as error:
            raise _refuse(error) from error
        except BaseException:
            job.stop()
            raise
        if first is None:
            raise TransportError("the local engine was closed")
        return first

    def _chat(self, job: Job, *, path: Path, asked: Json, model: str) -> None:
        """Answer a chat request, on the line's thread."""

        def on_chunk(chunk: Json) -> bool:
            shaped = wire.shape_chunk(chunk, model)
            return job.put(shaped) if shaped else job.is_stopped

        engine = self._models.engine(path)
        if not job.is_stopped:
            engine.chat(asked, on_chunk)

    def _embed(self, job: Job, *, texts: list[str]) -> None:
        """Answer an embedding request, on the line's thread."""
        vectors = self._models.encoder().encode(texts, lambda: job.is_stopped)
        job.put(wire.build_embeddings(vectors, EMBEDDING_MODEL))


class _EventStream(AsyncByteStream):
    """The results of a job as server-sent events; closing it stops the job."""

    def __init__(self, job: Job, first: Json) -> None:
        self._job = job
        self._first = first

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunk: Json | None = self._first
        try:
            while chunk is not None:
                yield wire.encode_event(chunk)
                chunk = await self._job.next()
            # Without it the reader knows that the reply is cut off.
            if not self._job.is_stopped:
                yield wire.DONE
        except EngineError as error:
            yield wire.encode_event(wire.build_error("1200", str(error)))
        finally:
            self._job.stop()

    async def aclose(self) -> None:
        self._job.stop()


class _Body(AsyncByteStream):
    """A whole body that can be read raw, as one from the network can."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


def _respond(content: Json, *, status: int = 200) -> Response:
    headers = {"Content-Type": "application/json; charset=UTF-8"}
    return Response(status, headers=headers, stream=_Body(json.dumps(content).encode()))


async def _read_rest(job: Job, first: Json) -> list[Json]:
    """All results; cancelling the task stops the job."""
    chunks = [first]
    try:
        while chunk := await job.next():
            chunks.append(chunk)
    except EngineError as error:
        raise _refuse(error) from error
    finally:
        job.stop()
    return chunks


async def _wait_for(line: Line, close: Callable[[], None]) -> None:
    """Let the line do `close` after all it has to do, and wait until it is done."""
    job = Job(lambda job: close())
    line.add(job.run)
    await job.next()


def _find_model(model: str) -> Path:
    if model == EMBEDDING_MODEL:
        raise Refusal("1212", f"'{model}' makes embeddings and does not chat")
    try:
        return resolve_model(model)
    except UnknownModel as error:
        raise Refusal("1211", str(error)) from error


def _refuse(error: EngineError) -> Refusal:
    return Refusal("1261" if error.is_too_long else "1214", str(error))
