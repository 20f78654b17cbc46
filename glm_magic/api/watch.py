"""Waiting for bytes with a limit that costs next to nothing a read.

`asyncio.timeout` around every read costs a third of decoding an event, and the read time-out
of httpx is one number for a whole body; here the first byte has another than those after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

T = TypeVar("T")


class Watch:
    """Limits on the reads of one stream, by one timer that is moved on when it fires.

    Only a read is ever cut short: the time that a consumer takes between reads does not count.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._limit_s = 0.0
        self._since = 0.0
        self._expired = False

    async def next(self, items: AsyncIterator[T], limit_s: float) -> T:
        """Return the next item.

        Raises:
            StopAsyncIteration: there is none.
            TimeoutError: it did not come within `limit_s`.
        """
        self._since = self._loop.time()
        self._task = task = asyncio.current_task()
        # A task that swallowed a cancel keeps its count; only what is added now is news.
        cancels = 0 if task is None else task.cancelling()
        # Within the limit of the read before, or a longer one, the timer is never too late.
        if self._timer is None or limit_s < self._limit_s:
            self._hasten(limit_s)
        self._limit_s = limit_s
        try:
            return await anext(items)
        except asyncio.CancelledError:
            if self._expired and task is not None and task.uncancel() <= cancels:
                raise TimeoutError from None
            raise
        finally:
            self._task = None

    def _hasten(self, limit_s: float) -> None:
        if self._timer is None or self._timer.when() > self._since + limit_s:
            self._set_timer(limit_s)

    def _set_timer(self, wait_s: float) -> None:
        self.close()
        self._timer = self._loop.call_later(wait_s, self._check)

    def _check(self) -> None:
        self._timer = None
        if self._task is None:
            return
        left_s = self._since + self._limit_s - self._loop.time()
        if left_s > 0:
            self._set_timer(left_s)
        else:
            self._expired = True
            self._task.cancel()

    def close(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
