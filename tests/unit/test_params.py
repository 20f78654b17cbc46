"""`--param NAME=JSON`: what is taken, what is refused, and in which words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glm_magic.errors import SettingsError
from glm_magic.local.wire import SHARED_FIELDS
from glm_magic.session.params import check_params, parse_param

BODY = {"model": "glm-4.7", "messages": [], "stream": True, "temperature": 0.5}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Of text there are no halves of characters.
    | st.text(st.characters(codec="utf-8")),
    lambda values: (
        st.lists(values) | st.dictionaries(st.text(st.characters(codec="utf-8")), values)
    ),
    max_leaves=8,
)


def misreading(text: str) -> str:
    with pytest.raises(ValueError) as raised:
        parse_param(text)
    return str(raised.value)


def refusal(*params: tuple[str, str], known: Any = None) -> str:
    with pytest.raises(SettingsError) as raised:
        check_params(params, BODY, known)
    line = str(raised.value)
    assert line.isprintable()
    return line


# -- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("seed=7", "seed", "7"),
        ('user_id="a=b c"', "user_id", '"a=b c"'),
        (" seed = 7 ", "seed", " 7 "),
        ("x=null", "x", "null"),
        ("x=false", "x", "false"),
        ('x={"type": "enabled"}', "x", '{"type": "enabled"}'),
        ("x=[1, 2.50]", "x", "[1, 2.50]"),
        ("温度=1", "温度", "1"),
    ],
)
def test_a_field_has_a_name_and_json_as_it_was_written(text: str, name: str, value: str) -> None:
    assert parse_param(text) == (name, value)


@pytest.mark.parametrize("text", ["seed", "", "=7", "  =7", "seed:7"])
def test_what_has_no_name_or_no_value_is_none(text: str) -> None:
    assert misreading(text) == f"'{text.strip()}' is not NAME=JSON, such as seed=7"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *(
            (value, value)
            for value in ("", "text", "True", "'x'", "{a: 1}", "1,2", "01", "[1", '"a')
        ),
        ("[" * 100_000, "[" * 59 + "…"),
    ],
)
def test_what_is_no_json_is_refused_with_an_example(value: str, shown: str) -> None:
    assert misreading(f"x={value}") == (
        f"x={shown} is no JSON; quotes stay where others stand around: "
        """'x="text"', 'x={"a": 1}'"""
    )


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "[NaN]", "1e999", "[-1e999]"])
def test_a_number_that_no_json_has_is_refused(value: str) -> None:
    assert f"x={value} is no JSON" in misreading(f"x={value}")


@pytest.mark.parametrize("text", ['x="\\ud800"', 'x={"\\udc00": 1}'])
def test_half_a_character_is_refused_for_it_cannot_be_sent_as_it_is(text: str) -> None:
    assert "is no JSON" in misreading(text)


def test_a_long_text_is_not_repeated_in_full() -> None:
    assert len(misreading("x" * 10_000)) < 200
    assert len(misreading(f"x={'y' * 10_000}")) < 200
    assert len(misreading(f"{'x' * 10_000}=y")) < 400


@given(JSON)
def test_every_value_of_json_is_taken(value: Any) -> None:
    name, text = parse_param(f"x={json.dumps(value)}")
    assert (name, json.loads(text)) == ("x", value)


@given(st.text() | st.text('x=0123456789eE+-.[]{}":, '))
def test_whatever_is_taken_can_be_sent(text: str) -> None:
    try:
        name, value = parse_param(text)
    except ValueError:
        return
    assert name.strip() == name != ""
    json.dumps(json.loads(value), allow_nan=False)


# -- checking ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        (),
        (("seed", "7"),),
        (("seed", "7"), ("user_id", '"abcdef"')),
        (("Temperature", "1"),),
        (("top_p", "0.5"),),
    ],
)
def test_fields_that_nothing_else_sends_pass(params: tuple[tuple[str, str], ...]) -> None:
    check_params(params, BODY, None)


@pytest.mark.parametrize("name", ["response_format", "stream_options", "tool_stream"])
def test_what_is_sent_unasked_may_be_said_otherwise(name: str) -> None:
    check_params(((name, "null"),), {**BODY, name: {}}, None)


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("model", "-m"),
        ("messages", "the cell is the prompt, -s the system message, --chat a chat"),
        ("stream", "--no-stream"),
    ],
)
def test_what_has_a_way_of_its_own_is_refused_with_it(name: str, way: str) -> None:
    assert refusal((name, "1")) == f"--param {name}: that has a way of its own: {way}"


def test_a_field_that_is_sent_already_is_refused() -> None:
    assert refusal(("temperature", "1")) == (
        "--param temperature: an option or a setting sends that already; leave one out"
    )


@pytest.mark.parametrize("second", ["7", "8"])
def test_a_field_is_given_once(second: str) -> None:
    line = refusal(("seed", "7"), ("top_k", "1"), ("seed", second))
    assert line == "--param seed is there twice; leave one out"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sead", "the local engine knows no field 'sead'; did you mean 'seed'?"),
        ("qqq", "the local engine knows no field 'qqq'"),
        # It would steer the engine's server instead of the answer.
        ("id_slot", "the local engine knows no field 'id_slot'"),
    ],
)
def test_the_local_engine_is_asked_for_what_it_reads_only(name: str, words: str) -> None:
    assert refusal(("seed", "1"), (name, "1"), known=SHARED_FIELDS) == words


@pytest.mark.parametrize("name", ["seed", "grammar", "top_k", "min_p", "logit_bias"])
def test_what_the_local_engine_reads_passes(name: str) -> None:
    check_params(((name, "1"),), BODY, SHARED_FIELDS)
