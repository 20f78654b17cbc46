"""`%glm limits`: how many requests at a time, by tier and as learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glm_magic.api.tiers import Spend
from glm_magic.jupyter.views.show import show_table
from glm_magic.render.limits import render_limits, render_limits_plain

if TYPE_CHECKING:
    from glm_magic.jupyter.magics import Glm


def show_limits(glm: Glm, this_month: float | None, last_month: float | None) -> None:
    """Show the table of tiers, the tier of a spend, and what the limiters have learned."""
    session, _ = glm.open()
    limits = session.limits(glm.endpoint(), _spend(this_month, last_month))
    show_table(render_limits(limits), render_limits_plain(limits))


def _spend(this_month: float | None, last_month: float | None) -> Spend | None:
    if this_month is None and last_month is None:
        return None
    return Spend(this_month or 0.0, last_month or 0.0)
