"""The table of a session's usage: what stands there, and that names are text."""

from collections.abc import Iterator
from typing import Any

import html5lib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glm_magic.render.usage import render_usage, render_usage_plain
from glm_magic.session.ledger import Budget
from glm_magic.session.usage import UsageRow

# "span" and "code" keep a typesetter from taking text for a formula.
TAGS = {"html", "head", "body", "div", "span", "code", "strong"}
TAGS |= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
CHAT = UsageRow(
    "open.bigmodel.cn",
    "glm-4.7",
    "CNY",
    requests=3,
    prompt_tokens=12_345,
    cached_tokens=1_000,
    completion_tokens=678,
    reasoning_tokens=90,
    searches=1,
    known_cost=0.012,
    estimated=1,
    dates=("2026-08",),
)
FREE = UsageRow("open.bigmodel.cn", "glm-4.7-flash", "CNY", 1, 5, 0, 6, 0, 0, dates=("2026",))
NEW = UsageRow("api.z.ai", "my-own", "USD", 1, 5, 0, 6, 0, 0, unpriced=1)
LOCAL = UsageRow("local", "tiny.gguf", None, 2, 10, 0, 20, 0, 0)
HOSTILE = (
    "<script>alert(1)</script>",
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


def rows(html: str) -> list[list[str]]:
    found = ["".join(node.itertext()) for node in nodes(html) if node.tag in ("th", "td")]
    return [found[i : i + 9] for i in range(0, len(found), 9)]


def costs(*usage: UsageRow) -> list[str]:
    return [row[-1] for row in rows(render_usage(usage))[1:]]


def test_the_table_says_what_each_model_took_and_the_total_of_each_currency() -> None:
    assert ["|".join(row) for row in rows(render_usage([CHAT, FREE, NEW, LOCAL]))] == [
        "Model|Host|Requests|Prompt|Cached|Completion|Reasoning|Searches|Cost",
        "glm-4.7|open.bigmodel.cn|3|12,345|1,000|678|90|1|about ¥0.012",
        "glm-4.7-flash|open.bigmodel.cn|1|5|0|6|0|0|free",
        "my-own|api.z.ai|1|5|0|6|0|0|unknown",
        "tiny.gguf|local|2|10|0|20|0|0|nothing",
        "Total in CNY||4|12,350|1,000|684|90|1|about ¥0.012",
        "Total in USD||1|5|0|6|0|0|unknown",
    ]


def test_text_has_the_same_in_columns_and_notes_below() -> None:
    assert render_usage_plain([CHAT, LOCAL], Budget(5, "CNY", 0.012)).splitlines() == [
        "Tokens, searches and cost of this session",
        "Model         Host              Requests  Prompt  Cached  Completion  Reasoning"
        "  Searches          Cost",
        "glm-4.7       open.bigmodel.cn         3  12,345   1,000         678         90"
        "         1  about ¥0.012",
        "tiny.gguf     local                    2      10       0          20          0"
        "         0       nothing",
        "Total in CNY                           3  12,345   1,000         678         90"
        "         1  about ¥0.012",
        "¥4.99 of the budget of ¥5.00 is left",
        "1 request ended without the server's counts: its tokens are estimated",
        "prices are those of 2026-08; cost is an estimate, the bill is the platform's",
    ]


def test_a_cost_that_is_known_in_part_says_so() -> None:
    assert costs(CHAT, UsageRow("h", "new", "CNY", 1, 5, 0, 6, 0, 0, unpriced=1)) == [
        "about ¥0.012",
        "unknown",
        "about ¥0.012 + unknown",
    ]


def test_what_failed_before_anything_came_cost_nothing() -> None:
    assert costs(UsageRow("h", "m", "CNY", 1, 0, 0, 0, 0, 0)) == ["nothing", "nothing"]


def test_where_nobody_is_billed_nothing_is_said_of_prices() -> None:
    assert len(render_usage_plain([LOCAL]).splitlines()) == 3


def test_a_model_without_a_price_has_a_way_to_give_it_one() -> None:
    assert render_usage_plain([NEW]).splitlines()[-2:] == [
        "unknown: no price is known; `%glm config catalog=FOLDER` takes a prices.csv",
        "cost is an estimate, the bill is the platform's",
    ]


@pytest.mark.parametrize(
    ("searches", "unpriced", "words"), [(1, 1, "the search"), (3, 2, "2 of 3 searches")]
)
def test_a_search_without_a_price_is_said_to_be_missing(
    searches: int, unpriced: int, words: str
) -> None:
    row = UsageRow("h", "m", "CNY", 3, 5, 0, 6, 0, searches, unpriced_searches=unpriced)
    assert f"the price of {words} is unknown and not in the cost" in render_usage_plain([row])


def test_requests_without_counts_are_said_to_be_estimated() -> None:
    row = UsageRow("local", "m", None, 3, 5, 0, 6, 0, 0, estimated=2)
    assert render_usage_plain([row]).splitlines()[-1] == (
        "2 requests ended without the server's counts: their tokens are estimated"
    )


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (Budget(5, "USD", 1.5), "$3.50 of the budget of $5.00 is left"),
        (Budget(5, "CNY", 6), "nothing of the budget of ¥5.00 is left"),
        (
            Budget(5, "CNY", 1, 0.5),
            "¥3.50 of the budget of ¥5.00 is left, ¥0.50 are reserved for requests in flight",
        ),
    ],
)
def test_what_is_left_of_the_budget_is_said(budget: Budget, words: str) -> None:
    assert words in render_usage_plain([LOCAL], budget).splitlines()
    html = html5lib.parse(render_usage([LOCAL], budget), namespaceHTMLElements=False)
    assert words in "".join(html.itertext())


def test_an_empty_ledger_is_one_line() -> None:
    assert render_usage_plain([]) == "nothing was asked yet in this session"
    html = html5lib.parse(render_usage([]), namespaceHTMLElements=False)
    assert "".join(html.itertext()) == "nothing was asked yet in this session"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text(name: str) -> None:
    check_harmless(name)


@given(st.text(max_size=120))
def test_any_name_is_text(name: str) -> None:
    check_harmless(name)


def check_harmless(name: str) -> None:
    row = UsageRow(name, name, None, 1, 2, 0, 3, 0, 0)
    html, plain = render_usage([row]), render_usage_plain([row])
    assert len(rows(html)) == 2
    for node in nodes(html):
        assert node.tag in TAGS
        assert set(node.attrib) <= {"class", "style", "scope"}
    assert len(plain.splitlines()) == 3
    assert not set("\x1b\x07\u202e\u2066") & set(html + plain)
