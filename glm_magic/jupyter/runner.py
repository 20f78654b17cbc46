"""Work on an event loop of our own thread, followed from the main thread.

The main thread waits in short blocking steps, so that a kernel interrupt ends the wait at
once, and makes every display call itself, so that output lands in the cell that asked.
The user's own event loop is not touched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, cast

from glm_magic.api.loop import Job
from glm_magic.errors import Stopped
from glm_magic.jupyter.interrupts import interrupts_to

T = TypeVar("T")

# Text that flows in looks no smoother above this, and JupyterLab pays for every message.
FRAME_S = 1 / 20
# How often a view with nothing new is asked to move its clock on.
_TICK_S = 0.25


class View(Protocol):
    """What shows values while they come."""

    @property
    def dirty(self) -> bool:
        """Whether there is something new to draw."""

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
        values = _after(job, wait_s) if view.dirty else job.take(max(wait_s, 0.0))
        view.feed(values)
        if (now := clock()) >= due:
            is_new = view.dirty
            view.paint()
            # A tick of the clock does not hold up the text that comes right after it.
            due = clock() + max(FRAME_S if is_new and values else 0.0, 4 * (clock() - now))
    return job.result()


def _after(job: Job[Any], wait_s: float) -> list[Any]:
    """What came in the next `wait_s`: one wake-up a frame, not one a value."""
    if wait_s > 0:
        job.rest(wait_s)
    return job.take(0)


class Unseen:
    """A view that shows nothing."""

    dirty = False

    def feed(self, values: list[Any]) -> None:
        """Take values; show none."""

    def paint(self) -> None:
        """Draw nothing."""

    def show_rounds(self, rounds: Sequence[Any]) -> None:
        """Show none."""

    def show_again(self) -> None:
        """Show nothing again."""


@contextmanager
def uninterrupted(what: str = "stopped; the answer is in _glm") -> Iterator[None]:
    """Put an interrupt off to the end of the block; for work of milliseconds.

    Widgets half made or half closed would stay in the notebook for ever.

    Args:
        what: the line to end with if one came.

    Raises:
        Stopped: the kernel was interrupted meanwhile.
    """
    came: list[int] = []
    with interrupts_to(lambda number, _: came.append(number)):
        yield
    if came:
        raise Stopped(what)


def wait_for(job: Job[T], what: str) -> T:
    """Wait for the result of a job that shows nothing on its way.

    Raises:
        Stopped: the kernel was interrupted.
    """
    try:
        with job:
            return cast(T, follow(job, Unseen()))
    except KeyboardInterrupt:
        raise Stopped(f"stopped; {what}") from None
