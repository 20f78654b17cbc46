"""`--schema TEXT`: names of the notebook, lists of them, JSON Schemas and the short form."""

import types
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from typing_extensions import TypedDict

from glm_magic.errors import SettingsError
from glm_magic.session.schemas import find_schema


class Person(BaseModel):
    name: str
    year: int


@dataclass
class Point:
    x: float


class Book(TypedDict):
    title: str


class Broken(BaseModel):
    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> Any:
        raise RuntimeError("no\nway")


class Hostile(type):
    def __getattr__(cls, name: str) -> Any:
        raise RuntimeError("do not ask")


class Haunted(metaclass=Hostile):
    pass


PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "year": {"$ref": "#/$defs/year"}},
    "$defs": {"year": {"type": "integer"}},
}
NAMESPACE: dict[str, Any] = {
    "Person": Person,
    "Point": Point,
    "Book": Book,
    "Broken": Broken,
    "Haunted": Haunted,
    "_Person_": Person,
    "people": list[Person],
    "answer": Literal["yes", "no"],
    "person": PERSON,
    "fields": "name, year int",
    "rows": "[name, year int]",
    "again": "fields",
    "blank": " ",
    "models": types.SimpleNamespace(Person=Person),
    "ada": Person(name="Ada", year=1815),
    "n": 5,
    "f": lambda: 1,
    "nothing": None,
    "pytest": pytest,
    "data": {"name": "Ada"},
}


def refusal(text: str) -> str:
    with pytest.raises(SettingsError) as raised:
        find_schema(text, NAMESPACE)
    line = str(raised.value)
    assert line.isprintable() and len(line) < 500
    return line


def properties(text: str) -> dict[str, Any]:
    schema: dict[str, Any] = find_schema(text, NAMESPACE).json_schema["properties"]
    return schema


@pytest.mark.parametrize(
    ("text", "columns", "is_rows"),
    [
        ("Person", ("name", "year"), False),
        ("  Person\n", ("name", "year"), False),
        ("models.Person", ("name", "year"), False),
        ("Point", ("x",), False),
        ("Book", ("title",), False),
        ("people", ("name", "year"), True),
        ("answer", ("value",), False),
        ("person", ("name", "year"), False),
        ("fields", ("name", "year"), False),
        ("rows", ("name", "year"), True),
        ("list[Person]", ("name", "year"), True),
        ("[Person]", ("name", "year"), True),
        ("[ models.Person ]", ("name", "year"), True),
        ("list[person]", ("name", "year"), True),
        ("[fields]", ("name", "year"), True),
        ("[[Person]]", ("value",), True),
        ("[str]", ("value",), True),
        ("int", ("value",), False),
        ("Person?", ("value",), False),
        ('{"type": "object", "properties": {"a": {}}}', ("a",), False),
        ('[{"type": "object", "properties": {"a": {}}}]', ("a",), True),
        ("name, year int", ("name", "year"), False),
        ("[name, year int]", ("name", "year"), True),
        ("list[name, year int]", ("name", "year"), True),
        ("name str", ("name",), False),
        ("name: of the person", ("name",), False),
        ("姓名，出生年份 int：公历", ("姓名", "出生年份"), False),
        ("first-name, n_2 int", ("first-name", "n_2"), False),
    ],
)
def test_a_text_means_a_schema(text: str, columns: tuple[str, ...], is_rows: bool) -> None:
    schema = find_schema(text, NAMESPACE)
    assert (schema.columns, schema.is_rows) == (columns, is_rows)
    assert schema.name == text.strip()


def test_a_model_gives_its_instances() -> None:
    rows = find_schema("[Person]", NAMESPACE).read('[{"name": "Ada", "year": 1815}]')
    assert rows == [Person(name="Ada", year=1815)]


def test_a_list_of_a_json_schema_keeps_its_definitions() -> None:
    schema = find_schema("[person]", NAMESPACE)
    assert schema.json_schema["$defs"] == {"year": {"type": "integer"}}
    assert schema.problem('[{"year": "x"}]') == "items[0].year: 'x' is not of type 'integer'"


def test_the_short_form_gives_plain_dicts() -> None:
    schema = find_schema(
        "name, born date?, seen datetime, tags list[str], by Person", {**NAMESPACE}
    )
    text = (
        '{"name": "Ada", "born": null, "seen": "2026-11-09T10:00:00", "tags": ["a"],'
        ' "by": {"name": "Bo", "year": 1900}, "more": 1}'
    )
    assert schema.read(text) == {
        "name": "Ada",
        "born": None,
        "seen": datetime(2026, 11, 9, 10),
        "tags": ["a"],
        "by": Person(name="Bo", year=1900),
    }


