"""The table in an answer: what counts as one, in JSON and in Markdown, and what it becomes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glm_magic.api.reply import Reply
from glm_magic.api.table import parse_frame, parse_table
from glm_magic.errors import ReplyError

TABLE = "| a | b |\n|---|---|\n| 1 | x |\n"


def records(text: str) -> list[dict[Any, Any]]:
    return Reply(text).df.to_dict("records")


def column(*cells: str) -> list[Any]:
    """What a column of a Markdown table becomes."""
    lines = "".join(f"| {cell} | . |\n" for cell in cells)
    return list(Reply(f"| n | x |\n|---|---|\n{lines}").df["n"])


# -- JSON ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "rows"),
    [
        ([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
        ({"a": [1, 2], "b": ["x", "y"]}, [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
        ({"total": 1, "rows": [{"a": 1}]}, [{"a": 1}]),
        ({"rows": [{"a": 1}]}, [{"a": 1}]),
        ({"rows": [{"a": 1}], "names": ["a"]}, [{"a": 1}]),
        (["x", "y"], [{"value": "x"}, {"value": "y"}]),
        ({"a": 1, "b": "x"}, [{"a": 1, "b": "x"}]),
        ([{"a": [1, 2]}], [{"a": [1, 2]}]),
        ([{"a": 10**30}], [{"a": 10**30}]),
        ({"a": [], "b": []}, []),
        ({"total": 0, "rows": []}, []),
        ([], []),
    ],
)
def test_json_that_is_a_table(value: object, rows: list[dict[str, Any]]) -> None:
    assert records(json.dumps(value)) == rows


def test_fenced_json_is_a_table_too() -> None:
    assert records('Here:\n```json\n[{"a": 1}]\n```') == [{"a": 1}]


def test_a_name_that_a_row_lacks_is_empty_there() -> None:
    frame = Reply('[{"a": 1}, {"a": 2, "b": 3}]').df
    assert list(frame["b"].isna()) == [True, False]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no table",
        "42",
        "{}",
        '[{"a": 1}, 2]',
        "[[1, 2], [3, 4]]",
        '{"a": [1, 2], "b": [3]}',
        '{"a": [1], "b": []}',
        '{"a": [{"x": 1}], "b": [{"y": 1}]}',
        '{"a": {"b": 1}}',
        "a | b",
        "```python\nx = 1\n```",
    ],
)
def test_what_is_no_table_says_so(text: str) -> None:
    with pytest.raises(ReplyError) as caught:
        _ = Reply(text).df
    assert str(caught.value) == ("the answer has no table: neither JSON rows nor a Markdown table")


def test_rows_that_share_no_name_make_no_giant_table() -> None:
    with pytest.raises(ReplyError, match=r"2,000 rows of JSON have 2,000 different names"):
        _ = Reply(json.dumps([{f"name{n}": n} for n in range(2000)])).df


# -- Markdown ------------------------------------------------------------------------------


def test_the_first_markdown_table_is_the_table() -> None:
    text = f"Compare:\n\n{TABLE}\nand\n\n| c |\n|---|\n| 2 |\n"
    assert records(text) == [{"a": 1, "b": "x"}]


def test_a_table_without_rows_has_its_columns() -> None:
    frame = Reply("| a | b |\n|---|---|").df
    assert (list(frame.columns), len(frame)) == (["a", "b"], 0)


def test_json_that_is_no_table_leaves_it_to_markdown() -> None:
    assert records(f"```\n42\n```\n\n{TABLE}") == [{"a": 1, "b": "x"}]


def test_a_table_in_a_list_or_a_quote_is_found() -> None:
    assert parse_table("- list\n\n  | a |\n  |---|\n  | 1 |") == (("a",), (("1",),))
    assert parse_table("> | a |\n> |---|\n> | 1 |") == (("a",), (("1",),))


def test_a_table_in_a_fence_counts_where_there_is_no_other() -> None:
    fenced = "```markdown\n| c |\n|---|\n| 2 |\n```\n\n"
    assert parse_table(fenced) == (("c",), (("2",),))
    assert parse_table(fenced + TABLE) == (("a", "b"), (("1", "x"),))


def test_cells_are_plain_text() -> None:
    cells = r"|**b** *i* ~~s~~| `a\|b` |[t](https://x.org)|![alt](i.png)|a <br> **b** c| &lt;b> | |"
    assert parse_table(f"| 1 | 2 | 3 | 4 | 5 | 6 | 7 |\n{'|---' * 7}|\n{cells}") == (
        ("1", "2", "3", "4", "5", "6", "7"),
        (("b i s", "a|b", "t", "alt", "a\nb c", "<b>", ""),),
    )


def test_a_short_row_is_filled_and_a_long_one_cut() -> None:
    text = "| a | b |\n|---|---|\n| 1 |\n| 1 | 2 | 3 |"
    assert parse_table(text) == (("a", "b"), (("1", ""), ("1", "2")))


def test_columns_of_one_name_stay_two() -> None:
    frame = Reply("| a | a |\n|---|---|\n| 1 | x |").df
    assert (list(frame.columns), list(frame.iloc[0])) == (["a", "a"], [1, "x"])


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (("1", "-2", "+3", "−4"), [1, -2, 3, -4]),
        (("1.5", "2"), [1.5, 2.0]),
        (("1,234", "12,345,678"), [1234, 12345678]),
        (("1,234.5", "0"), [1234.5, 0.0]),
        (("1e3", "**2**"), [1000.0, 2.0]),
    ],
)
def test_a_column_of_numbers_is_numeric(cells: tuple[str, ...], values: list[float]) -> None:
    assert column(*cells) == values


@pytest.mark.parametrize(
    "cells",
    [
        ("1", "n/a"),
        ("5%", "6%"),
        ("$5", "$6"),
        ("1,5", "2,5"),
        ("12,34", "1"),
        ("000001", "600519"),
        ("1234567890123456", "1"),
        ("2026-09", "2026-10"),
        ("0,123", "1"),
        ("nan", "inf"),
        ("١", "٢"),
        ("", ""),
    ],
)
def test_any_other_column_is_text_as_it_came(cells: tuple[str, ...]) -> None:
    assert column(*cells) == list(cells)


def test_an_empty_cell_among_numbers_is_missing() -> None:
    values = column("1", "", "3")
    assert values[0] == 1.0 and values[1] != values[1] and values[2] == 3.0


@given(st.text(alphabet='|-: \n`ab1,.*_[](){}"\\<>', max_size=80))
def test_any_text_has_a_table_or_has_none(text: str) -> None:
    frame = parse_frame(text)
    assert frame is None or frame.shape[1] >= 0
