"""Functions of the notebook as tools that a model may call.

A function's signature, type hints and docstring are all there is to write: pydantic makes the
JSON Schema of its arguments, and of what the model wrote the values that it is called with.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from glm_magic.api.characters import valid_unicode
from glm_magic.api.line import quoted, short
from glm_magic.api.tool import FunctionTool
from glm_magic.errors import SettingsError
from glm_magic.session.argument_schema import adapt, fill_in
from glm_magic.session.arguments import ArgumentsError, read_arguments
from glm_magic.session.docstrings import docstring_of, parse_docstring
from glm_magic.session.names import did_you_mean
from glm_magic.session.results import compact_json
from glm_magic.session.signatures import Parameters, hints_of, parameters_of, unreadable

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["ArgumentsError", "Function", "find_functions"]

# The platform's limit of tools in a request, and what it takes for a name.
_TOOLS = 128
_WIRE_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A function of the notebook that a model may call.

    Attributes:
        path: the name it was found by.
        tool: what the model is told of it.
        call: the function itself, sync or async.
        positional: its parameters that take no name, in their order.
        adapter: reads arguments.
    """

    path: str
    tool: FunctionTool
    call: Callable[..., Any]
    positional: Parameters = field(repr=False)
    adapter: TypeAdapter[dict[str, Any]] = field(repr=False)

    def bind(self, arguments: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the positional and the keyword arguments to call it with.

        What the model left out is left out: the function's own defaults apply.

        Args:
            arguments: a JSON object as the model wrote it; "" and "null" are none.

        Raises:
            ArgumentsError: it is no JSON object, or the function does not take it. The message
                is the first problem, for the model to read.
        """
        values = read_arguments(self.adapter, arguments)
        given = [place for place, p in enumerate(self.positional, 1) if p.name in values]
        # One that was left out before one that was given needs its default by name.
        before = self.positional[: max(given, default=0)]
        return tuple(values.pop(p.name, p.default) for p in before), values


def find_functions(names: Sequence[str], namespace: Mapping[str, Any]) -> tuple[Function, ...]:
    """Return the functions of such names, which may be dotted: `module.function`, `obj.method`.

    A tool is called by the last part of its name. Async functions, bound methods, partial
    objects, instances with `__call__` and decorated functions are functions too.

    Raises:
        SettingsError: a name is unknown, twice there, or none that the platform takes; its value
            is no function; it has no docstring or no readable signature; a parameter has no type
            hint, or one without a JSON Schema; or there are more than 128.
    """
    if len(names) > _TOOLS:
        raise SettingsError(f"{len(names)} tools are named; a request takes at most {_TOOLS}")
    _refuse_repeats(names)
    return tuple(_function(name, _look_up(name, namespace)) for name in names)


# -- names -------------------------------------------------------------------------------------


def _refuse_repeats(names: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        tool = _last(name)
        if seen.get(tool) == name:
            raise SettingsError(f"tool {quoted(name)} is named twice")
        if tool in seen:
            raise SettingsError(
                f"{quoted(seen[tool])} and {quoted(name)} are both called {quoted(tool)} by the "
                "model; assign one of them to another name"
            )
        seen[tool] = name


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _look_up(name: str, namespace: Mapping[str, Any]) -> object:
    first, *rest = name.split(".")
    if not all(part.isidentifier() for part in (first, *rest)):
        raise SettingsError(
            f"{quoted(name)} is no name of a function; one such as f or module.f is expected"
        )
    if first not in namespace:
        near = did_you_mean(first, _callables(namespace))
        advice = near or "; run the cell that defines it first"
        raise SettingsError(f"unknown function {quoted(first)}{advice}")
    value, path = namespace[first], first
    for part in rest:
        value, path = _attribute(value, path, part), f"{path}.{part}"
    return value


def _callables(namespace: Mapping[str, Any]) -> Iterator[str]:
    return (name for name, value in namespace.items() if callable(value) and name[:1] != "_")


def _attribute(value: object, path: str, name: str) -> object:
    try:
        return getattr(value, name)
    except AttributeError as error:
        if name not in (known := _attributes(value)):
            near = did_you_mean(name, known)
            raise SettingsError(f"{quoted(path)} has no {quoted(name)}{near}") from error
        raise unreadable(f"{path}.{name}", error) from error
    # A property is the user's own code: whatever it raises.
    except Exception as error:
        raise unreadable(f"{path}.{name}", error) from error


def _attributes(value: object) -> list[str]:
    try:
        return [name for name in dir(value) if name[:1] != "_"]
    except Exception:  # `__dir__` is the user's own code too
        return []


# -- functions ---------------------------------------------------------------------------------


def _function(path: str, value: Any) -> Function:
    name = _last(path)
    try:
        _refuse_unsuited(name, value)
        return _build(path, name, value)
    except SettingsError:
        raise
    # The user's own code runs here: proxies, `__signature__`, the schemas of types.
    except Exception as error:
        raise unreadable(path, error) from error


def _refuse_unsuited(name: str, value: object) -> None:
    shown = quoted(name)
    if inspect.isclass(value):
        raise SettingsError(f"{shown} is a class, not a function; write a function that makes one")
    if not callable(value):
        kind = short(type(value).__name__)
        raise SettingsError(f"{shown} is no function, but of type {kind}")
    if not _WIRE_NAME.fullmatch(name):
        raise SettingsError(
            f"the platform takes no tool called {shown}, only ASCII letters, digits, _ and -, "
            "at most 64; assign the function to such a name"
        )


def _build(path: str, name: str, value: Any) -> Function:
    docstring = docstring_of(value).strip()
    if not docstring:
        raise SettingsError(
            f"tool {quoted(name)} has no docstring; the model reads from it what the function "
            "does: write one"
        )
    parameters = parameters_of(name, value)
    with warnings.catch_warnings():
        # Those of pydantic are on schemas in general, such as a default that JSON cannot say.
        warnings.simplefilter("ignore")
        adapter, schema = adapt(name, parameters, hints_of(name, value, parameters))
    description, described = parse_docstring(docstring)
    fill_in(schema["properties"], parameters, described)
    tool = FunctionTool(name, valid_unicode(description), valid_unicode(compact_json(schema)))
    positional = tuple(p for p in parameters if p.kind is p.POSITIONAL_ONLY)
    return Function(path, tool, value, positional, adapter)
