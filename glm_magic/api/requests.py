"""What is asked of the API: values to the JSON of a request body."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from glm_magic.api.tool import (
    FunctionTool,
    KnowledgeBase,
    McpServer,
    ToolCall,
    WebSearch,
    build_call,
    build_function,
    build_knowledge,
    build_mcp,
    build_web_search,
    streams_calls,
)

Role = Literal["system", "user", "assistant", "tool"]

# Documented values, least reasoning last, and ages of pages; docs.z.ai, September 2026.
EFFORTS = ("max", "xhigh", "high", "medium", "low", "minimal", "none")
RECENCIES = ("oneDay", "oneWeek", "oneMonth", "oneYear", "noLimit")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat.

    Attributes:
        reasoning: what the model thought before it wrote this, to be sent along; mostly "".
        calls: the functions that it asked for; the assistant's alone.
        call_id: of the call that a message of role "tool" is the result of.
    """

    role: Role
    content: str
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request to /chat/completions; None leaves a field to the server's default.

    Attributes:
        temperature: 0 to 1 on GLM; 0 is greedy.
        top_p: 0 to 1.
        max_tokens: at most so many completion tokens, reasoning included.
        thinking: whether the model may reason first; for GLM-4.5 and later.
        stop: texts that end the answer where they come; the answer has none of them.
        effort: how much it reasons, one of `EFFORTS`; for GLM-5.2 and later.
        functions, knowledge, mcp: what else it may use; the platform takes one kind of tools.
        is_json: whether the answer is to be one JSON object; without a word of that in the
            messages the model does not know.
        schema: a JSON Schema of that object as JSON text, for servers that hold the model to
            it; "" for none.
        extra: any other fields of the body by name, each as JSON text; they come last.
    """

    model: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    thinking: bool | None = None
    web_search: WebSearch | None = None
    stream: bool = True
    stop: tuple[str, ...] = ()
    effort: str | None = None
    functions: tuple[FunctionTool, ...] = ()
    knowledge: KnowledgeBase | None = None
    mcp: tuple[McpServer, ...] = ()
    is_json: bool = False
    schema: str = ""
    extra: tuple[tuple[str, str], ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """What the user wrote; no error may repeat it."""
        query = self.web_search.query if self.web_search else ""
        written = (text for m in self.messages for text in (m.content, m.reasoning))
        asked = self.knowledge.prompt if self.knowledge else ""
        return (*written, query, asked, *self.stop)

    @property
    def keeps_reasoning(self) -> bool:
        """Whether reasoning of earlier turns is sent along, not that between calls alone."""
        return any(message.reasoning and not message.calls for message in self.messages)


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """A request to /embeddings: one vector for each text, in their order."""

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None


def build_chat(request: ChatRequest, *, speaks_glm: bool) -> dict[str, Any]:
    """Return the JSON body; GLM's own fields only where they are understood."""
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [build_message(message) for message in request.messages],
        "stream": request.stream,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_tokens": request.max_tokens,
        "stop": list(request.stop) or None,
        "reasoning_effort": request.effort,
        "tools": _build_tools(request) or None,
        "response_format": _build_format(request),
    }
    body |= _build_glm(request) if speaks_glm else _build_openai(request)
    body = {name: value for name, value in body.items() if value is not None}
    return body | {name: json.loads(text) for name, text in request.extra}


def build_message(message: Message) -> dict[str, Any]:
    """Return the JSON of one message."""
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.reasoning:
        fields["reasoning_content"] = message.reasoning
    if message.calls:
        fields["tool_calls"] = [build_call(call) for call in message.calls]
    if message.call_id:
        fields["tool_call_id"] = message.call_id
    return fields


def _build_tools(request: ChatRequest) -> list[dict[str, Any]]:
    return [
        *map(build_function, request.functions),
        *([build_knowledge(request.knowledge)] if request.knowledge else ()),
        *map(build_mcp, request.mcp),
        *([build_web_search(request.web_search)] if request.web_search else ()),
    ]


def _build_format(request: ChatRequest) -> dict[str, Any] | None:
    """OpenAI's structured outputs, which llama.cpp and vLLM take too, or the older JSON mode."""
    if request.schema:
        # Not "strict", which OpenAI has for schemas without optional fields alone.
        schema = {"name": "answer", "schema": json.loads(request.schema)}
        return {"type": "json_schema", "json_schema": schema}
    return {"type": "json_object"} if request.is_json else None


def _build_glm(request: ChatRequest) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if request.thinking is not None:
        fields["thinking"] = {"type": "enabled" if request.thinking else "disabled"}
    if request.keeps_reasoning:  # the platform drops it otherwise
        fields["thinking"] = {"type": "enabled", **fields.get("thinking", {})}
        fields["thinking"] |= {"clear_thinking": False}
    if request.functions and request.stream and streams_calls(request.model):
        # Otherwise the socket is silent while long arguments are written, and may be cut.
        fields["tool_stream"] = True
    # Temperature 0 was refused by older models; greedy decoding has a field of its own.
    if request.temperature == 0:
        fields |= {"temperature": None, "do_sample": False}
    return fields


def _build_openai(request: ChatRequest) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if request.stream:
        # Without it these servers send no token counts in a stream; vLLM refuses it without one.
        fields["stream_options"] = {"include_usage": True}
    template: dict[str, bool] = {}
    if request.thinking is not None:
        template["enable_thinking"] = request.thinking
    if request.keeps_reasoning:
        template["clear_thinking"] = False
    return fields | {"chat_template_kwargs": template} if template else fields


def build_embedding(request: EmbeddingRequest) -> dict[str, Any]:
    """Return the JSON body of an embedding request."""
    body: dict[str, Any] = {"model": request.model, "input": list(request.texts)}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return body


def build_messages(prompt: str, *, system: str = "") -> tuple[Message, ...]:
    """Return the messages of a single question, with a system message if there is one."""
    turns: Sequence[Message] = [Message("system", system)] if system else []
    return (*turns, Message("user", prompt))
