"""A loopback server with the wire shape of the GLM API, and the scripts it replies by.

Shapes are those of docs.bigmodel.cn and docs.z.ai (chat completion, async chat, embeddings, web
search, error codes; read May to September 2026) and of public captures of real streams (2024 to
2026). The platform's own client, zai-sdk, is run against it in `unit/test_official_sdk.py`.

    with GlmServer() as server:
        server.script = Script(text=("Hello", " world"), pace_s=0.01)
        ...  # send to server.url with server.key
        assert server.requests[0].json["model"] == "glm-4.7-flash"

It can be played with by hand: `python tests/glm_server.py --port 8000 --script search`.
"""

import argparse
import asyncio
import hashlib
import json
import math
import re
import secrets
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Literal, Self

from glm_rules import FAILURES as FAILURES  # tests find it here
from glm_rules import (
    ApiFailure,
    Json,
    check_authorization,
    check_chat,
    check_embeddings,
    check_task,
    check_web_search,
    failure,
    illegal,
)

Ending = Literal["whole", "stall", "cut", "end"]

# Ids that chat or embeddings accept: model overview of docs.bigmodel.cn and docs.z.ai, September
# 2026, and the older ids that still answered in 2026. Case does not matter to the platform.
_MODELS = """
glm-5.3 glm-5.3-flash glm-5.3-flashx glm-5.2 glm-5.1 glm-5 glm-5-turbo glm-5v-turbo
glm-4.7 glm-4.7-flash glm-4.7-flashx glm-4.6 glm-4.6v glm-4.6v-flash glm-4.6v-flashx
glm-4.5 glm-4.5-x glm-4.5-air glm-4.5-airx glm-4.5-flash glm-4.5v
glm-4.1v-thinking-flash glm-4.1v-thinking-flashx glm-4-32b-0414-128k
glm-4-flash-250414 glm-4-flashx-250414 glm-4-air-250414 glm-4-long glm-4-plus glm-4-airx
glm-4-flash glm-4v-flash glm-4v-plus-0111 glm-4-voice autoglm-phone charglm-4 emohaa codegeex-4
embedding-3 embedding-2 rerank
"""
MODELS = frozenset(_MODELS.split())
# GET /models names only ten text models, fewer than are accepted (seen in September 2026).
_LISTED = (
    "glm-5.3 glm-5.3-flash glm-5.2 glm-5.1 glm-5 glm-5-turbo glm-4.7 glm-4.6 glm-4.5 glm-4.5-air"
)
LISTED_MODELS = frozenset(_LISTED.split())
# What async chat answered with when asked for another model (seen on 7 September 2026); the
# other ids came back in upper case.
SUBSTITUTES = {"glm-4.6": "GLM-4.7", "glm-4.7": "glm-4.7-ali"}
# With these two engines every link is "" (seen on 7 September 2026); search_std is the default.
LINKLESS_ENGINES = frozenset({"search_std", "search_pro"})

