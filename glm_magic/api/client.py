"""Requests to one endpoint: a streamed reply, or embeddings.

What goes wrong on the way becomes one of the errors of `glm_magic.errors`; no error of the
HTTP library leaves this room.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from glm_magic.api import http
from glm_magic.api.embedding import EmbeddingReply, parse_embeddings
from glm_magic.api.endpoints import Endpoint
from glm_magic.api.events import ChunkParser, Event, Finished
from glm_magic.api.failures import Refusal, build_api_error, parse_error_object, parse_refusal
from glm_magic.api.reply import Reply, ReplyFold, State
from glm_magic.api.requests import ChatRequest, EmbeddingRequest, build_chat, build_embedding
from glm_magic.api.sse import EventTooLarge, ServerSentEvent, SseDecoder
from glm_magic.errors import ApiError, ConnectError, GlmError, SettingsError, StreamError
from glm_magic.secret import Secret

_CONNECT_TIMEOUT_S = 10.0
# Thinking models may be silent for long before and between chunks; the platform's gateway is
# reported to give up at about 180 s.
_READ_TIMEOUT_S = 120.0
# An error body is a few hundred bytes. A server that sends more, or drips, is not waited for.
_ERROR_BODY_LIMIT_BYTES = 64 * 1024
_ERROR_BODY_TIMEOUT_S = 1.5
_JSON_LIMIT_BYTES = 64 * 2**20

Request = ChatRequest | EmbeddingRequest


class AsyncClient:
    """A client of one endpoint with one key; to be used on one event loop.

    Args:
        endpoint: where requests go.
        key: sent as `Authorization: Bearer` to that endpoint only; None sends none.
        transport: how bytes travel; None is the network.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        key: Secret | None = None,
        *,
        transport: http.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.endpoint = endpoint
        self._key = key
        self._transport = transport
        self._clock = clock
        self._opened: http.AsyncClient | None = None

    def stream(self, request: ChatRequest) -> ReplyStream:
        """Return the reply to `request` as a stream; it is sent when iteration begins."""
        return ReplyStream(self, request, clock=self._clock)

    async def embed(self, request: EmbeddingRequest) -> EmbeddingReply:
        """Return one vector for each text of `request`.

        Raises:
            ConnectError: no response.
            ApiError: the server refused.
            GlmError: the vectors do not fit the texts.
        """
        response = await self.send("/embeddings", build_embedding(request), request)
        async with aclosing(response):
            body = await _read_all(response, self.endpoint.host)
        content = _load_json(body, self.endpoint.host)
        self.check_error(content, request)
        return parse_embeddings(content, count=len(request.texts), host=self.endpoint.host)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._opened is not None:
            opened, self._opened = self._opened, None
            await opened.aclose()

    async def send(self, path: str, body: dict[str, Any], asked: Request) -> http.Response:
        """Post `body`, the JSON of `asked`, and return the response with its body still to be read.

        Raises:
            ConnectError: no response, or a redirect (never followed: the key and the prompt
                are for this host).
            ApiError: any status but 200.
        """
        client = self._client()
        url = self.endpoint.base_url + path
        try:
            request = client.build_request(
                "POST", url, content=_dump_json(body), headers=self._headers()
            )
        except (http.InvalidURL, UnicodeError) as error:  # the second from IDNA names
            raise SettingsError(
                "the endpoint is no valid URL; check `%glm config endpoint`"
            ) from error
        try:
            response = await client.send(request, stream=True)
        except (http.TransportError, UnicodeError) as error:  # from a redirect to such a name
            raise _connect_error(error, self.endpoint.host) from error
        if response.status_code != 200:
            raise await self._refused(response, asked)
        return response

    def check_error(self, content: object, asked: Request, *, is_error: bool = False) -> None:
        """Raise the ApiError that a body or event with HTTP 200 holds, if it holds one.

        Args:
            is_error: the server calls it an error, whatever its shape.
        """
        if isinstance(content, dict) and (content.get("error") or is_error):
            raise self._api_error(parse_error_object(content), 200, asked)

    def _api_error(self, refusal: Refusal, status: int, asked: Request) -> ApiError:
        key = self._key.reveal() if self._key is not None else ""
        return build_api_error(
            refusal,
            status=status,
            host=self.endpoint.host,
            model=asked.model,
            private=(key, *asked.texts),
        )

    def _client(self) -> http.AsyncClient:
        if self._opened is None:
            timeout = http.Timeout(_READ_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S)
            try:
                self._opened = http.AsyncClient(transport=self._transport, timeout=timeout)
            except (http.InvalidURL, ValueError) as error:
                raise SettingsError(
                    "the proxy in HTTP_PROXY, HTTPS_PROXY or ALL_PROXY is not usable"
                ) from error
        return self._opened

    def _headers(self) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json; charset=UTF-8",
            "Accept": "text/event-stream, application/json",
            "Accept-Encoding": "identity",
            # Z.ai chooses the language of its messages by this.
            "Accept-Language": "en-US,en",
            "User-Agent": "glm-magic",
        }
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key.reveal()}"
        return headers

    async def _refused(self, response: http.Response, asked: Request) -> GlmError:
        async with aclosing(response):
            if response.is_redirect:
                return _redirect_error(response, self.endpoint.host)
            body = await _read_error_body(response)
        return self._api_error(parse_refusal(body), response.status_code, asked)


