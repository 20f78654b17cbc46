"""What may stand for one word of a magic line: names of models, chats, variables, files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from glm_magic.api.catalog import model_ids
from glm_magic.api.endpoints import NAMES
from glm_magic.api.tables import tables_in_use
from glm_magic.session.settings import GlmMagic
from glm_magic.session.texts import choices_of

if TYPE_CHECKING:
    from glm_magic.jupyter.completion.variables import Variables
    from glm_magic.session.session import Session

__all__ = [
    "SITES",
    "Candidates",
    "Known",
    "embedding_models",
    "file_names",
    "setting_values",
    "values_of",
]

# Those that a key is for.
SITES = tuple(name for name in NAMES if name not in ("auto", "local"))
# Of a folder with more, some are not offered: Tab does not wait for a slow disk.
_LIMIT_ENTRIES = 2000


@dataclass(frozen=True, slots=True)
class Candidates:
    """What may stand at one place.

    Attributes:
        names: all of it, also what does not begin as typed.
        fragment: what is typed of it so far, which a name replaces.
        kind: what front ends show beside the names: "keyword", "instance", "function".
        is_partial: whether a part from the middle of a name, in any case, stands for it.
    """

    names: Iterable[str] = ()
    fragment: str = ""
    kind: str = "instance"
    is_partial: bool = False

    def matching(self, limit: int) -> list[str]:
        """Return the names that begin as typed; if none does, those with it in the middle."""
        names = tuple(dict.fromkeys(self.names))
        found = [name for name in names if name.startswith(self.fragment)]
        if not found and self.is_partial:
            part = self.fragment.lower()
            found = [name for name in names if part in name.lower()]
        return found[:limit]


@dataclass(frozen=True, slots=True)
class Known:
    """Where the names of this notebook come from.

    Attributes:
        session: None before the first request.
    """

    variables: Variables
    session: Session | None

    def chats(self) -> Sequence[str]:
        """Return the names of the chats."""
        return self.session.chats.names() if self.session else ()

    def templates(self) -> Sequence[str]:
        """Return the names of the templates."""
        return self.session.templates.names() if self.session else ()

    def tasks(self) -> Sequence[str]:
        """Return the ids of the tasks, the newest first."""
        return [row.id for row in reversed(self.session.tasks.rows())] if self.session else ()

    def assignable(self) -> Sequence[str]:
        """Return the names that an answer may be assigned to."""
        return self.variables.assignable()


def values_of(option: str, typed: str, known: Known) -> Candidates:
    """Return the values of an option of the chat line that has no choices of its own.

    Args:
        option: what its value is called, such as "out" or the name of a setting.
    """
    if option in ("source", "labels"):
        return Candidates(known.variables.sources(typed), typed)
    if source := _OPTIONS.get(option):
        return Candidates(source(known), typed)
    return setting_values(option, typed, known)


def setting_values(name: str, typed: str, known: Known) -> Candidates:
    """Return the values of a setting; none where it can be anything, or is not there."""
    if name == "model":
        return Candidates([*_chat_models(), *file_names(typed, (".gguf",))], typed, is_partial=True)
    if name == "embedding_model":
        return Candidates(embedding_models(), typed, is_partial=True)
    if name == "catalog":
        return Candidates(file_names(typed, ()), typed)
    if name == "store":
        return Candidates(["auto", "off", *file_names(typed, (".sqlite",))], typed)
    if source := _SETTINGS.get(name):
        return Candidates(source(known), typed)
    trait = GlmMagic.settings().get(name)
    return Candidates(choices_of(trait) if trait else (), typed, "keyword")


def _chat_models() -> list[str]:
    return [name for name in model_ids() if not _embeds(name)]


def embedding_models() -> list[str]:
    """Return the ids of the known models that embed."""
    return [name for name in model_ids() if _embeds(name)]


def _embeds(model: str) -> bool:
    return "embedding" in model.lower()


def _engines() -> tuple[str, ...]:
    return ("auto", *dict.fromkeys(engine for engine, _ in tables_in_use().searches))


_OPTIONS: Mapping[str, Callable[[Known], Sequence[str]]] = {
    "out": Known.assignable,
    "define": Known.assignable,
    "save": Known.templates,
    "tools": lambda known: known.variables.functions(),
    "schema": lambda known: known.variables.schemas(),
    "use": Known.templates,
}
_SETTINGS: Mapping[str, Callable[[Known], Sequence[str]]] = {
    "endpoint": lambda _: NAMES,
    "chat": Known.chats,
    "search_engine": lambda _: _engines(),
}


# -- files -------------------------------------------------------------------------------------


def file_names(typed: str, suffixes: tuple[str, ...], *, is_quoted: bool = False) -> list[str]:
    """Return the files with one of the suffixes in the folder typed so far, and its folders.

    Args:
        is_quoted: whether a quote is open; names with blanks get their own otherwise.
    """
    cut = max(typed.rfind(mark) for mark in ("/", os.sep)) + 1
    place, begun = typed[:cut], typed[cut:]
    try:
        names = sorted(_entries(Path(place or ".").expanduser(), suffixes))
    except (OSError, RuntimeError, ValueError):  # no such folder, or home, or no path at all
        return []
    shown = (place + name for name in names if begun.startswith(".") or not name.startswith("."))
    plain = (name for name in shown if name.isprintable() and not {"'", '"'} & set(name))
    return [f'"{name}"' if " " in name and not is_quoted else name for name in plain]


def _entries(folder: Path, suffixes: tuple[str, ...]) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in islice(entries, _LIMIT_ENTRIES):
            if entry.is_dir():
                yield f"{entry.name}/"
            elif suffixes and entry.name.lower().endswith(suffixes):
                yield entry.name
