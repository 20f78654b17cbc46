"""Every promise about a stream, kept on a real socket against a peer gone wrong."""

import json
import time
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from asking import ASK, CHUNK, DONE, LAST, PROMPT, Outcome, ask, broken, error_of
from raw_server import HANG, RESET, Forever, RawServer, Step, frame, head

from glm_magic.api.events import TextDelta, Waiting
from glm_magic.api.requests import ChatRequest, build_messages
from glm_magic.errors import (
    ApiError,
    AuthError,
    ConnectError,
    ContentError,
    RateLimitError,
    StreamError,
)

CHUNKED = head(transfer_encoding="chunked")
SECOND = CHUNK.replace(b"Hello", b" world")
PING = b": ping\n\n"


def face(*steps: Step, **options: Any) -> Outcome:
    """Ask a server that plays these steps to every connection."""
    with RawServer(steps) as server:
        return ask(server.url, **options)


def timed(*steps: Step, **options: Any) -> tuple[Outcome, float]:
    start = time.perf_counter()
    outcome = face(*steps, **options)
    return outcome, time.perf_counter() - start


def state_of(outcome: Outcome) -> tuple[str, str]:
    return outcome.reply.text, outcome.reply.state


def is_whole(outcome: Outcome, text: str = "Hello") -> bool:
    return outcome.error is None and state_of(outcome) == (text, "complete")


