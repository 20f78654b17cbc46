"""JSON Schemas of the user's, which pydantic cannot read, and the answers to them.

Both are read by jsonschema_rs, which fetches nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from glm_magic.api.answer import Misfit, NoJson, place_words, value_words
from glm_magic.api.json_schema import (
    BadSchema,
    as_object,
    copied,
    is_json_schema,
    kind_of,
)
from glm_magic.api.line import REASON_CHARACTERS, TOO_DEEP, reason, short
from glm_magic.api.schema_graph import graph_of, recursive_choices, refuse_lost_or_endless

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

__all__ = ["DictReader", "prepare_dict"]

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
    graph = graph_of(plain)
    refuse_lost_or_endless(graph)
    checked = plain if "$ref" in plain or not kind_of(plain) else {"type": kind_of(plain), **plain}
    validator = _validator(checked)
    sent, key = as_object(checked)
    return sent, plain, DictReader(validator, key, recursive_choices(graph))


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
