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
from glm_magic.api.tool import WebSearch, build_web_search

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
