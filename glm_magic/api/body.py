"""The body of a reply: bytes in, events out, and what is wrong with it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from typing import Any, cast

from glm_magic.api.connection import JSON_LIMIT_BYTES
from glm_magic.api.events import ChunkParser, Event
from glm_magic.api.sse import EventTooLarge, SseDecoder
from glm_magic.errors import GlmError

_decode = json.JSONDecoder().raw_decode

# The byte order mark and blanks that may stand before the first byte that tells what it is.
_LEADING = b"\xef\xbb\xbf \t\r\n"
# How a stream of server-sent events begins: with a comment or one of the four fields.
_FIELD = re.compile(rb"(data|event|id|retry)?[:\r\n]")
_TITLE = re.compile(r"<title[^>]*>([^<]*)", re.IGNORECASE)
# So much of what is no reply is looked at, to say what it is.
_LOOK_BYTES = 4000


class Broken(Exception):
    """The body is no reply, or none any more; the message is a part of a sentence."""


class NotAReply(Exception):
    """The body is something else.

    Attributes:
        what: "a web page" or "a text".
        words: its title or its beginning, as the server sent them; "" for none.
    """

    def __init__(self, what: str, words: str) -> None:
        super().__init__(what)
        self.what = what
        self.words = words


class Body:
    """One body of a reply, fed with its bytes as they come.

    It is a stream of server-sent events, or one JSON object where a server does not stream.

    Args:
        max_event_bytes: the most one server-sent event may have.
        check: raises for a JSON value that is an error, told whether it is one in any shape.

    Attributes:
        is_done: `[DONE]` came; what may follow is not for us.
        is_complete: `[DONE]` or a reason to finish came.
        error: what ended it; the events that stood before were given out.
    """

    def __init__(self, max_event_bytes: int, check: Callable[[object, bool], None]) -> None:
        self.is_done = False
        self.error: Exception | None = None
        self._check = check
        self._decoder = SseDecoder(limit_bytes=max_event_bytes)
        self._parser = ChunkParser()
        self._whole: bytearray | None = None
        self._start: bytes | None = b""  # until it is known what the body is

    @property
    def is_complete(self) -> bool:
        """Whether the reply may end here."""
        return self.is_done or self._parser.is_finished

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes; what is wrong after them is in `error`.

        Raises:
            Broken: one JSON object that is too large.
            NotAReply: a page of HTML.
        """
        if self._whole is not None:
            self._grow(data)
            return []
        if self._start is not None and self._is_json(self._start + data):
            return []
        events: list[Event] = []
        try:
            for sse in self._decoder.feed(data):
                if sse.data == "[DONE]":
                    self.is_done = True
                    break
                events += self._parser.parse(self._load(sse.data, sse.event == "error"))
        except EventTooLarge as error:
            self.error = Broken(f"cut off: {error}")
        except (Broken, GlmError) as error:
            self.error = error
        if events:
            self._start = None
        return events

    def close(self) -> list[Event]:
        """Return the events that the end of the bytes completes.

        Raises:
            Broken: it ended before the reply did.
            NotAReply: it was no stream.
            GlmError: the one JSON object is an error.
        """
        events: list[Event] = []
        if self._whole is not None:
            content = self._load(self._whole.decode("utf-8", "replace"))
            if not content.get("choices"):
                self._check(content, True)
            events += self._parser.parse(content)
            self.is_done = True
        if not self.is_complete:
            if self._start:
                raise NotAReply("a text", self._start.decode("utf-8", "replace"))
            raise Broken("cut off: the server closed the stream before the end")
        return events + list(self._parser.finish())

    def _is_json(self, start: bytes) -> bool:
        """Tell by its beginning what the body is; of JSON keep it.

        A brace is one JSON reply, `<` a web page, a field a stream; the rest is known at the
        end only, since a stream may have lines without a meaning.
        """
        start = start.lstrip(_LEADING)
        if start.startswith(b"<"):
            title = _TITLE.search(start[:_LOOK_BYTES].decode("utf-8", "replace"))
            raise NotAReply("a web page", html.unescape(title[1]) if title else "")
        if start.startswith(b"{"):
            self._whole = bytearray(start)
            return True
        self._start = None if _FIELD.match(start) else start[:_LOOK_BYTES]
        return False

    def _grow(self, data: bytes) -> None:
        assert self._whole is not None
        self._whole += data
        if len(self._whole) > JSON_LIMIT_BYTES:
            raise Broken(f"cut off: over {JSON_LIMIT_BYTES} bytes")

    def _load(self, data: str, is_error: bool = False) -> dict[str, Any]:
        content: object
        try:
            content = _load_json(data)
        except (ValueError, RecursionError) as error:
            if not is_error:
                raise Broken("cut off: the server sent something that is not JSON") from error
            content = data
        if is_error or not isinstance(content, dict) or "error" in content:
            self._check(content, is_error)
        return content if isinstance(content, dict) else {}


def _load_json(data: str) -> object:
    """As `json.loads`, in half the time for an object with no blanks around, as nearly all are."""
    if data.startswith("{"):
        content, end = _decode(data)
        if end == len(data):
            return cast(object, content)
    return cast(object, json.loads(data))
