"""`%glm` alone: the session on one small card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glm_magic.errors import SettingsError
from glm_magic.jupyter.views.show import show_table
from glm_magic.render.card import Fact, render_card, render_card_plain, usage_words

if TYPE_CHECKING:
    from glm_magic.jupyter.magics import Glm
    from glm_magic.session.session import Session


def show_card(glm: Glm) -> None:
    """Show endpoint, model, key, chat, tokens and cost so far."""
    session, _ = glm.open()
    facts = (
        *_where(session),
        ("chat", _chat(session)),
        ("so far", usage_words(session.ledger.rows())),
    )
    show_table(render_card(facts), render_card_plain(facts))


def _where(session: Session) -> tuple[Fact, ...]:
    try:
        endpoint = session.endpoint()
        key = session.keys.find(endpoint)
    except SettingsError as error:
        return (("endpoint", "none"), ("model", session.settings.model), ("key", str(error)))
    origin = f"from {key.origin}" if key else "none"
    return (("endpoint", endpoint.host), ("model", session.model(endpoint)), ("key", origin))


def _chat(session: Session) -> str:
    chat, setting = session.chats.current, session.settings.chat
    start = f"every cell goes on with {setting}" if setting else "each cell stands alone"
    if chat is None:
        return start
    turns = f"{len(chat.turns)} {'turn' if len(chat.turns) == 1 else 'turns'}"
    stale = f", {chat.stale} stale" if chat.stale else ""
    return f"{start}; `-c` goes on with {chat.name or 'the last answer'} ({turns}{stale})"
