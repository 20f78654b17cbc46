"""How many requests at a time: the public table, and the tier that a spend falls into."""

import math

import pytest

from glm_magic.api.tiers import TIERS, Tier, concurrency, concurrency_table, tier_of
from glm_magic.errors import SettingsError


@pytest.mark.parametrize(
    ("model", "row"),
    [
        ("glm-4-plus", (20, 100, 200, 300, 400, 500)),
        ("glm-4-0520", (20, 30, 40, 50, 80, 100)),
        ("glm-4-air", (100, 150, 200, 500, 1000, 1500)),
        ("glm-4-flash", (200, 300, 500, 800, 1000, 1500)),
        ("glm-3-turbo", (5, 50, 70, 150, 300, 1000)),
        ("glm-4", (5, 10, 20, 30, 100, 200)),
        ("glm-4-long", (5, 10, 15, 20, 25, 30)),
        ("glm-4v-plus", (2, 10, 15, 20, 25, 30)),
        ("cogview-3", (5, 10, 15, 20, 30, 40)),
        ("embedding-2", (5, 10, 20, 30, 40, 50)),
        ("embedding-3", (50, 100, 200, 300, 400, 500)),
        ("web-search-pro", (1, 2, 3, 4, 5, 6)),
        ("charglm-3", (5, 10, 20, 30, 40, 50)),
        ("codegeex-4", (5, 10, 20, 30, 100, 200)),
    ],
)
def test_a_row_is_as_it_was_published(model: str, row: tuple[int, ...]) -> None:
    assert concurrency_table()[model] == row
    assert tuple(concurrency(model, tier) for tier in TIERS) == row


def test_the_table_has_21_rows_that_never_fall() -> None:
    table = concurrency_table()
    assert len(table) == 21
    assert all(len(row) == 6 and list(row) == sorted(row) for row in table.values())


@pytest.mark.parametrize("model", ["GLM-4-Plus", "glm-4-PLUS"])
def test_case_does_not_matter(model: str) -> None:
    assert concurrency(model, "tier1") == 100


@pytest.mark.parametrize("model", ["glm-5.3", "", "glm-4-plus-x"])
def test_a_model_of_a_newer_table_begins_with_few(model: str) -> None:
    assert [concurrency(model, tier) for tier in TIERS] == [1, 5, 10, 15, 20, 30]


@pytest.mark.parametrize(
    ("spend_cny", "tier"),
    [
        (0, "free"),
        (49.99, "free"),
        (50, "tier1"),
        (499.99, "tier1"),
        (500, "tier2"),
        (4999.99, "tier2"),
        (5000, "tier3"),
        (9999.99, "tier3"),
        (10000, "tier4"),
        (29999.99, "tier4"),
        (30000, "tier5"),
        (1e9, "tier5"),
        (math.inf, "tier5"),
    ],
)
def test_a_tier_begins_with_its_lower_bound(spend_cny: float, tier: Tier) -> None:
    assert tier_of(this_month_cny=spend_cny, last_month_cny=0) == tier
    assert tier_of(this_month_cny=0, last_month_cny=spend_cny) == tier


def test_the_higher_of_the_two_months_decides() -> None:
    assert tier_of(this_month_cny=400, last_month_cny=6000) == "tier3"
    assert tier_of(this_month_cny=6000, last_month_cny=400) == "tier3"
    assert tier_of(this_month_cny=300, last_month_cny=300) == "tier1"


@pytest.mark.parametrize(
    ("this_month", "last_month"),
    [(-1, 0), (0, -0.01), (math.nan, 0), (0, math.nan), (100, math.nan), (math.nan, 100)],
)
def test_a_spend_that_is_none_is_refused(this_month: float, last_month: float) -> None:
    with pytest.raises(SettingsError, match="a spend is a number from 0 on, in CNY"):
        tier_of(this_month_cny=this_month, last_month_cny=last_month)
