"""The words of a magic line up to the cursor, and what the one there may be."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from glm_magic.jupyter.commands import CELL_WORDS, COMMANDS, parser_of
from glm_magic.jupyter.completion.candidates import (
    SITES,
    Candidates,
    Known,
    embedding_models,
    file_names,
    setting_values,
    values_of,
)
from glm_magic.jupyter.options import chat_parser, embed_parser
from glm_magic.jupyter.parser import Parser
from glm_magic.session.prompts import protect
from glm_magic.session.settings import GlmMagic

__all__ = ["is_chat_line", "line_candidates"]

# A word: quotes group, wherever in it they stand, and the last may still be open.
_WORD = re.compile(r"""(?:[^ \t\r\n'"]+|"[^"]*"?|'[^']*'?)+""")
_QUOTED = re.compile(r""""[^"]*"|'[^']*'""")
_QUOTE = re.compile("['\"]")
# What `%glm WORD` takes besides options: how many names of chats, and files of which kind.
_CHATS = {"history": 1, "reset": 1, "fork": 1, "export": 1}
_FILES = {"export": (".md", ".json"), "import": (".json",), "doctor": (".ipynb",)}


def is_chat_line(magic: str, line: str) -> bool:
    """Return whether a line has the options of a chat, in which `{{ }}` is filled in."""
    word = (line.split(None, 1) or [""])[0]
    return word.startswith("-") or (magic == "%%glm" and not word)


def line_candidates(magic: str, line: str, known: Known) -> Candidates:
    """Return what may stand at the end of `line`, the text behind `magic` up to the cursor.

    Raises:
        SettingsError: a `{{` is not closed.
    """
    words, typed, is_quoted = _split(line)
    first = CELL_WORDS if magic == "%%glm" else (*COMMANDS, *CELL_WORDS)
    if is_chat_line(magic, line):
        names = first if magic == "%%glm" and not words else ()
        return _Line("", words, typed, is_quoted, known).candidates(names)
    if not words:
        return Candidates(first, typed, "keyword")
    word, *rest = words
    return (
        _Line(word, rest, typed, is_quoted, known).candidates() if word in first else Candidates()
    )


def _split(line: str) -> tuple[list[str], str, bool]:
    """The whole words of a line, the one begun, and whether a quote is open in that.

    As `split_words` has them, for which every quote is closed.
    """
    protected, restore = protect(line)
    words = _WORD.findall(protected)
    begun = words.pop() if words and protected.endswith(words[-1]) else ""
    is_quoted = _QUOTE.search(_QUOTED.sub("", begun)) is not None
    return [_unquoted(restore(word)) for word in words], _unquoted(restore(begun)), is_quoted


def _unquoted(word: str) -> str:
    return _QUOTE.sub("", word)


@cache
def _parser(word: str) -> Parser:
    if not word:
        return chat_parser()
    return embed_parser() if word in CELL_WORDS else parser_of(word)


@cache
def _actions(word: str) -> dict[str, argparse.Action]:
    """What each option of a parser does; argparse has no public list of that."""
    return {name: action for action in _parser(word)._actions for name in action.option_strings}


@dataclass(frozen=True, slots=True)
class _Line:
    """What is typed behind `%glm WORD`, or behind `%%glm` where there is no word.

    Attributes:
        words: the whole ones.
        typed: the one begun, without its quotes.
    """

    word: str
    words: Sequence[str]
    typed: str
    is_quoted: bool
    known: Known

    def candidates(self, first: tuple[str, ...] = ()) -> Candidates:
        """Return what the word begun may be.

        Args:
            first: what may stand there besides.
        """
        used, plain, waiting = self._read()
        if waiting:
            return self._values(waiting, self.typed)
        name, equals, value = self.typed.partition("=")
        if self.typed.startswith("-") and equals:
            action = _actions(self.word).get(name)
            return self._values(action, value) if action and _has_value(action) else Candidates()
        if self.word == "config" and equals:
            return setting_values(name, value, self.known)
        is_option = not self.typed or self.typed.startswith("-")
        names = (*first, *self._plain(plain), *(self._options(used) if is_option else ()))
        return Candidates(names, self.typed, "keyword", is_partial=self.word in _FILES)

    def _read(self) -> tuple[list[argparse.Action], list[str], argparse.Action | None]:
        """The options given, the words that are none, and the option that waits for its value."""
        used: list[argparse.Action] = []
        plain: list[str] = []
        waiting = None
        for word in self.words:
            name, equals, _ = word.partition("=")
            action = _actions(self.word).get(name)
            if waiting:
                waiting = None
            elif action:
                used.append(action)
                waiting = action if _has_value(action) and not equals else None
            else:
                plain.append(word)
        return used, plain, waiting

    def _options(self, used: Sequence[argparse.Action]) -> Iterator[str]:
        """The options that may be given; none twice but those that gather values."""
        for name, action in _actions(self.word).items():
            if action not in used or isinstance(action, argparse._AppendAction):
                yield name

    def _values(self, action: argparse.Action, typed: str) -> Candidates:
        if action.choices:
            return Candidates(tuple(map(str, action.choices)), typed, "keyword")
        if self.word in CELL_WORDS and action.dest == "models":
            return Candidates(embedding_models(), typed, is_partial=True)
        return values_of(action.dest, typed, self.known)

    def _plain(self, plain: Sequence[str]) -> Iterator[str]:
        """The words that are no options, by how many of them are there already."""
        if self.word == "config":
            yield from _config_words(plain)
        if len(plain) < _CHATS.get(self.word, 0):
            yield from self.known.chats()
        if self.word in _FILES and len(plain) <= (self.word == "export"):
            yield from file_names(self.typed, _FILES[self.word], is_quoted=self.is_quoted)
        if not plain:
            yield from self._single()

    def _single(self) -> Sequence[str]:
        if self.word in ("login", "logout"):
            return SITES
        if self.word == "task":
            return self.known.tasks()
        return (*COMMANDS, *CELL_WORDS) if self.word == "help" else ()


def _has_value(action: argparse.Action) -> bool:
    return action.nargs != 0


def _config_words(plain: Sequence[str]) -> Sequence[str]:
    """What may follow `%glm config` and the words that are there already."""
    names = GlmMagic.setting_names()
    if plain[:1] == ["reset"]:
        return [name for name in names if name not in plain]
    if plain[:1] == ["panel"]:
        return ()
    given = {word.partition("=")[0] for word in plain}
    pairs = [f"{name}=" for name in names if name not in given]
    return pairs if plain else ["panel", "reset", *pairs]
