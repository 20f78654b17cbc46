"""The JSON Schema of a function's arguments, made by pydantic of its signature."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glm_magic.api.line import quoted, reason
from glm_magic.errors import SettingsError
from glm_magic.session.results import compact_json
from glm_magic.session.signatures import Parameters, shown_hint, unreadable

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["adapt", "fill_in"]

# What of a JSON Schema holds schemas by names of the user's, and what holds no schema at all.
_NAMED_SCHEMAS = ("properties", "patternProperties", "$defs", "dependentSchemas")
_DATA = ("default", "const", "enum", "examples", "discriminator")


def adapt(
    name: str, parameters: Parameters, hints: Mapping[str, Any]
) -> tuple[TypeAdapter[dict[str, Any]], dict[str, Any]]:
    """Return what reads the arguments, and their JSON Schema.

    Raises:
        SettingsError: a type hint has no JSON Schema.
    """
    try:
        return _adapter_and_schema(parameters, hints)
    # Pydantic has many errors for it, and types may bring their own code.
    except Exception as error:
        for parameter in parameters:
            _refuse_hint(name, parameter, hints)
        raise unreadable(name, error) from error


def _refuse_hint(tool: str, parameter: inspect.Parameter, hints: Mapping[str, Any]) -> None:
    from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError

    try:
        _adapter_and_schema((parameter,), hints)
    except Exception as error:
        # Those two say at length that there is none.
        plain = isinstance(error, (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError))
        why = "" if plain else f" ({reason(error)})"
        raise SettingsError(
            f"parameter {quoted(parameter.name)} of tool {quoted(tool)} has the type hint "
            f"{shown_hint(hints[parameter.name])}, which has no JSON Schema{why}; str, int, list, "
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


def fill_in(
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
        compact_json(plain)
    # What JSON has no word for is left out; it may be of a class of the user's.
    except Exception:
        return
    schema.setdefault("default", plain)
