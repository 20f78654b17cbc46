"""One JSON chunk of a reply to its events: the platform's shapes, and others' that are seen."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glm_magic.api.events import (
    ChunkParser,
    ContentFiltered,
    Event,
    Filtered,
    Finished,
    Identified,
    ReasoningDelta,
    ServerCalled,
    Source,
    SourcesFound,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReported,
    parse_sources,
    parse_tool_calls,
    parse_usage,
)


def parse(*chunks: dict[str, Any]) -> list[Event]:
    parser = ChunkParser()
    return [event for chunk in chunks for event in parser.parse(chunk)] + list(parser.finish())


def text_chunk(content: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"role": "assistant", "content": content}}]}


def test_a_plain_stream_of_the_platform() -> None:
    lines = [
        '{"id":"20261012091501a1b2","created":1791767701,"object":"chat.completion.chunk",'
        '"model":"glm-4-flash-250414","choices":[{"index":0,"delta":{"role":"assistant",'
        '"content":"北京"}}]}',
        '{"id":"20261012091501a1b2","created":1791767701,"object":"chat.completion.chunk",'
        '"model":"glm-4-flash-250414","choices":[{"index":0,"delta":{"role":"assistant",'
        '"content":"是中国的首都。"}}]}',
        '{"id":"20261012091501a1b2","created":1791767701,"object":"chat.completion.chunk",'
        '"model":"glm-4-flash-250414","choices":[{"index":0,"finish_reason":"stop","delta":'
        '{"role":"assistant","content":""}}],"usage":{"prompt_tokens":21,"completion_tokens":15,'
        '"total_tokens":36}}',
    ]
    assert parse(*map(json.loads, lines)) == [
        Identified("20261012091501a1b2", "glm-4-flash-250414"),
        TextDelta("北京"),
        TextDelta("是中国的首都。"),
        Finished("stop"),
        UsageReported(Usage(21, 15, 36)),
    ]


def test_a_thinking_chunk_of_the_platform() -> None:
    line = (
        '{"id":"1","model":"glm-4.6","choices":[{"index":0,"delta":{"role":"assistant",'
        '"reasoning_content":"17乘以20是340，"}}]}'
    )
    assert parse(json.loads(line)) == [
        Identified("1", "glm-4.6"),
        ReasoningDelta("17乘以20是340，"),
    ]


def test_the_last_chunk_of_a_search_has_the_sources() -> None:
    line = (
        '{"choices":[{"index":0,"finish_reason":"stop","delta":{"role":"assistant","content":""}}],'
        '"usage":{"prompt_tokens":1187,"completion_tokens":41,"total_tokens":1228,'
        '"prompt_tokens_details":{"cached_tokens":9}},"web_search":[{"refer":"ref_1",'
        '"title":"一季度国民经济开局良好","link":"https://example.org/stats/2024q1",'
        '"content":"初步核算","media":"示例统计网","icon":"","publish_date":"2024-04-16"}]}'
    )
    source = Source(
        1,
        "一季度国民经济开局良好",
        "https://example.org/stats/2024q1",
        "示例统计网",
        "2024-04-16",
        "初步核算",
    )
    assert parse(json.loads(line)) == [
        Finished("stop"),
        SourcesFound((source,)),
        UsageReported(Usage(1187, 41, 1228, cached_tokens=9)),
    ]


def test_a_safety_stop_of_the_platform() -> None:
    line = (
        '{"id":"202408121950062bfd5bf951d24169","created":1723463407,"model":"glm-4-0520",'
        '"choices":[{"index":0,"finish_reason":"sensitive","delta":{"role":"user","content":""}}],'
        '"content_filter":[{"role":"user","level":1}]}'
    )
    assert parse(json.loads(line)) == [
        ContentFiltered((Filtered("user", 1),)),
        Identified("202408121950062bfd5bf951d24169", "glm-4-0520"),
        Finished("sensitive"),
    ]


def test_a_tool_call_in_one_chunk_has_no_text() -> None:
    line = (
        '{"choices":[{"index":0,"finish_reason":"tool_calls","delta":{"role":"assistant",'
        '"content":null,"tool_calls":[{"id":"call_1","index":0,"type":"function",'
        '"function":{"name":"get_weather","arguments":"{}"}}]}}]}'
    )
    assert parse(json.loads(line)) == [
        ToolCallDelta(0, "call_1", "get_weather", "{}"),
        Finished("tool_calls"),
    ]


def test_a_tool_call_may_come_in_pieces() -> None:
    first = {"id": "call_1", "index": 1, "function": {"name": "get_weather", "arguments": ""}}
    later = {"index": 1, "function": {"arguments": '{"city":'}}
    chunks = [{"choices": [{"delta": {"tool_calls": [call]}}]} for call in (first, later)]
    assert parse(*chunks) == [
        ToolCallDelta(1, "call_1", "get_weather", ""),
        ToolCallDelta(1, "", "", '{"city":'),
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [('{"a": 1}', '{"a": 1}'), ({"a": 1}, '{"a": 1}'), ({}, "{}"), (None, ""), ([1], "[1]")],
)
def test_the_arguments_of_a_tool_call_are_text_in_either_documents_form(
    arguments: object, text: str
) -> None:
    (call,) = parse_tool_calls([{"function": {"name": "f", "arguments": arguments}}])
    assert call == ToolCallDelta(0, "", "f", text)


def test_a_whole_reply_is_one_chunk() -> None:
    line = (
        '{"id":"a","request_id":"nb-1","created":1,"model":"glm-4.6","choices":[{"index":0,'
        '"finish_reason":"length","message":{"role":"assistant","content":"391",'
        '"reasoning_content":"17乘以20"}}],"usage":{"prompt_tokens":12,"completion_tokens":20,'
        '"total_tokens":32,"completion_tokens_details":{"reasoning_tokens":20}}}'
    )
    assert parse(json.loads(line)) == [
        Identified("nb-1", "glm-4.6"),
        ReasoningDelta("17乘以20"),
        TextDelta("391"),
        Finished("length"),
        UsageReported(Usage(12, 20, 32, reasoning_tokens=20)),
    ]


def test_reasoning_is_understood_under_the_name_other_servers_use() -> None:
    assert parse({"choices": [{"delta": {"reasoning": "hm"}}]}) == [ReasoningDelta("hm")]


def test_usage_may_come_in_a_chunk_without_choices() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    assert parse({"choices": [], "usage": usage}) == [UsageReported(Usage(1, 2, 3))]


def test_sources_may_come_in_any_chunk() -> None:
    found = SourcesFound((Source(1, "", "", "", "", ""),))
    entry = {"refer": "ref_1"}
    assert parse({"web_search": [entry]}) == [found]
    assert parse({"choices": [], "web_search": [entry]}) == [found]
    assert parse(text_chunk("a") | {"web_search": [entry]}) == [TextDelta("a"), found]


@pytest.mark.parametrize("name", ["content_filter", "contentFilter"])
def test_findings_of_the_safety_review_may_come_in_any_chunk(name: str) -> None:
    found = ContentFiltered((Filtered("assistant", 0),))
    entry = {"role": "assistant", "level": 0}
    assert parse({name: [entry]}) == [found]
    assert parse(text_chunk("a") | {name: [entry]}) == [found, TextDelta("a")]


@pytest.mark.parametrize(
    ("refer", "number"),
    [("ref_3", 3), ("3", 3), (3, 3), ("[ref_12]", 12), ("", 1), (None, 1), ("ref", 1)],
)
def test_a_source_is_numbered_by_its_refer_or_its_place(refer: object, number: int) -> None:
    assert parse_sources([{"refer": refer}])[0].number == number


def test_a_source_without_refer_takes_its_place_in_the_list() -> None:
    assert [source.number for source in parse_sources([{}, {"title": "b"}, {}])] == [1, 2, 3]


def test_what_a_source_lacks_is_empty() -> None:
    assert parse_sources([{"title": None, "link": ""}]) == (Source(1, "", "", "", "", ""),)


@pytest.mark.parametrize(
    "reason", ["stop", "length", "sensitive", "network_error", "model_context_window_exceeded", "x"]
)
def test_any_finish_reason_is_kept(reason: str) -> None:
    assert parse({"choices": [{"finish_reason": reason, "delta": {}}]}) == [Finished(reason)]


def test_a_null_finish_reason_is_no_end() -> None:
    assert parse({"choices": [{"finish_reason": None, "delta": {"content": "a"}}]}) == [
        TextDelta("a")
    ]


def test_a_reply_is_identified_once() -> None:
    chunk = {"id": "a", "model": "m", "choices": []}
    assert parse(chunk, chunk) == [Identified("a", "m")]


def test_text_in_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]
    assert parse(text_chunk(parts)) == [TextDelta("ab")]


def test_only_the_first_choice_is_the_reply() -> None:
    choices = [{"delta": {"content": "a"}}, {"delta": {"content": "b"}}]
    assert parse({"choices": choices}) == [TextDelta("a")]


def test_an_emoji_cut_into_two_chunks_is_whole() -> None:
    first, second = json.loads(r'["hi \ud83d", "\udc4b!"]')
    assert parse(text_chunk(first), text_chunk(second)) == [TextDelta("hi "), TextDelta("👋!")]


def test_reasoning_and_text_do_not_share_halves() -> None:
    chunks = [
        {"choices": [{"delta": {"reasoning_content": "\ud83d"}}]},
        {"choices": [{"delta": {"content": "\udc4b"}}]},
    ]
    assert parse(*chunks) == [TextDelta("\ufffd"), ReasoningDelta("\ufffd")]


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["\ud83d", "a"], "\ufffda"),
        (["a\udc4b"], "a\ufffd"),
        (["a\ud83d"], "a\ufffd"),
        (["\ud83d", "\ud83d", "\udc4b"], "\ufffd👋"),
    ],
)
def test_half_a_character_is_replaced(pieces: list[str], text: str) -> None:
    events = parse(*map(text_chunk, pieces))
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == text


@given(st.text(st.characters(codec=None), max_size=20), st.integers(0, 40))
def test_text_is_the_same_wherever_its_utf_16_is_cut(text: str, cut: int) -> None:
    units = text.encode("utf-16-le", "surrogatepass")
    halves = (units[: 2 * cut], units[2 * cut :])
    pieces = [half.decode("utf-16-le", "surrogatepass") for half in halves]
    deltas = [event for event in parse(*map(text_chunk, pieces)) if isinstance(event, TextDelta)]
    assert "".join(delta.text for delta in deltas) == units.decode("utf-16-le", "replace")


@pytest.mark.parametrize(
    "chunk",
    [
        {},
        {"choices": None},
        {"choices": {}},
        {"choices": [None]},
        {"choices": [{}]},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": "text"}]},
        {"choices": [{"delta": [1]}]},
        {"choices": [{"delta": {"content": 5}}]},
        {"choices": [{"delta": {"reasoning_content": ["a"]}}]},
        {"usage": None},
        {"usage": [1]},
        {"web_search": {"refer": "1"}},
        {"web_search": [None, "a"]},
    ],
)
def test_what_has_an_odd_shape_holds_no_event(chunk: dict[str, Any]) -> None:
    assert parse(chunk) == []


def test_counts_of_an_odd_type_are_zero() -> None:
    usage = {"prompt_tokens": "9", "completion_tokens": None, "total_tokens": True}
    details = {"prompt_tokens_details": [1], "completion_tokens_details": "x"}
    assert parse_usage(usage | details) == Usage()


NAMES = st.sampled_from(
    """
    id model request_id choices delta message content reasoning_content reasoning finish_reason
    text usage prompt_tokens prompt_tokens_details completion_tokens_details cached_tokens
    web_search refer title link tool_calls function name arguments index
    content_filter role level
    """.split()  # noqa: SIM905 - easier to read
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(NAMES, JSON, max_size=3), max_size=2))
def test_no_json_makes_parsing_fail(chunks: list[dict[str, Any]]) -> None:
    for event in parse(*chunks):
        repr(event).encode("utf-8")


def test_calls_of_mcp_servers_are_the_platforms_own() -> None:
    listed = {
        "id": "m1",
        "type": "mcp_list_tools",
        "server_label": "search",
        "tools": [{"name": "web"}],
    }
    called = {
        "id": "m2",
        "type": "mcp_call",
        "server_label": "search",
        "name": "web",
        "arguments": '{"q": "北京"}',
        "output": "found",
    }
    failed = {**called, "id": "m3", "output": None, "error": "no such page"}
    entries = [{"id": "x", "type": "mcp", "mcp": each} for each in (listed, called, failed)]
    assert parse({"choices": [{"delta": {"tool_calls": entries}}]}) == [
        ServerCalled("m1", "search.mcp_list_tools", "", '[{"name": "web"}]'),
        ServerCalled("m2", "search.web", '{"q": "北京"}', "found"),
        ServerCalled("m3", "search.web", '{"q": "北京"}', "no such page", True),
    ]