def chunk(**delta: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": delta}]}).encode() + b"\n\n"


# -- decoding ------------------------------------------------------------------------------


def test_a_stream_that_drips_byte_by_byte_is_whole() -> None:
    body = CHUNK.replace(b"Hello", "你好👋".encode()) + LAST + DONE
    drips = [step for byte in body for step in (bytes([byte]), 0.0005)]
    assert is_whole(face(head(), *drips), "你好👋")


def test_chunks_of_one_byte_are_a_stream_too() -> None:
    body = [frame(bytes([byte])) for byte in CHUNK + LAST + DONE]
    assert is_whole(face(CHUNKED, *body, frame(b"")))


@pytest.mark.parametrize("charset", ["latin-1", "gbk", "utf-16", "no-such-charset"])
def test_a_stream_is_utf_8_whatever_its_header_says(charset: str) -> None:
    body = CHUNK.replace(b"Hello", "你好".encode())
    start = head(content_type=f"text/event-stream; charset={charset}")
    assert is_whole(face(start, body, LAST, DONE), "你好")


def test_bytes_that_are_no_utf_8_are_replaced_and_break_nothing() -> None:
    outcome = face(head(), CHUNK.replace(b"Hello", b"a\xff\xc3b"), LAST, DONE)
    assert is_whole(outcome, "a\ufffd\ufffdb")


def test_every_line_end_and_a_bom_are_understood() -> None:
    body = b"\xef\xbb\xbf" + CHUNK.replace(b"\n", b"\r\n") + LAST.replace(b"\n", b"\r") + DONE
    assert is_whole(face(head(), body))


def test_halves_of_a_character_in_two_events_are_joined_and_lone_ones_replaced() -> None:
    halves = [chunk(content="\ud83d"), chunk(content="\udc4b"), chunk(content="a\ud83d")]
    outcome = face(head(), *halves, LAST, DONE)
    assert is_whole(outcome, "👋a\ufffd")
    assert "".join(e.text for e in outcome.events if isinstance(e, TextDelta)) == "👋a\ufffd"


# -- complete means complete ---------------------------------------------------------------


@pytest.mark.parametrize("end", [LAST + DONE, LAST, DONE])
def test_a_reply_is_complete_after_done_or_a_reason_to_finish(end: bytes) -> None:
    assert is_whole(face(head(), CHUNK, end))
    assert is_whole(face(CHUNKED, frame(CHUNK), frame(end), frame(b"")))


@pytest.mark.parametrize(
    "steps",
    [
        (head(), CHUNK, SECOND),
        (CHUNKED, frame(CHUNK + SECOND), frame(b"")),
        (head(), CHUNK, SECOND, b"data: [DONE]"),
        (head(), CHUNK, SECOND, LAST[:-1]),
        (head(), CHUNK, SECOND, PING),
    ],
)
def test_a_clean_end_without_a_reason_is_a_cut(steps: tuple[Step, ...]) -> None:
    outcome = face(*steps)
    assert "cut off: the server closed the stream before the end" in broken(outcome)
    assert state_of(outcome) == ("Hello world", "cut off")


@pytest.mark.parametrize(
    "steps",
    [
        (CHUNKED, frame(CHUNK + SECOND)),
        (CHUNKED, frame(CHUNK + SECOND + LAST)[:-40]),
        (CHUNKED, frame(CHUNK + SECOND), b"zz\r\n"),
        (head(content_length="9999"), CHUNK, SECOND),
        (head(), CHUNK, SECOND, 0.05, RESET),
        (CHUNKED, frame(CHUNK), frame(SECOND), 0.05, RESET),
    ],
)
def test_a_cut_or_a_reset_in_mid_reply_keeps_what_came(steps: tuple[Step, ...]) -> None:
    outcome = face(*steps, max_retries=2, retry_base_s=0.01)
    assert "cut off: the connection broke; run the cell again" in broken(outcome)
    assert state_of(outcome) == ("Hello world", "cut off")
    assert not any(isinstance(event, Waiting) for event in outcome.events)


@pytest.mark.parametrize("start", [head(), CHUNKED])
def test_a_body_that_breaks_before_any_event_has_failed(start: bytes) -> None:
    outcome = face(start, 0.05, RESET, max_retries=2)
    assert "the connection broke" in broken(outcome)
    assert state_of(outcome) == ("", "failed")


@pytest.mark.parametrize("start", [head(), head(content_length="0"), head() + PING])
def test_a_body_of_nothing_has_failed(start: bytes) -> None:
    outcome = face(start)
    assert "the server closed the stream before the end" in broken(outcome)
    assert state_of(outcome) == ("", "failed")


@pytest.mark.parametrize("body", [DONE, PING + DONE, b"data: {}\n\n" + DONE])
def test_done_without_any_answer_is_no_reply(body: bytes) -> None:
    outcome = face(head(), body)
    assert "the server ended the reply without an answer" in broken(outcome)
    assert state_of(outcome) == ("", "failed")


# -- the end -------------------------------------------------------------------------------


@pytest.mark.parametrize("rest", [HANG, Forever(PING, 0.01), Forever(CHUNK, 0.01)])
def test_after_done_nothing_is_waited_for(rest: Step) -> None:
    outcome, seconds = timed(head(), CHUNK, LAST, DONE, rest)
    assert is_whole(outcome)
    assert seconds < 2


def test_done_may_come_in_one_piece_with_what_follows() -> None:
    assert is_whole(face(head(), CHUNK + LAST + DONE + SECOND, HANG))


@pytest.mark.parametrize("rest", [HANG, Forever(PING, 0.02)])
def test_after_a_reason_to_finish_one_idle_period_is_waited_at_most(rest: Step) -> None:
    outcome, seconds = timed(head(), CHUNK, LAST, rest, idle_timeout_s=0.2)
    assert is_whole(outcome)
    assert seconds < 2


def test_what_comes_soon_after_a_reason_to_finish_counts() -> None:
    usage = b'data: {"choices":[],"usage":{"total_tokens":7}}\n\n'
    outcome = face(head(), CHUNK, LAST, 0.05, usage, DONE)
    assert outcome.reply.usage is not None
    assert outcome.reply.usage.total_tokens == 7


@pytest.mark.parametrize("end", [RESET, HANG])
def test_a_break_after_a_reason_to_finish_breaks_nothing(end: Step) -> None:
    assert is_whole(face(head(), CHUNK, LAST, 0.05, end, idle_timeout_s=0.2))


# -- errors in the stream ------------------------------------------------------------------

BUSY = b'data: {"error":{"code":"1302","message":"slow down"}}\n\n'


@pytest.mark.parametrize(
    "bad", [b"data: {oops\n\n", b"data: " + b"[" * 100_000 + b"\n\n", b"data: \xff\n\n"]
)
def test_what_is_no_json_breaks_the_reply(bad: bytes) -> None:
    outcome = face(head(), CHUNK, bad, LAST, DONE)
    assert "cut off: the server sent something that is not JSON" in broken(outcome)
    assert state_of(outcome) == ("Hello", "cut off")


@pytest.mark.parametrize("before", [b"", b"event: error\n"])
def test_an_error_after_text_keeps_the_text(before: bytes) -> None:
    outcome = face(head(), CHUNK, before + BUSY, DONE)
    assert "too many requests at once for this account (HTTP 200, code 1302)" in broken(outcome)
    assert state_of(outcome) == ("Hello", "cut off")


@pytest.mark.parametrize("before", [b"", b"event: error\n"])
def test_an_error_before_text_is_a_refusal(before: bytes) -> None:
    outcome = face(head(), before + BUSY, DONE)
    assert "(HTTP 200, code 1302)" in error_of(outcome, RateLimitError)
    assert state_of(outcome) == ("", "failed")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"code":"1305","message":"x"}', "overloaded for this model (HTTP 200, code 1305)"),
        (b'{"message":"no luck"}', 'the server refused the request (HTTP 200): "no luck"'),
        (b'"no luck"', 'the server refused the request (HTTP 200): "no luck"'),
        (b"no luck", 'the server refused the request (HTTP 200): "no luck"'),
        (b"[1]", "the server refused the request (HTTP 200)"),
        (b"null", "the server refused the request (HTTP 200)"),
        (b"", "the server refused the request (HTTP 200)"),
    ],
)
def test_an_event_of_the_type_error_is_an_error_whatever_its_data(data: bytes, words: str) -> None:
    event = b"event: error\ndata: " + data + b"\n\n"
    outcome = face(head(), event, DONE)
    assert outcome.error is not None
    assert words in error_of(outcome, type(outcome.error))
    assert isinstance(outcome.error, ApiError)
    outcome = face(head(), CHUNK, event, DONE)
    assert words in broken(outcome)
    assert state_of(outcome) == ("Hello", "cut off")


