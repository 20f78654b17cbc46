"""What stands in a prompt for a value of the notebook."""

import subprocess
import sys
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from glm_magic.api.reply import Reply
from glm_magic.secret import Secret
from glm_magic.session.values import to_prompt_text

TABLES = MarkdownIt("commonmark").enable("table")


def lines(value: object) -> list[str]:
    return to_prompt_text(value).split("\n")


def test_text_is_itself() -> None:
    assert to_prompt_text("a|b\r\n{{ x }} {x}") == "a|b\r\n{{ x }} {x}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "True"),
        (0.1, "0.1"),
        (float("nan"), "nan"),
        (np.float32(0.1), "0.1"),
        (np.array([1, 2]), "[1 2]"),
        (date(2026, 11, 10), "2026-11-10"),
        (Decimal("1.50"), "1.50"),
    ],
)
def test_anything_else_is_its_str(value: object, text: str) -> None:
    assert to_prompt_text(value) == text


def test_a_reply_is_its_text() -> None:
    assert to_prompt_text(Reply("Once **upon**", state="complete")) == "Once **upon**"


def test_a_key_is_not_told() -> None:
    assert to_prompt_text(Secret("k" * 32)) == "<secret>"
    assert to_prompt_text({"key": Secret("k" * 32)}) == '{\n  "key": "<secret>"\n}'


# -- tables ------------------------------------------------------------------------------------


def test_a_frame_is_a_table_without_its_default_index() -> None:
    frame = pd.DataFrame({"城市": ["北京", "Bonn"], "n": [1, 2]})
    assert lines(frame) == ["| 城市 | n |", "| --- | --- |", "| 北京 | 1 |", "| Bonn | 2 |"]


@pytest.mark.parametrize(
    ("index", "first"),
    [
        (["x", "y"], ["|  | n |", "| --- | --- |", "| x | 1 |"]),
        (pd.Index(["x", "y"], name="key"), ["| key | n |", "| --- | --- |", "| x | 1 |"]),
        (pd.RangeIndex(5, 7), ["|  | n |", "| --- | --- |", "| 5 | 1 |"]),
        (pd.RangeIndex(2, name="i"), ["| i | n |", "| --- | --- |", "| 0 | 1 |"]),
        (pd.RangeIndex(2), ["| n |", "| --- |", "| 1 |"]),
    ],
)
def test_an_index_that_says_something_is_shown(index: object, first: list[str]) -> None:
    assert lines(pd.DataFrame({"n": [1, 2]}, index=index))[:3] == first


def test_a_series_is_a_table_of_one_column() -> None:
    counts = pd.Series([3, 1], index=["x", "y"], name="n")
    assert lines(counts) == ["|  | n |", "| --- | --- |", "| x | 3 |", "| y | 1 |"]
    assert lines(pd.Series([7])) == ["| value |", "| --- |", "| 7 |"]
    assert lines(pd.Series([7] * 60))[-2:] == ["", "(50 of 60 rows)"]


def test_levels_are_columns_beside_and_paths_above() -> None:
    rows = pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["k", None])
    columns = pd.MultiIndex.from_tuples([("x", "min"), ("x", "")])
    frame = pd.DataFrame([[1, 2], [3, 4]], index=rows, columns=columns)
    assert lines(frame)[0] == "| k |  | x / min | x |"
    assert lines(frame)[2:] == ["| a | 1 | 1 | 2 |", "| a | 2 | 3 | 4 |"]


def test_columns_of_one_name_are_both_shown() -> None:
    frame = pd.DataFrame([[1, 2]], columns=["n", "n"])
    assert lines(frame) == ["| n | n |", "| --- | --- |", "| 1 | 2 |"]


def test_what_is_missing_is_told_as_pandas_tells_it() -> None:
    frame = pd.DataFrame(
        {
            "f": [1.5, np.nan],
            "t": [pd.Timestamp("2026-11-10"), pd.NaT],
            "i": pd.array([1, None], dtype="Int64"),
            "c": pd.Categorical(["a", None]),
        }
    )
    assert lines(frame)[2:] == [
        "| 1.5 | 2026-11-10 00:00:00 | 1 | a |",
        "| nan | NaT | <NA> | nan |",
    ]


def test_numbers_keep_the_digits_of_their_width() -> None:
    frame = pd.DataFrame({"a": np.array([0.1], "float32"), "b": [0.1], "c": [True]})
    assert lines(frame)[2] == "| 0.1 | 0.1 | True |"


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (pd.DataFrame(), "(0 rows, 0 columns)"),
        (pd.DataFrame(index=range(3)), "(3 rows, 0 columns)"),
        (pd.DataFrame({"a": []}), "| a |\n| --- |\n\n(0 rows, 1 columns)"),
        (pd.DataFrame(index=["x"]), "|  |\n| --- |\n| x |\n\n(1 rows, 0 columns)"),
    ],
)
def test_an_empty_frame_says_so(frame: pd.DataFrame, text: str) -> None:
    assert to_prompt_text(frame) == text


