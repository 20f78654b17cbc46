"""The ledger of a session: what it has spent, what requests in flight hold, and its budget."""

from __future__ import annotations

import math
import threading
import weakref
from dataclasses import dataclass
from types import TracebackType

from glm_magic.api.cost import Cost, format_money
from glm_magic.api.tables import Currency
from glm_magic.errors import SettingsError
from glm_magic.session.usage import Spent, UsageRow, row_of, sum_rows

__all__ = ["Budget", "Ledger", "Reservation"]

# What sums of prices are off by, as floats.
_ROUNDING = 1e-9


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

    def check_spent(self) -> None:
        """Refuse to go on where estimates were too low and the budget is passed.

        Raises:
            SettingsError: it is.
        """
        if self.spent > self.limit * (1 + _ROUNDING):
            limit, spent = (format_money(each, self.currency) for each in (self.limit, self.spent))
            raise SettingsError(
                f"the budget of {limit} is passed: {spent} spent; `%glm config "
                f"budget={_higher(self.limit, self.spent)}` raises it, `budget=None` lifts it"
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

    def budget(self, limit: float | None, currency: Currency | None) -> Budget | None:
        """Return how a budget stands at an endpoint.

        Args:
            limit: in the currency of the endpoint; None for no budget.
            currency: of the endpoint; None, where nobody is billed by token, has no budget.
        """
        with self._lock:
            return self._budget(limit, currency)

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
            SettingsError: it would pass the budget, or nobody can tell since the model has no
                price; nothing is reserved then.
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
        key, row = (spent.host, spent.model, spent.billed_in), row_of(spent)
        known = self._rows.get(key)
        self._rows[key] = sum_rows((known, row), host=row.host, model=row.model) if known else row
