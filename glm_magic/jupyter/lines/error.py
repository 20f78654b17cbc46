"""`%glm error` and `%glm fix`: the last exception explained, or its cell mended.

Its text goes to another machine only after it was shown word for word and somebody said yes.
"""

from __future__ import annotations

import linecache
import os
import re
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from IPython.core.error import StdinNotImplementedError
from IPython.display import display

from glm_magic.api.tokens import estimate_messages
from glm_magic.errors import GlmError, SettingsError, Stopped
from glm_magic.jupyter.chat import ask, extract
from glm_magic.jupyter.question import says_yes
from glm_magic.jupyter.views.bundles import Bundle
from glm_magic.jupyter.views.show import is_terminal, is_watched
from glm_magic.render.clean import clean_text
from glm_magic.render.failure import Preview, render_preview, render_preview_plain
from glm_magic.session.asking import build_exchange
from glm_magic.session.failure import Cell, build_cell, build_error_prompt, describe_failure
from glm_magic.session.leaks import redact
from glm_magic.session.options import ChatOptions

if TYPE_CHECKING:
    from glm_magic.api.reply import Reply
    from glm_magic.jupyter.magics import Glm
    from glm_magic.session.exchange import Exchange
    from glm_magic.session.session import Session

__all__ = ["explain_error", "fix_error"]

Word = Literal["error", "fix"]
# An error of ours carries here what it was about, for IPython takes it for the last exception.
_SUBJECT = "_glm_subject"
_NOT_SENT = "glm: nothing was sent"
_NOBODY_TYPES = "glm: nothing was sent; %glm {} -y sends it"


def explain_error(glm: Glm, *, yes: bool, dry_run: bool, out: str | None) -> Reply | None:
    """Show the last exception with its cell, ask, and let the model explain it.

    Args:
        yes: send it without asking.
        dry_run: show it, send nothing.

    Raises:
        SettingsError: there is no exception, or no key; nothing was sent.
    """
    return _ask_about_last(glm, "error", yes=yes, dry_run=dry_run, out=out)


def fix_error(glm: Glm, *, yes: bool, dry_run: bool, out: str | None) -> Reply | None:
    """Do the same for the cell mended, and put it into the next cell; nothing runs it.

    Raises:
        SettingsError: there is no exception, it came from no cell, or there is no key; nothing
            was sent.
    """
    reply = _ask_about_last(glm, "fix", yes=yes, dry_run=dry_run, out=out)
    if reply is not None:
        extract(glm, reply)
    return reply


def _ask_about_last(
    glm: Glm, word: Word, *, yes: bool, dry_run: bool, out: str | None
) -> Reply | None:
    value = _last_error(glm)
    try:
        if value is None:
            raise SettingsError("no exception yet in this session")
        if isinstance(value, (GlmError, Stopped)):
            return print(f"glm: the last error was glm's own, it says all there is: {value}")
        exchange = _build_exchange(glm, value, word, is_dry=dry_run)
        if _is_wanted(glm, exchange, word, yes=yes, dry_run=dry_run):
            return ask(glm, exchange, out=out)
    except BaseException as error:
        vars(error)[_SUBJECT] = value
        raise
    return None


def _last_error(glm: Glm) -> BaseException | None:
    """The last exception of this session that did not come from here.

    A line of ours with a slip in it does not stand before the exception it was meant for.
    """
    # IPython sets this name in all versions of Python; `sys.last_exc` is of 3.12.
    last: BaseException | None = getattr(sys, "last_value", None)
    # Of an interrupt at the question the magic makes a `Stopped` of its own.
    for error in (last, last.__context__ if isinstance(last, Stopped) else None):
        if error is not None and _SUBJECT in vars(error):
            subject: BaseException | None = vars(error)[_SUBJECT]
            return subject
    return glm.last_error if isinstance(last, SettingsError) and glm.last_error else last


# -- what is asked -------------------------------------------------------------------------------