@pytest.mark.parametrize(
    ("shape", "note"),
    [
        ((1000, 30), "(50 of 1,000 rows, 20 of 30 columns)"),
        ((51, 20), "(50 of 51 rows)"),
        ((1, 21), "(20 of 21 columns)"),
    ],
)
def test_what_a_big_frame_leaves_out_is_said(shape: tuple[int, int], note: str) -> None:
    frame = pd.DataFrame(np.zeros(shape))
    assert lines(frame)[-2:] == ["", note]
    assert len(lines(frame)) == 2 + min(shape[0], 50) + 2


def test_a_frame_of_full_size_leaves_out_nothing() -> None:
    assert len(lines(pd.DataFrame(np.zeros((50, 20))))) == 52


def test_of_a_huge_frame_only_what_is_shown_is_looked_at() -> None:
    class Cell:
        def __init__(self, row: int) -> None:
            self.row = row

        def __str__(self) -> str:
            assert self.row < 50
            return "x"

    assert (
        lines(pd.DataFrame({"c": [Cell(row) for row in range(5000)]}))[-1] == "(50 of 5,000 rows)"
    )
    huge = pd.DataFrame(np.broadcast_to(np.zeros(1), (10**12, 30)), copy=False)
    assert lines(huge)[-1] == "(50 of 1,000,000,000,000 rows, 20 of 30 columns)"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("a|b", r"a\|b"),
        (r"a\|b", r"a\\\|b"),
        ("a\r\nb\nc\rd", "a<br>b<br>c<br>d"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 199 + "…"),
        ([1, "|"], r"[1, '\|']"),
    ],
)
def test_a_cell_is_one_line_of_one_cell(value: object, cell: str) -> None:
    assert lines(pd.DataFrame({"c": [value]}))[2] == f"| {cell} |"


@given(st.lists(st.text("a|\\\r\n`<", max_size=8), min_size=2, max_size=2))
def test_a_table_stays_one_whatever_its_cells_hold(cells: list[str]) -> None:
    text = to_prompt_text(pd.DataFrame([cells], columns=pd.Index(cells)))
    tokens = [token.type for token in TABLES.parse(text)]
    assert (tokens.count("tr_open"), tokens.count("th_open"), tokens.count("td_open")) == (2, 2, 2)
    assert tokens[-1] == "table_close"


def test_the_frame_itself_stays_as_it_is() -> None:
    frame = pd.DataFrame({"c": ["a|b"]})
    to_prompt_text(frame)
    assert frame.equals(pd.DataFrame({"c": ["a|b"]}))


# -- JSON --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "{}"),
        ([], "[]"),
        ({"名": ["é", None, True]}, '{\n  "名": [\n    "é",\n    null,\n    true\n  ]\n}'),
        ((1, 2), "[\n  1,\n  2\n]"),
        ({3, 1, 2}, "[\n  1,\n  2,\n  3\n]"),
        ({"b", 1}, '[\n  "b",\n  1\n]'),
        ({1: {2}}, '{\n  "1": [\n    2\n  ]\n}'),
        ({"n": np.int64(3)}, '{\n  "n": 3\n}'),
        ([date(2026, 11, 10)], '[\n  "2026-11-10"\n]'),
    ],
)
def test_plain_data_is_json(value: object, text: str) -> None:
    assert to_prompt_text(value) == text


def test_what_json_has_no_word_for_is_its_repr() -> None:
    cycle: list[object] = [1]
    cycle.append(cycle)
    assert to_prompt_text({(1, 2): "a"}) == "{(1, 2): 'a'}"
    assert to_prompt_text([float("nan")]) == "[nan]"
    assert to_prompt_text(cycle) == "[1, [...]]"


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.sets(st.integers() | st.text())
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.text()), inner)
    ),
    max_leaves=8,
)


@given(JSONISH)
def test_every_value_has_a_text(value: object) -> None:
    assert isinstance(to_prompt_text(value), str)


def test_nothing_is_imported_for_it() -> None:
    script = (
        "import sys\n"
        "from glm_magic.session.values import to_prompt_text\n"
        "to_prompt_text([{1}, {2: object()}])\n"
        "print(*set(sys.modules) & {'pandas', 'numpy'})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.split() == []
