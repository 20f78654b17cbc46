"""Bytes to server-sent events, as WHATWG HTML has it ("Interpreting an event stream").

Ours because no library measured meets the whole standard (November 2026): httpx-sse and
httpx2 keep the BOM and obey the header's charset, the openai and anthropic clients break at
one invalid byte, zai-sdk loses text at U+2028. Bytes are split into lines before they are
decoded, so no character but CR and LF can end a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BOM = b"\xef\xbb\xbf"
# Only these three end a line. `bytes.splitlines` also splits at VT, FF and FS, and
# `str.splitlines` at U+2028, which may all stand unescaped inside a JSON string.
_LINE_END = re.compile(rb"\r\n|\n|\r")

# One event after decompression: far over any real chunk, and small enough to survive a bomb.
DEFAULT_LIMIT_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One dispatched event: its type ("message" if none was named), data and last id."""

    event: str
    data: str
    id: str = ""


class EventTooLarge(ValueError):
    """One event has more bytes than the limit."""


class SseDecoder:
    """A decoder to feed with bytes as they come; the time is linear in their number.

    Args:
        limit_bytes: the most one event may have, its field names included.

    An event that is still open when the bytes end is never dispatched, as the standard says.
    """

    def __init__(self, *, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._head: bytes | None = b""  # what may become a BOM; None once that is decided
        self._rest: list[bytes] = []  # the pieces of a line that has not ended
        self._ended_with_cr = False
        self._rest_bytes = 0
        self._data: list[bytes] = []
        self._event = ""
        self._event_bytes = 0
        self._id = ""

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Yield the events that `chunk` completes.

        Raises:
            EventTooLarge: the event now open has passed the limit.
        """
        for line in self._lines(self._without_bom(chunk)):
            if line:
                self._field(line)
            elif (event := self._dispatch()) is not None:
                yield event
        self._check_size(self._rest_bytes)

    def _without_bom(self, chunk: bytes) -> bytes:
        if self._head is None:
            return chunk
        chunk = self._head + chunk
        self._head = chunk if len(chunk) < 3 and _BOM.startswith(chunk) else None
        return b"" if self._head is not None else chunk.removeprefix(_BOM)

    def _lines(self, chunk: bytes) -> list[bytes]:
        """Return the lines that `chunk` ends; keep what follows the last line end."""
        if not chunk:
            return []
        if self._ended_with_cr and chunk[0] == 10:  # the LF of a CR LF that was cut in two
            chunk = chunk[1:]
        self._ended_with_cr = chunk.endswith(b"\r")
        lines = _LINE_END.split(chunk) if b"\r" in chunk else chunk.split(b"\n")
        rest = lines.pop()
        if lines:
            lines[0] = b"".join((*self._rest, lines[0]))
            self._rest.clear()
            self._rest_bytes = 0
        self._rest.append(rest)
        self._rest_bytes += len(rest)
        return lines

    def _check_size(self, unended_bytes: int = 0) -> None:
        if self._event_bytes + unended_bytes > self._limit_bytes:
            raise EventTooLarge(f"one event has over {self._limit_bytes} bytes")

    def _field(self, line: bytes) -> None:
        self._event_bytes += len(line)
        self._check_size()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")

    def _dispatch(self) -> ServerSentEvent | None:
        data, event = self._data, self._event
        self._clear_event()
        if not data:
            return None
        text = b"\n".join(data).decode("utf-8", "replace")
        return ServerSentEvent(event or "message", text, self._id)

    def _clear_event(self) -> None:
        self._data = []
        self._event = ""
        self._event_bytes = 0
