"""What `--schema TEXT` means in a notebook: a name, a list of it, JSON Schema, or a short form.

The short form is `name [type] [: description], ...`. Nothing is evaluated: names are looked up.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import typing
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

from glm_magic.api.schema import (
    AnswerSchema,
    array_of,
    is_json_schema,
    schema_of_dict,
    schema_of_type,
    short,
)
from glm_magic.errors import SettingsError
from glm_magic.session.names import did_you_mean

__all__ = ["find_schema"]

_TYPES = ("str", "int", "float", "bool", "date", "datetime", "dict", "list", "any")
_TYPE_RULE = f"types are {', '.join(_TYPES)}, list[T], dict[str, T], T? and names of models"
_EXPECTED = "a model, dataclass, TypedDict, JSON Schema or text such as 'name, year int'"

_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_FIELD = re.compile(r"\w[\w-]*")
# Chinese punctuation separates as well.
_COMMAS, _COLONS, _BLANKS = ",，", ":：", " \t\r\n"
_CLOSING = {"]": "[", ")": "(", "}": "{"}
_FIELDS = re.compile(r"[\s,，:：]")
_NAMES = re.compile(r"[^\W\d]\w*")
_DIGITS = re.compile(r"[-+]?\d+(\.\d*)?")
# More than any answer needs, and far from the depth that Python and pydantic give up at.
_LIMIT_DEPTH = 20


def find_schema(text: str, namespace: Mapping[str, Any]) -> AnswerSchema:
    """Return what an answer must look like by the text of `--schema`.

    - `Person`, `module.Person`: a pydantic model, dataclass, TypedDict or other annotation, a
      dict that is a JSON Schema, or a text that is any other of these forms.
    - `list[Person]`, `[Person]`: a list of them.
    - `{"type": ...`: a JSON Schema.
    - `name, year int: of birth, tags list[str]`: an object of these fields, text without a type;
      `[name, year int]` is a list of such. A type with `?` may be null. Values are dicts.

    Args:
        text: as the user wrote it.
        namespace: the variables of the notebook; code of theirs may run, and raise anything.

    Raises:
        SettingsError: the text is none of these forms, a name is unknown or means something else,
            or what it means has no valid JSON Schema.
    """
    words = text.strip()
    if not words:
        raise SettingsError(f"the schema has no text; {_EXPECTED} is expected")
    meaning = _Notebook(namespace).meaning(words)
    if isinstance(meaning, _JsonSchema):
        return schema_of_dict(meaning.schema, words)
    schema = schema_of_type(meaning, words)
    if not _FIELDS.search(words):
        return schema
    # The type of fields in short has no name that a copy could find it by.
    used = {name: namespace[name] for name in _NAMES.findall(words) if name in namespace}
    return schema.made_by(find_schema, words, used)


@dataclass(frozen=True, slots=True)
class _JsonSchema:
    """A schema that is no type of Python."""

    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Notebook:
    """The names that a schema may use.

    Attributes:
        namespace: the notebook's variables.
        follows_text: whether a name may hold a text to be read in turn: a text in a text may not.
    """

    namespace: Mapping[str, Any]
    follows_text: bool = True

    def meaning(self, text: str, of: str = "") -> Any:
        """A type or a `_JsonSchema`. `of` is the field that it is the type of, if any."""
        if text.startswith("{"):
            return _parse_json_schema(text)
        parts = [part.strip() for part in _split(text, _COMMAS)]
        if len(parts) > 1 or len(list(_split(text, _COLONS + _BLANKS))) > 1:
            return self._record(parts, of or "Answer")
        return self._type(text, of)

    # -- the short form

    def _record(self, parts: list[str], title: str) -> Any:
        fields: dict[str, tuple[Any, str]] = {}
        for part in parts:
            name, tp, description = self._field(part)
            if name in fields:
                raise SettingsError(f"the field '{short(name)}' is there twice")
            fields[name] = tp, description
        return _typed_dict(title, fields)

    def _field(self, part: str) -> tuple[str, Any, str]:
        head, *rest = _split(part, _COLONS, most=1)
        description = rest[0].strip() if rest else ""
        name, *words = [word for word in _split(head, _BLANKS) if word] or [""]
        if len(words) > 1:
            raise SettingsError(
                f"'{short(part)}' is no field: `name type: description` is expected, "
                "with a comma after each field"
            )
        if _FIELD.fullmatch(name) is None:
            what = f"'{short(name)}' is no name of a field" if part else "a field has no name"
            raise SettingsError(f"{what}; letters, digits, _ and - are expected")
        if not words and self._is_type(description):  # `name: str`, as in Python
            return name, self._field_type(description, name), ""
        return name, self._field_type(words[0] if words else "str", name), description

    def _is_type(self, text: str) -> bool:
        """Whether a text without blanks is a type: words for a description are seldom one."""
        word = re.split(r"[\[?]", text, maxsplit=1)[0]
        if len(list(_split(text, _BLANKS))) > 1:
            return False
        return word in _TYPES or (word in self.namespace and _is_usable(self.namespace[word]))

    def _field_type(self, text: str, of: str) -> Any:
        meaning = self._type(text, of)
        if isinstance(meaning, _JsonSchema):
            raise SettingsError(
                f"'{short(text)}' of '{short(of)}' is a JSON Schema; a field has a type"
            )
        return meaning

    # -- types

    def _type(self, text: str, of: str) -> Any:
        word = text.rstrip("?").strip()
        if not word:
            raise SettingsError(f"'{short(text)}' has no type before the ?")
        meaning = self._subscript(word, of) if word.endswith("]") else self._word(word, of)
        if word == text:
            return meaning
        if isinstance(meaning, _JsonSchema):
            raise SettingsError(f"'{short(text)}' is a JSON Schema; only a type takes a ?")
        # Some annotations do not take `|`.
        return typing.Optional[meaning]  # noqa: UP045

    def _subscript(self, text: str, of: str) -> Any:
        head, _, inside = (part.strip() for part in text[:-1].partition("["))
        if head not in ("", "list", "dict"):
            self._refuse_type(text, of)
        if head == "dict":
            return dict[str, self._dict_value(text, inside, of)]  # type: ignore[misc]
        if not inside:
            raise SettingsError(f"'{short(text)}' has nothing in its brackets")
        return _list_of(self.meaning(inside, of))

    def _dict_value(self, text: str, inside: str, of: str) -> Any:
        key, *value = [part.strip() for part in _split(inside, _COMMAS)]
        if key != "str" or len(value) != 1:
            raise SettingsError(f"'{short(text)}' is no type; dict[str, T] is expected")
        return self._field_type(value[0], of)

    def _word(self, word: str, of: str) -> Any:
        if word in _TYPES:
            return _types()[word]
        if _NAME.fullmatch(word) is None:
            self._refuse_type(word, of)
        first, *attributes = word.split(".")
        if first not in self.namespace:
            self._refuse_name(word, of)
        value = self.namespace[first]
        for attribute in attributes:
            value = _attribute(value, attribute, word)
        return self._value(value, word)

    def _value(self, value: Any, name: str) -> Any:
        if isinstance(value, str):
            return self._text(value.strip(), name)
        if isinstance(value, Mapping):
            return _JsonSchema(value)
        if not _is_annotation(value):
            raise SettingsError(f"'{short(name)}' is {_kind(value)}; {_EXPECTED} is expected")
        return value

    def _text(self, text: str, name: str) -> Any:
        if not self.follows_text:
            raise SettingsError(f"'{short(name)}' is a text, named in a text; write it out")
        if not text:
            raise SettingsError(f"'{short(name)}' is an empty text; {_EXPECTED} is expected")
        return _Notebook(self.namespace, follows_text=False).meaning(text)

    # -- what is none

    def _refuse_type(self, word: str, of: str) -> NoReturn:
        where = f" of '{short(of)}'" if of else ""
        near = did_you_mean(word, _TYPES) or did_you_mean(word, self._usable())
        raise SettingsError(f"unknown type '{short(word)}'{where}{_with(near, _TYPE_RULE)}")

    def _refuse_name(self, word: str, of: str) -> NoReturn:
        if of:
            self._refuse_type(word, of)
        near = did_you_mean(word, self._usable())
        advice = "" if "." in word else f"a single field of text is written '{short(word)} str'"
        raise SettingsError(f"no '{short(word)}' in the notebook{_with(near, advice)}")

    def _usable(self) -> list[str]:
        """Public names that mean a schema."""
        return [
            name
            for name, value in self.namespace.items()
            if not name.startswith("_") and _is_usable(value)
        ]


def _with(near: str, advice: str) -> str:
    """Advice behind the question that `did_you_mean` puts, if it puts one."""
    return f"{near or ';'} {advice}" if advice else near


def _split(text: str, separators: str, most: int | None = None) -> Iterator[str]:
    """Yield what stands between separators outside of brackets, at most `most` of them."""
    opened: list[str] = []
    start = count = 0
    for place, letter in enumerate(text):
        if letter in _CLOSING.values():
            opened.append(letter)
        elif letter in _CLOSING and (not opened or opened.pop() != _CLOSING[letter]):
            raise SettingsError(f"nothing opens the {letter} in '{short(text)}'")
        elif letter in separators and not opened and count != most:
            yield text[start:place]
            start, count = place + 1, count + 1
        if len(opened) > _LIMIT_DEPTH:
            raise SettingsError(f"brackets are nested deeper than {_LIMIT_DEPTH}")
    if opened:
        raise SettingsError(f"nothing closes the {opened[-1]} in '{short(text)}'")
    yield text[start:]


def _parse_json_schema(text: str) -> _JsonSchema:
    try:
        schema: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = short(str(error), 200)
        raise SettingsError(f"the JSON Schema '{short(text)}' is no JSON: {reason}") from error
    return _JsonSchema(schema)


def _list_of(meaning: Any) -> Any:
    if isinstance(meaning, _JsonSchema):
        return _JsonSchema(array_of(meaning.schema))
    return list[meaning]


def _typed_dict(title: str, fields: Mapping[str, tuple[Any, str]]) -> Any:
    from pydantic import ConfigDict, Field
    from typing_extensions import TypedDict

    annotations = {
        name: typing.Annotated[tp, Field(description=description)] if description else tp
        for name, (tp, description) in fields.items()
    }
    make: Any = TypedDict
    made = make(title, annotations)
    made.__pydantic_config__ = ConfigDict(json_schema_extra=_close)
    return made


def _close(schema: dict[str, Any]) -> None:
    """Ask for these fields only: the grammar that a server makes of it is strict then."""
    schema.pop("title", None)  # the name of a field, or ours
    schema["additionalProperties"] = False


@cache
def _types() -> Mapping[str, Any]:
    from datetime import date, datetime

    from pydantic import BeforeValidator, Field, Strict

    number, time = BeforeValidator(_not_a_bool), BeforeValidator(_not_a_number)
    return {
        "str": str,
        # "1815" is a number to us, true is none.
        "int": typing.Annotated[int, number],
        "float": typing.Annotated[float, Field(allow_inf_nan=False), number],
        "bool": typing.Annotated[bool, Strict()],
        "date": typing.Annotated[date, time],
        "datetime": typing.Annotated[datetime, time],
        "dict": dict[str, Any],
        "list": list[Any],
        "any": Any,
    }


def _not_a_bool(value: object) -> object:
    from pydantic_core import PydanticCustomError

    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "Input should be a number")
    return value


def _not_a_number(value: object) -> object:
    """Refuse a year for a point in time: pydantic takes numbers for seconds since 1970."""
    from pydantic_core import PydanticCustomError

    if _DIGITS.fullmatch(str(value).strip()):
        raise PydanticCustomError("date_type", "Input should be a date as 2026-11-25")
    return value


def _attribute(value: Any, attribute: str, name: str) -> Any:
    try:
        return getattr(value, attribute)
    except Exception as error:  # a property of the user's own may run here
        raise SettingsError(
            f"no '{attribute}' in '{short(name)}'{did_you_mean(attribute, _public(value))}"
        ) from error


def _public(value: Any) -> list[str]:
    with suppress(Exception):
        return [name for name in vars(value) if not name.startswith("_")]
    return []


def _is_annotation(value: Any) -> bool:
    """Whether pydantic may be asked what a value means; it alone knows whether it can."""
    if isinstance(value, type | typing.NewType) or value is Any:
        return True
    # By its name: there is one of Python's, since 3.12, and one of typing_extensions.
    return typing.get_origin(value) is not None or type(value).__name__ == "TypeAliasType"


def _is_usable(value: Any) -> bool:
    """Whether a value is a schema at first sight; no code of the user's is called for it."""
    from typing_extensions import is_typeddict

    with suppress(Exception):
        if isinstance(value, type):
            is_model = hasattr(value, "__pydantic_validator__") or dataclasses.is_dataclass(value)
            return is_model or is_typeddict(value)
        return is_json_schema(value) or typing.get_origin(value) is not None
    return False


def _kind(value: object) -> str:
    """What a value is, for those who named it by mistake."""
    if value is None:
        return "None"
    if inspect.ismodule(value):
        return "a module"
    if inspect.isroutine(value):
        return "a function"
    return f"of type {short(type(value).__name__)}"
