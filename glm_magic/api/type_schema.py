"""Types of Python as schemas of answers, and the answers to them, both read by pydantic."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from glm_magic.api.answer import Misfit, NoJson, place_words, value_words
from glm_magic.api.json_schema import BadSchema, as_object, copied
from glm_magic.api.line import REASON_CHARACTERS, TOO_DEEP, reason, short

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic.json_schema import GenerateJsonSchema
    from pydantic_core import ErrorDetails

__all__ = ["TypeReader", "prepare_type", "type_reason"]


@dataclass(frozen=True, slots=True)
class TypeReader:
    """Reads answers; what `wrapping` reads has its value under `key`, which may be ""."""

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
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # the user's own validators run here, and may even exit
            raise Misfit(reason(error)) from error

    def write(self, value: Any, *, as_json: bool) -> Any:
        mode: Literal["json", "python"] = "json" if as_json else "python"
        # By their names in Python, as the columns are; of values of another type than they are
        # declared with pydantic would warn.
        return self.adapter.dump_python(value, mode=mode, by_alias=False, warnings=False)


def prepare_type(tp: Any) -> tuple[dict[str, Any], dict[str, Any], TypeReader]:
    """Return the JSON Schema of a type as it is sent, the one with its names in Python, a reader.

    Whatever the code of the type raises passes through.

    Raises:
        BadSchema: it is a function, or its schema no JSON.
    """
    from pydantic import TypeAdapter

    _refuse_functions(tp)
    adapter = TypeAdapter(tp)
    schema = adapter.json_schema(schema_generator=_generator())
    named = adapter.json_schema(by_alias=False, schema_generator=_generator())
    sent, key = as_object(copied(schema))
    wrapping = _wrapping_adapter(tp, key) if key else adapter
    return sent, named, TypeReader(adapter, wrapping, key)


def _refuse_answer(error: Any, place: tuple[str, ...]) -> NoReturn:
    first: ErrorDetails = error.errors(include_url=False, include_context=False)[0]
    message = short(first["msg"], REASON_CHARACTERS)
    if first["type"] == "json_invalid":  # what Python reads and pydantic does not
        is_deep = "recursion limit" in message
        raise NoJson(TOO_DEEP if is_deep else f"no JSON: {message}") from error
    got = "" if first["type"] == "missing" else f" (got {value_words(first['input'])})"
    raise Misfit(f"{place_words((*place, *first['loc']))}{message}{got}") from error


def _wrapping_adapter(tp: Any, key: str) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter
    from typing_extensions import TypedDict

    kind: Any = TypedDict
    return TypeAdapter(kind("Wrapped", {key: tp}))


def _refuse_functions(tp: Any) -> None:
    # To pydantic a function is the type of its arguments, and an answer would call it.
    if inspect.isroutine(tp) or isinstance(tp, partial):
        raise BadSchema("it is a function; a class is expected")


def type_reason(error: BaseException) -> str:
    """Return why a type has no schema, from what `prepare_type` raised."""
    from pydantic.errors import PydanticUserError

    if isinstance(error, BadSchema):
        return str(error)
    if isinstance(error, RecursionError):
        return f"it is {TOO_DEEP}"
    if isinstance(error, PydanticUserError):
        # What follows are ways out for those who write a library.
        return short(re.split(r"\. |\n", str(error.message), maxsplit=1)[0], REASON_CHARACTERS)
    return reason(error)


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
