"""What a structured answer must look like: what is sent, what is read, what is refused."""

import json
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel, field_validator
from typing_extensions import TypedDict

from glm_magic.api.schema import AnswerSchema, array_of, schema_of_dict, schema_of_type
from glm_magic.errors import ReplyError, SettingsError


class Person(BaseModel):
    name: str
    year: int


class Node(BaseModel):
    label: str
    children: list["Node"] = []


class Event(BaseModel):
    day: date = Field(alias="Day")
    note: str | None = None


class People(RootModel[list[Person]]):
    pass


@dataclass
class Point:
    x: float
    y: float = float("nan")


class Book(TypedDict):
    title: str


PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "year": {"type": "integer"}},
    "required": ["name", "year"],
}
ONE = schema_of_type(Person, "Person")
MANY = schema_of_type(list[Person], "list[Person]")
ONE_DICT = schema_of_dict(PERSON, "person")
MANY_DICT = schema_of_dict(array_of(PERSON), "people")
ADA = '{"name": "Ada", "year": 1815}'
MANY_OF_BOTH_KINDS = pytest.mark.parametrize("schema", [MANY, MANY_DICT], ids=["type", "dict"])
ALL = pytest.mark.parametrize("schema", [ONE, MANY, ONE_DICT, MANY_DICT], ids=lambda s: s.name)


def refusal(schema: AnswerSchema, text: str) -> str:
    """The one line that says what is wrong with an answer."""
    with pytest.raises(ReplyError) as raised:
        schema.read(text)
    line = str(raised.value)
    assert line.isprintable() and len(line) < 500
    return line


def bad_type(tp: Any) -> str:
    with pytest.raises(SettingsError) as raised:
        schema_of_type(tp, "it")
    assert str(raised.value).isprintable()
    return str(raised.value)


def bad_dict(schema: Any) -> str:
    with pytest.raises(SettingsError) as raised:
        schema_of_dict(schema, "it")
    assert str(raised.value).isprintable()
    return str(raised.value)


# -- what is sent


def test_an_object_is_sent_as_it_is() -> None:
    assert ONE_DICT.json_schema == PERSON
    assert ONE.json_schema == {**PERSON, "title": "Person"}


def test_a_list_is_sent_as_the_items_of_an_object() -> None:
    assert MANY_DICT.json_schema == {
        "type": "object",
        "properties": {"items": {"type": "array", "items": PERSON}},
        "required": ["items"],
        "additionalProperties": False,
    }


def test_definitions_stand_at_the_root_of_what_is_sent() -> None:
    assert MANY.json_schema["$defs"] == {"Person": {**PERSON, "title": "Person"}}
    items = MANY.json_schema["properties"]["items"]
    assert items == {"type": "array", "items": {"$ref": "#/$defs/Person"}}


def test_anything_else_is_sent_as_the_value_of_an_object() -> None:
    sent = schema_of_type(Literal["yes", "no"], "it").json_schema
    assert sent["properties"] == {"value": {"type": "string", "enum": ["yes", "no"]}}
    assert (sent["type"], sent["required"]) == ("object", ["value"])


def test_a_root_that_refers_to_an_object_is_sent_as_the_object() -> None:
    sent = schema_of_type(Node, "Node").json_schema
    assert sent["type"] == "object" and list(sent["properties"]) == ["label", "children"]
    assert sent["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}


def test_a_reference_to_the_root_follows_what_has_moved() -> None:
    tree = {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}}}
    schema = schema_of_dict(array_of(tree), "tree")
    items = schema.json_schema["properties"]["items"]["items"]
    assert items["properties"]["kids"]["items"] == {"$ref": "#/properties/items/items"}
    assert schema.read('[{"kids": [{"kids": []}]}]') == [{"kids": [{"kids": []}]}]
    assert refusal(schema, '[{"kids": [{"kids": 1}]}]').endswith(
        "items[0].kids[0].kids: 1 is not of type 'array'"
    )


def test_the_user_may_change_their_dict_later() -> None:
    mine: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "integer"}}}
    schema = schema_of_dict(mine, "it")
    mine["properties"].clear()
    assert schema.columns == ("a",) and list(schema.json_schema["properties"]) == ["a"]