def _build_exchange(glm: Glm, value: BaseException, word: Word, *, is_dry: bool) -> Exchange:
    session, _ = glm.open()
    settings = session.settings.over({})
    endpoint = glm.endpoint(settings, is_dry=is_dry)
    if not is_dry:
        session.keys.find(endpoint)  # before anybody is asked
    prompt = _build_prompt(glm, session, value, word)
    options = ChatOptions(format="code" if word == "fix" else None)
    # By itself, in a chat without a name: `-c` can go on with it.
    place = session.chats.place(glm.turn_key(is_dry=is_dry))
    return build_exchange(
        session, prompt, options, settings=settings, endpoint=endpoint, place=place
    )


def _build_prompt(glm: Glm, session: Session, value: BaseException, word: Word) -> str:
    clean = _cleaner(session)
    find_cell = partial(_find_cell, glm.shell)
    failure = describe_failure(value, find_cell, clean=clean, hidden=_machinery())
    if word == "fix" and not failure.cells:
        raise SettingsError("the last exception came from no cell; `%glm error` explains it")
    return clean(build_error_prompt(failure, mend=word == "fix"))


def _cleaner(session: Session) -> Callable[[str], str]:
    """What takes keys, controls and the user's name in paths out of a text."""
    known = session.keys.known()
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
    folder = re.compile(rf"{re.escape(home)}(?=[\\/])") if len(home) > 1 else None

    def clean(text: str) -> str:
        cleaned = redact(clean_text(text), known=known)
        return folder.sub("~", cleaned) if folder else cleaned

    return clean


def _find_cell(shell: Any, file_name: str) -> Cell | None:
    """The cell that IPython has compiled under a name."""
    named = shell.compile.format_code_name(file_name)
    if not named:
        return None
    label, compiled = str(named[1]), linecache.getlines(file_name)  # "In[3]"
    typed = _typed(shell.history_manager, int(label[3:-1]), "".join(compiled))
    return build_cell(label, typed, compiled)


def _typed(history: Any, number: int, code: str) -> str:
    """A cell as it was typed; the code itself where the history has another under its number."""
    inputs = history.input_hist_parsed
    if number < len(inputs) and inputs[number].rstrip("\n") == code.rstrip("\n"):
        return str(history.input_hist_raw[number])
    return code


def _machinery() -> tuple[str, ...]:
    """The folders of what runs a cell, each with a slash at its end."""
    specs = (find_spec(name) for name in ("IPython", "ipykernel"))
    folders = [f for spec in specs if spec for f in spec.submodule_search_locations or ()]
    return tuple(os.path.join(folder, "") for folder in folders)  # noqa: PTH118 - the slash


# -- whether it is sent --------------------------------------------------------------------------


def _is_wanted(glm: Glm, exchange: Exchange, word: Word, *, yes: bool, dry_run: bool) -> bool:
    """Show what would be sent; return whether it is to be."""
    is_free = (yes or exchange.endpoint.is_local) and not dry_run
    asks = not is_free and not dry_run and is_watched(glm.shell)
    shown: Any = display(_bundle(exchange, is_open=asks or dry_run), raw=True, display_id=True)
    if asks and _says_yes(exchange.endpoint.host, word):
        _fold(glm, shown, exchange)
        return True
    if not asks and not is_free:
        print(_NOT_SENT if dry_run else _NOBODY_TYPES.format(word))
    return is_free


def _fold(glm: Glm, shown: Any, exchange: Exchange) -> None:
    # A terminal cannot take back what it has printed.
    if not is_terminal(glm.shell):
        shown.update(_bundle(exchange, is_open=False), raw=True)


def _bundle(exchange: Exchange, *, is_open: bool) -> Bundle:
    messages = exchange.request.messages
    preview = Preview(
        exchange.request.model,
        exchange.endpoint.host,
        estimate_messages(messages),
        tuple((message.role, message.content) for message in messages),
    )
    html = render_preview(preview, is_open=is_open)
    return {"text/html": html, "text/plain": render_preview_plain(preview)}


def _says_yes(host: str, word: Word) -> bool:
    try:
        is_wanted = says_yes(f"Send this to {host}?")
    except (EOFError, StdinNotImplementedError):
        print(_NOBODY_TYPES.format(word))
        return False
    if not is_wanted:
        print(_NOT_SENT)
    return is_wanted