@pytest.mark.parametrize(
    ("word", "schema"),
    [
        ("str", {"type": "string"}),
        ("int", {"type": "integer"}),
        ("float", {"type": "number"}),
        ("bool", {"type": "boolean"}),
        ("date", {"type": "string", "format": "date"}),
        ("datetime", {"type": "string", "format": "date-time"}),
        ("dict", {"type": "object", "additionalProperties": True}),
        ("list", {"type": "array", "items": {}}),
        ("any", {}),
        ("list[int]", {"type": "array", "items": {"type": "integer"}}),
        ("[int]", {"type": "array", "items": {"type": "integer"}}),
        ("dict[str, int]", {"type": "object", "additionalProperties": {"type": "integer"}}),
        ("int?", {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (
            "list[int?]",
            {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
        ),
        ("Person", {"$ref": "#/$defs/Person"}),
        ("models.Person", {"$ref": "#/$defs/Person"}),
        ("answer", {"type": "string", "enum": ["yes", "no"]}),
    ],
)
def test_a_field_has_a_type(word: str, schema: dict[str, Any]) -> None:
    assert properties(f"a {word}, b")["a"] == schema


@pytest.mark.parametrize("word", ["int", "list[str]", "dict[str, int]", "date?", "Person"])
def test_a_type_may_stand_behind_a_colon_as_in_python(word: str) -> None:
    assert properties(f"a: {word}, b: text") == properties(f"a {word}, b: text")


def test_a_description_that_is_no_type_is_a_description() -> None:
    for words in ("list of names", "int or so", "[m/s]", "n", "itn"):
        assert properties(f"a: {words}")["a"] == {"type": "string", "description": words}


def test_the_short_form_is_sent_closed_and_all_of_it_is_required() -> None:
    assert find_schema("name: in full, year int?", {}).json_schema == {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "in full"},
            "year": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        },
        "required": ["name", "year"],
        "additionalProperties": False,
    }
    assert find_schema("name, year int?", {}).problem('{"name": "a"}') == "year: Field required"


def test_a_description_may_have_brackets_and_colons() -> None:
    fields = properties("a: see (x, y): z, b int")
    assert fields["a"] == {"type": "string", "description": "see (x, y): z"}
    assert list(fields) == ["a", "b"]


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("int", '"1815"', "true"),
        ("float", "1", "false"),
        ("float", '"1.5"', '"inf"'),
        ("float", "2.5", '"NaN"'),
        ("bool", "true", "1"),
        ("bool", "false", '"yes"'),
        ("date", '"2026-11-25"', "0"),
        ("datetime", '"2026-11-25T08:00:00Z"', "1969"),
        ("datetime", '"2026-11-25 08:00:00"', '"1969"'),
    ],
)
def test_what_is_of_another_kind_does_not_fit(field: str, good: str, bad: str) -> None:
    schema = find_schema(f"x {field}, y", {})
    assert schema.problem(f'{{"x": {good}, "y": ""}}') == ""
    assert schema.problem(f'{{"x": {bad}, "y": ""}}').startswith("x: Input should be")


def test_fields_of_fields_are_told_apart() -> None:
    schema = find_schema("作者 [name str], 译者 [name, born int]", {})
    assert schema.problem('{"作者": [{"name": "a"}], "译者": [{"name": "b"}]}') == (
        "译者[0].born: Field required"
    )
    assert len(schema.json_schema["$defs"]) == 2


def test_fields_may_have_fields() -> None:
    schema = find_schema("title, authors list[name, born int]", {})
    assert schema.problem('{"title": "a", "authors": [{"name": "b"}]}') == (
        "authors[0].born: Field required"
    )


def test_words_of_types_mean_types_whatever_the_notebook_calls_so() -> None:
    namespace = {"date": "2026-11-09", "list": [1], "Person": Person}
    read = find_schema("day date, names list[str]", namespace).read(
        '{"day": "2026-11-09", "names": []}'
    )
    assert read == {"day": date(2026, 11, 9), "names": []}


def test_a_lone_word_that_nobody_knows_is_no_field() -> None:
    assert refusal("Persn") == (
        "no 'Persn' in the notebook; did you mean 'Person'? "
        "a single field of text is written 'Persn str'"
    )
    assert refusal("zzz") == (
        "no 'zzz' in the notebook; a single field of text is written 'zzz str'"
    )


def test_only_what_could_be_a_schema_is_suggested() -> None:
    namespace = {"number": 5, "data": {"name": "Ada"}, "_Person": Person, "persons": [Person]}
    for text in ("numbr", "dat", "Person"):
        with pytest.raises(SettingsError, match=f"^no '{text}' in the notebook; a single field"):
            find_schema(text, namespace)
    assert "did you mean 'person'?" in refusal("perso")


