"""Work on an event loop of our own thread, followed from the main thread.

The main thread waits in short blocking steps, so that a kernel interrupt ends the wait at
once, and makes every display call itself, so that output lands in the cell that asked.
The user's own event loop is not touched.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, Self, TypeVar, cast

from glm_magic.errors import Stopped

T = TypeVar("T")
Put = Callable[[Any], None]

# Above this no eye sees a difference, and JupyterLab pays for every message.
FRAME_S = 1 / 25
# How often a view with nothing new is asked to move its clock on.
_TICK_S = 0.25
# A cancelled request closes its socket within milliseconds; a loop that does not answer in
# this time is left behind.
_CLOSE_TIMEOUT_S = 1.0


class LoopThread:
    """One daemon thread with an event loop, started when first needed.

    After a fork the child has no such thread: it gets one of its own.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop."""
        if self._loop is None or self._pid != os.getpid():
            self._loop = asyncio.new_event_loop()
            self._pid = os.getpid()
            self._thread = threading.Thread(target=self._run, name="glm_magic", daemon=True)
            self._thread.start()
        return self._loop

    def _run(self) -> None:
        loop = self._loop
        assert loop is not None
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            loop.close()

    def close(self, last: Callable[[], Awaitable[None]]) -> None:
        """Run `last` on the loop and end the thread; nothing if it never started."""
        if self._loop is None or self._thread is None or self._pid != os.getpid():
            return
        job = Job(self, lambda _: last())
        job.wait(_CLOSE_TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_TIMEOUT_S)
        self._loop = self._thread = None


class Job(Generic[T]):
    """A coroutine on the loop thread that hands values to the main thread as it goes.

    As a context manager it does not outlive its block: left early, by an interrupt or by a
    bug, it is stopped and its connection closed.

    Args:
        work: gets a function that puts one value into the queue of the main thread.
    """

    _END = object()

    def __init__(self, thread: LoopThread, work: Callable[[Put], Awaitable[T]]) -> None:
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._loop = thread.loop()
        self._work = work
        self._task: asyncio.Task[T] | None = None
        self.ended = False
        self._loop.call_soon_threadsafe(self._start)

    def _start(self) -> None:
        async def run() -> T:
            return await self._work(self._queue.put)

        self._task = self._loop.create_task(run())
        # Not a `finally` in the coroutine: one that is cancelled before its first step has none.
        self._task.add_done_callback(lambda _: self._queue.put(self._END))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.ended:
            self.stop()
            self.wait(_CLOSE_TIMEOUT_S)

    def stop(self) -> None:
        """Cancel the coroutine, which closes its connection; safe from any thread."""
        self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def take(self, timeout_s: float) -> list[Any]:
        """Return all that is there, after waiting up to `timeout_s` for the first value."""
        values: list[Any] = []
        try:
            values.append(self._queue.get(timeout=timeout_s))
            while True:
                values.append(self._queue.get_nowait())
        except Empty:
            pass
        if values and values[-1] is self._END:
            self.ended = True
            values.pop()
        return values

    def wait(self, timeout_s: float) -> None:
        """Wait until the coroutine has ended, at most `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not self.ended and (left := deadline - time.monotonic()) > 0:
            self.take(left)

    def result(self) -> T | None:
        """Return what the coroutine returned, None when it was stopped; raise its error."""
        if self._task is None or not self._task.done() or self._task.cancelled():
            return None
        return self._task.result()


class View(Protocol):
    """What shows values while they come."""

    dirty: bool

    def feed(self, values: list[Any]) -> None:
        """Take values; draw nothing yet."""

    def paint(self) -> None:
        """Draw what is new."""


def follow(job: Job[T], view: View, *, clock: Callable[[], float] = time.perf_counter) -> T | None:
    """Show what `job` hands over until it ends; return its result, None when stopped.

    Painting takes at most a fifth of the time, however slow one paint is: what comes
    meanwhile is joined and drawn once. The network never waits for it.

    Raises:
        KeyboardInterrupt: the kernel was interrupted; the job still runs.
    """
    due = 0.0
    while not job.ended:
        wait_s = min(due - clock(), _TICK_S) if view.dirty else _TICK_S
        view.feed(job.take(max(wait_s, 0.0)) if not view.dirty else _after(job, wait_s))
        if (now := clock()) >= due:
            view.paint()
            due = clock() + max(FRAME_S, 4 * (clock() - now))
    return job.result()


def _after(job: Job[Any], wait_s: float) -> list[Any]:
    """What came in the next `wait_s`: one wake-up a frame, not one a value."""
    if wait_s > 0:
        time.sleep(wait_s)
    return job.take(0)


class _Nothing:
    """A view that shows nothing."""

    dirty = False

    def feed(self, values: list[Any]) -> None:
        pass

    def paint(self) -> None:
        pass


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put an interrupt off to the end of the block; for work of milliseconds.

    Widgets half made or half closed would stay in the notebook for ever.

    Raises:
        Stopped: the kernel was interrupted meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():  # where no interrupt comes
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)
    if came:
        raise Stopped("stopped; the answer is in _glm")


def wait_for(job: Job[T], what: str) -> T:
    """Wait for the result of a job that shows nothing on its way.

    Raises:
        Stopped: the kernel was interrupted.
    """
    try:
        with job:
            return cast(T, follow(job, _Nothing()))
    except KeyboardInterrupt:
        raise Stopped(f"stopped; {what}") from None


async def pump(events: AsyncIterable[Any], put: Put) -> None:
    """Put every event of a stream; close the stream also when cancelled."""
    async with aclosing(cast("Any", aiter(events))) as stream:
        stream = cast("AsyncIterator[Any]", stream)
        async for event in stream:
            put(event)
