"""The client against aimock, an independent imitation of OpenAI's API with faults on demand.

Without npm these tests are skipped, unless GLM_MAGIC_REQUIRE_NODE=1 says that the machine must
have it (CI): then they fail.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import httpx
import pytest

from glm_magic import AsyncClient
from glm_magic.api.events import ReasoningDelta, TextDelta
from glm_magic.errors import ApiError, AuthError, ConnectError, RateLimitError, StreamError

T = TypeVar("T")
PACKAGE, VERSION = "@copilotkit/aimock", "1.43.0"
# Of the registry's tarball, in November 2026; the package depends on no other.
INTEGRITY = (
    "sha512-V8D8cjSMtAR4rHaD2ulp3DR/ZguXQjDNOqwKDNvjb/"
    "OJL/KR1I0SDf5xpRCd+TYKjhmf9fM8Xpg3QBKPmV9Kmw=="
)
KEY = "mock-key"
TEXT = "Hi there, 你好 👋!"
COUNTED = "one two three four five six seven eight "


def reply(prompt: str, content: str, **how: object) -> dict[str, Any]:
    return {"match": {"userMessage": prompt}, "response": {"content": content}, **how}


CALL = {"name": "get_weather", "arguments": '{"city":"北京"}'}
FIXTURES = [
    reply("plain", TEXT),
    # The mock cuts at UTF-16 units, which parts the two halves of the emoji.
    reply("tiny chunks", TEXT, chunkSize=1),
    reply("slow chunks", COUNTED, chunkSize=4, latency=20),
    reply("long", COUNTED * 20, chunkSize=1, latency=20),
    reply("late", TEXT, chaos={"latencyMs": 300}),
    reply("cut", COUNTED, chunkSize=4, latency=20, truncateAfterChunks=4),
    reply("drop", TEXT, chaos={"disconnectRate": 1}),
    reply("fail", TEXT, chaos={"dropRate": 1}),
    reply("limit", TEXT, chaos={"rateLimitRate": 1}),
    reply("malformed", TEXT, chaos={"malformedRate": 1}),
    {"match": {"userMessage": "think"}, "response": {"content": "4", "reasoning": "2 and 2"}},
    {"match": {"userMessage": "tool"}, "response": {"toolCalls": [CALL]}},
]


@pytest.fixture(scope="session")
def aimock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mock's program, installed from npm into a folder of this run (12 MB, no scripts run)."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        give_up("no npm on the PATH")
    folder = tmp_path_factory.mktemp("aimock")
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    command = [npm, "install", *quiet, "--prefix", str(folder), f"{PACKAGE}@{VERSION}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        give_up(f"npm does not get {PACKAGE} within a minute")
    if done.returncode:
        give_up(f"npm cannot install {PACKAGE}: {done.stderr.strip()[:200]}")
    locked = json.loads((folder / "package-lock.json").read_text("utf-8"))["packages"]
    assert locked[f"node_modules/{PACKAGE}"]["integrity"] == INTEGRITY
    return folder / "node_modules" / PACKAGE / "dist" / "cli.js"


def give_up(reason: str) -> NoReturn:
    if os.environ.get("GLM_MAGIC_REQUIRE_NODE") == "1":
        pytest.fail(f"{reason}, and GLM_MAGIC_REQUIRE_NODE=1 asks for it")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def url(aimock: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of the one mock; no longer there when the tests have run."""
    fixtures = tmp_path_factory.mktemp("fixtures") / "fixtures.json"
    fixtures.write_text(json.dumps({"fixtures": FIXTURES}), "utf-8")
    with running(aimock, fixtures) as address:
        assert address[0] == "127.0.0.1"
        yield f"http://{address[0]}:{address[1]}/v1"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)


@contextmanager
def running(aimock: Path, fixtures: Path) -> Iterator[tuple[str, int]]:
    """The mock's host and port; node itself, as `npx` would leave a child behind."""
    command = ["node", str(aimock), "--host", "127.0.0.1", "--port", "0", "-f", str(fixtures)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "AIMOCK_API_KEYS": KEY},
    ) as mock:
        try:
            yield find_address(mock)
        finally:
            mock.kill()


def find_address(mock: subprocess.Popen[str]) -> tuple[str, int]:
    assert mock.stdout is not None
    for line in mock.stdout:
        if found := re.search(r"listening on http://([\d.]+):(\d+)", line):
            return found[1], int(found[2])
    pytest.fail("the mock ended before it listened")


def run(
    url: str, use: Callable[[AsyncClient], Awaitable[T]], *, key: str = KEY, **settings: Any
) -> T:
    async def main() -> T:
        async with AsyncClient(key, url, **{"max_retries": 0, **settings}) as client:
            return await use(client)

    return asyncio.run(main())


def ask(url: str, prompt: str, **settings: Any) -> Any:
    return run(url, lambda client: client.chat(prompt, model="gpt-4"), **settings)


def last_request(url: str) -> Any:
    headers = {"Authorization": f"Bearer {KEY}"}
    return httpx.get(f"{url}/_requests", headers=headers).json()[-1]


