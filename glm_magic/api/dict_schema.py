"""JSON Schemas of the user's, which pydantic cannot read, and the answers to them.

Both are read by jsonschema, which fetches nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from glm_magic.api.answer import Misfit, NoJson, place_words, value_words
from glm_magic.api.json_schema import BadSchema, as_object, copied, is_json_schema, kind_of
from glm_magic.api.line import REASON_CHARACTERS, TOO_DEEP, reason, short

if TYPE_CHECKING:
    from referencing import Resource

__all__ = ["DictReader", "prepare_dict"]

# These apply to the same value as the schema they stand in; a loop of them never ends.
_IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")


@dataclass(frozen=True, slots=True)
class DictReader:
    """Reads answers; a wrapped one has its value under `key`, which may be ""."""

    validator: Any
    key: str

    def read(self, text: str, data: Any, *, is_wrapped: bool) -> Any:
        value = data[self.key] if is_wrapped else data
        try:
            problem = next(self._problems(value), None)
        except RecursionError as error:
            raise NoJson(TOO_DEEP) from error
        except Exception as error:  # a pattern that Python does not read, for example
            raise Misfit(reason(error)) from error
        if problem is not None:
            raise Misfit(problem)
        return value

    def write(self, value: Any, *, as_json: bool) -> Any:
        return value

    def _problems(self, value: Any) -> Iterator[str]:
        from jsonschema.exceptions import best_match  # type: ignore[import-untyped,unused-ignore]

        for error in self.validator.iter_errors(value):
            nearest = best_match((error,))  # of the choices of an `anyOf`, the one that was meant
            place = (self.key, *nearest.absolute_path) if self.key else nearest.absolute_path
            yield f"{place_words(place)}{_jsonschema_words(nearest)}"


def prepare_dict(schema: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], DictReader]:
    """Return a JSON Schema as it is sent, a copy of it as it is, and a reader.

    Raises:
        BadSchema: it is no valid JSON Schema, or no JSON.
    """
    plain = copied(schema)
    _refuse_invalid(plain)
    checked = plain if "$ref" in plain or not kind_of(plain) else {"type": kind_of(plain), **plain}
    validator = _validator(checked)
    sent, key = as_object(checked)
    return sent, plain, DictReader(validator, key)


def _jsonschema_words(error: Any) -> str:
    """The message of a ValidationError, which begins with all of the value in many cases."""
    value = repr(error.instance)
    message: str = error.message
    if message.startswith(f"{value} "):
        return short(f"{value_words(error.instance)}{message[len(value) :]}", REASON_CHARACTERS)
    return short(message, REASON_CHARACTERS)


def _refuse_invalid(schema: dict[str, Any]) -> None:
    from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped,unused-ignore]

    if not is_json_schema(schema):
        raise BadSchema("it has neither `type` nor `properties` nor any other word of one")
    try:
        _validator_class(schema).check_schema(schema)
    except SchemaError as error:
        first = error.context[0] if error.context else error
        words = f"{place_words(first.absolute_path)}{_jsonschema_words(first)}"
        raise BadSchema(words) from error
    except RecursionError as error:
        raise BadSchema(f"it is {TOO_DEEP}") from error
    _refuse_lost_or_endless(schema)


def _validator(schema: dict[str, Any]) -> Any:
    from referencing import Registry

    registry: Registry[Any] = Registry()  # empty, and it fetches nothing
    return _validator_class(schema)(schema, registry=registry)


def _validator_class(schema: dict[str, Any]) -> Any:
    from jsonschema import (  # type: ignore[import-untyped,unused-ignore]
        Draft202012Validator,
    )
    from jsonschema.validators import (  # type: ignore[import-untyped,unused-ignore]
        validator_for,
    )

    return validator_for(schema, default=Draft202012Validator)


def _refuse_lost_or_endless(schema: dict[str, Any]) -> None:
    try:
        TopologicalSorter(_in_place_edges(schema)).prepare()
    except CycleError as error:
        raise BadSchema("it refers to itself without end") from error
    except RecursionError as error:
        raise BadSchema(f"it is {TOO_DEEP}") from error


def _in_place_edges(schema: dict[str, Any]) -> dict[int, set[int]]:
    """Which schemas apply to the same value as which, by identity; all references are followed."""
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012, specification_with

    kind = _validator_class(schema)
    dialect = specification_with(kind.ID_OF(kind.META_SCHEMA), default=DRAFT202012)
    root = dialect.create_resource(schema)
    registry: Registry[Any] = Registry()
    edges: dict[int, set[int]] = {}
    waiting: list[tuple[Resource[Any], Any]] = [(root, registry.resolver_with_root(root))]
    while waiting:
        resource, resolver = waiting.pop()
        contents: Any = resource.contents
        if not isinstance(contents, dict) or id(contents) in edges:
            continue
        edges[id(contents)] = {id(part) for part in _applied_in_place(contents)}
        waiting += [(part, resolver.in_subresource(part)) for part in resource.subresources()]
        if isinstance(reference := contents.get("$ref"), str):
            try:
                found = resolver.lookup(reference)
            except Unresolvable as error:
                raise BadSchema(f"nothing is at $ref {short(reference)!r}") from error
            edges[id(contents)].add(id(found.contents))
            waiting.append((dialect.create_resource(found.contents), found.resolver))
    return edges


def _applied_in_place(schema: dict[str, Any]) -> Iterator[Any]:
    for keyword in _IN_PLACE:
        part = schema.get(keyword)
        yield from part if isinstance(part, list) else [part] if part is not None else []
