"""The `{{ expression }}` in a prompt: Jinja2's expressions, over the notebook's variables.

The rest of Jinja is not spoken: `{% %}`, `{# #}` and every other brace are text like any other.
What an expression may hold: https://jinja.palletsprojects.com/en/stable/templates/#expressions
"""

from __future__ import annotations

import builtins
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from glm_magic.api.line import short
from glm_magic.errors import SettingsError
from glm_magic.session.names import did_you_mean
from glm_magic.session.values import to_prompt_text

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = [
    "Expression",
    "Template",
    "fill_prompt",
    "open_expression",
    "parse_prompt",
    "protect",
]

_SHOWN_CHARACTERS = 60
_REASON_CHARACTERS = 200
_WAY_OUT = "`--raw` sends it as it is"

# Braces, and quoted text in one piece, as Jinja's lexer reads it. Brackets need no look: no `}}`
# stands in them but in braces or quotes. An open quote takes all that follows, and no part of a
# match is given up again (the `+` after `*`), so that hostile text takes linear time too.
_MARK = re.compile(r"""'(?:[^'\\]|\\.)*+'?|"(?:[^"\\]|\\.)*+"?|[{}]""", re.DOTALL)

# From the private use area: neither a blank nor a quote to any splitter, and next to never typed.
_PLACE = "\ue000"
_PLACES = re.compile(f"{_PLACE}[0-9]*{_PLACE}")


@dataclass(frozen=True, slots=True)
class Expression:
    """One `{{ expression }}`, compiled.

    Attributes:
        source: what stands between the braces, without the blanks around it.
        names: all names it reads, builtins too, in order of first use.
        evaluate: gives its value for values of these names.
    """

    source: str
    names: tuple[str, ...]
    evaluate: Callable[[Mapping[str, Any]], object] = field(repr=False, compare=False)

    def fill(self, namespace: Mapping[str, Any]) -> str:
        """Return the text of its value.

        Raises:
            SettingsError: it raised an exception, or its value has no text.
        """
        try:
            value = self.evaluate(self._values(namespace))
            if kind := _senseless(value):
                raise TypeError(f"it is {kind}, which says nothing to a model")
            return to_prompt_text(value)
        # The user's own code runs here: whatever it raises is the prompt's failure.
        except Exception as error:
            raise SettingsError(f"{_shown(self.source)} failed: {_reason(error)}") from error

    def _values(self, namespace: Mapping[str, Any]) -> dict[str, Any]:
        known = (vars(builtins), namespace)
        return {name: names[name] for names in known for name in self.names if name in names}


# What has no text of its own, and what it is mostly a slip for.
_SENSELESS = (
    (inspect.isroutine, "a function; call it with ()"),
    (inspect.isclass, "a class"),
    (inspect.ismodule, "a module"),
    (inspect.isgenerator, "a generator; make it a list"),
    (inspect.isawaitable, "not awaited"),
)


def _senseless(value: object) -> str:
    return next((words for is_one, words in _SENSELESS if is_one(value)), "")


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt in parts: text as typed, and expressions."""

    parts: tuple[str | Expression, ...]

    @property
    def variables(self) -> tuple[str, ...]:
        """The names to fill in, in order of first use; no builtins of Python or Jinja."""
        names = (name for expression in self._expressions() for name in expression.names)
        return tuple(name for name in dict.fromkeys(names) if not _is_builtin(name))

    def fill(self, namespace: Mapping[str, Any]) -> str:
        """Return the prompt with the text of each value in place of its expression.

        Values are not looked through for expressions of their own. Variables hide builtins.

        Raises:
            SettingsError: a name is unknown, and nothing was evaluated; or an expression failed,
                and those behind it were not evaluated.
        """
        for expression in self._expressions():
            _refuse_unknown(expression, namespace)
        texts = (p if isinstance(p, str) else p.fill(namespace) for p in self.parts)
        return "".join(texts)

    def _expressions(self) -> Iterator[Expression]:
        return (part for part in self.parts if isinstance(part, Expression))


def fill_prompt(text: str, namespace: Mapping[str, Any]) -> str:
    """Return a prompt with its expressions filled in; see `parse_prompt` and `Template.fill`."""
    return parse_prompt(text).fill(namespace)


def parse_prompt(text: str) -> Template:
    """Return the parts of a prompt; nothing is evaluated.

    Raises:
        SettingsError: a `{{` is not closed, or what stands in the braces is no expression.
    """
    parts: list[str | Expression] = []
    done = 0
    for start, end in _spans(text):
        parts += [text[done:start], _parse_expression(text[start + 2 : end - 2])]
        done = end
    return Template(tuple(part for part in (*parts, text[done:]) if part))


def protect(line: str) -> tuple[str, Callable[[str], str]]:
    """Return a line whose `{{ }}` no splitting into words divides, and what puts them back.

    Each stands as its number between two private-use characters. The function takes words of
    this line only.

    Raises:
        SettingsError: a `{{` is not closed.
    """
    if "{{" not in line:
        return line, str
    # A mark of the line's own is doubled, so that one before a number is always ours.
    originals = {_PLACE * 2: _PLACE}
    pieces, done = [], 0
    for start, end in _spans(line):
        place = f"{_PLACE}{len(originals)}{_PLACE}"
        originals[place] = line[start:end]
        pieces += [line[done:start].replace(_PLACE, _PLACE * 2), place]
        done = end
    pieces.append(line[done:].replace(_PLACE, _PLACE * 2))
    return "".join(pieces), lambda word: _PLACES.sub(lambda found: originals[found[0]], word)


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each `{{ }}` begins and ends, in linear time for any text."""
    end = 0
    while (start := text.find("{{", end)) >= 0:
        found = _end_of_span(text, start)
        if found is None:
            raise _unclosed(text, start)
        end = found
        yield start, end


