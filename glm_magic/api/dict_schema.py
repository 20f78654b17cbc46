"""JSON Schemas of the user's, which pydantic cannot read, and the answers to them.

Both are read by jsonschema_rs, which fetches nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from typing import TYPE_CHECKING, Any

from glm_magic.api.answer import Misfit, NoJson, place_words, value_words
from glm_magic.api.json_schema import (
    BadSchema,
    as_object,
    copied,
    is_json_schema,
    kind_of,
    pointed,
)
from glm_magic.api.line import REASON_CHARACTERS, TOO_DEEP, reason, short

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

__all__ = ["DictReader", "prepare_dict"]

# These apply to the same value as the schema they stand in; a loop of them never ends.
_IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")
# What stands below these is named by the user; below those is data.
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_DATA = ("const", "enum", "default", "examples")
# jsonschema_rs recurses on the stack of the thread, and the process dies where that ends: at
# 10,000 levels of a plain schema, at 1,000 of one with a hundred `allOf` in each other (8 MB,
# measured with 0.61).
_DEEPEST = 200
# It reports all choices within all choices, which is 2 ** 16 and 12 s for sixteen levels of two.
_MOST_CHOICES = 10_000
# Steps of a pattern with look-around, 2 ms; others take linear time.
_MOST_STEPS = 100_000
# Stands for the value in its messages, which otherwise hold all of it.
_MASK = "\0"
# More of an `enum` than fit into a message.
_MOST_OPTIONS = 50
# Names are all that is quoted in the messages of these, where others have JSON.
_QUOTE_NAMES = ("type", "required", "format")


@dataclass(frozen=True, slots=True)
class DictReader:
    """Reads answers; a wrapped one has its value under `key`, which may be "".

    `choices` is how many at each level of a schema within itself lead to the next; at least 1.
    """

    validator: Validator
    key: str
    choices: int

    def read(self, text: str, data: Any, *, is_wrapped: bool) -> Any:
        value = data[self.key] if is_wrapped else data
        depth = _depth(value)
        if depth > _DEEPEST:
            raise NoJson(TOO_DEEP)
        try:
            if self.validator.is_valid(value):
                return value
            problem = self._problem(value, depth)
        except Exception as error:  # what Rust has no text or number for
            raise Misfit(reason(error)) from error
        raise Misfit(problem)

    def write(self, value: Any, *, as_json: bool) -> Any:
        return value

    def _problem(self, value: Any, depth: int) -> str:
        from jsonschema_rs import ValidationError

        if self.choices**depth > _MOST_CHOICES:
            return "it fits none of the choices, and is nested too deep to say where"
        try:
            self.validator.validate(value)
        except ValidationError as error:
            return _problem_words(error, (self.key,) if self.key else ())
        return "it does not fit"


def prepare_dict(schema: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], DictReader]:
    """Return a JSON Schema as it is sent, a copy of it as it is, and a reader.

    Raises:
        BadSchema: it is no valid JSON Schema, or no JSON.
    """
    plain = copied(schema)
    if not is_json_schema(plain):
        raise BadSchema("it has neither `type` nor `properties` nor any other word of one")
    if _depth(plain) > _DEEPEST:
        raise BadSchema(f"it is {TOO_DEEP}")
    graph = _graph(plain)
    _refuse_lost_or_endless(graph)
    checked = plain if "$ref" in plain or not kind_of(plain) else {"type": kind_of(plain), **plain}
    validator = _validator(checked)
    sent, key = as_object(checked)
    return sent, plain, DictReader(validator, key, _recursive_choices(graph))


def _depth(value: Any) -> int:
    """How many lists and objects are in each other; it ends at one more than `_DEEPEST`."""
    level, depth = [value], 0
    while level and depth <= _DEEPEST:
        inside = [part for part in level if isinstance(part, dict | list)]
        level = [x for part in inside for x in (part.values() if isinstance(part, dict) else part)]
        depth += bool(inside)
    return depth


# -- words for what is wrong


def _problem_words(error: ValidationError, above: tuple[str, ...]) -> str:
    nearest = _nearest(error)
    return f"{place_words((*above, *nearest.instance_path))}{_words(nearest)}"


def _words(error: ValidationError) -> str:
    from jsonschema_rs import ValidationErrorKind as Kind

    if isinstance(error.kind, Kind.PropertyNames):
        error = error.kind.error  # the name is its value
    message = error.message
    if types := _types(error):
        message = f"{_MASK} is not of types {types}"
    elif isinstance(error.kind, Kind.Enum):  # which names two of them only
        options = ", ".join(value_words(option) for option in error.kind.options[:_MOST_OPTIONS])
        message = f"{_MASK} is not one of {options}"
    elif error.kind.name in _QUOTE_NAMES:
        message = message.replace('"', "'")
    value = value_words(error.instance)
    return short(message.replace(_MASK, value, 1), REASON_CHARACTERS)


def _nearest(error: ValidationError) -> ValidationError:
    """Of the choices of an `anyOf`, the first problem of the one that was meant.

    That is the choice of the value's type and with its constants, or the one with the fewest
    problems. If none is of its type it is the error itself.
    """
    from jsonschema_rs import ValidationErrorKind as Kind

    while isinstance(error.kind, Kind.AnyOf | Kind.OneOfNotValid):
        place = error.instance_path
        meant = min(error.kind.context, key=lambda choice: _distance(choice, place))
        if not meant or _is_of_other_type(meant, place):
            break
        error = meant[0]
    return error


def _distance(choice: list[ValidationError], place: list[str | int]) -> tuple[bool, bool, int]:
    is_other = any(e.kind.name in ("const", "enum") for e in choice)
    return _is_of_other_type(choice, place), is_other, len(choice)


def _is_of_other_type(choice: list[ValidationError], place: list[str | int]) -> bool:
    others = ("type", "falseSchema")
    return any(e.kind.name in others and e.instance_path == place for e in choice)


def _types(error: ValidationError) -> str:
    """Those of the choices of an `anyOf`."""
    from jsonschema_rs import ValidationErrorKind as Kind

    choices = error.kind.context if isinstance(error.kind, Kind.AnyOf | Kind.OneOfNotValid) else []
    kinds = [e.kind for e in chain.from_iterable(choices) if e.instance_path == error.instance_path]
    types = (name for kind in kinds if isinstance(kind, Kind.Type) for name in kind.types)
    return ", ".join(dict.fromkeys(f"'{name}'" for name in types))


# -- schemas that are none


def _validator(schema: dict[str, Any]) -> Validator:
    """Of the draft that is named, or 2020-12; `format` is a remark in all of them.

    Raises:
        BadSchema: the schema is invalid.
    """
    from jsonschema_rs import FancyRegexOptions, ValidationError, validator_cls_for

    # Its `meta.validate` is no choice: that fetches a `$schema` which it does not know.
    try:
        return validator_cls_for(schema)(
            schema,
            validate_formats=False,
            offline=True,
            mask=_MASK,
            pattern_options=FancyRegexOptions(backtrack_limit=_MOST_STEPS),
        )
    except ValidationError as error:
        raise BadSchema(_schema_words(error)) from error
    except ValueError as error:  # half of a character, for example
        raise BadSchema(reason(error)) from error


def _schema_words(error: ValidationError) -> str:
    from jsonschema_rs import ValidationErrorKind as Kind

    if isinstance(error.kind, Kind.Referencing):
        return short(f"a $ref leads nowhere: {error.message}", REASON_CHARACTERS)
    return _problem_words(error, ())


def _refuse_lost_or_endless(graph: _Graph) -> None:
    lost = graph.lost if graph.has_id or graph.outside is None else graph.outside
    if lost is not None:
        raise BadSchema(f"nothing is at $ref {short(lost)!r}")
    try:
        TopologicalSorter(graph.in_place).prepare()
    except CycleError as error:
        raise BadSchema("it refers to itself without end") from error


def _recursive_choices(graph: _Graph) -> int:
    """How many choices of one `anyOf` or `oneOf` lead to it again; all if that is unknown."""
    most = 1
    for origin, choices in graph.choices:
        again = (graph.is_open or _leads_to(graph.edges, choice, origin) for choice in choices)
        most = max(most, sum(again))
    return most


def _leads_to(edges: dict[int, set[int]], start: int, goal: int) -> bool:
    seen = {start}
    waiting = [start]
    while waiting and goal not in seen:
        new = edges.get(waiting.pop(), set()) - seen
        seen |= new
        waiting += new
    return goal in seen


@dataclass(slots=True)
class _Graph:
    """Which schemas hold or refer to which, by identity.

    Attributes:
        in_place: those of them that apply to the same value.
        lost: a reference that leads nowhere.
        outside: one to another document, which may be a part of this one that has an `$id`.
        has_id: whether any part has one.
        is_open: whether a reference is left to jsonschema_rs.
        choices: a schema, and the choices of an `anyOf` or `oneOf` in it.
    """

    edges: dict[int, set[int]] = field(default_factory=dict)
    in_place: dict[int, set[int]] = field(default_factory=dict)
    lost: str | None = None
    outside: str | None = None
    has_id: bool = False
    is_open: bool = False
    choices: list[tuple[int, list[int]]] = field(default_factory=list)


def _graph(schema: dict[str, Any]) -> _Graph:
    graph = _Graph()
    waiting = [(schema, schema)]
    while waiting:
        part, document = waiting.pop()
        if id(part) in graph.edges:
            continue
        if isinstance(part.get("$id"), str) and not part["$id"].startswith("#"):
            document, graph.has_id = part, True
        inside = list(_subschemas(part))
        targets = list(_targets(part, document, graph))
        graph.edges[id(part)] = {id(one) for one in chain(inside, targets)}
        graph.in_place[id(part)] = {id(one) for one in chain(_applied_in_place(part), targets)}
        for choices in (part.get("anyOf"), part.get("oneOf")):
            graph.choices.append((id(part), [id(one) for one in _listed(choices)]))
        waiting += [(one, document) for one in chain(inside, targets)]
    return graph


def _targets(
    part: dict[str, Any], document: dict[str, Any], graph: _Graph
) -> Iterator[dict[str, Any]]:
    """What a schema refers to, or a note in the graph."""
    graph.is_open |= "$dynamicRef" in part or "$recursiveRef" in part
    reference = part.get("$ref")
    if not isinstance(reference, str):
        return
    target = pointed(document, reference or "#")
    if isinstance(target, dict):
        yield target
    elif reference == "#" or reference.startswith("#/"):
        graph.lost = reference if target is None else graph.lost
    else:
        graph.is_open = True
        graph.outside = graph.outside if reference.startswith("#") else reference


def _subschemas(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for keyword, part in schema.items():
        if keyword in _DATA:
            continue
        parts = part.values() if keyword in _NAMED and isinstance(part, dict) else _listed(part)
        yield from (one for one in parts if isinstance(one, dict))


def _applied_in_place(schema: dict[str, Any]) -> Iterator[Any]:
    return chain.from_iterable(_listed(schema.get(keyword)) for keyword in _IN_PLACE)


def _listed(part: Any) -> list[Any]:
    return part if isinstance(part, list) else [part]
