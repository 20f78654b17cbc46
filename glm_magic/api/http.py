"""The one door to httpx.

All HTTP goes through the names below, so that httpx2 (the same API, by the maintainers of
the clients that left httpx in 2026) can take its place by changing this file.
"""

from __future__ import annotations

from httpx import URL as _URL
from httpx import (
    AsyncBaseTransport,
    AsyncByteStream,
    AsyncClient,
    AsyncHTTPTransport,
    DecodingError,
    HTTPError,
    InvalidURL,
    Limits,
    MockTransport,
    Request,
    Response,
    Timeout,
    TimeoutException,
    TransportError,
)

__all__ = [
    "AsyncBaseTransport",
    "AsyncByteStream",
    "AsyncClient",
    "AsyncHTTPTransport",
    "DecodingError",
    "HTTPError",
    "InvalidURL",
    "Limits",
    "MockTransport",
    "Request",
    "Response",
    "Timeout",
    "TimeoutException",
    "TransportError",
    "parse_host",
]


def parse_host(url: str) -> str:
    """Return the host of `url` in ASCII (`xn--`), "" if it has none; raises `InvalidURL`."""
    return _URL(url).raw_host.decode("ascii")