def test_an_answer_that_the_review_withdraws_is_gone() -> None:
    end = b'data: {"choices":[{"finish_reason":"sensitive","delta":{}}]}\n\n'
    outcome = face(head(), chunk(content="bad", reasoning_content="worse"), end, DONE)
    assert "the safety review withdrew the answer" in error_of(outcome, ContentError)
    assert (outcome.reply.text, outcome.reply.reasoning) == ("", "")
    assert outcome.reply.state == "withdrawn"


def test_an_answer_is_withdrawn_too_where_an_error_follows() -> None:
    end = b'data: {"choices":[{"finish_reason":"sensitive","delta":{}}]}\n\n'
    error = b'data: {"error":{"code":"1301","message":"x"}}\n\n'
    outcome = face(head(), chunk(content="bad"), end, error, DONE)
    error_of(outcome, ContentError)
    assert state_of(outcome) == ("", "withdrawn")


@pytest.mark.parametrize("rest", [HANG, RESET])
def test_an_answer_is_withdrawn_however_the_stream_ends(rest: Step) -> None:
    end = b'data: {"choices":[{"finish_reason":"sensitive","delta":{}}]}\n\n'
    outcome = face(head(), chunk(content="bad"), end, 0.05, rest, idle_timeout_s=0.2)
    error_of(outcome, ContentError)
    assert state_of(outcome) == ("", "withdrawn")


def test_a_platform_that_fails_in_mid_answer_says_so() -> None:
    end = b'data: {"choices":[{"finish_reason":"network_error","delta":{}}]}\n\n'
    outcome = face(head(), CHUNK, end, DONE)
    assert "the platform failed in mid-answer" in broken(outcome)
    assert state_of(outcome) == ("Hello", "cut off")


# -- no answer -----------------------------------------------------------------------------


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\ncontent-ty"])
def test_a_reset_before_the_headers_is_tried_twice_more(start: bytes) -> None:
    with RawServer((start, 0.02, RESET)) as server:
        outcome = ask(server.url, max_retries=2, retry_base_s=0.01)
        assert len(server.requests) == 3
    line = "the connection broke before an answer came; try again"
    assert line in error_of(outcome, ConnectError)
    assert len([e for e in outcome.events if isinstance(e, Waiting)]) == 2
    assert state_of(outcome) == ("", "failed")


def test_a_connection_closed_before_the_headers_is_tried_again_and_may_go_well() -> None:
    with RawServer((), (RESET,), (head(), CHUNK, LAST, DONE)) as server:
        assert is_whole(ask(server.url, max_retries=2, retry_base_s=0.01))
        assert len(server.requests) == 3


