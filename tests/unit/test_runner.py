"""Work on another thread, followed from this one: a slow view holds nothing up, misses nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from glm_magic.api.loop import Job, LoopThread, Put
from glm_magic.jupyter.runner import follow

LONG_S = 30.0


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    loop_thread = LoopThread()
    yield loop_thread

    async def nothing() -> None:
        pass

    loop_thread.close(nothing)


class SlowView:
    """A view whose first paint lasts until the work has ended."""

    def __init__(self) -> None:
        self.work_ended = threading.Event()
        self.values: list[int] = []
        self.paints: list[int] = []
        self.dirty = False

    def feed(self, values: list[int]) -> None:
        self.values += values
        self.dirty = self.dirty or bool(values)

    def paint(self) -> None:
        if self.dirty and not self.paints:
            assert self.work_ended.wait(LONG_S), "the work waits for the view"
        self.paints.append(len(self.values))
        self.dirty = False


def test_a_view_that_stands_still_does_not_hold_up_the_work(thread: LoopThread) -> None:
    view = SlowView()

    async def work(put: Put) -> str:
        for n in range(5_000):
            put(n)
            if n % 100 == 0:
                await asyncio.sleep(0)
        view.work_ended.set()
        return "done"

    with Job(thread, work) as job:
        assert follow(job, view) == "done"
    assert view.values == list(range(5_000))


def test_what_comes_during_a_paint_is_joined_and_drawn_once(thread: LoopThread) -> None:
    view = SlowView()

    async def work(put: Put) -> None:
        put(0)
        while not view.paints and not view.work_ended.is_set():
            await asyncio.sleep(0.01)
            for n in range(1, 1_000):
                put(n)
            view.work_ended.set()

    with Job(thread, work) as job:
        follow(job, view)
    assert len(view.values) == 1_000
    assert len(view.paints) < 10
