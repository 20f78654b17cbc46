"""The platform's own client, zai-sdk, understands the test server: its shapes are not ours."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from glm_server import SOURCES, GlmServer, Script, call, failure
from zai import ZhipuAiClient
from zai.core import APIAuthenticationError, APIReachLimitError, APIRequestFailedError
from zai.core._errors import APIResponseError

MODEL = "glm-4.7"
ASK = [{"role": "user", "content": "你好"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city today.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
BOTH = (call("get_weather", city="北京"), call("get_weather", city="上海"))


@pytest.fixture
def client(server: GlmServer) -> Iterator[ZhipuAiClient]:
    """The official client, sent to the test server."""
    # It sleeps between its retries, several seconds each.
    client = ZhipuAiClient(api_key=server.key, base_url=server.url, max_retries=0)
    yield client
    client.close()


def test_plain_chat(server: GlmServer, client: ZhipuAiClient) -> None:
    server.script = Script(reasoning=("想",), text=("你", "好"))
    reply = client.chat.completions.create(model=MODEL, messages=ASK)
    (choice,) = reply.choices
    assert choice.message.content == "你好"
    assert choice.message.reasoning_content == "想"
    assert choice.finish_reason == "stop"
    assert reply.model == "glm-4.7"
    assert reply.request_id == reply.id
    assert reply.usage.completion_tokens_details.reasoning_tokens == 1
    assert reply.usage.prompt_tokens_details.cached_tokens == 0


def test_stream_with_reasoning(server: GlmServer, client: ZhipuAiClient) -> None:
    server.script = Script(reasoning=("17×20", "=340"), text=("391", "。"))
    chunks = list(client.chat.completions.create(model=MODEL, messages=ASK, stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert [delta.reasoning_content for delta in deltas] == ["17×20", "=340", None, None, None]
    assert [delta.content for delta in deltas] == [None, None, "391", "。", ""]
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * 4 + ["stop"]
    assert [chunk.usage is not None for chunk in chunks] == [False] * 4 + [True]
    assert chunks[-1].usage.completion_tokens_details.reasoning_tokens == 3
    assert server.disconnects == []


def test_stream_with_sources(server: GlmServer, client: ZhipuAiClient) -> None:
    server.script = Script(text=("答案[ref_1]",), sources=SOURCES)
    options = {"enable": True, "search_result": True, "search_engine": "search_pro_sogou"}
    tools = [{"type": "web_search", "web_search": options}]
    *_, last = client.chat.completions.create(model=MODEL, messages=ASK, tools=tools, stream=True)
    # An extra of the SDK's model: its type knows no such field.
    assert [source["refer"] for source in last.web_search] == ["ref_1", "ref_2"]
    assert last.web_search[0]["link"] == "https://example.org/stats/2024q1"


def test_tool_call(server: GlmServer, client: ZhipuAiClient) -> None:
    call = {"function": {"name": "get_weather", "arguments": '{"city":"北京"}'}}
    server.script = Script(text=(), tool_calls=(call,))
    reply = client.chat.completions.create(model=MODEL, messages=ASK)
    assert reply.choices[0].message.tool_calls[0].function.name == "get_weather"
    (chunk,) = client.chat.completions.create(model=MODEL, messages=ASK, stream=True)
    (delta_call,) = chunk.choices[0].delta.tool_calls
    assert (delta_call.index, delta_call.type) == (0, "function")
    assert delta_call.function.arguments == '{"city":"北京"}'


def answer_with_results(body: dict[str, Any]) -> Script:
    """Call for two cities; then answer with what the tool said, in the order it came."""
    results = [m["content"] for m in body["messages"] if m["role"] == "tool"]
    return Script(text=tuple(results)) if results else Script(text=(), tool_calls=BOTH)


def build_round(calls: list[dict[str, Any]], *results: str) -> list[dict[str, Any]]:
    """Return the messages that a client sends back: the question, the calls, their results."""
    told = [
        {"role": "tool", "tool_call_id": asked["id"], "content": result}
        for asked, result in zip(calls, results, strict=True)
    ]
    return [*ASK, {"role": "assistant", "content": "", "tool_calls": calls}, *told]


def join_calls(chunks: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the calls of a stream, joined by their index."""
    calls: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    for piece in (p for chunk in chunks for p in chunk.choices[0].delta.tool_calls or ()):
        joined = calls[piece.index]
        if piece.id:
            function = {"name": piece.function.name, "arguments": ""}
            joined |= {"id": piece.id, "type": piece.type, "function": function}
        joined["function"]["arguments"] += piece.function.arguments
    return [calls[index] for index in sorted(calls)]


def test_a_whole_round_with_two_calls(server: GlmServer, client: ZhipuAiClient) -> None:
    server.script = answer_with_results
    asked = client.chat.completions.create(model=MODEL, messages=ASK, tools=[WEATHER])
    (choice,) = asked.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    calls = [made.model_dump() for made in choice.message.tool_calls]
    assert [c["function"]["arguments"] for c in calls] == ['{"city": "北京"}', '{"city": "上海"}']
    reply = client.chat.completions.create(
        model=MODEL, messages=build_round(calls, "晴", "雨"), tools=[WEATHER]
    )
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == ("晴雨", "stop")


