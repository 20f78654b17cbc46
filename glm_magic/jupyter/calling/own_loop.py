"""A coroutine on the notebook's own event loop, while the cell that asked waits."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from IPython.core.async_helpers import get_asyncio_loop

from glm_magic.errors import SettingsError
from glm_magic.jupyter.interrupts import interrupts_to

T = TypeVar("T")


def run_on_own_loop(awaitable: Awaitable[T]) -> T:
    """Return what an awaitable gives, run on the loop that the notebook's own cells run on.

    Sessions, pools and locks that the notebook made belong to that loop and work on no other.
    Its other tasks go on meanwhile.

    Raises:
        KeyboardInterrupt: the kernel was interrupted; the coroutine was cancelled.
        Exception: what the awaitable raises.
    """
    if threading.current_thread() is not threading.main_thread():
        return _run_apart(awaitable)
    loop = _own_loop()
    if not loop.is_running():
        return _run(loop, awaitable)
    refuse_other_patch()
    # The cell that waits runs inside a step of this very loop, which must therefore run again
    # within itself. asyncio forbids that, and nest_asyncio2 lets it: nothing else does, and it
    # patches asyncio in the user's kernel. Hence only here, when a coroutine is called, and for
    # this loop only. Not the original nest_asyncio: on ipykernel 7 it drops queued cells, and on
    # Python 3.14 it fails.
    import nest_asyncio2

    nest_asyncio2.apply(loop)
    with _outer_step_kept(loop):
        return _run(loop, awaitable)


def refuse_other_patch() -> None:
    """Refuse to run a loop within itself where the original nest_asyncio lets it.

    Raises:
        SettingsError: it was applied, and this is ipykernel 7 or later, of which it drops cells.
    """
    is_other = hasattr(asyncio, "_nest_patched") and not hasattr(asyncio, "_nest_asyncio2")
    if is_other and "ipykernel" in sys.modules and _ipykernel_line() >= 7:
        raise SettingsError(
            "nest_asyncio is applied in this kernel, which drops queued cells on ipykernel 7; "
            "restart and use nest_asyncio2 in its place, or offer plain functions"
        )


def _ipykernel_line() -> int:
    return int(sys.modules["ipykernel"].version_info[0])


def _run_apart(awaitable: Awaitable[T]) -> T:
    """Run it on a loop of its own: that of the notebook is the main thread's."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(_wait_for(awaitable))
    finally:
        loop.close()


@contextmanager
def _outer_step_kept(loop: Any) -> Iterator[None]:
    """Leave as many callbacks ready as there were before.

    Expected: a step of a loop runs what is ready, also after a loop within it. Actual: asyncio's
    own `_run_once` counts what is ready, then pops as many; the inner loop has run some of them,
    the outer one finds none, raises IndexError, and the kernel ends. nest_asyncio2 brings a
    `_run_once` that bears that, but the step that is under way when it is first applied is still
    asyncio's. `_ready` is private; where it is missing nothing is done.
    """
    before = len(getattr(loop, "_ready", ()))
    try:
        yield
    finally:
        for _ in range(before - len(getattr(loop, "_ready", ()))):
            loop.call_soon(_nothing)


def _nothing() -> None:
    pass


def _run(loop: asyncio.AbstractEventLoop, awaitable: Awaitable[T]) -> T:
    task = loop.create_task(_wait_for(awaitable))
    with _cancelled_by_interrupt(loop, task) as interrupts:
        try:
            value = loop.run_until_complete(task)
            if interrupts:  # it swallowed the cancelling
                raise KeyboardInterrupt
            return value
        except asyncio.CancelledError:
            if interrupts:
                raise KeyboardInterrupt from None
            raise
        finally:
            _settle(task)


def _own_loop() -> asyncio.AbstractEventLoop:
    """The loop that a kernel runs on; in a terminal the one that IPython runs `await` on."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        loop: asyncio.AbstractEventLoop = get_asyncio_loop()
        return loop


async def _wait_for(awaitable: Awaitable[T]) -> T:
    return await awaitable


@contextmanager
def _cancelled_by_interrupt(
    loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]
) -> Iterator[list[int]]:
    """Let an interrupt cancel the task, wherever the loop is: no other task may be hit by it.

    Where the task itself is at work, or at a second interrupt, KeyboardInterrupt is raised.
    """
    interrupts: list[int] = []

    def on_interrupt(number: int, _: FrameType | None) -> None:
        interrupts.append(number)
        if asyncio.current_task(loop) is task or len(interrupts) > 1:
            raise KeyboardInterrupt
        loop.call_soon_threadsafe(task.cancel)

    with interrupts_to(on_interrupt):
        yield interrupts


def _settle(task: asyncio.Task[Any]) -> None:
    """Let asyncio not complain later of a task that was left."""
    if not task.done():
        task.cancel()
    elif not task.cancelled():
        task.exception()