BEIJING = timezone(timedelta(hours=8))
EVENT_STREAM = "text/event-stream"
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Script:
    """What one reply does; every field has a default, and the defaults are a friendly short answer.

    A chunk is one `data:` event with JSON: each piece of `reasoning`, then each piece of `text`,
    then `tool_calls` where they come in pieces, then the closing chunk with `finish_reason`,
    `usage` and `web_search`. `[DONE]` is no chunk.

    Attributes:
        reasoning: pieces of thinking; left out when the request switches thinking off.
        text: pieces of the answer.
        tool_calls: each `{"function": {"name": ..., "arguments": "<JSON>"}}` as `call()` makes
            them; `index`, `type` and, where there is none, `id` are filled in. Entries of type
            "mcp" get no more than an index. All of them ride on the closing chunk, with
            finish_reason "tool_calls"; a request with `tool_stream` gets each in chunks of its
            own before that: first id and name, then the arguments piece by piece.
        sources: entries of the `web_search` array, sent as they are, but with `link` "" when the
            engine is search_std (the default) or search_pro. Only for a request with a web_search
            tool whose `enable` and `search_result` are true. `/web_search` sends them too, and
            `SOURCES` when there are none.
        finish_reason: "sensitive" sends no usage, and without a stream it is refused with 1301.
        usage: sent as it is; None computes plausible counts.
        content_filter: top-level entries such as `{"role": "user", "level": 1}`.
        headers_delay_s: seconds before the first byte of the response.
        first_chunk_delay_s: seconds between the headers and the first chunk.
        pace_s: seconds between chunks.
        pauses: after so many chunks of a stream, each time, wait for a `GlmServer.go_on()`.
        stall_after: after so many chunks be silent until the client leaves. Without a stream,
            whatever the number: no response at all.
        cut_after: after so many chunks close the socket inside the chunked body. Without a
            stream: after half of the body.
        end_after: after so many chunks end the body properly, without `[DONE]`.
        in_band_error: data of an `event: error` (such as `{"error": {"code": ..., "message":
            ...}}`) sent instead of the closing chunk, then `[DONE]`.
        error: refuse instead of replying.
        html: reply 200 with an HTML page, as a captive portal does.
        redirect: reply 307 to this address.
        legacy: no "object" key in chunks, as in captures up to 2025.
        malformed: bytes sent as the whole body of the stream; they count as one chunk.
        embeddings_dims: width of embeddings when the request names no `dimensions`.
        spoil: takes the entries of an embeddings reply and gives those that are sent.
        processing_polls: async chat says PROCESSING to so many polls.
        task_fails: async chat then says FAIL instead of SUCCESS.
        substitutes_model: the async result names another model or upper case (`SUBSTITUTES`).
        null_model: async chat says `"model": null` while PROCESSING, as in 2024.
    """

    reasoning: tuple[str, ...] = ()
    text: tuple[str, ...] = ("Hello! ", "你好！", "I am GLM, ", "很高兴见到你。")
    tool_calls: tuple[Json, ...] = ()
    sources: tuple[Json, ...] = ()
    finish_reason: str = "stop"
    usage: Json | None = None
    content_filter: tuple[Json, ...] = ()
    headers_delay_s: float = 0.0
    first_chunk_delay_s: float = 0.0
    pace_s: float = 0.0
    pauses: tuple[int, ...] = ()
    stall_after: int | None = None
    cut_after: int | None = None
    end_after: int | None = None
    in_band_error: Json | None = None
    error: ApiFailure | None = None
    html: bool = False
    redirect: str | None = None
    legacy: bool = False
    malformed: bytes | None = None
    embeddings_dims: int = 8
    spoil: Callable[[list[Json]], list[Any]] | None = None
    processing_polls: int = 1
    task_fails: bool = False
    substitutes_model: bool = False
    null_model: bool = False

    @property
    def ending(self) -> tuple[Ending, int | None]:
        """How the reply ends and after how many chunks; None is after all of them."""
        if self.stall_after is not None:
            return "stall", self.stall_after
        if self.cut_after is not None:
            return "cut", self.cut_after
        if self.end_after is not None:
            return "end", self.end_after
        return "whole", None


# A function looks at the request's JSON first; it runs in the server's thread.
Scripted = Script | Callable[[Json], Script]


@dataclass(frozen=True, slots=True)
class Received:
    """One request: the path with its query, headers by lower-case name, `at` in seconds (epoch).

    `json` is None when the body is empty or no JSON.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    json: Any
    at: float


@dataclass(frozen=True, slots=True)
class Disconnect:
    """A client that closed its socket before its reply was whole; `at` in seconds (epoch)."""

    at: float
    chunks_sent: int
    path: str


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What all chunks of one reply share; `created` in seconds (epoch)."""

    id: str
    request_id: str
    created: int
    model: str


@dataclass(slots=True)
class _Task:
    script: Script
    body: Json
    stamp: _Stamp
    polls_left: int


@dataclass(frozen=True, slots=True)
class _Plain:
    """A response in one piece."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class _Stream:
    """A response in chunks of SSE bytes; `closing` goes out with the end of the body."""

    chunks: tuple[bytes, ...]
    closing: bytes = DONE


def build_pieces(text: str) -> tuple[str, ...]:
    """Split text into pieces of about a token; joined they are the text again."""
    return tuple(re.findall(r"[\u4e00-\u9fff]{1,2}|[A-Za-z0-9]+ ?|\s+|.", text))


def call(name: str, /, **arguments: Any) -> Json:
    """Return an entry of `Script.tool_calls`: the function of this name called with arguments."""
    return {"function": {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}}


def build_source(number: int, title: str, link: str, content: str, **more: str) -> Json:
    """Return an entry of `web_search` with all the platform's fields, `refer` "ref_<number>"."""
    blank = {"media": "", "icon": "", "publish_date": ""}
    named = {"refer": f"ref_{number}", "title": title, "link": link, "content": content}
    return named | blank | more


SOURCES = (
    build_source(
        1,
        "一季度国民经济开局良好",
        "https://example.org/stats/2024q1",
        "初步核算，一季度国内生产总值296299亿元，按不变价格计算同比增长5.3%。",
        media="示例统计网",
        icon="https://example.org/favicon.ico",
        publish_date="2024-04-16",
    ),
    build_source(
        2,
        "China's economy in the first quarter of 2024",
        "https://example.com/news/gdp-2024q1",
        "Gross domestic product rose 5.3 percent year on year; services and industry led.",
        media="Example News",
        publish_date="2024-04-17",
    ),
)

