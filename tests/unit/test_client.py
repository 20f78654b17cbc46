"""Requests over HTTP: what is sent, what comes back, and every way it can go wrong."""

import asyncio
import gzip
import json
import socket
import ssl
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from glm_server import SOURCES, ApiFailure, GlmServer, Script

from glm_magic.api import http
from glm_magic.api.client import AsyncClient
from glm_magic.api.endpoints import parse_endpoint
from glm_magic.api.events import Event, Finished, TextDelta
from glm_magic.api.reply import Reply
from glm_magic.api.requests import ChatRequest, EmbeddingRequest, WebSearch, build_messages
from glm_magic.errors import (
    ApiError,
    AuthError,
    ConnectError,
    ContentError,
    GlmError,
    RateLimitError,
    SettingsError,
    StreamError,
)
from glm_magic.secret import Secret

KEY = "test-key-id.test-secret"  # the server's
PROMPT = "我的日记：今天 I hid the gold under the old oak."
ASK = ChatRequest("glm-4.7", build_messages(PROMPT))
TEXTS = EmbeddingRequest("embedding-3", ("猫", "dog"))
SITE = "https://llm.example.org/api/paas/v4"
CHUNK = b'data: {"id":"1","model":"m","choices":[{"delta":{"content":"Hello"}}]}\n\n'
LAST = b'data: {"choices":[{"finish_reason":"stop","delta":{"content":""}}]}\n\n'
DONE = b"data: [DONE]\n\n"


@dataclass
class Outcome:
    """How one request went."""

    events: list[Event]
    reply: Reply
    error: GlmError | None


def ask(url: str, request: ChatRequest = ASK, key: str | None = KEY, **options: Any) -> Outcome:
    """Send one request and take all of its events."""

    async def take() -> Outcome:
        client = AsyncClient(parse_endpoint(url), Secret(key) if key else None, **options)
        stream, events, caught = client.stream(request), [], None
        try:
            async with asyncio.timeout(20):
                async for event in stream:
                    events.append(event)  # noqa: PERF401 - what came before an error counts
        except GlmError as error:
            caught = error
        await client.aclose()
        return Outcome(events, stream.reply, caught)

    return asyncio.run(take())


def embed(url: str, request: EmbeddingRequest = TEXTS, **options: Any) -> list[list[float]]:
    async def take() -> list[list[float]]:
        client = AsyncClient(parse_endpoint(url), Secret(KEY), **options)
        try:
            return (await client.embed(request)).vectors.tolist()
        finally:
            await client.aclose()

    return asyncio.run(take())


class Pieces(http.AsyncByteStream):
    """A body in pieces; an exception is raised in its turn, a number is waited for."""

    def __init__(self, *pieces: bytes | float | Exception) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, bytes):
                yield piece
            else:
                await asyncio.sleep(piece)


