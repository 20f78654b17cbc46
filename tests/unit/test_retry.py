"""What is tried again, how long that waits, and that the wait is seen and can be ended."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from asking import (
    ASK,
    CHUNK,
    DONE,
    KEY,
    LAST,
    SITE,
    Outcome,
    ask,
    broken,
    embed,
    error_of,
    replying_in_turn,
)
from glm_server import FAILURES, ApiFailure, GlmServer, Script, failure
from hypothesis import given
from hypothesis import strategies as st

from glm_magic.api.bounds import Bounds
from glm_magic.api.client import AsyncClient
from glm_magic.api.events import TextDelta, Waiting
from glm_magic.api.failures import Context, Refusal, build_api_error
from glm_magic.api.retry import parse_retry_after, retry_wait_s
from glm_magic.errors import (
    ApiError,
    ConnectError,
    GlmError,
    RateLimitError,
    SettingsError,
    StreamError,
)

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
BUSY = Script(error=failure("1302"))
QUICK: dict[str, Any] = {"max_retries": 2, "retry_base_s": 0.01}
GOOD = (200, {}, (CHUNK, LAST, DONE))


def waits(outcome: Outcome) -> list[float]:
    return [event.seconds for event in outcome.events if isinstance(event, Waiting)]


def back_off_s(error: GlmError, tries: int = 0, chance: float = 0.0, **bounds: Any) -> float | None:
    return retry_wait_s(error, tries, Bounds(**bounds), chance=lambda: chance)


# -- Retry-After ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": " 2.5 "}, 2.5),
        ({"retry-after": ".5"}, 0.5),
        ({"retry-after": "+4"}, 4.0),
        ({"retry-after": "1e2"}, 100.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "30"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "30"}, 30.0),
        ({"retry-after-ms": "-1", "retry-after": "30"}, 30.0),
        ({"retry-after": "Tue, 24 Nov 2026 12:00:07 GMT"}, 7.0),
        ({"retry-after": "Tue, 24 Nov 2026 20:00:07 +0800"}, 7.0),
        ({"retry-after": "Tuesday, 24-Nov-26 12:00:07 GMT"}, 7.0),
        ({"retry-after": "Tue Nov 24 12:00:07 2026"}, 7.0),
        ({"retry-after": "Tue, 24 Nov 2026 11:59:59 GMT"}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Infinity"}, None),
        ({"retry-after": "1_000"}, None),
        ({"retry-after": "１０"}, None),
        ({"retry-after": "0x10"}, None),
        ({"retry-after": "5, 10"}, None),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": "1e400"}, float("inf")),
        ({"retry-after": "9" * 400}, float("inf")),
        ({"retry-after-ms": "9" * 5000}, float("inf")),
    ],
)
def test_the_wait_a_server_asks_for_is_read_in_every_form(
    headers: dict[str, str], wait_s: float | None
) -> None:
    assert parse_retry_after(headers, now=NOW) == wait_s


HEADER_TEXT = st.text(st.characters(codec="latin-1"), max_size=40) | st.from_regex(
    r"\A(Mon, )?[0-9]{1,6} (Jan|Foo) [0-9]{1,12} [0-9]{1,3}:[0-9]{1,9} [+-]?[0-9]{0,12}\Z"
)


@given(HEADER_TEXT, HEADER_TEXT)
def test_no_header_makes_reading_it_fail(seconds: str, milliseconds: str) -> None:
    wait_s = parse_retry_after({"retry-after": seconds, "retry-after-ms": milliseconds}, now=NOW)
    assert wait_s is None or wait_s > 0


def test_a_wait_up_to_two_minutes_is_waited_to_the_second() -> None:
    for header, wait_s in (("120", 120.0), ("0.25", 0.25)):
        error = refused("1302", retry_after=header)
        assert back_off_s(error, tries=1, chance=0.9) == wait_s


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("120.1", "it asks to wait 2 min;"),
        ("3600", "it asks to wait 60 min;"),
        ("86400", "it asks to wait 24 h;"),
        ("1e400", "it asks to wait for ever;"),
    ],
)
def test_a_longer_wait_is_left_to_the_user_and_named(header: str, words: str) -> None:
    error = refused("1302", retry_after=header)
    assert back_off_s(error) is None
    assert words in str(error)


@pytest.mark.parametrize("header", ["1e400", "121", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_server_that_asks_for_too_long_a_wait_gets_no_second_request(
    server: GlmServer, header: str
) -> None:
    server.script = Script(error=failure("1302", retry_after=header))
    outcome = ask(server.url, **QUICK)
    assert "it asks to wait" in error_of(outcome, RateLimitError)
    assert waits(outcome) == []
    assert len(server.requests) == 1


# -- the back-off --------------------------------------------------------------------------


def refused(code: str = "", *, status: int = 429, **headers: str) -> ApiError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return build_api_error(Refusal(code, ""), Context("h", "m", (), named), status=status)


def test_the_back_off_doubles_from_half_a_second_to_eight() -> None:
    found = [back_off_s(refused("1302"), tries, max_retries=9) for tries in range(7)]
    assert found == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_chance_takes_up_to_a_quarter_of_the_back_off() -> None:
    assert back_off_s(refused("1302"), chance=1.0) == 0.375
    assert back_off_s(refused("1302"), chance=0.5) == 0.4375


def test_waits_spread_by_themselves_within_the_quarter() -> None:
    found = {retry_wait_s(refused("1302"), 0, Bounds()) for _ in range(50)}
    assert len(found) > 25
    assert all(wait_s is not None and 0.375 < wait_s <= 0.5 for wait_s in found)


@pytest.mark.parametrize("header", ["-3", "nan", "inf", "0", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_wait_that_makes_no_sense_gives_the_own_back_off(header: str) -> None:
    assert back_off_s(refused("1302", retry_after=header)) == 0.5


def test_many_tries_do_not_overflow() -> None:
    assert back_off_s(refused("1302"), tries=1000, max_retries=2000) == 8.0


def test_after_the_last_try_there_is_no_wait() -> None:
    assert back_off_s(refused("1302"), tries=1) == 1.0
    assert back_off_s(refused("1302"), tries=2) is None
    assert back_off_s(refused("1302"), max_retries=0) is None


# -- what is tried again -------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", ["1100", "1120", "1200", "1230", "1234", "1302", "1303", "1305", "1312"]
)
def test_codes_that_pass_are_tried_again_whatever_the_status(code: str) -> None:
    assert [back_off_s(refused(code, status=status)) for status in (400, 429)] == [0.5, 0.5]


@pytest.mark.parametrize(
    "code",
    [
        "1000",
        "1001",
        "1002",
        "1003",
        "1004",
        "1005",
        "1110",
        "1111",
        "1112",
        "1113",
        "1121",
        "1210",
        "1211",
        "1212",
        "1213",
        "1214",
        "1215",
        "1220",
        "1221",
        "1222",
        "1231",
        "1261",
        "1300",
        "1301",
        "1304",
        "1308",
        "1309",
        "1310",
        "1311",
        "1313",
        "1314",
        "1315",
        "1316",
        "1317",
        "1318",
        "1319",
        "1320",
        "1321",
    ],
)
def test_codes_that_stay_are_never_tried_again_whatever_the_status(code: str) -> None:
    assert [back_off_s(refused(code, status=status)) for status in (429, 500)] == [None, None]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529, 599])
def test_without_a_code_these_statuses_are_tried_again(status: int) -> None:
    assert back_off_s(refused(status=status)) == 0.5


@pytest.mark.parametrize("status", [201, 204, 304, 400, 401, 402, 403, 404, 409, 413, 418, 422])
def test_without_a_code_these_statuses_are_not(status: int) -> None:
    assert back_off_s(refused(status=status)) is None


@pytest.mark.parametrize("code", ["", "1302", "1234"])
def test_a_server_that_wants_no_second_try_gets_none(code: str) -> None:
    assert back_off_s(refused(code, x_should_retry="false")) is None
    assert back_off_s(refused(code, x_should_retry="true")) == 0.5


def test_a_server_cannot_ask_for_a_try_that_would_not_help() -> None:
    assert back_off_s(refused("1113", x_should_retry="true")) is None


@pytest.mark.parametrize(
    "error",
    [ConnectError("x"), SettingsError("x"), GlmError("x"), StreamError("x", reply=None)],  # type: ignore[arg-type]
)
def test_other_errors_are_not_tried_again(error: GlmError) -> None:
    assert back_off_s(error) is None


def test_a_connection_that_failed_before_the_server_could_work_is() -> None:
    assert back_off_s(ConnectError("x", retryable=True)) == 0.5


# -- on the wire ---------------------------------------------------------------------------


def test_two_refusals_and_then_the_reply(server: GlmServer) -> None:
    server.queue(BUSY, BUSY)
    outcome = ask(server.url, **QUICK)
    assert outcome.error is None
    assert outcome.reply.text == "Hello! 你好！I am GLM, 很高兴见到你。"
    assert len(server.requests) == 3
    first, second = waits(outcome)
    assert 0.0075 <= first <= 0.01
    assert 0.015 <= second <= 0.02


def test_there_are_two_tries_more_and_no_third(server: GlmServer) -> None:
    server.script = BUSY
    outcome = ask(server.url, **QUICK)
    assert "too many requests at once" in error_of(outcome, RateLimitError)
    assert len(server.requests) == 3
    assert len(waits(outcome)) == 2
    assert outcome.reply.state == "failed"


def test_each_try_sends_the_same_request(server: GlmServer) -> None:
    server.queue(BUSY)
    ask(server.url, **QUICK)
    first, second = server.requests
    assert first.json == second.json
    assert first.headers == second.headers


def test_a_wait_says_why_and_which_try_comes() -> None:
    busy = (503, {}, (b"",))
    outcome = ask(SITE, transport=replying_in_turn(busy, GOOD), **QUICK)
    (wait,) = (event for event in outcome.events if isinstance(event, Waiting))
    assert wait.reason == ("llm.example.org: the server failed (HTTP 503); try 2 of 3")


@pytest.mark.parametrize("code", sorted(set(FAILURES) - {"1230", "1234", "1302", "1305"}))
def test_a_refusal_that_stays_is_sent_once(server: GlmServer, code: str) -> None:
    server.script = Script(error=failure(code, retry_after="0.01"))
    outcome = ask(server.url, **QUICK)
    assert isinstance(outcome.error, ApiError)
    assert outcome.error.code == code
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_tried_again(server: GlmServer, status: int) -> None:
    server.script = Script(error=ApiFailure(status, "", "", {"location": server.url}))
    error_of(ask(server.url, **QUICK), ConnectError)
    assert len(server.requests) == 1


def test_a_request_that_nobody_answers_is_sent_once(server: GlmServer) -> None:
    server.script = Script(headers_delay_s=30.0)
    outcome = ask(server.url, first_byte_timeout_s=0.1, **QUICK)
    assert "no answer within 0.1 s" in error_of(outcome, ConnectError)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("x"),
        httpx.ConnectTimeout("x"),
        httpx.ReadError("x"),
        httpx.WriteError("x"),
        httpx.RemoteProtocolError("x"),
    ],
)
def test_a_connection_that_fails_before_the_answer_is_made_again(error: Exception) -> None:
    outcome = ask(SITE, transport=replying_in_turn(error, error, GOOD), **QUICK)
    assert outcome.reply.text == "Hello"
    assert len(waits(outcome)) == 2


@pytest.mark.parametrize(
    "script", [Script(cut_after=1), Script(end_after=1), Script(text=("a",), cut_after=1)]
)
def test_once_an_event_was_seen_nothing_is_tried_again(server: GlmServer, script: Script) -> None:
    server.script = script
    outcome = ask(server.url, **QUICK)
    broken(outcome)
    assert outcome.reply.state == "cut off"
    assert len(server.requests) == 1


def test_an_error_in_the_stream_is_tried_again_before_an_event_and_not_after(
    server: GlmServer,
) -> None:
    busy = {"error": {"code": "1302", "message": "slow down"}}
    server.queue(Script(text=(), in_band_error=busy))
    assert ask(server.url, **QUICK).error is None
    assert len(server.requests) == 2
    server.queue(Script(text=("a",), in_band_error=busy))
    assert "too many requests" in broken(ask(server.url, **QUICK))
    assert len(server.requests) == 3


def test_the_wait_is_told_before_it_is_waited_for() -> None:
    async def first_event_s() -> tuple[object, float]:
        async with AsyncClient(KEY, SITE, transport=replying_in_turn(busy)) as client:
            start = time.perf_counter()
            async with client.stream(ASK) as stream:
                async for event in stream:
                    return event, time.perf_counter() - start
        raise AssertionError("no event")

    busy = (429, {"retry-after": "100"}, (b"",))
    event, seconds = asyncio.run(first_event_s())
    assert isinstance(event, Waiting)
    assert event.seconds == 100.0
    assert seconds < 5


def test_a_wait_that_is_left_ends_at_once_and_nothing_more_is_sent(server: GlmServer) -> None:
    async def leave() -> tuple[float, str]:
        async with AsyncClient(KEY, server.url) as client:
            stream, waiting = client.stream(ASK), asyncio.Event()

            async def take() -> None:
                async for event in stream:
                    if isinstance(event, Waiting):
                        waiting.set()

            task = asyncio.create_task(take())
            await waiting.wait()
            await asyncio.sleep(0)  # into the wait itself
            start = time.perf_counter()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return time.perf_counter() - start, stream.reply.state

    server.script = Script(error=failure("1302", retry_after="0.3"))
    seconds, state = asyncio.run(leave())
    assert seconds < 0.2
    assert state == "stopped"
    time.sleep(0.4)  # past the wait, were it still going on
    assert len(server.requests) == 1


def test_a_stream_that_is_closed_in_the_wait_sends_nothing_more(server: GlmServer) -> None:
    async def leave() -> str:
        async with AsyncClient(KEY, server.url) as client, client.stream(ASK) as stream:
            async for event in stream:
                assert isinstance(event, Waiting)
                break
        return stream.reply.state

    server.script = Script(error=failure("1302", retry_after="100"))
    assert asyncio.run(leave()) == "stopped"
    assert len(server.requests) == 1


def test_a_first_try_that_failed_leaves_nothing_in_the_reply() -> None:
    busy = (200, {}, (b'data: {"error":{"code":"1234","message":"x"}}\n\n',))
    outcome = ask(SITE, transport=replying_in_turn(busy, GOOD), **QUICK)
    assert [event.text for event in outcome.events if isinstance(event, TextDelta)] == ["Hello"]
    assert outcome.reply.text == "Hello"


def test_a_request_for_vectors_is_tried_again_too(server: GlmServer) -> None:
    server.queue(BUSY, BUSY)
    assert len(embed(server.url, **QUICK)) == 2
    assert len(server.requests) == 3
    server.script = Script(cut_after=0)
    with pytest.raises(ConnectError, match="broke in mid-answer"):
        embed(server.url, **QUICK)
    assert len(server.requests) == 4
