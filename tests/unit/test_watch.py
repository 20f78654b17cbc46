"""Limits on the reads of one stream, and on nothing but the reads."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import pytest

from glm_magic.api.watch import Watch

T = TypeVar("T")


async def slowly(*pauses_s: float) -> AsyncIterator[int]:
    """Numbers from 0 on, each after its pause."""
    for number, pause_s in enumerate(pauses_s):
        await asyncio.sleep(pause_s)
        yield number


async def read_all(
    items: AsyncIterator[int], limit_s: float, *, rest_s: float = 0.0
) -> tuple[list[int], str]:
    """All numbers and how it ended, with a rest between the reads."""
    watch, found = Watch(), []
    try:
        while True:
            found.append(await watch.next(items, limit_s))
            await asyncio.sleep(rest_s)
    except StopAsyncIteration:
        return found, "whole"
    except TimeoutError:
        return found, "too slow"
    finally:
        watch.close()


class Timers(asyncio.SelectorEventLoop):
    """An event loop that counts the timers that are set."""

    count = 0

    def call_at(self, when: float, callback: Any, *args: Any, **more: Any) -> asyncio.TimerHandle:
        self.count += 1
        return super().call_at(when, callback, *args, **more)


def test_what_comes_in_time_comes_through() -> None:
    assert asyncio.run(read_all(slowly(0, 0.01, 0), 5.0)) == ([0, 1, 2], "whole")


def test_what_does_not_come_in_time_is_a_time_out() -> None:
    assert asyncio.run(read_all(slowly(0, 0.01, 60), 0.05)) == ([0, 1], "too slow")


def test_the_limit_is_of_each_read_and_not_of_all_of_them() -> None:
    found, end = asyncio.run(read_all(slowly(*[0.04] * 8), 0.2))
    assert (len(found), end) == (8, "whole")


def test_the_time_of_the_consumer_does_not_count() -> None:
    assert asyncio.run(read_all(slowly(0, 0, 0), 0.05, rest_s=0.12)) == ([0, 1, 2], "whole")


def test_each_read_may_have_a_limit_of_its_own() -> None:
    async def read() -> list[int]:
        watch, items = Watch(), slowly(0.1, 60)
        found = [await watch.next(items, 10.0)]
        start = time.perf_counter()
        with pytest.raises(TimeoutError):
            await watch.next(items, 0.05)
        assert time.perf_counter() - start < 5  # and not the ten seconds of the read before
        return found

    assert asyncio.run(read()) == [0]


def test_a_limit_may_become_longer() -> None:
    async def read() -> list[int]:
        watch, items = Watch(), slowly(0, 0.15)
        found = [await watch.next(items, 0.05), await watch.next(items, 10.0)]
        watch.close()
        return found

    assert asyncio.run(read()) == [0, 1]


def test_a_limit_of_nothing_lets_through_what_is_there() -> None:
    assert asyncio.run(read_all(at_once(3), 0.0)) == ([0, 1, 2], "whole")
    assert asyncio.run(read_all(slowly(60), 0.0)) == ([], "too slow")


async def at_once(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


def test_the_timer_is_moved_on_and_not_set_for_every_read() -> None:
    loop = Timers()
    try:
        found, _ = loop.run_until_complete(read_without_rest(at_once(1000)))
    finally:
        loop.close()
    assert len(found) == 1000
    assert loop.count < 5


async def read_without_rest(items: AsyncIterator[int]) -> tuple[list[int], str]:
    watch, found = Watch(), []
    try:
        while True:
            found.append(await watch.next(items, 60.0))
    except StopAsyncIteration:
        return found, "whole"
    finally:
        watch.close()


def test_a_closed_watch_leaves_no_timer() -> None:
    async def read() -> None:
        watch = Watch()
        await watch.next(at_once(1), 0.01)
        watch.close()
        await asyncio.sleep(0.05)  # a timer that is left would cancel this

    asyncio.run(read())


def test_after_a_time_out_the_task_goes_on_as_if_nothing_was() -> None:
    async def read() -> int:
        _, end = await read_all(slowly(60), 0.01)
        assert end == "too slow"
        task = asyncio.current_task()
        assert task is not None
        await asyncio.sleep(0)
        return task.cancelling()

    assert asyncio.run(read()) == 0


def test_an_error_of_the_source_comes_through() -> None:
    async def break_off() -> AsyncIterator[int]:
        yield 0
        raise OSError("reset")

    with pytest.raises(OSError, match="reset"):
        asyncio.run(read_all(break_off(), 5.0))


# -- cancelling ----------------------------------------------------------------------------


def outcome_of(start: Callable[[], Coroutine[Any, Any, T]], cancel_after_s: float) -> str:
    """How a task ended that is cancelled from outside after so long."""

    async def run() -> str:
        task = asyncio.ensure_future(start())
        asyncio.get_running_loop().call_later(cancel_after_s, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            return "cancelled"
        except TimeoutError:
            return "time-out"
        return "done"

    return asyncio.run(run())


async def read_slow(limit_s: float) -> None:
    watch = Watch()
    try:
        await watch.next(slowly(60), limit_s)
    finally:
        watch.close()


def test_a_cancel_from_outside_stays_a_cancel() -> None:
    assert outcome_of(lambda: read_slow(60.0), 0.02) == "cancelled"


def test_without_a_cancel_from_outside_it_is_a_time_out() -> None:
    assert outcome_of(lambda: read_slow(0.02), 60.0) == "time-out"


@pytest.mark.parametrize("order", ["limit first", "cancel first"])
def test_a_cancel_that_races_the_limit_stays_a_cancel(order: str) -> None:
    async def run() -> str:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(read_slow(0.02))
        await asyncio.sleep(0)
        if order == "cancel first":
            loop.call_at(loop.time() + 0.01, task.cancel)
        else:
            loop.call_at(loop.time() + 0.03, task.cancel)
        # Both timers are due in the same turn of the loop.
        time.sleep(0.05)  # noqa: ASYNC251
        try:
            await task
        except asyncio.CancelledError:
            return "cancelled"
        except TimeoutError:
            return "time-out"
        return "done"

    assert asyncio.run(run()) == "cancelled"


def test_a_time_out_around_the_reads_is_its_own() -> None:
    async def run() -> str:
        try:
            async with asyncio.timeout(0.02):
                await read_slow(60.0)
        except TimeoutError:
            task = asyncio.current_task()
            assert task is not None
            return f"time-out, {task.cancelling()} cancels left"
        return "done"

    assert asyncio.run(run()) == "time-out, 0 cancels left"


def test_the_limit_holds_in_a_task_that_survived_a_cancel() -> None:
    async def run() -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        with suppress(asyncio.CancelledError):  # as code does that cleans up and goes on
            await asyncio.sleep(1)
        return (await read_all(slowly(60), 0.02))[1]

    assert asyncio.run(run()) == "too slow"


def test_the_limit_holds_when_another_task_reads_on() -> None:
    async def run() -> str:
        watch, items = Watch(), slowly(0, 60)
        await asyncio.ensure_future(watch.next(items, 60.0))
        try:
            await asyncio.ensure_future(watch.next(items, 0.02))
        except TimeoutError:
            return "time-out"
        finally:
            watch.close()
        return "done"

    assert asyncio.run(run()) == "time-out"
