"""What a function prints, apart from what anybody else prints at the same time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["Printed", "printed"]

# More is no help below a call, and would be in the notebook for good.
_LIMIT_CHARACTERS = 20_000
# Kept beyond it, so that what is taken out of a text is found where it is cut.
_MARGIN_CHARACTERS = 500


class Printed:
    """The text that was printed, up to a limit."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self.is_over = False

    def add(self, text: str) -> None:
        """Take text; what is beyond the limit is counted only."""
        free = _LIMIT_CHARACTERS + _MARGIN_CHARACTERS - self._length
        self._parts.append(text[: max(0, free)])
        self._length += len(text)

    def text(self, clean: Callable[[str], str] = str) -> str:
        """Return all of it, or its beginning with a line on the rest.

        Args:
            clean: takes out what nobody is to see.
        """
        text = clean("".join(self._parts))[:_LIMIT_CHARACTERS]
        rest = self._length - _LIMIT_CHARACTERS
        return f"{text}\n({rest:,} more characters were printed)" if rest > 0 else text


_printed: ContextVar[Printed | None] = ContextVar("glm_magic_printed", default=None)


class _Tap:
    """A stream that hands text to the call it is printed in, and any other to where it goes.

    Tasks of the notebook's own and other threads have other contexts: their text stays theirs.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        taken = _printed.get()
        # A task that a call has started may live longer than the call.
        if taken is None or taken.is_over or not isinstance(text, str):
            return int(self.stream.write(text) or 0)
        taken.add(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class _Taps:
    """One tap on each stream for all calls at a time, on whatever thread."""

    _NAMES = ("stdout", "stderr")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0

    def open(self) -> None:
        """Put taps where none are; what the notebook has put over one since stays."""
        with self._lock:
            self._users += 1
            for name in self._NAMES:
                if not isinstance(stream := getattr(sys, name), _Tap):
                    setattr(sys, name, _Tap(stream))

    def close(self) -> None:
        """Take them away after the last call, where they are still what is printed to.

        Somebody's redirection may have ended or begun meanwhile: that is theirs. A tap that such a
        one puts back later does nothing but to hand on.
        """
        with self._lock:
            self._users -= 1
            for name in self._NAMES:
                if not self._users and isinstance(stream := getattr(sys, name), _Tap):
                    setattr(sys, name, stream.stream)


_taps = _Taps()


@contextmanager
def printed() -> Iterator[Printed]:
    """Take what the block prints, in coroutines that it starts too."""
    taken = Printed()
    token = _printed.set(taken)
    _taps.open()
    try:
        yield taken
    finally:
        _taps.close()
        taken.is_over = True
        _printed.reset(token)
