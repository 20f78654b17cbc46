"""The test server keeps to the wire shapes of the GLM API, written out here byte by byte."""

import base64
import hashlib
import hmac
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from glm_server import (
    DEMO,
    SEARCH,
    SOURCES,
    THINKING,
    ApiFailure,
    GlmServer,
    Script,
    call,
    failure,
)

USER = {"role": "user", "content": "你好"}
ASK = {"model": "glm-4.7", "messages": [USER]}
STREAM = {**ASK, "stream": True}
USAGE = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
WEB_SEARCH = {"enable": True, "search_result": True, "search_engine": "search_pro_sogou"}
WEATHER = {"function": {"name": "get_weather", "arguments": '{"city":"北京"}'}}
FUNCTION = {"name": "f", "description": "Does it.", "parameters": {"type": "object"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "42"}


@pytest.fixture
def api(server: GlmServer) -> Iterator[httpx.Client]:
    """A plain HTTP client of the server, with its key."""
    headers = {"Authorization": f"Bearer {server.key}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=5.0) as client:
        yield client


def ask(api: httpx.Client, **fields: Any) -> httpx.Response:
    return api.post("/chat/completions", json={**ASK, **fields})


def searching(**options: Any) -> dict[str, Any]:
    return {"tools": [{"type": "web_search", "web_search": {**WEB_SEARCH, **options}}]}


def using(kind: str, *tools: dict[str, Any]) -> dict[str, Any]:
    return {"tools": [{"type": kind, kind: tool} for tool in tools]}


def calling(**fields: Any) -> list[dict[str, Any]]:
    """Return a history with a call in it that differs from a good one by these fields."""
    return [USER, {**CALLING, "tool_calls": [{**CALL, **fields}]}, RESULT]


def parse_chunks(response: httpx.Response) -> list[Any]:
    """Return the JSON of each event; the stream must end with [DONE]."""
    *events, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


def build_jwt(key: str, exp_ms: float, secret: str = "") -> str:
    """Return the token that older clients make of a key."""
    key_id, _, key_secret = key.partition(".")
    claims = {"api_key": key_id, "exp": exp_ms, "timestamp": exp_ms - 180_000}
    parts = ({"alg": "HS256", "sign_type": "SIGN"}, claims)
    signed = ".".join(encode_base64url(json.dumps(part).encode()) for part in parts)
    digest = hmac.new((secret or key_secret).encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{encode_base64url(digest)}"


def encode_base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def in_an_hour_ms() -> float:
    return (time.time() + 3600) * 1000


def test_a_stream_is_the_documented_bytes(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(text=("北京", "是首都。"), usage=USAGE)
    response = ask(api, stream=True)
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["transfer-encoding"] == "chunked"
    first = json.loads(response.text.split("\n")[0].removeprefix("data: "))
    assert re.fullmatch(r"\d{14}[0-9a-f]{16}", first["id"])
    shared = (
        f'data: {{"id":"{first["id"]}","created":{first["created"]},'
        '"object":"chat.completion.chunk","model":"glm-4.7","choices":[{"index":0,'
    )
    assert response.text == (
        shared + '"delta":{"role":"assistant","content":"北京"}}]}\n\n'
        f'{shared}"delta":{{"role":"assistant","content":"是首都。"}}}}]}}\n\n'
        f'{shared}"finish_reason":"stop","delta":{{"role":"assistant","content":""}}}}],'
        '"usage":{"prompt_tokens":2,"completion_tokens":3,"total_tokens":5}}\n\n'
        "data: [DONE]\n\n"
    )


def test_an_id_begins_with_the_time_in_beijing(api: httpx.Client) -> None:
    reply = ask(api).json()
    beijing = time.gmtime(reply["created"] + 8 * 3600)
    assert reply["id"][:14] == time.strftime("%Y%m%d%H%M%S", beijing)


def test_a_reply_in_one_piece_has_the_documented_keys(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(reasoning=("想", "想"), text=("答", "案"), usage=USAGE)
    reply = ask(api, request_id="nb-0001").json()
    assert reply == {
        "id": reply["id"],
        "request_id": "nb-0001",
        "created": reply["created"],
        "model": "glm-4.7",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "答案", "reasoning_content": "想想"},
            }
        ],
        "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5},
    }


def test_thinking_comes_before_the_answer_and_is_counted(
    server: GlmServer, api: httpx.Client
) -> None:
    server.script = Script(reasoning=("17乘以20",), text=("391",))
    *pieces, last = parse_chunks(ask(api, stream=True))
    assert [piece["choices"][0]["delta"] for piece in pieces] == [
        {"role": "assistant", "reasoning_content": "17乘以20"},
        {"role": "assistant", "content": "391"},
    ]
    assert last["usage"] == {
        "prompt_tokens": 2,
        "completion_tokens": 4,
        "total_tokens": 6,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }


def test_thinking_can_be_switched_off(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(reasoning=("想",), text=("答",))
    message = ask(api, thinking={"type": "disabled"}).json()["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "答"}


def test_no_finish_reason_and_no_usage_before_the_last_chunk(api: httpx.Client) -> None:
    *pieces, last = parse_chunks(ask(api, stream=True))
    assert all(set(piece["choices"][0]) == {"index", "delta"} for piece in pieces)
    assert not any("usage" in piece for piece in pieces)
    assert set(last) == {"id", "created", "object", "model", "choices", "usage"}


def test_legacy_chunks_have_no_object(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(legacy=True)
    assert not any("object" in chunk for chunk in parse_chunks(ask(api, stream=True)))


def test_tool_calls_come_in_one_chunk(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(text=(), tool_calls=(WEATHER,), usage=USAGE)
    (chunk,) = parse_chunks(ask(api, stream=True))
    call = {"id": f"call_{chunk['id']}", "index": 0, "type": "function", **WEATHER}
    assert chunk["choices"] == [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "delta": {"role": "assistant", "tool_calls": [call]},
        }
    ]
    assert chunk["usage"] == USAGE


def test_tool_calls_in_one_piece_leave_content_null(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(text=(), tool_calls=(WEATHER, WEATHER))
    reply = ask(api).json()
    assert reply["choices"][0]["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": f"call_{reply['id']}", "type": "function", **WEATHER},
            {"id": f"call_{reply['id']}1", "type": "function", **WEATHER},
        ],
    }


def test_a_call_is_made_of_a_name_and_arguments() -> None:
    assert call("rename", name="北京", to=None) == {
        "function": {"name": "rename", "arguments": '{"name": "北京", "to": null}'}
    }


def test_a_call_may_bring_its_id(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(tool_calls=({"id": "call_x", **WEATHER}, WEATHER))
    reply = ask(api).json()
    first, second = reply["choices"][0]["message"]["tool_calls"]
    assert (first["id"], second["id"]) == ("call_x", f"call_{reply['id']}1")


def test_calls_of_mcp_pass_as_they_are(server: GlmServer, api: httpx.Client) -> None:
    entry = {"type": "mcp", "mcp": {"id": "m", "type": "mcp_call", "server_label": "maps"}}
    server.script = Script(text=(), tool_calls=(entry,))
    assert ask(api).json()["choices"][0]["message"]["tool_calls"] == [entry]
    for fields in ({}, {"tool_stream": True}):
        first = parse_chunks(ask(api, stream=True, **fields))[0]
        assert first["choices"][0]["delta"]["tool_calls"] == [{"index": 0, **entry}]


def test_tool_calls_come_in_pieces_when_asked_for(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(text=("好",), tool_calls=(WEATHER, call("now")), usage=USAGE)
    text, *pieces, last = parse_chunks(ask(api, stream=True, tool_stream=True))
    assert text["choices"][0]["delta"] == {"role": "assistant", "content": "好"}
    assert [piece["choices"] for piece in pieces] == [
        [{"index": 0, "delta": {"role": "assistant", "tool_calls": [delta]}}]
        for delta in (
            {
                "index": 0,
                "id": f"call_{text['id']}",
                "type": "function",
                "function": {"name": "get_weather", "arguments": ""},
            },
            {"index": 0, "function": {"arguments": '{"ci'}},
            {"index": 0, "function": {"arguments": 'ty":'}},
            {"index": 0, "function": {"arguments": '"北京"'}},
            {"index": 0, "function": {"arguments": "}"}},
            {
                "index": 1,
                "id": f"call_{text['id']}1",
                "type": "function",
                "function": {"name": "now", "arguments": ""},
            },
            {"index": 1, "function": {"arguments": "{}"}},
        )
    ]
    closing = {"index": 0, "delta": {"role": "assistant", "content": ""}}
    assert last["choices"] == [closing | {"finish_reason": "tool_calls"}]
    assert last["usage"] == USAGE


def test_a_reply_in_one_piece_has_no_pieces_of_calls(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(tool_calls=(WEATHER,))
    (choice,) = ask(api, tool_stream=True).json()["choices"]
    assert choice["message"]["tool_calls"][0]["function"] == WEATHER["function"]


def test_a_stream_can_be_cut_inside_a_call(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(text=(), tool_calls=(WEATHER,), cut_after=3)
    seen: list[str] = []
    with (
        pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"),
        api.stream("POST", "/chat/completions", json={**STREAM, "tool_stream": True}) as response,
    ):
        seen.extend(line for line in response.iter_lines() if line)
    assert len(seen) == 3
    assert '"arguments":"ty\\":"' in seen[-1]


def test_a_sensitive_stream_names_who_was_blocked(server: GlmServer, api: httpx.Client) -> None:
    blocked = ({"role": "user", "level": 1},)
    server.script = Script(text=(), finish_reason="sensitive", content_filter=blocked)
    (chunk,) = parse_chunks(ask(api, stream=True))
    assert chunk["choices"] == [
        {"index": 0, "finish_reason": "sensitive", "delta": {"role": "user", "content": ""}}
    ]
    assert chunk["content_filter"] == [{"role": "user", "level": 1}]
    assert "usage" not in chunk


def test_a_sensitive_reply_in_one_piece_is_refused(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(finish_reason="sensitive")
    response = ask(api)
    assert response.status_code == 400
    assert response.json()["contentFilter"] == [{"level": 1, "role": "user"}]
    assert response.json()["error"]["code"] == "1301"


def test_sources_ride_on_the_last_chunk(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(text=("a",), sources=SOURCES)
    first, last = parse_chunks(ask(api, stream=True, **searching()))
    assert "web_search" not in first
    assert last["web_search"][0] == {
        "refer": "ref_1",
        "title": "一季度国民经济开局良好",
        "link": "https://example.org/stats/2024q1",
        "content": "初步核算，一季度国内生产总值296299亿元，按不变价格计算同比增长5.3%。",
        "media": "示例统计网",
        "icon": "https://example.org/favicon.ico",
        "publish_date": "2024-04-16",
    }
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["usage"]["prompt_tokens"] == 1002


def test_sources_come_at_the_top_level_of_one_piece(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(sources=SOURCES)
    assert len(ask(api, **searching()).json()["web_search"]) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {},
        searching(enable=False),
        searching(search_result=False),
        {"tools": [{"type": "function", "function": FUNCTION}]},
    ],
)
def test_sources_come_only_when_asked_for(
    server: GlmServer, api: httpx.Client, fields: dict[str, Any]
) -> None:
    server.script = Script(sources=SOURCES)
    assert "web_search" not in ask(api, **fields).json()


@pytest.mark.parametrize("engine", ["search_std", "search_pro", None])
def test_some_engines_give_no_links(
    server: GlmServer, api: httpx.Client, engine: str | None
) -> None:
    server.script = Script(sources=SOURCES)
    sources = ask(api, **searching(search_engine=engine)).json()["web_search"]
    assert [source["link"] for source in sources] == ["", ""]


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "1001"),
        ("", "1001"),
        ("Bearer wrong.key", "1000"),
        ("test-key-id.test-secret", "1000"),
        ("Bearer a.b.c", "1002"),
        ("Bearer " + build_jwt("test-key-id.test-secret", 1_000.0), "1003"),
        # Seconds where milliseconds are meant.
        ("Bearer " + build_jwt("test-key-id.test-secret", in_an_hour_ms() / 1000), "1003"),
        ("Bearer " + build_jwt("other.test-secret", in_an_hour_ms()), "1000"),
        ("Bearer " + build_jwt("test-key-id.wrong", in_an_hour_ms()), "1000"),
    ],
)
def test_a_bad_key_is_refused_with_401(server: GlmServer, header: str | None, code: str) -> None:
    headers = {} if header is None else {"Authorization": header}
    response = httpx.post(server.url + "/chat/completions", json=ASK, headers=headers)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == code


@pytest.mark.parametrize("prefix", ["Bearer ", ""])
def test_a_token_made_of_the_key_is_accepted(server: GlmServer, prefix: str) -> None:
    headers = {"Authorization": prefix + build_jwt(server.key, in_an_hour_ms())}
    response = httpx.post(server.url + "/chat/completions", json=ASK, headers=headers)
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"model": "glm-9"}, "1211"),
        ({"model": None}, "1213"),
        ({"messages": None}, "1213"),
        ({"messages": []}, "1214"),
        ({"messages": "你好"}, "1214"),
        ({"messages": [{"role": "system", "content": "x"}]}, "1214"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "1214"),
        ({"messages": [USER, {"role": "developer", "content": "x"}]}, "1214"),
        ({"temperature": 1.5}, "1214"),
        ({"temperature": True}, "1214"),
        ({"top_p": 0}, "1214"),
        ({"max_tokens": 0}, "1214"),
        ({"max_tokens": 131073}, "1214"),
        ({"stop": "x"}, "1214"),
        ({"request_id": "short"}, "1214"),
        ({"stream": "yes"}, "1214"),
        ({"tools": [{"type": "web_search"}]}, "1214"),
        (searching(count=51), "1214"),
        ({"tool_stream": "yes"}, "1214"),
        ({"response_format": "json_object"}, "1214"),
        ({"response_format": {"type": "xml"}}, "1214"),
        ({"model": "glm-5.3", "thinking": {"type": "disabled"}}, "1210"),
        ({"model": "GLM-5.3-Flash", "reasoning_effort": "none"}, "1210"),
    ],
)
def test_a_bad_body_is_refused_with_400(
    api: httpx.Client, fields: dict[str, Any], code: str
) -> None:
    response = ask(api, **fields)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == code


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "GLM-4.7"},
        {"temperature": 0, "top_p": 1, "max_tokens": 131072, "stop": ["。"]},
        {"model": "glm-5.3", "reasoning_effort": "low", "thinking": {"type": "enabled"}},
        {"thinking": None, "response_format": None, "unknown": 1},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
        {"tool_stream": False, "response_format": {"type": "text"}},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
        {"tool_choice": "auto"},
        {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        using("function", *[FUNCTION] * 128),
        using("function", {**FUNCTION, "name": "a-Z_0" + "x" * 59}),
        using("retrieval", {"knowledge_id": "1"}),
        using("mcp", {"server_label": "maps"}, {"server_label": "x", "server_url": "https://x"}),
        {"tools": []},
    ],
)
def test_a_documented_body_is_accepted(api: httpx.Client, fields: dict[str, Any]) -> None:
    assert ask(api, **fields).status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        using("function", *[FUNCTION] * 129),
        using("function", {**FUNCTION, "name": "get weather"}),
        using("function", {**FUNCTION, "name": "天气"}),
        using("function", {**FUNCTION, "name": "f\n"}),
        using("function", {**FUNCTION, "name": ""}),
        using("function", {**FUNCTION, "name": "x" * 65}),
        using("function", {"name": "f", "parameters": {}}),
        using("function", {"name": "f", "description": "Does it."}),
        using("function", {**FUNCTION, "parameters": "{}"}),
        using("retrieval", {"prompt_template": "{{ knowledge }}"}),
        using("retrieval", {"knowledge_id": 1}),
        using("mcp", {"server_url": "https://example.org"}),
        using("browser", {}),
        {"tools": ["web_search"]},
        {"tools": [{"type": "function", "function": "f"}]},
        {"tools": [*using("function", FUNCTION)["tools"], *searching()["tools"]]},
        {"tools": {"type": "function", "function": FUNCTION}},
    ],
)
def test_bad_tools_are_refused(api: httpx.Client, fields: dict[str, Any]) -> None:
    response = ask(api, **fields)
    assert response.status_code == 400
    assert response.text == '{"error":{"code":"1214","message":"tools 参数非法。请检查文档。"}}'