STORY_TEXT = """## 为什么天空是蓝色的？ Why is the sky blue?

阳光看起来是白色的，其实包含 **所有颜色**。When sunlight meets the air, molecules scatter short \
waves far more than long ones:

- **蓝光 / blue**: about 450 nm, scattered strongly, so it comes from *every* direction.
- **红光 / red**: about 650 nm, passes almost straight through.
- **傍晚 / evening**: the path is longer, the blue is gone, and the sky turns red.

| 颜色 Colour | 波长 Wavelength | 相对散射 Scattering |
|---|---:|---:|
| 红 red | 650 nm | 1.0 |
| 绿 green | 530 nm | 2.3 |
| 蓝 blue | 450 nm | 4.4 |

The last column is Rayleigh's law, $I \\propto \\lambda^{-4}$, and easy to check:

```python
def scattering(wavelength_nm: float, reference_nm: float = 650.0) -> float:
    \"\"\"Scattering relative to red light.\"\"\"
    return (reference_nm / wavelength_nm) ** 4

print(f"{scattering(450):.1f}")  # 4.4
```

> 一句话：蓝光被空气散射得最多，所以我们抬头看见蓝天。
"""

SEARCH_TEXT = """## 2024年一季度经济 First quarter of 2024

初步核算，国内生产总值为 **296299亿元**，同比增长 **5.3%**[ref_1]。
Services and industry led the growth, according to early reports[ref_2].

| 指标 | 数值 |
|---|---:|
| GDP | 296299 亿元 |
| 同比 | +5.3% |

```python
growth = 0.053
```
"""

DEMO = Script(text=build_pieces(STORY_TEXT), sources=SOURCES, pace_s=0.02)
SEARCH = Script(text=build_pieces(SEARCH_TEXT), sources=SOURCES, pace_s=0.02)
THINKING = Script(
    reasoning=build_pieces(
        "用户问 17 × 23。17 乘以 20 是 340，17 乘以 3 是 51。\n\n"
        "340 + 51 = 391. Check: 23 × 17 = 230 + 161 = 391. 正确。"
    ),
    text=build_pieces("**17 × 23 = 391**\n\n因为 17 × 20 = 340，17 × 3 = 51，合计 *391*。\n"),
    pace_s=0.02,
)


def build_id(now_s: float) -> str:
    """Return a response id: Beijing time to the second, then 16 hex digits; 30 characters."""
    return datetime.fromtimestamp(now_s, BEIJING).strftime("%Y%m%d%H%M%S") + secrets.token_hex(8)


def build_stamp(body: Json) -> _Stamp:
    now_s = time.time()
    stamp_id = build_id(now_s)
    return _Stamp(stamp_id, body.get("request_id") or stamp_id, int(now_s), body.get("model", ""))


def build_chunks(script: Script, body: Json, stamp: _Stamp) -> list[Json]:
    """Return the JSON chunks of a streamed reply, the closing one last."""
    shared: Json = {"id": stamp.id, "created": stamp.created}
    if not script.legacy:
        shared["object"] = "chat.completion.chunk"
    shared["model"] = stamp.model
    deltas: list[Json] = [{"reasoning_content": piece} for piece in list_reasoning(script, body)]
    deltas += [{"content": piece} for piece in script.text]
    if body.get("tool_stream"):
        calls = build_tool_calls(script, stamp)
        deltas += [{"tool_calls": [piece]} for call in calls for piece in _split_call(call)]
    # The role is on every delta, and there is no finish_reason, not even null, before the end.
    choices = [{"index": 0, "delta": {"role": "assistant", **delta}} for delta in deltas]
    chunks = [{**shared, "choices": [choice]} for choice in choices]
    if script.in_band_error is None:
        chunks.append({**shared, **_build_closing(script, body, stamp)})
    return chunks


def _build_closing(script: Script, body: Json, stamp: _Stamp) -> Json:
    delta: Json = {"role": "assistant", "content": ""}
    if script.tool_calls and not body.get("tool_stream"):
        delta = {"role": "assistant", "tool_calls": build_tool_calls(script, stamp)}
    elif script.content_filter and script.finish_reason == "sensitive":
        # The role of whoever was blocked (sample of docs.bigmodel.cn, securityaudit).
        delta["role"] = script.content_filter[0]["role"]
    choice = {"index": 0, "finish_reason": _finish_reason(script), "delta": delta}
    return {"choices": [choice], **_build_trailer(script, body)}


