"""`%glm again` and `%glm continue`: the last request once more, or on from where it ended."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from glm_magic.errors import SettingsError
from glm_magic.jupyter.chat import ask, send
from glm_magic.session.exchange import Exchange, build_continuation
from glm_magic.session.functions import find_functions

if TYPE_CHECKING:
    from glm_magic.api.reply import Reply
    from glm_magic.jupyter.magics import Glm


def ask_again(glm: Glm, out: str | None) -> Reply | None:
    """Send the last request again, as it was; its turn in a chat is replaced."""
    last = _with_functions_as_they_are(glm, _last(glm))
    blank = replace(last.reply, text="", reasoning="", rounds=())
    return send(glm, last.with_reply(blank), out=out)


def _with_functions_as_they_are(glm: Glm, last: Exchange) -> Exchange:
    """An exchange with the functions that its names mean now: one may have been mended."""
    names = [function.path for function in last.functions]
    functions = find_functions(names, glm.shell.user_ns) if names else ()
    request = replace(last.request, functions=tuple(each.tool for each in functions))
    return replace(last, request=request, functions=functions)


def go_on(glm: Glm, out: str | None) -> Reply | None:
    """Ask the model to go on from the text of the last reply; the two are one reply."""
    last = _last(glm)
    return ask(glm, last, out=out, goes_on=build_continuation(last))


def _last(glm: Glm) -> Exchange:
    session, _ = glm.open()
    if session.last is None:
        raise SettingsError("nothing was asked yet in this session; write a %%glm cell")
    return session.last
