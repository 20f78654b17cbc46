"""One endpoint over HTTP: a request out, a response in, and every failure a named one.

No error of the HTTP library leaves this room.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from glm_magic.api import http
from glm_magic.api.bounds import Bounds
from glm_magic.api.endpoints import Endpoint
from glm_magic.api.failures import (
    Context,
    Refusal,
    build_api_error,
    parse_error_object,
    parse_refusal,
    shorten,
)
from glm_magic.api.proxies import check_proxy, describe_unusable_proxy, proxy_variable
from glm_magic.api.retry import patiently
from glm_magic.api.token import AuthStyle, authorization
from glm_magic.errors import ApiError, ConnectError, GlmError, SettingsError
from glm_magic.secret import Secret

# An error body is a few hundred bytes. A server that sends more, or drips, is not waited for.
_ERROR_BODY_LIMIT_BYTES = 64 * 1024
_ERROR_BODY_TIMEOUT_S = 1.5
# A body that is one JSON object: 64 vectors of 2048 numbers have about 3 MB.
JSON_LIMIT_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request.

    Attributes:
        path: behind the base URL, such as "/chat/completions".
        body: sent as JSON with POST; None is a GET.
        model: what the request is for, to tell an error with.
        private: the texts in it, which no error may repeat.
    """

    path: str
    body: Mapping[str, Any] | None = None
    model: str = ""
    private: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """When the server last answered: by its Date header, "" without one, and by the clock here."""

    date: str
    at_s: float


