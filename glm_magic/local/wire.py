"""The GLM wire, as the local engine speaks it: requests in, chunks and errors out.

llama.cpp speaks OpenAI's dialect. The shape of GLM's: docs.bigmodel.cn, chat/completions and
error codes, and captured streams of 2025 and 2026 (read in September 2026).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = [
    "DONE",
    "SHARED_FIELDS",
    "Refusal",
    "build_embeddings",
    "build_engine_request",
    "build_error",
    "build_models",
    "build_whole",
    "encode_event",
    "parse_body",
    "parse_texts",
    "shape_chunk",
]

Json = dict[str, Any]

DONE = b"data: [DONE]\n\n"

# Small models often do not come to an end by themselves.
_MAX_TOKENS = 512
# What is handed on: it says how to answer. All else stays outside: fields of the
# platform (request_id, user_id, ...) and those that steer llama.cpp's server (id_slot, ...).
SHARED_FIELDS = frozenset(
    (
        "messages",
        "temperature",
        "top_p",
        "stop",
        "seed",
        "max_tokens",
        "response_format",
        "chat_template_kwargs",
        "frequency_penalty",
        "presence_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        # Of llama.cpp alone: how it samples, and what it is held to.
        "top_k",
        "min_p",
        "typical_p",
        "repeat_penalty",
        "repeat_last_n",
        "grammar",
    )
)
_ROLES = frozenset(("system", "user", "assistant", "tool"))


class Refusal(Exception):
    """A request that is answered with an error.

    Attributes:
        code: business code of the platform for this mistake.
        status: HTTP status.
    """

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


def parse_body(content: bytes) -> Json:
    """Return the object of a request body.

    Raises:
        Refusal: it is no JSON object with a text as its `model` (1210, 1213), or holds a
            lone surrogate, of which no model can make sense (1214).
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Refusal("1210", "the body is not JSON") from error
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        raise Refusal("1213", "the body needs a model")
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise Refusal("1214", "a text holds half a character (a lone surrogate)") from error
    return body


def build_engine_request(body: Json, *, empty_system: bool) -> Json:
    """Return what llama.cpp is asked for a chat request of GLM's.

    Without `max_tokens` the reply ends after 512. `do_sample: false` becomes temperature 0,
    `thinking` the switch of the chat templates that have one; web search and every field of
    the platform alone are left out.

    Args:
        empty_system: put an empty system message first if there is none.

    Raises:
        Refusal: `messages` is no list of messages (1214).
    """
    messages = _check_messages(body.get("messages"))
    if empty_system and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": ""}, *messages]
    request = {name: value for name, value in body.items() if name in SHARED_FIELDS}
    request |= {"max_tokens": body.get("max_tokens") or _MAX_TOKENS, "messages": messages}
    if body.get("do_sample") is False:
        request["temperature"] = 0
    return request | _build_thinking(body.get("thinking")) | _build_tools(body)


def shape_chunk(chunk: Json, model: str) -> Json | None:
    """Return a chunk of llama.cpp as GLM sends it, None if GLM would send none.

    Every delta carries the role, `finish_reason` is only in the last one; there are no
    chunks with a role alone and none about the prompt's progress.

    Args:
        model: the name that was asked for, which the chunk is to carry.
    """
    choices = [_shape_choice(choice) for choice in chunk.get("choices", [])]
    if "prompt_progress" in chunk or (choices and not any(choices)):
        return None
    shaped: Json = {name: chunk[name] for name in ("id", "created", "object") if name in chunk}
    shaped |= {"model": model, "choices": choices}
    if usage := chunk.get("usage"):
        shaped["usage"] = usage
    return shaped


def build_whole(chunks: Iterable[Json]) -> Json:
    """Return the reply that was not to be streamed, from its shaped chunks."""
    whole: Json = {}
    message: Json = {"role": "assistant", "content": ""}
    finish_reason = None
    for chunk in chunks:
        whole |= {
            name: chunk[name] for name in ("id", "created", "model", "usage") if name in chunk
        }
        for choice in chunk["choices"]:
            message = _add_delta(message, choice["delta"])
            finish_reason = choice.get("finish_reason", finish_reason)
    whole["choices"] = [{"index": 0, "finish_reason": finish_reason, "message": message}]
    return whole | {"request_id": whole.get("id", "")}


