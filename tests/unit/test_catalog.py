"""The catalog of models and prices, and what the endpoint's own list adds to it."""

import re

import pytest

from glm_magic.api.catalog import (
    Model,
    Price,
    currency_at,
    filter_models,
    find_model,
    known_models,
    merge_models,
    model_ids,
    models_at,
    nearest_in,
    parse_model_list,
    price_in,
    read_table,
)
from glm_magic.api.endpoints import LOCAL, parse_endpoint
from glm_magic.errors import GlmError

PLUS = Model("glm-4-plus", 128_000)
LONG = Model("glm-4-long", 1_000_000)
BIGMODEL, ZAI = parse_endpoint("bigmodel"), parse_endpoint("zai")
OTHER = parse_endpoint("https://llm.example.org/v1")


def amounts(model: str, currency: str) -> list[tuple[float, float | None, float | None]]:
    known = find_model(model)
    assert known is not None
    prices = [price for price in known.prices if price.currency == currency]
    return [(price.input, price.output, price.cached) for price in prices]


# -- the data ------------------------------------------------------------------------------


def test_every_known_model_has_its_facts() -> None:
    assert len(known_models()) == len(model_ids()) == 39
    assert find_model("GLM-4.7-Flash") == Model(
        "glm-4.7-flash",
        200_000,
        131_072,
        vision=False,
        thinking="auto",
        free=True,
        prices=(
            Price("CNY", 0, 0, 0, "", "2026"),
            Price("USD", 0, 0, 0, "", "2026-09"),
        ),
    )
    assert find_model("my-own-model") is None


def test_prices_are_those_of_the_price_lists() -> None:
    assert amounts("glm-5.3", "CNY") == [(8, 28, 2)]
    assert amounts("glm-5.3", "USD") == [(1.4, 4.4, 0.26)]
    assert amounts("glm-4.7", "CNY") == [(2, 8, 0.4), (3, 14, 0.6), (4, 16, 0.8)]
    assert amounts("embedding-2", "CNY") == [(0.5, None, None)]
    assert amounts("glm-4.6", "CNY") == []


def test_every_price_has_its_currency_and_the_date_it_was_read() -> None:
    for row in read_table("prices"):
        assert row["currency"] in ("CNY", "USD")
        assert re.fullmatch(r"2026(-\d\d)?", row["read"])
        assert float(row["input"]) >= 0


def test_prices_of_one_model_say_when_each_of_them_holds() -> None:
    for model in known_models():
        for currency in ("CNY", "USD"):
            notes = [price.note for price in model.prices if price.currency == currency]
            assert len(notes) < 2 or all(notes)
            assert len(set(notes)) == len(notes)


def test_what_is_free_costs_nothing_in_cny_and_nothing_else_does() -> None:
    free = {model.id for model in known_models() if model.free}
    priced = {row["model"] for row in read_table("prices") if row["currency"] == "CNY"}
    zero = {model.id for model in known_models() if amounts(model.id, "CNY") == [(0, 0, 0)]}
    assert free == zero
    assert free < priced


def test_a_model_without_a_row_may_have_a_price() -> None:
    (model,) = merge_models((), ["glm-5-code"])
    assert [price.input for price in model.prices] == [1.2]


# -- the endpoint's list -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        ({"object": "list", "data": [{"id": "b"}, {"id": "a"}, {"id": "b"}]}, ("b", "a")),
        ({"data": []}, ()),
        ({"data": [{"id": 7}, {"id": ""}, {"id": " "}, {}, "x", None, {"id": "a"}]}, ("a",)),
        ({"data": [{"id": "x" * 300}, {"id": "a"}]}, ("a",)),
    ],
)
def test_a_list_gives_its_ids_in_order(content: object, ids: tuple[str, ...]) -> None:
    assert parse_model_list(content, host="h") == ids


@pytest.mark.parametrize("content", [None, [], {}, {"data": {}}, {"data": "a"}, "text", 3])
def test_what_is_no_list_is_said_to_be_none(content: object) -> None:
    with pytest.raises(GlmError, match="h sent something that is no list of models"):
        parse_model_list(content, host="h")


def test_an_endless_list_is_cut() -> None:
    content = {"data": [{"id": str(i)} for i in range(5000)]}
    assert len(parse_model_list(content, host="h")) == 1000


def test_known_models_are_kept_and_marked_and_unknown_ones_added() -> None:
    merged = merge_models([PLUS, LONG], ["my-own", "GLM-4-Long"])
    assert [(m.id, m.is_known, m.is_listed) for m in merged] == [
        ("glm-4-plus", True, False),
        ("glm-4-long", True, True),
        ("my-own", False, True),
    ]
    assert merged[2] == Model("my-own", is_known=False, is_listed=True)


def test_without_a_list_nothing_is_said_of_it() -> None:
    assert merge_models([PLUS, LONG], None) == (PLUS, LONG)


# -- prices of an endpoint -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "currency"),
    [("bigmodel", "CNY"), ("coding", "CNY"), ("zai", "USD"), ("coding-zai", "USD")],
)
def test_each_site_has_its_currency(endpoint: str, currency: str) -> None:
    assert currency_at(parse_endpoint(endpoint)) == currency


@pytest.mark.parametrize(
    ("model", "currency", "count", "free"),
    [
        ("glm-4.7-flash", "CNY", 1, True),
        ("glm-4.7-flash", "USD", 1, True),
        ("glm-4-flash", "CNY", 1, True),
        ("glm-4-flash", "USD", 0, None),  # free there says nothing of here
        ("glm-4.7", "USD", 1, False),
        ("glm-4-long", "USD", 0, False),
    ],
)
def test_a_price_is_of_one_currency(
    model: str, currency: str, count: int, free: bool | None
) -> None:
    known = find_model(model)
    assert known is not None
    priced = price_in(known, "CNY" if currency == "CNY" else "USD")
    assert (len(priced.prices), priced.free) == (count, free)


def test_the_platform_shows_its_catalog_whatever_it_lists() -> None:
    models = {model.id: model for model in models_at(ZAI, ["glm-5.3", "new"])}
    assert len(models) == 40
    assert models["glm-5.3"].is_listed is True
    assert models["embedding-3"].is_listed is False
    assert {price.currency for model in models.values() for price in model.prices} == {"USD"}


def test_another_server_shows_its_own_list_without_prices() -> None:
    assert models_at(OTHER, ["glm-4.7"]) == (Model("glm-4.7", is_known=False, is_listed=True),)


def test_models_on_this_machine_are_free() -> None:
    (model,) = models_at(LOCAL, ["tiny.gguf"])
    assert (model.id, model.free) == ("tiny.gguf", True)


@pytest.mark.parametrize("endpoint", [BIGMODEL, OTHER])
def test_without_a_list_the_catalog_stands_in(endpoint: object) -> None:
    assert len(models_at(BIGMODEL if endpoint is BIGMODEL else OTHER, None)) == 39


# -- the filter ----------------------------------------------------------------------------


def test_a_part_of_the_id_finds_models_whatever_its_case() -> None:
    assert filter_models([PLUS, LONG], "PLUS") == (PLUS,)
    assert filter_models([PLUS, LONG], "") == (PLUS, LONG)
    assert filter_models([PLUS, LONG], "xyz") == ()


def test_the_nearest_id_is_found() -> None:
    assert nearest_in([PLUS, LONG], "glm-4-plsu") == "glm-4-plus"
    assert nearest_in([PLUS, LONG], "zzz") is None
