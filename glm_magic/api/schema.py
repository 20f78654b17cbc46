"""What a structured answer must look like, and the reading of an answer that should.

A type of Python is read by pydantic; a JSON Schema, which pydantic cannot read, by jsonschema_rs.
Neither fetches anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from glm_magic.api.answer import Misfit, NoJson, Reader, find_json
from glm_magic.api.dict_schema import prepare_dict
from glm_magic.api.json_schema import BadSchema, array_of, is_json_schema, shape_of
from glm_magic.api.line import reason, short
from glm_magic.api.type_schema import prepare_type, type_reason
from glm_magic.errors import ReplyError, SettingsError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "AnswerSchema",
    "array_of",
    "is_json_schema",
    "schema_of_dict",
    "schema_of_type",
    "short",
]


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
    _reader: Reader = field(repr=False)
    _made_by: tuple[Callable[..., AnswerSchema], tuple[Any, ...]] = field(repr=False)
    # The last text that was read, with its value or what is wrong with it. A type's own code is
    # asked once: it may be slow, or remember what it has seen.
    _memo: dict[str, Any] = field(default_factory=dict, repr=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AnswerSchema):
            return NotImplemented
        return (self.name, self.json_schema) == (other.name, other.json_schema)

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> tuple[Callable[..., AnswerSchema], tuple[Any, ...]]:
        """Let a copy, also in another process, be made of what this was made of."""
        return self._made_by

    def made_by(self, make: Callable[..., AnswerSchema], *args: Any) -> AnswerSchema:
        """Return the same schema, whose copies are made in another way."""
        return replace(self, _made_by=(make, args))

    @property
    def wire_columns(self) -> tuple[str, ...]:
        """The names that the fields have in the JSON of an answer: aliases, where there are any."""
        schema = self.json_schema
        inner = schema["properties"][self._key] if self._key else schema
        rest = {name: part for name, part in schema.items() if name not in inner}
        return shape_of({**rest, **inner})[0] if self._has_fields else self.columns

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
        except NoJson as error:
            raise ReplyError(f"the answer is {error}") from error.__cause__
        except Misfit as error:
            raise ReplyError(f"the answer does not fit {self.name}: {error}") from error.__cause__

    def problem(self, text: str) -> str:
        """Return what is wrong with an answer, the first problem only; "" if nothing is."""
        try:
            self._fitting(text)
        except NoJson as error:
            return f"it is {error}"
        except Misfit as error:
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
            names = list(dict.fromkeys(chain(self.columns, *rows)))
            columns = {name: _column([row.get(name) for row in rows]) for name in names}
            return pd.DataFrame(columns, columns=names)
        return pd.DataFrame({"value": _column(rows)})

    def _written(self, text: str, *, as_json: bool) -> Any:
        value = self.read(text)
        try:
            return self._reader.write(value, as_json=as_json)
        except Exception as error:  # the user's own serializers run here
            raise ReplyError(
                f"the answer fits {self.name}, but cannot be written as data: {reason(error)}"
            ) from error

    def _fitting(self, text: str) -> Any:
        if text not in self._memo:
            self._memo.clear()
            self._memo[text] = Misfit("its reading was stopped")
            self._memo[text] = self._read_anew(text)
        found = self._memo[text]
        if isinstance(found, NoJson | Misfit):
            raise found
        return found

    def _read_anew(self, text: str) -> Any:
        """The value, or what is wrong: of several pieces of JSON the last that fits."""
        problem: Exception | None = None
        try:
            for source, data in find_json(text):
                try:
                    return self._read_json(source, data)
                except Misfit as error:
                    problem = problem or error
        except NoJson as error:
            problem = problem or error
        return problem

    def _read_json(self, source: str, data: Any) -> Any:
        # Wrapped is what has this key alone: a value of its own may have such a field too.
        is_wrapped = bool(self._key) and isinstance(data, dict) and data.keys() == {self._key}
        try:
            return self._reader.read(source, data, is_wrapped=is_wrapped)
        except Misfit:
            if is_wrapped:
                with suppress(Misfit):
                    return self._reader.read(source, data, is_wrapped=False)
            raise


def _column(values: list[Any]) -> Any:
    """The values of a column as pandas takes them: whole numbers stay whole where some miss."""
    import pandas as pd

    there = [value for value in values if value is not None]
    is_whole = bool(there) and all(type(value) is int for value in there)
    if not is_whole or len(there) == len(values):
        return values
    fits = all(-(2**63) <= value < 2**63 for value in there)
    return pd.array(values, dtype="Int64") if fits else pd.Series(values, dtype="object")


def schema_of_type(tp: Any, name: str) -> AnswerSchema:
    """Return the schema of a pydantic model, dataclass, TypedDict or any other annotation.

    Args:
        tp: the class or annotation. Its code is the user's, and may raise anything.
        name: as the user wrote it.

    Raises:
        SettingsError: it has no JSON Schema, or one that is no JSON.
    """
    try:
        sent, named, reader = prepare_type(tp)
        shape = shape_of(named)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a class may even raise SystemExit
        raise SettingsError(f"{short(name)} has no JSON Schema: {type_reason(error)}") from error
    made_by = (schema_of_type, (tp, name))
    return AnswerSchema(short(name), sent, *shape, reader.key, reader, made_by)


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
        sent, plain, reader = prepare_dict(schema)
        shape = shape_of(plain)
    except Exception as error:  # a mapping of the user's own may raise anything
        words = str(error) if isinstance(error, BadSchema) else reason(error)
        raise SettingsError(f"{short(name)} is no valid JSON Schema: {words}") from error
    made_by = (schema_of_dict, (plain, name))
    return AnswerSchema(short(name), sent, *shape, reader.key, reader, made_by)
