"""What requests cost, by the price lists of the platform: an estimate, never the bill."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from glm_magic.api.catalog import billed_in, find_prices, find_search_price
from glm_magic.api.endpoints import Endpoint
from glm_magic.api.events import Usage
from glm_magic.api.requests import ChatRequest, EmbeddingRequest
from glm_magic.api.tables import Currency, Price
from glm_magic.api.tokens import estimate_prompt, estimate_tokens

__all__ = [
    "TYPICAL_ANSWER_TOKENS",
    "Cost",
    "estimate_cost",
    "estimate_cost_of",
    "estimate_request_cost",
    "estimate_search_cost",
    "format_money",
]

# Conditions in the price list: "in < 32K, out ≥ 0.2K". The list means thousands of tokens.
_CONDITION = re.compile(r"\b(in|out) (<|≥|>=) ([0-9]+(?:\.[0-9]+)?)K")
# What a search finds is put into the prompt: about so many tokens, by a public description of the
# platform of December 2024.
_SEARCH_TOKENS = 1000
# What an answer is taken to have where no limit was asked for, when its cost is estimated.
TYPICAL_ANSWER_TOKENS = 1000
_SIGNS: dict[Currency, str] = {"CNY": "¥", "USD": "$"}


@dataclass(frozen=True, slots=True)
class Cost:
    """An estimate.

    Attributes:
        amount: in whole units of the currency.
        read: when the price list was read, "2026-08" or "2026"; of two lists the older one.
    """

    amount: float
    currency: Currency
    read: str

    @property
    def in_words(self) -> str:
        """The amount as "about ¥0.012", or "free"."""
        return f"about {format_money(self.amount, self.currency)}" if self.amount else "free"

    def plus(self, other: Cost | None) -> Cost:
        """Return the sum with another cost of the same currency; None adds nothing."""
        if other is None:
            return self
        return Cost(self.amount + other.amount, self.currency, min(self.read, other.read))


def format_money(amount: float, currency: Currency) -> str:
    """Return an amount from 0 on with its sign: in cents, or two digits where it is less."""
    digits = max(2, 1 - math.floor(math.log10(amount))) if amount else 2
    return f"{_SIGNS[currency]}{amount:.{digits}f}"


def estimate_cost(model: str, usage: Usage, currency: Currency) -> Cost | None:
    """Return what the tokens of a request cost; None where no price is known.

    A model that answers with vectors has no price for output, and no output to be paid. Searches
    of the web are billed apart and not counted.

    Args:
        currency: of the price list that holds where the request went.
    """
    for price in find_prices(model):
        if price.currency == currency and _holds(price, usage) and _has_price(price, usage):
            return Cost(_amount(price, usage), currency, price.read)
    return None


def estimate_search_cost(engine: str, currency: Currency) -> Cost | None:
    """Return what one search of the web costs; None where no price is known."""
    price = find_search_price(engine, currency)
    return Cost(price.amount, currency, price.read) if price else None


def estimate_request_cost(
    model: str,
    prompt_tokens: int,
    completion_tokens: int,
    currency: Currency,
    search_engine: str | None = None,
) -> Cost | None:
    """Return what a request that is not sent yet may cost; None where its model has no price.

    Nothing of the prompt is taken to be cached.

    Args:
        completion_tokens: a guess, or the most that the answer may have; reasoning included.
        search_engine: of the search that is asked for, which lengthens the prompt. The price of
            the search itself is left out where none is known.
    """
    if search_engine:
        prompt_tokens += _SEARCH_TOKENS
    total = prompt_tokens + completion_tokens
    cost = estimate_cost(model, Usage(prompt_tokens, completion_tokens, total), currency)
    if cost is None or not search_engine:
        return cost
    return cost.plus(estimate_search_cost(search_engine, currency))


def estimate_cost_of(request: ChatRequest | EmbeddingRequest, endpoint: Endpoint) -> Cost | None:
    """Return what a request will cost, roughly; None where no price is known or nobody is billed.

    The answer counts as long as `max_tokens` lets it be, or as a typical one.
    """
    currency = billed_in(endpoint, request.model)
    if currency is None:
        return None
    if isinstance(request, EmbeddingRequest):
        tokens = sum(map(estimate_tokens, request.texts))
        return estimate_request_cost(request.model, tokens, 0, currency)
    answer = request.max_tokens or TYPICAL_ANSWER_TOKENS
    engine = request.web_search.engine if request.web_search else None
    prompt = estimate_prompt(request)
    return estimate_request_cost(request.model, prompt, answer, currency, engine)


def _holds(price: Price, usage: Usage) -> bool:
    counts = {"in": usage.prompt_tokens, "out": usage.completion_tokens}
    return all(
        (counts[side] < float(limit) * 1000) == (sign == "<")
        for side, sign, limit in _CONDITION.findall(price.note)
    )


def _has_price(price: Price, usage: Usage) -> bool:
    return price.output is not None or not usage.completion_tokens


def _amount(price: Price, usage: Usage) -> float:
    cached = min(usage.cached_tokens, usage.prompt_tokens)
    cached_price = price.input if price.cached is None else price.cached
    prompt = (usage.prompt_tokens - cached) * price.input + cached * cached_price
    return (prompt + usage.completion_tokens * (price.output or 0.0)) / 1e6
