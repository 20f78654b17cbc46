"""A server on a real socket that plays bytes, pauses, resets and silence, for peers gone wrong.

    with RawServer([head(), CHUNK, RESET]) as server:
        ...  # send to server.url

The loopback GLM server knows the API; this one knows nothing but sockets.
"""

import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Self, TypeVar

T = TypeVar("T")

RESET: Literal["reset"] = "reset"  # the peer gets a connection reset
HANG: Literal["hang"] = "hang"  # silence until the peer closes


@dataclass(frozen=True, slots=True)
class Forever:
    """The same bytes again and again until the peer closes."""

    data: bytes
    pause_s: float = 0.0


Step = bytes | float | Forever | Literal["reset", "hang"]


def head(status: int = 200, content_type: str = "text/event-stream", **headers: str) -> bytes:
    """Return the head of a response whose body lasts until the connection closes."""
    fields = {"content_type": content_type, "connection": "close", **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([f"HTTP/1.1 {status} X", *lines, "", ""]).encode("latin-1")


def frame(data: bytes) -> bytes:
    """Return one chunk of a chunked body; of nothing, its end."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class RawServer:
    """Plays to each connection the next play, the last one for good.

    Args:
        host: an address of this machine, of IPv4 or IPv6.
        tls: with the certificate to show; None is plain TCP.
        waits_for_request: whether a play begins when the request has come, or at once.

    Attributes:
        port: that it listens on.
        url: with the scheme of `tls`, the port, and /v1.
        requests: what came, in bytes, in the order of the connections.
        left_at: when peers closed while the server hung or sent (`time.perf_counter`).
    """

    def __init__(
        self,
        *plays: Sequence[Step],
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        waits_for_request: bool = True,
    ) -> None:
        self._plays = list(plays)
        self._host = host
        self._tls = tls
        self._waits_for_request = waits_for_request
        self.port = 0
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()
        self.requests: list[bytes] = []
        self.left_at: list[float] = []

    @property
    def url(self) -> str:
        """The base URL."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}/v1"

    def __enter__(self) -> Self:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._listener = socket.create_server((self._host, 0), family=family)
        self.port = self._listener.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(5)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def wait_for_left(self, timeout_s: float = 5.0) -> float:
        """Return when the first peer left, waiting for it.

        Raises:
            TimeoutError: none did.
        """
        return self._wait_for(self.left_at, 1, timeout_s)[0]

    def wait_for_requests(self, count: int = 1, timeout_s: float = 5.0) -> list[bytes]:
        """Return the requests, once there are `count`."""
        return self._wait_for(self.requests, count, timeout_s)

    def _wait_for(self, values: list[T], count: int, timeout_s: float) -> list[T]:
        with self._changed:
            if not self._changed.wait_for(lambda: len(values) >= count, timeout_s):
                raise TimeoutError(f"the server saw {len(values)} of {count} in {timeout_s} s")
            return list(values)

    def _note(self, values: list[T], value: T) -> None:
        with self._changed:
            values.append(value)
            self._changed.notify_all()

    def _start(self, *call: object) -> None:
        target, *args = call
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(30)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.append(connection)
            play = self._plays.pop(0) if len(self._plays) > 1 else self._plays[0]
            self._start(self._serve, connection, play)

    def _serve(self, connection: socket.socket, play: Iterable[Step]) -> None:
        try:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            if self._waits_for_request:
                self._note(self.requests, _read_request(connection))
            for step in play:
                self._play(connection, step)
        except OSError:
            self._note(self.left_at, time.perf_counter())
        finally:
            connection.close()

    def _play(self, connection: socket.socket, step: Step) -> None:
        if isinstance(step, bytes):
            connection.sendall(step)
        elif isinstance(step, Forever):
            while True:
                connection.sendall(step.data)
                time.sleep(step.pause_s)
        elif step == HANG:
            while connection.recv(65536):
                pass
            self._note(self.left_at, time.perf_counter())
        elif step == RESET:
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.close()
        elif isinstance(step, float):
            time.sleep(step)


def _read_request(connection: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        request += _receive(connection)
    start, _, body = request.partition(b"\r\n\r\n")
    lengths = [line for line in start.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lengths[0].split(b":")[1]) if lengths else 0
    while len(body) < length:
        body += _receive(connection)
    return start + b"\r\n\r\n" + body


def _receive(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionResetError
    return data
