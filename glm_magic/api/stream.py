"""One streamed reply: bytes to events to a reply, complete or with its reason why not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Self

from glm_magic.api import http
from glm_magic.api.body import Body, Broken, WebPage
from glm_magic.api.connection import Call, Connection
from glm_magic.api.events import Event, Waiting, in_words
from glm_magic.api.limiter import Limiter
from glm_magic.api.reply import Reply, ReplyFold, State
from glm_magic.api.requests import ChatRequest, build_chat
from glm_magic.api.retry import retry_wait_s
from glm_magic.api.watch import Watch
from glm_magic.errors import ApiError, ConnectError, ContentError, GlmError, StreamError

# The end of a body comes with `[DONE]` or within a packet of it; a server that leaves it open
# is not waited for.
_BODY_END_TIMEOUT_S = 0.05


class ReplyStream:
    """One streamed reply: an async iterator of its events that knows the reply so far.

    Iterate it once. Used as an async context manager it is closed at the end of its block;
    closing, or cancelling the task, closes the connection, which ends the server's work.

    Raises, while iterated:
        ConnectError: no response came.
        ApiError: the server refused, before or in the stream.
        ContentError: the safety review withdrew the reply.
        StreamError: the reply broke off; it carries what had come.
    """

    def __init__(
        self,
        connection: Connection,
        request: ChatRequest,
        limiter: Limiter,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._limiter = limiter
        self._bounds = connection.bounds
        body = build_chat(request, speaks_glm=connection.endpoint.speaks_glm)
        self._call = Call("/chat/completions", body, request.model, request.texts)
        self._clock = clock
        self._started = clock()
        self._ended: float | None = None
        self._state: State = "streaming"
        self._fold = ReplyFold(Reply(model=request.model, endpoint=connection.endpoint.host))
        self._began = False
        self._iterator: AsyncGenerator[Event] | None = None

    @property
    def reply(self) -> Reply:
        """The reply so far."""
        end = self._clock() if self._ended is None else self._ended
        return self._fold.reply(state=self._state, seconds=end - self._started)

    def __aiter__(self) -> AsyncGenerator[Event]:
        if self._iterator is None:
            self._iterator = self._iterate()
        return self._iterator

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection; the reply stays what it was."""
        if self._iterator is not None:
            await self._iterator.aclose()
        self._end("stopped")

    async def _iterate(self) -> AsyncGenerator[Event]:
        self._started = self._clock()
        add = self._fold.add
        try:
            async with aclosing(self._attempts()) as batches:
                async for batch in batches:
                    at_s = self._clock() - self._started
                    for event in batch:
                        add(event, at_s)
                        yield event
            self._check_reason()
            self._end("complete")
        except GlmError as error:
            raise self._ended_by(error) from error.__cause__
        finally:
            self._end("stopped")

    def _end(self, state: State) -> None:
        """Note how it ended; the first call decides."""
        if self._ended is None:
            self._ended, self._state = self._clock(), state

    def _ended_by(self, error: GlmError) -> GlmError:
        """The error as the user gets it: one that came in mid-reply carries the reply."""
        if isinstance(error, ContentError) and self._fold.start.finish_reason == "sensitive":
            self._end("withdrawn")
            return error
        has_begun = self._fold.start.first_token_s is not None
        self._end("cut off" if has_begun else "failed")
        if isinstance(error, StreamError) or (has_begun and isinstance(error, ApiError)):
            return StreamError(str(error), reply=self.reply)
        return error

    def _check_reason(self) -> None:
        """Raise where the reason to finish is no end: the text is withdrawn, or broke off."""
        reason = self._fold.start.finish_reason
        if reason == "sensitive":
            self._fold.withdraw()
            found = in_words(self._fold.start.filtered)
            host = self._connection.endpoint.host
            text = f"{host}: the safety review withdrew the answer: unsafe content{found}; rephrase"
            raise ContentError(text, status=200, code=reason)
        if reason == "network_error":
            raise self._broken("the platform failed in mid-answer")

    async def _attempts(self) -> AsyncGenerator[list[Event]]:
        """The batches of the first try that is not to be tried again."""
        tries = 0
        while True:
            try:
                async with aclosing(self._attempt()) as batches:
                    async for batch in batches:
                        yield batch
                return
            except GlmError as error:
                wait_s = None if self._began else retry_wait_s(error, tries, self._bounds)
                if wait_s is None:
                    raise
                tries += 1
                # Less its advice, which is for one who has to run the cell again.
                what = str(error).rpartition("; ")[0] or str(error)
                why = f"{what}; try {tries + 1} of {self._bounds.max_retries + 1}"
            yield [Waiting(wait_s, why)]
            await asyncio.sleep(wait_s)

    async def _attempt(self) -> AsyncGenerator[list[Event]]:
        """Events as they come, in the batches that bytes arrive in."""
        if self._limiter.is_full:
            yield [Waiting(float("inf"), self._limiter.reason)]
        async with self._limiter.slot() as slot:
            response = await self._connection.send(self._call)
            async with aclosing(response), aclosing(self._read(response)) as batches:
                async for batch in batches:
                    self._began = True
                    yield batch
            slot.succeeded()

    async def _read(self, response: http.Response) -> AsyncGenerator[list[Event]]:
        """The events of the body: of each server-sent event, or of the one JSON that it is."""
        encoded = "content-encoding" in response.headers
        pieces = aiter(response.aiter_bytes() if encoded else response.aiter_raw())
        body = Body(self._bounds.max_event_bytes, self._check)
        watch, limit_s = Watch(), self._bounds.first_byte_timeout_s
        try:
            while not body.is_done:
                data = await watch.next(pieces, self._left(limit_s))
                limit_s = self._bounds.idle_timeout_s
                if events := body.feed(data):
                    yield events
                if body.error is not None:  # after the events that stood before it
                    raise body.error
            # Read to its end, the connection serves the next request too.
            await watch.next(pieces, _BODY_END_TIMEOUT_S)
        except StopAsyncIteration:
            pass
        except WebPage as error:
            raise self._web_page(response) from error
        except Broken as error:
            raise self._broken(str(error)) from error
        except TimeoutError as error:
            if not body.is_complete:
                raise self._too_slow(limit_s) from error
        except (http.TransportError, http.DecodingError) as error:
            if not body.is_complete:
                raise self._broken("cut off: the connection broke") from error
        finally:
            watch.close()
        yield self._close(body)

    def _close(self, body: Body) -> list[Event]:
        try:
            return body.close()
        except Broken as error:
            raise self._broken(str(error)) from error

    def _check(self, content: object, is_error: bool) -> None:
        self._connection.check_error(content, self._call, is_error=is_error)

    def _web_page(self, response: http.Response) -> ConnectError:
        kind = response.headers.get("content-type", "").partition(";")[0][:40]
        return ConnectError(
            f"{self._connection.endpoint.host} answered with a web page ({kind}), not with a "
            "reply; check `%glm config endpoint`"
        )

    def _left(self, limit_s: float) -> float:
        """The limit of the next read: its own, or what is left of the whole."""
        total_s = self._bounds.total_timeout_s
        if total_s is None:
            return limit_s
        return max(0.0, min(limit_s, total_s - (self._clock() - self._started)))

    def _too_slow(self, limit_s: float) -> StreamError:
        total_s = self._bounds.total_timeout_s
        if total_s is not None and self._clock() - self._started >= total_s:
            return self._broken(f"cut off: over {total_s:g} s in all (total_timeout_s)")
        return self._broken(f"cut off: silent for {limit_s:g} s")

    def _broken(self, what: str) -> StreamError:
        """The one line for a reply that broke off."""
        host = self._connection.endpoint.host
        return StreamError(f"{host}: {what}; run the cell again", reply=self.reply)
