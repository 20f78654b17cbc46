"""`%%glm --dry-run`: the request as it would be sent, and what it may cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glm_magic.api.catalog import billed_in
from glm_magic.api.cost import TYPICAL_ANSWER_TOKENS, estimate_cost_of
from glm_magic.api.requests import ChatRequest, build_chat
from glm_magic.api.tokens import estimate_prompt
from glm_magic.errors import SettingsError
from glm_magic.jupyter.views.show import show_table
from glm_magic.render.footer import context_words
from glm_magic.render.request import RequestPage, render_request, render_request_plain
from glm_magic.render.usage import budget_line
from glm_magic.session.window import window_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glm_magic.jupyter.magics import Glm
    from glm_magic.session.exchange import Exchange
    from glm_magic.session.session import Session


def show_request(glm: Glm, exchange: Exchange) -> None:
    """Show what would be sent; send nothing."""
    session, _ = glm.open()
    endpoint, request = exchange.endpoint, exchange.request
    path = "/async/chat/completions" if exchange.is_task else "/chat/completions"
    page = RequestPage(
        "" if endpoint.is_local else f"{endpoint.base_url}{path}",
        build_chat(request, speaks_glm=endpoint.speaks_glm),
        _key_origin(session, exchange),
        tuple(_notes(session, exchange)),
    )
    show_table(render_request(page), render_request_plain(page))


def _key_origin(session: Session, exchange: Exchange) -> str:
    try:
        key = session.keys.find(exchange.endpoint)
    except SettingsError:
        return ""
    return key.origin if key else ""


def _notes(session: Session, exchange: Exchange) -> Iterator[str]:
    yield _tokens(exchange.request)
    yield from _cost(exchange)
    context = exchange.reply.context
    if context and (words := context_words(context)):
        yield words
    currency = billed_in(exchange.endpoint, exchange.request.model)
    if budget := session.ledger.budget(session.settings.budget, currency):
        yield budget_line(budget)


def _tokens(request: ChatRequest) -> str:
    window = window_of(request.model)
    of_window = f" of the {window:,} that {request.model} reads" if window else ""
    return f"about {estimate_prompt(request):,} tokens in{of_window}"


def _cost(exchange: Exchange) -> Iterator[str]:
    if billed_in(exchange.endpoint, exchange.request.model) is None:
        return
    cost = estimate_cost_of(exchange.request, exchange.endpoint)
    if cost is None:
        yield f"cost unknown: no price of {exchange.request.model} is known"
        return
    limit = exchange.request.max_tokens
    answer = f"{limit or TYPICAL_ANSWER_TOKENS:,} tokens"
    words = f"the answer at most {answer}" if limit else f"an answer of {answer}"
    yield f"cost {cost.in_words} with {words} (prices of {cost.read})"