def test_a_default_that_is_no_json_is_not_sent() -> None:
    assert schema_of_type(Point, "Point").json_schema["properties"]["y"] == {"type": "number"}


def test_the_instruction_holds_the_schema_as_compact_json() -> None:
    schema = schema_of_dict({"type": "object", "properties": {"姓名": {"type": "string"}}}, "it")
    words, _, sent = schema.instruction.partition("\n")
    assert sent == '{"type":"object","properties":{"姓名":{"type":"string"}}}'
    assert "JSON" in words and "no code fence" in words


def test_a_long_name_is_cut_to_one_line() -> None:
    name = schema_of_dict(PERSON, "a\nb" + "x" * 100).name
    assert name == "a b" + "x" * 56 + "…"


def test_a_name_behind_many_blanks_is_shown() -> None:
    assert schema_of_dict(PERSON, " " * 1000 + "person").name == "person"


@pytest.mark.parametrize(
    ("tp", "columns", "is_rows"),
    [
        (Person, ("name", "year"), False),
        (list[Person], ("name", "year"), True),
        (People, ("name", "year"), True),
        (Node, ("label", "children"), False),
        (list[Event], ("day", "note"), True),
        (Point, ("x", "y"), False),
        (Book, ("title",), False),
        (list[str], ("value",), True),
        (list[list[Person]], ("value",), True),
        (int, ("value",), False),
        (Person | None, ("value",), False),
        (dict[str, int], (), False),
    ],
)
def test_columns_are_the_fields(tp: Any, columns: tuple[str, ...], is_rows: bool) -> None:
    schema = schema_of_type(tp, "it")
    assert (schema.columns, schema.is_rows) == (columns, is_rows)


def test_columns_of_a_json_schema_are_found_through_references() -> None:
    schema = {"type": "array", "items": {"$ref": "#/definitions/a~1b"}}
    schema = schema_of_dict({**schema, "definitions": {"a/b": PERSON}}, "it")
    assert (schema.columns, schema.is_rows) == (("name", "year"), True)
    assert schema.read(f"[{ADA}]") == [{"name": "Ada", "year": 1815}]


# -- what is read


@pytest.mark.parametrize(
    "text",
    [
        f"[{ADA}]",
        f'{{"items": [{ADA}]}}',
        f"```json\n[{ADA}]\n```",
        f'Here it is:\n\n```\n{{\n  "items": [{ADA}]}}\n```\nAnything else?',
        f"Here it is: [{ADA}]. Anything else?",
        f'  {{"items": [{ADA}]}} Done.',
    ],
)
@MANY_OF_BOTH_KINDS
def test_words_fences_and_wrapping_do_no_harm(schema: AnswerSchema, text: str) -> None:
    assert schema.plain(text) == [{"name": "Ada", "year": 1815}]


def test_a_type_gives_its_own_values_and_a_json_schema_plain_ones() -> None:
    assert ONE.read(ADA) == Person(name="Ada", year=1815)
    assert MANY.read(f"[{ADA}]") == [Person(name="Ada", year=1815)]
    assert schema_of_type(Point, "it").read('{"x": 1, "y": 2}') == Point(1.0, 2.0)
    assert schema_of_type(People, "it").read(f"[{ADA}]") == People([Person(name="Ada", year=1815)])
    assert ONE_DICT.read(ADA) == {"name": "Ada", "year": 1815}


@pytest.mark.parametrize("text", ["7", '{"value": 7}', "It is\n```\n7\n```"])
def test_a_single_value_is_unwrapped(text: str) -> None:
    assert schema_of_type(int, "it").read(text) == 7
    assert schema_of_dict({"type": "integer"}, "it").read(text) == 7


def test_a_bare_object_with_a_field_called_value_is_not_unwrapped() -> None:
    class Priced(BaseModel):
        value: int

    schema = schema_of_type(Priced | str, "it")
    assert schema.read('{"value": 7}') == Priced(value=7)
    assert schema.read('{"value": {"value": 7}}') == Priced(value=7)


