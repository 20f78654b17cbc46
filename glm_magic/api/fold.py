"""The fold that makes a `Reply` of the events of its stream."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from glm_magic.api.events import (
    ContentFiltered,
    Event,
    Finished,
    Identified,
    ReasoningDelta,
    ServerCalled,
    Source,
    SourcesFound,
    TextDelta,
    ToolCallDelta,
    UsageReported,
)
from glm_magic.api.reply import Reply, State, merge_sources
from glm_magic.api.rounds import Call, CallState
from glm_magic.api.tool import ToolCall

__all__ = ["ReplyFold"]


@dataclass(slots=True)
class ReplyFold:
    """Events in, a `Reply` out, in time linear in the number of events.

    Deltas are kept as pieces and joined when asked: adding strings would copy the whole
    text again at every event.
    """

    start: Reply = field(default_factory=Reply)
    _text: list[str] = field(default_factory=list)
    _reasoning: list[str] = field(default_factory=list)
    _calls: list[list[ToolCallDelta]] = field(default_factory=list)
    _open: dict[int, list[ToolCallDelta]] = field(default_factory=dict)
    _served: dict[str, Call] = field(default_factory=dict)
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
            case ToolCallDelta():
                self._add_call(event)
                self._saw_token(at_s)
            case ServerCalled(id, name, arguments, result, is_error):
                state: CallState = "failed" if is_error else "done"
                self._served[id] = Call(id, name, arguments, state, result)
            case ContentFiltered(findings):
                self.start = replace(self.start, filtered=findings)
            case Finished(reason):
                self.start = replace(self.start, finish_reason=reason)

    def _add_call(self, piece: ToolCallDelta) -> None:
        """Add a piece to the call of its index; some servers give all calls the same one."""
        pieces = self._open.get(piece.index)
        if pieces is None or (piece.id and pieces[0].id and piece.id != pieces[0].id):
            pieces = self._open[piece.index] = []
            self._calls.append(pieces)
        pieces.append(piece)

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
            tool_calls=tuple(map(_join_call, sorted(self._calls, key=lambda c: c[0].index))),
            served=tuple(self._served.values()),
            state=state,
            seconds=seconds,
        )

    def withdraw(self) -> None:
        """Drop the text, as the platform asks of a reply that its safety review ended."""
        self._text.clear()
        self._reasoning.clear()
        self._calls.clear()
        self._served.clear()


def _join_call(pieces: list[ToolCallDelta]) -> ToolCall:
    return ToolCall(
        next((piece.id for piece in pieces if piece.id), ""),
        next((piece.name for piece in pieces if piece.name), ""),
        "".join(piece.arguments for piece in pieces),
    )
