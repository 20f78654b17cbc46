"""Prompts with variables that a session keeps under a name, with the options of their line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glm_magic.errors import SettingsError
from glm_magic.session.names import did_you_mean
from glm_magic.session.prompts import parse_prompt

__all__ = ["PromptTemplate", "Templates"]

# The name of what stands in the cell that uses a template.
BODY = "body"
# Its `{{ knowledge }}` and `{{ question }}` are no variables of the notebook.
_THEIRS = "--knowledge-prompt"


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """A prompt with variables.

    Attributes:
        text: with its `{{ }}`.
        words: the options of its line, with theirs.
    """

    name: str
    text: str
    words: tuple[str, ...] = ()

    @property
    def variables(self) -> tuple[str, ...]:
        """The names that its text and its options need, in the order of their first use."""
        if self.is_raw:
            return ()
        parts = (self.text, *_filled_in(self.words))
        found = [name for part in parts for name in parse_prompt(part).variables]
        return tuple(dict.fromkeys(found))

    @property
    def is_raw(self) -> bool:
        """Whether it is sent with its `{{ }}`."""
        return "--raw" in self.words

    def fill(self, namespace: Mapping[str, Any], body: str = "") -> str:
        """Return the prompt.

        Args:
            body: stands for `{{ body }}`, or below the text where that has none.

        Raises:
            SettingsError: a variable is missing.
        """
        prompt = parse_prompt(self.text)
        if BODY in prompt.variables:
            return prompt.fill({**namespace, BODY: body})
        return _joined(prompt.fill(namespace), body)

    def join(self, body: str) -> str:
        """Return the text as it is, and the body below it."""
        return _joined(self.text, body)


def _filled_in(words: tuple[str, ...]) -> list[str]:
    """The words of a line but for what the platform fills in itself."""
    is_theirs = (word.partition("=")[0] == _THEIRS for word in words)
    follows = (False, *(word == _THEIRS for word in words))
    return [w for w, own, after in zip(words, is_theirs, follows, strict=False) if not own | after]


def _joined(text: str, body: str) -> str:
    return f"{text.rstrip()}\n\n{body}" if body.strip() else text


class Templates:
    """The templates of a session, in the order they were first kept."""

    def __init__(self) -> None:
        self._kept: dict[str, PromptTemplate] = {}

    def keep(self, template: PromptTemplate) -> None:
        """Keep a template; one of the same name is replaced.

        Raises:
            SettingsError: a `{{` of it is broken, or it is empty.
        """
        if not template.text.strip():
            raise SettingsError("the cell is empty; write the template below the %%glm line")
        _ = template.variables
        self._kept[template.name] = template

    def find(self, name: str) -> PromptTemplate:
        """Return a template by its name.

        Raises:
            SettingsError: there is none.
        """
        if name not in self._kept:
            near = did_you_mean(name, self._kept) or "; `%glm templates` lists them"
            raise SettingsError(f"no template '{name}' in this session{near}")
        return self._kept[name]

    def all(self) -> tuple[PromptTemplate, ...]:
        """Return all templates."""
        return tuple(self._kept.values())

    def names(self) -> tuple[str, ...]:
        """Return the names of all templates."""
        return tuple(self._kept)
