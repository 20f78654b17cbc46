"""What a model gets of what a function gave back."""

import json
import subprocess
import sys
from collections import Counter, OrderedDict, UserDict, deque, namedtuple
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from glm_magic.api.reply import Reply
from glm_magic.secret import Secret
from glm_magic.session.results import ResultError, error_text, result_text


class Colour(Enum):
    RED = "red"


class Size(IntEnum):
    BIG = 3


class Word(StrEnum):
    YES = "ja"


class Shouted(str):
    def __str__(self) -> str:
        return "SHOUTED"


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    when: date


class Place(BaseModel):
    name: str
    height: float
    key: SecretStr = SecretStr("k")


Pair = namedtuple("Pair", "a b")


def refusal(value: object) -> str:
    with pytest.raises(ResultError) as caught:
        result_text(value)
    message = str(caught.value)
    assert message.isprintable()
    return message


# -- text and tables ---------------------------------------------------------------------------


def test_text_is_itself() -> None:
    assert result_text('a\r\n"b" 北京') == 'a\r\n"b" 北京'
    assert result_text(Shouted("low")) == "low"
    assert result_text(Word.YES) == "ja"


def test_a_reply_is_its_text() -> None:
    assert result_text(Reply("Once **upon**")) == "Once **upon**"
    assert result_text([Reply("x")]) == '["x"]'


def test_a_table_is_markdown() -> None:
    assert result_text(pd.DataFrame({"n": [1, 2]})) == "| n |\n| --- |\n| 1 |\n| 2 |"
    assert result_text(pd.Series([7], name="n")) == "| n |\n| --- |\n| 7 |"
    assert result_text({"t": pd.Series([7])}) == '{"t":"| value |\\n| --- |\\n| 7 |"}'


# -- JSON --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (3, "3"),
        (2**70, "1180591620717411303424"),
        (0.1, "0.1"),
        (float("nan"), "null"),
        (float("-inf"), '"-inf"'),
        ({"城市": "北京", "n": [1, None]}, '{"城市":"北京","n":[1,null]}'),
        ((1, (2,)), "[1,[2]]"),
        (Pair(1, 2), "[1,2]"),
        ({3, 10, 1}, "[1,3,10]"),
        (frozenset({"b", 1}), '["b",1]'),
        (range(3), "[0,1,2]"),
        (deque([1]), "[1]"),
        ({"a": 1}.keys(), '["a"]'),
        (OrderedDict(a=1), '{"a":1}'),
        (Counter("aab"), '{"a":2,"b":1}'),
        (UserDict(a=1), '{"a":1}'),
        (MappingProxyType({"a": 1}), '{"a":1}'),
        ({1: "a", None: "b", True and "t": "c"}, '{"1":"a","null":"b","t":"c"}'),
        ({date(2026, 11, 25): 1, (1, "x"): 2}, '{"2026-11-25":1,"[1,\\"x\\"]":2}'),
        (date(2026, 11, 25), '"2026-11-25"'),
        (datetime(2026, 11, 25, 8, tzinfo=UTC), '"2026-11-25T08:00:00+00:00"'),
        (time(8, 30), '"08:30:00"'),
        (timedelta(hours=26), '"1 day, 2:00:00"'),
        (Decimal("1.50"), '"1.50"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (PurePosixPath("/a/b"), '"/a/b"'),
        (Colour.RED, '"red"'),
        (Size.BIG, "3"),
        ({Colour.RED: Word.YES}, '{"red":"ja"}'),
        ("北京".encode(), '"北京"'),
        (bytearray(b"x"), '"x"'),
        (Point(1, date(2026, 1, 2)), '{"x":1,"when":"2026-01-02"}'),
        ([Place(name="Köln", height=53)], '[{"name":"Köln","height":53.0,"key":"**********"}]'),
    ],
)
def test_what_json_can_say_is_compact_json(value: object, text: str) -> None:
    assert result_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.int64(3), "3"),
        (np.bool_(True), "true"),
        (np.float32(0.1), "0.1"),
        (np.float64("nan"), "null"),
        (np.float32("nan"), "null"),
        (np.array(7), "7"),
        (np.array([[1, 2], [3, 4]]), "[[1,2],[3,4]]"),
        (np.array([0.1, np.nan], "float32"), "[0.1,null]"),
        (np.array([0.1, np.nan]), "[0.1,null]"),
        (np.array(["北", "b"]), '["北","b"]'),
        (np.array(["x", None, {"k": 1}], object), '["x",null,{"k":1}]'),
        (np.array(["2026-01-02"], "datetime64[ns]"), '["2026-01-02T00:00:00.000000000"]'),
        (np.array("2026-01-02", "datetime64[ns]"), '"2026-01-02T00:00:00.000000000"'),
        (np.datetime64("NaT"), "null"),
        (np.timedelta64(5, "D"), '"5 days"'),
        (np.array([(1, "x")], [("a", "i4"), ("b", "U1")]), '[[1,"x"]]'),
        (pd.Timestamp("2026-01-02"), '"2026-01-02T00:00:00"'),
        ([pd.NaT, pd.NA], "[null,null]"),
        (pd.Index(["a", "b"]), '["a","b"]'),
        (pd.Categorical(["a", None]), '["a",null]'),
        (pd.array([1, None], dtype="Int64"), "[1,null]"),
        (pd.Period("2026-01"), '"2026-01"'),
        (pd.Series([1, 2]).describe().to_dict()["count"], "2.0"),
    ],
)
def test_numbers_and_arrays_of_libraries_are_json(value: object, text: str) -> None:
    assert result_text(value) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("ab名\n"), inner),
    max_leaves=8,
)  # fmt: skip


