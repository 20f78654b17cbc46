"""Keys: `%glm login`, `%glm logout`, `%glm doctor`, and no key on a magic line."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from glm_magic.errors import SettingsError
from glm_magic.jupyter.parser import split_words
from glm_magic.session.leaks import looks_like_key

# `magics` imports this file when the extension loads, hence nothing heavy above.
if TYPE_CHECKING:
    from glm_magic.jupyter.magics import Glm
    from glm_magic.secret import Secret
    from glm_magic.session.doctor import Examination

__all__ = ["examination_of", "examine", "log_in", "log_out", "refuse_keys"]

_NOT_HERE = (
    "a key does not go on a magic line: notebooks and IPython's history keep it; run "
    "`%glm login` and type it when asked"
)
_REVOKE = "; this one is in the history now: revoke it on the platform's keys page"
_KEY_NAMES = frozenset(("key", "api_key", "apikey", "token", "secret", "password"))


# -- on a line -----------------------------------------------------------------------------------


def refuse_keys(line: str) -> None:
    """Raise for a magic line with a key on it, or with an option or a setting for one.

    Raises:
        SettingsError: a word looks like a key; or one such as `--api-key` or `token=` has a
            value. The message does not repeat it.
    """
    words = _words(line)
    if looks_like_key(line) or any(map(looks_like_key, words)):
        raise SettingsError(_NOT_HERE + _REVOKE)
    if any(map(_names_key, ["", *words], words, [*words[1:], ""])):
        raise SettingsError(_NOT_HERE)


def _words(line: str) -> list[str]:
    try:
        return split_words(line)
    except SettingsError:  # whoever reads the line will say so
        return line.split()


def _names_key(before: str, word: str, after: str) -> bool:
    """Whether a word names a key and has a value, or the next word is its value."""
    name, equals, value = word.partition("=")
    if name.lstrip("-").replace("-", "_").lower() not in _KEY_NAMES:
        return False
    if word.startswith("-"):
        return bool(value) if equals else bool(after) and not after.startswith("-")
    # What follows an option is its value: a text that may be of keys.
    return bool(value) and not before.startswith("-")


# -- login and logout ----------------------------------------------------------------------------


def log_in(glm: Glm, words: list[str], *, save: bool) -> None:
    """Ask for a key, unseen; keep it in this session's memory, and in the keyring if asked.

    Args:
        words: the endpoint that the key is for, if it is not the one in use.

    Raises:
        SettingsError: the words are no endpoint; what was typed is no key; or it was not saved.
    """
    from glm_magic.api.endpoints import NAMES

    session, _ = glm.open()
    if any(word not in NAMES and "://" not in word for word in words) or len(words) > 1:
        raise SettingsError(_NOT_HERE)
    endpoint = session.login_endpoint(words[0] if words else None)
    session.keys.remember(endpoint, _ask_key(endpoint.host), save=save)
    place = f"and saved in: {session.keys.where_saved()}" if save else "only"
    print(f"key kept for {endpoint.host}, in this session's memory {place}")


def _ask_key(host: str) -> str:
    try:
        return getpass.getpass(f"API key for {host} (not shown): ")
    except Exception as error:
        # ipykernel's StdinNotImplementedError when nobody can type (nbclient, papermill).
        if type(error).__name__ != "StdinNotImplementedError":
            raise
        raise SettingsError("nobody can type here; set ZAI_API_KEY in the environment") from error


def log_out(glm: Glm, endpoint: str | None) -> None:
    """Forget the key typed for an endpoint, and remove the one saved for it.

    Args:
        endpoint: a name or a URL; None is the endpoint that `%glm login` would ask for.

    Raises:
        SettingsError: it is no endpoint; or the saved key could not be removed.
    """
    session, _ = glm.open()
    place = session.login_endpoint(endpoint)
    removed = session.keys.forget(place)
    origins = {"%glm login": "the one typed", "keyring": "the one saved"}
    found = " and ".join(origins[origin] for origin in removed)
    print(f"key for {place.host} forgotten: {found}" if found else f"no key kept for {place.host}")
    if variable := session.keys.variable_for(place):
        print(f"{variable} in the environment is still a key for it")


# -- doctor --------------------------------------------------------------------------------------


def examine(glm: Glm, file: str | None) -> None:
    """Show where a saved notebook holds what looks like a key.

    Raises:
        SettingsError: as `examination_of`.
    """
    from glm_magic.jupyter.views.show import show_table
    from glm_magic.render.doctor import render_doctor, render_doctor_plain

    examination = examination_of(glm, file)
    show_table(render_doctor(examination), render_doctor_plain(examination))


def examination_of(glm: Glm, file: str | None) -> Examination:
    """Return what looks like a key in a saved notebook, or in the open one and this session.

    Args:
        file: path of the notebook; None is the open one, and this session's inputs with it.

    Raises:
        SettingsError: there is no such notebook, or the kernel does not know which is open.
    """
    from glm_magic.session.doctor import examine_notebook

    session, _ = glm.open()
    known = session.keys.known()
    if file:
        return examine_notebook(Path(file).expanduser(), known)
    examination = examine_notebook(_open_notebook(glm), known)
    return _with_inputs(examination, glm.shell.user_ns.get("In", ()), known)


def _with_inputs(
    examination: Examination, inputs: Sequence[str], known: Sequence[Secret]
) -> Examination:
    from glm_magic.session.doctor import examine_inputs

    found = (*examination.findings, *examine_inputs(inputs, known))
    # IPython begins with an empty one, so that In[1] is the first.
    return replace(examination, findings=found, inputs=max(0, len(inputs) - 1))


def _open_notebook(glm: Glm) -> Path:
    """The notebook of this kernel, as the server or the editor that started it has named it."""
    variables = glm.shell.user_ns
    names = (
        os.environ.get("JPY_SESSION_NAME"),
        variables.get("__vsc_ipynb_file__"),
        variables.get("__session__"),
    )
    named = [name for name in names if isinstance(name, str) and name.endswith(".ipynb")]
    found = next((path for name in named for path in _paths(name) if path.is_file()), None)
    if found is None:
        raise SettingsError("which notebook? this kernel does not know; name it: %glm doctor FILE")
    return found


def _paths(name: str) -> Iterator[Path]:
    """Where a notebook may be: named from the server's root, it is in or above this folder."""
    here = Path.cwd()
    # "RTC:" is what the server's collaboration puts before a path.
    path = Path(name.removeprefix("RTC:"))
    yield from (folder / path for folder in (here, *here.parents))
    yield here / path.name