@dataclass(slots=True)
class Connection:
    """An endpoint with a key; to be used on one event loop.

    Attributes:
        endpoint: where requests go.
        key: sent in the Authorization header to that endpoint only; None sends none.
        bounds: how long and how much.
        transport: how bytes travel; None is the network.
        auth: the key itself, or a token signed with it.
        sent: how many requests went out so far, each try counted.
        answered: the last response, of whatever status; None when there was none yet.
    """

    endpoint: Endpoint
    key: Secret | None = None
    bounds: Bounds = field(default_factory=Bounds)
    transport: http.AsyncBaseTransport | None = None
    auth: AuthStyle = "key"
    sent: int = 0
    answered: Answered | None = None
    _opened: http.AsyncClient | None = None

    async def send(self, call: Call, *, limit_s: float | None = None) -> http.Response:
        """Send `call` and return the response with its body still to be read.

        Args:
            limit_s: of the wait for the response; None is `first_byte_timeout_s`.

        Raises:
            ConnectError: no response, or a redirect (never followed: the key and the prompt
                are for this host), or a body that cannot be unpacked.
            ApiError: any status but 200.
        """
        request = self._request(call)
        self.sent += 1
        try:
            async with asyncio.timeout(
                self.bounds.first_byte_timeout_s if limit_s is None else limit_s
            ):
                response = await self._transmit(request)
        except TimeoutError as error:
            raise self._no_answer() from error
        except (http.TransportError, UnicodeError) as error:  # the second from IDNA names
            raise self._connect_error(error) from error
        self.answered = Answered(response.headers.get("date", ""), time.time())
        if response.status_code != 200:
            raise await self._refused(response, call)
        if not _is_readable(response):
            async with aclosing(response):
                raise self._packed_error(response)
        return response

    async def _transmit(self, request: http.Request) -> http.Response:
        opened: list[Any] = []

        async def note(name: str, info: Mapping[str, Any]) -> None:
            if name == "connection.connect_tcp.complete":
                opened.append(info["return_value"])

        request.extensions["trace"] = note
        try:
            return await self._client().send(request, stream=True)
        except asyncio.CancelledError:
            # A cancel in the TLS handshake should close the socket; httpcore 1.0.9 does that for
            # errors only (https://github.com/encode/httpcore/pull/443), and the event loop keeps
            # it open until the server closes. May go when its `start_tls` closes on cancels too.
            for stream in opened:
                await stream.aclose()
            raise

    async def fetch(self, call: Call) -> Any:
        """Send `call` and return the JSON of the response.

        Raises:
            ConnectError: as `send`, or the body is not JSON or breaks off.
            ApiError: as `send`, or the body says so with HTTP 200.
        """
        content = await self.read(call)
        self.check_error(content, call)
        return content

    async def read(self, call: Call) -> Any:
        """As `fetch`, but an error in a body with HTTP 200 is left to the caller."""
        response = await self.send(call)
        async with aclosing(response):
            body = await self._read_all(response)
        try:
            return _load_json(body)
        except (ValueError, RecursionError) as error:
            raise ConnectError(
                f"{self.endpoint.host} answered with something that is not JSON; "
                "check `%glm config endpoint`"
            ) from error

    async def fetch_patiently(self, call: Call) -> Any:
        """As `fetch`, tried again within the bounds where that may help."""
        return await patiently(lambda: self.fetch(call), self.bounds)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._opened is not None:
            opened, self._opened = self._opened, None
            await opened.aclose()

    def check_error(self, content: object, call: Call, *, is_error: bool = False) -> None:
        """Raise the ApiError that a body or event with HTTP 200 holds, if it holds one.

        Args:
            is_error: it is an error, whatever its shape.
        """
        if is_error or (isinstance(content, dict) and content.get("error")):
            raise self.api_error(parse_error_object(content), call, status=200)

    def api_error(
        self,
        refusal: Refusal,
        call: Call,
        *,
        status: int,
        headers: Mapping[str, str] | None = None,
    ) -> ApiError:
        """Return the error for a refusal of `call`."""
        return build_api_error(refusal, self.context(call, headers), status=status)

    def context(self, call: Call, headers: Mapping[str, str] | None = None) -> Context:
        """Return what an error of `call` is told with."""
        key = self.key.reveal() if self.key is not None else ""
        private = (key, *call.private)
        return Context(self.endpoint.host, call.model, private, headers or {})

    def _request(self, call: Call) -> http.Request:
        method = "GET" if call.body is None else "POST"
        content = None if call.body is None else _dump_json(call.body)
        try:
            return self._client().build_request(
                method, self.endpoint.base_url + call.path, content=content, headers=self._headers()
            )
        except (http.InvalidURL, UnicodeError) as error:
            raise SettingsError(
                "the endpoint is no valid URL; check `%glm config endpoint`"
            ) from error

    def _client(self) -> http.AsyncClient:
        if self._opened is None:
            if self.transport is None:
                check_proxy(self.endpoint.base_url)
            # Reads are limited by `Watch`, which tells the first byte from those after it.
            timeout = http.Timeout(None, connect=self.bounds.connect_timeout_s)
            # `Limiter` says how many; a second, lower limit would make requests wait unseen.
            limits = http.Limits(max_connections=None, max_keepalive_connections=20)
            try:
                self._opened = http.AsyncClient(
                    transport=self.transport, timeout=timeout, limits=limits
                )
            except OSError as error:
                raise SettingsError(
                    "SSL_CERT_FILE or SSL_CERT_DIR names no file or folder of certificates"
                ) from error
            except (http.InvalidURL, ValueError, ImportError) as error:
                raise SettingsError(describe_unusable_proxy()) from error
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
        if self.key:
            headers["Authorization"] = authorization(self.key, self.auth)
        return headers

    async def _refused(self, response: http.Response, call: Call) -> GlmError:
        async with aclosing(response):
            if response.is_redirect:
                return self._redirect_error(response)
            body = await _read_error_body(response) if _is_readable(response) else b""
        status, headers = response.status_code, response.headers
        return self.api_error(parse_refusal(body), call, status=status, headers=headers)

    def _no_answer(self) -> ConnectError:
        limit_s = self.bounds.first_byte_timeout_s
        return ConnectError(
            f"{self.endpoint.host}: no answer within {limit_s:g} s; try again later, or raise "
            "first_byte_timeout_s"
        )

    def _connect_error(self, error: Exception) -> ConnectError:
        """Only what failed before the server can have begun to work is tried again."""
        name, host = type(error).__name__, self.endpoint.host
        if name != "ConnectTimeout" and (what := _tls_failure(error)):
            return ConnectError(f"{host}: {what}")
        what = _CONNECT_FAILURES.get(name, "the connection broke before an answer came; try again")
        proxy = "" if self.transport else proxy_variable(self.endpoint.base_url)
        if proxy:
            what = _PROXY_FAILURES.get(name, what)
        what = what.format(limit_s=self.bounds.connect_timeout_s, proxy=proxy)
        return ConnectError(f"{host}: {what}", retryable=name in _RETRIED)

    def _packed_error(self, response: http.Response) -> ConnectError:
        kind = shorten(response.headers["content-encoding"])
        return ConnectError(
            f"{self.endpoint.host} answered in a compression that was not asked for ({kind}); "
            "check `%glm config endpoint`"
        )

    def _redirect_error(self, response: http.Response) -> ConnectError:
        host = self.endpoint.host
        try:
            target = http.parse_host(response.headers.get("location", "")) or "another address"
        except (http.InvalidURL, UnicodeError):
            target = "an address that is not valid"
        return ConnectError(
            f"{host} sends on to {target}, which is never followed: your key and prompt are for "
            f"{host}; set the right endpoint"
        )

    async def _read_all(self, response: http.Response) -> bytes:
        body = bytearray()
        host = self.endpoint.host
        try:
            async with asyncio.timeout(self.bounds.first_byte_timeout_s):
                async for data in response.aiter_bytes():
                    body += data
                    if len(body) > JSON_LIMIT_BYTES:
                        raise ConnectError(f"{host} sent over {JSON_LIMIT_BYTES} bytes")
        except TimeoutError as error:
            raise self._no_answer() from error
        except http.HTTPError as error:
            raise ConnectError(f"{host}: the connection broke in mid-answer; try again") from error
        return bytes(body)