@given(st.lists(JSON))
def test_plain_json_comes_through_unchanged(value: list[Any]) -> None:
    assert json.loads(result_text(value)) == value


# -- what it cannot say ------------------------------------------------------------------------

WAY_OUT = "which is neither text nor JSON nor a table; return one of these"


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (object(), "an object"),
        (Fraction(1, 2), "a fractions.Fraction"),
        ((n for n in [1]), "a generator"),
        (len, "a builtin_function_or_method"),
        (Point, "a type"),
        (1j, "a complex"),
        (np.complex128(1), "a numpy.complex128"),
        (Secret("k" * 32), "a glm_magic.secret.Secret"),
        ([1, {"k": object()}], "a list that holds an object"),
        ({Secret("k" * 32): 1}, "a dict that holds a glm_magic.secret.Secret"),
        (type("X" * 100, (), {"__module__": "m\nn"})(), f"a m n.{'X' * 55}…"),
    ],
)
def test_anything_else_is_refused_by_its_kind(value: object, what: str) -> None:
    assert refusal(value) == f"it returned {what}, {WAY_OUT}"


def test_an_endless_generator_is_not_begun() -> None:
    def endless() -> Iterator[int]:
        pytest.fail("it was begun")
        yield 1

    assert refusal({"n": endless()}).startswith("it returned a dict that holds a generator,")


def test_what_holds_itself_is_refused() -> None:
    ring: list[object] = []
    ring += [ring, ring]
    table: dict[str, object] = {}
    table["t"] = table
    assert refusal(ring) == (
        "it returned a list that is nested deeper than 100 levels, or holds itself"
    )
    assert refusal(table).startswith("it returned a dict that is nested deeper than 100 levels")


def test_what_is_nested_deep_is_refused_at_any_depth() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    assert refusal(value).startswith("it returned a list that is nested deeper than 100 levels")
    while value:  # without this, freeing it would take the stack of C
        value = value.pop()  # type: ignore[assignment]


def test_what_would_grow_beyond_bounds_is_refused() -> None:
    value: list[object] = [0]
    for _ in range(40):
        value = [value, value]
    assert refusal(value) == "it returned a list of more than 500,000 values; return fewer"
    huge = np.broadcast_to(np.zeros(1), 10**12)
    assert refusal(huge).startswith("it returned a numpy.ndarray of more than 500,000 values")


def test_two_keys_that_json_cannot_tell_apart_are_refused() -> None:
    assert refusal({1: "a", "1": "b"}) == (
        "it returned a dict with two keys that are the same in JSON"
    )


class Bad(dict[str, int]):
    def items(self) -> Any:
        raise RuntimeError("two\nlines \x1b[31m")


class Worse(Exception):
    def __str__(self) -> str:
        raise ValueError


class BadPath(UserDict[str, int]):
    def __iter__(self) -> Any:
        raise Worse


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"\xff", "a bytes that cannot be read: UnicodeDecodeError: 'utf-8' codec can't decode"),
        (Bad(), "a Bad that cannot be read: RuntimeError: two lines"),
        (BadPath(), "a BadPath that cannot be read: Worse"),
        ([10**5000], "a list that cannot be read: ValueError: Exceeds the limit (4300"),
    ],
)
def test_a_value_that_fails_to_be_read_says_why(value: object, why: str) -> None:
    message = refusal(value)
    assert message.replace(f"{__name__}.", "").startswith(f"it returned {why}")


# -- length and characters ---------------------------------------------------------------------


def test_a_long_result_is_cut_and_says_so() -> None:
    assert result_text("x" * 100_000) == "x" * 100_000
    assert result_text("x" * 1_234_567) == (
        "x" * 100_000 + "\n(cut: the first 100,000 of 1,234,567 characters)"
    )
    assert result_text([0] * 60_000).endswith("\n(cut: the first 100,000 of 120,001 characters)")


def test_half_of_a_surrogate_pair_is_replaced_and_two_halves_are_one() -> None:
    assert result_text("a\ud800北") == "a\ufffd北"
    assert result_text(["\udc00", "\ud83d\ude00"]) == '["\ufffd","😀"]'


@given(st.text() | st.text(st.characters(categories=["Cs"])))
def test_every_text_can_be_sent(text: str) -> None:
    result_text([text]).encode("utf-8")


# -- exceptions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no such city"), "error: ValueError: no such city"),
        (KeyError("城市"), "error: KeyError: '城市'"),
        (ValueError(), "error: ValueError"),
        (ValueError("  \n"), "error: ValueError"),
        (Worse("x"), "error: Worse"),
        (ValueError("a\nb"), "error: ValueError: a\nb"),
        (ValueError("\ud800"), "error: ValueError: \ufffd"),
        (KeyboardInterrupt(), "error: KeyboardInterrupt"),
    ],
)
def test_an_exception_is_told_by_name_and_message(error: BaseException, text: str) -> None:
    assert error_text(error) == text


def test_a_long_message_is_cut() -> None:
    assert error_text(ValueError("x" * 5000)) == f"error: ValueError: {'x' * 1980}…"
    assert error_text(ValueError("\n".join("abcdefghijkl"))) == (
        "error: ValueError: a\nb\nc\nd\ne\nf\ng\nh\ni\nj…"
    )


def test_nothing_is_imported_for_it() -> None:
    script = (
        "import sys\n"
        "from glm_magic.session.results import result_text\n"
        "print(result_text([{1}, 2.5, 'x']))\n"
        "print(*set(sys.modules) & {'pandas', 'numpy', 'pydantic', 'pydantic_core'})"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert done.stdout == '[[1],2.5,"x"]\n\n'
