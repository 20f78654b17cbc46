"""Requests at a time: the tier of a spend, the table of tiers, and what was learned."""

import asyncio
from collections.abc import Iterator
from typing import Any

import html5lib
import pytest

from glm_magic.api import http
from glm_magic.api.endpoints import parse_endpoint
from glm_magic.api.limiter import Limiter, Places
from glm_magic.api.tiers import Limits, Spend
from glm_magic.errors import SettingsError
from glm_magic.jupyter.commands import parser_of
from glm_magic.jupyter.parser import parse_words
from glm_magic.render.limits import render_limits, render_limits_plain
from glm_magic.session.secrets import KeyRing
from glm_magic.session.session import LocalEngine, Session
from glm_magic.session.settings import GlmMagic

HOST = "open.bigmodel.cn"
LEARNED = (Places("glm-4.7", 20, 5, 3), Places("<b>x</b>", 1, 1, 0))
YOURS = Limits(HOST, "tier2", learned=LEARNED)


def nodes(html: str) -> Iterator[Any]:
    yield from html5lib.parse(html, namespaceHTMLElements=False).iter()


def texts(html: str, *tags: str) -> list[str]:
    return ["".join(node.itertext()) for node in nodes(html) if node.tag in tags]


def lines(limits: Limits) -> list[str]:
    return render_limits_plain(limits).splitlines()


# -- the tables ----------------------------------------------------------------------------


def test_every_model_of_the_table_has_a_row_and_every_tier_its_cost() -> None:
    shown = lines(Limits(HOST, "free"))
    assert shown[0] == "Requests at a time, by tier (December 2024)"
    assert " ".join(shown[1].split()) == "Model free (yours) tier1 tier2 tier3 tier4 tier5"
    assert shown[2].split("  ")[0] == "CNY a month"
    assert "500 to 5,000" in shown[2]
    assert shown[2].endswith("from 30,000")
    assert len(shown) == 1 + 2 + 21 + 2
    assert " ".join(shown[-3].split()) == "codegeex-4 5 10 20 30 100 200"


def test_your_tier_is_marked_in_words_and_in_bold() -> None:
    html = render_limits(YOURS)
    strong = texts(html, "strong")
    assert strong[:3] == ["tier2 (yours)", "500 to 5,000", "200"]
    assert len(strong) == 2 + 21


def test_what_was_learned_stands_below() -> None:
    html = render_limits(YOURS)
    assert "Learned at open.bigmodel.cn" in texts(html, "caption")
    assert texts(html, "th", "td")[-8:] == ["glm-4.7", "20", "5", "3", "<b>x</b>", "1", "1", "0"]
    assert "b" not in {node.tag for node in nodes(html)}
    assert lines(YOURS)[-4:-1] == [
        "Model     Limit  Now  In flight",
        "glm-4.7      20    5          3",
        "<b>x</b>      1    1          0",
    ]


def test_the_real_numbers_are_said_to_be_in_the_console_only() -> None:
    for shown in (render_limits_plain(YOURS), "".join(texts(render_limits(YOURS), "div"))):
        assert "the platform publishes the real numbers in its console only" in shown


def test_a_host_that_was_not_used_is_said_to_be_none() -> None:
    assert lines(Limits(HOST, "free"))[-2] == "no model was used at open.bigmodel.cn yet"


def test_a_number_of_ones_own_is_said_to_hold() -> None:
    shown = render_limits_plain(Limits(HOST, "free", concurrency=3))
    assert "concurrency=3 is set and holds in place of the tier's" in shown


# -- the spend -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("this_month", "last_month", "tier"),
    [
        (0, 0, "free"),
        (49.99, 0, "free"),
        (50, 0, "tier1"),
        (20, 640, "tier2"),
        (640, 20, "tier2"),
        (4999.99, 5000, "tier3"),
        (10_000, 0, "tier4"),
        (0, 30_000, "tier5"),
    ],
)
def test_the_higher_month_decides(this_month: float, last_month: float, tier: str) -> None:
    assert Spend(this_month, last_month).tier == tier


def test_the_tier_of_a_spend_comes_with_the_way_to_set_it() -> None:
    shown = render_limits_plain(Limits(HOST, "free", spend=Spend(20, 1640.5)))
    assert (
        "1,640.50 CNY last month and 20 CNY this month up to yesterday, the higher of which "
        "counts: tier2; set it with `%glm config tier=tier2`"
    ) in shown


def test_a_tier_that_is_set_already_is_said_to_be() -> None:
    shown = render_limits_plain(Limits(HOST, "tier2", spend=Spend(20, 640)))
    assert "counts: tier2, which is set" in shown


# -- the line ------------------------------------------------------------------------------


def test_the_options_of_the_line() -> None:
    limits = parser_of("limits")
    assert parse_words(limits, []) == {"this_month": None, "last_month": None}
    assert parse_words(limits, ["--this-month", "20", "--last-month=640.5"]) == {
        "this_month": 20.0,
        "last_month": 640.5,
    }
    assert parse_words(limits, ["-h"]) is None
    assert parse_words(parser_of("models"), ["-q", "flash"]) == {"query": "flash"}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--this-month -5", "--this-month: -5 is not 0 or more (see %glm limits --help)"),
        ("--this-month nan", "--this-month: nan is not 0 or more (see %glm limits --help)"),
        ("--last-month inf", "--last-month: inf is not 0 or more (see %glm limits --help)"),
        (
            "--last-month much",
            "--last-month: invalid number value: 'much' (see %glm limits --help)",
        ),
        ("--last-month", "--last-month: expected one argument (see %glm limits --help)"),
        ("--last-moth 5", "unknown option '--last-moth'; did you mean '--last-month'?"),
        ("640", "unexpected word '640': only options go on the line"),
    ],
)
def test_a_wrong_line_is_explained(words: str, line: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_words(parser_of("limits"), words.split())
    assert str(caught.value) == line


# -- what a session has learned ------------------------------------------------------------


def session(environ: dict[str, str]) -> Session:
    transport = http.MockTransport(lambda _: http.Response(200))
    local = LocalEngine(lambda: False, lambda: transport, "tiny.gguf", "tiny-embedding")
    return Session(GlmMagic(), KeyRing(environ), local)


def test_a_session_tells_of_the_limiters_at_one_endpoint_with_its_settings() -> None:
    here, bigmodel, zai = (
        session({"ZAI_API_KEY": "id.secret"}),
        *map(parse_endpoint, ("bigmodel", "zai")),
    )
    assert here.limits(bigmodel, None).learned == ()
    limiter = here.client(bigmodel).limiter("glm-4-plus")
    limiter.refused()
    assert here.limits(bigmodel, None) == (
        Limits("open.bigmodel.cn", "free", learned=(Places("glm-4-plus", 20, 1, 0),))
    )
    assert here.limits(zai, None).learned == ()
    here.settings.assign({"tier": "tier1"})
    assert here.limits(bigmodel, None).learned == ()


def test_without_a_key_nothing_was_learned() -> None:
    assert session({}).limits(parse_endpoint("bigmodel"), None).learned == ()


def test_a_limiter_tells_what_is_taken() -> None:
    async def take() -> Places:
        limiter = Limiter(4, name="m")
        async with limiter.slot():
            return limiter.places

    assert asyncio.run(take()) == Places("m", 4, 4, 1)
