"""Functions of the notebook as tools that a model may call.

A function's signature, type hints and docstring are all there is to write: pydantic makes the
JSON Schema of its arguments, and of what the model wrote the values that it is called with.
"""

from __future__ import annotations

import inspect
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace, WrapperDescriptorType
from typing import TYPE_CHECKING, Any, NoReturn, get_type_hints

from glm_magic.api.tool import FunctionTool
from glm_magic.errors import SettingsError
from glm_magic.session.names import did_you_mean
from glm_magic.session.results import one_line, reason, without_halves

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

__all__ = ["ArgumentsError", "Function", "find_functions"]

# The platform's limit of tools in a request, and what it takes for a name.
_TOOLS = 128
_WIRE_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")

_SHOWN_CHARACTERS = 60
_REASON_CHARACTERS = 200
_WRAPPERS = 100  # more than anybody puts around a function; a loop of wrappers ends here

# What of a JSON Schema holds schemas by names of the user's, and what holds no schema at all.
_NAMED_SCHEMAS = ("properties", "patternProperties", "$defs", "dependentSchemas")
_DATA = ("default", "const", "enum", "examples", "discriminator")

Parameters = tuple[inspect.Parameter, ...]


class ArgumentsError(ValueError):
    """A model wrote arguments that a function does not take; the message is one line."""


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A function of the notebook that a model may call.

    Attributes:
        tool: what the model is told of it.
        call: the function itself, sync or async.
        positional: its parameters that take no name, in their order.
        adapter: reads arguments.
    """

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
        values = _read(self.adapter, _object_text(arguments))
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
            raise SettingsError(f"tool {_quoted(name)} is named twice")
        if tool in seen:
            raise SettingsError(
                f"{_quoted(seen[tool])} and {_quoted(name)} are both called {_quoted(tool)} by the "
                "model; assign one of them to another name"
            )
        seen[tool] = name


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _look_up(name: str, namespace: Mapping[str, Any]) -> object:
    first, *rest = name.split(".")
    if not all(part.isidentifier() for part in (first, *rest)):
        raise SettingsError(
            f"{_quoted(name)} is no name of a function; one such as f or module.f is expected"
        )
    if first not in namespace:
        near = did_you_mean(first, _callables(namespace))
        advice = near or "; run the cell that defines it first"
        raise SettingsError(f"unknown function {_quoted(first)}{advice}")
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
            raise SettingsError(f"{_quoted(path)} has no {_quoted(name)}{near}") from error
        raise _unreadable(f"{path}.{name}", error) from error
    # A property is the user's own code: whatever it raises.
    except Exception as error:
        raise _unreadable(f"{path}.{name}", error) from error


def _attributes(value: object) -> list[str]:
    try:
        return [name for name in dir(value) if name[:1] != "_"]
    except Exception:  # `__dir__` is the user's own code too
        return []


def _unreadable(name: str, error: Exception) -> SettingsError:
    why = one_line(reason(error), _REASON_CHARACTERS)
    return SettingsError(f"{_quoted(name)} cannot be read: {why}")


# -- functions ---------------------------------------------------------------------------------


def _function(path: str, value: Any) -> Function:
    name = _last(path)
    try:
        _refuse_unsuited(name, value)
        return _build(name, value)
    except SettingsError:
        raise
    # The user's own code runs here: proxies, `__signature__`, the schemas of types.
    except Exception as error:
        raise _unreadable(path, error) from error


def _refuse_unsuited(name: str, value: object) -> None:
    shown = _quoted(name)
    if inspect.isclass(value):
        raise SettingsError(f"{shown} is a class, not a function; write a function that makes one")
    if not callable(value):
        kind = one_line(type(value).__name__, _SHOWN_CHARACTERS)
        raise SettingsError(f"{shown} is no function, but of type {kind}")
    if not _WIRE_NAME.fullmatch(name):
        raise SettingsError(
            f"the platform takes no tool called {shown}, only ASCII letters, digits, _ and -, "
            "at most 64; assign the function to such a name"
        )


def _build(name: str, value: Any) -> Function:
    docstring = _docstring(value).strip()
    if not docstring:
        raise SettingsError(
            f"tool {_quoted(name)} has no docstring; the model reads from it what the function "
            "does: write one"
        )
    parameters = _parameters(name, value)
    _refuse_fields(name, parameters)
    with warnings.catch_warnings():
        # Those of pydantic are on schemas in general, such as a default that JSON cannot say.
        warnings.simplefilter("ignore")
        adapter, schema = _adapt(name, value, parameters)
    description, described = _parse_docstring(docstring)
    _fill_in(schema["properties"], parameters, described)
    tool = FunctionTool(name, without_halves(description), without_halves(_compact(schema)))
    positional = tuple(p for p in parameters if p.kind is p.POSITIONAL_ONLY)
    return Function(tool, value, positional, adapter)


def _parameters(name: str, value: Any) -> Parameters:
    """The parameters that a model may set: no `*args`, no `**kwargs`, none bound by a partial."""
    bound: set[str] = set()
    inner = value
    while isinstance(inner, partial):
        bound |= inner.keywords.keys()
        inner = inner.func
    if isinstance(value, partial):
        # Without what `update_wrapper` may have put on it: bound parameters would be there again.
        value = partial(value.func, *value.args, **value.keywords)
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"tool {_quoted(name)} has no signature that Python can read; write a function "
            "around it"
        ) from error
    stars = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return tuple(p for p in parameters if p.kind not in stars and p.name not in bound)


def _refuse_fields(name: str, parameters: Parameters) -> None:
    """Refuse `n: int = Field(...)`, as some frameworks have it: the call would get the `Field`."""
    from pydantic.fields import FieldInfo

    for parameter in parameters:
        if isinstance(parameter.default, FieldInfo):
            raise SettingsError(
                f"parameter {_quoted(parameter.name)} of tool {_quoted(name)} has a pydantic Field "
                "as its default; write it as Annotated[..., Field(...)]"
            )


def _innermost(value: Any) -> Any:
    """The function as it was written, within partial objects, decorators and instances."""
    for _ in range(_WRAPPERS):
        if isinstance(value, partial):
            value = value.func
        elif hasattr(value, "__wrapped__"):
            value = value.__wrapped__
        elif inspect.isroutine(value):
            break
        else:
            value = type(value).__call__
    return value


# -- schemas -----------------------------------------------------------------------------------


def _adapt(
    name: str, value: Any, parameters: Parameters
) -> tuple[TypeAdapter[dict[str, Any]], dict[str, Any]]:
    """What reads the arguments, and their JSON Schema."""
    known = getattr(_innermost(value), "__globals__", {})
    hints = {p.name: _hint(name, p, known) for p in parameters}
    try:
        return _adapter_and_schema(parameters, hints)
    # Pydantic has many errors for it, and types may bring their own code.
    except Exception as error:
        for parameter in parameters:
            _refuse_hint(name, parameter, hints)
        raise _unreadable(name, error) from error


def _hint(tool: str, parameter: inspect.Parameter, known: dict[str, Any]) -> Any:
    """The type hint of a parameter, evaluated if it is a string."""
    where = f"parameter {_quoted(parameter.name)} of tool {_quoted(tool)}"
    if parameter.annotation is parameter.empty:
        example = one_line(parameter.name, _SHOWN_CHARACTERS)
        raise SettingsError(f"{where} has no type hint; write one, such as {example}: str")
    # One by one, so that the message can name it; the signature's, which a decorator may have set.
    holder: Any = SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    try:
        return get_type_hints(holder, known, include_extras=True)[parameter.name]
    except Exception as error:
        hint, why = _shown_hint(parameter.annotation), one_line(reason(error), _REASON_CHARACTERS)
        raise SettingsError(f"{where} has the type hint {hint}, but {why}") from error


def _refuse_hint(tool: str, parameter: inspect.Parameter, hints: Mapping[str, Any]) -> None:
    from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError

    try:
        _adapter_and_schema((parameter,), hints)
    except Exception as error:
        # Those two say at length that there is none.
        plain = isinstance(error, (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError))
        why = "" if plain else f" ({one_line(reason(error), _REASON_CHARACTERS)})"
        raise SettingsError(
            f"parameter {_quoted(parameter.name)} of tool {_quoted(tool)} has the type hint "
            f"{_shown_hint(hints[parameter.name])}, which has no JSON Schema{why}; str, int, list, "
            "a Literal, a dataclass or a pydantic model have one"
        ) from error


def _adapter_and_schema(
    parameters: Parameters, hints: Mapping[str, Any]
) -> tuple[TypeAdapter[dict[str, Any]], dict[str, Any]]:
    import typing_extensions
    from pydantic import ConfigDict, TypeAdapter

    fields = {
        p.name: hints[p.name]
        if p.default is p.empty
        else typing_extensions.NotRequired[hints[p.name]]
        for p in parameters
    }
    # Not `create_model`: an argument may be called `schema`, `copy`, `model_config` or `_x`.
    make: Any = typing_extensions.TypedDict
    kind = make("Arguments", fields)
    kind.__pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)
    adapter: TypeAdapter[dict[str, Any]] = TypeAdapter(kind)
    schema = _untitled(adapter.json_schema())
    if "properties" not in schema:  # a reference, for then it holds itself
        raise TypeError("Self stands for the arguments here; name the class")
    return adapter, schema


def _untitled(schema: Any) -> Any:
    """A JSON Schema without the titles that pydantic makes of names: they say nothing new."""
    if isinstance(schema, list):
        return [_untitled(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _untitled_part(key, part) for key, part in schema.items() if key != "title"}


def _untitled_part(key: str, part: Any) -> Any:
    if key in _DATA:
        return part
    if key in _NAMED_SCHEMAS:
        return {name: _untitled(schema) for name, schema in part.items()}
    return _untitled(part)


def _fill_in(
    properties: dict[str, dict[str, Any]], parameters: Parameters, described: Mapping[str, str]
) -> None:
    """Put descriptions and defaults into a schema; those of a pydantic `Field` stay."""
    for parameter in parameters:
        schema = properties.get(parameter.name)  # None: `Field` gave it an alias
        if schema is None:
            continue
        if text := described.get(parameter.name):
            schema.setdefault("description", text)
        if parameter.default is not parameter.empty:
            _fill_in_default(schema, parameter.default)


def _fill_in_default(schema: dict[str, Any], default: object) -> None:
    from pydantic_core import to_jsonable_python

    try:
        plain = to_jsonable_python(default)
        _compact(plain)
    # What JSON has no word for is left out; it may be of a class of the user's.
    except Exception:
        return
    schema.setdefault("default", plain)


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


# -- docstrings --------------------------------------------------------------------------------


def _docstring(value: Any) -> str:
    """The docstring of a function, or of what an object calls; "" without one."""
    if inspect.isroutine(value):
        return inspect.getdoc(value) or ""
    # `__doc__` itself would be that of the class, such as of `partial`.
    if own := getattr(value, "__dict__", {}).get("__doc__"):
        return inspect.cleandoc(own)
    if isinstance(value, partial):
        return _docstring(value.func)
    if hasattr(value, "__wrapped__"):
        return _docstring(value.__wrapped__)
    call = type(value).__call__
    # Those of C are all "Call self as a function.", which `getdoc` would find for ours too.
    own = "" if isinstance(call, WrapperDescriptorType) else inspect.cleandoc(call.__doc__ or "")
    return own or inspect.getdoc(type(value)) or ""


def _parse_docstring(docstring: str) -> tuple[str, dict[str, str]]:
    """The text before its sections, and what it says of each parameter."""
    import docstring_parser

    try:
        parsed = docstring_parser.parse(docstring)
    except docstring_parser.ParseError:  # which none of its styles raises for plain text
        return docstring, {}
    text = "\n\n".join(filter(None, (parsed.short_description, parsed.long_description)))
    described = {
        name.strip().lstrip("*"): parameter.description
        for parameter in parsed.params
        for name in parameter.arg_name.split(",")  # NumPy's style has "a, b : int"
        if parameter.description
    }
    return text or docstring, described


# -- arguments ---------------------------------------------------------------------------------


def _object_text(arguments: str) -> str:
    """The JSON text of an object; with the words of the standard library where it is none."""
    if not arguments.strip():
        return "{}"
    try:
        value = json.loads(arguments, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ArgumentsError("the arguments are no JSON: they are nested too deep") from error
    except ValueError as error:
        why = one_line(str(error), _REASON_CHARACTERS)
        raise ArgumentsError(f"the arguments are no JSON: {why}") from error
    if value is None:
        return "{}"
    if not isinstance(value, dict):
        raise ArgumentsError(f"the arguments are no JSON object (got {_shown(value)})")
    return arguments


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it has no {name}")


def _read(adapter: TypeAdapter[dict[str, Any]], text: str) -> dict[str, Any]:
    from pydantic import ValidationError

    try:
        # As JSON, of which models that are strict take dates and the like too.
        return adapter.validate_json(text)
    except ValidationError as error:
        raise ArgumentsError(_problem(error)) from error
    # A validator is the user's own code: whatever it raises.
    except Exception as error:
        why = one_line(reason(error), _REASON_CHARACTERS)
        raise ArgumentsError(f"the arguments cannot be read: {why}") from error


def _problem(error: ValidationError) -> str:
    """The first problem: where it is, what it is, and what stands there."""
    first = error.errors(include_url=False)[0]
    place = one_line(".".join(map(str, first["loc"])), _SHOWN_CHARACTERS)
    message = one_line(first["msg"].partition(", unable to parse")[0], _REASON_CHARACTERS)
    if not place:
        return f"the arguments are no JSON: {message.removeprefix('Invalid JSON: ')}"
    if first["type"] == "extra_forbidden":
        return f"{place}: there is no such argument"
    if first["type"] == "missing":
        return f"{place}: {message}"
    return f"{place}: {message} (got {_shown(first['input'])})"


# -- in messages -------------------------------------------------------------------------------


def _quoted(name: str) -> str:
    return f"'{one_line(name, _SHOWN_CHARACTERS)}'"


def _shown(value: object) -> str:
    try:
        return one_line(repr(value), _SHOWN_CHARACTERS)
    except (RecursionError, ValueError):  # deep, or a number of thousands of digits
        return f"a {type(value).__name__}"


def _shown_hint(hint: Any) -> str:
    return one_line(inspect.formatannotation(hint), _SHOWN_CHARACTERS)
