"""The bytes of one reply, fed in whatever pieces: the same events, and nothing breaks."""

import json
import sys
from typing import Any

import pytest
from asking import CHUNK, DONE, LAST
from hypothesis import given
from hypothesis import strategies as st

from glm_magic.api.body import Body, Broken, NotAReply
from glm_magic.api.events import Event, Finished, Identified, TextDelta, UsageReported
from glm_magic.api.failures import parse_error_object
from glm_magic.errors import GlmError

STREAM = b"\xef\xbb\xbf: hi\r\n\r\n" + CHUNK.replace(b"Hello", "你👋".encode()) + LAST + DONE
EVENTS = [Identified("1", "m"), TextDelta("你👋"), Finished("stop")]
COMPLETION = (
    b'\xef\xbb\xbf \n{"id":"1","model":"m","choices":[{"finish_reason":"stop",'
    b'"message":{"content":"Hello"}}],"usage":{"total_tokens":3}}'
)


class Refused(GlmError):
    """What the check raises here."""


def check(content: object, is_error: bool) -> None:
    if is_error or (isinstance(content, dict) and content.get("error")):
        raise Refused(parse_error_object(content).message)


def events_of(*pieces: bytes, max_event_bytes: int = 10**6) -> list[Event]:
    body, events = Body(max_event_bytes, check), []
    for piece in pieces:
        events += body.feed(piece)
        if body.error is not None:
            raise body.error
        if body.is_done:
            break
    return events + body.close()


@pytest.mark.parametrize("cut", range(1, len(STREAM)))
def test_events_do_not_depend_on_where_the_bytes_are_cut(cut: int) -> None:
    assert events_of(STREAM[:cut], STREAM[cut:]) == EVENTS


@pytest.mark.parametrize("cut", range(1, len(COMPLETION)))
def test_nor_do_those_of_a_whole_completion(cut: int) -> None:
    first, *others = events_of(COMPLETION[:cut], COMPLETION[cut:])
    assert first == Identified("1", "m")
    assert others[:2] == [TextDelta("Hello"), Finished("stop")]
    assert isinstance(others[2], UsageReported)


@pytest.mark.parametrize("body", [STREAM, COMPLETION])
def test_bytes_may_come_one_by_one(body: bytes) -> None:
    assert len(events_of(*(bytes([byte]) for byte in body))) in (3, 4)


@given(st.lists(st.binary(max_size=30) | st.sampled_from([CHUNK, LAST, DONE, b"\n\n", b"data: "])))
def test_whatever_bytes_come_the_end_is_events_or_a_named_error(pieces: list[bytes]) -> None:
    body = Body(200, lambda _, __: None)
    try:
        for piece in pieces:
            body.feed(piece)
            if body.is_done or body.error is not None:
                break
        body.close()
    except (Broken, NotAReply):
        pass
    assert isinstance(body.error, Broken | None)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    "shape",
    [
        b'{"id":%b}',
        b'{"error":{"code":%b}}',
        b'{"error":{"message":%b}}',
        b'{"choices":[{"finish_reason":%b,"delta":{"content":%b}}]}',
        b'{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":%b}}]}}]}',
        b'{"web_search":[{"title":%b}]}',
    ],
)
def test_json_nested_as_deep_as_python_goes_is_read_or_named(shape: bytes) -> None:
    limit = sys.getrecursionlimit()
    seen = set()
    for depth in range(limit - 150, limit + 10):
        data = b"data: " + shape.replace(b"%b", nested(depth)) + b"\n\n"
        for body in (data, data.removeprefix(b"data: ")):
            try:
                events_of(CHUNK if body is data else b"", body, DONE)
                seen.add("read")
            except (Broken, Refused) as error:
                seen.add(type(error).__name__)
    assert "Broken" in seen


@pytest.mark.parametrize("text", ["", "  ", '{"a":1}x', '{"a":1}{"b":2}', "NaN", "{'a':1}", "{"])
def test_what_is_no_json_value_breaks_the_reply(text: str) -> None:
    is_json = text == "NaN"  # Python's reader takes it; it is no object and says nothing
    pieces = (CHUNK, f"data: {text}\n\n".encode(), DONE)
    if is_json:
        assert len(events_of(*pieces)) == 2
        return
    with pytest.raises(Broken, match="something that is not JSON"):
        events_of(*pieces)


@pytest.mark.parametrize("text", [' {"choices":[]} ', '{"choices":[]}', "[]", "1", "null", '"x"'])
def test_json_that_says_nothing_is_passed_over(text: str) -> None:
    assert events_of(CHUNK, f"data: {text}\n\n".encode(), DONE) == EVENTS_OF_CHUNK


EVENTS_OF_CHUNK = [Identified("1", "m"), TextDelta("Hello")]


def test_events_before_an_error_are_given_out() -> None:
    body = Body(10**6, check)
    error: dict[str, Any] = {"error": {"message": "no"}}
    assert body.feed(CHUNK + b"data: " + json.dumps(error).encode() + b"\n\n") == EVENTS_OF_CHUNK
    assert isinstance(body.error, Refused)


@pytest.mark.parametrize("start", [b"<", b"\n<html>", b"\xef\xbb\xbf<!doctype"])
def test_a_page_is_known_by_its_first_sign(start: bytes) -> None:
    with pytest.raises(NotAReply) as caught:
        Body(100, check).feed(start)
    assert (caught.value.what, caught.value.words) == ("a web page", "")


def test_a_page_without_end_in_its_tags_is_searched_in_a_moment() -> None:
    with pytest.raises(NotAReply):
        Body(10**7, check).feed(b"<" + b"<title" * 10**6)


def test_lines_without_a_meaning_before_a_stream_are_passed_over() -> None:
    assert events_of(b"hello there\n\n" + CHUNK + DONE) == EVENTS_OF_CHUNK
    with pytest.raises(Broken, match="before the end"):
        events_of(b"hello there\n\n" + CHUNK)
    with pytest.raises(NotAReply):
        events_of(b"hello there\n\n")
