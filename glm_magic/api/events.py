"""One JSON chunk of a reply to the events it holds.

Source of the shapes: the platform's chat/completions page (read 2026) and captured streams:
every delta carries a role, `finish_reason` is absent before the last chunk, usage and
`web_search` come with the last one. OpenAI-compatible servers differ in details that are
accepted too: `reasoning` for `reasoning_content`, usage in a chunk with no choices.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glm_magic.api.characters import valid_unicode


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one request; `cached` is part of prompt, `reasoning` of completion."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0


def sum_usage(a: Usage, b: Usage) -> Usage:
    """Return the counts of two requests together."""
    return Usage(*(getattr(a, name) + getattr(b, name) for name in Usage.__slots__))


def subtract_usage(a: Usage, b: Usage) -> Usage:
    """Return the counts of two requests together without those of one of them."""
    return Usage(*(getattr(a, name) - getattr(b, name) for name in Usage.__slots__))


@dataclass(frozen=True, slots=True)
class Source:
    """One page that a web search found; `number` is the n of `[ref_n]` in the answer."""

    number: int
    title: str
    link: str
    site: str
    date: str
    snippet: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Text that continues the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """Text that continues the reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class Identified:
    """The platform's id of this request and the model that answers."""

    request_id: str
    model: str


@dataclass(frozen=True, slots=True)
class SourcesFound:
    """What a web search found."""

    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class UsageReported:
    """The token counts."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a call to a tool; pieces with the same `index` belong together.

    `id` and `name` come with the first piece and are "" in the others; the `arguments` of all
    pieces, joined, are JSON.
    """

    index: int
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ServerCalled:
    """A call that the platform made itself, of a server of the Model Context Protocol.

    `result` is what came of it, or the error; a listing of the server's tools has no arguments.
    """

    id: str
    name: str
    arguments: str
    result: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Filtered:
    """What the safety review found: in which role's text, and how bad: 0 (worst) to 3."""

    role: str
    level: int


