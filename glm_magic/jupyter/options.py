"""The options of `%%glm` and `%%glm embed`: one for each setting that a line may override."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from traitlets import Bool, Enum, List, TraitType

from glm_magic.jupyter.parser import Parser, add_help, count, parse_words, variable
from glm_magic.session.names import NAME_RULE, is_name
from glm_magic.session.options import ChatOptions, EmbedOptions
from glm_magic.session.settings import GlmMagic

# How an answer may be shown; `Reply.format`.
FORMATS = ("md", "text", "code", "json")
_EXAMPLES = (
    "%%glm",
    "%%glm -m glm-4.7 -t 0.2 -o answer",
    '%%glm -s "You are a pirate." --thinking off',
    "%%glm -c                      go on with the last chat",
    "%%glm --chat story            go on with the chat of this name",
    '%%glm --web-search --search-query "GDP China 2024 Q1"',
    "%%glm --dry-run               show the request and what it may cost",
    "%%glm --format code -x",
    "%%glm --tool weather          let the model call weather() of the notebook",
    '%%glm --schema "[name, year int]"',
)
_EMBED_EXAMPLES = (
    "%%glm embed -o e",
    "%%glm embed --dimensions 256,2048",
    "%%glm embed -m embedding-2 -m embedding-3",
    "%glm embed --in df.title -o e",
)
# Where a new group of options begins, at the setting of this name.
GROUPS = {
    "endpoint": "the model",
    "web_search": "web search",
    "chat": "chats",
    "reasoning": "what is shown",
    "cache": "the connection",
}
_METAVARS = {"model": "ID", "endpoint": "PLACE", "chat": "NAME", "search_domain": "HOST"}

Fill = Callable[[str], str]
Group = argparse._ActionsContainer  # of parsers and groups; argparse has no public name for it


def chat_parser(settings: GlmMagic | None = None, fill: Fill | None = str) -> Parser:
    """Return the parser of a `%%glm` line.

    Args:
        settings: tells which values are allowed.
        fill: gives the text of a value with its `{{ }}` filled in; None lets a value with `{{ }}`
            stand as it is.
    """
    parser = Parser(
        "%%glm",
        "Send the cell to a chat model; the answer streams in below and is the cell's value.\n"
        "`{{ expression }}` in it is filled in with a value of the notebook.",
        _EXAMPLES,
    )
    parser.usage = "%(prog)s [options]"
    _add_settings(parser, settings or GlmMagic(), fill)
    _add_asking(parser.add_argument_group("how it is asked"), fill)
    _add_tools(parser.add_argument_group("what the model may use"), fill)
    _add_answer(parser.add_argument_group("the answer"), fill)
    _add_templates(parser.add_argument_group("templates"))
    return add_help(parser)


def _add_settings(parser: Parser, settings: GlmMagic, fill: Fill | None) -> None:
    group: Group = parser
    for name, trait in settings.settings().items():
        if name in GROUPS:
            group = parser.add_argument_group(GROUPS[name])
        if "option" in trait.metadata:
            _add_setting(group, settings, fill, name, trait)


def _add_setting(
    group: Group, settings: GlmMagic, fill: Fill | None, name: str, trait: TraitType[Any, Any]
) -> None:
    """Add the option of one setting; an option that is not given leaves no value behind."""
    flags = (*trait.metadata["option"], f"--{name.replace('_', '-')}")
    words = trait.help.replace("%", "%%")
    more: dict[str, Any] = {"default": argparse.SUPPRESS, "dest": name}
    if isinstance(trait, Bool):
        more |= {"action": argparse.BooleanOptionalAction}
    elif isinstance(trait, List):
        more |= {"action": "append", "type": fill or str, "metavar": "TEXT"}
    elif isinstance(trait, Enum):
        values = [value for value in trait.values or () if value is not None]
        more |= {"choices": _Choices(values, is_lazy=fill is None), "type": fill or str}
    else:
        more |= {"type": _reader(settings, fill, name), "metavar": _metavar(name, trait)}
    group.add_argument(*flags, help=f"{words[0].lower()}{words[1:].rstrip('.')}", **more)


class _Choices(list[str]):
    """The values of an option; what is still to be filled in may become any of them."""

    def __init__(self, values: list[str], *, is_lazy: bool) -> None:
        super().__init__(values)
        self._is_lazy = is_lazy

    def __contains__(self, value: object) -> bool:
        return super().__contains__(value) or (self._is_lazy and "{{" in str(value))


def _reader(settings: GlmMagic, fill: Fill | None, name: str) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        if fill is None and "{{" in text:
            return text
        try:
            return settings.parse(name, fill(text) if fill else text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def _metavar(name: str, trait: TraitType[Any, Any]) -> str:
    return _METAVARS.get(name, "TEXT" if isinstance(trait.default_value, str) else "N")


def _add_asking(group: Group, fill: Fill | None) -> None:
    add = group.add_argument
    add(
        "-c",
        "--continue",
        action="store_true",
        dest="goes_on",
        help="go on with the chat that was used last",
    )
    add(
        "--search-query",
        type=fill or str,
        metavar="TEXT",
        help="search for this (implies --web-search)",
    )
    add("--task", action="store_true", help="submit an asynchronous task and wait for it")
    add(
        "--dry-run", action="store_true", help="show the request and what it may cost; send nothing"
    )


def _add_tools(group: Group, fill: Fill | None) -> None:
    add = group.add_argument
    add(
        "--tool",
        action="append",
        dest="tools",
        metavar="NAME",
        help="offer a function of the notebook; again for another",
    )
    add("--confirm", action="store_true", help="ask before each call of a function")
    add("--knowledge", type=fill or str, metavar="ID", help="look into this knowledge base first")
    # Its {{ knowledge }} and {{ question }} are the platform's to fill in.
    add("--knowledge-prompt", metavar="TEXT", help="how its finds and the question are put")
    add(
        "--mcp",
        action="append",
        type=_mcp_server,
        metavar="LABEL[=URL]",
        help="let the platform call a server; without a URL one of its own",
    )


def _mcp_server(text: str) -> tuple[str, str]:
    label, equals, url = text.partition("=")
    if not label.strip() or (equals and not _is_web_address(url)):
        raise argparse.ArgumentTypeError(f"'{text}' is not LABEL or LABEL=https://host/path")
    return label.strip(), url


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and url.isprintable()


def _param(fill: Fill | None) -> Callable[[str], tuple[str, str]]:
    def read(text: str) -> tuple[str, str]:
        if fill is None and "{{" in text:
            return text.partition("=")[0], "null"
        # Not at the top: loading the extension reads the options too.
        from glm_magic.session.params import parse_param

        try:
            return parse_param(fill(text) if fill else text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def _add_answer(group: Group, fill: Fill | None) -> None:
    add = group.add_argument
    add("--json", action="store_true", help="ask for JSON and show it so")
    add(
        "--schema",
        type=fill or str,
        metavar="FORM",
        help="a model, dataclass or dict of the notebook, or fields: 'name, year int'",
    )
    add(
        "--param",
        action="append",
        type=_param(fill),
        dest="params",
        metavar="NAME=JSON",
        help="send another field too, as it is; again for another",
    )
    add("-o", "--out", type=variable, metavar="NAME", help="assign the reply to a variable too")
    add("--format", choices=FORMATS, help="show it as Markdown, text, its code, or JSON")
    add(
        "-x",
        "--extract",
        action="store_true",
        help="put its first code block into the next cell (implies --format code)",
    )
    add("--no-stream", action="store_true", help="show the answer when it is whole")


def _add_templates(group: Group) -> None:
    add = group.add_argument
    add("--raw", action="store_true", help="send {{ }} as it stands")
    add("--save", type=_name, metavar="NAME", help="keep the cell as a template; send nothing")
    add("--use", type=_name, metavar="NAME", help="send this template, filled in, then the cell")
    add(
        "--def",
        type=variable,
        dest="define",
        metavar="NAME",
        help="make a function of the cell, its variables as keyword arguments",
    )


def _name(text: str) -> str:
    if not is_name(text):
        raise argparse.ArgumentTypeError(f"'{text}' is no name: {NAME_RULE}")
    return text


def embed_parser() -> Parser:
    """Return the parser of a `%%glm embed` line."""
    parser = Parser(
        "%%glm embed",
        "Embed texts and compare all of them; the value of the cell has the vectors.\n"
        "A line of the cell is a text; a line of --- makes two sets, which are compared.",
        _EMBED_EXAMPLES,
    )
    add = parser.add_argument
    add(
        "-m",
        "--model",
        action="append",
        dest="models",
        metavar="ID",
        help="embedding model; again for another, to compare them",
    )
    add(
        "--dimensions",
        action="append",
        type=_widths,
        metavar="N[,N...]",
        help="width of the vectors; several are compared",
    )
    add(
        "--in",
        dest="source",
        metavar="VAR[.COL]",
        help="texts of a list, Series, DataFrame column or dict",
    )
    add("--labels", metavar="NAMES", help="names of the texts: a variable, or a,b,c")
    add("-o", "--out", type=variable, metavar="NAME", help="assign the embeddings to a variable")
    add("--truncate", action="store_true", help="cut texts that are over the model's limit")
    add("--no-store", action="store_true", help="neither look into the store on disk nor fill it")
    add("--dry-run", action="store_true", help="show what would be sent and may cost; send nothing")
    return add_help(parser)


def _widths(text: str) -> tuple[int, ...]:
    """Read widths with commas between, each once."""
    return tuple(dict.fromkeys(count(part) for part in text.split(",")))


_widths.__name__ = "whole number"


def parse_chat_options(
    words: list[str], settings: GlmMagic | None = None, fill: Fill | None = str
) -> ChatOptions | None:
    """Return the options of a `%%glm` line; None when it asks for help.

    Args:
        settings, fill: as for `chat_parser`.

    Raises:
        SettingsError: an option is unknown or its value is wrong.
    """
    values = parse_words(chat_parser(settings, fill), words)
    if values is None:
        return None
    names = GlmMagic.setting_names()
    chosen = {name: values.pop(name) for name in names if name in values}
    for name in ("tools", "mcp", "params"):
        values[name] = tuple(values[name] or ())
    return ChatOptions(settings=chosen, **values)


def parse_embed_options(words: list[str]) -> EmbedOptions | None:
    """Return the options of a `%%glm embed` line; None when it asks for help.

    Raises:
        SettingsError: an option is unknown or its value is wrong.
    """
    values = parse_words(embed_parser(), words)
    if values is None:
        return None
    # Each once: a model's case does not matter.
    models: dict[str, str] = {}
    for model in values.pop("models") or ():
        models.setdefault(model.lower(), model)
    widths = dict.fromkeys(width for part in values.pop("dimensions") or () for width in part)
    return EmbedOptions(tuple(models.values()), tuple(widths), **values)
