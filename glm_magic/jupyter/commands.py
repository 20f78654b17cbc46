"""What `%glm WORD` runs: for each word a function, its arguments and the words of its help.

Functions are imported when first used; they take the shell's magics and their arguments by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from glm_magic.errors import SettingsError
from glm_magic.jupyter.options import chat_parser, embed_parser
from glm_magic.jupyter.parser import (
    Parser,
    add_help,
    amount,
    count,
    parse_words,
    split_words,
    variable,
)
from glm_magic.session.names import did_you_mean

__all__ = ["CELL_WORDS", "COMMANDS", "general_help", "help_of", "parser_of", "run_line"]

Argument = tuple[tuple[str, ...], dict[str, Any]]
CELL_WORDS = ("embed",)


def _argument(*names: str, **more: Any) -> Argument:
    return names, more


@dataclass(frozen=True, slots=True)
class Command:
    """One `%glm WORD`.

    Attributes:
        module, function: what it runs, in this room.
        usage: what follows the word, for the list of all.
        summary: what it does, in one line.
        arguments: for the parser.
        examples: lines of a notebook.
    """

    module: str
    function: str
    usage: str
    summary: str
    arguments: tuple[Argument, ...] = ()
    examples: tuple[str, ...] = ()


_OUT = _argument(
    "-o", "--out", type=variable, metavar="NAME", help="assign the reply to a variable too"
)
_CHAT = _argument("name", nargs="?", metavar="NAME", help="a chat; without it the one in use")
_YES = _argument("-y", "--yes", action="store_true", help="send it without asking")
_DRY = _argument("--dry-run", action="store_true", help="show what would be sent; send nothing")

COMMANDS = {
    "continue": Command(
        "again",
        "go_on",
        "[-o NAME]",
        "go on from the text of the last answer, where it is not complete",
        (_OUT,),
        ("%glm continue -o answer",),
    ),
    "again": Command(
        "again", "ask_again", "[-o NAME]", "send the last request again", (_OUT,), ("%glm again",)
    ),
    "config": Command(
        "config",
        "configure",
        "[NAME=VALUE ... | panel | reset [NAME]]",
        "show every setting, set some, or take them back; `panel` is a form",
        (_argument("words", nargs="*", metavar="WORD", help="NAME=VALUE, panel, reset [NAME]"),),
        (
            "%glm config",
            "%glm config model=glm-4.7 temperature=0.2",
            '%glm config stop=\'["END", "###"]\'',
            "%glm config panel",
            "%glm config reset temperature",
        ),
    ),
    "history": Command(
        "chats",
        "show_history",
        "[NAME]",
        "show the messages that a chat would send, with their tokens",
        (_CHAT,),
        examples=("%glm history", "%glm history story"),
    ),
    "chats": Command(
        "chats", "show_chats", "", "list the chats of this session", examples=("%glm chats",)
    ),
    "reset": Command(
        "chats",
        "reset_chat",
        "[NAME | --all]",
        "forget a chat, or all",
        (_CHAT, _argument("--all", action="store_true", help="forget every chat")),
        ("%glm reset story",),
    ),
    "fork": Command(
        "chats",
        "fork_chat",
        "[NAME] NEW",
        "copy a chat, to try another way on",
        (_argument("names", nargs="+", metavar="NAME", help="the chat, if not the last, and NEW"),),
        ("%glm fork story darker", "%glm fork kept              the chat that was used last"),
    ),
    "export": Command(
        "chats",
        "export_chat",
        "[NAME] FILE",
        "write a chat to a .md file to read, or a .json file to import",
        (
            _argument("words", nargs="+", metavar="WORD", help="the chat, if not the last; a file"),
            _argument("--force", action="store_true", help="replace a file that is no chat"),
        ),
        ("%glm export story.md", "%glm export story story.json"),
    ),
    "import": Command(
        "chats",
        "import_chat",
        "FILE [NAME]",
        "read a chat that was exported to a .json file",
        (
            _argument("file", metavar="FILE", help="what `%%glm export` wrote"),
            _argument("name", nargs="?", metavar="NAME", help="call it so"),
        ),
        examples=("%glm import story.json", "%glm import story.json again"),
    ),
    "templates": Command(
        "templates",
        "show_templates",
        "",
        "list what `%%glm --save` has kept",
        examples=("%glm templates",),
    ),
    "usage": Command(
        "usage",
        "show_usage",
        "",
        "tokens, searches and cost so far, by model",
        examples=("%glm usage",),
    ),
    "error": Command(
        "error",
        "explain_error",
        "[-y | --dry-run] [-o NAME]",
        "show the last exception with its cell, ask, and let the model explain it",
        (_YES, _DRY, _OUT),
        ("%glm error", "%glm error --dry-run"),
    ),
    "fix": Command(
        "error",
        "fix_error",
        "[-y | --dry-run] [-o NAME]",
        "let the model mend the cell of the last exception; it goes into the next cell",
        (_YES, _DRY, _OUT),
        examples=("%glm fix",),
    ),
    "similar": Command(
        "similar",
        "show_similar",
        "TEXT --in NAME [-k N] [-o NAME]",
        "the texts of some embeddings that are nearest to a text",
        (
            _argument("text", nargs="*", metavar="TEXT", help="it is embedded if need be"),
            _argument(
                "--in",
                dest="source",
                metavar="NAME",
                help="a variable of embeddings",
            ),
            _argument("-k", type=count, default=5, metavar="N", help="how many; 5 if not said"),
            _argument(
                "-o", "--out", type=variable, metavar="NAME", help="assign the table to a variable"
            ),
        ),
        ('%glm similar "a small feline" --in e -k 3',),
    ),
    "store": Command(
        "store",
        "show_store",
        "[--clear]",
        "the vectors that are kept on disk, so that no text is paid twice",
        (_argument("--clear", action="store_true", help="remove them all"),),
        ("%glm store", "%glm store --clear"),
    ),
    "login": Command(
        "keys",
        "log_in",
        "[ENDPOINT] [--save]",
        "type a key, unseen, for this session and one host only",
        (
            _argument("words", nargs="*", metavar="ENDPOINT", help="the site the key is for"),
            _argument("--save", action="store_true", help="keep it in the system's keyring too"),
        ),
        ("%glm login", "%glm login zai --save"),
    ),
    "logout": Command(
        "keys",
        "log_out",
        "[ENDPOINT]",
        "forget a typed key, the saved one too",
        (_argument("endpoint", nargs="?", metavar="ENDPOINT", help="the site the key is for"),),
        examples=("%glm logout", "%glm logout zai"),
    ),
    "doctor": Command(
        "keys",
        "examine",
        "[FILE]",
        "look through a notebook for text that looks like a key",
        (_argument("file", nargs="?", metavar="FILE", help="a notebook; without it this one"),),
        examples=("%glm doctor", "%glm doctor lecture.ipynb"),
    ),
    "models": Command(
        "models",
        "show_models",
        "[-q TEXT]",
        "the endpoint's models: context, longest answer, prices",
        (_argument("-q", "--query", metavar="TEXT", help="only those with this in their id"),),
        ("%glm models -q flash",),
    ),
    "limits": Command(
        "limits",
        "show_limits",
        "[--this-month N] [--last-month N]",
        "how many requests at a time, by tier; the tier of a spend in CNY",
        (
            _argument("--this-month", type=amount, metavar="N", help="CNY spent up to yesterday"),
            _argument(
                "--last-month", type=amount, metavar="N", help="CNY spent in all of last month"
            ),
        ),
        ("%glm limits --this-month 20 --last-month 640",),
    ),
    "check": Command(
        "check",
        "check_endpoint",
        "",
        "whether key, model, streaming and embeddings work",
        examples=("%glm check",),
    ),
    "task": Command(
        "tasks",
        "show_tasks",
        "[ID]",
        "the asynchronous tasks of this session, or one of them",
        (_argument("task", nargs="?", metavar="ID", help="wait for this one and show it"),),
        examples=("%glm task", "%glm task 8353992878127"),
    ),
    "help": Command(
        "help",
        "show_help",
        "[WORD]",
        "this text, or the options of one of these",
        (_argument("word", nargs="?", metavar="WORD", help="one of these, or embed"),),
        examples=("%glm help", "%glm help config"),
    ),
}


def parser_of(word: str) -> Parser:
    """Return the parser of `%glm WORD`."""
    command = COMMANDS[word]
    summary = f"{command.summary[0].upper()}{command.summary[1:]}."
    parser = Parser(f"%glm {word}", summary, command.examples)
    for names, more in command.arguments:
        parser.add_argument(*names, **more)
    return add_help(parser)


def run_line(glm: Any, line: str) -> Any:
    """Run what stands behind `%glm`; without a word that is the card.

    Raises:
        SettingsError: a word or an option is unknown, or its value is wrong.
    """
    word, _, rest = line.strip().partition(" ")
    if not word:
        return _function("card", "show_card")(glm)
    if word in ("-h", "--help"):
        word, rest = "help", ""
    if word not in COMMANDS:
        raise SettingsError(unknown_word(word))
    values = parse_words(parser_of(word), split_words(rest))
    if values is None:
        return print(help_of(word))
    command = COMMANDS[word]
    return _function(command.module, command.function)(glm, **values)


def _function(module: str, name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(import_module(f"glm_magic.jupyter.lines.{module}"), name)
    return function


def unknown_word(word: str) -> str:
    """Return the line for a word that nobody knows, with the nearest that somebody does."""
    known = did_you_mean(word, (*COMMANDS, *CELL_WORDS))
    hint = known or "; the line holds options, the prompt goes below it"
    return f"unknown word '{word}' after glm{hint}"


def help_of(word: str) -> str:
    """Return the help of one word.

    Raises:
        SettingsError: the word is unknown.
    """
    if word in CELL_WORDS:
        return embed_parser().format_help()
    if word not in COMMANDS:
        raise SettingsError(unknown_word(word))
    return parser_of(word).format_help()


def general_help() -> str:
    """Return the help of `%%glm` and the list of all words."""
    lines = "\n".join(_list_line(word, command) for word, command in COMMANDS.items())
    return (
        f"{chat_parser().format_help()}\n{embed_parser().format_help()}\n"
        f"{'%glm':<31}endpoint, model, key, chat, tokens and cost so far\n{lines}"
    )


def _list_line(word: str, command: Command) -> str:
    start = f"%glm {word} {command.usage}".rstrip()
    gap = "\n" + " " * 31 if len(start) > 30 else " " * (31 - len(start))
    return f"{start}{gap}{command.summary}"