def test_a_text_that_holds_json_is_a_text() -> None:
    assert schema_of_type(str, "it").read('"see [1]"') == "see [1]"


def test_plain_has_dates_as_text() -> None:
    assert schema_of_type(Event, "it").plain('{"Day": "2026-11-09"}') == {
        "day": "2026-11-09",
        "note": None,
    }


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
ANY_LIST = schema_of_type(list[Any], "it")
ANY_LIST_DICT = schema_of_dict({"type": "array"}, "it")


@given(st.lists(values, max_size=4))
def test_what_fits_is_read_as_json_reads_it(value: list[Any]) -> None:
    for text in (json.dumps(value), json.dumps({"items": value}, ensure_ascii=False)):
        assert ANY_LIST.plain(text) == ANY_LIST_DICT.plain(text) == value


@given(st.text() | values.map(json.dumps) | st.text('{}[]",:a1\\`\n'))
def test_any_answer_is_read_or_refused_in_one_line(text: str) -> None:
    for schema in (MANY, ONE_DICT):
        problem = schema.problem(text)
        assert problem.isprintable()
        if problem:
            assert refusal(schema, text).endswith(problem.removeprefix("it is "))
        else:
            schema.frame(text)


# -- frames


@MANY_OF_BOTH_KINDS
def test_a_row_is_an_item_of_the_list(schema: AnswerSchema) -> None:
    frame = schema.frame('{"items": [{"year": 1815, "name": "Ada"}, {"name": "Bo", "year": 1900}]}')
    assert frame.equals(pd.DataFrame({"name": ["Ada", "Bo"], "year": [1815, 1900]}))


@ALL
def test_one_object_is_one_row(schema: AnswerSchema) -> None:
    frame = schema.frame(f"[{ADA}]" if schema.is_rows else ADA)
    assert frame.to_dict("records") == [{"name": "Ada", "year": 1815}]


@MANY_OF_BOTH_KINDS
def test_no_rows_are_an_empty_frame_with_its_columns(schema: AnswerSchema) -> None:
    frame = schema.frame("[]")
    assert (list(frame.columns), len(frame)) == (["name", "year"], 0)


def test_single_values_are_one_column() -> None:
    assert list(schema_of_type(list[list[int]], "it").frame("[[1, 2], [3]]")["value"]) == [
        [1, 2],
        [3],
    ]
    assert list(schema_of_type(str, "it").frame('"a"')["value"]) == ["a"]


def test_dates_are_dates_and_what_is_missing_is_none() -> None:
    frame = schema_of_type(list[Event], "it").frame('[{"Day": "2026-11-09"}]')
    assert frame.to_dict("records") == [{"day": date(2026, 11, 9), "note": None}]


def test_fields_that_nobody_asked_for_come_last() -> None:
    frame = ONE_DICT.frame('{"born": "London", "year": 1815, "name": "Ada"}')
    assert list(frame.columns) == ["name", "year", "born"]
    assert list(schema_of_type(dict[str, int], "it").frame('{"b": 1, "a": 2}').columns) == [
        "b",
        "a",
    ]


def test_nested_values_stay_as_they_are() -> None:
    frame = schema_of_type(Node, "it").frame('{"label": "a", "children": [{"label": "b"}]}')
    assert frame["children"][0] == [{"label": "b", "children": []}]


# -- what is refused