@pytest.mark.parametrize("start", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\x15\x03\x01\x00\x02\x02\x16"])
def test_a_server_that_speaks_no_http_is_one_line(start: bytes) -> None:
    outcome = face(start)
    error_of(outcome, ConnectError)
    assert state_of(outcome) == ("", "failed")


@pytest.mark.parametrize("steps", [(HANG,), (b"HTTP/1.1 200 OK\r\n", HANG)])
def test_a_server_that_never_answers_is_left_after_the_first_byte_time(
    steps: tuple[Step, ...],
) -> None:
    outcome, seconds = timed(*steps, first_byte_timeout_s=0.2, max_retries=2)
    assert "no answer within 0.2 s" in error_of(outcome, ConnectError)
    assert 0.2 <= seconds < 2
    assert state_of(outcome) == ("", "failed")


def test_a_body_that_never_starts_is_left_after_the_first_byte_time() -> None:
    outcome, seconds = timed(head(), HANG, first_byte_timeout_s=0.2)
    assert "cut off: silent for 0.2 s" in broken(outcome)
    assert 0.2 <= seconds < 2
    assert state_of(outcome) == ("", "failed")


def test_the_first_byte_time_is_counted_from_the_request() -> None:
    outcome, seconds = timed(0.6, head(), HANG, first_byte_timeout_s=0.8)
    assert "silent for 0.8 s" in broken(outcome)
    assert seconds < 1.3


def test_silence_in_mid_reply_is_left_after_the_idle_time() -> None:
    outcome, seconds = timed(head(), CHUNK, HANG, idle_timeout_s=0.2)
    assert "cut off: silent for 0.2 s; run the cell again" in broken(outcome)
    assert 0.2 <= seconds < 2
    assert state_of(outcome) == ("Hello", "cut off")


def test_any_byte_is_a_sign_of_life() -> None:
    alive = [step for _ in range(8) for step in (PING, 0.06)]
    bytewise = [step for byte in SECOND[:8] for step in (bytes([byte]), 0.06)]
    outcome = face(head(), CHUNK, *alive, *bytewise, SECOND[8:], LAST, DONE, idle_timeout_s=0.4)
    assert is_whole(outcome, "Hello world")


def test_a_ping_ends_the_wait_for_the_first_byte() -> None:
    alive = [step for _ in range(6) for step in (PING, 0.05)]
    assert is_whole(face(head(), *alive, CHUNK, LAST, DONE, first_byte_timeout_s=0.2))


# -- the whole time ------------------------------------------------------------------------


def test_a_reply_that_goes_on_is_left_after_the_whole_time() -> None:
    outcome, seconds = timed(head(), CHUNK, Forever(PING, 0.01), total_timeout_s=0.3)
    assert "cut off: over 0.3 s in all (total_timeout_s)" in broken(outcome)
    assert 0.3 <= seconds < 2
    assert state_of(outcome) == ("Hello", "cut off")


def test_a_flood_does_not_put_off_the_whole_time() -> None:
    outcome, seconds = timed(head(), Forever(CHUNK * 100), total_timeout_s=0.3)
    assert "over 0.3 s in all" in broken(outcome)
    assert seconds < 3
    assert outcome.reply.state == "cut off"


@pytest.mark.parametrize("steps", [(HANG,), (head(), HANG)])
def test_the_whole_time_counts_before_the_first_byte_too(steps: tuple[Step, ...]) -> None:
    outcome, seconds = timed(*steps, total_timeout_s=0.2)
    assert outcome.error is not None
    assert "over 0.2 s in all (total_timeout_s)" in error_of(outcome, type(outcome.error))
    assert isinstance(outcome.error, (ConnectError, StreamError))
    assert 0.2 <= seconds < 2
    assert outcome.reply.state == "failed"


def test_the_whole_time_counts_the_waits_between_tries() -> None:
    steps = (head(503, retry_after="1"), b"")
    outcome, seconds = timed(*steps, total_timeout_s=0.5, max_retries=2)
    assert "the server failed (HTTP 503)" in error_of(outcome, ApiError)
    assert seconds < 0.9


# -- not a reply ---------------------------------------------------------------------------

PAGE = b"<!DOCTYPE html><title>Sign in \x1b[31mhere</title><p>" + b"x" * 5000


@pytest.mark.parametrize("start", [b"", b"\n ", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "text/event-stream", "x/y"])
def test_a_web_page_with_http_200_is_named(start: bytes, kind: str) -> None:
    with RawServer((head(content_type=kind), start + PAGE, HANG)) as server:
        outcome = ask(server.url)
        line = error_of(outcome, ConnectError)
        kind = kind.partition(";")[0]
        assert line == (
            f"127.0.0.1:{server.port} answered with a web page ({kind}), not with a reply: "
            '"Sign in [31mhere"; check `%glm config endpoint`'
        )
    assert state_of(outcome) == ("", "failed")


def test_a_text_with_http_200_is_named_with_its_beginning() -> None:
    text = f"no healthy upstream\x1b[0m\nkey test-key-id.test-secret {PROMPT}".encode()
    outcome = face(head(content_type="text/plain"), text)
    line = error_of(outcome, ConnectError)
    assert "answered with a text (text/plain), not with a reply: " in line
    assert '"no healthy upstream [0m key … …"' in line
    assert state_of(outcome) == ("", "failed")


def test_a_long_text_is_shown_to_200_characters() -> None:
    line = error_of(face(head(content_type="text/plain"), b"na " * 10_000), ConnectError)
    assert '"' + "na " * 66 + 'n…"' in line


@pytest.mark.parametrize("body", [b"42", b'"ok"', b"[]", b"null"])
def test_a_json_that_is_no_object_is_no_reply(body: bytes) -> None:
    outcome = face(head(content_type="application/json"), body)
    assert "not with a reply" in error_of(outcome, ConnectError)
    assert state_of(outcome) == ("", "failed")


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b'{"error":{"code":"1113","message":"x"}}', RateLimitError, "no balance"),
        (b'{"error":{"code":"1000","message":"x"}}', AuthError, "the key was not accepted"),
        (b'{"error":"model not loaded"}', ApiError, '(HTTP 200): "model not loaded"'),
        (b'{"code":500,"msg":"404 NOT_FOUND","success":false}', ApiError, '"404 NOT_FOUND"'),
        (b'{"code":100013,"message":"no such base"}', ApiError, '"no such base"'),
        (b"{}", ApiError, "the server refused the request (HTTP 200)"),
        (b'{"choices":[]}', ApiError, "the server refused the request (HTTP 200)"),
        (b'{"choices":null,"id":"1"}', ApiError, "the server refused the request (HTTP 200)"),
    ],
)
def test_a_json_with_http_200_that_is_no_completion_is_a_refusal(
    body: bytes, kind: type[ApiError], words: str
) -> None:
    outcome = face(head(content_type="application/json"), body)
    assert words in error_of(outcome, kind)
    assert state_of(outcome) == ("", "failed")


