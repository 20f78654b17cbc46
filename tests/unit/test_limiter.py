"""Requests in flight: never more than allowed, first come first served, and the limit learns."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from asking import ASK, KEY, ask, embed
from glm_server import GlmServer, Script, failure
from hypothesis import given
from hypothesis import strategies as st

from glm_magic.api.client import AsyncClient
from glm_magic.api.events import Event, TextDelta, Waiting
from glm_magic.api.limiter import Limiter
from glm_magic.errors import ApiError

TOO_MANY = ApiError("too many", status=429, code="1302")


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


def start(*coroutines: Coroutine[Any, Any, None]) -> list["asyncio.Task[None]"]:
    return [asyncio.ensure_future(coroutine) for coroutine in coroutines]


async def fail_in_slot(limiter: Limiter, error: Exception) -> None:
    with pytest.raises(type(error)):
        async with limiter.slot():
            raise error


async def succeed(limiter: Limiter, times: int = 1) -> None:
    for _ in range(times):
        async with limiter.slot() as slot:
            slot.succeeded()


# -- places --------------------------------------------------------------------------------


def test_places_are_given_in_the_order_of_asking() -> None:
    async def run() -> list[int]:
        limiter, order = Limiter(1), []

        async def take(number: int) -> None:
            async with limiter.slot():
                order.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*(take(number) for number in range(20)))
        return order

    assert asyncio.run(run()) == list(range(20))


def test_one_who_comes_when_a_place_is_free_does_not_overtake_the_queue() -> None:
    async def run() -> list[str]:
        limiter, order = Limiter(1), []

        async def take(name: str) -> None:
            async with limiter.slot():
                order.append(name)
                await asyncio.sleep(0)

        await limiter.acquire()
        waiting = start(take("waited"))
        await settle()
        limiter.release()  # the place is given to the one in the queue, who has not run yet
        await asyncio.gather(take("came late"), *waiting)
        return order

    assert asyncio.run(run()) == ["waited", "came late"]


@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_a_hundred_tasks_never_exceed_the_limit_and_all_get_through(limit: int, seed: int) -> None:
    async def run() -> tuple[int, int]:
        limiter, now, peak, done = Limiter(limit), 0, 0, 0

        async def take(number: int) -> None:
            nonlocal now, peak, done
            for _ in range(seed >> number % 32 & 1):
                await asyncio.sleep(0)
            async with limiter.slot() as slot:
                now += 1
                peak = max(peak, now)
                assert limiter.in_flight <= limit
                for _ in range((seed ^ number) % 4):
                    await asyncio.sleep(0)
                now -= 1
                done += 1
                slot.succeeded()

        await asyncio.gather(*(take(number) for number in range(100)))
        assert limiter.in_flight == 0
        assert not limiter.is_full
        return peak, done

    peak, done = asyncio.run(run())
    assert peak <= limit
    assert done == 100


@given(st.lists(st.sampled_from(["end", "refuse", "cancel first", "cancel last"]), max_size=60))
def test_no_place_is_ever_lost_whoever_leaves_how(steps: list[str]) -> None:
    async def run() -> None:
        limiter = Limiter(3)
        ends: list[asyncio.Future[None]] = []

        async def take() -> None:
            async with limiter.slot():
                ends.append(end := asyncio.get_running_loop().create_future())
                await end

        tasks = start(*(take() for _ in range(12)))
        for step in steps:
            await settle()
            left = [task for task in tasks if not task.done()]
            pending = [end for end in ends if not end.done()]
            if step == "end" and pending:
                pending[0].set_result(None)
            elif step == "refuse" and pending:
                pending[-1].set_exception(TOO_MANY)
            elif step.startswith("cancel") and left:
                left[0 if step == "cancel first" else -1].cancel()
            assert 0 <= limiter.in_flight <= 3
        while not all(task.done() for task in tasks):
            await settle()
            for end in ends:
                if not end.done():
                    end.set_result(None)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (limiter.in_flight, limiter.is_full) == (0, False)

    asyncio.run(run())


def test_one_who_leaves_the_queue_gives_the_turn_on() -> None:
    async def run() -> list[str]:
        limiter, order = Limiter(1), []

        async def take(name: str) -> None:
            async with limiter.slot():
                order.append(name)

        await limiter.acquire()
        leaving, staying = start(take("leaving"), take("staying"))
        await settle()
        leaving.cancel()
        await settle()
        limiter.release()
        await staying
        return order

    assert asyncio.run(run()) == ["staying"]


def test_one_who_leaves_in_the_moment_of_the_turn_gives_the_place_on() -> None:
    async def run() -> list[str]:
        limiter, order = Limiter(1), []

        async def take(name: str) -> None:
            async with limiter.slot():
                order.append(name)

        await limiter.acquire()
        leaving, staying = start(take("leaving"), take("staying"))
        await settle()
        limiter.release()  # the turn is given
        leaving.cancel()  # and not yet taken
        await asyncio.wait_for(staying, 5)
        assert limiter.in_flight == 0
        return order

    assert asyncio.run(run()) == ["staying"]


@pytest.mark.parametrize("limit", [-1, 0, 1])
def test_there_is_always_one_place(limit: int) -> None:
    assert Limiter(limit).now == 1


# -- learning ------------------------------------------------------------------------------


@pytest.mark.parametrize(("in_flight", "now"), [(8, 4), (7, 3), (4, 2), (2, 1), (1, 1)])
def test_a_refusal_for_too_many_requests_halves_what_was_in_flight(
    in_flight: int, now: int
) -> None:
    async def run() -> int:
        limiter = Limiter(8)
        for _ in range(in_flight - 1):
            await limiter.acquire()
        await fail_in_slot(limiter, TOO_MANY)
        return limiter.now

    assert asyncio.run(run()) == now


def test_it_never_goes_below_one() -> None:
    async def run() -> int:
        limiter = Limiter(8)
        for _ in range(10):
            await fail_in_slot(limiter, TOO_MANY)
        return limiter.now

    assert asyncio.run(run()) == 1


@pytest.mark.parametrize(
    "error",
    [
        ApiError("x", status=429, code="1113"),
        ApiError("x", status=429, code="1305"),
        ApiError("x", status=500),
        ValueError("x"),
    ],
)
def test_other_failures_teach_nothing(error: Exception) -> None:
    async def run() -> int:
        limiter = Limiter(8)
        await fail_in_slot(limiter, error)
        return limiter.now

    assert asyncio.run(run()) == 8


def test_success_lets_it_creep_up_by_about_one_a_round_and_never_beyond() -> None:
    async def run() -> list[int]:
        limiter, found = Limiter(4), []
        await fail_in_slot(limiter, TOO_MANY)
        for _ in range(9):
            found.append(limiter.now)
            await succeed(limiter)
        return found

    assert asyncio.run(run()) == [1, 2, 2, 2, 3, 3, 3, 4, 4]


def test_who_waits_gets_a_place_as_soon_as_the_limit_has_grown() -> None:
    async def run() -> int:
        limiter = Limiter(2)
        await fail_in_slot(limiter, TOO_MANY)
        ends = [asyncio.get_running_loop().create_future() for _ in range(4)]

        async def take(end: "asyncio.Future[None]") -> None:
            async with limiter.slot() as slot:
                await end
                slot.succeeded()

        tasks = start(*(take(end) for end in ends))
        await settle()
        assert limiter.in_flight == 1
        ends[0].set_result(None)
        await settle()
        found = limiter.in_flight
        for end in ends[1:]:
            end.set_result(None)
        await asyncio.gather(*tasks)
        return found

    assert asyncio.run(run()) == 2


def test_the_reason_to_wait_names_the_model_and_what_was_learned() -> None:
    limiter = Limiter(8, name="glm-4.7")
    assert limiter.reason == "glm-4.7 takes 8 at a time; waiting for a place"
    asyncio.run(fail_in_slot(limiter, TOO_MANY))
    assert limiter.reason == (
        "glm-4.7 takes 1 at a time, down from 8 after refusals; waiting for a place"
    )


# -- on the wire ---------------------------------------------------------------------------


async def ask_at_once(client: AsyncClient, count: int) -> list[list[Event]]:
    async def take() -> list[Event]:
        async with client.stream(ASK) as stream:
            return [event async for event in stream]

    return await asyncio.gather(*(take() for _ in range(count)))


def test_the_server_never_sees_more_requests_than_allowed(server: GlmServer) -> None:
    async def run() -> list[list[Event]]:
        async with AsyncClient(KEY, server.url, concurrency=3) as client:
            return await ask_at_once(client, 12)

    server.script = Script(text=("Hello",), pace_s=0.01)
    replies = asyncio.run(run())
    assert server.peak_in_flight == 3
    assert len(server.requests) == 12
    waited = [[e for e in events if isinstance(e, Waiting)] for events in replies]
    assert sum(map(len, waited)) == 9
    assert {(e.seconds, e.reason) for events in waited for e in events} == {
        (float("inf"), "glm-4.7 takes 3 at a time; waiting for a place")
    }


def test_a_place_is_held_until_the_body_is_closed(server: GlmServer) -> None:
    async def run() -> list[tuple[int, bool]]:
        found = []
        async with AsyncClient(KEY, server.url, concurrency=1) as client:
            limiter = client.limiter("glm-4.7")
            async with client.stream(ASK) as stream:
                async for event in stream:
                    if isinstance(event, TextDelta):
                        found.append((limiter.in_flight, limiter.is_full))
                        break
            found.append((limiter.in_flight, limiter.is_full))
        return found

    server.script = Script(text=("Hello", "never"), stall_after=1)
    assert asyncio.run(run()) == [(1, True), (0, False)]


def test_a_request_refused_for_too_many_makes_the_client_ask_for_fewer(server: GlmServer) -> None:
    async def run() -> tuple[int, int]:
        async with AsyncClient(KEY, server.url, concurrency=8, retry_base_s=0.02) as client:
            await ask_at_once(client, 16)
            limiter = client.limiter("glm-4.7")
            return limiter.now, limiter.in_flight

    server.concurrency = 7
    server.script = Script(text=("Hello",), pace_s=0.02)
    now, in_flight = asyncio.run(run())
    assert now < 8
    assert in_flight == 0
    assert server.peak_in_flight == 7


def test_a_request_that_waits_for_its_next_try_holds_no_place(server: GlmServer) -> None:
    async def run() -> int:
        client = AsyncClient(KEY, server.url, concurrency=1)
        async with client, client.stream(ASK) as stream:
            async for event in stream:
                assert isinstance(event, Waiting)
                break
            return client.limiter("glm-4.7").in_flight

    server.script = Script(error=failure("1305", retry_after="100"))
    assert asyncio.run(run()) == 0


def test_one_who_is_stopped_in_the_queue_sends_nothing(server: GlmServer) -> None:
    async def run() -> str:
        async with AsyncClient(KEY, server.url, concurrency=1) as client:
            async with client.limiter("glm-4.7").slot():
                stream = client.stream(ASK)

                async def take() -> None:
                    async for _ in stream:
                        pass

                (task,) = start(take())
                await settle()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            return stream.reply.state

    assert asyncio.run(run()) == "stopped"
    assert server.requests == []


def test_each_model_has_places_of_its_own() -> None:
    client = AsyncClient(KEY, "bigmodel")
    assert client.limiter("glm-4-air") is client.limiter("glm-4-air")
    assert client.limiter("glm-4-air") is not client.limiter("glm-4")
    assert [client.limiter(model).limit for model in ("glm-4-air", "glm-4")] == [100, 5]


def test_a_client_may_be_told_the_number_itself(server: GlmServer) -> None:
    assert AsyncClient(KEY, server.url, tier="tier5").limiter("glm-4").limit == 200
    assert AsyncClient(KEY, server.url, tier="tier5", concurrency=7).limiter("glm-4").limit == 7
    assert ask(server.url, concurrency=1).error is None
    assert len(embed(server.url, concurrency=1)) == 2
