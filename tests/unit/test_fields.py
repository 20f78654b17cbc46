"""Structured answers: a table that fills while they stream in, and the whole of it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import html5lib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glm_magic.render.fields import FieldsGrowth, render_fields, render_fields_plain
from glm_magic.render.frame import frame, live_frame
from glm_magic.render.growth import Step

COLUMNS = ("name", "year")
PEOPLE = [{"name": "Ada", "year": 1815}, {"name": "Emmy", "year": 1882}]
HOSTILE = "<script>alert(1)</script>\u202e\x1b[2J\x00 $x$ & \"'"


def steps_of(
    text: str, size: int, columns: tuple[str, ...] = COLUMNS, *, is_rows: bool = True
) -> Iterator[Step]:
    """Feed `text` in pieces of `size`, a step for each, then step until nothing waits."""
    growth = FieldsGrowth(columns, is_rows=is_rows)
    for start in range(0, len(text), size):
        growth.add(text[start : start + size])
        yield growth.step()
    while growth.is_waiting:
        yield growth.step()


def last_tail(text: str, columns: tuple[str, ...] = COLUMNS, *, is_rows: bool = True) -> str:
    *_, last = steps_of(text, 4_000, columns, is_rows=is_rows)
    return last.tail


def parsed(html: str) -> Any:
    """The tree of a piece, which must be well-formed: a browser has nothing to mend."""
    parser = html5lib.HTMLParser(namespaceHTMLElements=False, strict=True)
    return parser.parseFragment(html)


def rows_of(html: str) -> list[list[str]]:
    """The words of all rows that are seen, heads too."""
    rows = (row for row in parsed(html).iter("tr") if row.get("style") != "display: none")
    # This parser keeps the line feed right after `<pre>` in a cell; browsers drop it.
    return [["".join(cell.itertext()).removeprefix("\n") for cell in row] for row in rows]


def tags_of(html: str) -> set[str]:
    return {element.tag for element in parsed(html).iter()}


# -- rows that stream in -----------------------------------------------------------------------


def test_rows_are_finished_one_by_one_and_the_open_one_fills() -> None:
    growth = FieldsGrowth(COLUMNS, is_rows=True)
    growth.add('{"items": [')
    assert rows_of(growth.step().tail) == [["name", "year"]]
    growth.add('{"name": "Ad')
    assert rows_of(growth.step().tail) == [["name", "year"], ["Ad", ""]]
    growth.add('a", "year": 1815}, {"name": "E')
    step = growth.step()
    assert rows_of(step.finished) == [["name", "year"], ["Ada", "1815"]]
    assert rows_of(step.tail) == [["E", ""]]
    growth.add('mmy", "year": 1882}]}')
    step = growth.step()
    assert rows_of(step.finished) == [["Emmy", "1882"]]
    assert step.tail == ""


@given(
    st.lists(
        st.fixed_dictionaries({"name": st.text(max_size=9), "year": st.integers(0, 9)}), max_size=9
    ),
    st.integers(1, 30),
    st.booleans(),
)
@settings(deadline=None)
def test_each_row_is_finished_once_and_in_order_however_it_comes(
    people: list[dict[str, Any]], size: int, is_ascii: bool
) -> None:
    text = json.dumps({"items": people}, ensure_ascii=is_ascii)
    steps = list(steps_of(text, size))
    years = [row[1] for step in steps for row in rows_of(step.finished)]
    assert years == (["year"] if people else []) + [str(one["year"]) for one in people]
    for step in steps:
        parsed(live_frame(step.tail))


def test_many_rows_that_come_at_once_are_shown_in_bounded_steps() -> None:
    text = "[" + "{}," * 3_000 + "{}]"
    steps = list(steps_of(text, 1_000_000, tuple("abcdefghij")))
    assert max(step.finished.count("<tr>") for step in steps) == 101
    assert sum(step.finished.count("<td></td>") for step in steps) == 30_010


def test_the_pieces_look_like_one_table() -> None:
    pieces = [step.finished for step in steps_of(json.dumps(PEOPLE * 2), 10) if step.finished]
    assert len(pieces) == 4
    assert ["<thead>" in piece for piece in pieces] == [True, False, False, False]
    styles = {table.get("style") for piece in pieces for table in parsed(piece).iter("table")}
    assert len(styles) == 1
    assert "table-layout: fixed; width: 100%; margin: 0" in styles.pop()
    # What a theme shades: each second row, counted from the first of all.
    assert [len(list(parsed(piece).iter("tr"))) for piece in pieces] == [2, 2, 1, 2]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        (True, "true"),
        (1.5, "1.5"),
        (["a", 2, None, False], "a, 2, null, false"),
        ([], ""),
        ({"b": "你"}, '{"b": "你"}'),
        ([{"b": 1}], '[{"b": 1}]'),
        ("one\n\ttwo", "one two"),
        ("x" * 400, "x" * 299 + "…"),
    ],
)
def test_a_cell_is_one_short_line(value: Any, cell: str) -> None:
    (step,) = steps_of(json.dumps([{"name": value}]), 9_000)
    assert rows_of(step.finished)[1] == [cell, ""]
    assert rows_of(render_fields([{"name": value}], COLUMNS, is_rows=True))[1] == [cell, ""]


def test_other_keys_are_left_out_and_missing_ones_are_empty() -> None:
    (step,) = steps_of('[{"year": 1, "more": 2}, {}]', 9_000)
    assert rows_of(step.finished) == [["name", "year"], ["", "1"], ["", ""]]


def test_single_values_stand_in_the_first_column() -> None:
    (step,) = steps_of('["a", 2, [3, 4]]', 9_000, ("value",))
    assert rows_of(step.finished) == [["value"], ["a"], ["2"], ["3, 4"]]


def test_what_does_not_parse_is_shown_as_its_text() -> None:
    (step,) = steps_of("[{'name': 1}, {\"name\": Ada}]", 9_000)
    assert rows_of(step.finished)[1:] == [["{'name': 1}", ""], ['{"name": Ada}', ""]]


def test_half_a_pair_and_a_line_end_in_a_string_spoil_no_row() -> None:
    (step,) = steps_of('[{"name": "a\\ud83d b", "year": 1}, {"name": "a\nb"}]', 9_000)
    assert rows_of(step.finished)[1:] == [["a\ufffd b", "1"], ["a b", ""]]


# -- fields that stream in ---------------------------------------------------------------------


def test_all_fields_are_there_from_the_start_and_fill() -> None:
    text = '{"name": "Ada", "more": 1, "year": 18'
    assert rows_of(last_tail("{", is_rows=False)) == [
        ["Field", "Value"],
        ["name", ""],
        ["year", ""],
    ]
    assert rows_of(last_tail(text, is_rows=False))[1:] == [["name", "Ada"], ["year", "18"]]
    assert not any(step.finished for step in steps_of(text, 5, is_rows=False))


def test_of_a_long_value_the_end_is_shown_while_it_is_open_and_then_its_start() -> None:
    text = '{"name": "' + "a" * 500 + "b" * 500
    assert rows_of(last_tail(text, is_rows=False))[1] == ["name", "… " + "b" * 500]
    assert rows_of(last_tail(text + '",', is_rows=False))[1] == ["name", "a" * 500 + "…"]


@pytest.mark.parametrize("escaped", ["\\u4f60", "\\ud83d\\ude00", "\\n", "\\\\", "你", "word "])
@pytest.mark.parametrize("extra", range(13))
def test_the_end_of_a_very_long_value_is_read_wherever_its_escapes_are_cut(
    escaped: str, extra: int
) -> None:
    text = '{"name": "' + "x" * extra + escaped * 2_000 + " the end"
    (_, shown), _ = rows_of(last_tail(text, is_rows=False))[1:]
    assert shown.startswith("… ")
    assert shown.endswith(" the end")
    assert len(shown) <= 502
    assert "u4f60" not in shown


def test_the_end_of_a_very_long_list_is_shown_as_it_came() -> None:
    text = '{"name": [' + "1234, " * 1_000 + "99"
    assert rows_of(last_tail(text, is_rows=False))[1][1].endswith("1234, 1234, 99")


def test_a_field_that_does_not_parse_is_shown_as_its_text() -> None:
    text = '{"name": Ada, year: 1815, "y'
    rows = [["name", "Ada"], ["year", ""], ["", "year: 1815"]]
    assert rows_of(last_tail(text, is_rows=False))[1:] == rows


# -- what may come -----------------------------------------------------------------------------


def test_a_refusal_is_shown_as_it_is() -> None:
    steps = list(steps_of("I cannot do <that>.\nSorry.", 9))
    assert "".join(parsed(steps[-1].tail).itertext()).strip() == "I cannot do <that>.\nSorry."
    assert not any(step.finished for step in steps)
    assert last_tail("q" * 9_000).count("q") == 4_000


@pytest.mark.parametrize("opening", [" \n", "```", "```js", "```json\n"])
def test_the_opening_of_a_fence_is_no_prose(opening: str) -> None:
    assert rows_of(last_tail(opening)) == [["name", "year"]]


TRICKY = '{"items": [{"name": "a\\"\\\\ \\ud83d\\ude00 \\u4f60 {[", "year": -1.5e3, "x": [null, tr'


@pytest.mark.parametrize(
    "text", [TRICKY, TRICKY[11:], "[nul", "[-", '{"year": -0.', '{"name": "\ud83d']
)
@pytest.mark.parametrize("is_rows", [True, False])
def test_an_answer_may_be_cut_anywhere(text: str, is_rows: bool) -> None:
    for end in range(len(text) + 1):
        for step in steps_of(text[:end], 7, is_rows=is_rows):
            parsed(live_frame(step.finished + step.tail))


@given(st.text(alphabet='{}[]",: \\anu1<$\n\ud83d', max_size=60), st.integers(1, 9), st.booleans())
@settings(deadline=None)
def test_nothing_that_comes_raises(text: str, size: int, is_rows: bool) -> None:
    for step in steps_of('{"name":' + text, size, is_rows=is_rows):
        parsed(live_frame(step.finished + step.tail))


def test_deep_nesting_is_shown_as_text() -> None:
    (step,) = steps_of("[" + "[" * 1_500 + "]" * 1_500 + "]", 9_000)
    assert rows_of(step.finished)[1][0] == "[" * 299 + "…"
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert "nested too deep to be shown" in render_fields(deep, COLUMNS, is_rows=False)


@pytest.mark.parametrize("is_rows", [True, False])
def test_everything_is_hostile_in_keys_columns_and_values(is_rows: bool) -> None:
    item = {HOSTILE: HOSTILE, "k" + HOSTILE: [HOSTILE], "long": HOSTILE + "\n" + HOSTILE}
    value = [item] if is_rows else item
    columns = (HOSTILE, "missing" + HOSTILE)
    pages = [frame(render_fields(value, columns, is_rows=is_rows))]
    text = json.dumps(value)
    for end in range(0, len(text), 5):
        pages += [
            live_frame(s.finished, s.tail)
            for s in steps_of(text[:end], 90, columns, is_rows=is_rows)
        ]
    for page in pages:
        assert "script" not in tags_of(page)
        assert not set(page) & set("\u202e\x1b\x00")
        # A typesetter looks for formulas everywhere but in `<pre>`.
        assert "$x$" not in re.sub("<pre.*?</pre>", "", page, flags=re.DOTALL)
    for page in (pages[0], pages[-1]):
        assert "&lt;script&gt;alert(1)&lt;/script&gt; <span>$</span>x<span>$</span> &amp;" in page
    plain = render_fields_plain(value, columns, is_rows=is_rows)
    assert not set(plain) & set("\u202e\x1b\x00")


# -- the whole ---------------------------------------------------------------------------------


def test_rows_are_a_table_with_further_keys_behind_the_columns() -> None:
    people = [{"year": 1815, "born": "London", "name": "Ada"}, {"name": "Emmy"}]
    rows = [["name", "year", "born"], ["Ada", "1815", "London"], ["Emmy", "", ""]]
    html = render_fields(people, COLUMNS, is_rows=True)
    assert rows_of(html) == rows
    assert html.startswith('<table><thead><tr><th scope="col">name</th>')
    assert render_fields_plain(people, COLUMNS, is_rows=True).split("\n") == [
        "name  year  born",
        "Ada   1815  London",
        "Emmy",
    ]


def test_an_object_is_a_table_of_its_fields_with_lines_kept() -> None:
    value = {"more": [{"a": 1}], "name": "Ada\n  Lovelace", "year": None}
    html = render_fields(value, COLUMNS, is_rows=False)
    assert rows_of(html) == [
        ["Field", "Value"],
        ["name", "Ada\n  Lovelace"],
        ["year", ""],
        ["more", '[{"a": 1}]'],
    ]
    assert render_fields_plain(value, COLUMNS, is_rows=False).split("\n") == [
        "Field  Value",
        "name   Ada Lovelace",
        "year",
        'more   [{"a": 1}]',
    ]


@pytest.mark.parametrize(
    ("value", "is_rows", "rows"),
    [
        (["a", 2], True, [["value"], ["a"], ["2"]]),
        ([{"a": 1}], True, [["a"], ["1"]]),
        ([1, {"a": 2}], True, [["value", "a"], ["1", ""], ["", "2"]]),
        (7, True, [["value"], ["7"]]),
        (7, False, [["Field", "Value"], ["value", "7"]]),
        ([1, 2], False, [["Field", "Value"], ["value", "1, 2"]]),
        ([], True, [["value"], ["no rows"]]),
        ({}, False, [["Field", "Value"], ["no rows"]]),
    ],
)
def test_values_without_known_fields_are_shown_too(
    value: Any, is_rows: bool, rows: list[list[str]]
) -> None:
    assert rows_of(render_fields(value, (), is_rows=is_rows)) == rows
    plain = render_fields_plain(value, (), is_rows=is_rows)
    assert [line.split("  ")[0] for line in plain.split("\n")] == [row[0] for row in rows]


def test_no_rows_are_said_under_the_head() -> None:
    html = render_fields([], COLUMNS, is_rows=True)
    assert rows_of(html) == [["name", "year"], ["no rows"]]
    assert '<td colspan="2" style="text-align: left">' in html
    assert render_fields_plain([], COLUMNS, is_rows=True) == "name  year\nno rows"


def test_a_hundred_rows_are_shown_and_the_rest_is_counted() -> None:
    html = render_fields([{"name": n} for n in range(1_000)], ("name",), is_rows=True)
    assert rows_of(html)[-1] == ["99"]
    assert "100 of 1,000 rows are shown; reply.df has all" in html
    plain = render_fields_plain([{"name": n} for n in range(1_000)], ("name",), is_rows=True)
    assert plain.endswith("\n99\n100 of 1,000 rows are shown; reply.df has all")
    assert "shown" not in render_fields([{"name": 1}] * 100, ("name",), is_rows=True)


def test_keys_without_end_make_no_columns_without_end() -> None:
    html = render_fields([{f"k{n}-{k}": 1 for k in range(60)} for n in range(9)], (), is_rows=True)
    assert len(rows_of(html)[0]) == 50
    assert "50 of 540 columns are shown; reply.df has all" in html
    html = render_fields({f"k{n}": n for n in range(400)}, (), is_rows=False)
    assert rows_of(html)[-1] == ["k99", "99"]
    assert "100 of 400 fields are shown; reply.value has all" in html


@pytest.mark.parametrize("letters", ["x", "x\n"])
def test_a_value_is_shown_up_to_ten_thousand_characters(letters: str) -> None:
    html = render_fields({"name": letters * 9_000}, ("name",), is_rows=False)
    assert len(rows_of(html)[1][1]) == {"x": 9_000, "x\n": 10_001}[letters]
    html = render_fields({"name": letters * 20_000}, ("name",), is_rows=False)
    assert rows_of(html)[1][1].endswith("…")


def test_a_cell_of_text_takes_sixty_columns_at_most() -> None:
    plain = render_fields_plain([{"name": "你" * 50, "year": 1}], COLUMNS, is_rows=True)
    assert plain.split("\n")[1] == "你" * 29 + "…" + "  1"
