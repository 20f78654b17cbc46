"""What a structured answer must look like, and the reading of an answer that should.

JSON Schema: https://json-schema.org/draft/2020-12. A type of Python is read by pydantic; a JSON
Schema, which pydantic cannot read, by jsonschema. Neither fetches anything.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol
from urllib.parse import unquote

from glm_magic.api.code import json_text
from glm_magic.errors import ReplyError, SettingsError

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import TypeAdapter
    from pydantic.json_schema import GenerateJsonSchema
    from pydantic_core import ErrorDetails
    from referencing import Resource

__all__ = [
    "AnswerSchema",
    "array_of",
    "is_json_schema",
    "schema_of_dict",
    "schema_of_type",
    "short",
]

_SHOWN_CHARACTERS = 60
_WORDS_CHARACTERS = 200
_TOO_DEEP = "nested too deep to be read"

# A dict without any of these allows everything: it is no schema, or a slip.
_KEYWORDS = frozenset(
    {"$ref", "$dynamicRef", "type", "properties", "items", "prefixItems", "required", "enum"}
    | {"anyOf", "oneOf", "allOf", "not", "if", "const", "additionalProperties", "patternProperties"}
)
# What all of a schema refers to, and so stays at the root of what is sent.
_ROOT_KEYWORDS = ("$schema", "$defs", "definitions")
# These apply to the same value as the schema they stand in; a loop of them never ends.
_IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")

# Half of a surrogate pair: valid JSON, but no text, so that neither files nor frames take it.
_HALF = re.compile("\\\\u[dD][89a-fA-F]|[\ud800-\udfff]")


class _Reader(Protocol):
    """What reads an answer. An answer is JSON text and its value; a wrapped one has `key`."""

    def read(self, text: str, data: Any, *, is_wrapped: bool) -> Any: ...

    def write(self, value: Any, *, as_json: bool) -> Any: ...


@dataclass(frozen=True, slots=True, eq=False)
class AnswerSchema:
    """What an answer must look like.

    A server takes schemas of objects only, so that any other answer is asked for in an object:
    a list as its `items`, anything else as its `value`. What comes back is unwrapped.

    Attributes:
        name: as the user wrote it, at most 60 characters.
        json_schema: as it is sent; its root is an object.
        columns: names of the fields, of a list's items if it is a list; ("value",) for single
            values; empty for an object of any fields.
        is_rows: whether the answer is a list.
    """

    name: str
    json_schema: dict[str, Any] = field(repr=False)
    columns: tuple[str, ...]
    is_rows: bool
    _has_fields: bool = field(repr=False)
    _key: str = field(repr=False)
    _reader: _Reader = field(repr=False)

    @property
    def instruction(self) -> str:
        """What a system message says of it, for servers that do not know schemas too."""
        schema = json.dumps(self.json_schema, ensure_ascii=False, separators=(",", ":"))
        return (
            "Answer with one JSON value alone: no words around it, no code fence. "
            f"It must fit this JSON Schema:\n{schema}"
        )

    def read(self, text: str) -> Any:
        """Return the value of an answer: as the type has it, or plain JSON data for a JSON Schema.

        Words or a fence around the JSON do no harm, nor does an answer that is not wrapped.

        Raises:
            ReplyError: it is no JSON, or does not fit; the first problem is named.
        """
        try:
            return self._fitting(text)
        except _NoJson as error:
            raise ReplyError(f"the answer is {error}") from error.__cause__
        except _Misfit as error:
            raise ReplyError(f"the answer does not fit {self.name}: {error}") from error.__cause__

    def problem(self, text: str) -> str:
        """Return what is wrong with an answer, the first problem only; "" if nothing is."""
        try:
            self._fitting(text)
        except _NoJson as error:
            return f"it is {error}"
        except _Misfit as error:
            return str(error)
        return ""

    def plain(self, text: str) -> Any:
        """Return the value of an answer as plain JSON data, dates as ISO text.

        Raises:
            ReplyError: as `read`; or a serializer of the user's own failed.
        """
        return self._written(text, as_json=True)

    def frame(self, text: str) -> pd.DataFrame:
        """Return an answer as a DataFrame: a list item a row, anything else one row.

        Fields that are not in the schema come last. Nested values stay dicts and lists.

        Raises:
            ReplyError: as `plain`.
        """
        import pandas as pd

        value = self._written(text, as_json=False)
        rows = list(value) if self.is_rows else [value]
        # A serializer of the user's own may have made texts of them.
        if self._has_fields and all(isinstance(row, dict) for row in rows):
            return pd.DataFrame(rows, columns=list(dict.fromkeys(chain(self.columns, *rows))))
        return pd.DataFrame({"value": rows})

    def _written(self, text: str, *, as_json: bool) -> Any:
        value = self.read(text)
        try:
            return self._reader.write(value, as_json=as_json)
        except Exception as error:  # the user's own serializers run here
            reason = _reason(error)
            raise ReplyError(
                f"the answer fits {self.name}, but cannot be written as data: {reason}"
            ) from error

    def _fitting(self, text: str) -> Any:
        source, data = _find_json(text)
        is_wrapped = bool(self._key) and isinstance(data, dict) and self._key in data
        try:
            return self._reader.read(source, data, is_wrapped=is_wrapped)
        except _Misfit:
            # A value of its own may have a field called `value`.
            if is_wrapped:
                with suppress(_Misfit):
                    return self._reader.read(source, data, is_wrapped=False)
            raise


def short(text: str, limit: int = _SHOWN_CHARACTERS) -> str:
    """Return a text of anyone's as one printable line of at most `limit` characters."""
    # Cut before as well: the text may be megabytes.
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * limit]).split())
    is_whole = len(line) <= limit and len(text) <= 4 * limit
    return line if is_whole else f"{line[: limit - 1]}…"


