"""What a request gives back: a `Reply`, which is used like its text and knows all the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal, NoReturn, SupportsIndex

from glm_magic.api.code import parse_code_blocks, parse_json
from glm_magic.api.cost import Cost, estimate_cost, estimate_search_cost
from glm_magic.api.events import Filtered, Source, Usage, subtract_usage
from glm_magic.api.requests import ChatRequest, build_chat, build_message
from glm_magic.api.rounds import Call, Round, messages_of_rounds
from glm_magic.api.table import parse_frame
from glm_magic.api.tables import Currency
from glm_magic.api.tool import ToolCall
from glm_magic.errors import ReplyError

if TYPE_CHECKING:
    import pandas as pd

    from glm_magic.api.schema import AnswerSchema

Format = Literal["md", "text", "code", "json", "table"]
ReasoningView = Literal["fold", "show", "hide"]
State = Literal["streaming", "complete", "stopped", "cut off", "withdrawn", "failed"]

# A mark of a source as GLM writes it: [ref_1], 【ref_1】 or bare, its dash escaped or not.
_SOURCE_MARK = re.compile(r"(?<![\w/.-])ref\\?_([0-9]{1,4})(?!\w)")


@dataclass(frozen=True, slots=True)
class Context:
    """What of a chat went along with a question.

    Attributes:
        chat: its name; "" for the chat that has none.
        number: which turn of the chat this is, from 1.
        left_out: how many of the oldest turns were left out, since the model's window is full.
        stale: how many turns were not sent because what they were built on has changed since.
    """

    chat: str
    number: int
    left_out: int = 0
    stale: int = 0

    @property
    def is_single(self) -> bool:
        """Whether it is a question by itself as far as anybody can tell: nothing came before."""
        return not self.chat and self.number <= 1


@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """A model's answer with all that came along; `str(reply)` is its text.

    It is no str, but used like one where that means its text: `len(reply)`, `reply[:80]`,
    `"x" in reply`, `reply + "x"`, a loop over its characters, `f"{reply:>20}"`; it is true if it
    has text, and sorts by its text. It equals a str that is its text, and a reply that is equal
    in every field.

    Attributes:
        text: the answer, as Markdown.
        reasoning: what the model thought before it answered; "" if it told nothing.
        tool_calls: the calls of functions that it asks for and that nobody made.
        rounds: the requests before the last one, with the calls of functions that were made.
        served: the calls that the platform made itself, of MCP servers.
        filtered: what the safety review found, if it said so.
        found: the sources of a web search as values, in the order of their numbers.
        usage: token counts of all requests together; None when the server sent none for one of
            them (a stopped reply has none).
        model: the id that the server says answered, or was asked for if it says none.
        endpoint: the host it came from, or "local".
        finish_reason: why the model stopped: "stop", "length", "sensitive", ...; None when
            the reply ended in another way.
        request_id: the platform's id of this request, for its support.
        seconds: from sending the request to the last event, of all requests and calls together.
        first_token_s: seconds to the first text or reasoning; None when none came.
        state: "complete", or how else it ended: "stopped" by the user, "cut off" by the
            server or the network, "withdrawn" by the safety review (its text is gone),
            "failed" before anything came.
        billed_in: the currency of a pay-as-you-go endpoint; None where nobody is billed by token.
        format: how it is shown: as Markdown, plain text, its code, JSON, or a table of its fields.
        schema: what the answer was to fit; None if it was free.
        asked_model: the model asked for, where an asynchronous task was silently answered by
            another; "" otherwise.
        asked: the request that it answers; None where that is not known.
        speaks_glm: whether the request went out in GLM's own dialect.
        context: what of a chat went along; None for a question by itself.
        shows_reasoning: how its reasoning is shown: folded, open, or not at all.
        has_footer: whether the line of counts and times is shown.
        is_cached: whether it is from this session's memory: nothing was sent, nothing is paid.
        is_task: whether it was asked for as an asynchronous task.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    rounds: tuple[Round, ...] = ()
    served: tuple[Call, ...] = ()
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
    schema: AnswerSchema | None = field(default=None, repr=False)
    asked: ChatRequest | None = field(default=None, repr=False)
    speaks_glm: bool = False
    context: Context | None = None
    shows_reasoning: ReasoningView = "fold"
    has_footer: bool = True
    is_cached: bool = False
    is_task: bool = False

    def __str__(self) -> str:
        return self.text

    if not TYPE_CHECKING:  # which would take it for any attribute at all

        def __getattr__(self, name: str) -> NoReturn:
            """Tell where the methods of its text are; what it has never comes here."""
            way = f"; reply.text.{name} is there" if hasattr(str, name) else ""
            raise AttributeError(f"'Reply' has no '{name}'{way}", name=name, obj=self)

    def __repr__(self) -> str:
        start = self.text if len(self.text) <= 60 else f"{self.text[:59]}…"
        return f"<Reply {start!r} model={self.model!r} {self.state}>"

    def _repr_html_(self) -> str:
        """Show it where our own formatter does not: in other viewers."""
        # The one place of this room that knows of a view: the protocol asks the value itself.
        from glm_magic.render.reply import render_reply

        return render_reply(self)

    # -- like its text ---------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return self.text == other
        if not isinstance(other, Reply):
            return NotImplemented
        names = [each.name for each in fields(self)]
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def __hash__(self) -> int:
        return hash(self.text)

    def __lt__(self, other: Reply | str) -> bool:
        return self.text < str(other) if isinstance(other, Reply | str) else NotImplemented

    def __le__(self, other: Reply | str) -> bool:
        return self.text <= str(other) if isinstance(other, Reply | str) else NotImplemented

    def __gt__(self, other: Reply | str) -> bool:
        return self.text > str(other) if isinstance(other, Reply | str) else NotImplemented

    def __ge__(self, other: Reply | str) -> bool:
        return self.text >= str(other) if isinstance(other, Reply | str) else NotImplemented

    def __len__(self) -> int:
        return len(self.text)

    def __iter__(self) -> Iterator[str]:
        return iter(self.text)

    def __contains__(self, part: str) -> bool:
        return str(part) in self.text if isinstance(part, Reply) else part in self.text

    def __getitem__(self, place: SupportsIndex | slice) -> str:
        return self.text[place]

    def __add__(self, other: Reply | str) -> str:
        return self.text + str(other) if isinstance(other, Reply | str) else NotImplemented

    def __radd__(self, other: str) -> str:
        return other + self.text if isinstance(other, str) else NotImplemented

    def __format__(self, how: str) -> str:
        return format(self.text, how)

    # -- what it holds ---------------------------------------------------------------------

    @property
    def request(self) -> dict[str, Any]:
        """The JSON body that was sent, made anew at each look; no key is in it; {} if unknown."""
        if self.asked is None:
            return {}
        body = build_chat(self.asked, speaks_glm=self.speaks_glm)
        if self.is_task:
            del body["stream"]  # tasks have no such field
        return body

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages that were sent and the answer: what a next request would begin with."""
        answer = [{"role": "assistant", "content": self.text}] if self.text else []
        between = map(build_message, messages_of_rounds(self.rounds))
        return [*self.request.get("messages", []), *between, *answer]

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls of functions that were made for it, in their order, with their results."""
        return (*(call for each in self.rounds for call in each.calls), *self.served)

    @property
    def requests(self) -> int:
        """How many requests it took; one that waits for the results of calls was not sent."""
        is_waiting = bool(self.rounds) and self.rounds[-1].is_open
        return len(self.rounds) + (0 if is_waiting else 1)

    @property
    def value(self) -> Any:
        """The answer as a value that fits the schema it was asked for; JSON without a schema.

        Raises:
            ReplyError: it does not fit, or is no JSON.
        """
        return self.schema.read(self.text) if self.schema else self.json()

    def json(self) -> Any:
        """Return the answer read as JSON: all of it, or else its first fenced block.

        Raises:
            ReplyError: it is no JSON, or Python cannot hold it: nested too deep, a number of
                thousands of digits.
        """
        try:
            return parse_json(self.text)
        except (ValueError, RecursionError) as error:
            raise ReplyError(
                f"the answer is no JSON: {error}; reply.text has it as it came"
            ) from error

    @property
    def df(self) -> pd.DataFrame:
        """The answer as a table: rows of JSON, or else its first table in Markdown.

        With a schema the columns are its fields, with values of their types. Without one
        `glm_magic.api.table` says what counts as rows, and which columns become numbers.

        Raises:
            ReplyError: it has neither, or does not fit the schema.
        """
        if self.schema:
            return self.schema.frame(self.text)
        if (frame := parse_frame(self.text)) is None:
            raise ReplyError("the answer has no table: neither JSON rows nor a Markdown table")
        return frame

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
        """What tokens and search cost, by the price list; None where no price or count is known.

        None too for a reply from this session's memory, which costs nothing.
        """
        if self.usage is None or self.billed_in is None or self.is_cached:
            return None
        costs = [self._cost_of(usage) for usage in self._usages(self.usage)]
        if None in costs:
            return None
        total, *more = filter(None, costs)
        return reduce(Cost.plus, more, total).plus(self.search_cost)

    def _usages(self, total: Usage) -> list[Usage]:
        """The counts of each request: prices depend on how long a single one is."""
        before = [each.usage for each in self.rounds if each.usage]
        return [*before, reduce(subtract_usage, before, total)]

    def _cost_of(self, usage: Usage) -> Cost | None:
        model = self.asked_model or self.model
        return estimate_cost(model, usage, self.billed_in) if self.billed_in else None

    @property
    def search_cost(self) -> Cost | None:
        """What of it the search cost that found its sources; None for none, or an unknown price."""
        search = self.asked.web_search if self.asked else None
        if not self.found or search is None or self.billed_in is None:
            return None
        return estimate_search_cost(search.engine, self.billed_in)

    @property
    def tokens_per_s(self) -> float | None:
        """Completion tokens a second after the first one; None without counts."""
        if self.usage is None or self.first_token_s is None or self.seconds <= self.first_token_s:
            return None
        return self.usage.completion_tokens / (self.seconds - self.first_token_s)


def merge_sources(old: tuple[Source, ...], new: tuple[Source, ...]) -> tuple[Source, ...]:
    """Return both without repeats of the same number, in the order of the numbers."""
    return tuple(sorted({s.number: s for s in (*old, *new)}.values(), key=lambda s: s.number))