@pytest.mark.parametrize(
    ("schema", "text", "line"),
    [
        (
            ONE,
            '{"name": "Ada", "year": "MCM"}',
            "the answer does not fit Person: year: Input should be a valid integer, "
            "unable to parse string as an integer (got 'MCM')",
        ),
        (
            MANY,
            f'{{"items": [{ADA}, {{"year": 1}}]}}',
            "the answer does not fit list[Person]: items[1].name: Field required",
        ),
        (
            MANY,
            f'[{ADA}, {{"name": null, "year": "x"}}]',
            "the answer does not fit list[Person]: items[1].name: "
            "Input should be a valid string (got null)",
        ),
        (
            ONE,
            "[1]",
            "the answer does not fit Person: Input should be an object (got a list)",
        ),
        (
            MANY_DICT,
            f'[{ADA}, {{"name": "Bo", "year": "MCM"}}]',
            "the answer does not fit people: items[1].year: 'MCM' is not of type 'integer'",
        ),
        (
            MANY_DICT,
            '[{"name": "Bo"}]',
            "the answer does not fit people: items[0]: 'year' is a required property",
        ),
        (ONE_DICT, "[1]", "the answer does not fit person: a list is not of type 'object'"),
    ],
)
def test_the_first_problem_is_named_with_its_place(
    schema: AnswerSchema, text: str, line: str
) -> None:
    assert refusal(schema, text) == line
    assert schema.problem(text) == line.split(": ", 1)[1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Sorry.", "no JSON: Expecting value: line 1 column 1 (char 0)"),
        ("", "no JSON: it is empty"),
        (" \n", "no JSON: it is empty"),
        ('{"name": "Ada', "no JSON: Unterminated string starting at: line 1 column 10 (char 9)"),
        (f'[{ADA}, {{"na', "no JSON: Unterminated string starting at: line 1 column 34 (char 33)"),
        ("So: {a: 1}", "no JSON: Expecting property name enclosed in double quotes: "
         "line 1 column 2 (char 1)"),
        ('{"name": "Ada", "year": NaN}', "no JSON: it has NaN for a number"),
        ('{"name": "Ada", "year": -Infinity}', "no JSON: it has -Infinity for a number"),
        ('{"name": "Ada", "year": 1e999}', "no JSON: it has 1e999 for a number"),
        (r'{"name": "\ud83d", "year": 1}', "no JSON: it has half of a character"),
        ("[" * 100_000, "nested too deep to be read"),
        ("[" * 100_000 + "]" * 100_000, "nested too deep to be read"),
    ],
)  # fmt: skip
@ALL
def test_what_is_no_json_is_refused(schema: AnswerSchema, text: str, reason: str) -> None:
    assert refusal(schema, text) == f"the answer is {reason}"
    assert schema.problem(text) == f"it is {reason}"


def test_an_answer_that_fits_has_no_problem() -> None:
    assert ONE.problem(ADA) == ONE_DICT.problem(ADA) == ""


@pytest.mark.parametrize("depth", [150, 400, 900])
def test_an_answer_too_deep_for_its_reader_is_refused_or_read(depth: int) -> None:
    tree = {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}}
    text = '{"label":"a","children":[' * depth + "]}" * depth
    for schema in (schema_of_type(Node, "it"), schema_of_dict(tree, "it")):
        assert schema.problem(text) in ("", "it is nested too deep to be read")


@ALL
def test_a_hostile_value_is_shown_short_and_printable(schema: AnswerSchema) -> None:
    year = json.dumps("\u202e\x1b[31m\n" + "x" * 10_000)
    one = f'{{"name": "Ada", "year": {year}}}'
    assert refusal(schema, f"[{one}]" if schema.is_rows else one).count("x") < 70


def test_a_hostile_key_is_shown_short_and_printable() -> None:
    schema = schema_of_type(dict[str, int], "it")
    line = refusal(schema, json.dumps({"\u202e\n" + "k" * 10_000: "x"}))
    assert "Input should be a valid integer" in line


def test_a_choice_names_what_is_wrong_with_the_one_that_was_meant() -> None:
    schema = schema_of_dict({"anyOf": [PERSON, {"type": "null"}]}, "it")
    problem = schema.problem('{"value": {"name": "Ada", "year": "x"}}')
    assert problem == "value.year: 'x' is not of type 'integer'"


def test_a_choice_is_told_by_its_constant() -> None:
    kinds = [
        {"type": "object", "properties": {"kind": {"const": "a"}, "n": {"type": "integer"}}},
        {"type": "object", "properties": {"kind": {"const": "b"}, "n": {"type": "string"}}},
    ]
    schema = schema_of_dict({"type": "array", "items": {"oneOf": kinds}}, "it")
    assert schema.problem('[{"kind": "b", "n": 5}]') == "items[0].n: 5 is not of type 'string'"


