"""What is sent: the exact JSON of every option, in the words each kind of server knows."""

from dataclasses import replace
from typing import Any

import pytest

from glm_magic.api.requests import (
    ChatRequest,
    EmbeddingRequest,
    Message,
    build_chat,
    build_embedding,
    build_messages,
)
from glm_magic.api.tool import (
    FunctionTool,
    KnowledgeBase,
    McpServer,
    ToolCall,
    WebSearch,
    build_web_search,
)

ASK = ChatRequest("glm-4.7", (Message("user", "你好"),))
PLAIN = {"model": "glm-4.7", "messages": [{"role": "user", "content": "你好"}], "stream": True}


def test_a_plain_question_to_the_platform() -> None:
    assert build_chat(ASK, speaks_glm=True) == PLAIN


def test_a_plain_question_to_another_server_asks_for_token_counts() -> None:
    assert build_chat(ASK, speaks_glm=False) == PLAIN | {"stream_options": {"include_usage": True}}


def test_stream_options_come_with_a_stream_only() -> None:
    body = build_chat(replace(ASK, stream=False), speaks_glm=False)
    assert body == PLAIN | {"stream": False}


@pytest.mark.parametrize(
    ("fields", "json"),
    [
        ({"temperature": 0.5}, {"temperature": 0.5}),
        ({"temperature": 0.0}, {"do_sample": False}),
        ({"top_p": 0.9}, {"top_p": 0.9}),
        ({"max_tokens": 64}, {"max_tokens": 64}),
        ({"thinking": True}, {"thinking": {"type": "enabled"}}),
        ({"thinking": False}, {"thinking": {"type": "disabled"}}),
        ({"stream": False}, {"stream": False}),
        ({"stop": ("END",)}, {"stop": ["END"]}),
        ({"effort": "low"}, {"reasoning_effort": "low"}),
    ],
)
def test_an_option_adds_its_field_for_the_platform(
    fields: dict[str, Any], json: dict[str, Any]
) -> None:
    assert build_chat(replace(ASK, **fields), speaks_glm=True) == PLAIN | json


@pytest.mark.parametrize(
    ("fields", "json"),
    [
        ({"temperature": 0.0}, {"temperature": 0.0}),
        ({"thinking": True}, {"chat_template_kwargs": {"enable_thinking": True}}),
        ({"thinking": False}, {"chat_template_kwargs": {"enable_thinking": False}}),
    ],
)
def test_other_servers_get_the_words_they_know(
    fields: dict[str, Any], json: dict[str, Any]
) -> None:
    options = {"stream_options": {"include_usage": True}}
    assert build_chat(replace(ASK, **fields), speaks_glm=False) == PLAIN | options | json


THOUGHT = replace(ASK, messages=(*ASK.messages, Message("assistant", "so", "hm")))


def test_reasoning_that_is_kept_goes_along_and_is_not_to_be_dropped() -> None:
    body = build_chat(THOUGHT, speaks_glm=True)
    assert body["messages"][1] == {
        "role": "assistant",
        "content": "so",
        "reasoning_content": "hm",
    }
    assert body["thinking"] == {"type": "enabled", "clear_thinking": False}
    other = build_chat(replace(THOUGHT, thinking=True), speaks_glm=False)
    assert other["chat_template_kwargs"] == {"enable_thinking": True, "clear_thinking": False}


def test_a_web_search_is_narrowed() -> None:
    search = WebSearch("search_std", "GDP", count=10, recency="oneWeek", domain="example.com")
    assert build_web_search(search)["web_search"] == {
        "enable": True,
        "search_engine": "search_std",
        "search_result": True,
        "search_query": "GDP",
        "count": 10,
        "search_recency_filter": "oneWeek",
        "search_domain_filter": "example.com",
    }


def test_a_web_search_asks_for_its_sources() -> None:
    body = build_chat(replace(ASK, web_search=WebSearch()), speaks_glm=True)
    assert body["tools"] == [
        {
            "type": "web_search",
            "web_search": {
                "enable": True,
                "search_engine": "search_pro_sogou",
                "search_result": True,
            },
        }
    ]


def test_a_search_query_goes_along() -> None:
    assert build_web_search(WebSearch("search_pro_jina", "GDP China 2024 Q1")) == {
        "type": "web_search",
        "web_search": {
            "enable": True,
            "search_engine": "search_pro_jina",
            "search_result": True,
            "search_query": "GDP China 2024 Q1",
        },
    }