@pytest.mark.parametrize(
    "messages",
    [
        [USER, CALLING, RESULT],
        [USER, {**CALLING, "content": "", "reasoning_content": "想"}, RESULT, USER],
        [USER, {**CALLING, "content": "好"}, RESULT, CALLING, RESULT],
        [
            USER,
            {**CALLING, "tool_calls": [CALL, {**CALL, "id": "c2"}]},
            {**RESULT, "tool_call_id": "c2", "content": ""},
            RESULT,
            {"role": "assistant", "content": "42", "tool_calls": None},
        ],
    ],
)
def test_a_history_with_answered_calls_is_accepted(
    api: httpx.Client, messages: list[dict[str, Any]]
) -> None:
    assert ask(api, messages=messages).status_code == 200


@pytest.mark.parametrize(
    "messages",
    [
        [USER, RESULT],
        [USER, CALLING],
        [USER, CALLING, USER],
        [USER, CALLING, USER, RESULT],
        [USER, CALLING, RESULT, RESULT],
        [USER, CALLING, {**RESULT, "tool_call_id": "c2"}],
        [USER, CALLING, {"role": "tool", "content": "42"}],
        [USER, CALLING, {**RESULT, "content": {"answer": 42}}],
        [USER, CALLING, {**RESULT, "content": None}],
        [USER, {**CALLING, "tool_calls": [CALL, {**CALL, "id": "c2"}]}, RESULT],
        [USER, {**CALLING, "tool_calls": CALL}, RESULT],
        [USER, {**CALLING, "tool_calls": 1}, RESULT],
        [USER, {**CALLING, "tool_calls": [{**CALL, "id": ""}]}, {**RESULT, "tool_call_id": ""}],
        [USER, {**CALLING, "tool_calls": ["c1"]}, RESULT],
        [USER, {**CALLING, "content": 1}, RESULT],
        [USER, {"role": "assistant", "content": None}, USER],
        [USER, {"role": "assistant", "content": ""}, USER],
        [USER, {"role": "assistant", "tool_calls": []}, USER],
        [USER, "你好"],
        [USER, {"role": ["user"], "content": "x"}],
        calling(id=None),
        calling(type=None),
        calling(type="mcp"),
        calling(function=None),
        calling(function={"arguments": "{}"}),
        calling(function={"name": "f", "arguments": {}}),
        calling(function={"name": "f", "arguments": ""}),
        calling(function={"name": "f", "arguments": '{"city":'}),
    ],
)
def test_a_history_that_does_not_fit_is_refused(api: httpx.Client, messages: list[Any]) -> None:
    response = ask(api, messages=messages)
    assert response.status_code == 400
    assert response.text == '{"error":{"code":"1214","message":"messages 参数非法。请检查文档。"}}'


