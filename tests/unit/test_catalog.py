"""The catalog of models and prices, and what the endpoint's own list adds to it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from glm_magic.api.catalog import (
    currency_at,
    filter_models,
    find_model,
    find_prices,
    find_search_price,
    known_models,
    merge_models,
    model_ids,
    models_at,
    nearest_in,
    nearest_model,
    parse_model_list,
    price_in,
)
from glm_magic.api.endpoints import LOCAL, parse_endpoint
from glm_magic.api.tables import Model, Price, SearchPrice, read_table, use_tables
from glm_magic.errors import GlmError, SettingsError

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


@pytest.mark.parametrize(
    ("model", "thinking"),
    [
        ("glm-5.3", "forced"),
        ("glm-5.3-flash", "forced"),
        ("glm-5.3-flashx", "forced"),
        ("glm-4.1v-thinking-flash", "forced"),
        ("glm-4.1v-thinking-flashx", "forced"),
        ("glm-4.7", "on"),
        ("glm-4.5v", "on"),
        ("glm-4.7-flash", "auto"),
        ("glm-4-plus", "no"),
    ],
)
def test_a_model_thinks_always_or_unless_told_not_to_or_as_it_decides(
    model: str, thinking: str
) -> None:
    known = find_model(model)
    assert known is not None
    assert known.thinking == thinking


def test_a_search_has_a_price_with_its_date() -> None:
    assert find_search_price("Search_Pro", "CNY") == SearchPrice("CNY", 0.03, "", "2026-09")
    assert find_search_price("search_pro_jina", "USD") == SearchPrice(
        "USD", 0.01, "not confirmed", "2026"
    )
    assert find_search_price("search_pro", "USD") is None


# -- the user's tables ---------------------------------------------------------------------

MODELS = "id,kind,context_tokens,max_output_tokens,vision,thinking,free\n"
PRICES = "model,currency,input,output,cached,note,read\n"
SEARCHES = "engine,currency,price,note,read\n"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    use_tables(None)


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, "utf-8", newline="")


def test_a_model_of_the_user_is_new_or_takes_the_place_of_ours(folder: Path) -> None:
    own = "My-Own,chat,,,,,\n"
    write(folder, "models.csv", f"{MODELS}glm-4-plus,chat,1000,500,yes,on,no\n{own}")
    use_tables(folder)
    assert model_ids()[-1] == "My-Own"
    assert len(known_models()) == len(model_ids()) == 40
    assert find_model("my-own") == Model("My-Own")
    plus = find_model("glm-4-plus")
    assert plus is not None
    assert (plus.context_tokens, plus.vision, plus.thinking) == (1000, True, "on")
    assert [price.input for price in plus.prices] == [5]
    assert nearest_model("my-owm") == "My-Own"
    assert [m.is_listed for m in merge_models(known_models(), ["my-own"])][-1] is True


def test_prices_of_the_user_take_the_place_of_ours_in_their_currency_alone(folder: Path) -> None:
    rows = "GLM-4.7,CNY,1,2,,in < 32K,2026-11\nGLM-4.7,CNY,3,4,0.5,in >= 32K,2026-11\n"
    write(folder, "prices.csv", PRICES + rows)
    use_tables(folder)
    assert amounts("glm-4.7", "CNY") == [(1, 2, None), (3, 4, 0.5)]
    assert amounts("glm-4.7", "USD") == [(0.6, 2.2, 0.11)]
    assert amounts("glm-5.3", "CNY") == [(8, 28, 2)]


def test_a_price_may_be_of_a_model_that_no_table_has(folder: Path) -> None:
    write(folder, "prices.csv", f"{PRICES}my-own,USD,1,2,,,2026-11-05\n")
    use_tables(folder)
    assert find_prices("My-Own") == (Price("USD", 1, 2, None, "", "2026-11-05"),)


def test_a_search_price_of_the_user_is_that_of_its_engine(folder: Path) -> None:
    write(folder, "search_prices.csv", f"{SEARCHES}search_std,CNY,0.02,,2026-11\n")
    use_tables(folder)
    assert find_search_price("search_std", "CNY") == SearchPrice("CNY", 0.02, "", "2026-11")
    assert find_search_price("search_pro", "CNY") == SearchPrice("CNY", 0.03, "", "2026-09")


def test_a_table_may_come_from_a_spreadsheet(folder: Path) -> None:
    text = 'model,read,note,cached,output,input,currency\r\n"own",2026-11,,,"2",1,CNY\r\n\r\n'
    write(folder, "prices.csv", f"\ufeff{text}")
    use_tables(folder)
    assert find_prices("own") == (Price("CNY", 1, 2, None, "", "2026-11"),)


def test_without_a_folder_ours_come_back(folder: Path) -> None:
    write(folder, "prices.csv", f"{PRICES}glm-5.3,CNY,1,2,,,2026-11\n")
    use_tables(folder)
    use_tables(None)
    assert amounts("glm-5.3", "CNY") == [(8, 28, 2)]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("prices.csv", "", "line 1: the columns model,currency,input,output,cached,note,read are"),
        ("prices.csv", "model,price\na,1\n", "line 1: the columns model,currency,input,output,"),
        ("models.csv", "id;kind\n", "line 1: the columns id,kind,context_tokens,"),
        ("prices.csv", f"{PRICES}a,CNY,1,2,,\n", "line 2: 7 columns are expected, as in line 1"),
        ("prices.csv", f"{PRICES}\na,CNY,1,2,,,2026,x\n", "line 3: 7 columns are expected"),
        ("prices.csv", f"{PRICES}a,CNY,x,2,,,2026\n", "line 2: input is 'x'; a number from 0 on"),
        ("prices.csv", f"{PRICES}a,CNY,,2,,,2026\n", "line 2: input is ''; a number from 0 on"),
        ("prices.csv", f"{PRICES}a,CNY,1,-2,,,2026\n", "line 2: output is '-2'; a number from"),
        ("prices.csv", f"{PRICES}a,CNY,1,2,nan,,2026\n", "line 2: cached is 'nan'; a number"),
        ("prices.csv", f"{PRICES}a,CNY,inf,2,,,2026\n", "line 2: input is 'inf'; a number"),
        ("prices.csv", f"{PRICES}a,EUR,1,2,,,2026\n", "currency is 'EUR'; CNY or USD is expected"),
        ("prices.csv", f"{PRICES}a,CNY,1,2,,,May\n", "read is 'May'; a month such as 2026-08 is"),
        ("prices.csv", f"{PRICES} ,CNY,1,2,,,2026\n", "line 2: model is ''; a name is expected"),
        ("prices.csv", f'{PRICES}"a\nb",CNY,"x\ny",2,,,2026\n', "line 4: input is 'x\\\\ny'; a"),
        ("models.csv", f"{MODELS}a,chat,1K,,,,\n", "context_tokens is '1K'; a whole number is"),
        ("models.csv", f"{MODELS}a,video,1,,,,\n", "kind is 'video'; chat or embedding is"),
        ("models.csv", f"{MODELS}a,chat,1,,maybe,,\n", "vision is 'maybe'; yes or no is expected"),
        ("models.csv", f"{MODELS}a,chat,1,,,off,\n", "thinking is 'off'; no or auto or on or"),
        ("search_prices.csv", f"{SEARCHES}a,CNY,free,,2026\n", "price is 'free'; a number from"),
    ],
)
def test_what_is_wrong_in_a_table_is_said_in_one_line_with_its_place(
    folder: Path, name: str, text: str, expected: str
) -> None:
    write(folder, name, text)
    with pytest.raises(SettingsError, match=f"{re.escape(name)}', .*{expected}") as error:
        use_tables(folder)
    assert len(str(error.value).splitlines()) == 1


def test_a_table_that_is_not_utf_8_is_refused_with_its_line(folder: Path) -> None:
    (folder / "prices.csv").write_bytes(PRICES.encode() + "a,CNY,1,2,,价,2026\n".encode("gbk"))
    with pytest.raises(SettingsError, match=r"prices.csv', line 2: UTF-8 is expected"):
        use_tables(folder)


def test_a_folder_has_one_of_the_tables_at_least(folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"has no file of the catalog; models.csv, prices.csv"):
        use_tables(folder)
    with pytest.raises(SettingsError, match=r"no-such' is no folder; one with models.csv, prices"):
        use_tables(folder / "no-such")
    (folder / "models.csv").mkdir()
    with pytest.raises(SettingsError, match=r"models.csv' cannot be read: Is a directory"):
        use_tables(folder)


def test_a_wrong_table_changes_nothing(folder: Path) -> None:
    write(folder, "prices.csv", f"{PRICES}glm-5.3,CNY,1,2,,,2026-11\n")
    use_tables(folder)
    write(folder, "prices.csv", f"{PRICES}glm-5.3,CNY,3,4,,,2026-11\n")
    write(folder, "search_prices.csv", "wrong\n")
    with pytest.raises(SettingsError):
        use_tables(folder)
    assert amounts("glm-5.3", "CNY") == [(1, 2, None)]


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