def open_expression(text: str) -> str | None:
    """Return what stands behind a `{{` that nothing closes before the end; None without one."""
    end: int | None = 0
    while end is not None and (start := text.find("{{", end)) >= 0:
        end = _end_of_span(text, start)
    return text[start + 2 :] if end is None else None


def _end_of_span(text: str, start: int) -> int | None:
    """Where the `{{` at `start` is closed, whatever quotes and braces stand inside."""
    depth = 0
    for mark in _MARK.finditer(text, start + 2):
        if mark[0] == "{":
            depth += 1
        elif mark[0] == "}" and depth:
            depth -= 1
        elif mark[0] == "}" and text.startswith("}}", mark.start()):
            return mark.start() + 2
    return None


def _unclosed(text: str, start: int) -> SettingsError:
    begun = short(text[start : start + 2 * _SHOWN_CHARACTERS], _SHOWN_CHARACTERS)
    which = "`}}` outside of quotes" if "}}" in begun else "`}}`"
    return SettingsError(f"no {which} closes {begun}; {_WAY_OUT}")


def _parse_expression(inside: str) -> Expression:
    source = inside.strip()
    if not source:
        raise SettingsError(f"{{{{ }}}} holds no expression; {_WAY_OUT}")
    if inside.startswith("-"):  # which trims the text before it in Jinja, and would negate here
        raise SettingsError(f"`{{{{-` trims nothing here: put a blank before {_shown(source)[3:]}")
    # What the parser, its lexer and the compiler raise is not only their syntax errors: numbers
    # may be too long, brackets too deep.
    try:
        return _compile(source)
    except Exception as error:
        reason = short(getattr(error, "message", None) or str(error), _REASON_CHARACTERS)
        raise SettingsError(
            f"{_shown(source)} is no Jinja expression ({reason}); {_WAY_OUT}"
        ) from error


def _compile(source: str) -> Expression:
    from jinja2 import nodes

    evaluate = _environment().compile_expression(source, undefined_to_none=False)
    # An expression binds no names, so that all in it are read.
    tree = _environment().parse(f"{{{{ {source} }}}}")
    names = dict.fromkeys(node.name for node in tree.find_all(nodes.Name))
    if "self" in names:
        raise ValueError("`self` is Jinja's own name: give the variable another one")
    return Expression(source, tuple(names), evaluate)


@cache
def _environment() -> Environment:
    # Not at the top: loading the extension stays fast.
    from jinja2 import Environment, StrictUndefined

    # The optimizer would work out constants while parsing, before all names are known.
    return Environment(undefined=StrictUndefined, optimized=False)


def _is_builtin(name: str) -> bool:
    return name in vars(builtins) or name in _environment().globals


def _refuse_unknown(expression: Expression, namespace: Mapping[str, Any]) -> None:
    for name in expression.names:
        if name not in namespace and not _is_builtin(name):
            public = [known for known in namespace if not known.startswith("_")]
            advice = did_you_mean(name, public) or f"; {_WAY_OUT}"
            shown = short(name, _SHOWN_CHARACTERS)
            raise SettingsError(
                f"unknown variable '{shown}' in {_shown(expression.source)}{advice}"
            )


def _reason(error: Exception) -> str:
    """The name and the message of an exception; one whose message fails in turn has none."""
    message = ""
    with suppress(Exception):
        message = short(str(error), _REASON_CHARACTERS)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _shown(source: str) -> str:
    return f"{{{{ {short(source, _SHOWN_CHARACTERS)} }}}}"
