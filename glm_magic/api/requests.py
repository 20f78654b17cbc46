"""What is asked of the API: values to the JSON of a request body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]

# Of the documented engines the ones that return links: search_std and search_pro leave every
# link empty (observed September 2026). Z.ai documents search_pro_jina only.
SEARCH_ENGINE = "search_pro_sogou"
SEARCH_ENGINE_ZAI = "search_pro_jina"
# Documented values, least reasoning last, and ages of pages; docs.z.ai, September 2026.
EFFORTS = ("max", "xhigh", "high", "medium", "low", "minimal", "none")
RECENCIES = ("oneDay", "oneWeek", "oneMonth", "oneYear", "noLimit")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat.

    Attributes:
        reasoning: what the model thought before it wrote this, to be sent along; mostly "".
    """

    role: Role
    content: str
    reasoning: str = ""


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

    @property
    def texts(self) -> tuple[str, ...]:
        """What the user wrote; no error may repeat it."""
        query = self.web_search.query if self.web_search else ""
        written = (text for m in self.messages for text in (m.content, m.reasoning))
        return (*written, query, *self.stop)

    @property
    def keeps_reasoning(self) -> bool:
        """Whether reasoning of earlier turns is sent along."""
        return any(message.reasoning for message in self.messages)


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
        "messages": [_build_message(message) for message in request.messages],
        "stream": request.stream,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_tokens": request.max_tokens,
        "stop": list(request.stop) or None,
        "reasoning_effort": request.effort,
        "tools": _build_tools(request),
    }
    body |= _build_glm(request) if speaks_glm else _build_openai(request)
    return {name: value for name, value in body.items() if value is not None}


def _build_message(message: Message) -> dict[str, str]:
    fields = {"role": message.role, "content": message.content}
    return fields | {"reasoning_content": message.reasoning} if message.reasoning else fields


def _build_tools(request: ChatRequest) -> list[dict[str, Any]] | None:
    return [build_web_search(request.web_search)] if request.web_search else None


def _build_glm(request: ChatRequest) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if request.thinking is not None:
        fields["thinking"] = {"type": "enabled" if request.thinking else "disabled"}
    if request.keeps_reasoning:  # the platform drops it otherwise
        fields["thinking"] = {"type": "enabled", **fields.get("thinking", {})}
        fields["thinking"] |= {"clear_thinking": False}
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
