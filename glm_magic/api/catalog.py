"""What is known of the platform's models, and what the endpoint's own list adds to it.

Never an allow-list: fine-tuned and private ids exist, and the platform's own list of models
leaves out ids that it accepts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches

from glm_magic.api.endpoints import Endpoint
from glm_magic.api.tables import (
    Currency,
    Model,
    Price,
    SearchPrice,
    currency_of_own,
    is_id,
    tables_in_use,
)
from glm_magic.errors import GlmError

DEFAULT_MODEL = "glm-4.7-flash"
DEFAULT_EMBEDDING_MODEL = "embedding-3"

# Nobody reads more, and a list is whatever a server sends.
_LIMIT_LISTED = 1000


# -- the catalog -------------------------------------------------------------------------------


def model_ids() -> tuple[str, ...]:
    """Return the ids of all known models, chat and embedding."""
    return tuple(model.id for model in tables_in_use().models.values())


def nearest_model(model: str) -> str | None:
    """Return the known id nearest to `model`, or None when none is near."""
    return _nearest(model, model_ids())


def _nearest(word: str, ids: Sequence[str]) -> str | None:
    by_name = {name.lower(): name for name in ids}
    near = get_close_matches(word.lower(), by_name, n=1, cutoff=0.6)
    return by_name[near[0]] if near else None


def known_models() -> tuple[Model, ...]:
    """Return all models of the catalog, with their prices in every currency."""
    return tuple(_priced(model) for model in tables_in_use().models.values())


def find_model(model: str) -> Model | None:
    """Return what is known of a model; its case does not matter."""
    known = tables_in_use().models.get(model.lower())
    return _priced(known) if known else None


def _priced(model: Model) -> Model:
    return replace(model, prices=find_prices(model.id))


def find_prices(model: str) -> tuple[Price, ...]:
    """Return the prices of a model in every currency; its case does not matter."""
    return tables_in_use().prices.get(model.lower(), ())


def find_search_price(engine: str, currency: Currency) -> SearchPrice | None:
    """Return what a search with an engine costs; None where no price is known."""
    return tables_in_use().searches.get((engine.lower(), currency))


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
    return tuple(dict.fromkeys(name for name in ids if isinstance(name, str) and is_id(name)))


def merge_models(known: Iterable[Model], listed: Sequence[str] | None) -> tuple[Model, ...]:
    """Return the known models, then those that only the endpoint lists.

    Args:
        listed: the endpoint's own list; None when it gave none.
    """
    known = tuple(known)
    if listed is None:
        return known
    names = {name.lower() for name in listed}
    kept = tuple(replace(model, is_listed=model.id.lower() in names) for model in known)
    ids = {model.id.lower() for model in known}
    added = [_unknown(name) for name in listed if name.lower() not in ids]
    return (*kept, *added)


def _unknown(name: str) -> Model:
    # A price list may have a model that the table of models does not.
    return Model(name, prices=find_prices(name), is_known=False, is_listed=True)


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


def billed_in(endpoint: Endpoint, model: str) -> Currency | None:
    """Return the currency of what a request costs; None where a plan or nobody is billed.

    What a server of another kind costs is known where the user's own prices have its model.
    """
    if endpoint.name == "url":
        return currency_of_own(model)
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
