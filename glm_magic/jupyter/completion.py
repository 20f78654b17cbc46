"""Tab completion on the lines of the magics."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult
from IPython.core.interactiveshell import InteractiveShell

from glm_magic.session.settings import GlmMagic

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAGIC = re.compile(r"\s*(%%?glm)\b(.*)", re.DOTALL)
_WORDS = {
    "%glm": (
        "again",
        "check",
        "config",
        "continue",
        "help",
        "limits",
        "login",
        "models",
        "task",
    ),
    "%%glm": ("embed",),
}


class GlmMatcher:
    """Completes options, their values, subcommands and setting names.

    A context matcher and not a `complete_command` hook: the hook's names are merged with
    every Python name in reach, this alone suppresses them.
    """

    matcher_api_version = 2
    matcher_identifier = "glm_magic"
    matcher_priority = 200.0

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    def register(self) -> None:
        """Add this matcher to the shell's completer."""
        self._shell.Completer.custom_matchers.append(self)

    def unregister(self) -> None:
        """Take it away again."""
        matchers = self._shell.Completer.custom_matchers
        if self in matchers:
            matchers.remove(self)

    def __call__(self, context: CompletionContext) -> SimpleMatcherResult:
        lines = context.full_text.split("\n")
        in_body = context.cursor_line > 0 and lines[0].lstrip().startswith("%%glm")
        if in_body:  # prose: no Python names
            return {"completions": [], "suppress": True}
        found = _MAGIC.fullmatch(context.text_until_cursor)
        if found is None or not found[2].startswith(" "):
            return {"completions": []}
        magic, line = found[1], found[2]
        fragment = re.split(r"[\s=]", line)[-1]
        names = [name for name in complete(magic, line) if name.startswith(fragment)]
        return {
            "completions": [SimpleCompletion(text=name, type="keyword") for name in names],
            "matched_fragment": fragment,
            "suppress": True,
            "ordered": True,
        }


def complete(magic: str, line: str) -> Iterable[str]:
    """Return what may stand at the end of `line`, the text behind `magic` up to the cursor."""
    from glm_magic.api.catalog import model_ids
    from glm_magic.jupyter.options import FORMATS, chat_option_names, embed_option_names

    words = re.split(r"[\s=]+", line)
    before, first = words[-2], words[1]
    if before in ("-m", "--model", "model", "embedding_model"):
        return model_ids()
    if before in ("--thinking", "thinking"):
        return ("on", "off")
    if before == "--format":
        return FORMATS
    if before == "web_search":
        return ("True", "False")
    if before in ("endpoint", "login"):
        return _endpoint_names()
    if re.search(r"=\S*$", line):  # a value that can be anything
        return ()
    if magic == "%glm":
        return _line_words(first) if len(words) > 2 else _WORDS[magic]
    options = embed_option_names() if first == "embed" else chat_option_names()
    return [*(_WORDS[magic] if len(words) == 2 else ()), *options]


def _line_words(first: str) -> Iterable[str]:
    """What may follow `%glm WORD`."""
    from glm_magic.jupyter.options import line_option_names

    return _setting_names() if first == "config" else line_option_names(first)


def _setting_names() -> list[str]:
    return [f"{name}=" for name in GlmMagic.setting_names()]


def _endpoint_names() -> tuple[str, ...]:
    from glm_magic.api.endpoints import NAMES

    return NAMES