# What to say by the name of the HTTP library's error.
_CONNECT_FAILURES = {
    "ConnectTimeout": "no connection within {limit_s:g} s; check the network",
    "ConnectError": "cannot be reached; check `%glm config endpoint` and the network",
    "ProxyError": "the proxy refused; check HTTPS_PROXY and NO_PROXY",
    "UnsupportedProtocol": "a redirect or proxy with a scheme that is not http; check the endpoint",
    "UnicodeError": "is no name of a host; check `%glm config endpoint`",
}
# The same where a proxy of the environment is in use: it is what was tried.
_PROXY_FAILURES = {
    "ConnectTimeout": "no connection to the proxy in {proxy} within {limit_s:g} s; check it",
    "ConnectError": "the proxy in {proxy} cannot be reached; check it and NO_PROXY",
    "ProxyError": "the proxy in {proxy} refused; check it and NO_PROXY",
}
_RETRIED = frozenset(
    {"ConnectTimeout", "ConnectError", "ReadError", "WriteError", "RemoteProtocolError"}
)


# What TLS says of a connection that breaks off, or that needs another read.
_NO_TLS_FAILURES = (
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
    ssl.SSLWantReadError,
    ssl.SSLWantWriteError,
    ssl.SSLSyscallError,
)


def _tls_failure(error: BaseException | None) -> str:
    """What is wrong with the TLS of the other side, in words; "" if nothing is."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return (
                "its TLS certificate is not trusted here; "
                "set SSL_CERT_FILE if it is your own server"
            )
        if isinstance(error, ssl.SSLError) and not isinstance(error, _NO_TLS_FAILURES):
            return "cannot be reached by TLS; check that its address begins with https://"
        error = error.__cause__ or error.__context__
    return ""


def _load_json(body: bytes) -> Any:
    """The value of a JSON text; vectors are ten times as fast as with the standard library."""
    try:
        return orjson.loads(body)
    except ValueError:
        # It refuses what Python's takes: NaN, halves of surrogate pairs, integers past 64 bits.
        return json.loads(body)


def _is_readable(response: http.Response) -> bool:
    """Whether the body is packed once at most, and so that each flush can be unpacked.

    A body packed twice could be a million times as large.
    """
    packing = response.headers.get("content-encoding", "").strip().lower()
    return packing in ("", "identity", "gzip", "deflate")


async def _read_error_body(response: http.Response) -> bytes:
    """What comes within the bounds of size and time; a broken body counts as its part."""
    body = bytearray()
    with suppress(TimeoutError, http.HTTPError):
        async with asyncio.timeout(_ERROR_BODY_TIMEOUT_S):
            async for data in response.aiter_bytes():
                body += data
                if len(body) > _ERROR_BODY_LIMIT_BYTES:
                    break
    return bytes(body[:_ERROR_BODY_LIMIT_BYTES])


def _dump_json(body: Mapping[str, Any]) -> bytes:
    # A lone half of a surrogate pair has no UTF-8; a pasted prompt may hold one.
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
