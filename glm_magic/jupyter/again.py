"""`%glm again` and `%glm continue`: the last request once more, or on from where it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glm_magic.errors import SettingsError
from glm_magic.jupyter.chat import ask, ask_as_task
from glm_magic.jupyter.options import again_help, parse_again_options, split_words
from glm_magic.session.exchange import Exchange, build_continuation

if TYPE_CHECKING:
    from glm_magic.api.reply import Reply
    from glm_magic.jupyter.magics import Glm


def ask_again(glm: Glm, rest: str) -> Reply | None:
    """Send the last request again, as it was."""
    options = parse_again_options(split_words(rest), "again")
    if options is None:
        return print(again_help("again"))
    last = _last(glm)
    ask_in_turn = ask_as_task if last.is_task else ask
    return ask_in_turn(glm, last.request, last.endpoint, last.reply.format, out=options.out)


def go_on(glm: Glm, rest: str) -> Reply | None:
    """Ask the model to go on from the text of the last reply; the two are one reply."""
    options = parse_again_options(split_words(rest), "continue")
    if options is None:
        return print(again_help("continue"))
    last = _last(glm)
    request, form = build_continuation(last), last.reply.format
    return ask(glm, request, last.endpoint, form, out=options.out, before=last)


def _last(glm: Glm) -> Exchange:
    session, _ = glm.open()
    if session.last is None:
        raise SettingsError("nothing was asked yet in this session; write a %%glm cell")
    return session.last