def test_a_reply_streams_with_its_usage(url: str) -> None:
    reply = ask(url, "plain")
    assert (reply.text, reply.state, reply.finish_reason) == (TEXT, "complete", "stop")
    assert reply.model == "gpt-4"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0


def test_a_reply_may_come_whole(url: str) -> None:
    reply = run(url, lambda client: client.chat("plain", model="gpt-4", stream=False))
    assert (reply.text, reply.state, reply.usage is not None) == (TEXT, "complete", True)


def test_the_request_is_one_of_openai(url: str) -> None:
    run(url, lambda client: client.chat("plain", model="gpt-4", thinking=False, temperature=0))
    assert last_request(url)["body"] == {
        "model": "gpt-4",
        "messages": [{"role": "user", "content": "plain"}],
        "stream": True,
        "temperature": 0,
        "stream_options": {"include_usage": True},
        "chat_template_kwargs": {"enable_thinking": False},
        "_endpointType": "chat",  # the mock's own note
    }


def test_an_emoji_that_came_in_two_halves_is_one(url: str) -> None:
    async def take(client: AsyncClient) -> list[str]:
        stream = client.stream("tiny chunks", model="gpt-4")
        return [event.text async for event in stream if type(event) is TextDelta]

    assert run(url, take) == ["H", "i", " ", *"there,", " ", "你", "好", " ", "👋", "!"]


def test_chunks_come_as_they_are_sent(url: str) -> None:
    async def take(client: AsyncClient) -> list[float]:
        stream = client.stream("slow chunks", model="gpt-4")
        return [time.perf_counter() async for event in stream if type(event) is TextDelta]

    times = run(url, take)
    assert len(times) == 10
    assert times[-1] - times[0] > 0.1


def test_reasoning_comes_apart_from_the_answer(url: str) -> None:
    async def take(client: AsyncClient) -> list[Any]:
        stream = client.stream("think", model="gpt-4")
        events = [event async for event in stream]
        return [event for event in events if isinstance(event, (ReasoningDelta, TextDelta))]

    assert run(url, take) == [ReasoningDelta("2 and 2"), TextDelta("4")]


def test_a_call_of_a_tool_is_put_together(url: str) -> None:
    reply = ask(url, "tool")
    (call,) = reply.tool_calls
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "北京"})
    assert (reply.finish_reason, reply.text) == ("tool_calls", "")


def test_texts_have_embeddings(url: str) -> None:
    embed = run(url, lambda client: client.embed(["a", "b"], model="e", dimensions=8))
    assert embed.vectors.shape == (2, 8)
    assert embed.vectors[0] != pytest.approx(embed.vectors[1])


def test_a_reply_cut_off_keeps_what_had_come(url: str) -> None:
    with pytest.raises(StreamError, match="cut off") as caught:
        ask(url, "cut")
    assert (caught.value.reply.text, caught.value.reply.state) == ("one two ", "cut off")


def test_a_connection_dropped_before_the_headers_is_an_error_and_no_reply(url: str) -> None:
    with pytest.raises(ConnectError, match="the connection broke before an answer came"):
        ask(url, "drop")


def test_an_error_of_the_server_is_named_and_tried_again(url: str) -> None:
    with pytest.raises(ApiError) as caught:
        ask(url, "fail")
    assert caught.value.status == 500
    before = count_requests(url)
    with pytest.raises(ApiError):
        ask(url, "fail", max_retries=2, retry_base_s=0.01)
    assert count_requests(url) - before == 3


def count_requests(url: str) -> int:
    headers = {"Authorization": f"Bearer {KEY}"}
    return len(httpx.get(f"{url}/_requests", headers=headers).json())


def test_a_rate_limit_is_waited_for_as_long_as_the_server_asks(url: str) -> None:
    start = time.perf_counter()
    with pytest.raises(RateLimitError):
        ask(url, "limit", max_retries=1, retry_base_s=0)
    assert 1 <= time.perf_counter() - start < 5  # Retry-After: 1


def test_a_body_that_is_not_json_is_no_reply(url: str) -> None:
    with pytest.raises(StreamError, match="not JSON"):
        ask(url, "malformed")


def test_a_late_answer_is_waited_for_within_the_bounds(url: str) -> None:
    assert ask(url, "late").text == TEXT
    with pytest.raises(ConnectError, match=r"no answer within 0\.1 s"):
        ask(url, "late", first_byte_timeout_s=0.1)


def test_a_reply_may_be_left_at_once(url: str) -> None:
    async def leave(client: AsyncClient) -> str:
        async with client.stream("long", model="gpt-4") as stream:
            async for event in stream:
                if type(event) is TextDelta:
                    break
        return stream.reply.state

    start = time.perf_counter()
    assert run(url, leave) == "stopped"
    assert time.perf_counter() - start < 5  # whole, it takes 16 s


def test_an_unknown_prompt_is_refused_in_the_words_of_the_server(url: str) -> None:
    with pytest.raises(ApiError, match="No fixture matched") as caught:
        ask(url, "nobody answers this")
    assert caught.value.status == 404


def test_a_wrong_key_is_refused(url: str) -> None:
    with pytest.raises(AuthError):
        ask(url, "plain", key="not-the-key")
