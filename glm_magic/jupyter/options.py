"""The words of a magic line to options; every mistake is one line with the way out."""

from __future__ import annotations

import argparse
import builtins
import keyword
import math
import shlex
from typing import Any, NoReturn

from glm_magic.errors import SettingsError
from glm_magic.session.options import (
    AgainOptions,
    ChatOptions,
    EmbedOptions,
    LimitsOptions,
    ModelsOptions,
)
from glm_magic.session.settings import did_you_mean

# How an answer may be shown; `Reply.format`.
FORMATS = ("md", "text", "code", "json")
# A fixed width: the help is read in a notebook and stored in a docstring.
_WIDTH = 96


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=_WIDTH)


class _Parser(argparse.ArgumentParser):
    """A parser that raises one line and never exits."""

    def __init__(self, prog: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=_Formatter,
            add_help=False,
            allow_abbrev=False,
        )
        self.color = False  # from Python 3.14 on; here help goes into a notebook

    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message.removeprefix('argument ')} (see {self.prog} --help)")

    def known_options(self) -> list[str]:
        return [name for action in self._actions for name in action.option_strings]


def _parse_number(text: str, low: float, high: float) -> float:
    value = float(text)
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text} is not from {low:g} to {high:g}")
    return value


def _temperature(text: str) -> float:
    return _parse_number(text, 0, 2)


def _top_p(text: str) -> float:
    return _parse_number(text, 0, 1)


