"""`%glm usage`: tokens, searches and cost of the session, by model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glm_magic.api.catalog import billed_in
from glm_magic.errors import SettingsError
from glm_magic.jupyter.views.show import show_table
from glm_magic.render.usage import render_usage, render_usage_plain
from glm_magic.session.ledger import Budget

if TYPE_CHECKING:
    from glm_magic.jupyter.magics import Glm
    from glm_magic.session.session import Session


def show_usage(glm: Glm) -> None:
    """Show the table of what was used."""
    session, _ = glm.open()
    rows, budget = session.ledger.rows(), _budget(session)
    show_table(render_usage(rows, budget), render_usage_plain(rows, budget))


def _budget(session: Session) -> Budget | None:
    try:
        endpoint = session.endpoint()
        currency = billed_in(endpoint, session.model(endpoint))
    except SettingsError:
        return None
    return session.ledger.budget(session.settings.budget, currency)
