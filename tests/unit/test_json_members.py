"""JSON in pieces: the same members however it is cut, and no more kept of each than is shown."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glm_magic.render.json_members import Member, MemberScanner

SINGLES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text('a"\\{[,你\ud83d')
)
VALUES = st.recursive(
    SINGLES, lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(), some, max_size=3)
)
SIZES = st.integers(1, 9)


def scan(text: str, size: int, *, is_rows: bool = True) -> list[Member]:
    scanner = MemberScanner(is_rows=is_rows)
    return [
        member
        for start in range(0, len(text), size)
        for member in scanner.feed(text[start : start + size])
    ]


def texts(text: str, size: int = 1_000_000, *, is_rows: bool = True) -> list[str]:
    return [member.text for member in scan(text, size, is_rows=is_rows)]


@given(st.lists(VALUES, max_size=5), SIZES, st.booleans(), st.sampled_from([None, 2]))
@settings(deadline=None)
def test_the_items_of_an_array_are_found_however_it_is_cut(
    items: list[Any], size: int, is_ascii: bool, indent: int | None
) -> None:
    array = json.dumps(items, ensure_ascii=is_ascii, indent=indent)
    for text in (array, f'```json\n{{"n": [1, {{}}], "items" : {array}}}\n``` [9]'):
        assert [json.loads(found) for found in texts(text, size)] == items


@given(st.dictionaries(st.text(), VALUES, max_size=5), SIZES)
@settings(deadline=None)
def test_the_fields_of_an_object_are_found_however_it_is_cut(
    fields: dict[str, Any], size: int
) -> None:
    found = texts(f"Here: {json.dumps(fields)} {{}}", size, is_rows=False)
    assert json.loads(f"{{{','.join(found)}}}") == fields


@given(st.text(alphabet='{}[]",: \\anu1\n', max_size=60), SIZES, st.booleans())
def test_what_is_no_json_too_is_cut_in_one_way_only(text: str, size: int, is_rows: bool) -> None:
    assert scan(text, size, is_rows=is_rows) == scan(text, 100, is_rows=is_rows)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('[1, "a,b", {"c": [2, 3]}]', ["1", '"a,b"', '{"c": [2, 3]}']),
        ('[{"a": "]}"}, {}]', ['{"a": "]}"}', "{}"]),
        ('["\\"],", "\\\\"]', ['"\\"],"', '"\\\\"']),
        ('{"items": [1, 2], "more": [3]}', ["1", "2"]),
        ('{"other": {"items": [1]}, "items": [[2]]}', ["[2]"]),
        ('{"note": "\\"items\\": [1]"}', []),
        ("[1, , 2,]", ["1", "2"]),
        ("[]", []),
        ("no brackets", []),
        ("[1, 2", ["1"]),
        ("[1] [2]", ["1"]),
    ],
)
def test_rows_are_the_items_of_the_array_that_matters(text: str, found: list[str]) -> None:
    assert texts(text) == texts(text, 1) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1, "b": {"c": 2}}', ['"a": 1', '"b": {"c": 2}']),
        ('{"items": [1, 2]}', ['"items": [1, 2]']),
        ('[{"a": 1}, {"b": 2}]', ['"a": 1']),
        ("{}", []),
    ],
)
def test_fields_are_the_pairs_of_the_first_object(text: str, found: list[str]) -> None:
    assert texts(text, is_rows=False) == texts(text, 1, is_rows=False) == found


def test_the_open_member_is_known_until_it_ends() -> None:
    scanner = MemberScanner(is_rows=True)
    assert not scanner.has_started
    scanner.feed('{"items": [')
    assert scanner.has_started
    assert scanner.open is None
    scanner.feed('\n {"a": "x')
    assert scanner.open == Member('{"a": "x')
    assert scanner.feed('"}, ') == [Member('{"a": "x"}')]
    assert scanner.open is None
    scanner.feed("7]")
    assert scanner.is_finished
    assert scanner.open is None


@pytest.mark.parametrize("size", [1, 7, 1_500, 100_000])
def test_of_a_long_member_the_start_and_the_end_are_kept(size: int) -> None:
    long = '"' + "a" * 5_000 + "b" * 5_000 + '"'
    first, second = scan(f"[{long}, 1]", size)
    assert first == Member('"' + "a" * 3_999, "b" * 2_999 + '"')
    assert second == Member("1")


def test_a_member_that_just_fits_has_no_end() -> None:
    assert scan(f"[{'1' * 4_000}]", 9) == [Member("1" * 4_000)]
    assert scan(f"[{'1' * 4_000}2]", 9) == [Member("1" * 4_000, "1" * 2_999 + "2")]