class ReplyStream:
    """One streamed reply: an async iterator of its events that knows the reply so far.

    Iterate it once. Leaving the iteration, by cancelling the task too, closes the
    connection and with it ends the work of the server.

    Raises, while iterated:
        ConnectError: no response came.
        ApiError: the server refused, before or in the stream.
        StreamError: the reply broke off; it carries what had come.
    """

    def __init__(
        self, client: AsyncClient, request: ChatRequest, *, clock: Callable[[], float]
    ) -> None:
        self._client = client
        self._request = request
        self._clock = clock
        self._started = clock()
        self._ended: float | None = None
        self._state: State = "streaming"
        self._fold = ReplyFold(Reply(model=request.model, endpoint=client.endpoint.host))
        self._finished = False

    @property
    def reply(self) -> Reply:
        """The reply so far."""
        end = self._clock() if self._ended is None else self._ended
        return self._fold.reply(state=self._state, seconds=end - self._started)

    async def __aiter__(self) -> AsyncIterator[Event]:
        self._started = self._clock()
        try:
            async with aclosing(self._events()) as events:
                async for event in events:
                    self._fold.add(event, self._clock() - self._started)
                    yield event
            self._end("complete")
        except GlmError as error:
            self._end("failed" if self._fold.start.first_token_s is None else "cut off")
            raise self._with_reply(error) from error.__cause__
        finally:
            self._end("stopped")

    def _end(self, state: State) -> None:
        """Note how it ended; the first call decides."""
        if self._ended is None:
            self._ended, self._state = self._clock(), state

    def _with_reply(self, error: GlmError) -> GlmError:
        """An error that came after the first token carries the reply."""
        if isinstance(error, ApiError) and self._fold.start.first_token_s is not None:
            return StreamError(str(error), reply=self.reply)
        if isinstance(error, StreamError):
            return StreamError(str(error), reply=self.reply)
        return error

    async def _events(self) -> AsyncGenerator[Event]:
        body = build_chat(self._request, speaks_glm=self._client.endpoint.speaks_glm)
        response = await self._client.send("/chat/completions", body, self._request)
        parser = ChunkParser()
        async with aclosing(response), aclosing(self._chunks(response)) as chunks:
            async for chunk in chunks:
                for event in parser.parse(chunk):
                    self._finished |= isinstance(event, Finished)
                    yield event
        for event in parser.finish():
            yield event

    async def _chunks(self, response: http.Response) -> AsyncGenerator[dict[str, Any]]:
        """The JSON objects of the body: of each server-sent event, or the one it is."""
        decoder = SseDecoder()
        whole: bytearray | None = None
        first = True
        async for data in self._bytes(response):
            if first and (start := data.lstrip(b"\xef\xbb\xbf \t\r\n")):
                first = False
                whole = self._whole_body(start, response)
            if whole is not None:
                whole += data
                if len(whole) > _JSON_LIMIT_BYTES:
                    raise self._broken(f"cut off: over {_JSON_LIMIT_BYTES} bytes")
                continue
            for sse in self._decode(decoder, data):
                if sse.data == "[DONE]":
                    self._finished = True
                    return
                yield self._load(sse.data, is_error=sse.event == "error")
        if whole is not None:
            self._finished = True
            yield self._load(whole.decode("utf-8-sig", "replace"))
        if not self._finished:
            raise self._broken("cut off: the server closed the stream before the end")

    def _whole_body(self, start: bytes, response: http.Response) -> bytearray | None:
        """What begins with a brace is one JSON reply; with `<`, a web page."""
        if start.startswith(b"<"):
            kind = response.headers.get("content-type", "").partition(";")[0]
            raise ConnectError(
                f"{self._client.endpoint.host} answered with a web page ({kind[:40]}), not with a "
                "reply; check `%glm config endpoint`"
            )
        return bytearray() if start.startswith(b"{") else None

    def _decode(self, decoder: SseDecoder, data: bytes) -> list[ServerSentEvent]:
        try:
            return list(decoder.feed(data))
        except EventTooLarge as error:
            raise self._broken(f"cut off: {error}") from error

    async def _bytes(self, response: http.Response) -> AsyncIterator[bytes]:
        encoded = "content-encoding" in response.headers
        try:
            async for data in response.aiter_bytes() if encoded else response.aiter_raw():
                yield data
        except (http.TransportError, http.DecodingError) as error:
            if self._finished:
                return
            if isinstance(error, http.TimeoutException):
                raise self._broken(f"cut off: silent for {_READ_TIMEOUT_S:.0f} s") from error
            raise self._broken("cut off: the connection broke") from error

    def _load(self, data: str, *, is_error: bool = False) -> dict[str, Any]:
        try:
            content = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise self._broken("cut off: the server sent something that is not JSON") from error
        self._client.check_error(content, self._request, is_error=is_error)
        return content if isinstance(content, dict) else {}

    def _broken(self, what: str) -> StreamError:
        """The one line for a reply that broke off."""
        host = self._client.endpoint.host
        return StreamError(f"{host}: {what}; run the cell again", reply=self.reply)