def replying(*pieces: bytes | float | Exception, status: int = 200, **headers: str) -> Any:
    """A transport that answers any request with these pieces."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.MockTransport(
        lambda _: http.Response(status, headers=named, stream=Pieces(*pieces))
    )


def failing(error: Exception) -> Any:
    def handle(_: http.Request) -> http.Response:
        raise error

    return http.MockTransport(handle)


def error_of(outcome: Outcome, kind: type[GlmError]) -> str:
    """The one line of the error, which must be of exactly this kind."""
    assert type(outcome.error) is kind
    line = str(outcome.error)
    assert "\n" not in line
    return line


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
    outcome = ask(server.url, key=None)
    assert "authorization" not in server.requests[0].headers
    assert "no key was sent (HTTP 401, code 1001)" in error_of(outcome, AuthError)


def test_nothing_is_sent_before_the_reply_is_asked_for(server: GlmServer) -> None:
    AsyncClient(parse_endpoint(server.url), Secret(KEY)).stream(ASK)
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
    assert [source.link for source in reply.cited] == [
        "https://example.org/stats/2024q1",
        "https://example.com/news/gdp-2024q1",
    ]


def test_the_reply_so_far_can_be_seen_at_any_time(server: GlmServer) -> None:
    async def look() -> list[tuple[str, str]]:
        client = AsyncClient(parse_endpoint(server.url), Secret(KEY))
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
    # Made, sent, identified, text, finished, ended.
    seconds = iter([100.0, 200.0, 201.0, 203.0, 207.0, 208.0])
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


# -- replies that break --------------------------------------------------------------------


def broken(outcome: Outcome) -> str:
    """The line of a reply that broke, which must carry all that had come."""
    line = error_of(outcome, StreamError)
    assert isinstance(outcome.error, StreamError)
    assert outcome.error.reply == outcome.reply
    return line


def test_a_connection_that_breaks_keeps_the_part_that_came(server: GlmServer) -> None:
    server.script = Script(text=("Hello", " world", "!"), cut_after=2)
    outcome = ask(server.url)
    assert broken(outcome).endswith("cut off: the connection broke; run the cell again")
    assert (outcome.reply.text, outcome.reply.state) == ("Hello world", "cut off")
    assert outcome.reply.finish_reason is None


def test_a_stream_that_just_ends_is_not_complete(server: GlmServer) -> None:
    server.script = Script(text=("Hello", " world", "!"), end_after=2)
    outcome = ask(server.url)
    assert "the server closed the stream before the end; run the cell again" in broken(outcome)
    assert (outcome.reply.text, outcome.reply.state) == ("Hello world", "cut off")


def test_a_stream_that_ends_before_anything_came_has_failed(server: GlmServer) -> None:
    server.script = Script(end_after=0)
    outcome = ask(server.url)
    assert "closed the stream before the end" in broken(outcome)
    assert outcome.reply.state == "failed"


def test_a_json_reply_that_breaks_is_an_error(server: GlmServer) -> None:
    server.script = Script(cut_after=0)
    assert "the connection broke" in broken(ask(server.url, replace(ASK, stream=False)))


def test_a_server_that_falls_silent_is_left_in_the_end() -> None:
    outcome = ask(SITE, transport=replying(CHUNK, httpx.ReadTimeout("silent")))
    assert "cut off: silent for 120 s" in broken(outcome)
    assert (outcome.reply.text, outcome.reply.state) == ("Hello", "cut off")


@pytest.mark.parametrize("bad", [b"data: {oops\n\n", b"data: " + b"[" * 50_000 + b"\n\n"])
def test_what_is_not_json_breaks_the_reply(bad: bytes) -> None:
    outcome = ask(SITE, transport=replying(CHUNK, bad, DONE))
    assert "something that is not JSON" in broken(outcome)
    assert outcome.reply.text == "Hello"


@pytest.mark.parametrize("start", [b"{", b"data: "])
def test_a_reply_without_end_is_left_at_64_mib(start: bytes) -> None:
    body = [b" " * 2**20] * 64
    outcome = ask(SITE, transport=replying(start, *body, AssertionError("was read on")))
    assert "67108864 bytes" in broken(outcome)


def test_a_corrupt_compression_breaks_the_reply() -> None:
    outcome = ask(SITE, transport=replying(b"\x1f\x8bnonsense", content_encoding="gzip"))
    assert "the connection broke" in broken(outcome)


def test_an_error_in_the_stream_after_text_keeps_the_text(server: GlmServer) -> None:
    failure = {"error": {"code": "1302", "message": "您的账户已达到速率限制"}}
    server.script = Script(text=("Hello",), in_band_error=failure)
    outcome = ask(server.url)
    line = broken(outcome)
    assert "too many requests at once for this account (HTTP 200, code 1302)" in line
    assert (outcome.reply.text, outcome.reply.state) == ("Hello", "cut off")


def test_an_error_in_the_stream_before_any_text_is_a_refusal(server: GlmServer) -> None:
    server.script = Script(text=(), in_band_error={"error": {"code": "1301", "message": "x"}})
    outcome = ask(server.url)
    assert "the safety review refused the content" in error_of(outcome, ContentError)
    assert outcome.reply.state == "failed"


def test_an_event_of_the_type_error_is_an_error_in_any_shape() -> None:
    body = b'event: error\ndata: {"code":"1302","message":"slow down"}\n\n'
    outcome = ask(SITE, transport=replying(body, DONE))
    assert "(HTTP 200, code 1302)" in error_of(outcome, RateLimitError)


def test_an_error_in_a_json_with_http_200_is_a_refusal() -> None:
    body = b'{"error":{"code":"1113","message":"x"}}'
    assert "no balance" in error_of(ask(SITE, transport=replying(body)), RateLimitError)


def test_a_web_page_in_place_of_a_reply_is_named(server: GlmServer) -> None:
    server.script = Script(html=True)
    outcome = ask(server.url)
    assert "answered with a web page (text/html), not with a reply" in error_of(
        outcome, ConnectError
    )
    assert outcome.reply.state == "failed"


# -- no reply ------------------------------------------------------------------------------


def test_a_refusal_is_one_line_with_status_code_and_advice(server: GlmServer) -> None:
    outcome = ask(server.url, ChatRequest("glm-4.77", build_messages("hi")))
    host = server.url.split("/")[2]
    assert error_of(outcome, ApiError) == (
        f'{host}: the model does not exist (HTTP 400, code 1211): "模型不存在，请检查模型代码。"; '
        "the model was 'glm-4.77'; did you mean 'glm-4.7'?"
    )
    assert outcome.reply.state == "failed"


def test_a_wrong_key_is_an_auth_error(server: GlmServer) -> None:
    outcome = ask(server.url, key="wrong-key-id.wrong-secret")
    assert "the key was not accepted (HTTP 401, code 1000)" in error_of(outcome, AuthError)
    assert "wrong-" not in str(outcome.error)


@pytest.mark.parametrize("body", [b"<html>502</html>", b"{}", b"", b"[" * 50_000])
def test_an_error_without_a_code_goes_by_its_status(body: bytes) -> None:
    outcome = ask(SITE, transport=replying(body, status=502))
    assert error_of(outcome, ApiError) == (
        "llm.example.org: the server failed (HTTP 502); try again in a moment"
    )


def test_a_server_that_hangs_in_its_error_is_left() -> None:
    body = b'{"error":{"code":"1302","message":"slow'
    outcome = ask(SITE, transport=replying(body, 600.0, status=429))
    assert "too many requests (HTTP 429)" in error_of(outcome, RateLimitError)


def test_a_long_error_is_not_read_to_its_end() -> None:
    body = [b"x" * 2**16] * 2
    outcome = ask(SITE, transport=replying(*body, AssertionError("was read on"), status=500))
    assert "the server failed (HTTP 500)" in error_of(outcome, ApiError)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(server: GlmServer, status: int) -> None:
    with GlmServer() as other:
        target = {"location": f"{other.url}/chat/completions"}
        server.script = Script(error=ApiFailure(status, "", "", target))
        outcome = ask(server.url)
        assert "sends on to 127.0.0.1, which is never followed" in error_of(outcome, ConnectError)
        assert other.requests == []
    assert len(server.requests) == 1


def test_a_redirect_to_nowhere_is_an_error_too() -> None:
    outcome = ask(SITE, transport=replying(status=307))
    assert "sends on to another address" in error_of(outcome, ConnectError)
    for location in ("http://[", "http://xn--a.example.org/", "http:", "\x00"):
        error_of(ask(SITE, transport=replying(status=307, location=location)), ConnectError)


def test_a_port_where_nobody_listens_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    outcome = ask(f"http://127.0.0.1:{port}/v1")
    assert error_of(outcome, ConnectError) == (
        f"127.0.0.1:{port}: cannot be reached; check `%glm config endpoint` and the network"
    )
    assert isinstance(outcome.error, ConnectError)
    assert isinstance(outcome.error.__cause__, httpx.ConnectError)


@pytest.mark.parametrize(
    ("error", "cause", "line"),
    [
        (
            httpx.ConnectError("failed"),
            ssl.SSLCertVerificationError("self-signed certificate"),
            "its TLS certificate is not trusted here",
        ),
        (httpx.ConnectError("failed"), ssl.SSLError("WRONG_VERSION_NUMBER"), "cannot be reached"),
        (httpx.ConnectTimeout("slow"), ssl.SSLWantReadError(), "no connection within 10 s"),
    ],
)
def test_the_certificate_is_blamed_only_for_itself(
    error: Exception, cause: Exception, line: str
) -> None:
    error.__cause__ = cause
    assert line in error_of(ask(SITE, transport=failing(error)), ConnectError)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (httpx.ConnectTimeout("x"), "no connection within 10 s; check the network"),
        (httpx.ReadTimeout("x"), "no answer within 120 s; try again later"),
        (httpx.ProxyError("x"), "the proxy refused; check HTTPS_PROXY and NO_PROXY"),
        (httpx.ReadError("x"), "the connection broke before an answer came; try again"),
        (httpx.RemoteProtocolError("x"), "the connection broke before an answer came; try again"),
    ],
)
def test_a_request_that_gets_no_answer_says_why(error: Exception, line: str) -> None:
    outcome = ask(SITE, transport=failing(error))
    assert error_of(outcome, ConnectError) == f"llm.example.org: {line}"


def test_a_proxy_that_is_no_proxy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "gopher://proxy.example.org")
    assert "HTTPS_PROXY" in error_of(ask(SITE), SettingsError)


def test_a_host_that_cannot_be_is_one_line() -> None:
    outcome = ask("https://xn--a.example.org/v1")
    assert error_of(outcome, SettingsError) == (
        "the endpoint is no valid URL; check `%glm config endpoint`"
    )
    error_of(ask("https://a..b.invalid/v1"), ConnectError)


# -- secrets -------------------------------------------------------------------------------

ECHO = f"invalid request from Bearer {KEY} (key {KEY}): {PROMPT}"


@pytest.mark.parametrize(
    "script",
    [
        Script(error=ApiFailure(400, "1210", ECHO)),
        Script(error=ApiFailure(400, "9999", ECHO)),
        Script(error=ApiFailure(400, PROMPT, ECHO)),
        Script(error=ApiFailure(500, "", ECHO)),
        Script(error=ApiFailure(429, "1302", PROMPT)),
        Script(error=ApiFailure(401, "1000", KEY)),
        Script(text=("a",), in_band_error={"error": {"code": "1210", "message": ECHO}}),
        Script(text=(), in_band_error={"error": ECHO}),
        Script(malformed=f"data: {ECHO}\n\n".encode()),
        Script(redirect=f"http://evil.example/?q={KEY}"),
    ],
)
def test_no_error_holds_the_key_or_the_prompt_though_the_server_echoes_both(
    server: GlmServer, script: Script
) -> None:
    server.script = script
    outcome = ask(server.url)
    assert outcome.error is not None
    shown = "".join(traceback.format_exception(outcome.error))
    for part in (KEY, "test-secret", PROMPT, "gold under", "我的日记"):
        assert part not in shown


# -- leaving -------------------------------------------------------------------------------


def leave_by_closing(client: AsyncClient) -> Any:
    async def leave() -> Reply:
        stream = client.stream(ASK)
        async with aclosing(aiter(stream)) as events:  # type: ignore[type-var]
            async for event in events:
                if isinstance(event, TextDelta):
                    break
        return stream.reply

    return leave()


def leave_by_cancelling(client: AsyncClient) -> Any:
    async def leave() -> Reply:
        stream = client.stream(ASK)
        came = asyncio.Event()

        async def take() -> None:
            async for event in stream:
                if isinstance(event, TextDelta):
                    came.set()

        task = asyncio.create_task(take())
        await came.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return stream.reply

    return leave()


@pytest.mark.parametrize("leave", [leave_by_closing, leave_by_cancelling])
def test_leaving_early_ends_the_work_of_the_server(
    server: GlmServer, leave: Callable[[AsyncClient], Any]
) -> None:
    async def run() -> Reply:
        client = AsyncClient(parse_endpoint(server.url), Secret(KEY))
        reply: Reply = await leave(client)
        await asyncio.to_thread(server.wait_for_disconnect)  # before the client is closed
        await client.aclose()
        return reply

    server.script = Script(text=("Hello", "never"), stall_after=1)
    reply = asyncio.run(run())
    assert (reply.text, reply.state) == ("Hello", "stopped")


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
        client = AsyncClient(parse_endpoint(server.url), Secret(KEY))
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