COMPLETION = (
    b'{"id":"1","model":"m","choices":[{"finish_reason":"stop","message":{"content":"Hello"}}]}'
)


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream", "text/plain"])
@pytest.mark.parametrize("start", [b"", b"\n ", b"\xef\xbb\xbf"])
def test_a_whole_completion_is_a_reply_whatever_it_is_called(kind: str, start: bytes) -> None:
    assert is_whole(face(head(content_type=kind), start + COMPLETION))


def test_a_completion_that_drips_is_a_reply() -> None:
    body = b"\xef\xbb\xbf" + COMPLETION
    drips = [step for byte in body for step in (bytes([byte]), 0.001)]
    assert is_whole(face(head(content_type="application/json"), *drips))


def test_a_completion_that_is_cut_is_an_error() -> None:
    outcome = face(head(content_length="9999"), COMPLETION)
    assert "cut off: the connection broke" in broken(outcome)
    assert state_of(outcome) == ("", "failed")


# -- redirects and refusals ----------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed_and_names_its_target(status: int) -> None:
    with RawServer((head(), CHUNK, DONE)) as other:
        target = f"http://127.0.0.1:{other.port}/v1?key=test-secret"
        with RawServer((head(status, location=target), b"")) as server:
            outcome = ask(server.url, max_retries=2)
            assert len(server.requests) == 1
        assert other.requests == []
    line = "sends on to 127.0.0.1, which is never followed"
    assert line in error_of(outcome, ConnectError)
    assert state_of(outcome) == ("", "failed")


def test_an_error_body_that_hangs_is_waited_for_one_and_a_half_seconds() -> None:
    outcome, seconds = timed(head(429), b'{"error":{"code":"1302"', HANG)
    assert "too many requests (HTTP 429)" in error_of(outcome, RateLimitError)
    assert 1.4 <= seconds < 3


def test_an_error_body_that_drips_is_not_waited_for_longer() -> None:
    outcome, seconds = timed(head(400), Forever(b" ", 0.05))
    assert "(HTTP 400)" in error_of(outcome, ApiError)
    assert seconds < 3


def test_an_error_body_without_end_is_read_to_64_kib() -> None:
    outcome, seconds = timed(head(500), Forever(b"x" * 4096))
    assert "the server failed (HTTP 500)" in error_of(outcome, ApiError)
    assert seconds < 1.4


def test_a_refusal_just_under_64_kib_is_read() -> None:
    body = b'{"error":{"code":"1210","message":"%b"}}' % (b"a " * 32_000)
    assert "a parameter is wrong" in error_of(face(head(400), body), ApiError)