def build_completion(script: Script, body: Json, stamp: _Stamp) -> Json:
    """Return the JSON of a reply that is not streamed."""
    text = "".join(script.text)
    message: Json = {"role": "assistant", "content": text}
    if reasoning := "".join(list_reasoning(script, body)):
        message["reasoning_content"] = reasoning
    if script.tool_calls:
        message["content"] = text or None
        calls = build_tool_calls(script, stamp)
        message["tool_calls"] = [{k: v for k, v in call.items() if k != "index"} for call in calls]
    choice = {"index": 0, "finish_reason": _finish_reason(script), "message": message}
    return {
        "id": stamp.id,
        "request_id": stamp.request_id,
        "created": stamp.created,
        "model": stamp.model,
        "choices": [choice],
        **_build_trailer(script, body),
    }


def _build_trailer(script: Script, body: Json) -> Json:
    trailer: Json = {}
    if script.finish_reason != "sensitive":
        trailer["usage"] = script.usage or build_usage(script, body)
    if sources := list_sources(script, body):
        trailer["web_search"] = sources
    if script.content_filter:
        trailer["content_filter"] = list(script.content_filter)
    return trailer


def _finish_reason(script: Script) -> str:
    is_call = script.tool_calls and script.finish_reason == "stop"
    return "tool_calls" if is_call else script.finish_reason


def build_tool_calls(script: Script, stamp: _Stamp) -> list[Json]:
    """Return the scripted calls, those of functions each with an id of its own."""
    return [
        {"index": index, **call}
        if call.get("type") == "mcp"
        else {"id": f"call_{stamp.id}{index or ''}", "index": index, "type": "function", **call}
        for index, call in enumerate(script.tool_calls)
    ]


def _split_call(call: Json) -> list[Json]:
    """Return a call in pieces; whole when it has no text of arguments, such as one of MCP."""
    arguments = call.get("function", {}).get("arguments")
    if not isinstance(arguments, str):
        return [call]
    opening = {**call, "function": {**call["function"], "arguments": ""}}
    pieces = ({"arguments": piece} for piece in re.findall(r"(?s).{1,4}", arguments))
    return [opening, *({"index": call["index"], "function": piece} for piece in pieces)]


def list_reasoning(script: Script, body: Json) -> tuple[str, ...]:
    """Return the pieces of thinking that this request lets through."""
    is_off = (body.get("thinking") or {}).get("type") == "disabled"
    if is_off or body.get("reasoning_effort") in ("none", "minimal"):
        return ()
    return script.reasoning


def list_sources(script: Script, body: Json) -> list[Json]:
    """Return the sources that this request may see; none unless it asks for them."""
    tools = (tool.get("web_search") for tool in body.get("tools") or ())
    options: Json = next((tool for tool in tools if tool), {})
    if not (_is_true(options.get("enable")) and _is_true(options.get("search_result"))):
        return []
    return hide_links(script.sources, options.get("search_engine") or "search_std")


def hide_links(sources: tuple[Json, ...], engine: str) -> list[Json]:
    """Return the sources as this engine gives them."""
    if engine not in LINKLESS_ENGINES:
        return list(sources)
    return [source | {"link": ""} for source in sources]


def _is_true(value: Any) -> bool:
    # Callers that send "True" as a string were served.
    return str(value).lower() == "true"


def build_usage(script: Script, body: Json) -> Json:
    """Return plausible token counts: about 1.6 Chinese characters or 4 others to a token."""
    reasoning = list_reasoning(script, body)
    thought = count_tokens("".join(reasoning))
    prompt = sum(count_tokens(_message_text(message)) for message in body["messages"])
    # A search puts its results into the prompt, about 1000 tokens.
    prompt += 1000 * bool(list_sources(script, body))
    answer = thought + count_tokens("".join(script.text))
    usage: Json = {"prompt_tokens": prompt, "completion_tokens": answer}
    usage["total_tokens"] = prompt + answer
    if reasoning:
        usage["prompt_tokens_details"] = {"cached_tokens": 0}
        usage["completion_tokens_details"] = {"reasoning_tokens": thought}
    return usage


def count_tokens(text: str) -> int:
    """Return a rough count of tokens, 0 only for the empty text."""
    chinese = sum("\u4e00" <= character <= "\u9fff" for character in text)
    return math.ceil(chinese / 1.6 + (len(text) - chinese) / 4)


def _message_text(message: Json) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def build_embeddings(script: Script, body: Json) -> bytes:
    """Return the JSON of an embeddings reply, one vector for each text, in order."""
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    dims = body.get("dimensions") or script.embeddings_dims
    tokens = sum(count_tokens(text) for text in texts)
    usage = {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens}
    frame = {"object": "list", "model": body["model"], "data": [], "usage": usage}
    head, _, tail = build_json(frame).partition(b"[]")
    return head + b"[" + _build_entries(script, texts, dims) + b"]" + tail


def _build_entries(script: Script, texts: Sequence[str], dims: int) -> bytes:
    if script.spoil is not None:
        entries = [_build_entry(index, text, dims) for index, text in enumerate(texts)]
        return b",".join(map(build_json, script.spoil([json.loads(e) for e in entries])))
    return b",".join(_build_entry(index, text, dims) for index, text in enumerate(texts))