def test_a_choice_of_other_types_names_them() -> None:
    schema = schema_of_dict({"anyOf": [PERSON, {"type": ["null", "integer"]}]}, "it")
    assert schema.problem('"x"') == "value: 'x' is not of types 'object', 'null', 'integer'"


def test_a_value_that_is_one_of_none_is_told_all_of_them() -> None:
    schema = schema_of_dict({"enum": ["yes", "no", "both", 7, None]}, "it")
    assert schema.problem('"x"') == "value: 'x' is not one of 'yes', 'no', 'both', 7, null"


def test_choices_within_choices_are_told_where_they_are_few() -> None:
    node = {"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}}}
    choices = {"anyOf": [node, {**node, "maxProperties": 5}, {"type": "null"}]}
    schema = schema_of_dict({"$ref": "#/$defs/n", "$defs": {"n": choices}}, "it")
    assert schema.problem('{"a": ' * 3 + "1" + "}" * 3) == (
        "value.a.a.a: 1 is not of types 'object', 'null'"
    )
    assert schema.problem('{"a": ' * 50 + "1" + "}" * 50) == (
        "it fits none of the choices, and is nested too deep to say where"
    )
    assert schema.problem('{"a": ' * 50 + "null" + "}" * 50) == ""


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(a+)+$", f"""value: '{"a" * 40}b' does not match "(a+)+$\""""),
        ("^(?:(?=a)a+)+$", "value: Error executing regex: Max limit for backtracking"),
    ],
)
def test_a_pattern_that_backtracks_without_end_is_stopped(pattern: str, problem: str) -> None:
    schema = schema_of_dict({"type": "string", "pattern": pattern}, "it")
    assert schema.problem(json.dumps("a" * 40 + "b")).startswith(problem)
    assert schema.read('"aaa"') == "aaa"


def test_a_number_may_have_many_digits() -> None:
    schema = schema_of_dict({"type": "integer", "maximum": 10**30}, "it")
    assert schema.read(str(10**30)) == 10**30
    assert schema.problem(str(10**30 + 1)).endswith(f"is greater than the maximum of {10**30}")
    assert schema.problem("9" * 4000).startswith(f"value: {'9' * 59}… is greater than the")


def test_a_format_is_a_remark_in_every_draft() -> None:
    draft7 = {"$schema": "http://json-schema.org/draft-07/schema#", "format": "date"}
    assert schema_of_dict({**draft7, "type": "string"}, "it").read('"soon"') == "soon"