# -- compression ---------------------------------------------------------------------------


def compressed(*parts: bytes, wbits: int = 31) -> Iterator[bytes]:
    """Each part as a server sends it that flushes after each."""
    packer = zlib.compressobj(wbits=wbits)
    for part in parts:
        yield packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()


KINDS = [("gzip", 31), ("deflate", 15), ("deflate", -15)]


@pytest.mark.parametrize(("kind", "wbits"), KINDS)
def test_a_compressed_stream_comes_flush_by_flush(kind: str, wbits: int) -> None:
    first, *rest = compressed(CHUNK, SECOND, LAST + DONE, wbits=wbits)
    outcome = face(head(content_encoding=kind), first, HANG, idle_timeout_s=0.2)
    assert state_of(outcome) == ("Hello", "cut off")
    assert is_whole(face(head(content_encoding=kind), first, *rest), "Hello world")


@pytest.mark.parametrize(("kind", "wbits"), KINDS[:2])
def test_a_compressed_stream_that_drips_is_whole(kind: str, wbits: int) -> None:
    body = b"".join(compressed(CHUNK, LAST + DONE, wbits=wbits))
    drips = [step for byte in body for step in (bytes([byte]), 0.001)]
    assert is_whole(face(head(content_encoding=kind), *drips))


def test_a_compression_cut_short_is_a_cut() -> None:
    (first, *_) = compressed(CHUNK, LAST)
    outcome = face(head(content_encoding="gzip"), first)
    assert "closed the stream before the end" in broken(outcome)
    assert state_of(outcome) == ("Hello", "cut off")


@pytest.mark.parametrize("bad", [b"\x1f\x8bnonsense", CHUNK])
def test_a_corrupt_compression_is_named(bad: bytes) -> None:
    outcome = face(head(content_encoding="gzip"), bad)
    assert "cut off: its compression is corrupt; run the cell again" in broken(outcome)
    assert state_of(outcome) == ("", "failed")


def test_a_compression_that_becomes_corrupt_keeps_what_came() -> None:
    (first, *_) = compressed(CHUNK)
    outcome = face(head(content_encoding="gzip"), first, 0.05, b"\xff" * 50)
    assert "its compression is corrupt" in broken(outcome)
    assert state_of(outcome) == ("Hello", "cut off")


@pytest.mark.parametrize("kind", ["br", "zstd", "compress", "gzip, gzip", "gzip, gzip, gzip"])
@pytest.mark.parametrize("status", [200, 500])
def test_a_compression_that_was_not_asked_for_is_not_unpacked(kind: str, status: int) -> None:
    bomb = b"".join(compressed(b"".join(compressed(b"x" * 10**7))))
    outcome = face(head(status, content_encoding=kind), bomb)
    if status == 200:
        line = f"answered in a compression that was not asked for ({kind})"
        assert line in error_of(outcome, ConnectError)
    else:
        assert "the server failed (HTTP 500)" in error_of(outcome, ApiError)
    assert state_of(outcome) == ("", "failed")


def test_a_bomb_goes_off_at_the_limit_of_an_event() -> None:
    bomb = b"".join(compressed(CHUNK, b"data: " + b"x" * 5 * 10**7))
    outcome = face(head(content_encoding="gzip"), bomb, max_event_bytes=10**6)
    assert "cut off: one event has over 1000000 bytes" in broken(outcome)
    assert state_of(outcome) == ("Hello", "cut off")


@pytest.mark.parametrize("long", [b"data: " + b"x" * 5000, b"data: x\n" * 1000, b"x" * 5000])
def test_an_event_over_the_limit_breaks_the_reply(long: bytes) -> None:
    outcome = face(head(), CHUNK, long, HANG, max_event_bytes=2000)
    assert "cut off: one event has over 2000 bytes" in broken(outcome)
    assert state_of(outcome) == ("Hello", "cut off")


def test_many_events_under_the_limit_are_a_reply() -> None:
    assert is_whole(face(head(), CHUNK * 500, LAST, DONE, max_event_bytes=2000), "Hello" * 500)


def test_what_is_asked_for_is_the_stream_as_it_is() -> None:
    with RawServer((head(), CHUNK, DONE)) as server:
        ask(server.url, ChatRequest("m", build_messages("hi")))
        (request,) = server.requests
    assert b"\r\naccept-encoding: identity\r\n" in request.lower()
    assert ASK.stream