def _reason(error: BaseException) -> str:
    """The name and the message of an exception; one whose message fails in turn has none."""
    message = ""
    with suppress(Exception):
        message = short(str(error), _WORDS_CHARACTERS)
    name = short(type(error).__name__)
    return f"{name}: {message}" if message else name


# -- schemas -----------------------------------------------------------------------------------


def schema_of_type(tp: Any, name: str) -> AnswerSchema:
    """Return the schema of a pydantic model, dataclass, TypedDict or any other annotation.

    Args:
        tp: the class or annotation. Its code is the user's, and may raise anything.
        name: as the user wrote it.

    Raises:
        SettingsError: it has no JSON Schema, or one that is no JSON.
    """
    from pydantic import TypeAdapter

    try:
        _refuse_functions(tp)
        adapter = TypeAdapter(tp)
        schema = adapter.json_schema(schema_generator=_generator())
        named = adapter.json_schema(by_alias=False, schema_generator=_generator())
        sent, key = _as_object(_copied(schema))
        wrapped = _wrapping_adapter(tp, key) if key else adapter
        shape = _shape(named)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a class may even raise SystemExit
        raise SettingsError(f"{short(name)} has no JSON Schema: {_type_reason(error)}") from error
    return AnswerSchema(short(name), sent, *shape, key, _TypeReader(adapter, wrapped, key))


def schema_of_dict(schema: Mapping[str, Any], name: str) -> AnswerSchema:
    """Return the schema of a JSON Schema, of the draft that its `$schema` names or 2020-12.

    Args:
        schema: as `json.loads` gives it. It is copied.
        name: as the user wrote it.

    Raises:
        SettingsError: it is no valid JSON Schema or no JSON, has a reference that leads nowhere
            or out of it, or one that never ends.
    """
    try:
        plain = _copied(schema)
        _refuse_invalid(plain)
        checked = plain if "$ref" in plain or not _kind(plain) else {"type": _kind(plain), **plain}
        validator = _validator(checked)
        sent, key = _as_object(checked)
        shape = _shape(plain)
    except Exception as error:  # a mapping of the user's own may raise anything
        words = str(error) if isinstance(error, _BadSchema) else _reason(error)
        raise SettingsError(f"{short(name)} is no valid JSON Schema: {words}") from error
    return AnswerSchema(short(name), sent, *shape, key, _DictReader(validator, key))


