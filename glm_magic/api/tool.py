"""What a model may use besides what it knows: functions, a knowledge base, servers, the web.

Shapes: docs.bigmodel.cn and docs.z.ai, chat completion, read May to September 2026.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

__all__ = [
    "SEARCH_ENGINE",
    "SEARCH_ENGINE_ZAI",
    "FunctionTool",
    "KnowledgeBase",
    "McpServer",
    "ToolCall",
    "WebSearch",
    "build_call",
    "build_function",
    "build_knowledge",
    "build_mcp",
    "build_web_search",
    "streams_calls",
]

# Of the documented engines the ones that return links: search_std and search_pro leave every
# link empty (observed September 2026). Z.ai documents search_pro_jina only.
SEARCH_ENGINE = "search_pro_sogou"
SEARCH_ENGINE_ZAI = "search_pro_jina"
# `tool_stream` is documented for GLM-5.3, 5.2, 5.1, 5, 5-Turbo, 4.7 and 4.6.
_STREAMS_CALLS = re.compile(r"glm-(5|4\.[67])(?!\d|v)", re.IGNORECASE)

_NO_NAME = re.compile(r"[^a-zA-Z0-9_-]")


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A function that the model may ask us to call.

    Attributes:
        name: 1 to 64 ASCII letters, digits, `_` and `-`.
        description: what it does; the model goes by it.
        parameters: a JSON Schema of its arguments, an object, as JSON text: so a request can be
            compared and be a key.
    """

    name: str
    description: str
    parameters: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asks for; `arguments` is JSON, as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class KnowledgeBase:
    """A knowledge base of the platform to look into before answering.

    Attributes:
        id: the platform's id of it.
        prompt: how what was found and the question are put, with `{{ knowledge }}` and
            `{{ question }}` in it; "" is the platform's own way.
    """

    id: str
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class McpServer:
    """A server of the Model Context Protocol that the platform may call.

    Attributes:
        label: its name; for one that the platform hosts, the platform's code for it.
        url: "" for one that the platform hosts.
    """

    label: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class WebSearch:
    """Search the web before answering.

    Attributes:
        engine: which search engine of the platform; see `SEARCH_ENGINE`.
        query: search for this instead of the prompt; "" lets the platform choose.
        count: at most so many pages, 1 to 50; search_pro_sogou takes whole tens only.
        recency: one of `RECENCIES`.
        domain: the one site to search, such as "www.example.com"; "" is all.
    """

    engine: str = SEARCH_ENGINE
    query: str = ""
    count: int | None = None
    recency: str | None = None
    domain: str = ""


def streams_calls(model: str) -> bool:
    """Return whether the arguments of calls can be streamed by a model of the platform."""
    return _STREAMS_CALLS.match(model) is not None


def build_function(tool: FunctionTool) -> dict[str, Any]:
    """Return the tool of a function."""
    parameters = json.loads(tool.parameters)
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}


def build_call(call: ToolCall) -> dict[str, Any]:
    """Return a call as it stands in the message of the assistant that asked for it.

    Arguments that are no JSON are left out, and letters that no name may have: servers read all
    of it again, and refuse the chat.
    """
    function = {
        "name": _NO_NAME.sub("_", call.name)[:64] or "unnamed",
        "arguments": call.arguments if _is_json(call.arguments) else "{}",
    }
    return {"id": call.id, "type": "function", "function": function}


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def build_knowledge(base: KnowledgeBase) -> dict[str, Any]:
    """Return the retrieval tool."""
    prompt = {"prompt_template": base.prompt} if base.prompt else {}
    return {"type": "retrieval", "retrieval": {"knowledge_id": base.id, **prompt}}


def build_mcp(server: McpServer) -> dict[str, Any]:
    """Return the tool of an MCP server; one that the platform hosts has no URL."""
    url = {"server_url": server.url} if server.url else {}
    return {"type": "mcp", "mcp": {"server_label": server.label, **url}}


def build_web_search(search: WebSearch) -> dict[str, Any]:
    """Return the web_search tool; without `search_result` the sources would stay away."""
    fields: dict[str, Any] = {
        "enable": True,
        "search_engine": search.engine,
        "search_result": True,
    }
    named = {
        "search_query": search.query,
        "count": search.count,
        "search_recency_filter": search.recency,
        "search_domain_filter": search.domain,
    }
    fields |= {name: value for name, value in named.items() if value}
    return {"type": "web_search", "web_search": fields}
