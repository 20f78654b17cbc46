"""Arguments as a model writes them, read as a function of the notebook takes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

from glm_magic.api.line import REASON_CHARACTERS, reason, short

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

__all__ = ["ArgumentsError", "read_arguments"]


class ArgumentsError(ValueError):
    """A model wrote arguments that a function does not take; the message is one line."""


def read_arguments(adapter: TypeAdapter[dict[str, Any]], text: str) -> dict[str, Any]:
    """Return arguments by their names, as the types of the parameters have them.

    Args:
        text: a JSON object as the model wrote it; "" and "null" are none.

    Raises:
        ArgumentsError: it is no JSON object, or does not fit; the first problem is named.
    """
    return _read(adapter, _object_text(text))


def _object_text(arguments: str) -> str:
    """The JSON text of an object; with the words of the standard library where it is none."""
    if not arguments.strip():
        return "{}"
    try:
        value = json.loads(arguments, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ArgumentsError("the arguments are no JSON: they are nested too deep") from error
    except ValueError as error:
        why = short(str(error), REASON_CHARACTERS)
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
        raise ArgumentsError(f"the arguments cannot be read: {reason(error)}") from error


def _problem(error: ValidationError) -> str:
    """The first problem: where it is, what it is, and what stands there."""
    first = error.errors(include_url=False)[0]
    place = short(".".join(map(str, first["loc"])))
    message = short(first["msg"].partition(", unable to parse")[0], REASON_CHARACTERS)
    if not place:
        return f"the arguments are no JSON: {message.removeprefix('Invalid JSON: ')}"
    if first["type"] == "extra_forbidden":
        return f"{place}: there is no such argument"
    if first["type"] == "missing":
        return f"{place}: {message}"
    return f"{place}: {message} (got {_shown(first['input'])})"


def _shown(value: object) -> str:
    try:
        return short(repr(value))
    except (RecursionError, ValueError):  # deep, or a number of thousands of digits
        return f"a {type(value).__name__}"
