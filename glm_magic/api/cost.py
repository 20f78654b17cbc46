"""What a reply cost, by the price list of the platform: an estimate, never the bill."""

from __future__ import annotations

import re
from dataclasses import dataclass

from glm_magic.api.catalog import Currency, Price, find_prices
from glm_magic.api.events import Usage

__all__ = ["Cost", "estimate_cost"]

# Conditions in the price list: "in < 32K, out ≥ 0.2K". The list means thousands of tokens.
_CONDITION = re.compile(r"\b(in|out) ([<≥]) ([0-9.]+)K")


@dataclass(frozen=True, slots=True)
class Cost:
    """An estimate.

    Attributes:
        amount: in whole units of the currency.
        read: when the price list was read, "2026-08" or "2026".
    """

    amount: float
    currency: Currency
    read: str


def estimate_cost(model: str, usage: Usage, currency: Currency) -> Cost | None:
    """Return what the tokens of a chat cost; None where no price is known.

    Searches of the web are billed apart and not counted.

    Args:
        currency: of the price list that holds where the request went.
    """
    for price in find_prices(model):
        if price.currency == currency and _holds(price, usage) and price.output is not None:
            return Cost(_amount(price, price.output, usage), currency, price.read)
    return None


def _holds(price: Price, usage: Usage) -> bool:
    counts = {"in": usage.prompt_tokens, "out": usage.completion_tokens}
    return all(
        (counts[side] < float(limit) * 1000) == (sign == "<")
        for side, sign, limit in _CONDITION.findall(price.note)
    )


def _amount(price: Price, output: float, usage: Usage) -> float:
    cached = min(usage.cached_tokens, usage.prompt_tokens)
    cached_price = price.input if price.cached is None else price.cached
    prompt = (usage.prompt_tokens - cached) * price.input + cached * cached_price
    return (prompt + usage.completion_tokens * output) / 1e6