@pytest.mark.parametrize(("tool_stream", "count"), [(False, 1), (True, 11)])
def test_a_whole_round_with_two_calls_streamed(
    server: GlmServer, client: ZhipuAiClient, tool_stream: bool, count: int
) -> None:
    server.script = answer_with_results
    options = {"tools": [WEATHER], "stream": True, "tool_stream": tool_stream, "model": MODEL}
    chunks = list(client.chat.completions.create(messages=ASK, **options))
    assert len(chunks) == count
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    calls = join_calls(chunks)
    assert [c["function"]["name"] for c in calls] == ["get_weather", "get_weather"]
    assert [c["function"]["arguments"] for c in calls] == ['{"city": "北京"}', '{"city": "上海"}']
    reply = client.chat.completions.create(messages=build_round(calls, "晴", "雨"), **options)
    assert [chunk.choices[0].delta.content for chunk in reply] == ["晴", "雨", ""]


def test_a_call_without_its_result(server: GlmServer, client: ZhipuAiClient) -> None:
    server.script = answer_with_results
    asked = client.chat.completions.create(model=MODEL, messages=ASK, tools=[WEATHER])
    calls = [made.model_dump() for made in asked.choices[0].message.tool_calls]
    with pytest.raises(APIRequestFailedError, match='"code":"1214","message":"messages'):
        client.chat.completions.create(model=MODEL, messages=build_round(calls, "晴", "雨")[:-1])


@pytest.mark.parametrize(
    "tool",
    [
        {
            "type": "retrieval",
            "retrieval": {
                "knowledge_id": "1790000000000000001",
                "prompt_template": "{{ knowledge }}\n{{ question }}",
            },
        },
        {
            "type": "mcp",
            "mcp": {
                "server_label": "weather",
                "server_url": "https://example.org/mcp",
                "transport_type": "streamable-http",
                "allowed_tools": ["get_weather"],
            },
        },
    ],
)
def test_tools_of_the_platform_itself(client: ZhipuAiClient, tool: dict[str, Any]) -> None:
    reply = client.chat.completions.create(model=MODEL, messages=ASK, tools=[tool])
    assert reply.choices[0].finish_reason == "stop"


def test_answer_as_json(server: GlmServer, client: ZhipuAiClient) -> None:
    server.script = Script(text=('{"city":', '"北京"}'))
    reply = client.chat.completions.create(
        model=MODEL, messages=ASK, response_format={"type": "json_object"}
    )
    assert reply.choices[0].message.content == '{"city":"北京"}'


def test_unknown_model(client: ZhipuAiClient) -> None:
    with pytest.raises(APIRequestFailedError, match=r'Error code: 400.*"code":"1211"'):
        client.chat.completions.create(model="glm-9", messages=ASK)


def test_rate_limit(server: GlmServer, client: ZhipuAiClient) -> None:
    server.script = Script(error=failure("1302"))
    with pytest.raises(APIReachLimitError, match='"code":"1302"'):
        client.chat.completions.create(model=MODEL, messages=ASK)


def test_wrong_key(server: GlmServer) -> None:
    with (
        ZhipuAiClient(api_key="a.b", base_url=server.url, max_retries=0) as client,
        pytest.raises(APIAuthenticationError, match='"code":"1000"'),
    ):
        client.chat.completions.create(model=MODEL, messages=ASK)


# PyJWT finds any HS256 secret under 32 bytes too short; the platform's own have 16.
@pytest.mark.filterwarnings("ignore:The HMAC key is:jwt.warnings.InsecureKeyLengthWarning")
def test_token_made_of_the_key(server: GlmServer) -> None:
    with ZhipuAiClient(
        api_key=server.key, base_url=server.url, max_retries=0, disable_token_cache=False
    ) as client:
        client.chat.completions.create(model=MODEL, messages=ASK)
    (request,) = server.requests
    assert request.headers["authorization"].startswith("Bearer eyJ")


def test_error_inside_a_stream(server: GlmServer, client: ZhipuAiClient) -> None:
    server.script = Script(
        text=("a",), in_band_error={"error": {"code": "1302", "message": "太快"}}
    )
    stream = client.chat.completions.create(model=MODEL, messages=ASK, stream=True)
    assert next(stream).choices[0].delta.content == "a"
    with pytest.raises(APIResponseError, match="太快"):
        next(stream)


def test_embeddings(client: ZhipuAiClient) -> None:
    reply = client.embeddings.create(model="embedding-3", input=["苹果", "apple"], dimensions=256)
    assert [entry.index for entry in reply.data] == [0, 1]
    assert [len(entry.embedding) for entry in reply.data] == [256, 256]
    assert reply.usage.total_tokens == 4


def test_async_chat(server: GlmServer, client: ZhipuAiClient) -> None:
    server.script = Script(text=("答案",), processing_polls=1)
    task = client.chat.asyncCompletions.create(model=MODEL, messages=ASK)
    assert task.task_status == "PROCESSING"
    first, second = (
        client.chat.asyncCompletions.retrieve_completion_result(id=task.id) for _ in range(2)
    )
    assert first.task_status == "PROCESSING"
    assert second.task_status == "SUCCESS"
    assert second.choices[0].message.content == "答案"


def test_search_of_its_own(client: ZhipuAiClient) -> None:
    reply = client.web_search.web_search(search_engine="search_pro_sogou", search_query="GDP")
    # A list, as on the wire and in the documents, though the SDK types it as one object.
    assert [source.refer for source in reply.search_result] == ["ref_1", "ref_2"]
