"""`%glm limits`: how many requests at a time, by tier and as learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glm_magic.api.tiers import Spend
from glm_magic.jupyter.options import limits_help, parse_limits_options, split_words
from glm_magic.jupyter.show import show_table
from glm_magic.render.limits import render_limits, render_limits_plain
from glm_magic.session.options import LimitsOptions

if TYPE_CHECKING:
    from glm_magic.jupyter.magics import Glm


def show_limits(glm: Glm, rest: str) -> None:
    """Show the table of tiers, the tier of a spend, and what the limiters have learned."""
    options = parse_limits_options(split_words(rest))
    if options is None:
        print(limits_help())
        return
    session, _ = glm.open()
    limits = session.limits(glm.endpoint(), _spend(options))
    show_table(render_limits(limits), render_limits_plain(limits))


def _spend(options: LimitsOptions) -> Spend | None:
    if options.this_month is None and options.last_month is None:
        return None
    return Spend(options.this_month or 0.0, options.last_month or 0.0)