def _amount(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def _variable(text: str) -> str:
    """A name that an assignment may take without hiding something of Python's own."""
    if not text.isidentifier() or keyword.iskeyword(text) or hasattr(builtins, text):
        raise argparse.ArgumentTypeError(f"'{text}' cannot be the name of a variable")
    return text


_NAMES = {_temperature: "number", _top_p: "number", _amount: "number", _count: "whole number"}
for _type, _name in _NAMES.items():
    _type.__name__ = _name  # argparse says "invalid NAME value"


def _chat_parser() -> _Parser:
    parser = _Parser(
        "%%glm",
        "Send the cell to a chat model; the answer streams in below and is the cell's value.",
        "Examples:\n"
        "  %%glm\n"
        "  %%glm -m glm-4.7 -t 0.2 -o answer\n"
        '  %%glm -s "You are a pirate." --thinking off\n'
        '  %%glm --web-search --search-query "GDP China 2024 Q1"\n'
        "  %%glm --format code -x\n"
        "Other magics: %%glm embed, %glm again, %glm continue, %glm config, %glm help",
    )
    add = parser.add_argument
    add("-m", "--model", metavar="ID", help="model id, or the path of a .gguf file")
    add("-s", "--system", metavar="TEXT", help="system message")
    add("-t", "--temperature", type=_temperature, metavar="N", help="0 is greedy; GLM takes 0 to 1")
    add("--top-p", type=_top_p, metavar="N", help="nucleus sampling, 0.01 to 1")
    add("--max-tokens", type=_count, metavar="N", help="most tokens, reasoning included")
    add("--thinking", choices=("on", "off"), help="whether the model reasons first")
    add(
        "--web-search",
        action=argparse.BooleanOptionalAction,
        help="search the web and show the sources",
    )
    add("--search-query", metavar="TEXT", help="search for this (implies --web-search)")
    add("-o", "--out", type=_variable, metavar="NAME", help="assign the reply to a variable too")
    add("--format", choices=FORMATS, help="show it as Markdown, text, its code, or JSON")
    add(
        "-x",
        "--extract",
        action="store_true",
        help="put its first code block into the next cell (implies --format code)",
    )
    add("--no-stream", action="store_true", help="show the answer when it is whole")
    add("--task", action="store_true", help="submit an asynchronous task and wait for it")
    add("-h", "--help", action="store_true", help="show this help, send nothing")
    return parser


def _embed_parser() -> _Parser:
    parser = _Parser(
        "%%glm embed",
        "Embed each line of the cell and compare all of them; the cell's value has the vectors.",
        "Example:\n  %%glm embed -o e\n  a cat sat on the mat\n  a kitten rests on the rug",
    )
    add = parser.add_argument
    add("-m", "--model", metavar="ID", help="embedding model")
    add("--dimensions", type=_count, metavar="N", help="width of the vectors, if it can be chosen")
    add("-o", "--out", type=_variable, metavar="NAME", help="assign the embeddings to a variable")
    add("-h", "--help", action="store_true", help="show this help, send nothing")
    return parser


def _models_parser() -> _Parser:
    parser = _Parser(
        "%glm models",
        "Show the endpoint's models: context, longest answer, prices.",
        "Example:\n  %glm models -q flash",
    )
    add = parser.add_argument
    add("-q", "--query", metavar="TEXT", help="only those with this in their id")
    add("-h", "--help", action="store_true", help="show this help, send nothing")
    return parser


def _limits_parser() -> _Parser:
    parser = _Parser(
        "%glm limits",
        "Show how many requests at a time each tier has, and what was learned; sends nothing.",
        "Example:\n  %glm limits --this-month 20 --last-month 640",
    )
    add = parser.add_argument
    spent = "CNY spent this month up to yesterday; tells your tier"
    add("--this-month", type=_amount, metavar="N", help=spent)
    add("--last-month", type=_amount, metavar="N", help="CNY spent in the whole last month")
    add("-h", "--help", action="store_true", help="show this help")
    return parser


def _again_parser(word: str = "again") -> _Parser:
    parser = _Parser(f"%glm {word}", _AGAIN[word], f"Example:\n  %glm {word} -o answer")
    add = parser.add_argument
    add("-o", "--out", type=_variable, metavar="NAME", help="assign the reply to a variable too")
    add("-h", "--help", action="store_true", help="show this help, send nothing")
    return parser


_AGAIN = {
    "again": "Send the last request again, as it was.",
    "continue": "Ask the model to go on from the text of the last answer, which is not complete.",
}


def _check_parser() -> _Parser:
    parser = _Parser(
        "%glm check",
        "Check address, key, model, streaming and embeddings, with one cheap call each.",
    )
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


def parse_chat_options(words: list[str]) -> ChatOptions | None:
    """Return the options of a `%%glm` line; None when it asks for help.

    Raises:
        SettingsError: an option is unknown or its value is wrong.
    """
    values = _parse(_chat_parser(), words)
    return None if values is None else ChatOptions(**values)


def parse_embed_options(words: list[str]) -> EmbedOptions | None:
    """Return the options of a `%%glm embed` line; None when it asks for help.

    Raises:
        SettingsError: an option is unknown or its value is wrong.
    """
    values = _parse(_embed_parser(), words)
    return None if values is None else EmbedOptions(**values)


def parse_again_options(words: list[str], word: str) -> AgainOptions | None:
    """Return the options of a `%glm again` or `%glm continue` line; None when it asks for help.

    Raises:
        SettingsError: an option is unknown or its value is wrong.
    """
    values = _parse(_again_parser(word), words)
    return None if values is None else AgainOptions(**values)


def parse_models_options(words: list[str]) -> ModelsOptions | None:
    """Return the options of a `%glm models` line; None when it asks for help.

    Raises:
        SettingsError: an option is unknown or its value is wrong.
    """
    values = _parse(_models_parser(), words)
    return None if values is None else ModelsOptions(**values)


def parse_limits_options(words: list[str]) -> LimitsOptions | None:
    """Return the options of a `%glm limits` line; None when it asks for help.

    Raises:
        SettingsError: an option is unknown or its value is wrong.
    """
    values = _parse(_limits_parser(), words)
    return None if values is None else LimitsOptions(**values)


def parse_check_options(words: list[str]) -> dict[str, Any] | None:
    """Return the options of a `%glm check` line, which has none; None when it asks for help.

    Raises:
        SettingsError: there is anything else on it.
    """
    return _parse(_check_parser(), words)


def _parse(parser: _Parser, words: list[str]) -> dict[str, Any] | None:
    values, rest = parser.parse_known_args(words)
    if rest:
        raise SettingsError(_unknown(parser, rest))
    options = vars(values)
    return None if options.pop("help") else options


def _unknown(parser: _Parser, rest: list[str]) -> str:
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


def chat_help() -> str:
    """Return the help of `%%glm`."""
    return _chat_parser().format_help()


def embed_help() -> str:
    """Return the help of `%%glm embed`."""
    return _embed_parser().format_help()


def again_help(word: str) -> str:
    """Return the help of `%glm again` or `%glm continue`."""
    return _again_parser(word).format_help()


def models_help() -> str:
    """Return the help of `%glm models`."""
    return _models_parser().format_help()


def limits_help() -> str:
    """Return the help of `%glm limits`."""
    return _limits_parser().format_help()


def check_help() -> str:
    """Return the help of `%glm check`."""
    return _check_parser().format_help()


def line_option_names(word: str) -> list[str]:
    """Return the option names of `%glm WORD`, short ones too; none for a word without any."""
    parsers = {
        "again": _again_parser,
        "check": _check_parser,
        "continue": _again_parser,
        "limits": _limits_parser,
        "models": _models_parser,
    }
    return parsers[word]().known_options() if word in parsers else []


def chat_option_names() -> list[str]:
    """Return the option names of `%%glm`, short ones too."""
    return _chat_parser().known_options()


def embed_option_names() -> list[str]:
    """Return the option names of `%%glm embed`, short ones too."""
    return _embed_parser().known_options()