@dataclass(frozen=True, slots=True)
class ContentFiltered:
    """The findings of the safety review."""

    findings: tuple[Filtered, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The model stopped; the reasons are an open set."""

    reason: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing of the reply: the client waits `seconds` before it goes on, and why.

    `seconds` is infinite where nobody can tell: for a free place among the requests in flight.
    """

    seconds: float
    reason: str


Event = (
    TextDelta
    | ReasoningDelta
    | ToolCallDelta
    | ServerCalled
    | Identified
    | SourcesFound
    | UsageReported
    | ContentFiltered
    | Finished
    | Waiting
)


# What may stand beside the choices; nearly every chunk but the last has none of it.
_BESIDE = frozenset({"web_search", "content_filter", "contentFilter", "usage"})


class ChunkParser:
    """Chunks of one reply in, events out.

    It remembers what one chunk alone cannot tell: whether the reply is already identified,
    and half of a character: JSON may carry the two surrogates of one emoji in two chunks.
    """

    def __init__(self) -> None:
        self.is_finished = False
        self._identified = False
        self._text = SurrogateJoiner()
        self._reasoning = SurrogateJoiner()

    def parse(self, chunk: Mapping[str, Any]) -> list[Event]:
        """Return the events of one chunk, or of a whole reply that came as one JSON object."""
        events: list[Event] = []
        if not self._identified and (chunk.get("id") or chunk.get("model")):
            self._identified = True
            request_id = chunk.get("request_id") or chunk.get("id")
            events.append(Identified(_text(request_id), _text(chunk.get("model"))))
        choices = chunk.get("choices")
        if choices and isinstance(choices, list) and isinstance(choices[0], dict):
            self._parse_choice(choices[0], events)
        if not _BESIDE.isdisjoint(chunk):
            self._parse_rest(chunk, events)
        return events

    def _parse_choice(self, choice: Mapping[str, Any], events: list[Event]) -> None:
        delta = _object(choice.get("delta") or choice.get("message"))
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if reasoning and isinstance(reasoning, str) and (text := self._reasoning.join(reasoning)):
            events.append(ReasoningDelta(text))
        if (content := delta.get("content")) and (text := self._text.join(_content(content))):
            events.append(TextDelta(text))
        if calls := delta.get("tool_calls"):
            events.extend(parse_tool_calls(calls))
            events.extend(parse_server_calls(calls))
        if reason := choice.get("finish_reason"):
            self.is_finished = True
            events.append(Finished(_text(reason)))

    def _parse_rest(self, chunk: Mapping[str, Any], events: list[Event]) -> None:
        """What may stand beside the choices, in any chunk."""
        if sources := parse_sources(chunk.get("web_search")):
            events.append(SourcesFound(sources))
        if findings := parse_findings(chunk.get("content_filter") or chunk.get("contentFilter")):
            # Before the reason to finish, which says what they mean.
            events.insert(0, ContentFiltered(findings))
        if isinstance(usage := chunk.get("usage"), dict):
            events.append(UsageReported(parse_usage(usage)))

    def finish(self) -> Iterator[Event]:
        """Yield what was held back: a first half whose second never came is U+FFFD."""
        if self._reasoning.half:
            yield ReasoningDelta("\ufffd")
        if self._text.half:
            yield TextDelta("\ufffd")


class SurrogateJoiner:
    """Joins surrogate halves that came in two pieces; a lone one becomes U+FFFD."""

    def __init__(self) -> None:
        self.half = ""

    def join(self, text: str) -> str:
        """Return `text` as valid Unicode, less a first half that the next piece may mend."""
        if not self.half and (text.isascii() or _is_valid(text)):
            return text
        text, self.half = self.half + text, ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self.half = text[:-1], text[-1]
        return valid_unicode(text)


def _is_valid(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_usage(usage: Mapping[str, Any]) -> Usage:
    """Return the counts of a `usage` object; what is missing counts 0."""
    prompt = _object(usage.get("prompt_tokens_details"))
    completion = _object(usage.get("completion_tokens_details"))
    return Usage(
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
        _count(usage.get("total_tokens")),
        _count(prompt.get("cached_tokens")),
        _count(completion.get("reasoning_tokens")),
    )


def parse_tool_calls(entries: object) -> list[ToolCallDelta]:
    """Return the pieces of calls in a `tool_calls` array.

    The documents of one site have the arguments as text, those of the other as an object.
    """
    return [
        ToolCallDelta(
            index=index if isinstance(index := entry.get("index", place), int) else place,
            id=_text(entry.get("id")),
            name=_text(_object(entry.get("function")).get("name")),
            arguments=_arguments(_object(entry.get("function")).get("arguments")),
        )
        for place, entry in enumerate(_objects(entries))
        if entry.get("type") != "mcp"
    ]


def parse_server_calls(entries: object) -> list[ServerCalled]:
    """Return the calls of MCP servers in a `tool_calls` array.

    Documented are `id`, `type`, `server_label` and `error`; the other names are those of OpenAI's
    items of the same types.
    """
    found = [entry for entry in _objects(entries) if entry.get("type") == "mcp"]
    return [_server_call(entry, _object(entry.get("mcp"))) for entry in found]


def _server_call(entry: Mapping[str, Any], call: Mapping[str, Any]) -> ServerCalled:
    what = call.get("name") or call.get("type")
    error = call.get("error")
    result = error or call.get("output") or call.get("result") or call.get("tools")
    return ServerCalled(
        id=_text(call.get("id") or entry.get("id")),
        name=".".join(filter(None, (_text(call.get("server_label")), _text(what)))),
        arguments=_arguments(call.get("arguments")),
        result=_arguments(result),
        is_error=bool(error),
    )


def _arguments(value: object) -> str:
    if isinstance(value, str):
        return valid_unicode(value)
    return json.dumps(value, ensure_ascii=False) if value is not None else ""


def parse_findings(entries: object) -> tuple[Filtered, ...]:
    """Return the entries of a `content_filter` array."""
    return tuple(
        Filtered(_text(entry.get("role")), _count(entry.get("level")))
        for entry in _objects(entries)
    )


def in_words(findings: Sequence[Filtered]) -> str:
    """Return what the safety review blocked: " in the prompt (level 1 of 0 to 3, ...)"."""
    parts = [f"{_ROLES.get(f.role, f.role[:20])}, level {f.level}" for f in findings]
    return f" in {' and in '.join(parts)} (0 is the worst, 3 the mildest)" if parts else ""


_ROLES = {"user": "the prompt", "assistant": "the answer", "history": "the chat before it"}


def parse_sources(entries: object) -> tuple[Source, ...]:
    """Return the entries of a `web_search` array, numbered by `refer` or by their place."""
    return tuple(
        Source(
            number=_number(entry.get("refer"), place),
            title=_text(entry.get("title")),
            link=_text(entry.get("link")),
            site=_text(entry.get("media")),
            date=_text(entry.get("publish_date")),
            snippet=_text(entry.get("content")),
        )
        for place, entry in enumerate(_objects(entries), start=1)
    )


def _number(refer: object, place: int) -> int:
    # "ref_3" by the documents; a bare "3" was seen too.
    found = re.search(r"\d{1,6}", _text(refer))
    return int(found[0]) if found else place


def _content(content: object) -> str:
    """Text, or the text parts of a list (vision models answer so)."""
    if isinstance(content, str):
        return content
    parts = (part.get("text") for part in _objects(content))
    return "".join(part for part in parts if isinstance(part, str))


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[dict[str, Any]]:
    entries: Iterable[object] = value if isinstance(value, list) else ()
    return [entry for entry in entries if isinstance(entry, dict)]


def _text(value: object) -> str:
    return "" if value is None else valid_unicode(str(value))


def _count(value: object) -> int:
    return max(value, 0) if isinstance(value, int) and not isinstance(value, bool) else 0
