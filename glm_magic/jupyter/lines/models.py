"""`%glm models`: the endpoint's own list and the catalog, as one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glm_magic.api.catalog import (
    currency_at,
    filter_models,
    models_at,
    nearest_in,
    parse_model_list,
)
from glm_magic.api.check import NO_SUCH_ADDRESS
from glm_magic.api.connection import Call
from glm_magic.api.endpoints import Endpoint
from glm_magic.api.loop import Job
from glm_magic.api.tables import Model
from glm_magic.errors import ApiError, GlmError, SettingsError
from glm_magic.jupyter.runner import wait_for
from glm_magic.jupyter.views.show import show_table
from glm_magic.render.clean import clean_line
from glm_magic.render.models import ModelTable, render_models, render_models_plain

if TYPE_CHECKING:
    from glm_magic.jupyter.magics import Glm


def show_models(glm: Glm, query: str | None) -> None:
    """Show the models of the endpoint in use, or those with a text in their id."""
    endpoint = glm.endpoint()
    listed, notes = _fetch(glm, endpoint)
    models = _filter(models_at(endpoint, listed), query or "")
    has_catalog = listed is None or endpoint.has_catalog
    notes = (*notes, *_price_notes(endpoint, has_catalog=has_catalog))
    table = ModelTable(endpoint.host, models, currency_at(endpoint), notes, has_catalog=has_catalog)
    show_table(render_models(table), render_models_plain(table))


def _fetch(glm: Glm, endpoint: Endpoint) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """The endpoint's own list, or None and one line that says why there is none."""
    session, thread = glm.open()
    try:
        client = session.client(endpoint)
        job = Job(thread, lambda _: client.fetch(Call("/models")))
        content = wait_for(job, "nothing is shown")
        return parse_model_list(content, host=endpoint.host), ()
    except GlmError as error:
        return None, (f"this is the catalog alone: {_why(error, endpoint)}",)


def _why(error: GlmError, endpoint: Endpoint) -> str:
    if isinstance(error, ApiError) and error.status in NO_SUCH_ADDRESS:
        return f"{endpoint.host} has no list of models"
    return str(error)


def _filter(models: tuple[Model, ...], part: str) -> tuple[Model, ...]:
    found = filter_models(models, part)
    if part and not found:
        near = nearest_in(models, part)
        hint = f"; did you mean '{clean_line(near)}'?" if near else "; `%glm models` shows all"
        raise SettingsError(f"no model has '{part}' in its id{hint}")
    return found


def _price_notes(endpoint: Endpoint, *, has_catalog: bool) -> tuple[str, ...]:
    """One line on whose prices these are, where it is not plain."""
    if endpoint.is_local:
        return ()
    if endpoint.name in ("coding", "coding-zai"):
        return ("the coding plan is paid by the month; these are the prices without it",)
    if has_catalog and not endpoint.is_platform:
        return (f"the prices are those of open.bigmodel.cn; {endpoint.host} may have its own",)
    return ()
