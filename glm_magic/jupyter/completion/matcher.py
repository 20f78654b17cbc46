"""Tab completion on the lines of the magics, and in the `{{ }}` of their prompts."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    cursor_to_position,
)
from IPython.core.interactiveshell import InteractiveShell

from glm_magic.jupyter.completion.candidates import Candidates, Known
from glm_magic.jupyter.completion.variables import Variables, expression_candidates
from glm_magic.jupyter.completion.words import is_chat_line, line_candidates
from glm_magic.session.prompts import open_expression

if TYPE_CHECKING:
    from glm_magic.session.session import Session

__all__ = ["GlmMatcher"]

# Blanks and empty lines may stand before a cell magic; `name =` before a line magic.
_CELL = re.compile(r"\s*%%glm(?!\S)([^\n]*)")
_LINE = re.compile(r"\s*(?:[^=%'\"#]+=\s*)?%glm(\s.*)")
# Nobody reads more, and more objects bring on a garbage collection of the whole session.
_LIMIT = 200


class GlmMatcher:
    """Completes whatever a line of ours takes, and variables in the prompt below it.

    A context matcher and not a `complete_command` hook: the hook's names are merged with every
    Python name in reach, this alone suppresses them. The others are not even asked, so that no
    time goes into analysing a prompt as if it were Python.

    Args:
        session: gives the open session, or None; completion never opens one.
    """

    matcher_api_version = 2
    matcher_identifier = "glm_magic"
    # The first of all: those of IPython have 0.
    matcher_priority = 200.0

    def __init__(self, shell: InteractiveShell, session: Callable[[], Session | None]) -> None:
        self._shell = shell
        self._session = session
        # IPython reads it of every matcher, also of one with an identifier; no instance has one.
        self.__qualname__ = type(self).__qualname__

    def register(self) -> None:
        """Add this matcher to the shell's completer."""
        self._shell.Completer.custom_matchers.append(self)

    def unregister(self) -> None:
        """Take it away again."""
        matchers = self._shell.Completer.custom_matchers
        if self in matchers:
            matchers.remove(self)

    def __call__(self, context: CompletionContext) -> SimpleMatcherResult:
        """Return what may stand at the cursor; of a cell that is not ours nothing."""
        try:
            found = self._find(context)
            return _ours(context, found) if found else {"completions": []}
        # Names, keys and `__dir__` are the user's; IPython would print a traceback for each Tab.
        except Exception:
            return _ours(context, Candidates())

    def _find(self, context: CompletionContext) -> Candidates | None:
        """What may stand at the cursor; None where it is not in anything of ours."""
        text = context.full_text
        if cell := _CELL.match(text):
            place = cursor_to_position(text, context.cursor_line, context.cursor_position)
            if place <= cell.start(1):
                return None
            if place > cell.end():
                return self._in_prompt(cell[1], text[cell.end() : place], _rest(context))
            return self._on_line("%%glm", text[cell.start(1) : place], _rest(context))
        line = _LINE.fullmatch(context.text_until_cursor)
        return self._on_line("%glm", line[1], _rest(context)) if line else None

    def _on_line(self, magic: str, line: str, rest: str) -> Candidates:
        variables = Variables(self._shell.user_ns, self._shell.user_ns_hidden)
        if is_chat_line(magic, line) and not _is_raw(line + rest):
            inside = open_expression(line)
            if inside is not None:
                return expression_candidates(inside, rest, variables)
        return line_candidates(magic, line, Known(variables, self._session()))

    def _in_prompt(self, line: str, text: str, rest: str) -> Candidates:
        """Prose gets no names; what `{{` begins does, where it is filled in."""
        is_filled = is_chat_line("%%glm", line) and not _is_raw(line)
        inside = open_expression(text) if is_filled else None
        if inside is None:
            return Candidates()
        variables = Variables(self._shell.user_ns, self._shell.user_ns_hidden)
        return expression_candidates(inside, rest, variables)


def _rest(context: CompletionContext) -> str:
    return context.line_with_cursor[context.cursor_position :]


def _is_raw(line: str) -> bool:
    return "--raw" in line.split()


class _Nothing(list[SimpleCompletion]):
    """No completions, which IPython takes for some: of an empty result it heeds no `suppress`.

    https://github.com/ipython/ipython/blob/9.18.1/IPython/core/completer.py (`should_suppress`)
    """

    def __len__(self) -> int:
        return 1


def _ours(context: CompletionContext, found: Candidates) -> SimpleMatcherResult:
    """The result that keeps all other matchers quiet."""
    names = found.matching(_LIMIT) if context.text_until_cursor.endswith(found.fragment) else []
    completions = [SimpleCompletion(text=name, type=found.kind) for name in names]
    return {
        "completions": completions or _Nothing(),
        "matched_fragment": found.fragment if completions else "",
        "suppress": True,
        "ordered": True,
    }