def test_a_validator_of_the_users_may_raise_anything() -> None:
    class Odd(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def check(cls, name: str) -> str:
            raise KeyError(f"no\n{name}")

    assert refusal(schema_of_type(Odd, "Odd"), '{"name": "x"}') == (
        r"the answer does not fit Odd: KeyError: 'no\nx'"
    )


# -- schemas that are none


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "objct"}, "type: 'objct' is not one of 'array', 'boolean', 'integer',"),
        ({"type": "object", "properties": {"a": {"type": "itn"}}}, "properties.a.type: 'itn' is"),
        ({"type": "string", "pattern": "("}, "pattern: '(' is not a 'regex'"),
        ({"type": "string", "pattern": r"a\Z"}, r"pattern: 'a\Z' is not a 'regex'"),
        ({"patternProperties": {"(": {}}, "type": "object"}, "patternProperties.(: '(' is not a"),
        ({"type": "string", "title": "\ud83d"}, "ValueError: Failed to get UTF-8 representation"),
        ({}, "it has neither `type` nor `properties`"),
        ({"name": "Ada"}, "it has neither `type` nor `properties`"),
        ({"type": "object", "default": object()}, "it is no JSON (Object of type object is not"),
        ({"minimum": float("nan"), "type": "number"}, "it is no JSON (Out of range float"),
        ({"$ref": "#/$defs/No"}, "nothing is at $ref '#/$defs/No'"),
        ({"$ref": "http://127.0.0.1:9/x.json"}, "nothing is at $ref 'http://127.0.0.1:9/x.json'"),
        ({"items": {"$ref": "file:///etc/passwd"}}, "nothing is at $ref 'file:///etc/passwd'"),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, "nothing is at $ref"),
        ({"type": "string", "$defs": {"a": {"$ref": "#/no"}}}, "nothing is at $ref '#/no'"),
        ({"properties": {"const": {"$ref": "#/no"}}}, "nothing is at $ref '#/no'"),
        ({"$ref": "#no"}, "a $ref leads nowhere: Anchor 'no' does not exist"),
        ({"$ref": "#"}, "it refers to itself without end"),
        ({"anyOf": [{"type": "string"}, {"$ref": "#"}]}, "it refers to itself without end"),
        (
            {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"$ref": "#/$defs/A"}}},
            "it refers to itself without end",
        ),
    ],
)
def test_a_dict_that_is_no_json_schema_is_refused(schema: Any, reason: str) -> None:
    assert bad_dict(schema).startswith(f"it is no valid JSON Schema: {reason}")


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef", "$schema", "$id"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nothing_is_fetched(keyword: str, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"{scheme}://127.0.0.1:{server.getsockname()[1]}/x.json"
        schema = {keyword: url, "type": "object", "properties": {"a": {"$ref": "y.json"}}}
        assert "$ref" in bad_dict({"$id": url} | schema)
        with suppress(SettingsError):
            schema_of_dict({keyword: url, "type": "object"}, "it").problem("{}")
        with pytest.raises(BlockingIOError):  # nobody has called
            server.accept()


def test_references_lead_to_anchors_and_ids_within_the_schema() -> None:
    named = {"$id": "http://127.0.0.1:9/year", "$ref": "#/$defs/n", "$defs": {"n": {"minimum": 1}}}
    fields = {"a": {"$ref": "#year"}, "b": {"$ref": "http://127.0.0.1:9/year"}}
    definitions = {"y": {"$anchor": "year", "type": "integer"}, "n": named}
    schema = schema_of_dict({"type": "object", "properties": fields, "$defs": definitions}, "it")
    assert schema.problem('{"a": "x"}') == "a: 'x' is not of type 'integer'"
    assert schema.problem('{"b": 0}') == "b: 0 is less than the minimum of 1"


def test_a_reference_in_data_is_data() -> None:
    assert schema_of_dict({"const": {"$ref": "#/no"}}, "it").read('{"$ref": "#/no"}')


def test_a_dict_within_itself_or_too_deep_is_refused() -> None:
    own: dict[str, Any] = {"type": "object"}
    own["properties"] = {"a": own}
    assert "Circular reference" in bad_dict(own)
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(100_000):
        deep = {"type": "array", "items": deep}
    assert bad_dict(deep).endswith("it is nested too deep to be read")
    assert bad_dict(nested({"type": "string"}, 300)).endswith("it is nested too deep to be read")
    while "items" in deep:  # or Python would free it by recursion
        deep = deep["items"]


def nested(schema: dict[str, Any], depth: int) -> dict[str, Any]:
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def test_a_draft_that_nobody_knows_is_read_as_2020_12() -> None:
    schema = schema_of_dict({"$schema": "urn:x", "type": "array", "prefixItems": [PERSON]}, "it")
    assert schema.problem("[1]") == "items[0]: 1 is not of type 'object'"


def test_a_schema_may_name_its_draft() -> None:
    draft7 = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "array"}
    schema = schema_of_dict({**draft7, "items": [{"type": "string"}]}, "it")
    assert schema.json_schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert refusal(schema, "[1]").endswith("items[0]: 1 is not of type 'string'")
    assert "is not of type" in bad_dict({"type": "array", "items": [{"type": "string"}]})


class Plain:
    pass


class Exits:
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        raise SystemExit("out\nof here")


