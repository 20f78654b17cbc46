"""Source code to HTML with the classes of Pygments, which the front end's theme colours.

JupyterLab, Notebook 7 and nbconvert bring a style sheet for these classes, in the variables of
their themes; where there is none, the code is plain and as readable. Nothing stands in the
block but the code: no line numbers, no prompts, so a copy of it runs.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

from glm_magic.render.clean import escape_tags

if TYPE_CHECKING:
    from pygments.lexer import Lexer

__all__ = ["LANGUAGE", "draw_code_block", "is_code_class", "is_coloured"]

LANGUAGE = re.compile(r"[A-Za-z0-9_+#.-]{1,30}")

# Pygments has over 500 lexers, of every quality. The names are those that models write behind a
# fence. Left out are ini, make and pycon: a single match of theirs may take over 100 ms.
_LEXERS = {
    "bash": "bash sh shell zsh shellscript",
    "c": "c",
    "cpp": "cpp c++ cc cxx",
    "csharp": "csharp c# cs",
    "css": "css",
    "diff": "diff patch",
    "docker": "docker dockerfile",
    "go": "go golang",
    "html": "html",
    "java": "java",
    "javascript": "javascript js jsx mjs node",
    "json": "json jsonc",
    "julia": "julia jl",
    "kotlin": "kotlin kt",
    "lua": "lua",
    "python": "python py python3 py3 ipython",
    "r": "r",
    "ruby": "ruby rb",
    "rust": "rust rs",
    "scala": "scala",
    "sql": "sql",
    "swift": "swift",
    "tex": "tex latex",
    "toml": "toml",
    "typescript": "typescript ts tsx",
    "xml": "xml svg",
    "yaml": "yaml yml",
}
_NAMES = {name: lexer for lexer, names in _LEXERS.items() for name in names.split()}

# About 400 lines. Colours cost far more than text, in time and in bytes.
_COLOURED_CHARACTERS = 16_000
# Lexers are regular expressions: for honest code they take some 4 µs a character, for code made
# for it, time that grows with the square of its length (C: 0.6 s for 4,000 line feeds).
_SECONDS_A_CHARACTER = 25e-6
_LEAST_SECONDS = 0.01
# Plain names, blanks and brackets: most of all code, and no theme gives them a colour.
_UNCOLOURED = frozenset({"", "n", "p", "w", "esc", "x"})


def draw_code_block(code: str, language: str = "", *, coloured: bool = True) -> str:
    """Return `code` as a block; coloured if its language is known and it is not too long.

    Args:
        code: cleaned, not escaped.
        language: as written behind the fence; any text.
        coloured: False where time matters more, as for what is drawn many times a second.
    """
    kind = f' class="language-{language}"' if LANGUAGE.fullmatch(language) else ""
    coloured = coloured and len(code) <= _COLOURED_CHARACTERS
    lexer = _lexer(language.lower()) if coloured else None
    drawn = _coloured(code, lexer) if lexer else None
    return f'<pre class="highlight"><code{kind}>{drawn or escape_tags(code)}</code></pre>\n'


def is_coloured(code: str, language: str) -> bool:
    """Return whether a block of this code has colours: a known language, lexed in time."""
    lexer = _lexer(language.lower()) if len(code) <= _COLOURED_CHARACTERS else None
    return lexer is not None and _coloured(code, lexer) is not None


def is_code_class(tag: str, value: str) -> bool:
    """Return whether a class is one that this module gives to a tag of this name."""
    if tag == "code":
        return bool(_LANGUAGE_CLASS.fullmatch(value))
    return value == "highlight" if tag == "pre" else tag == "span" and value in _token_classes()


_LANGUAGE_CLASS = re.compile(rf"language-{LANGUAGE.pattern}")


@cache
def _token_classes() -> frozenset[str]:
    from pygments.token import STANDARD_TYPES

    return frozenset(STANDARD_TYPES.values()) - _UNCOLOURED


@cache
def _lexer(language: str) -> Lexer | None:
    if language not in _NAMES:
        return None
    from pygments.lexers import get_lexer_by_name

    # As written: not a line feed more or less.
    return get_lexer_by_name(_NAMES[language], stripnl=False, ensurenl=False)


# Remembered, so that a block looks the same as often as it is drawn.
@lru_cache(maxsize=512)
def _coloured(code: str, lexer: Lexer) -> str | None:
    """Return the code with its classes; None if that takes out of all proportion long."""
    spans: list[str] = []
    for kind, texts in groupby(_tokens(code, lexer), key=lambda piece: piece[0]):
        spans.append(_span(kind, "".join(text for _, text in texts)))
        if kind == _LATE:
            return None
    return "".join(spans)


_LATE = "late"


def _tokens(code: str, lexer: Lexer) -> Iterator[tuple[str, str]]:
    """Yield class and text; unlike `get_tokens`, which cleans in its own way, all of the text."""
    end = time.thread_time() + max(_LEAST_SECONDS, _SECONDS_A_CHARACTER * len(code))
    tokens: Any = lexer.get_tokens_unprocessed(code)
    for _, kind, text in tokens:
        yield _class_of(kind), text
        if time.thread_time() > end:
            yield _LATE, ""
            return


@cache
def _class_of(kind: Any) -> str:
    from pygments.token import STANDARD_TYPES

    while kind not in STANDARD_TYPES:  # a subtype that a lexer made up
        kind = kind.parent
    name = STANDARD_TYPES[kind]
    return "" if name in _UNCOLOURED else name


def _span(kind: str, text: str) -> str:
    return f'<span class="{kind}">{escape_tags(text)}</span>' if kind else escape_tags(text)