def array_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of a list of what a JSON Schema describes.

    Raises:
        SettingsError: the schema is no JSON.
    """
    try:
        return _nested(_copied(schema), ("items",), {"type": "array"})
    except _BadSchema as error:
        raise SettingsError(f"the items have no valid JSON Schema: {error}") from error


def is_json_schema(value: object) -> bool:
    """Return whether a value is a dict with some word of JSON Schema for a key."""
    return isinstance(value, dict) and any(isinstance(k, str) and k in _KEYWORDS for k in value)


class _BadSchema(Exception):
    """A schema is none; the message says why."""


def _copied(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as JSON has it: what the user does to theirs later changes nothing here."""
    try:
        copy: dict[str, Any] = json.loads(json.dumps(dict(schema), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise _BadSchema(f"it is no JSON ({short(str(error), _WORDS_CHARACTERS)})") from error
    except RecursionError as error:
        raise _BadSchema(f"it is {_TOO_DEEP}") from error
    return copy


def _as_object(schema: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """What is sent for a schema, and the key that its values are under there, "" for none."""
    root = _resolved(schema, schema)
    kind = _kind(root)
    if kind == "object":
        return {"type": "object", **root}, ""
    key = "items" if kind == "array" else "value"
    wrapping = {"type": "object", "required": [key], "additionalProperties": False}
    return _nested(root, ("properties", key), wrapping), key


def _nested(
    schema: dict[str, Any], path: tuple[str, ...], around: dict[str, Any]
) -> dict[str, Any]:
    """A schema inside of another; what it refers to is lifted to the root."""
    lifted = {key: schema[key] for key in _ROOT_KEYWORDS if key in schema}
    # Within an `$id` of its own the references would not reach the root.
    rest = {key: part for key, part in schema.items() if key not in (*_ROOT_KEYWORDS, "$id")}
    prefix = "#/" + "/".join(path)
    inner: Any = _moved(rest, prefix)
    for step in reversed(path):
        inner = {step: inner}
    order = {"type": around["type"], **inner, **around}
    return {**order, **{key: _moved(part, prefix) for key, part in lifted.items()}}


def _moved(part: Any, prefix: str) -> Any:
    """A part of a schema with its references to what has moved to `prefix`."""
    if isinstance(part, list):
        return [_moved(one, prefix) for one in part]
    if not isinstance(part, dict):
        return part
    moved = {key: _moved(one, prefix) for key, one in part.items()}
    reference = moved.get("$ref")
    if isinstance(reference, str) and re.match(r"#$|#/(?!(\$defs|definitions)/)", reference):
        moved["$ref"] = prefix + reference[1:]
    return moved


def _kind(schema: dict[str, Any]) -> str:
    """The `type` of a schema, or the one that its keywords are of; "" for several or none."""
    if "type" in schema:
        return schema["type"] if isinstance(schema["type"], str) else ""
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else ""


def _shape(schema: dict[str, Any]) -> tuple[tuple[str, ...], bool, bool]:
    """The columns, whether it is a list, and whether the columns are fields of objects."""
    root = _resolved(schema, schema)
    is_rows = _kind(root) == "array"
    items = root.get("items") if is_rows else root
    row = _resolved(items, schema) if isinstance(items, dict) else {}
    has_fields = _kind(row) == "object"
    return tuple(row.get("properties", ())) if has_fields else ("value",), is_rows, has_fields


def _resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """A schema with the one that it refers to in its place; as it is if that is elsewhere."""
    seen = set()
    while isinstance(reference := schema.get("$ref"), str) and reference not in seen:
        seen.add(reference)
        target = _pointed(document, reference)
        if not isinstance(target, dict):
            break
        schema = target | {key: part for key, part in schema.items() if key != "$ref"}
        schema |= {"$ref": target["$ref"]} if "$ref" in target else {}
    return schema


def _pointed(document: Any, reference: str) -> Any:
    """What a JSON Pointer (RFC 6901) in a document points to; None for nothing."""
    if reference != "#" and not reference.startswith("#/"):
        return None
    part = document
    with suppress(LookupError, TypeError, ValueError):
        for step in unquote(reference).split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            part = part[int(name)] if isinstance(part, list) else part[name]
        return part
    return None


# -- types, read by pydantic -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _TypeReader:
    adapter: TypeAdapter[Any]
    wrapping: TypeAdapter[Any]
    key: str

    def read(self, text: str, data: Any, *, is_wrapped: bool) -> Any:
        from pydantic import ValidationError

        try:
            if is_wrapped:
                return self.wrapping.validate_json(text)[self.key]
            return self.adapter.validate_json(text)
        except ValidationError as error:
            _refuse_answer(error, () if is_wrapped or not self.key else (self.key,))
        except Exception as error:  # the user's own validators run here
            raise _Misfit(_reason(error)) from error

    def write(self, value: Any, *, as_json: bool) -> Any:
        mode: Literal["json", "python"] = "json" if as_json else "python"
        # By their names in Python, as the columns are; of values of another type than they are
        # declared with pydantic would warn.
        return self.adapter.dump_python(value, mode=mode, by_alias=False, warnings=False)


def _refuse_answer(error: Any, place: tuple[str, ...]) -> NoReturn:
    first: ErrorDetails = error.errors(include_url=False, include_context=False)[0]
    message = short(first["msg"], _WORDS_CHARACTERS)
    if first["type"] == "json_invalid":  # what Python reads and pydantic does not
        is_deep = "recursion limit" in message
        raise _NoJson(_TOO_DEEP if is_deep else f"no JSON: {message}") from error
    got = "" if first["type"] == "missing" else f" (got {_kind_of_value(first['input'])})"
    raise _Misfit(f"{_place((*place, *first['loc']))}{message}{got}") from error


def _wrapping_adapter(tp: Any, key: str) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter
    from typing_extensions import TypedDict

    kind: Any = TypedDict
    return TypeAdapter(kind("Wrapped", {key: tp}))


def _refuse_functions(tp: Any) -> None:
    import inspect
    from functools import partial

    # To pydantic a function is the type of its arguments, and an answer would call it.
    if inspect.isroutine(tp) or isinstance(tp, partial):
        raise _BadSchema("it is a function; a class is expected")


def _type_reason(error: BaseException) -> str:
    from pydantic.errors import PydanticUserError

    if isinstance(error, _BadSchema):
        return str(error)
    if isinstance(error, RecursionError):
        return f"it is {_TOO_DEEP}"
    if isinstance(error, PydanticUserError):
        # What follows are ways out for those who write a library.
        return short(re.split(r"\. |\n", str(error.message), maxsplit=1)[0], _WORDS_CHARACTERS)
    return _reason(error)


@cache
def _generator() -> type[GenerateJsonSchema]:
    from pydantic.json_schema import GenerateJsonSchema
    from pydantic_core import PydanticSerializationError

    class Generator(GenerateJsonSchema):
        # A default that is no JSON is left out: the field need not be there all the same.
        ignored_warning_kinds = frozenset({"skipped-choice", "non-serializable-default"})  # type: ignore[assignment]

        def field_title_should_be_set(self, schema: Any) -> bool:
            return False  # "Name" for `name` tells a model nothing, and costs tokens

        def encode_default(self, dft: Any) -> Any:
            encoded = super().encode_default(dft)
            try:
                json.dumps(encoded, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise PydanticSerializationError(str(error)) from error
            return encoded

    return Generator


# -- JSON Schemas, read by jsonschema ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _DictReader:
    validator: Any
    key: str

    def read(self, text: str, data: Any, *, is_wrapped: bool) -> Any:
        value = data[self.key] if is_wrapped else data
        try:
            problem = next(self._problems(value), None)
        except RecursionError as error:
            raise _NoJson(_TOO_DEEP) from error
        except Exception as error:  # a pattern that Python does not read, for example
            raise _Misfit(_reason(error)) from error
        if problem is not None:
            raise _Misfit(problem)
        return value

    def write(self, value: Any, *, as_json: bool) -> Any:
        return value

    def _problems(self, value: Any) -> Iterator[str]:
        from jsonschema.exceptions import best_match  # type: ignore[import-untyped,unused-ignore]

        for error in self.validator.iter_errors(value):
            nearest = best_match((error,))  # of the choices of an `anyOf`, the one that was meant
            place = (self.key, *nearest.absolute_path) if self.key else nearest.absolute_path
            yield f"{_place(place)}{_jsonschema_words(nearest)}"


def _jsonschema_words(error: Any) -> str:
    """The message of a ValidationError, which begins with all of the value in many cases."""
    value = repr(error.instance)
    message: str = error.message
    if message.startswith(f"{value} "):
        return short(f"{_kind_of_value(error.instance)}{message[len(value) :]}", _WORDS_CHARACTERS)
    return short(message, _WORDS_CHARACTERS)


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


def _refuse_invalid(schema: dict[str, Any]) -> None:
    from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped,unused-ignore]

    if not is_json_schema(schema):
        raise _BadSchema("it has neither `type` nor `properties` nor any other word of one")
    try:
        _validator_class(schema).check_schema(schema)
    except SchemaError as error:
        first = error.context[0] if error.context else error
        words = f"{_place(first.absolute_path)}{_jsonschema_words(first)}"
        raise _BadSchema(words) from error
    except RecursionError as error:
        raise _BadSchema(f"it is {_TOO_DEEP}") from error
    _refuse_lost_or_endless(schema)


def _refuse_lost_or_endless(schema: dict[str, Any]) -> None:
    from graphlib import CycleError, TopologicalSorter

    try:
        TopologicalSorter(_in_place_edges(schema)).prepare()
    except CycleError as error:
        raise _BadSchema("it refers to itself without end") from error
    except RecursionError as error:
        raise _BadSchema(f"it is {_TOO_DEEP}") from error


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
                raise _BadSchema(f"nothing is at $ref {short(reference)!r}") from error
            edges[id(contents)].add(id(found.contents))
            waiting.append((dialect.create_resource(found.contents), found.resolver))
    return edges


def _applied_in_place(schema: dict[str, Any]) -> Iterator[Any]:
    for keyword in _IN_PLACE:
        part = schema.get(keyword)
        yield from part if isinstance(part, list) else [part] if part is not None else []


# -- answers -----------------------------------------------------------------------------------


class _NoJson(Exception):
    """An answer is no JSON; the message says why, after "it is"."""


class _Misfit(Exception):
    """An answer does not fit; the message is the first problem."""


def _find_json(text: str) -> tuple[str, Any]:
    """The JSON of an answer, as text and as its value."""
    source = json_text(text)
    try:
        return _load_in(source) if source is text else (source, _load(source))
    except RecursionError as error:
        raise _NoJson(_TOO_DEEP) from error
    except ValueError as error:
        reason = short(str(error), _WORDS_CHARACTERS) if source.strip() else "it is empty"
        raise _NoJson(f"no JSON: {reason}") from error


def _load_in(text: str) -> tuple[str, Any]:
    """The JSON of a text without a fence, which may have words around it."""
    try:
        return text, _load(text)
    except ValueError:
        start = re.search(r"[{[]", text)
        end = max(text.rfind("}"), text.rfind("]")) + 1
        inside = text[start.start() : end] if start else ""
        if not inside:
            raise
        # What is wrong with JSON that was cut off shows in all of it only.
        with suppress(ValueError) if text.lstrip()[0] in "{[" else nullcontext():
            return inside, _load(inside)
        raise


def _load(source: str) -> Any:
    value = json.loads(source, parse_constant=_refuse_number, parse_float=_finite)
    if _HALF.search(source):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError("it has half of a character") from error
    return value


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse_number(digits)


def _refuse_number(digits: str) -> NoReturn:
    raise ValueError(f"it has {short(digits)} for a number")


def _place(path: Iterable[str | int]) -> str:
    """Where a value is, as Python would write it: `items[3].name: `; "" for the root."""
    steps = (f"[{s}]" if isinstance(s, int) else f".{short(str(s))}" for s in path)
    place = short("".join(steps).removeprefix("."), _WORDS_CHARACTERS)
    return f"{place}: " if place else ""


def _kind_of_value(value: object) -> str:
    """A value of an answer for a message: short texts and numbers themselves."""
    if isinstance(value, str):
        return f"'{short(value)}'"
    if isinstance(value, dict | list | tuple):
        return "an object" if isinstance(value, dict) else "a list"
    with suppress(ValueError, TypeError):  # more digits than Python writes
        return short(json.dumps(value))
    return "a value of another kind"
