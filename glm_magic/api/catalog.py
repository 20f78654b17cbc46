"""What is known of the platform's models, and what the endpoint's own list adds to it.

data/models.csv is from the platform's documents (October 2026), data/prices.csv from its price
lists; each price has the month it was read in, since prices change monthly.

Never an allow-list: fine-tuned and private ids exist, and the platform's own list of models
leaves out ids that it accepts.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Literal, cast

from glm_magic.api.endpoints import Endpoint
from glm_magic.errors import GlmError

DEFAULT_MODEL = "glm-4.7-flash"
DEFAULT_EMBEDDING_MODEL = "embedding-3"

Currency = Literal["CNY", "USD"]
# "auto": on, unless a request switches it off; "forced": a request that does is refused.
Thinking = Literal["no", "auto", "forced"]
# Nobody reads more, and a list is whatever a server sends.
_LIMIT_LISTED = 1000
# Ids have at most some forty; paths of models on a server of one's own are longer.
_LIMIT_ID_CHARACTERS = 256


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens cost; a model has several where the price depends on the request.

    Attributes:
        input: of the prompt.
        output: of the answer, reasoning included; None where there is none or no price is known.
        cached: of the part of a prompt that was sent before; None as `output`.
        note: when it applies, or where it is from; "" for always.
        read: when the price list was read, "2026-08" or "2026".
    """

    currency: Currency
    input: float
    output: float | None
    cached: float | None
    note: str
    read: str

    @property
    def is_free(self) -> bool:
        """Whether it costs nothing."""
        return not (self.input or self.output or self.cached)


@dataclass(frozen=True, slots=True)
class Model:
    """A model; None is what nobody has told.

    Attributes:
        is_known: whether the catalog has it.
        is_listed: whether the endpoint's own list has it; None without such a list.
    """

    id: str
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    vision: bool | None = None
    thinking: Thinking | None = None
    free: bool | None = None
    prices: tuple[Price, ...] = ()
    is_known: bool = True
    is_listed: bool | None = None


def read_table(name: str) -> list[dict[str, str]]:
    """Return the rows of `data/NAME.csv`."""
    text = files("glm_magic.api").joinpath("data", f"{name}.csv").read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))


@cache
def model_ids() -> tuple[str, ...]:
    """Return the ids of all known models, chat and embedding."""
    return tuple(row["id"] for row in read_table("models"))


def nearest_model(model: str) -> str | None:
    """Return the known id nearest to `model`, or None when none is near."""
    return _nearest(model, model_ids())


def _nearest(word: str, ids: Sequence[str]) -> str | None:
    near = get_close_matches(word.lower(), ids, n=1, cutoff=0.6)
    return near[0] if near else None


# -- the catalog -------------------------------------------------------------------------------


@cache
def known_models() -> tuple[Model, ...]:
    """Return all models of the catalog, with their prices in every currency."""
    return tuple(_parse_model(row) for row in read_table("models"))


def find_model(model: str) -> Model | None:
    """Return what is known of a model; its case does not matter."""
    return next((known for known in known_models() if known.id == model.lower()), None)


def find_prices(model: str) -> tuple[Price, ...]:
    """Return the prices of a model in every currency; its case does not matter."""
    return _prices().get(model.lower(), ())


def _parse_model(row: dict[str, str]) -> Model:
    return Model(
        id=row["id"],
        context_tokens=_count(row["context_tokens"]),
        max_output_tokens=_count(row["max_output_tokens"]),
        vision=row["vision"] == "yes",
        thinking=cast(Thinking, row["thinking"]),
        free=row["free"] == "yes",
        prices=_prices().get(row["id"], ()),
    )


@cache
def _prices() -> dict[str, tuple[Price, ...]]:
    found: dict[str, tuple[Price, ...]] = {}
    for row in read_table("prices"):
        found[row["model"]] = (*found.get(row["model"], ()), _parse_price(row))
    return found


def _parse_price(row: dict[str, str]) -> Price:
    output, cached = (float(row[name]) if row[name] else None for name in ("output", "cached"))
    currency = cast(Currency, row["currency"])
    return Price(currency, float(row["input"]), output, cached, row["note"], row["read"])


def _count(text: str) -> int | None:
    return int(text) if text else None


# -- with the endpoint's own list --------------------------------------------------------------


def parse_model_list(content: object, *, host: str) -> tuple[str, ...]:
    """Return the ids in the body of GET /models, in its order, each once.

    Raises:
        GlmError: the body is no list of models.
    """
    entries = content.get("data") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise GlmError(f"{host} sent something that is no list of models")
    ids = (entry.get("id") for entry in entries[:_LIMIT_LISTED] if isinstance(entry, dict))
    return tuple(dict.fromkeys(name for name in ids if isinstance(name, str) and _is_id(name)))


def _is_id(name: str) -> bool:
    return bool(name.strip()) and len(name) <= _LIMIT_ID_CHARACTERS


def merge_models(known: Iterable[Model], listed: Sequence[str] | None) -> tuple[Model, ...]:
    """Return the known models, then those that only the endpoint lists.

    Args:
        listed: the endpoint's own list; None when it gave none.
    """
    known = tuple(known)
    if listed is None:
        return known
    names = {name.lower() for name in listed}
    kept = tuple(replace(model, is_listed=model.id in names) for model in known)
    ids = {model.id for model in known}
    added = [_unknown(name) for name in listed if name.lower() not in ids]
    return (*kept, *added)


def _unknown(name: str) -> Model:
    # A price list may have a model that the table of models does not.
    prices = _prices().get(name.lower(), ())
    return Model(name, prices=prices, is_known=False, is_listed=True)


def models_at(endpoint: Endpoint, listed: Sequence[str] | None) -> tuple[Model, ...]:
    """Return the models of an endpoint, with the prices that hold there.

    The catalog is of the platform: of any other server only what it lists itself counts, if it
    lists anything. What runs on this machine is free.
    """
    if listed is None or endpoint.has_catalog:
        currency = currency_at(endpoint)
        return tuple(price_in(model, currency) for model in merge_models(known_models(), listed))
    free = True if endpoint.is_local else None
    return tuple(Model(name, free=free, is_known=False, is_listed=True) for name in listed)


def price_in(model: Model, currency: Currency) -> Model:
    """Return the model with its prices in this currency alone, and whether it is free there."""
    prices = tuple(price for price in model.prices if price.currency == currency)
    # Free on one site says nothing of the other, where no price is known.
    unpriced = None if model.free else model.free
    free = all(price.is_free for price in prices) if prices else unpriced
    return replace(model, prices=prices, free=free)


def billed_in(endpoint: Endpoint) -> Currency | None:
    """Return the currency of what a request costs; None where a plan or nobody is billed."""
    return currency_at(endpoint) if endpoint.name in ("bigmodel", "zai") else None


def currency_at(endpoint: Endpoint) -> Currency:
    """Return the currency of the price list that holds at an endpoint of the platform."""
    return "USD" if endpoint.host == "api.z.ai" else "CNY"


def filter_models(models: Iterable[Model], part: str) -> tuple[Model, ...]:
    """Return the models with `part` in their id, whatever its case."""
    return tuple(model for model in models if part.lower() in model.id.lower())


def nearest_in(models: Iterable[Model], part: str) -> str | None:
    """Return the id nearest to `part` among the models, or None when none is near."""
    return _nearest(part, [model.id for model in models])
