"""What a request gives back: a `Reply`, and the fold that makes it of its events."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from glm_magic.api.catalog import Currency
from glm_magic.api.code import parse_code_blocks
from glm_magic.api.cost import Cost, estimate_cost
from glm_magic.api.events import (
    ContentFiltered,
    Event,
    Filtered,
    Finished,
    Identified,
    ReasoningDelta,
    Source,
    SourcesFound,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReported,
)

if TYPE_CHECKING:
    import pandas as pd

Format = Literal["md", "text", "code", "json"]
State = Literal["streaming", "complete", "stopped", "cut off", "withdrawn", "failed"]

# A mark of a source as GLM writes it: [ref_1], 【ref_1】 or bare, its dash escaped or not.
_SOURCE_MARK = re.compile(r"(?<![\w/.-])ref\\?_([0-9]{1,4})(?!\w)")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asks for; `arguments` is JSON, as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer with all that came along; `str(reply)` is its text.

    Attributes:
        text: the answer, as Markdown.
        reasoning: what the model thought before it answered; "" if it told nothing.
        tool_calls: the calls of tools that it asks for.
        filtered: what the safety review found, if it said so.
        found: the sources of a web search as values, in the order of their numbers.
        usage: token counts; None when the server sent none (a stopped reply has none).
        model: the id that the server says answered, or was asked for if it says none.
        endpoint: the host it came from, or "local".
        finish_reason: why the model stopped: "stop", "length", "sensitive", ...; None when
            the reply ended in another way.
        request_id: the platform's id of this request, for its support.
        seconds: from sending the request to the last event.
        first_token_s: seconds to the first text or reasoning; None when none came.
        state: "complete", or how else it ended: "stopped" by the user, "cut off" by the
            server or the network, "withdrawn" by the safety review (its text is gone),
            "failed" before anything came.
        billed_in: the currency of a pay-as-you-go endpoint; None where nobody is billed by token.
        format: how it is shown: as Markdown, plain text, its code, or JSON.
        asked_model: the model asked for, where an asynchronous task was silently answered by
            another; "" otherwise.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    filtered: tuple[Filtered, ...] = ()
    found: tuple[Source, ...] = ()
    usage: Usage | None = None
    model: str = ""
    endpoint: str = ""
    finish_reason: str | None = None
    request_id: str = ""
    seconds: float = 0.0
    first_token_s: float | None = None
    state: State = "streaming"
    asked_model: str = ""
    billed_in: Currency | None = None
    format: Format = "md"

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        start = self.text if len(self.text) <= 60 else f"{self.text[:59]}…"
        return f"<Reply {start!r} model={self.model!r} {self.state}>"

    @property
    def sources(self) -> pd.DataFrame:
        """The sources of a web search, one a row, indexed by their number from 1.

        Columns: title, link, site, date, snippet (all str; "" where the platform sent
        nothing), cited (bool: whether the answer refers to it). No rows without a search.
        """
        # Not at the top: pandas takes a third of a second, and few replies have sources.
        import pandas as pd

        cited = self.cited_numbers
        rows = [(s.title, s.link, s.site, s.date, s.snippet, s.number in cited) for s in self.found]
        index = pd.Index([s.number for s in self.found], name="number", dtype="int64")
        columns = ["title", "link", "site", "date", "snippet", "cited"]
        frame = pd.DataFrame(rows, columns=columns, index=index, dtype="object")
        return frame.astype({"cited": "bool"})

    @property
    def cited_numbers(self) -> frozenset[int]:
        """The numbers of the sources that the answer refers to, as in `[ref_3]`."""
        return frozenset(int(number) for number in _SOURCE_MARK.findall(self.text))

    @property
    def code(self) -> str:
        """The first code block of the answer, without its fence; "" if there is none."""
        return next((block.code for block in parse_code_blocks(self.text)), "")

    @property
    def cost(self) -> Cost | None:
        """What the tokens cost, by the price list; None where no price or count is known."""
        if self.usage is None or self.billed_in is None:
            return None
        return estimate_cost(self.asked_model or self.model, self.usage, self.billed_in)

    @property
    def tokens_per_s(self) -> float | None:
        """Completion tokens a second after the first one; None without counts."""
        if self.usage is None or self.first_token_s is None or self.seconds <= self.first_token_s:
            return None
        return self.usage.completion_tokens / (self.seconds - self.first_token_s)


@dataclass(slots=True)
class ReplyFold:
    """Events in, a `Reply` out, in time linear in the number of events.

    Deltas are kept as pieces and joined when asked: adding strings would copy the whole
    text again at every event.
    """

    start: Reply = field(default_factory=Reply)
    _text: list[str] = field(default_factory=list)
    _reasoning: list[str] = field(default_factory=list)
    _calls: dict[int, list[ToolCallDelta]] = field(default_factory=dict)
    _sources: dict[int, Source] = field(default_factory=dict)

    def add(self, event: Event, at_s: float) -> None:
        """Take one event that came `at_s` seconds after the request was sent."""
        # Not in the match: nearly all events are of these kinds, and `type` costs a tenth.
        if type(event) is TextDelta:
            self._text.append(event.text)
            self._saw_token(at_s)
            return
        if type(event) is ReasoningDelta:
            self._reasoning.append(event.text)
            self._saw_token(at_s)
            return
        match event:
            case Identified(request_id, model):
                model = model or self.start.model
                self.start = replace(self.start, request_id=request_id, model=model)
            case SourcesFound(sources):
                self._sources |= {source.number: source for source in sources}
            case UsageReported(usage):
                self.start = replace(self.start, usage=usage)
            case ToolCallDelta(index):
                self._calls.setdefault(index, []).append(event)
                self._saw_token(at_s)
            case ContentFiltered(findings):
                self.start = replace(self.start, filtered=findings)
            case Finished(reason):
                self.start = replace(self.start, finish_reason=reason)

    def _saw_token(self, at_s: float) -> None:
        if self.start.first_token_s is None:
            self.start = replace(self.start, first_token_s=at_s)

    def reply(self, *, state: State = "streaming", seconds: float = 0.0) -> Reply:
        """Return the reply so far."""
        return replace(
            self.start,
            text="".join(self._text),
            reasoning="".join(self._reasoning),
            found=merge_sources(self.start.found, tuple(self._sources.values())),
            tool_calls=tuple(_join_call(self._calls[index]) for index in sorted(self._calls)),
            state=state,
            seconds=seconds,
        )

    def withdraw(self) -> None:
        """Drop the text, as the platform asks of a reply that its safety review ended."""
        self._text.clear()
        self._reasoning.clear()
        self._calls.clear()


def _join_call(pieces: list[ToolCallDelta]) -> ToolCall:
    return ToolCall(
        next((piece.id for piece in pieces if piece.id), ""),
        next((piece.name for piece in pieces if piece.name), ""),
        "".join(piece.arguments for piece in pieces),
    )


def merge_sources(old: tuple[Source, ...], new: tuple[Source, ...]) -> tuple[Source, ...]:
    """Return both without repeats of the same number, in the order of the numbers."""
    return tuple(sorted({s.number: s for s in (*old, *new)}.values(), key=lambda s: s.number))
