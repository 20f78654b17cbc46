"""Requests over HTTP: what is sent, and what comes back when all goes well."""

import asyncio
import gzip
import json
from dataclasses import replace

import httpx
import pytest
from asking import ASK, CHUNK, DONE, KEY, LAST, PROMPT, SITE, ask, embed, error_of, replying
from glm_server import SOURCES, ApiFailure, GlmServer, Script

from glm_magic.api.client import AsyncClient
from glm_magic.api.events import Finished, TextDelta
from glm_magic.api.requests import ChatRequest, EmbeddingRequest, build_messages
from glm_magic.api.tool import WebSearch
from glm_magic.errors import ApiError, AuthError, ConnectError, GlmError

# -- what is sent --------------------------------------------------------------------------


def test_a_request_carries_the_key_in_its_header_and_nowhere_else(server: GlmServer) -> None:
    ask(server.url)
    (request,) = server.requests
    assert request.method == "POST"
    assert request.path == "/api/paas/v4/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json; charset=UTF-8"
    assert request.json == {
        "model": "glm-4.7",
        "messages": [{"role": "user", "content": PROMPT}],
        "stream": True,
    }


def test_without_a_key_no_authorization_is_sent(server: GlmServer) -> None:
    outcome = ask(server.url, key="")
    assert "authorization" not in server.requests[0].headers
    assert "no key was sent (HTTP 401, code 1001)" in error_of(outcome, AuthError)


def test_nothing_is_sent_before_the_reply_is_asked_for(server: GlmServer) -> None:
    AsyncClient(KEY, server.url).stream(ASK)
    assert server.requests == []


def test_half_a_character_in_a_prompt_does_not_stop_it(server: GlmServer) -> None:
    outcome = ask(server.url, ChatRequest("glm-4.7", build_messages("a\ud83db")))
    assert outcome.error is None
    assert server.requests[0].json["messages"][0]["content"] == "a?b"


# -- replies -------------------------------------------------------------------------------


def test_a_reply_streams_in_and_is_complete(server: GlmServer) -> None:
    outcome = ask(server.url)
    texts = [event.text for event in outcome.events if isinstance(event, TextDelta)]
    assert texts == ["Hello! ", "你好！", "I am GLM, ", "很高兴见到你。"]
    reply = outcome.reply
    assert reply.text == "Hello! 你好！I am GLM, 很高兴见到你。"
    assert (reply.state, reply.finish_reason, reply.model) == ("complete", "stop", "glm-4.7")
    assert reply.endpoint == server.url.split("/")[2]
    assert reply.usage is not None
    assert len(reply.request_id) == 30
    assert server.disconnects == []


def test_a_reply_in_one_json_is_the_same(server: GlmServer) -> None:
    outcome = ask(server.url, replace(ASK, stream=False))
    assert outcome.error is None
    assert outcome.reply.text == "Hello! 你好！I am GLM, 很高兴见到你。"
    assert (outcome.reply.state, outcome.reply.finish_reason) == ("complete", "stop")


def test_reasoning_and_sources_come_along(server: GlmServer) -> None:
    server.script = Script(reasoning=("想", "想"), text=("答[ref_1]",), sources=SOURCES)
    reply = ask(server.url, replace(ASK, web_search=WebSearch())).reply
    assert reply.reasoning == "想想"
    assert reply.text == "答[ref_1]"
    assert [source.link for source in reply.found] == [
        "https://example.org/stats/2024q1",
        "https://example.com/news/gdp-2024q1",
    ]


def test_the_reply_so_far_can_be_seen_at_any_time(server: GlmServer) -> None:
    async def look() -> list[tuple[str, str]]:
        client = AsyncClient(KEY, server.url)
        stream = client.stream(ASK)
        before = [(stream.reply.text, stream.reply.state)]
        seen = [
            (stream.reply.text, stream.reply.state)
            async for event in stream
            if isinstance(event, TextDelta)
        ]
        await client.aclose()
        return [*before, *seen, (stream.reply.text, stream.reply.state)]

    server.script = Script(text=("a", "b"))
    assert asyncio.run(look()) == [
        ("", "streaming"),
        ("a", "streaming"),
        ("ab", "streaming"),
        ("ab", "complete"),
    ]


def test_time_counts_from_the_request_to_the_end() -> None:
    # Made, sent, the first chunk, the last one, the end of the body, ended.
    seconds = iter([100.0, 200.0, 203.0, 207.0, 208.0, 208.0])
    reply = ask(SITE, transport=replying(CHUNK, LAST, DONE), clock=lambda: next(seconds)).reply
    assert reply.first_token_s == 3.0
    assert reply.seconds == 8.0


