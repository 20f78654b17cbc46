"""The line magics on the session itself: `%glm`, `%glm config`, `%glm login`, `%glm help`."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

from glm_magic.errors import SettingsError
from glm_magic.jupyter.options import split_words

if TYPE_CHECKING:
    from glm_magic.jupyter.magics import Glm


def show_status(glm: Glm, rest: str) -> None:
    """Say where requests go, to which model, with which key."""
    session, _ = glm.open()
    endpoint = session.endpoint()
    key = session.keys.find(endpoint)
    print(f"endpoint  {endpoint.host}")
    print(f"model     {session.model(endpoint)}")
    print(f"key       {key.origin if key else 'none'}")
    print("`%glm help` shows all options, `%glm config` all settings")


def show_help(glm: Glm, rest: str) -> None:
    """Print all options and commands."""
    from glm_magic.jupyter.magics import HELP

    print(HELP)


def configure(glm: Glm, rest: str) -> None:
    """Show the settings, or set some of them."""
    from glm_magic.jupyter.show import show_settings

    pairs = dict(map(_parse_pair, split_words(rest)))
    if not pairs:
        session, _ = glm.open()
        show_settings(session.setting_rows())
        return
    glm.settings.assign(pairs)
    for name in pairs:
        print(f"{name} = {getattr(glm.settings, name)!r}")


def _parse_pair(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals:
        raise SettingsError(f"'{word}' is no NAME=VALUE; write no blanks around the =")
    return name, value


def log_in(glm: Glm, rest: str) -> None:
    """Ask for a key, unseen, and keep it in this session's memory."""
    from glm_magic.api.endpoints import NAMES

    session, _ = glm.open()
    words = split_words(rest)
    if any(word not in NAMES and "://" not in word for word in words) or len(words) > 1:
        raise SettingsError(
            "a key does not go on the line: notebooks and IPython's history keep it; run "
            "`%glm login` alone and type it when asked"
        )
    endpoint = session.login_endpoint(words[0] if words else None)
    session.keys.remember(endpoint, _ask_key(endpoint.host))
    print(f"key kept for {endpoint.host}, in this session's memory only")


def _ask_key(host: str) -> str:
    try:
        return getpass.getpass(f"API key for {host} (not shown): ")
    except Exception as error:
        # ipykernel's StdinNotImplementedError when nobody can type (nbclient, papermill).
        if type(error).__name__ != "StdinNotImplementedError":
            raise
        raise SettingsError("nobody can type here; set ZAI_API_KEY in the environment") from error
