"""JSON Schemas as data: what of one is sent, and which fields it has.

JSON Schema: https://json-schema.org/draft/2020-12.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from glm_magic.api.line import REASON_CHARACTERS, TOO_DEEP, short
from glm_magic.errors import SettingsError

__all__ = [
    "BadSchema",
    "array_of",
    "as_object",
    "copied",
    "is_json_schema",
    "kind_of",
    "pointed",
    "shape_of",
]

# A dict without any of these allows everything: it is no schema, or a slip.
_KEYWORDS = frozenset(
    {"$ref", "$dynamicRef", "type", "properties", "items", "prefixItems", "required", "enum"}
    | {"anyOf", "oneOf", "allOf", "not", "if", "const", "additionalProperties", "patternProperties"}
)
# What all of a schema refers to, and so stays at the root of what is sent.
_ROOT_KEYWORDS = ("$schema", "$defs", "definitions")


class BadSchema(Exception):
    """A schema is none; the message says why."""


def is_json_schema(value: object) -> bool:
    """Return whether a value is a dict with some word of JSON Schema for a key."""
    return isinstance(value, dict) and any(isinstance(k, str) and k in _KEYWORDS for k in value)


def array_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of a list of what a JSON Schema describes.

    Raises:
        SettingsError: the schema is no JSON.
    """
    try:
        return _nested(copied(schema), ("items",), {"type": "array"})
    except BadSchema as error:
        raise SettingsError(f"the items have no valid JSON Schema: {error}") from error


def copied(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema as JSON has it: what the user does to theirs changes nothing here.

    Raises:
        BadSchema: it is no JSON, or nested too deep.
    """
    try:
        copy: dict[str, Any] = json.loads(json.dumps(dict(schema), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise BadSchema(f"it is no JSON ({short(str(error), REASON_CHARACTERS)})") from error
    except RecursionError as error:
        raise BadSchema(f"it is {TOO_DEEP}") from error
    return copy


def as_object(schema: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return what is sent for a schema, and the key of its values in there, "" for none."""
    root = _resolved(schema, schema)
    kind = kind_of(root)
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


def kind_of(schema: dict[str, Any]) -> str:
    """Return the `type` of a schema, or the one its keywords are of; "" for several or none."""
    if "type" in schema:
        return schema["type"] if isinstance(schema["type"], str) else ""
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else ""


def shape_of(schema: dict[str, Any]) -> tuple[tuple[str, ...], bool, bool]:
    """Return the columns, whether it is a list, and whether the columns are fields of objects."""
    root = _resolved(schema, schema)
    is_rows = kind_of(root) == "array"
    items = root.get("items") if is_rows else root
    row = _resolved(items, schema) if isinstance(items, dict) else {}
    has_fields = kind_of(row) == "object"
    return tuple(row.get("properties", ())) if has_fields else ("value",), is_rows, has_fields


def _resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """A schema with the one that it refers to in its place; as it is if that is elsewhere."""
    seen = set()
    while isinstance(reference := schema.get("$ref"), str) and reference not in seen:
        seen.add(reference)
        target = pointed(document, reference)
        if not isinstance(target, dict):
            break
        schema = target | {key: part for key, part in schema.items() if key != "$ref"}
        schema |= {"$ref": target["$ref"]} if "$ref" in target else {}
    return schema


def pointed(document: Any, reference: str) -> Any:
    """Return what a JSON Pointer (RFC 6901) in a document points to; None for nothing."""
    if reference != "#" and not reference.startswith("#/"):
        return None
    part = document
    with suppress(LookupError, TypeError, ValueError):
        for step in unquote(reference).split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            part = part[int(name)] if isinstance(part, list) else part[name]
        return part
    return None
