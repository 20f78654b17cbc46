"""What a function prints, apart from what anybody else prints at the same time."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

__all__ = ["Printed", "printed"]

# More is no help below a call, and would be in the notebook for good.
_LIMIT_CHARACTERS = 20_000


class Printed:
    """The text that was printed, up to a limit."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0

    def add(self, text: str) -> None:
        """Take text; what is beyond the limit is counted only."""
        self._parts.append(text[: max(0, _LIMIT_CHARACTERS - self._length)])
        self._length += len(text)

    @property
    def text(self) -> str:
        """All of it, or its beginning with a line on the rest."""
        text = "".join(self._parts)
        rest = self._length - len(text)
        return f"{text}\n({rest:,} more characters were printed)" if rest else text


_printed: ContextVar[Printed | None] = ContextVar("glm_magic_printed", default=None)


class _Tap:
    """A stream that hands text to the call it is printed in, and any other to where it goes.

    Tasks of the notebook's own and other threads have other contexts: their text stays theirs.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if (taken := _printed.get()) is None:
            return int(self._stream.write(text) or 0)
        taken.add(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def printed() -> Iterator[Printed]:
    """Take what the block prints, in coroutines that it starts too."""
    taken, before = Printed(), (sys.stdout, sys.stderr)
    token = _printed.set(taken)
    sys.stdout, sys.stderr = cast(Any, _Tap(before[0])), cast(Any, _Tap(before[1]))
    try:
        yield taken
    finally:
        sys.stdout, sys.stderr = before
        _printed.reset(token)
