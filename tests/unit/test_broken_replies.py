"""Replies that break off, are refused or never come, each told in one line."""

import asyncio
import socket
import ssl
import traceback
from dataclasses import replace

import httpx
import pytest
from asking import (
    ASK,
    CHUNK,
    DONE,
    KEY,
    PROMPT,
    SITE,
    ask,
    broken,
    error_of,
    failing,
    replying,
)
from glm_server import ApiFailure, GlmServer, Script

from glm_magic.api import http
from glm_magic.api.requests import ChatRequest, build_messages
from glm_magic.errors import (
    ApiError,
    AuthError,
    ConnectError,
    ContentError,
    RateLimitError,
    SettingsError,
)

# -- replies that break --------------------------------------------------------------------


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
    outcome = ask(SITE, transport=replying(CHUNK, 600.0), idle_timeout_s=0.05)
    assert "cut off: silent for 0.05 s" in broken(outcome)
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
    assert "its compression is corrupt" in broken(outcome)


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
        (httpx.ProxyError("x"), "the proxy refused; check HTTPS_PROXY and NO_PROXY"),
        (httpx.ReadError("x"), "the connection broke before an answer came; try again"),
        (httpx.RemoteProtocolError("x"), "the connection broke before an answer came; try again"),
    ],
)
def test_a_request_that_gets_no_answer_says_why(error: Exception, line: str) -> None:
    outcome = ask(SITE, transport=failing(error))
    assert error_of(outcome, ConnectError) == f"llm.example.org: {line}"


def test_a_request_that_nobody_answers_is_left_and_says_when() -> None:
    async def be_silent(_: http.Request) -> http.Response:
        await asyncio.sleep(600)
        raise AssertionError("was waited for")

    outcome = ask(SITE, transport=http.MockTransport(be_silent), first_byte_timeout_s=0.05)
    assert error_of(outcome, ConnectError) == (
        "llm.example.org: no answer within 0.05 s; try again later, or raise first_byte_timeout_s"
    )
    assert outcome.error is not None
    assert isinstance(outcome.error.__cause__, TimeoutError)


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