def _build_entry(index: int, text: str, dims: int) -> bytes:
    return b'{"object":"embedding","index":%d,"embedding":%b}' % (index, _vector_json(text, dims))


@lru_cache(40_000)
def _vector_json(text: str, dims: int) -> bytes:
    """A text's vector as JSON: made once, so that the server is no slower than its delay."""
    return build_json(build_embedding(text, dims))


def warm_embeddings(texts: Sequence[str], dims: int) -> None:
    """Make the vectors of these texts now, up to 40,000 of them."""
    for text in texts:
        _vector_json(text, dims)


def build_embedding(text: str, dims: int) -> list[float]:
    """Return a vector of length 1.0 that depends on the text alone, through SHAKE-256."""
    digest = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(4 * dims)
    numbers = [int.from_bytes(digest[i : i + 4]) / 2**31 - 1.0 for i in range(0, 4 * dims, 4)]
    length = math.hypot(*numbers)
    return [number / length for number in numbers]


def build_web_search(script: Script, body: Json) -> Json:
    """Return the JSON of a search on its own."""
    stamp = build_stamp(body)
    sources = (script.sources or SOURCES)[: body.get("count") or 10]
    query = body["search_query"]
    return {
        "id": stamp.id,
        "created": stamp.created,
        "request_id": stamp.request_id,
        "search_intent": [{"query": query, "intent": "SEARCH_ALL", "keywords": query}],
        "search_result": hide_links(sources, body["search_engine"]),
    }


def build_task_status(task: _Task, status: str) -> Json:
    """Return the JSON of an async chat that has no answer (yet)."""
    is_null = task.script.null_model and status == "PROCESSING"
    return {
        "id": task.stamp.id,
        "request_id": task.stamp.request_id,
        "model": None if is_null else task.stamp.model,
        "task_status": status,
    }


def build_task_result(task: _Task) -> Json:
    """Return the JSON of an async chat that is done."""
    if task.script.task_fails:
        return build_task_status(task, "FAIL")
    completion = build_completion(task.script, task.body, task.stamp)
    if task.script.substitutes_model:
        name = task.stamp.model.lower()
        completion["model"] = SUBSTITUTES.get(name, name.upper())
    return {**completion, "task_status": "SUCCESS"}


def build_models(models: set[str]) -> Json:
    """Return the JSON of GET /models: the listed ids, and any that a test has added."""
    names = sorted(name for name in models if name in LISTED_MODELS or name not in MODELS)
    entry = {"object": "model", "created": 1727156815, "owned_by": "z-ai"}
    return {"object": "list", "data": [{"id": name, **entry} for name in names]}


