"""The table of models: what stands there, and that an id is text whatever a server calls it."""

from collections.abc import Iterator
from typing import Any

import html5lib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glm_magic.api.catalog import models_at, price_in
from glm_magic.api.endpoints import parse_endpoint
from glm_magic.api.tables import Model, Price, Thinking
from glm_magic.render.models import ModelTable, render_models, render_models_plain

# "span" and "code" keep a typesetter from taking text for a formula.
TAGS = {"html", "head", "body", "div", "span", "code", "small", "strong", "br"}
TAGS |= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
KNOWN = Model(
    "glm-5.1",
    200_000,
    131_072,
    vision=False,
    thinking="auto",
    free=False,
    prices=(
        Price("CNY", 6, 24, 1.3, "in < 32K", "2026-08"),
        Price("CNY", 8, 28, None, "in ≥ 32K", "2026-09"),
    ),
    is_listed=True,
)
FREE = Model("tiny", thinking="forced", vision=True, free=True, is_listed=False)
NEW = Model("my-own", is_known=False, is_listed=True)
TABLE = ModelTable("open.bigmodel.cn", (KNOWN, FREE, NEW), "CNY", ("a note",))
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</td></table><iframe src='javascript:alert(1)'>",
    '" onmouseover="alert(1)',
    "[link](javascript:alert(1))",
    "$\\href{javascript:alert(1)}{x}$",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "a\u202eb\u2066c",
    "a\nb\r\nc",
    "&lt;b&gt;",
)


def nodes(html: str) -> Iterator[Any]:
    yield from html5lib.parse(html, namespaceHTMLElements=False).iter()


def cells(html: str) -> list[str]:
    return ["".join(node.itertext()) for node in nodes(html) if node.tag in ("th", "td")]


def rows(html: str) -> list[list[str]]:
    found = cells(html)
    return [found[i : i + 7] for i in range(0, len(found), 7)]


def test_the_table_says_what_is_known_of_each_model() -> None:
    assert rows(render_models(TABLE)) == [
        [
            "Model",
            "Context",
            "Max output",
            "Vision",
            "Thinking",
            "Free",
            "CNY for 1M tokens: input / output / cached",
        ],
        [
            "glm-5.1",
            "200,000",
            "131,072",
            "no",
            "optional",
            "no",
            "6 / 24 / 1.3 (in < 32K)8 / 28 / – (in ≥ 32K)",
        ],
        ["tiny (not listed)", "", "", "yes", "always", "yes", "free"],
        ["my-own (not in the catalog)", "", "", "", "", "", "unknown"],
    ]


def test_below_it_stand_the_notes_and_when_prices_were_read() -> None:
    assert render_models_plain(TABLE).splitlines()[-3:] == [
        "a note",
        "prices were read in 2026-08, the latest in 2026-09; they change monthly, "
        "the platform's site has today's",
        "not listed: the endpoint's list leaves it out, as it does with ids that it accepts",
    ]


def test_text_has_a_line_for_each_price() -> None:
    assert render_models_plain(TABLE).splitlines()[:6] == [
        "3 models · open.bigmodel.cn",
        "model                        context  max output  vision  thinking  free  "
        "CNY for 1M tokens: input / output / cached",
        "glm-5.1                      200,000     131,072  no      optional  no    "
        "6 / 24 / 1.3 (in < 32K)",
        " " * 74 + "8 / 28 / – (in ≥ 32K)",
        "tiny (not listed)                                 yes     always    yes   free",
        "my-own (not in the catalog)                                               unknown",
    ]


@pytest.mark.parametrize(
    ("thinking", "word"),
    [("no", "no"), ("auto", "optional"), ("on", "default"), ("forced", "always")],
)
def test_thinking_is_in_words(thinking: Thinking, word: str) -> None:
    table = ModelTable("h", (Model("m", thinking=thinking),), "CNY")
    assert rows(render_models(table))[1][4] == word


def test_where_there_is_no_catalog_nothing_is_said_to_be_missing_in_it() -> None:
    table = ModelTable("local", (NEW,), "CNY", has_catalog=False)
    assert "not in the catalog" not in render_models(table) + render_models_plain(table)


def test_the_currency_is_that_of_the_site() -> None:
    models = tuple(price_in(m, "USD") for m in models_at(parse_endpoint("zai"), None))
    html = render_models(ModelTable("api.z.ai", models, "USD"))
    table = {row[0]: row[6] for row in rows(html)}
    assert table["Model"] == "USD for 1M tokens: input / output / cached"
    assert table["glm-5.3"] == "1.4 / 4.4 / 0.26"
    assert table["glm-4.7-flash"] == "free"
    assert table["glm-4-flash"] == "unknown"


def test_a_long_list_is_cut_and_says_so() -> None:
    many = tuple(Model(f"m{i}", is_known=False, is_listed=True) for i in range(250))
    table = ModelTable("h", many, "CNY")
    assert len(rows(render_models(table))) == 201
    assert "and 50 more: `%glm models -q TEXT` finds them" in render_models_plain(table)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_id_is_text(name: str) -> None:
    table = ModelTable(name, (Model(name, is_known=False, is_listed=True),), "CNY", (name,))
    check_harmless(table)


@given(st.text(max_size=120))
def test_any_id_is_text(name: str) -> None:
    check_harmless(ModelTable("h", (Model(name, is_known=False, is_listed=True),), "CNY"))


def check_harmless(table: ModelTable) -> None:
    html, plain = render_models(table), render_models_plain(table)
    assert len(rows(html)) == 2
    for node in nodes(html):
        assert node.tag in TAGS
        assert set(node.attrib) <= {"class", "style", "scope"}
    assert len(plain.splitlines()) == 3 + len(table.notes)
    assert not set("\x1b\x07\u202e\u2066") & set(html + plain)