def test_a_body_that_is_no_json_is_refused(server: GlmServer, api: httpx.Client) -> None:
    response = api.post("/chat/completions", content=b"{")
    assert response.json()["error"]["code"] == "1210"
    assert server.requests[0].json is None


def test_an_illegal_field_is_named(api: httpx.Client) -> None:
    response = ask(api, messages=[{"role": "system", "content": "x"}])
    assert response.text == '{"error":{"code":"1214","message":"messages 参数非法。请检查文档。"}}'


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("1113", 429),
        ("1220", 403),
        ("1234", 500),
        ("1261", 400),
        ("1302", 429),
        ("1305", 429),
        ("1308", 429),
    ],
)
def test_a_scripted_error_is_refused_with_its_status(
    server: GlmServer, api: httpx.Client, code: str, status: int
) -> None:
    server.script = Script(error=failure(code))
    response = ask(api, stream=True)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert set(response.json()) == {"error"}
    assert response.json()["error"]["code"] == code


def test_a_scripted_error_carries_its_headers(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(error=failure("1302", "慢一点", retry_after="2"))
    response = ask(api)
    assert response.headers["retry-after"] == "2"
    assert response.json() == {"error": {"code": "1302", "message": "慢一点"}}


def test_a_gateway_fails_without_a_code(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(error=ApiFailure(529, message="<h1>Overloaded</h1>"))
    response = ask(api)
    assert (response.status_code, response.text) == (529, "<h1>Overloaded</h1>")
    assert response.headers["content-type"] == "text/html"


def test_v1_after_v4_is_a_404_of_spring(api: httpx.Client) -> None:
    response = api.post("/v1/chat/completions", json=ASK)
    assert response.status_code == 404
    assert response.json() == {
        "status": 404,
        "error": "Not Found",
        "path": "/v4/v1/chat/completions",
    }


def test_other_prefixes_are_served(server: GlmServer, api: httpx.Client) -> None:
    url = server.url.replace("/paas/", "/coding/paas/")
    assert api.post(url + "/chat/completions", json=ASK).status_code == 200


def test_more_requests_than_the_limit_are_refused_without_advice(
    server: GlmServer, api: httpx.Client
) -> None:
    server.concurrency = 1
    server.script = Script(stall_after=1)
    with api.stream("POST", "/chat/completions", json=STREAM):
        refused = ask(api)
        server.script = Script()
        other = ask(api, model="glm-4.6")
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "1302"
    assert "retry-after" not in refused.headers
    assert other.status_code == 200


def test_a_place_is_free_again_once_the_reply_is_whole(
    server: GlmServer, api: httpx.Client
) -> None:
    server.concurrency = 1
    assert [ask(api, stream=True).status_code for _ in range(3)] == [200, 200, 200]


def test_a_place_is_free_again_once_the_client_left(server: GlmServer, api: httpx.Client) -> None:
    server.concurrency = 1
    server.queue(Script(stall_after=1))
    with api.stream("POST", "/chat/completions", json=STREAM):
        pass
    server.wait_for_disconnect()
    assert ask(api).status_code == 200


def test_requests_in_flight_are_counted(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(stall_after=0)
    with ExitStack() as streams:
        for _ in range(3):
            streams.enter_context(api.stream("POST", "/chat/completions", json=STREAM))
        assert server.peak_in_flight == 3


@pytest.mark.parametrize(
    ("script", "chunks_sent"),
    [
        (Script(stall_after=2), 2),
        (Script(stall_after=0), 0),
        (Script(pace_s=30.0), 1),
        (Script(first_chunk_delay_s=30.0), 0),
    ],
)
def test_a_client_that_leaves_a_silent_stream_is_noticed_at_once(
    server: GlmServer, api: httpx.Client, script: Script, chunks_sent: int
) -> None:
    server.script = script
    with api.stream("POST", "/chat/completions", json=STREAM):
        server.wait_for_requests(1)
        if chunks_sent:
            server.wait_for_chunks(chunks_sent)
    left_at = time.time()
    disconnect = server.wait_for_disconnect(timeout_s=0.5)
    assert disconnect.chunks_sent == chunks_sent
    assert disconnect.path == "/api/paas/v4/chat/completions"
    assert -0.1 < disconnect.at - left_at < 0.5


@pytest.mark.parametrize("script", [Script(headers_delay_s=30.0), Script(stall_after=1)])
def test_a_client_that_leaves_before_the_headers_is_noticed(
    server: GlmServer, api: httpx.Client, script: Script
) -> None:
    server.script = script
    with pytest.raises(httpx.ReadTimeout):
        api.post("/chat/completions", json=ASK, timeout=0.2)
    assert server.wait_for_disconnect(timeout_s=0.5).chunks_sent == 0


def test_a_client_whose_socket_is_reset_is_noticed(server: GlmServer) -> None:
    server.script = Script(stall_after=1)
    address = ("127.0.0.1", httpx.URL(server.url).port)
    with socket.create_connection(address) as client:
        body = json.dumps(STREAM)
        client.sendall(
            f"POST /chat/completions HTTP/1.1\r\nAuthorization: Bearer {server.key}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        server.wait_for_chunks(1)
        # Linger of zero seconds: close sends a reset.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert server.wait_for_disconnect(timeout_s=0.5).chunks_sent == 1


def test_a_client_that_hears_the_end_did_not_leave(server: GlmServer, api: httpx.Client) -> None:
    with api.stream("POST", "/chat/completions", json=STREAM) as response:
        for line in response.iter_lines():
            if line == "data: [DONE]":
                break
    with pytest.raises(TimeoutError):
        server.wait_for_disconnect(timeout_s=0.2)


def test_disconnects_are_handed_out_in_turn(server: GlmServer, api: httpx.Client) -> None:
    server.queue(Script(stall_after=1), Script(stall_after=2))
    for count in (1, 2):
        with api.stream("POST", "/chat/completions", json=STREAM):
            server.wait_for_chunks(count)
    sent = [server.wait_for_disconnect().chunks_sent for _ in range(2)]
    assert sent == [1, 2]
    assert len(server.disconnects) == 2


@pytest.mark.parametrize("count", [0, 1, 3, 99])
def test_a_cut_stream_is_a_protocol_error(server: GlmServer, api: httpx.Client, count: int) -> None:
    server.script = Script(text=("a", "b", "c"), cut_after=count)
    seen: list[str] = []
    with (
        pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"),
        api.stream("POST", "/chat/completions", json=STREAM) as response,
    ):
        seen.extend(line for line in response.iter_lines() if line)
    assert len(seen) == min(count, 4)
    assert server.disconnects == []


def test_a_cut_reply_in_one_piece_is_a_protocol_error(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(cut_after=0)
    with pytest.raises(httpx.RemoteProtocolError):
        ask(api)


def test_a_stream_may_end_without_a_finish(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(text=("a", "b", "c"), end_after=2)
    text = ask(api, stream=True).text
    assert text.count("data: ") == 2
    assert "finish_reason" not in text


def test_an_error_in_the_stream_comes_after_the_text(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(
        text=("a",), in_band_error={"error": {"code": "1302", "message": "太快"}}
    )
    _, error, done, rest = ask(api, stream=True).text.split("\n\n")
    assert error == 'event: error\ndata: {"error":{"code":"1302","message":"太快"}}'
    assert (done, rest) == ("data: [DONE]", "")


def test_malformed_bytes_are_sent_as_they_are(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(malformed=b"data: {\xff\r\rdata")
    assert ask(api, stream=True).content == b"data: {\xff\r\rdata"


def test_a_captive_portal_replies_200_with_html(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(html=True)
    response = ask(api, stream=True)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"


def test_a_redirect_names_its_address(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(redirect="https://example.org/elsewhere")
    response = ask(api)
    assert response.status_code == 307
    assert response.headers["location"] == "https://example.org/elsewhere"


def test_chunks_are_stamped_and_paced(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(text=("a", "b"), first_chunk_delay_s=0.1, pace_s=0.05)
    began = time.time()
    ask(api, stream=True)
    times, indexes = zip(*server.sent, strict=True)
    assert indexes == (0, 1, 2)
    assert times[0] - began >= 0.1
    assert times[2] - times[0] >= 0.1


def test_each_chunk_arrives_as_it_is_sent(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(text=("a", "b"), pace_s=0.2)
    with api.stream("POST", "/chat/completions", json=STREAM) as response:
        next(response.iter_bytes())
        assert len(server.sent) == 1


def test_a_stream_pauses_until_it_is_told_to_go_on_each_time(
    server: GlmServer, api: httpx.Client
) -> None:
    server.script = Script(text=("a", "b"), pauses=(1, 2))
    with api.stream("POST", "/chat/completions", json=STREAM) as response:
        pieces = response.iter_bytes()
        for count in (1, 2):
            next(pieces)
            assert len(server.sent) == count
            server.go_on()
        assert b"".join(pieces).endswith(b"data: [DONE]\n\n")


def test_queued_scripts_are_used_up_first(server: GlmServer, api: httpx.Client) -> None:
    server.queue(Script(error=failure("1302")), Script(text=("queued",)))
    server.script = Script(text=("then",))
    assert ask(api).status_code == 429
    # A request that is refused by itself uses up nothing.
    assert ask(api, model="glm-9").status_code == 400
    replies = [ask(api).json()["choices"][0]["message"]["content"] for _ in range(2)]
    assert replies == ["queued", "then"]


def test_a_script_may_depend_on_the_request(server: GlmServer, api: httpx.Client) -> None:
    def repeat(body: dict[str, Any]) -> Script:
        return Script(text=(body["messages"][-1]["content"], "！"))

    server.queue(repeat)
    server.script = lambda body: Script(error=failure("1302") if body.get("stream") else None)
    assert ask(api, stream=False).json()["choices"][0]["message"]["content"] == "你好！"
    assert [ask(api, stream=stream).status_code for stream in (True, False)] == [429, 200]


def test_a_function_as_script_serves_embeddings_too(server: GlmServer, api: httpx.Client) -> None:
    server.script = lambda body: Script(embeddings_dims=len(body["input"]))
    reply = api.post("/embeddings", json={"model": "embedding-3", "input": "苹果"}).json()
    assert len(reply["data"][0]["embedding"]) == 2


def test_a_bug_in_a_script_is_raised_by_the_server() -> None:
    def fail(body: dict[str, Any]) -> Script:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), GlmServer() as server:
        server.script = fail
        headers = {"Authorization": f"Bearer {server.key}"}
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.post(server.url + "/chat/completions", json=ASK, headers=headers)


def test_requests_are_kept(server: GlmServer, api: httpx.Client) -> None:
    before = time.time()
    ask(api)
    (request,) = server.wait_for_requests(1)
    assert (request.method, request.path) == ("POST", "/api/paas/v4/chat/completions")
    assert request.headers["authorization"] == "Bearer test-key-id.test-secret"
    assert request.json == {"model": "glm-4.7", "messages": [{"role": "user", "content": "你好"}]}
    assert before <= request.at <= time.time()


def test_one_socket_serves_reply_after_reply(server: GlmServer, api: httpx.Client) -> None:
    for stream in (False, True, False):
        assert ask(api, stream=stream).status_code == 200
    with httpx.Client() as other:
        other.get(server.url + "/models")
    assert server.disconnects == []


def test_async_chat_says_processing_then_success(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(text=("答案",), processing_polls=2, usage=USAGE)
    submitted = api.post("/async/chat/completions", json=ASK).json()
    task_id = submitted["id"]
    processing = {
        "id": task_id,
        "request_id": task_id,
        "model": "glm-4.7",
        "task_status": "PROCESSING",
    }
    assert submitted == processing
    replies = [api.get(f"/async-result/{task_id}").json() for _ in range(3)]
    assert replies[:2] == [processing, processing]
    assert replies[2] == {
        "id": task_id,
        "request_id": task_id,
        "created": replies[2]["created"],
        "model": "glm-4.7",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "答案"},
            }
        ],
        "usage": USAGE,
        "task_status": "SUCCESS",
    }


def test_async_chat_can_fail(server: GlmServer, api: httpx.Client) -> None:
    server.script = Script(task_fails=True, processing_polls=0)
    task_id = api.post("/async/chat/completions", json=ASK).json()["id"]
    reply = api.get(f"/async-result/{task_id}").json()
    assert reply["task_status"] == "FAIL"
    assert "choices" not in reply


@pytest.mark.parametrize(
    ("asked", "echoed"),
    [("glm-4.6", "GLM-4.7"), ("glm-4.7", "glm-4.7-ali"), ("glm-5.3", "GLM-5.3")],
)
def test_async_chat_can_answer_with_another_model(
    server: GlmServer, api: httpx.Client, asked: str, echoed: str
) -> None:
    server.script = Script(substitutes_model=True, null_model=True, processing_polls=0)
    submitted = api.post("/async/chat/completions", json={**ASK, "model": asked}).json()
    assert submitted["model"] is None
    assert api.get(f"/async-result/{submitted['id']}").json()["model"] == echoed


def test_async_chat_cannot_stream(api: httpx.Client) -> None:
    assert api.post("/async/chat/completions", json=STREAM).json()["error"]["code"] == "1212"


def test_an_unknown_task_is_refused(api: httpx.Client) -> None:
    assert api.get("/async-result/none").json()["error"]["code"] == "1214"


def test_embeddings_are_unit_vectors_in_the_order_of_the_texts(api: httpx.Client) -> None:
    body = {"model": "embedding-3", "input": ["苹果", "apple", "苹果"]}
    reply = api.post("/embeddings", json=body).json()
    first, second, third = (entry["embedding"] for entry in reply["data"])
    assert first == third != second
    assert len(first) == 8
    assert sum(number**2 for number in first) == pytest.approx(1.0)
    assert [(entry["object"], entry["index"]) for entry in reply["data"]] == [
        ("embedding", 0),
        ("embedding", 1),
        ("embedding", 2),
    ]
    assert (reply["object"], reply["model"]) == ("list", "embedding-3")
    assert reply["usage"] == {"prompt_tokens": 6, "completion_tokens": 0, "total_tokens": 6}


def test_embeddings_have_the_width_asked_for(server: GlmServer, api: httpx.Client) -> None:
    body = {"model": "embedding-3", "input": "苹果"}
    server.script = Script(embeddings_dims=1024)
    widths = []
    for fields in ({}, {"dimensions": 256}):
        (entry,) = api.post("/embeddings", json={**body, **fields}).json()["data"]
        widths.append(len(entry["embedding"]))
    assert widths == [1024, 256]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"input": ["x"] * 65}, "1214"),
        ({"input": []}, "1214"),
        ({"input": ""}, "1214"),
        ({"input": [1, 2]}, "1214"),
        ({"input": None}, "1213"),
        ({"dimensions": 0}, "1214"),
        ({"model": "embedding-9"}, "1211"),
    ],
)
def test_bad_embedding_requests_are_refused(
    api: httpx.Client, fields: dict[str, Any], code: str
) -> None:
    response = api.post("/embeddings", json={"model": "embedding-3", "input": "x", **fields})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == code


def test_64_texts_are_embedded(api: httpx.Client) -> None:
    body = {"model": "embedding-3", "input": ["x"] * 64}
    assert len(api.post("/embeddings", json=body).json()["data"]) == 64


def test_models_are_the_ten_text_models_and_added_ones(
    server: GlmServer, api: httpx.Client
) -> None:
    server.models.add("glm-6")
    reply = api.get("/models").json()
    assert reply["object"] == "list"
    assert [entry["id"] for entry in reply["data"]] == [
        "glm-4.5",
        "glm-4.5-air",
        "glm-4.6",
        "glm-4.7",
        "glm-5",
        "glm-5-turbo",
        "glm-5.1",
        "glm-5.2",
        "glm-5.3",
        "glm-5.3-flash",
        "glm-6",
    ]
    assert set(reply["data"][0]) == {"id", "object", "created", "owned_by"}
    assert ask(api, model="glm-6").status_code == 200


def test_a_search_of_its_own_gives_the_documented_keys(api: httpx.Client) -> None:
    body = {"search_query": "GDP", "search_engine": "search_pro_sogou", "count": 1}
    reply = api.post("/web_search", json=body).json()
    assert set(reply) == {"id", "created", "request_id", "search_intent", "search_result"}
    assert reply["search_intent"] == [{"query": "GDP", "intent": "SEARCH_ALL", "keywords": "GDP"}]
    (source,) = reply["search_result"]
    assert source["link"] == "https://example.org/stats/2024q1"


def test_a_search_with_a_plain_engine_has_no_links(api: httpx.Client) -> None:
    body = {"search_query": "GDP", "search_engine": "search_std"}
    sources = api.post("/web_search", json=body).json()["search_result"]
    assert [source["link"] for source in sources] == ["", ""]


def test_a_search_without_an_engine_is_refused_in_the_platforms_words(api: httpx.Client) -> None:
    response = api.post("/web_search", json={"search_query": "GDP"})
    assert response.status_code == 400
    assert response.json() == {
        "error": {
            "code": "1214",
            "message": "search_engine:The search_engine cannot both be empty.",
        }
    }


@pytest.mark.parametrize("script", [DEMO, SEARCH, THINKING])
def test_demo_scripts_join_to_markdown_and_stream_in_many_pieces(script: Script) -> None:
    assert len(script.text) > 10
    assert "**" in "".join(script.text)


def test_leaving_the_server_ends_its_thread_in_the_middle_of_a_stream() -> None:
    with ExitStack() as clients:
        with GlmServer() as server:
            server.script = Script(stall_after=1)
            headers = {"Authorization": f"Bearer {server.key}"}
            client = clients.enter_context(httpx.Client(base_url=server.url, headers=headers))
            clients.enter_context(client.stream("POST", "/chat/completions", json=STREAM))
        assert "glm-server" not in [thread.name for thread in threading.enumerate()]
    assert server.disconnects == []


def test_a_port_of_a_stopped_server_refuses() -> None:
    with GlmServer() as server:
        url = server.url
    with pytest.raises(httpx.ConnectError):
        httpx.get(url + "/models")
