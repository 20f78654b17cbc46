"""How many requests at a time the platform allows: data/rate_limits.csv.

From a public description of the platform of December 2024. Since then the numbers depend on an
account's "rights level" and are shown in its console only; so they are where a limit starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, get_args

from glm_magic.api.tables import read_table
from glm_magic.errors import SettingsError

if TYPE_CHECKING:
    from glm_magic.api.limiter import Places

TABLE_DATE = "December 2024"
Tier = Literal["free", "tier1", "tier2", "tier3", "tier4", "tier5"]
TIERS: tuple[Tier, ...] = get_args(Tier)
# CNY a month from which each tier holds; the free one from 0.
FROM_CNY = (0, 50, 500, 5000, 10000, 30000)
# A model that the table does not know: what a third party read for glm-4.7-flash was 1, and for
# an endpoint as a whole 5; the free tier's smallest numbers are of that size.
_UNKNOWN = (1, 5, 10, 15, 20, 30)


@cache
def concurrency_table() -> dict[str, tuple[int, ...]]:
    """Return for each model of the table how many requests at a time, by tier."""
    return {
        row["model"]: tuple(int(row[tier]) for tier in TIERS) for row in read_table("rate_limits")
    }


def concurrency(model: str, tier: Tier) -> int:
    """Return how many requests at a time to start with; a model of a newer table has few."""
    return concurrency_table().get(model.lower(), _UNKNOWN)[TIERS.index(tier)]


def tier_of(*, this_month_cny: float, last_month_cny: float) -> Tier:
    """Return the tier that a spend falls into: the higher of the two months decides.

    Args:
        this_month_cny: from its first day up to yesterday.
        last_month_cny: the whole of it.

    Raises:
        SettingsError: a spend is negative or no number.
    """
    spend = max(this_month_cny, last_month_cny)
    if not (this_month_cny >= 0 and last_month_cny >= 0):  # nan is neither
        raise SettingsError("a spend is a number from 0 on, in CNY")
    return TIERS[sum(spend >= start for start in FROM_CNY) - 1]


@dataclass(frozen=True, slots=True)
class Spend:
    """What an account has spent, in CNY: this month up to yesterday, and the whole of the last."""

    this_month_cny: float
    last_month_cny: float

    @property
    def tier(self) -> Tier:
        """The tier that it falls into."""
        return tier_of(this_month_cny=self.this_month_cny, last_month_cny=self.last_month_cny)


@dataclass(frozen=True, slots=True)
class Limits:
    """What is known of the limits of a session.

    Attributes:
        host: where requests go now.
        tier: the one that is set.
        concurrency: the number that is set in its place, if one is.
        spend: to tell the tier by, if it was given.
        learned: the limiters of the models that were used there.
    """

    host: str
    tier: Tier
    concurrency: int | None = None
    spend: Spend | None = None
    learned: tuple[Places, ...] = ()