def test_after_done_the_end_of_the_connection_is_not_waited_for() -> None:
    outcome = ask(SITE, transport=replying(CHUNK, LAST, DONE, 60.0))
    assert outcome.reply.state == "complete"


@pytest.mark.parametrize("end", [DONE, LAST, LAST + DONE])
def test_done_or_a_finish_reason_makes_a_reply_complete(end: bytes) -> None:
    assert ask(SITE, transport=replying(CHUNK, end)).reply.state == "complete"


@pytest.mark.parametrize(
    "error", [httpx.ReadTimeout("silent"), httpx.ReadError("reset"), httpx.RemoteProtocolError("")]
)
def test_a_connection_that_breaks_after_the_finish_reason_breaks_nothing(error: Exception) -> None:
    outcome = ask(SITE, transport=replying(CHUNK, LAST, error))
    assert outcome.error is None
    assert outcome.reply.state == "complete"


def test_a_compressed_stream_is_understood() -> None:
    body = gzip.compress(CHUNK + LAST + DONE)
    outcome = ask(SITE, transport=replying(body[:20], body[20:], content_encoding="gzip"))
    assert outcome.reply.text == "Hello"


def test_an_emoji_cut_by_the_network_and_by_the_server_is_whole() -> None:
    first = b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n'
    second = b'data: {"choices":[{"delta":{"content":"\\udc4b"}}]}\n\n'
    stream = first + second + CHUNK.replace(b"Hello", "你".encode()) + DONE
    cut = stream.index("你".encode()) + 1
    assert ask(SITE, transport=replying(stream[:cut], stream[cut:])).reply.text == "👋你"


def test_half_an_emoji_at_the_end_is_replaced() -> None:
    half = b'data: {"choices":[{"delta":{"content":"a\\ud83d"},"finish_reason":"stop"}]}\n\n'
    assert ask(SITE, transport=replying(half, DONE)).reply.text == "a\ufffd"


@pytest.mark.parametrize("start", [b"", b"\n\n ", b"\xef\xbb\xbf"])
def test_a_json_reply_may_have_blanks_or_a_bom_before_it(start: bytes) -> None:
    body = b'{"choices":[{"message":{"content":"Hello"},"finish_reason":"stop"}]}'
    assert ask(SITE, transport=replying(start + body[:9], body[9:])).reply.text == "Hello"


# -- embeddings ----------------------------------------------------------------------------


def test_texts_become_vectors_in_one_request(server: GlmServer) -> None:
    vectors = embed(server.url)
    assert [len(vector) for vector in vectors] == [8, 8]
    (request,) = server.requests
    assert request.path == "/api/paas/v4/embeddings"
    assert request.json == {"model": "embedding-3", "input": ["猫", "dog"]}


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b"<html>", "llm.example.org answered with something that is not JSON"),
        (b'{"data":[]}', "llm.example.org sent 0 vectors for 2 texts"),
        (b'{"error":{"code":"1113","message":""}}', "no balance"),
    ],
)
def test_what_is_no_vectors_is_one_line(body: bytes, line: str) -> None:
    with pytest.raises(GlmError, match=line):
        embed(SITE, transport=replying(body))


def test_vectors_that_break_off_are_an_error(server: GlmServer) -> None:
    server.script = Script(cut_after=0)
    with pytest.raises(ConnectError, match="broke in mid-answer"):
        embed(server.url)


def test_vectors_without_end_are_left_at_64_mib() -> None:
    body = [b" " * 2**20] * 64
    with pytest.raises(GlmError, match="sent over 67108864 bytes"):
        embed(SITE, transport=replying(b"{", *body, AssertionError("was read on")))


def test_a_refusal_to_embed_does_not_repeat_the_texts(server: GlmServer) -> None:
    server.script = Script(error=ApiFailure(400, "1210", f"bad input: {PROMPT}"))
    with pytest.raises(ApiError, match='"bad input: …"') as caught:
        embed(server.url, EmbeddingRequest("embedding-3", ("猫", PROMPT)))
    assert "gold" not in str(caught.value)


def test_one_client_serves_many_requests(server: GlmServer) -> None:
    async def run() -> list[str]:
        client = AsyncClient(KEY, server.url)
        texts = []
        for _ in range(2):
            stream = client.stream(ASK)
            assert Finished("stop") in [event async for event in stream]
            texts.append(stream.reply.text)
        await client.aclose()
        return texts

    server.script = Script(text=("Hello",))
    assert asyncio.run(run()) == ["Hello", "Hello"]
    assert json.dumps([r.path for r in server.requests]).count("chat") == 2