def build_json(value: Any) -> bytes:
    """Return compact JSON in UTF-8, with nothing escaped that need not be."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def build_event(chunk: Json, event: str = "") -> bytes:
    """Return one server-sent event."""
    name = f"event: {event}\n".encode() if event else b""
    return name + b"data: " + build_json(chunk) + b"\n\n"


def build_refusal(refusal: ApiFailure) -> _Plain:
    if refusal.code is None:
        return _Plain(refusal.message.encode(), refusal.status, refusal.headers, "text/html")
    return _Plain(build_json(refusal.build_body()), refusal.status, refusal.headers)


def build_not_found(path: str) -> _Plain:
    # The platform's gateway strips /api/paas before Spring sees the path (seen September 2026).
    inner = path.partition("?")[0].removeprefix("/api/paas")
    return _Plain(build_json({"status": 404, "error": "Not Found", "path": inner}), 404)


def build_chat(script: Script, body: Json) -> _Plain | _Stream:
    """Return the reply of /chat/completions, streamed when the request says so."""
    stamp = build_stamp(body)
    if body.get("stream"):
        return _build_stream(script, body, stamp)
    if script.finish_reason == "sensitive":
        return build_refusal(failure("1301"))
    return _Plain(build_json(build_completion(script, body, stamp)))


def _build_stream(script: Script, body: Json, stamp: _Stamp) -> _Stream:
    if script.malformed is not None:
        return _Stream((script.malformed,), closing=b"")
    events = [build_event(chunk) for chunk in build_chunks(script, body, stamp)]
    if script.in_band_error is not None:
        events.append(build_event(script.in_band_error, "error"))
    return _Stream(tuple(events))


def build_diversion(script: Script) -> _Plain | None:
    """Return what the script sends in place of any reply of the API, if it does."""
    if script.error:
        return build_refusal(script.error)
    if script.redirect:
        return _Plain(b"", 307, {"location": script.redirect})
    if script.html:
        page = b"<!DOCTYPE html><html><title>Sign in</title><h1>Welcome to the network</h1></html>"
        return _Plain(page, content_type="text/html; charset=utf-8")
    return None


_Route = Literal["chat", "task", "result", "embeddings", "web_search", "models"]
_ROUTES: tuple[tuple[str, re.Pattern[str], _Route], ...] = (
    ("POST", re.compile(r"(.*)/async/chat/completions"), "task"),
    ("GET", re.compile(r"(.*)/async-result/[^/]+"), "result"),
    ("POST", re.compile(r"(.*)/chat/completions"), "chat"),
    ("POST", re.compile(r"(.*)/embeddings"), "embeddings"),
    ("POST", re.compile(r"(.*)/web_search"), "web_search"),
    ("GET", re.compile(r"(.*)/models"), "models"),
)
_CHECKS: dict[_Route, Callable[[Any, set[str]], ApiFailure | None]] = {
    "chat": check_chat,
    "task": check_task,
    "embeddings": check_embeddings,
    "web_search": check_web_search,
}


def parse_route(method: str, path: str) -> _Route | None:
    """Return the endpoint a request is for, under any prefix; None is a 404.

    A prefix ending in /v4/v1 is the classic mistake of clients made for other platforms: 404.
    """
    plain_path = path.partition("?")[0]
    for route_method, pattern, route in _ROUTES:
        match = pattern.fullmatch(plain_path)
        if match and method == route_method:
            return None if match[1].endswith("/v4/v1") else route
    return None


class _WatchedProtocol(asyncio.StreamReaderProtocol):
    """Tells at once when the peer closes, whether anyone is reading or not.

    A client that only half-closes is taken for gone; no HTTP client does that in practice.
    """

    def __init__(
        self,
        gone: "asyncio.Future[float]",
        reader: asyncio.StreamReader,
        serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any],
    ) -> None:
        super().__init__(reader, serve)
        self._gone = gone

    def eof_received(self) -> bool:
        self._mark_gone()
        super().eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._mark_gone()
        super().connection_lost(exc)

    def _mark_gone(self) -> None:
        if not self._gone.done():
            self._gone.set_result(time.time())


@dataclass(slots=True)
class _Connection:
    """One socket: requests in, responses out; `gone` holds when the peer closed (epoch seconds)."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    gone: "asyncio.Future[float]"
    chunks_sent: int = 0

    async def read(self) -> Received | None:
        """Return the next request, or None when there is none to come.

        Bodies need a Content-Length; no client here sends a chunked one.
        """
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            request_line, *lines = head[:-4].split("\r\n")
            method, path, _ = request_line.split(" ")
            named = (line.partition(":") for line in lines)
            headers = {name.strip().lower(): value.strip() for name, _, value in named}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, OSError):
            return None
        return Received(method, path, headers, _parse_json(body), time.time())

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def send_plain(self, plain: _Plain, *, cut: bool = False) -> None:
        length = {"content-length": str(len(plain.body))}
        head = _build_head(plain.status, plain.content_type, {**length, **plain.headers})
        await self.send(head + (plain.body[: len(plain.body) // 2] if cut else plain.body))

    async def start_stream(self) -> None:
        headers = {"transfer-encoding": "chunked", "cache-control": "no-cache"}
        await self.send(_build_head(200, EVENT_STREAM, headers))

    def close(self) -> None:
        """Close after what is written; the peer reads it all, then finds the end."""
        self.writer.close()


def _parse_json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _build_head(status: int, content_type: str, headers: Mapping[str, str]) -> bytes:
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"
    fields = {"server": "nginx", "content-type": content_type, **headers}
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{k}: {v}" for k, v in fields.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _frame(data: bytes) -> bytes:
    """Return one chunk of a chunked body; nothing for nothing, as an empty chunk is the end."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


class GlmServer:
    """The API on a port of 127.0.0.1, in a thread of its own, as a context manager.

    Attributes may be read and set from any thread while it serves.

    Attributes:
        url: base address, such as "http://127.0.0.1:40001/api/paas/v4".
        key: the one API key that is accepted, raw or as a JWT.
        script: what replies do once the queue is used up; a function is asked at each request.
        models: ids that are known, in lower case; others are refused with 1211.
        concurrency: requests in flight per model before 1302; None is no limit.
        requests: all requests so far, also refused ones.
        disconnects: clients that left before their reply was whole.
        sent: (epoch seconds, index) of each chunk of the latest stream as it went to the socket.
        peak_in_flight: the most requests of one model that were in flight at once.
    """

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self.url = ""
        self.key = "test-key-id.test-secret"
        self.script: Scripted = Script()
        self.models = set(MODELS)
        self.concurrency: int | None = None
        self.requests: list[Received] = []
        self.disconnects: list[Disconnect] = []
        self.sent: list[tuple[float, int]] = []
        self.peak_in_flight = 0
        self._queue: deque[Scripted] = deque()
        self._tasks: dict[str, _Task] = {}
        self._in_flight: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._disconnects_taken = 0
        self._bugs: list[Exception] = []

    def __enter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", self._port))
        # As servers have it, and asyncio itself where it makes the socket: otherwise the second
        # piece of a reply waits 40 ms for the first one to be acknowledged.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/api/paas/v4"
        self._started = threading.Event()
        run = self._run
        self._thread = threading.Thread(
            target=lambda: asyncio.run(run(listener)), name="glm-server", daemon=True
        )
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._bugs and kind is None:
            raise self._bugs[0]

    def queue(self, *scripts: Scripted) -> None:
        """Use up these scripts first, one for each request that is not refused beforehand."""
        self._queue.extend(scripts)

    def go_on(self) -> None:
        """Let the latest stream go on where its script pauses, once."""
        self._loop.call_soon_threadsafe(self._go_on.release)

    def finish_tasks(self) -> None:
        """Let every asynchronous task be done at its next poll."""
        for task in self._tasks.values():
            task.polls_left = 0

    def wait_for_disconnect(self, timeout_s: float = 5.0) -> Disconnect:
        """Return the oldest disconnect that no earlier call returned, waiting for it.

        Raises:
            TimeoutError: none within `timeout_s`.
        """
        self._wait(lambda: len(self.disconnects) > self._disconnects_taken, timeout_s)
        self._disconnects_taken += 1
        return self.disconnects[self._disconnects_taken - 1]

    def wait_for_requests(self, count: int = 1, timeout_s: float = 5.0) -> list[Received]:
        """Return the requests so far, once there are `count`.

        Raises:
            TimeoutError: fewer within `timeout_s`.
        """
        self._wait(lambda: len(self.requests) >= count, timeout_s)
        return list(self.requests)

    def wait_for_chunks(self, count: int = 1, timeout_s: float = 5.0) -> list[tuple[float, int]]:
        """Return `sent`, once the latest stream has sent `count` chunks.

        Raises:
            TimeoutError: fewer within `timeout_s`.
        """
        self._wait(lambda: len(self.sent) >= count, timeout_s)
        return list(self.sent)

    def _wait(self, is_so: Callable[[], bool], timeout_s: float) -> None:
        with self._changed:
            if not self._changed.wait_for(is_so, timeout_s):
                raise TimeoutError(f"the test server saw nothing of the kind in {timeout_s} s")

    def _note(self, values: list[Any], value: object) -> None:
        with self._changed:
            values.append(value)
            self._changed.notify_all()

    # From here on everything runs in the server's thread.

    async def _run(self, listener: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._go_on = asyncio.Semaphore(0)
        self._serving: dict[asyncio.Task[None], _Connection] = {}
        server = await self._loop.create_server(self._build_protocol, sock=listener)
        self._started.set()
        await self._stop.wait()
        server.close()
        for connection in self._serving.values():
            # Each ends by itself, as if its client had left. Cancelling is logged as an error by
            # Python 3.11 (https://github.com/python/cpython/issues/113538).
            connection.writer.transport.abort()
        await asyncio.gather(*self._serving)
        # One turn of the loop for the sockets of aborted connections to be closed.
        await asyncio.sleep(0)

    def _build_protocol(self) -> asyncio.Protocol:
        gone: asyncio.Future[float] = self._loop.create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(_Connection(reader, writer, gone))

        return _WatchedProtocol(gone, asyncio.StreamReader(), serve)

    async def _serve(self, connection: _Connection) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving[task] = connection
        try:
            while request := await connection.read():
                self._note(self.requests, request)
                await self._answer_or_lose(request, connection)
        except Exception as error:
            # Raised by `__exit__`, lest a bug here looks like one of the client.
            self._bugs.append(error)
        finally:
            connection.close()
            self._serving.pop(task)

    async def _answer_or_lose(self, request: Received, connection: _Connection) -> None:
        """Answer, and give up as soon as the client has."""
        connection.chunks_sent = 0
        reply: asyncio.Future[Any] = asyncio.ensure_future(self._answer(request, connection))
        await asyncio.wait((reply, connection.gone), return_when=asyncio.FIRST_COMPLETED)
        is_lost = not reply.done() or isinstance(reply.exception(), ConnectionError)
        reply.cancel()
        with suppress(ConnectionError, asyncio.CancelledError):
            await reply
        if is_lost and not self._stop.is_set():
            at = connection.gone.result() if connection.gone.done() else time.time()
            lost = Disconnect(at, connection.chunks_sent, request.path)
            self._note(self.disconnects, lost)

    async def _answer(self, request: Received, connection: _Connection) -> None:
        route = parse_route(request.method, request.path)
        if route is None:
            return await connection.send_plain(build_not_found(request.path))
        refusal = self._check(route, request)
        if refusal:
            return await connection.send_plain(build_refusal(refusal))
        if route == "models":
            return await connection.send_plain(_Plain(build_json(build_models(self.models))))
        if route == "result":
            return await connection.send_plain(self._poll(request.path))
        with self._slot(str(request.json.get("model", route)).lower()) as is_free:
            if not is_free:
                return await connection.send_plain(build_refusal(failure("1302")))
            return await self._act(route, request.json, connection)

    def _check(self, route: _Route, request: Received) -> ApiFailure | None:
        header = request.headers.get("authorization")
        refusal = check_authorization(header, self.key, time.time())
        if refusal or route not in _CHECKS:
            return refusal
        return _CHECKS[route](request.json, self.models)

    @contextmanager
    def _slot(self, model: str) -> Iterator[bool]:
        """Hold one of the model's places, to the end of the body; False is that none was free."""
        if self.concurrency is not None and self._in_flight[model] >= self.concurrency:
            yield False
            return
        self._in_flight[model] += 1
        self.peak_in_flight = max(self.peak_in_flight, self._in_flight[model])
        try:
            yield True
        finally:
            self._in_flight[model] -= 1

    async def _act(self, route: _Route, body: Json, connection: _Connection) -> None:
        started = time.monotonic()
        scripted = self._queue.popleft() if self._queue else self.script
        script = scripted(body) if callable(scripted) else scripted
        # Made before the delay and not after it, so that no reply takes longer than it says.
        reply = build_diversion(script) or self._build_reply(route, script, body)
        await asyncio.sleep(started + script.headers_delay_s - time.monotonic())
        if isinstance(reply, _Plain):
            await self._send_plain(reply, script, connection)
        else:
            await self._send_stream(reply, script, connection)

    def _build_reply(self, route: _Route, script: Script, body: Json) -> _Plain | _Stream:
        match route:
            case "chat":
                return build_chat(script, body)
            case "embeddings":
                return _Plain(build_embeddings(script, body))
            case "web_search":
                return _Plain(build_json(build_web_search(script, body)))
            case "task":
                return self._submit(script, body)
            case _:
                raise ValueError(f"no scripted reply for {route}")

    def _submit(self, script: Script, body: Json) -> _Plain:
        task = _Task(script, body, build_stamp(body), script.processing_polls)
        self._tasks[task.stamp.id] = task
        return _Plain(build_json(build_task_status(task, "PROCESSING")))

    def _poll(self, path: str) -> _Plain:
        task = self._tasks.get(path.partition("?")[0].rpartition("/")[2])
        if task is None:
            return build_refusal(illegal("id"))
        task.polls_left -= 1
        if task.polls_left >= 0:
            return _Plain(build_json(build_task_status(task, "PROCESSING")))
        return _Plain(build_json(build_task_result(task)))

    async def _send_plain(self, plain: _Plain, script: Script, connection: _Connection) -> None:
        ending, _ = script.ending
        if ending == "stall":
            await asyncio.Event().wait()
        await connection.send_plain(plain, cut=ending == "cut")
        if ending == "cut":
            connection.close()

    async def _send_stream(self, stream: _Stream, script: Script, connection: _Connection) -> None:
        ending, count = script.ending
        # Rebound, not emptied: an older stream still running keeps its own list.
        sent = self.sent = []
        go_on = self._go_on = asyncio.Semaphore(0)
        await connection.start_stream()
        await asyncio.sleep(script.first_chunk_delay_s)
        for index, chunk in enumerate(stream.chunks[:count]):
            if index in script.pauses:
                await go_on.acquire()
            await asyncio.sleep(script.pace_s if index else 0.0)
            # Counted before it is told: a test that waits for a chunk may hang up right away.
            connection.chunks_sent = index + 1
            self._note(sent, (time.time(), index))
            await connection.send(_frame(chunk))
        match ending:
            case "whole":
                # In one write, so that who stops reading at [DONE] has had the whole reply.
                await connection.send(_frame(stream.closing) + b"0\r\n\r\n")
            case "end":
                await connection.send(b"0\r\n\r\n")
            case "cut":
                connection.close()
            case "stall":
                await asyncio.Event().wait()


def main() -> None:
    """Serve one script until interrupted."""
    scripts = {"story": DEMO, "search": SEARCH, "thinking": THINKING}
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--pace", type=float, default=0.02, help="seconds between chunks")
    parser.add_argument("--script", choices=scripts, default="story")
    options = parser.parse_args()
    with GlmServer(options.port) as server, suppress(KeyboardInterrupt):
        server.script = replace(scripts[options.script], pace_s=options.pace)
        print(f"{server.url}  key {server.key}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