def test_a_system_message_comes_first_and_only_if_there_is_one() -> None:
    assert build_messages("hi", system="be brief") == (
        Message("system", "be brief"),
        Message("user", "hi"),
    )
    assert build_messages("hi") == (Message("user", "hi"),)


def test_embeddings_are_asked_for_in_one_request() -> None:
    request = EmbeddingRequest("embedding-3", ("猫", "dog"))
    assert build_embedding(request) == {"model": "embedding-3", "input": ["猫", "dog"]}


def test_dimensions_are_sent_when_chosen() -> None:
    body = build_embedding(EmbeddingRequest("embedding-3", ("a",), dimensions=256))
    assert body == {"model": "embedding-3", "input": ["a"], "dimensions": 256}


WEATHER = FunctionTool("weather", "Tell the weather.", '{"type": "object", "properties": {}}')
HELLO = ASK.messages


def _sent(request: ChatRequest) -> dict[str, Any]:
    return build_chat(request, speaks_glm=True)


def test_functions_are_offered_with_their_schemas() -> None:
    body = _sent(ChatRequest("glm-4-plus", HELLO, functions=(WEATHER,)))
    function = {
        "name": "weather",
        "description": "Tell the weather.",
        "parameters": {"type": "object", "properties": {}},
    }
    assert body["tools"] == [{"type": "function", "function": function}]
    assert "tool_stream" not in body


@pytest.mark.parametrize(
    ("model", "streams"),
    [
        ("glm-5.3", True),
        ("GLM-5-Turbo", True),
        ("glm-4.7-flash", True),
        ("glm-4.6", True),
        ("glm-4.6v", False),
        ("glm-5v-turbo", False),
        ("glm-4.5-air", False),
        ("qwen", False),
    ],
)
def test_arguments_stream_where_the_documents_have_it(model: str, streams: bool) -> None:
    request = ChatRequest(model, HELLO, functions=(WEATHER,))
    assert ("tool_stream" in _sent(request)) is streams
    assert "tool_stream" not in _sent(replace(request, stream=False))
    assert "tool_stream" not in build_chat(request, speaks_glm=False)


def test_calls_and_their_results_are_messages() -> None:
    calls = (ToolCall("c1", "weather", '{"city": "北京"}'), ToolCall("c2", "<b>\n", "{broken"))
    asked = Message("assistant", "", "Hm.", calls)
    messages = (*HELLO, asked, Message("tool", "sunny", call_id="c1"))
    body = _sent(ChatRequest("glm-4.7", messages))
    function = {"name": "weather", "arguments": '{"city": "北京"}'}
    broken = {"name": "_b__", "arguments": "{}"}
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "Hm.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": function},
                {"id": "c2", "type": "function", "function": broken},
            ],
        },
        {"role": "tool", "content": "sunny", "tool_call_id": "c1"},
    ]
    # Reasoning between calls is no reasoning of earlier turns.
    assert "thinking" not in body


def test_a_knowledge_base_and_a_server_are_tools() -> None:
    base = KnowledgeBase("k1", "{{ knowledge }} {{ question }}")
    assert _sent(ChatRequest("glm-4.7", HELLO, knowledge=base))["tools"] == [
        {
            "type": "retrieval",
            "retrieval": {
                "knowledge_id": "k1",
                "prompt_template": "{{ knowledge }} {{ question }}",
            },
        }
    ]
    servers = (McpServer("own", "https://example.org/mcp"), McpServer("hosted"))
    assert _sent(ChatRequest("glm-4.7", HELLO, mcp=servers))["tools"] == [
        {"type": "mcp", "mcp": {"server_label": "own", "server_url": "https://example.org/mcp"}},
        {"type": "mcp", "mcp": {"server_label": "hosted"}},
    ]


def test_json_is_asked_for_as_the_server_knows_it() -> None:
    assert _sent(ChatRequest("glm-4.7", HELLO, is_json=True))["response_format"] == {
        "type": "json_object"
    }
    request = ChatRequest("m", HELLO, is_json=True, schema='{"type": "object"}')
    assert build_chat(request, speaks_glm=False)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": {"type": "object"}},
    }


def test_other_fields_are_sent_as_they_are_and_win() -> None:
    extra = (("seed", "7"), ("response_format", '{"type": "text"}'), ("nothing", "null"))
    body = _sent(ChatRequest("glm-4.7", HELLO, is_json=True, extra=extra))
    assert (body["seed"], body["response_format"]) == (7, {"type": "text"})
    assert body["nothing"] is None
