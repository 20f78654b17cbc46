"""What the GLM API refuses, and how: keys and request bodies judged as the platform does.

Business codes, documented fields and their ranges are those of docs.bigmodel.cn and docs.z.ai
(read May to September 2026).
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

ALWAYS_THINKING = re.compile(r"glm-5\.3(-|$)")


@dataclass(frozen=True, slots=True)
class ApiFailure:
    """A refusal of the API: HTTP status, business code and message, extra response headers.

    Without `code` it is a gateway in front of the API that fails: the body is `message` as it is,
    and HTML unless `headers` has another "content-type".
    """

    status: int
    code: str | None = None
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def build_body(self) -> Json:
        error = {"error": {"code": self.code, "message": self.message}}
        if self.code == "1301":
            # Camel case in refusals, `content_filter` in replies (docs.bigmodel.cn, securityaudit).
            return {"contentFilter": [{"level": 1, "role": "user"}], **error}
        return error


# Business code to HTTP status and message: docs.bigmodel.cn/cn/faq/api-code, September 2026.
FAILURES = {
    "1000": (401, "身份验证失败。"),
    "1001": (401, "Header中未收到Authentication参数，无法进行身份验证。"),
    "1002": (401, "Authentication Token非法，请确认Authentication Token正确传递。"),
    "1003": (401, "Authentication Token已过期，请重新生成/获取。"),
    "1113": (429, "余额不足或无可用资源包,请充值。"),
    "1210": (400, "API 调用参数有误，请检查文档。"),
    "1211": (400, "模型不存在，请检查模型代码。"),
    "1212": (400, "当前模型不支持SSE调用方式。"),
    "1213": (400, "未正常接收到参数。"),
    "1214": (400, "参数非法。请检查文档。"),
    "1220": (403, "您无权访问该 API。"),
    "1230": (500, "API 调用流程出错。"),
    "1234": (500, "网络错误，错误id：20260123153010a1b2c3d4e5f60718，请稍后重试"),
    "1261": (400, "Prompt 超长"),
    "1301": (
        400,
        "系统检测到输入或生成内容可能包含不安全或敏感内容，请您避免输入易产生敏感内容的提示语。",
    ),
    "1302": (429, "您的账户已达到速率限制，请您控制请求频率"),
    "1305": (429, "该模型当前访问量过大，请您稍后再试"),
    "1308": (429, "已达到 5 小时的使用上限。您的限额将在 2026-05-11 21:02:26 重置。"),
    "1310": (429, "已达到每周使用上限。您的限额将在 2026-05-11 21:02:26 重置。"),
}


def failure(code: str, message: str = "", **headers: str) -> ApiFailure:
    """Return the refusal with this business code, in the platform's words unless told others.

    Keywords are response headers with `_` for `-`: `failure("1302", retry_after="2")`.

    Raises:
        KeyError: the code is not in `FAILURES`.
    """
    status, text = FAILURES[code]
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ApiFailure(status, code, message or text, named)


def check_authorization(header: str | None, key: str, now_s: float) -> ApiFailure | None:
    """Judge an Authorization header: `Bearer <key>`, or a JWT of the key, bare or after Bearer.

    Bare JWTs are what LangChain and one-api send.
    """
    if not header:
        return failure("1001")
    token = header.removeprefix("Bearer ")
    if token.count(".") == 2:
        return _check_jwt(token, key, now_s * 1000)
    if header.startswith("Bearer ") and hmac.compare_digest(token.encode(), key.encode()):
        return None
    return failure("1000")


def _check_jwt(token: str, key: str, now_ms: float) -> ApiFailure | None:
    key_id, _, secret = key.partition(".")
    signed, _, signature = token.rpartition(".")
    try:
        head, claims = (json.loads(_decode_base64url(part)) for part in signed.split("."))
        is_signed = hmac.compare_digest(_decode_base64url(signature), _sign(signed, secret))
        # Milliseconds, unlike other JWTs: seconds lie far in the past here.
        is_expired = claims["exp"] < now_ms
        is_legal = (head["alg"], head["sign_type"]) == ("HS256", "SIGN")
    except (ValueError, KeyError, TypeError):
        return failure("1002")
    if not is_legal:
        return failure("1002")
    if not is_signed or claims.get("api_key") != key_id:
        return failure("1000")
    return failure("1003") if is_expired else None


def _decode_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _sign(signed: str, secret: str) -> bytes:
    return hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()


def check_chat(body: Any, models: set[str]) -> ApiFailure | None:
    """Judge the body of a chat request by the documented fields and ranges.

    A null counts as absent: zai-sdk sends some.
    """
    return (
        _check_required(body, "model", "messages")
        or _check_model(body, models)
        or _check_messages(body["messages"])
        or _check_fields(body, _CHAT_FIELDS)
        or _check_tools(body.get("tools"))
        or _check_thinking(body)
    )


def check_task(body: Any, models: set[str]) -> ApiFailure | None:
    """Judge the body of an async chat request: as chat, but it cannot stream."""
    if isinstance(body, dict) and body.get("stream"):
        return failure("1212")
    return check_chat(body, models)


def check_embeddings(body: Any, models: set[str]) -> ApiFailure | None:
    """Judge the body of an embeddings request: a string or 1 to 64 of them, none empty."""
    return (
        _check_required(body, "model", "input")
        or _check_model(body, models)
        or _check_fields(body, _EMBEDDING_FIELDS)
    )


def check_web_search(body: Any, models: set[str]) -> ApiFailure | None:
    """Judge the body of a search request; the words for a missing engine are the platform's."""
    if isinstance(body, dict) and not body.get("search_engine"):
        return failure("1214", "search_engine:The search_engine cannot both be empty.")
    return _check_required(body, "search_query") or _check_fields(body, _SEARCH_FIELDS)