class Interrupts:
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("tp", "reason"),
    [
        (Plain, "Unable to generate pydantic-core schema for <class"),
        (Exits, "SystemExit: out of here"),
        (5, "Unable to generate pydantic-core schema for 5"),
        ("NoSuch", "`TypeAdapter[NoSuch]` is not fully defined"),
        (lambda: 1, "it is a function; a class is expected"),
        (print, "it is a function; a class is expected"),
    ],
)
def test_a_type_without_a_json_schema_is_refused(tp: Any, reason: str) -> None:
    assert bad_type(tp).startswith(f"it has no JSON Schema: {reason}")


def test_the_user_may_interrupt_a_class() -> None:
    with pytest.raises(KeyboardInterrupt):
        schema_of_type(Interrupts, "it")


def test_schemas_that_ask_for_the_same_are_equal() -> None:
    assert len({ONE, schema_of_type(Person, "Person")}) == 1
    assert schema_of_type(Person, "Someone") != ONE


@pytest.mark.parametrize(
    "text",
    [
        '<think>maybe\n```json\n{"name": "B", "year": 1}\n```\n</think>\n{"name": "A", "year": 2}',
        'Draft:\n```json\n{"name": "B"}\n```\nFinal:\n```json\n{"name": "A", "year": 2}\n```',
        'It is {"name": "A", "year": 2} [ref_1] as [1] says.',
    ],
)
def test_of_several_pieces_of_json_the_one_that_is_meant_is_read(text: str) -> None:
    assert ONE.read(text) == Person(name="A", year=2)


def test_a_fence_within_a_text_is_no_json() -> None:
    schema = schema_of_type(dict[str, Any], "dict")
    text = 'Here: {"readme": "Hi\\n```json\\n{}\\n```"}'
    assert schema.read(text) == {"readme": "Hi\n```json\n{}\n```"}


def test_a_value_with_a_field_of_that_name_is_not_unwrapped() -> None:
    schema = schema_of_type(Person | float, "either")
    assert schema.read('{"value": 3}') == 3.0

    class Measure(BaseModel):
        value: float
        unit: str

    measured = schema_of_type(Measure | float, "measured")
    assert measured.read('{"value": 3, "unit": "m"}') == Measure(value=3, unit="m")


def test_an_answer_is_read_once() -> None:
    seen: list[str] = []

    class Once(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def is_new(cls, value: str) -> str:
            if value in seen:
                raise ValueError("already known")
            seen.append(value)
            return value

    schema = schema_of_type(Once, "Once")
    text = '{"name": "A"}'
    assert schema.problem(text) == ""
    assert schema.read(text) is schema.read(text)
    assert schema.frame(text).to_dict("records") == [schema.plain(text)] == [{"name": "A"}]
    assert seen == ["A"]


@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt])
def test_a_validator_may_end_in_any_way(stop: type[BaseException]) -> None:
    class Hard(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def fails(cls, value: str) -> str:
            raise stop

    schema = schema_of_type(Hard, "Hard")
    if stop is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            schema.problem('{"name": "A"}')
        assert schema.problem('{"name": "A"}') == "its reading was stopped"
    else:
        assert schema.problem('{"name": "A"}') == "SystemExit"


def test_whole_numbers_stay_whole_where_some_miss() -> None:
    class Row(BaseModel):
        id: int | None

    schema = schema_of_type(list[Row], "rows")
    frame = schema.frame('{"items": [{"id": 9007199254740993}, {"id": null}]}')
    assert str(frame["id"].dtype) == "Int64"
    assert frame["id"][0] == 9007199254740993
    huge = schema.frame('{"items": [{"id": 1180591620717411303424}, {"id": null}]}')
    assert huge["id"][0] == 2**70


def test_fields_stream_by_the_names_that_they_have_in_json() -> None:
    class Aliased(BaseModel):
        full_name: str = Field(alias="fullName")

    schema = schema_of_type(list[Aliased], "people")
    assert (schema.columns, schema.wire_columns) == (("full_name",), ("fullName",))
    assert ONE.wire_columns == ONE.columns


def test_loading_imports_no_library_of_schemas() -> None:
    script = (
        "import sys, glm_magic.session.schemas, glm_magic.api.schema\n"
        "print(*{'pydantic', 'jsonschema_rs', 'pandas'} & set(sys.modules))\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
