"""What requests cost, before and after they were sent."""

import pytest

from glm_magic.api.cost import (
    Cost,
    estimate_cost,
    estimate_request_cost,
    estimate_search_cost,
    format_money,
)
from glm_magic.api.events import Usage
from glm_magic.api.tables import Currency


def test_cached_tokens_of_a_prompt_are_cheaper() -> None:
    usage = Usage(1_000_000, 0, 1_000_000, cached_tokens=500_000)
    cost = estimate_cost("glm-5.3", usage, "USD")
    assert cost is not None
    assert (cost.amount, cost.read) == (pytest.approx(0.83), "2026-09")


def test_embeddings_are_paid_by_their_input() -> None:
    usage = Usage(2_000_000, 0, 2_000_000)
    assert estimate_cost("embedding-2", usage, "CNY") == Cost(1.0, "CNY", "2026")


def test_an_answer_without_a_price_makes_the_cost_unknown() -> None:
    assert estimate_cost("embedding-2", Usage(2_000_000, 1, 2_000_001), "CNY") is None


@pytest.mark.parametrize(
    ("engine", "currency", "cost"),
    [
        ("search_std", "CNY", Cost(0.01, "CNY", "2026-09")),
        ("search_pro", "CNY", Cost(0.03, "CNY", "2026-09")),
        ("search_pro_sogou", "CNY", Cost(0.05, "CNY", "2026-09")),
        ("search_pro_quark", "CNY", Cost(0.05, "CNY", "2026-09")),
        ("search_pro_jina", "USD", Cost(0.01, "USD", "2026")),
        ("search-prime", "USD", Cost(0.01, "USD", "2026")),
        ("search_pro_sogou", "USD", None),
        ("search_pro_jina", "CNY", None),
        ("other", "CNY", None),
    ],
)
def test_a_search_has_the_price_of_its_engine(
    engine: str, currency: Currency, cost: Cost | None
) -> None:
    assert estimate_search_cost(engine, currency) == cost


def test_a_request_is_estimated_before_it_is_sent() -> None:
    assert estimate_request_cost("glm-5.3", 1_000, 500, "CNY") == Cost(0.022, "CNY", "2026-08")
    assert estimate_request_cost("glm-4.7-flash", 1_000, 500, "CNY") == Cost(0, "CNY", "2026")
    assert estimate_request_cost("my-own", 1_000, 500, "CNY") is None


def test_a_search_adds_its_price_and_a_thousand_tokens_of_what_it_finds() -> None:
    cost = estimate_request_cost("glm-5.3", 1_000, 500, "CNY", "search_pro_sogou")
    assert cost is not None
    assert (cost.amount, cost.read) == (pytest.approx(0.08), "2026-08")


def test_a_search_without_a_known_price_leaves_the_cost_of_the_tokens() -> None:
    cost = estimate_request_cost("glm-5.3", 1_000, 500, "CNY", "other")
    assert cost == Cost(0.03, "CNY", "2026-08")


def test_a_search_does_not_give_a_model_a_price() -> None:
    assert estimate_request_cost("my-own", 1_000, 500, "CNY", "search_std") is None


def test_a_sum_has_the_date_of_the_older_price_list() -> None:
    tokens, search = Cost(0.5, "USD", "2026-09"), Cost(0.25, "USD", "2026-08")
    assert tokens.plus(search) == Cost(0.75, "USD", "2026-08")
    assert tokens.plus(None) == tokens


@pytest.mark.parametrize(
    ("amount", "currency", "words"),
    [
        (0, "CNY", "¥0.00"),
        (0.00016, "CNY", "¥0.00016"),
        (0.012, "CNY", "¥0.012"),
        (0.05, "USD", "$0.050"),
        (0.5, "USD", "$0.50"),
        (4.988, "CNY", "¥4.99"),
        (160, "CNY", "¥160.00"),
    ],
)
def test_money_is_in_cents_or_two_digits_where_it_is_less(
    amount: float, currency: Currency, words: str
) -> None:
    assert format_money(amount, currency) == words


def test_a_cost_is_about_an_amount_or_free() -> None:
    assert Cost(0.012, "CNY", "2026-08").in_words == "about ¥0.012"
    assert Cost(0, "USD", "2026-08").in_words == "free"