def parse_texts(body: Json, *, dimensions: int) -> list[str]:
    """Return the texts of an embedding request.

    Raises:
        Refusal: `input` is neither a text nor a list of texts, one of them is empty, or
            other `dimensions` are asked for than there are (1214).
    """
    if body.get("dimensions") not in (None, dimensions):
        raise Refusal("1214", f"dimensions: this model has {dimensions} and no other number")
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts:
        raise Refusal("1214", "input: a text or a list of texts is needed")
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise Refusal("1214", "input: every text must be a string that is not empty")
    return texts


def build_embeddings(vectors: list[list[float]], model: str) -> Json:
    """Return the response with these vectors, one for each text.

    The encoder does not say how many tokens a text has, so `usage` counts none.
    """
    return {
        "object": "list",
        "model": model,
        "data": [
            {"object": "embedding", "index": index, "embedding": vector}
            for index, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    }


def build_models(names: Iterable[str]) -> Json:
    """Return the list of models."""
    data = [{"id": name, "object": "model", "owned_by": "local"} for name in names]
    return {"object": "list", "data": data}


def build_error(code: str, message: str) -> Json:
    """Return the body of an error; the code is text on this wire."""
    return {"error": {"code": code, "message": message}}


def encode_event(content: Json) -> bytes:
    """Return `content` as one server-sent event."""
    return b"data: " + json.dumps(content, ensure_ascii=False).encode() + b"\n\n"


def _check_messages(messages: object) -> list[Json]:
    if not isinstance(messages, list) or not messages:
        raise Refusal("1214", "messages: a list with at least one message is needed")
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise Refusal("1214", "messages: each needs a role: system, user, assistant or tool")
        if not isinstance(message.get("content"), (str, list)) and "tool_calls" not in message:
            raise Refusal("1214", "messages: each needs a content")
    return messages


def _build_thinking(thinking: object) -> Json:
    if not isinstance(thinking, Mapping):
        return {}
    return {"chat_template_kwargs": {"enable_thinking": thinking.get("type") != "disabled"}}


def _build_tools(body: Json) -> Json:
    """The functions among the tools; web search and retrieval are services of the platform."""
    tools = body.get("tools")
    given = tools if isinstance(tools, list) else []
    functions = [tool for tool in given if isinstance(tool, dict) and tool.get("function")]
    if not functions:
        return {}
    return {"tools": functions, "tool_choice": body.get("tool_choice", "auto")}


def _shape_choice(choice: Json) -> Json:
    """The choice as GLM sends it, empty if it says nothing."""
    delta = {name: value for name, value in choice.get("delta", {}).items() if value is not None}
    finish_reason = choice.get("finish_reason")
    if not finish_reason and not delta.keys() - {"role"}:
        return {}
    shaped: Json = {"index": choice.get("index", 0)}
    if finish_reason:
        shaped["finish_reason"] = finish_reason
        delta.setdefault("content", "")
    return shaped | {"delta": {"role": "assistant"} | delta}


def _add_delta(message: Json, delta: Json) -> Json:
    """The message continued by a delta."""
    added = dict(message)
    for name in ("content", "reasoning_content"):
        if delta.get(name):
            added[name] = message.get(name, "") + delta[name]
    for call in delta.get("tool_calls", []):
        added["tool_calls"] = _add_call(added.get("tool_calls", []), call)
    return added


def _add_call(calls: list[Json], call: Json) -> list[Json]:
    """The calls with one more, or with more text in the arguments of one of them."""
    index = call.get("index", 0)
    if index >= len(calls):
        return [*calls, {name: value for name, value in call.items() if name != "index"}]
    function = dict(calls[index]["function"])
    function["arguments"] = function.get("arguments", "") + call["function"].get("arguments", "")
    return [*calls[:index], calls[index] | {"function": function}, *calls[index + 1 :]]
