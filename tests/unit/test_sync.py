"""The client for code that does not await."""

from __future__ import annotations

import threading
import time

import pytest
from glm_server import ApiFailure, GlmServer, Script

import glm_magic
from glm_magic.api.events import TextDelta
from glm_magic.errors import ApiError, ConnectError, StreamError


def client_of(server: GlmServer, **settings: object) -> glm_magic.Client:
    return glm_magic.Client(server.key, server.url, max_retries=0, **settings)


def test_the_public_names_are_there_and_no_others() -> None:
    assert glm_magic.Client.__module__ == "glm_magic.api.sync"
    assert glm_magic.AsyncClient.__module__ == "glm_magic.api.client"
    with pytest.raises(AttributeError, match="has no attribute 'client'"):
        _ = glm_magic.client


def test_a_prompt_gives_a_reply(server: GlmServer) -> None:
    server.script = Script(text=("Hello", " world"))
    with client_of(server) as client:
        reply = client.chat("hi", model="glm-4.7", temperature=0.5, system="Be brief.")
    assert (str(reply), reply.state, reply.finish_reason) == ("Hello world", "complete", "stop")
    (request,) = server.requests
    assert request.json["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
    ]
    assert request.json["temperature"] == 0.5


def test_messages_may_be_given_whole(server: GlmServer) -> None:
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "again"},
    ]
    with client_of(server) as client:
        client.chat(turns)
    assert server.requests[0].json["messages"] == turns


def test_a_stream_gives_events_as_they_come_and_knows_the_reply_so_far(server: GlmServer) -> None:
    server.script = Script(text=("a", "b", "c"), stall_after=2)
    with client_of(server) as client, client.stream("hi") as stream:
        texts = []
        for event in stream:
            if isinstance(event, TextDelta):
                texts.append(event.text)
            if texts == ["a", "b"]:
                assert stream.reply.text == "ab"
                break
    server.wait_for_disconnect()
    assert (stream.reply.text, stream.reply.state) == ("ab", "stopped")


def test_errors_are_raised_where_the_stream_is_read(server: GlmServer) -> None:
    with client_of(server) as client:
        server.script = Script(error=ApiFailure(400, "1211", "no such model"))
        with pytest.raises(ApiError, match="code 1211"):
            client.chat("hi")
        server.script = Script(text=("part",), cut_after=1)
        with pytest.raises(StreamError) as caught:
            client.chat("hi")
    assert caught.value.reply.text == "part"


def test_embeddings_come_in_the_order_of_the_texts(server: GlmServer) -> None:
    with client_of(server) as client:
        reply = client.embed(["a", "b", "a"])
    assert reply.vectors.shape == (3, 8)
    assert (reply.vectors[0] == reply.vectors[2]).all()


def test_a_closed_client_leaves_no_thread(server: GlmServer) -> None:
    before = threading.active_count()
    with client_of(server) as client:
        client.chat("hi")
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_several_threads_may_share_a_client(server: GlmServer) -> None:
    server.script = Script(text=("one",), pace_s=0.01)
    replies = []
    with client_of(server, concurrency=8) as client:
        work = [
            threading.Thread(target=lambda: replies.append(client.chat("hi").text))
            for _ in range(8)
        ]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
    assert replies == ["one"] * 8


def test_a_key_of_the_environment_goes_to_the_platform_only(
    server: GlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZAI_API_KEY", server.key)
    with (
        glm_magic.Client(endpoint=server.url, max_retries=0) as client,
        pytest.raises(ApiError, match="no key was sent"),
    ):
        client.chat("hi")
    assert "authorization" not in server.requests[0].headers


def test_nobody_there_is_one_error_after_the_tries(unused_port: int) -> None:
    started = time.perf_counter()
    url = f"http://127.0.0.1:{unused_port}/api/paas/v4"
    with (
        glm_magic.Client("k", url, max_retries=2, retry_base_s=0.05) as client,
        pytest.raises(ConnectError, match="cannot be reached"),
    ):
        client.chat("hi")
    assert time.perf_counter() - started > 0.1


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