def _check_required(body: Any, *names: str) -> ApiFailure | None:
    if not isinstance(body, dict):
        return failure("1210")
    missing = [name for name in names if body.get(name) is None]
    return failure("1213", f"未正常接收到{missing[0]}参数。") if missing else None


def _check_model(body: Json, models: set[str]) -> ApiFailure | None:
    is_known = str(body["model"]).lower() in models
    return None if is_known else failure("1211")


def _check_messages(messages: Any) -> ApiFailure | None:
    if isinstance(messages, list) and all(map(_is_message, messages)):
        # A history without a turn to answer is refused too (zhipuai-sdk-python-v4, issue 14).
        has_turn = any(message["role"] in ("user", "tool") for message in messages)
        if has_turn and _are_calls_answered(messages):
            return None
    return illegal("messages")


def _is_message(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    content, calls = value.get("content"), value.get("tool_calls")
    match value.get("role"):
        case "system" | "user":
            return True
        case "tool":
            return isinstance(content, str)
        case "assistant" if calls:
            is_content = content is None or isinstance(content, str)
            return is_content and isinstance(calls, list) and all(map(_is_call, calls))
        case "assistant":
            return isinstance(content, str) and content != ""
        case _:
            return False


def _is_call(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("function"), dict):
        return False
    function = value["function"]
    is_named = _is_some_text(value.get("id")) and _is_some_text(function.get("name"))
    return is_named and value.get("type") == "function" and _is_json(function.get("arguments"))


def _is_json(value: Any) -> bool:
    try:
        json.loads(value if isinstance(value, str) else "")
    except ValueError:
        return False
    return True


def _are_calls_answered(messages: Sequence[Json]) -> bool:
    """Judge whether right after each message with calls stands one result for each of them."""
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message.get("tool_call_id") not in waiting:
                return False
            waiting.remove(message["tool_call_id"])
        elif waiting:
            return False
        elif message["role"] == "assistant":
            waiting = [call["id"] for call in message.get("tool_calls") or ()]
    return not waiting


def _check_fields(body: Json, rules: Mapping[str, Callable[[Any], bool]]) -> ApiFailure | None:
    present = (name for name in rules if body.get(name) is not None)
    wrong = next((name for name in present if not rules[name](body[name])), None)
    return illegal(wrong) if wrong else None


def _check_tools(tools: Any) -> ApiFailure | None:
    # One kind to a request, as docs.bigmodel.cn has it; docs.z.ai would let them mix.
    kinds = {str(tool.get("type")) if isinstance(tool, dict) else "" for tool in tools or ()}
    if len(kinds) > 1 or not all(map(_is_tool, tools or ())):
        return illegal("tools")
    searches = (tool["web_search"] for tool in tools or () if tool["type"] == "web_search")
    refusals = (_check_fields(search, _SEARCH_FIELDS) for search in searches)
    return next(filter(None, refusals), None)


def _is_tool(value: Any) -> bool:
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or not isinstance(value.get(kind), dict):
        return False
    fields = _TOOL_FIELDS.get(kind)
    return fields is not None and all(rule(value[kind].get(name)) for name, rule in fields.items())


def _check_thinking(body: Json) -> ApiFailure | None:
    if not ALWAYS_THINKING.match(body["model"].lower()):
        return None
    is_off = (body.get("thinking") or {}).get("type") == "disabled"
    if is_off or body.get("reasoning_effort") not in (None, "low", "high", "max"):
        return failure("1210", "该模型始终思考，不支持关闭思考；请使用 low、high 或 max。")
    return None


def illegal(name: str) -> ApiFailure:
    return failure("1214", f"{name} 参数非法。请检查文档。")


def _is_number(low: float, high: float, *kinds: type[float]) -> Callable[[Any], bool]:
    def judge(value: Any) -> bool:
        # `True` is an int to Python, not to JSON.
        return isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high

    return judge


def _is_text(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and low <= len(value) <= high


def _is_one_of(*choices: str) -> Callable[[Any], bool]:
    return lambda value: value in choices


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_some_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_function_name(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", value))


def _is_format(value: Any) -> bool:
    # json_schema is in no document; it was taken and had no effect (seen in September 2026).
    kinds = ("text", "json_object", "json_schema")
    return isinstance(value, dict) and value.get("type") in kinds


def _is_stop(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= 4 and all(isinstance(v, str) for v in value)


def _is_thinking(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") in ("enabled", "disabled")


def _is_input(value: Any) -> bool:
    texts = [value] if isinstance(value, str) else value
    is_list = isinstance(texts, list) and 1 <= len(texts) <= 64
    return is_list and all(isinstance(text, str) and text for text in texts)


_IDS = {"request_id": _is_text(6, 64), "user_id": _is_text(6, 128)}
_CHAT_FIELDS = _IDS | {
    "stream": _is_bool,
    "temperature": _is_number(0.0, 1.0, int, float),
    "top_p": _is_number(0.01, 1.0, int, float),
    "max_tokens": _is_number(1, 131072, int),
    "stop": _is_stop,
    "thinking": _is_thinking,
    "reasoning_effort": _is_one_of("max", "xhigh", "high", "medium", "low", "minimal", "none"),
    "tools": lambda value: isinstance(value, list) and len(value) <= 128,
    # Not `tool_choice`: whatever it says is taken for "auto".
    "tool_stream": _is_bool,
    "response_format": _is_format,
}
# What each kind of tool must have.
_TOOL_FIELDS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "function": {
        "name": _is_function_name,
        "description": lambda value: isinstance(value, str),
        "parameters": lambda value: isinstance(value, dict),
    },
    "retrieval": {"knowledge_id": _is_some_text},
    "mcp": {"server_label": _is_some_text},
    "web_search": {},
}
_EMBEDDING_FIELDS = _IDS | {"input": _is_input, "dimensions": _is_number(1, 2048, int)}
_SEARCH_FIELDS = {
    "search_query": _is_text(1, 70),
    "count": _is_number(1, 50, int),
    "content_size": _is_one_of("medium", "high"),
    "search_recency_filter": _is_one_of("oneDay", "oneWeek", "oneMonth", "oneYear", "noLimit"),
}
