"""Work on a thread, watched and stopped from an event loop.

A model computes for seconds and its library blocks the calling thread, so each request is a
`Job` that stands in a `Line`: the line does one job after another on a thread of its own.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["Job", "Line"]

Result = dict[str, Any]


class Line:
    """Does jobs one after another, in order, on a thread that lives while there are any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], None]] = deque()
        self._working = False

    def add(self, job: Callable[[], None]) -> None:
        """Let `job` be done after all that were added before; it must not raise."""
        with self._lock:
            self._waiting.append(job)
            if self._working:
                return
            self._working = True
        # No daemon: one that is inside the model's library when Python ends crashes the process.
        threading.Thread(target=self._work, name="glm-magic local").start()

    def _work(self) -> None:
        while job := self._next():
            job()

    def _next(self) -> Callable[[], None] | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._working = False
            return None


class Job:
    """One piece of work whose results are read on the event loop that made the job.

    Args:
        work: called on another thread with this job; it gives results to `put` and ends
            early when `put` or `is_stopped` is true.
    """

    def __init__(self, work: Callable[[Job], None]) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        # Without a bound: a reply is at most a context long, and the model must not wait for
        # a slow reader while others stand in line behind it.
        self._results: asyncio.Queue[Result | BaseException | None] = asyncio.Queue()
        self._stopped = False

    def run(self) -> None:
        """Do the work, on the calling thread, unless it was stopped before."""
        if self.is_stopped:
            return
        try:
            self._work(self)
        except BaseException as error:
            self._send(error)
        else:
            self._send(None)

    def put(self, result: Result) -> bool:
        """Hand over one result; return whether the work must end."""
        self._send(result)
        return self.is_stopped

    def stop(self) -> None:
        """End the work as soon as it looks, without waiting, and wake who waits in `next`."""
        self._stopped = True
        self._hand_over(None)

    @property
    def is_stopped(self) -> bool:
        """Whether nobody waits for the work any more: it was stopped, or Python ends."""
        return self._stopped or not threading.main_thread().is_alive()

    async def next(self) -> Result | None:
        """Return the next result as it is made, None after the last one or a stop.

        Raises whatever the work raised.
        """
        result = await self._results.get()
        if isinstance(result, BaseException):
            raise result
        return result

    def _send(self, result: Result | BaseException | None) -> None:
        if not self._stopped:
            self._hand_over(result)

    def _hand_over(self, result: Result | BaseException | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._results.put_nowait, result)
        except RuntimeError:
            # The loop is closed, so nobody reads.
            self._stopped = True
