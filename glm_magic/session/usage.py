"""What a session has asked for and what that costs: its ledger, and the budget it may have."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from glm_magic.api.cost import Cost, estimate_cost, estimate_search_cost, format_money
from glm_magic.api.events import Usage
from glm_magic.api.reply import Reply
from glm_magic.api.requests import Message
from glm_magic.api.tables import Currency
from glm_magic.api.tokens import estimate_messages, estimate_tokens
from glm_magic.errors import SettingsError

__all__ = [
    "Budget",
    "Ledger",
    "Reservation",
    "Spent",
    "UsageRow",
    "spend_of",
    "spend_of_embeddings",
    "sum_rows",
]

# What sums of prices are off by, as floats.
_ROUNDING = 1e-9


# -- one request -------------------------------------------------------------------------------


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
    spent = _spent(model, reply.endpoint, usage, currency, is_estimated=is_estimated)
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
    return _spent(model, host, usage, currency, is_estimated=is_estimated)


def _spent(
    model: str, host: str, usage: Usage, currency: Currency | None, *, is_estimated: bool
) -> Spent:
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


def _row_of(spent: Spent) -> UsageRow:
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


# -- the session -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Budget:
    """What a session may spend in a currency, and what of it is gone.

    Attributes:
        reserved: for requests in flight.
    """

    limit: float
    currency: Currency
    spent: float = 0.0
    reserved: float = 0.0

    @property
    def left(self) -> float:
        """What is neither spent nor reserved."""
        left = self.limit - self.spent - self.reserved
        return left if left > self.limit * _ROUNDING else 0.0

    def check(self, estimate: Cost | None, model: str) -> None:
        """Refuse a request that would pass the budget; what is free passes whatever was spent.

        Raises:
            SettingsError: it would, or nobody can tell since the model has no price.
        """
        limit = format_money(self.limit, self.currency)
        if estimate is None:
            raise SettingsError(
                f"no price is known for {model[:80]!r}, so the budget of {limit} cannot hold; "
                "`%glm config catalog=FOLDER` with a prices.csv gives one, `budget=None` lifts it"
            )
        total = self.spent + self.reserved + estimate.amount
        if estimate.amount and total > self.limit * (1 + _ROUNDING):
            raise SettingsError(
                f"the budget of {limit} would be passed: {self._gone()}, this request is "
                f"{estimate.in_words}; `%glm config budget={_higher(self.limit, total)}` raises "
                "it, `budget=None` lifts it"
            )

    def _gone(self) -> str:
        spent = f"{format_money(self.spent, self.currency)} spent"
        reserved = f"{format_money(self.reserved, self.currency)} in flight"
        return f"{spent}, {reserved}" if self.reserved else spent


def _higher(limit: float, total: float) -> str:
    """A round number from twice the limit on that the total does not pass."""
    least = max(2 * limit, total, 0.01)
    power = 10.0 ** math.floor(math.log10(least))
    return f"{next(n * power for n in (1, 2, 5, 10) if n * power >= least):.10g}"


class Reservation:
    """An estimate that counts as spent until the request has ended: when its `with` ends."""

    def __init__(self, ledger: Ledger, cost: Cost | None) -> None:
        self.cost = cost
        self._ledger = ledger

    def settle(self, spent: Spent) -> None:
        """Put what the request took into the ledger, in place of the estimate."""
        self._ledger._end(self, spent)

    def release(self) -> None:
        """Let go of the estimate; again does nothing."""
        self._ledger._end(self, None)

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


class Ledger:
    """The sums of a session, for any number of threads; its size is that of its models."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[tuple[str, str, Currency | None], UsageRow] = {}
        # Weak: a reservation that an interrupt kept from its `with` holds nothing.
        self._reserved: weakref.WeakSet[Reservation] = weakref.WeakSet()

    def add(self, spent: Spent) -> None:
        """Add a finished request."""
        with self._lock:
            self._add(spent)

    def rows(self) -> list[UsageRow]:
        """Return a row for each host, model and currency, in the order of their first use.

        One host may have both: its coding plan is not billed by token.
        """
        with self._lock:
            return list(self._rows.values())

    @property
    def requests(self) -> int:
        """How many requests were finished."""
        return sum(row.requests for row in self.rows())

    @property
    def tokens(self) -> int:
        """How many tokens they took, prompts and completions."""
        return sum(row.tokens for row in self.rows())

    def spent_in(self, currency: Currency) -> float:
        """Return what the finished requests cost in a currency; without a known price, nothing."""
        return math.fsum(row.known_cost for row in self.rows() if row.currency == currency)

    def budget(self, limit: float | None, currency: Currency | None) -> Budget | None:
        """Return how a budget stands at an endpoint.

        Args:
            limit: in the currency of the endpoint; None for no budget.
            currency: of the endpoint; None, where nobody is billed by token, has no budget.
        """
        with self._lock:
            return self._budget(limit, currency)

    def check_budget(
        self, limit: float | None, estimate: Cost | None, currency: Currency | None, model: str
    ) -> None:
        """Refuse a request that would pass the budget, before it is sent.

        Args:
            limit: as in `budget`.
            estimate: of this request, in the same currency; None where no price is known.

        Raises:
            SettingsError: it would, or nobody can tell since the model has no price.
        """
        if budget := self.budget(limit, currency):
            budget.check(estimate, model)

    def reserve(
        self, limit: float | None, estimate: Cost | None, currency: Currency | None, model: str
    ) -> Reservation:
        """Check the budget, and count the estimate as spent until the request has ended.

        In one step, so that requests at the same time cannot pass the budget together. Without a
        budget it is counted as well: one may be set while the request is in flight.

            with ledger.reserve(limit, estimate, currency, model) as reservation:
                reply = ...
                reservation.settle(spend_of(reply))

        Raises:
            SettingsError: as `check_budget`; nothing is reserved then.
        """
        reservation = Reservation(self, estimate if currency else None)
        with self._lock:
            if budget := self._budget(limit, currency):
                budget.check(estimate, model)
            self._reserved.add(reservation)
        return reservation

    def _budget(self, limit: float | None, currency: Currency | None) -> Budget | None:
        if limit is None or currency is None:
            return None
        rows, costs = self._rows.values(), [held.cost for held in self._reserved]
        spent = math.fsum(row.known_cost for row in rows if row.currency == currency)
        reserved = math.fsum(c.amount for c in costs if c and c.currency == currency)
        return Budget(limit, currency, spent, reserved)

    def _end(self, reservation: Reservation, spent: Spent | None) -> None:
        with self._lock:
            self._reserved.discard(reservation)
            if spent:
                self._add(spent)

    def _add(self, spent: Spent) -> None:
        key, row = (spent.host, spent.model, spent.billed_in), _row_of(spent)
        known = self._rows.get(key)
        self._rows[key] = sum_rows((known, row), host=row.host, model=row.model) if known else row
