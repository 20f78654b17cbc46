"""The requests that one reply takes: round by round to an answer that stands.

The model asks for calls, gets their results and is asked again; an answer that does not fit its
schema is sent back once. Nothing here sends or calls: it says what is next, and what has come.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce

from glm_magic.api.events import Usage, sum_usage
from glm_magic.api.reply import Reply, merge_sources
from glm_magic.api.requests import ChatRequest
from glm_magic.api.rounds import Call, Round, messages_of_rounds
from glm_magic.errors import ReplyError
from glm_magic.session.exchange import Exchange, join_replies

__all__ = ["Rounds", "check_answer"]


class Rounds:
    """The way from a request to its answer.

        rounds = Rounds(exchange, most=10)
        while rounds.request:
            rounds.end(reply of rounds.request)
            rounds.judge()
            for place, call in enumerate(rounds.calls):
                rounds.note(place, what came of the call)
        rounds.check()

    Args:
        goes_on: the request to send in place of that of the exchange; what came before and what
            comes now become one reply.
        most: so many times the model may ask for calls.
        redact: takes keys out of what a schema's own code says is wrong, before it is sent.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        most: int,
        goes_on: ChatRequest | None = None,
        redact: Callable[[str], str] = str,
    ) -> None:
        self._exchange = exchange
        self._goes_on = goes_on
        self._most = most
        self._redact = redact
        self._ended: list[Round] = []
        self._calls: list[Call] = []
        self._replies: list[Reply] = []
        self._is_over = False

    @property
    def request(self) -> ChatRequest | None:
        """What is to be sent next; None where the reply has ended. All calls have been noted."""
        self._end_round()
        if self._is_over:
            return None
        if self._goes_on:
            return self._goes_on
        request = self._exchange.request
        messages = (*request.messages, *messages_of_rounds(self._ended))
        # A new search would look for the words of a repair.
        is_repair = bool(self._ended) and bool(self._ended[-1].problem)
        search = None if is_repair else request.web_search
        return replace(request, messages=messages, web_search=search)

    @property
    def has_begun(self) -> bool:
        """Whether a request was sent and has ended."""
        return bool(self._replies)

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls of the round under way."""
        return tuple(self._calls)

    @property
    def so_far(self) -> tuple[Round, ...]:
        """All rounds, the one under way too."""
        return (*self._ended, *([self._open_round()] if self._calls else ()))

    def end(self, own: Reply) -> None:
        """Take the reply to the request that was sent last; `judge` says what it leads to."""
        self._replies.append(own)
        self._is_over = True

    def judge(self) -> None:
        """Find out whether the last reply asks for calls, or has to be mended.

        The code of a schema's type runs here, for as long as it likes.
        """
        own = self._replies[-1]
        if self._wants_calls(own):
            self._calls = _calls_of(own, f"call_{len(self._ended)}")
            self._is_over = False
        elif problem := self._problem_to_mend(own):
            self._ended.append(Round(own.text, own.reasoning, (), problem, own.usage))
            self._is_over = False

    def note(self, place: int, call: Call) -> None:
        """Note how a call of the round under way goes, or what came of it."""
        self._calls[place] = call

    def _end_round(self) -> None:
        if self._calls:
            self._ended.append(self._open_round())
            self._calls = []

    def _open_round(self) -> Round:
        own = self._replies[-1]
        return Round(own.text, own.reasoning, self.calls, usage=own.usage)

    def _wants_calls(self, own: Reply) -> bool:
        """Whether there are calls to make: not where the end of them may be missing."""
        is_whole = own.state == "complete" and own.finish_reason not in ("length", "sensitive")
        has_some = bool(own.tool_calls and self._exchange.functions)
        return is_whole and has_some and not self._goes_on and not self._is_too_often

    @property
    def _is_too_often(self) -> bool:
        return sum(bool(each.calls) for each in self._ended) >= self._most

    def _problem_to_mend(self, own: Reply) -> str:
        schema = self._exchange.reply.schema
        has_ended = own.state == "complete" and own.finish_reason in (None, "stop")
        if schema is None or not has_ended or self._goes_on:
            return ""
        problem = self._redact(schema.problem(own.text))
        was_mended = any(each.problem for each in self._ended)
        return "" if was_mended else problem

    @property
    def reply(self) -> Reply:
        """All that has come so far, as one reply."""
        own, rounds = self._last()
        taken = (call.seconds or 0.0 for each in self.so_far for call in each.calls)
        whole = replace(
            own,
            rounds=rounds,
            served=tuple(call for reply in self._replies for call in reply.served),
            found=reduce(merge_sources, (reply.found for reply in self._replies), ()),
            usage=_sum([reply.usage for reply in self._replies]),
            seconds=sum(reply.seconds for reply in self._replies) + sum(taken),
            first_token_s=self._replies[0].first_token_s,
        )
        if self._goes_on:
            return join_replies(self._exchange.reply, whole)
        return replace(whole, asked=self._exchange.request)

    def _last(self) -> tuple[Reply, tuple[Round, ...]]:
        """The last reply, and the rounds before it.

        What it wrote is in a round where that was not the last word. Where nothing came of sending
        an answer back, that answer is the last.
        """
        own, rounds = self._replies[-1], self.so_far
        is_nothing = not self._is_over or not own.text.strip()
        if rounds and rounds[-1].problem and is_nothing:
            sent_back = self._replies[len(rounds) - 1]
            return sent_back, rounds[:-1]
        if self._is_over:
            return own, rounds
        # An interrupt may come between the end of a call and the note of it.
        *before, last = rounds
        calls = (replace(c, state="stopped") if c.state == "running" else c for c in last.calls)
        stopped = replace(own, state="stopped", text="", reasoning="", tool_calls=())
        return stopped, (*before, replace(last, calls=tuple(calls)))

    def check(self) -> None:
        """Raise where the reply is whole and not what was asked for.

        Raises:
            ReplyError: the model asks for calls again and again, or the answer does not fit.
        """
        reply = self.reply
        if reply.state == "complete" and reply.tool_calls and self._exchange.functions:
            raise ReplyError(self._why_no_answer(reply))
        check_answer(replace(reply, schema=self._exchange.reply.schema))

    def _why_no_answer(self, reply: Reply) -> str:
        if self._goes_on:
            return "the model asks for a call instead of going on; `%glm again` asks anew"
        if not self._is_too_often:
            return "the answer was cut in the middle of a call; raise --max-tokens"
        return (
            f"the model still asks for {reply.tool_calls[0].name[:80]!r} after {self._most} rounds "
            f"of calls; `%glm config max_tool_rounds={2 * self._most}` lets it go on longer"
        )


def check_answer(reply: Reply) -> None:
    """Refuse a whole answer that does not fit the schema it was asked for.

    Raises:
        ReplyError: it does not fit; the first problem is named.
    """
    if reply.schema is None or reply.state != "complete":
        return
    try:
        reply.schema.read(reply.text)
    except ReplyError as error:
        if reply.finish_reason != "length":
            raise
        raise ReplyError("the answer was cut at the token limit; raise --max-tokens") from error


def _calls_of(own: Reply, prefix: str) -> list[Call]:
    """The calls that a reply asks for, each with an id of its own."""
    calls: dict[str, Call] = {}
    for number, asked in enumerate(own.tool_calls):
        id = asked.id if asked.id and asked.id not in calls else f"{prefix}_{number}"
        calls[id] = Call(id, asked.name, asked.arguments)
    return list(calls.values())


def _sum(usages: Sequence[Usage | None]) -> Usage | None:
    """The counts together; None where one is not known."""
    known = [usage for usage in usages if usage]
    return reduce(sum_usage, known) if len(known) == len(usages) else None
