"""Server-sent events as WHATWG HTML has them, wherever the network cuts the bytes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glm_magic.api.sse import EventTooLarge, ServerSentEvent, SseDecoder

# Every way to end a line, a BOM, a comment, an id, an event type, data in two lines, U+2028.
STREAM = (
    "\ufeff: hello\r\nid: 7\revent: news\r\ndata: 你好\r\ndata:👋\u2028!\n\r\n"
    "data: last\r\n\r\ndata: never ended"
).encode()
EVENTS = [
    ServerSentEvent("news", "你好\n👋\u2028!", "7"),
    ServerSentEvent("message", "last", "7"),
]


def decode(*chunks: bytes) -> list[ServerSentEvent]:
    decoder = SseDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


def data_of(*chunks: bytes) -> list[str]:
    return [event.data for event in decode(*chunks)]


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_events_do_not_depend_on_where_bytes_are_cut(cut: int) -> None:
    assert decode(STREAM[:cut], STREAM[cut:]) == EVENTS


def test_a_stream_may_come_byte_by_byte() -> None:
    assert decode(*(bytes([byte]) for byte in STREAM)) == EVENTS


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_each_of_the_three_line_ends_ends_a_line(end: bytes) -> None:
    assert data_of(b"data: a" + end + b"data: b" + end * 2) == ["a\nb"]


def test_a_cr_lf_cut_in_two_is_one_line_end() -> None:
    assert data_of(b"data: a\r", b"\ndata: b\r", b"\n", b"\r", b"\n") == ["a\nb"]


def test_an_event_ended_by_cr_does_not_wait_for_the_next_byte() -> None:
    assert data_of(b"data: a\r\r") == ["a"]


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\v", "\f", "\x1c"])
def test_what_other_parsers_take_for_a_line_end_is_text(mark: str) -> None:
    assert data_of(f"data: a{mark}b\n\n".encode()) == [f"a{mark}b"]


def test_one_bom_is_dropped_and_a_second_is_part_of_the_name() -> None:
    assert data_of(b"\xef\xbb\xbfdata: a\n\n") == ["a"]
    assert data_of(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n") == []


def test_a_bom_anywhere_else_is_text() -> None:
    assert data_of("data: \ufeffa\n\n".encode()) == ["\ufeffa"]


def test_what_only_begins_like_a_bom_is_kept() -> None:
    assert data_of(b"\xef", b"\xbb", b": no bom\ndata: a\n\n") == ["a"]


def test_one_space_after_the_colon_is_dropped_and_no_more() -> None:
    assert data_of(b"data:  a \n\n", b"data:b\n\n", b"data:\tc\n\n") == [" a ", "b", "\tc"]


def test_data_without_a_colon_is_an_empty_line() -> None:
    assert data_of(b"data\n\ndata\ndata\n\n") == ["", "\n"]


def test_comments_and_unknown_fields_are_nothing() -> None:
    assert data_of(b": ping\n\nretry: 10\nDATA: x\ndata2: y\n data: z\n\n") == []


def test_the_event_type_lasts_for_one_event() -> None:
    events = decode(b"event: a\ndata: 1\n\ndata: 2\n\n")
    assert [event.event for event in events] == ["a", "message"]


def test_a_blank_line_without_data_resets_the_event_type() -> None:
    assert decode(b"event: a\n\ndata: 1\n\n") == [ServerSentEvent("message", "1")]


def test_the_id_lasts_until_the_next_one() -> None:
    events = decode(b"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n")
    assert [event.id for event in events] == ["1", "1", ""]


def test_an_id_with_nul_is_ignored() -> None:
    assert decode(b"id: 1\nid: 2\0\ndata: a\n\n") == [ServerSentEvent("message", "a", "1")]


def test_invalid_utf_8_is_replaced_and_the_stream_goes_on() -> None:
    assert data_of(b"data: a\xffb\n\n", b"data: \xe4\xbd\n\n") == ["a\ufffdb", "\ufffd"]


@pytest.mark.parametrize("end", [b"data: a", b"data: a\n", b"data: a\r\n", b"data: a\r"])
def test_an_event_still_open_at_the_end_never_comes(end: bytes) -> None:
    assert decode(end) == []


def test_an_event_over_the_limit_is_refused() -> None:
    with pytest.raises(EventTooLarge, match="one event has over 10 bytes"):
        list(SseDecoder(limit_bytes=10).feed(b"data: 12345\n"))


def test_an_event_of_many_small_lines_is_refused_too() -> None:
    with pytest.raises(EventTooLarge):
        list(SseDecoder(limit_bytes=10).feed(b"data:1\ndata:2\n"))


def test_an_event_that_comes_whole_is_refused_too() -> None:
    decoder = SseDecoder(limit_bytes=10)
    assert [event.data for event in decoder.feed(b"data: 12\n\n")] == ["12"]
    with pytest.raises(EventTooLarge):
        list(decoder.feed(b"data: 12345\n\n"))


def test_a_line_that_trickles_in_is_refused_at_the_limit() -> None:
    decoder = SseDecoder(limit_bytes=10)
    for _ in range(10):
        assert list(decoder.feed(b"x")) == []
    with pytest.raises(EventTooLarge):
        list(decoder.feed(b"x"))


@pytest.mark.parametrize("cut", range(24))
def test_the_limit_is_for_one_event_and_not_for_its_neighbours(cut: int) -> None:
    decoder, stream = SseDecoder(limit_bytes=10), b"data: 1234\n\ndata: 5678\n\n"
    events = [*decoder.feed(stream[:cut]), *decoder.feed(stream[cut:])]
    assert [event.data for event in events] == ["1234", "5678"]


FIELDS = [b"data", b"event", b"id", b":", b" ", b"a"]
ENDS = [b"\r", b"\n", b"\r\n", b"\n\n"]
ODD = [b"\0", b"\xef\xbb\xbf", b"\xff", "你".encode(), "\u2028".encode()]
PIECES = st.sampled_from([*FIELDS, *ENDS, *ODD])


@given(st.lists(PIECES, max_size=40).map(b"".join), st.lists(st.integers(0, 90), max_size=6))
def test_any_chunking_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(stream)]
    chunks = [stream[a:b] for a, b in pairwise(places)]
    assert decode(*chunks) == decode(stream)


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes_are_decoded_alike_in_two_chunks(stream: bytes, cut: int) -> None:
    assert decode(stream[:cut], stream[cut:]) == decode(stream)