def _connect_error(error: Exception, host: str) -> ConnectError:
    return ConnectError(f"{host}: {_what_failed(error)}")


def _what_failed(error: Exception) -> str:
    if _is_untrusted(error):
        return "its TLS certificate is not trusted here; set SSL_CERT_FILE if it is your own server"
    match type(error).__name__:
        case "ConnectTimeout":
            return f"no connection within {_CONNECT_TIMEOUT_S:.0f} s; check the network"
        case "ReadTimeout":
            return f"no answer within {_READ_TIMEOUT_S:.0f} s; try again later"
        case "ConnectError":
            return "cannot be reached; check `%glm config endpoint` and the network"
        case "ProxyError":
            return "the proxy refused; check HTTPS_PROXY and NO_PROXY"
        case _:
            return "the connection broke before an answer came; try again"


def _is_untrusted(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _redirect_error(response: http.Response, host: str) -> ConnectError:
    target = response.headers.get("location", "")
    try:
        target = http.parse_host(target) or "another address"
    except (http.InvalidURL, UnicodeError):
        target = "an address that is not valid"
    return ConnectError(
        f"{host} sends on to {target}, which is never followed: your key and prompt are for "
        f"{host}; set the right endpoint"
    )


async def _read_error_body(response: http.Response) -> bytes:
    """What comes within the bounds of size and time; a broken body counts as its part."""
    body = bytearray()
    try:
        async with asyncio.timeout(_ERROR_BODY_TIMEOUT_S):
            async for data in response.aiter_bytes():
                body += data
                if len(body) > _ERROR_BODY_LIMIT_BYTES:
                    break
    except (TimeoutError, http.HTTPError):
        pass
    return bytes(body[:_ERROR_BODY_LIMIT_BYTES])


async def _read_all(response: http.Response, host: str) -> bytes:
    body = bytearray()
    try:
        async for data in response.aiter_bytes():
            body += data
            if len(body) > _JSON_LIMIT_BYTES:
                raise GlmError(f"{host} sent over {_JSON_LIMIT_BYTES} bytes; nothing was kept")
    except http.HTTPError as error:
        raise ConnectError(f"{host}: the connection broke in mid-answer; try again") from error
    return bytes(body)


def _dump_json(body: dict[str, Any]) -> bytes:
    # A lone half of a surrogate pair has no UTF-8; a pasted prompt may hold one.
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _load_json(body: bytes, host: str) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ConnectError(
            f"{host} answered with something that is not JSON; check `%glm config endpoint`"
        ) from error
