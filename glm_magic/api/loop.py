"""Work on an event loop of our own thread, for callers that do not await.

The caller's own event loop, if it has one, is not touched.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from queue import Empty, SimpleQueue
from typing import Any, Generic, Self, TypeVar, cast

T = TypeVar("T")
Put = Callable[[Any], None]

# A cancelled request closes its socket within milliseconds; a loop that does not answer in
# this time is left behind.
CLOSE_TIMEOUT_S = 1.0


class LoopThread:
    """One daemon thread with an event loop, started when first needed.

    After a fork the child has no such thread: it gets one of its own.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._starting = threading.Lock()  # two threads may ask for the loop at once

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop."""
        with self._starting:
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
            loop.run_until_complete(_end_tasks())
        finally:
            loop.close()

    def close(self, last: Callable[[], Awaitable[None]]) -> None:
        """Run `last` on the loop and end the thread; nothing if it never started."""
        if self._loop is None or self._thread is None or self._pid != os.getpid():
            return
        job = Job(self, lambda _: last())
        job.wait(CLOSE_TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_TIMEOUT_S)
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
        self._is_over = threading.Event()
        self._loop.call_soon_threadsafe(self._start)

    def _start(self) -> None:
        async def run() -> T:
            return await self._work(self._queue.put)

        self._task = self._loop.create_task(run())
        # Not a `finally` in the coroutine: one that is cancelled before its first step has none.
        self._task.add_done_callback(lambda _: self._finish())

    def _finish(self) -> None:
        self._queue.put(self._END)
        self._is_over.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.ended:
            self.stop()
            self.wait(CLOSE_TIMEOUT_S)

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

    def rest(self, timeout_s: float) -> None:
        """Let values gather for `timeout_s`, or until no more come."""
        self._is_over.wait(timeout_s)

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


async def _end_tasks() -> None:
    """End what closes the HTTP library's generators of a reply that was left before its end.

    Each of these generators is closed by a task of its own, made when the one around it is gone.
    """
    while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


async def pump(events: AsyncIterable[Any], put: Put) -> None:
    """Put every event of a stream; close the stream also when cancelled."""
    async with aclosing(cast("Any", aiter(events))) as stream:
        stream = cast("AsyncIterator[Any]", stream)
        async for event in stream:
            put(event)