def test_a_slip_in_a_type_is_told_with_its_field() -> None:
    assert refusal("name, year itn") == (
        "unknown type 'itn' of 'year'; did you mean 'int'? types are str, int, float, bool, date, "
        "datetime, dict, list, any, list[T], dict[str, T], T? and names of models"
    )
    assert refusal("by Persn").startswith("unknown type 'Persn' of 'by'; did you mean 'Person'? ")


EXPECTED = "a model, dataclass, TypedDict, JSON Schema or text such as 'name, year int' is expected"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", f"the schema has no text; {EXPECTED}"),
        (" \n", f"the schema has no text; {EXPECTED}"),
        ("blank", f"'blank' is an empty text; {EXPECTED}"),
        ("again", "'fields' is a text, named in a text; write it out"),
        ("n", f"'n' is of type int; {EXPECTED}"),
        ("f", f"'f' is a function; {EXPECTED}"),
        ("ada", f"'ada' is of type Person; {EXPECTED}"),
        ("nothing", f"'nothing' is None; {EXPECTED}"),
        ("pytest", f"'pytest' is a module; {EXPECTED}"),
        ("list[n]", f"'n' is of type int; {EXPECTED}"),
        ("a n", f"'n' is of type int; {EXPECTED}"),
        ("models.Persn", "no 'Persn' in 'models.Persn'; did you mean 'Person'?"),
        ("Broken", "Broken has no JSON Schema: RuntimeError: no way"),
        ("[name, year int", "nothing closes the [ in '[name, year int'"),
        ("name, year int]", "nothing opens the ] in 'name, year int]'"),
        ("name (a, b", "nothing closes the ( in 'name (a, b'"),
        ("[name)", "nothing opens the ) in '[name)'"),
        ("[]", "'[]' has nothing in its brackets"),
        ("a list[ ]", "'list[ ]' has nothing in its brackets"),
        ("name, year int, name", "the field 'name' is there twice"),
        (
            "name int extra",
            "'name int extra' is no field: `name type: description` is expected, "
            "with a comma after each field",
        ),
        ("name,", "a field has no name; letters, digits, _ and - are expected"),
        ("a.b, c", "'a.b' is no name of a field; letters, digits, _ and - are expected"),
        ("a ?", "'?' has no type before the ?"),
        ("dict[int, str]", "'dict[int, str]' is no type; dict[str, T] is expected"),
        ("a dict[str]", "'dict[str]' is no type; dict[str, T] is expected"),
        ("person?", "'person?' is a JSON Schema; only a type takes a ?"),
        ("a person", "'person' of 'a' is a JSON Schema; a field has a type"),
        ("[" * 3000, "brackets are nested deeper than 20"),
        (
            "{'type': 'object'}",
            "the JSON Schema '{'type': 'object'}' is no JSON: "
            "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
    ],
)
def test_what_means_nothing_is_refused_in_one_line(text: str, line: str) -> None:
    assert refusal(text) == line


@pytest.mark.parametrize("text", ["set[int]", "1.5", "a b[c]", "a +", "a __import__('os')"])
def test_what_is_no_type_is_refused_with_the_types_there_are(text: str) -> None:
    assert refusal(text).startswith("unknown type '")


def test_a_dict_that_is_no_json_schema_is_refused_by_its_name() -> None:
    assert refusal("data").startswith("data is no valid JSON Schema: it has neither `type` nor")
    assert refusal('{"type": "objct"}').startswith(
        """{"type": "objct"} is no valid JSON Schema: type: 'objct' is not one of 'array', """
    )


def test_a_module_gives_its_classes() -> None:
    import datetime as module

    assert find_schema("[dt.date]", {"dt": module}).read('["2026-11-09"]') == [date(2026, 11, 9)]


names = st.text("abcz名_", min_size=1, max_size=6)
kinds = st.sampled_from(["str", "int?", "list[str]", "dict[str, int]", "Person", "[x, y int]"])


@given(st.dictionaries(names, kinds, min_size=2, max_size=6))
def test_fields_keep_their_order(fields: dict[str, str]) -> None:
    text = ", ".join(f"{name} {kind}" for name, kind in fields.items())
    assert find_schema(text, NAMESPACE).columns == tuple(fields)
    assert find_schema(f"[{text}]", NAMESPACE).columns == tuple(fields)


@given(st.text() | st.text('[](){},:? \n"abPerson.int') | st.text("[]?, :astrint"))
def test_any_text_is_a_schema_or_refused_in_one_line(text: str) -> None:
    try:
        schema = find_schema(text, NAMESPACE)
    except SettingsError as error:
        assert str(error).isprintable()
    else:
        assert schema.json_schema["type"] == "object"
