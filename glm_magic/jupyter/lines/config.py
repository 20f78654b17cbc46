"""`%glm config`: the settings shown, set, taken back, or as a form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glm_magic.errors import SettingsError
from glm_magic.jupyter.views.show import is_terminal, is_watched, show_settings

if TYPE_CHECKING:
    from glm_magic.jupyter.magics import Glm


def configure(glm: Glm, words: list[str]) -> None:
    """Show the settings, set some of them, take them back, or open the form."""
    if not words:
        return _show(glm)
    if words == ["panel"]:
        return _open_panel(glm)
    if words[0] == "reset":
        return _reset(glm, words[1:])
    pairs = dict(map(_parse_pair, words))
    glm.settings.assign(pairs)
    for name in pairs:
        print(f"{name} = {getattr(glm.settings, name)!r}")
    return None


def _show(glm: Glm) -> None:
    session, _ = glm.open()
    show_settings(session.setting_rows())


def _parse_pair(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals:
        raise SettingsError(f"'{word}' is no NAME=VALUE; write no blanks around the =")
    return name, value


def _reset(glm: Glm, names: list[str]) -> None:
    for name in names:
        glm.settings.check_name(name)
    each = [glm.settings.reset(name) for name in names] if names else [glm.settings.reset()]
    changed = [name for some in each for name in some]
    for name in changed:
        print(f"{name} = {getattr(glm.settings, name)!r}")
    if not changed:
        print("nothing to take back: the session has changed none of them")


def _open_panel(glm: Glm) -> None:
    if is_terminal(glm.shell) or not is_watched(glm.shell):
        print(
            "the form needs a notebook that somebody sees; `%glm config NAME=VALUE` sets the same"
        )
        return _show(glm)
    from glm_magic.jupyter.views.panel import open_panel

    open_panel(glm)
    return None
