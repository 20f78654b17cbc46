"""One streamed reply: bytes to events to a reply, complete or with its reason why not."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Self

from glm_magic.api import http
from glm_magic.api.body import Body, Broken, NotAReply
from glm_magic.api.catalog import billed_in
from glm_magic.api.connection import Call, Connection
from glm_magic.api.events import Event, Waiting, in_words
from glm_magic.api.failures import shorten
from glm_magic.api.fold import ReplyFold
from glm_magic.api.limiter import Limiter
from glm_magic.api.reply import Reply, State
from glm_magic.api.requests import ChatRequest, build_chat
from glm_magic.api.retry import reason_of, retry_wait_s
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
        endpoint = connection.endpoint
        start = Reply(
            model=request.model,
            endpoint=endpoint.host,
            billed_in=billed_in(endpoint, request.model),
            asked=request,
            speaks_glm=endpoint.speaks_glm,
        )
        self._fold = ReplyFold(start)
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
        await aiter(self).aclose()
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
        """Note how it ended; the first call decides, but the safety review comes before."""
        if self._ended is not None:
            return
        if self._fold.start.finish_reason == "sensitive":
            self._fold.withdraw()
            state = "withdrawn"
        self._ended, self._state = self._clock(), state

    def _ended_by(self, error: GlmError) -> GlmError:
        """The error as the user gets it: one that came in mid-reply carries the reply."""
        if self._fold.start.finish_reason == "sensitive":
            self._end("withdrawn")
            return error if isinstance(error, ContentError) else self._withdrawn()
        has_begun = self._fold.start.first_token_s is not None
        self._end("cut off" if has_begun else "failed")
        if isinstance(error, StreamError) or (has_begun and isinstance(error, ApiError)):
            return StreamError(str(error), reply=self.reply)
        return error

    def _check_reason(self) -> None:
        """Raise where the end is none: the text is withdrawn, broke off, or never was."""
        reason = self._fold.start.finish_reason
        if reason == "sensitive":
            raise self._withdrawn()
        if reason == "network_error":
            raise self._broken("the platform failed in mid-answer")
        if reason is None and self._fold.start.first_token_s is None:
            raise self._broken("the server ended the reply without an answer")

    def _withdrawn(self) -> ContentError:
        found, host = in_words(self._fold.start.filtered), self._connection.endpoint.host
        text = f"{host}: the safety review withdrew the answer: unsafe content{found}; rephrase"
        return ContentError(text, status=200, code="sensitive")

    async def _attempts(self) -> AsyncGenerator[list[Event]]:
        """The batches of the first try that is not to be tried again."""
        tries = 0
        while True:
            try:
                async with aclosing(self._attempt()) as batches:
                    async for batch in batches:
                        yield batch
                return
            except TimeoutError as error:  # of the whole; the other limits say so themselves
                raise self._out_of_time() from error
            except GlmError as error:
                wait_s = None if self._began else retry_wait_s(error, tries, self._bounds)
                if wait_s is None or wait_s > self._total_left_s():
                    raise
                tries += 1
                why = f"{reason_of(error)}; try {tries + 1} of {self._bounds.max_retries + 1}"
            yield [Waiting(wait_s, why)]
            await asyncio.sleep(wait_s)

    async def _attempt(self) -> AsyncGenerator[list[Event]]:
        """Events as they come, in the batches that bytes arrive in."""
        if self._limiter.is_full:
            yield [Waiting(float("inf"), self._limiter.reason)]
        total_s = self._bounds.total_timeout_s
        limit_s = None if total_s is None else self._left_s(total_s)
        async with self._limiter.slot(limit_s=limit_s) as slot:
            first_byte_by = _now_s() + self._bounds.first_byte_timeout_s
            response = await self._send()
            async with (
                aclosing(response),
                aclosing(self._read(response, first_byte_by)) as batches,
            ):
                async for batch in batches:
                    self._began = True
                    yield batch
            slot.succeeded()

    async def _send(self) -> http.Response:
        limit_s = self._left_s(self._bounds.first_byte_timeout_s)
        try:
            return await self._connection.send(self._call, limit_s=limit_s)
        except ConnectError as error:
            if self._total_left_s() <= 0:
                raise TimeoutError from error
            raise

    async def _read(
        self, response: http.Response, first_byte_by: float
    ) -> AsyncGenerator[list[Event]]:
        """The events of the body: of each server-sent event, or of the one JSON that it is."""
        encoded = "content-encoding" in response.headers
        pieces = aiter(response.aiter_bytes() if encoded else response.aiter_raw())
        body = Body(self._bounds.max_event_bytes, self._check)
        watch, idle_s, end_by = Watch(), self._bounds.idle_timeout_s, math.inf
        silent_s, limit_s = self._bounds.first_byte_timeout_s, first_byte_by - _now_s()
        try:
            while not body.is_done:
                data = await watch.next(pieces, self._left_s(limit_s))
                silent_s = limit_s = idle_s
                if events := body.feed(data):
                    yield events
                if body.error is not None:  # after the events that stood before it
                    raise body.error
                if body.is_complete:  # what still comes does not put off the end
                    end_by = min(end_by, _now_s() + idle_s)
                    limit_s = end_by - _now_s()
            # Read to its end, the connection serves the next request too.
            await watch.next(pieces, _BODY_END_TIMEOUT_S)
        except StopAsyncIteration:
            pass
        except NotAReply as error:
            raise self._not_a_reply(error, response) from error
        except Broken as error:
            raise self._broken(str(error)) from error
        except TimeoutError as error:
            if not body.is_complete:
                raise self._too_slow(silent_s) from error
        except http.DecodingError as error:
            if not body.is_complete:
                raise self._broken("cut off: its compression is corrupt") from error
        except http.TransportError as error:
            if not body.is_complete:
                raise self._broken("cut off: the connection broke") from error
        finally:
            watch.close()
        yield self._close(body, response)

    def _close(self, body: Body, response: http.Response) -> list[Event]:
        try:
            return body.close()
        except NotAReply as error:
            raise self._not_a_reply(error, response) from error
        except Broken as error:
            raise self._broken(str(error)) from error

    def _check(self, content: object, is_error: bool) -> None:
        self._connection.check_error(content, self._call, is_error=is_error)

    def _not_a_reply(self, error: NotAReply, response: http.Response) -> ConnectError:
        private = self._connection.context(self._call).private
        kind = shorten(response.headers.get("content-type", "").partition(";")[0])
        words = shorten(error.words, private)
        quoted = f': "{words}"' if words else ""
        return ConnectError(
            f"{self._connection.endpoint.host} answered with {error.what} ({kind}), not with a "
            f"reply{quoted}; check `%glm config endpoint`"
        )

    def _left_s(self, limit_s: float) -> float:
        """A limit, or what is left of the whole time; raises TimeoutError when nothing is."""
        if self._bounds.total_timeout_s is not None:
            limit_s = min(limit_s, self._total_left_s())
        if limit_s < 0:
            raise TimeoutError
        return limit_s

    def _total_left_s(self) -> float:
        total_s = self._bounds.total_timeout_s
        return math.inf if total_s is None else total_s - (self._clock() - self._started)

    def _out_of_time(self) -> ConnectError:
        """The one line for the whole time being over before a response came."""
        host, total_s = self._connection.endpoint.host, self._bounds.total_timeout_s
        return ConnectError(f"{host}: no answer: over {total_s:g} s in all (total_timeout_s)")

    def _too_slow(self, limit_s: float) -> StreamError:
        if self._total_left_s() <= 0:
            total_s = self._bounds.total_timeout_s
            return self._broken(f"cut off: over {total_s:g} s in all (total_timeout_s)")
        return self._broken(f"cut off: silent for {limit_s:g} s")

    def _broken(self, what: str) -> StreamError:
        """The one line for a reply that broke off."""
        host = self._connection.endpoint.host
        return StreamError(f"{host}: {what}; run the cell again", reply=self.reply)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
