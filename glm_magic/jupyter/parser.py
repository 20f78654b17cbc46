"""The words of a magic line, read as options; every mistake is one line with the way out."""

from __future__ import annotations

import argparse
import builtins
import keyword
import math
import shlex
from collections.abc import Iterable
from typing import Any, NoReturn

from glm_magic.errors import SettingsError
from glm_magic.session.names import did_you_mean

# A fixed width: the help is read in a notebook and stored in a docstring.
_WIDTH = 96


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=_WIDTH)


class Parser(argparse.ArgumentParser):
    """A parser that raises one line and never exits.

    Args:
        prog: "%%glm" or "%glm WORD".
        examples: lines of the notebook.
    """

    def __init__(self, prog: str, description: str, examples: Iterable[str] = ()) -> None:
        lines = "\n".join(f"  {line}" for line in examples)
        super().__init__(
            prog=prog,
            description=description,
            epilog=f"Examples:\n{lines}" if lines else "",
            formatter_class=_Formatter,
            add_help=False,
            allow_abbrev=False,
        )
        self.color = False  # from Python 3.14 on; here help goes into a notebook

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        raise SettingsError(f"{message.removeprefix('argument ')} (see {self.prog} --help)")

    def known_options(self) -> list[str]:
        """Return the names of all options, short ones too."""
        return [name for action in self._actions for name in action.option_strings]

    def choices_of(self, option: str) -> tuple[str, ...]:
        """Return the values that an option takes; none if they are open."""
        found = (action for action in self._actions if option in action.option_strings)
        return tuple(map(str, next((action.choices or () for action in found), ())))


def add_help(parser: Parser) -> Parser:
    """Give a parser its `--help`, the last of its options."""
    parser.add_argument("-h", "--help", action="store_true", help="show this help, send nothing")
    return parser


def split_words(line: str) -> list[str]:
    """Return the words of a line; quotes group and are dropped, a backslash is a letter.

    Raises:
        SettingsError: a quote is not closed.
    """
    words = shlex.shlex(line, posix=True, punctuation_chars=False)
    words.whitespace_split = True
    words.commenters = ""
    words.escape = ""  # paths of Windows and TeX in a system message stay whole
    try:
        return list(words)
    except ValueError as error:
        raise SettingsError("a quote is not closed on the %glm line") from error


def parse_words(parser: Parser, words: list[str]) -> dict[str, Any] | None:
    """Return the values of all options; None when the words ask for help.

    Raises:
        SettingsError: an option is unknown or its value is wrong.
    """
    if "-h" in words or "--help" in words:
        return None
    values, rest = parser.parse_known_args(words)
    if rest:
        raise SettingsError(_unknown(parser, rest))
    options = vars(values)
    del options["help"]
    return options


def _unknown(parser: Parser, rest: list[str]) -> str:
    option = next((word for word in rest if word.startswith("-")), None)
    if option is None:
        is_cell = parser.prog.startswith("%%")
        way = (
            "the line holds options, the prompt goes below it"
            if is_cell
            else "only options go on the line"
        )
        return f"unexpected word '{rest[0]}': {way}"
    name = option.partition("=")[0]
    near = did_you_mean(name, parser.known_options())
    return f"unknown option '{name}'{near or f'; see {parser.prog} --help'}"


# -- kinds of values ---------------------------------------------------------------------------


def amount(text: str) -> float:
    """Read a number from 0 on."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return value


def count(text: str) -> int:
    """Read a whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def variable(text: str) -> str:
    """Read a name that an assignment may take without hiding something of Python's own."""
    if not text.isidentifier() or keyword.iskeyword(text) or hasattr(builtins, text):
        raise argparse.ArgumentTypeError(f"'{text}' cannot be the name of a variable")
    return text


# argparse says "invalid NAME value".
amount.__name__, count.__name__ = "number", "whole number"
