"""What requests took, one by one and summed up by model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from glm_magic.api.cost import Cost, estimate_cost, estimate_search_cost
from glm_magic.api.events import Usage
from glm_magic.api.reply import Reply
from glm_magic.api.requests import Message
from glm_magic.api.tables import Currency
from glm_magic.api.tokens import estimate_messages, estimate_tokens

__all__ = [
    "Spent",
    "UsageRow",
    "row_of",
    "spend_of",
    "spend_of_embeddings",
    "spend_of_usage",
    "sum_rows",
]


@dataclass(frozen=True, slots=True)
class Spent:
    """What one finished request took.

    Attributes:
        host: where it was answered, or "local".
        searches: of the web, 0 or 1.
        cost: of its tokens and searches; None where no price is known or nobody is billed.
        billed_in: the currency of the endpoint; None where nobody is billed by token.
        is_estimated: whether the counts are ours, because the server sent none.
        unpriced_searches: how many of the searches are not in the cost: their price is unknown.
    """

    model: str
    host: str
    usage: Usage
    searches: int
    cost: Cost | None
    billed_in: Currency | None
    is_estimated: bool
    unpriced_searches: int = 0


def spend_of(reply: Reply, *, engine: str | None = None, prompt: Sequence[Message] = ()) -> Spent:
    """Return what one request took, by its own reply.

    Where the server sent no counts (a reply that was stopped or cut off has none) they are
    estimated. Nothing was taken by a request that failed before anything came.

    Args:
        reply: of this request alone: not one that `%glm continue` joined, nor one from the
            session's memory, for which nothing was sent.
        engine: of the web search that was asked for; one that found nothing is not counted.
        prompt: the messages that were sent.
    """
    is_nothing = reply.usage is None and reply.state == "failed" and not reply.text
    is_estimated = reply.usage is None and not is_nothing
    usage = _estimated(reply, prompt) if is_estimated else reply.usage or Usage()
    model, currency = reply.asked_model or reply.model, reply.billed_in
    spent = spend_of_usage(model, reply.endpoint, usage, currency, is_estimated=is_estimated)
    if is_nothing and currency and spent.cost is None:
        spent = replace(spent, cost=Cost(0.0, currency, ""))
    return _with_search(spent, engine) if engine and reply.found else spent


def spend_of_embeddings(
    model: str, host: str, usage: Usage, currency: Currency | None, *, texts: Sequence[str] = ()
) -> Spent:
    """Return what a request for embeddings took.

    Args:
        currency: of the endpoint; None where nobody is billed by token.
        texts: what was sent, to estimate the tokens by where `usage` has none.
    """
    is_estimated = not usage.prompt_tokens and any(texts)
    if is_estimated:
        tokens = sum(map(estimate_tokens, texts))
        usage = Usage(tokens, 0, tokens)
    return spend_of_usage(model, host, usage, currency, is_estimated=is_estimated)


def spend_of_usage(
    model: str, host: str, usage: Usage, currency: Currency | None, *, is_estimated: bool = False
) -> Spent:
    """Return what a request took, by its counts alone."""
    cost = estimate_cost(model, usage, currency) if currency else None
    return Spent(model, host, usage, 0, cost, currency, is_estimated)


def _estimated(reply: Reply, prompt: Sequence[Message]) -> Usage:
    sent, reasoning = estimate_messages(prompt), estimate_tokens(reply.reasoning)
    calls = sum(estimate_tokens(call.arguments) for call in reply.tool_calls)
    received = estimate_tokens(reply.text) + reasoning + calls
    return Usage(sent, received, sent + received, reasoning_tokens=reasoning)


def _with_search(spent: Spent, engine: str) -> Spent:
    if spent.billed_in is None:
        return replace(spent, searches=1)
    price = estimate_search_cost(engine, spent.billed_in)
    cost = spent.cost.plus(price) if spent.cost else None
    return replace(spent, searches=1, cost=cost, unpriced_searches=0 if price else 1)


# -- sums --------------------------------------------------------------------------------------

_SUMMED = (
    "requests",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "searches",
    "known_cost",
    "unpriced",
    "unpriced_searches",
    "estimated",
)


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What all requests of a model took; cached tokens are part of prompt, reasoning of completion.

    Attributes:
        currency: None where nobody is billed by token.
        known_cost: of the requests whose price is known.
        unpriced: how many requests have no known price.
        unpriced_searches: how many searches are not in the cost.
        estimated: how many requests ended without the server's counts.
        dates: when the price lists were read that it was priced by, each once, the oldest first.
    """

    host: str
    model: str
    currency: Currency | None
    requests: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    searches: int
    known_cost: float = 0.0
    unpriced: int = 0
    unpriced_searches: int = 0
    estimated: int = 0
    dates: tuple[str, ...] = ()

    @property
    def cost(self) -> float | None:
        """What it all cost; None where some or all of it is unknown, or nobody is billed."""
        return None if self.currency is None or self.unpriced else self.known_cost

    @property
    def tokens(self) -> int:
        """Prompt and completion."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def read(self) -> str:
        """When the prices were read: "2026-08", "2026-08 to 2026-09", or "" without any."""
        return " to ".join(dict.fromkeys((*self.dates[:1], *self.dates[-1:])))


def sum_rows(rows: Iterable[UsageRow], *, host: str = "", model: str = "") -> UsageRow:
    """Return rows as one, under another name and in the first one's currency; at least one."""
    rows = tuple(rows)
    sums: dict[str, Any] = {name: sum(getattr(row, name) for row in rows) for name in _SUMMED}
    dates = tuple(sorted({date for row in rows for date in row.dates}))
    return replace(rows[0], host=host, model=model, dates=dates, **sums)


def row_of(spent: Spent) -> UsageRow:
    """Return one request as a row."""
    usage, cost = spent.usage, spent.cost
    return UsageRow(
        spent.host,
        spent.model,
        spent.billed_in,
        1,
        usage.prompt_tokens,
        usage.cached_tokens,
        usage.completion_tokens,
        usage.reasoning_tokens,
        spent.searches,
        known_cost=cost.amount if cost else 0.0,
        unpriced=int(spent.billed_in is not None and cost is None),
        unpriced_searches=spent.unpriced_searches,
        estimated=int(spent.is_estimated),
        dates=(cost.read,) if cost and cost.read else (),
    )
