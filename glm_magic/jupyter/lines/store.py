"""`%glm store`: what vectors are kept on disk, and how to be rid of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glm_magic.errors import SettingsError
from glm_magic.jupyter.views.show import show_table
from glm_magic.render.store import render_store, render_store_plain
from glm_magic.render.words import counted

if TYPE_CHECKING:
    from glm_magic.jupyter.magics import Glm


def show_store(glm: Glm, clear: bool) -> None:
    """Show what is kept, or remove it.

    Raises:
        SettingsError: there is no store, or it cannot be read.
    """
    session, _ = glm.open()
    store = session.store()
    if store is None:
        raise SettingsError("no vectors are kept; `%glm config store=auto` keeps them")
    if clear:
        count = store.clear()
        print(f"glm: the vectors of {counted(count, 'text')} were removed from {store.path}")
        return
    facts = store.facts()
    show_table(render_store(facts), render_store_plain(facts))
