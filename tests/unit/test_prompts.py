"""The `{{ expression }}` in a prompt: what is filled in, what is left, what is refused."""

import shlex
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glm_magic.errors import SettingsError
from glm_magic.session.prompts import fill_prompt, parse_prompt, protect


def refusal(text: str, **namespace: Any) -> str:
    with pytest.raises(SettingsError) as raised:
        fill_prompt(text, namespace)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{{ name }}", "Ada"),
        ("{{name}}, {{ name }}!", "Ada, Ada!"),
        ("{{ 名字 }}好", "你好"),
        ("{{ name | upper }}", "ADA"),
        ("{{ name[0] ~ '-' ~ (n + 1) }}", "A-6"),
        ("{{ _ }} {{ Out[3] }}", "last third"),
        ("{{ len(name) + sum([1, 2]) }}", "6"),
        ("{{ range(3) | list | length }}", "3"),
        ("{{ 'yes' if n > 3 else 'no' }}", "yes"),
        ("{{ data.key }} {{ data['key'] }}", "v v"),
        ('{{ {"a": {"b": 1}}["a"]["b"] }}', "1"),
        ('{{ {"a": {"b": 1}}.a.b}}', "1"),
        ('{{ "}}" }}', "}}"),
        ('{{ "{{" }} and }}', "{{ and }}"),
        (r"{{ '\'}}' }}", "'}}"),
        ("{{ '{% raw %}' }}", "{% raw %}"),
        ("{{\n  name\n}}", "Ada"),
        ("{{ none }}", "None"),
    ],
)
def test_an_expression_gives_way_to_its_value(text: str, filled: str) -> None:
    namespace = {
        "name": "Ada",
        "名字": "你",
        "n": 5,
        "_": "last",
        "Out": {3: "third"},
        "data": {"key": "v"},
    }
    before = dict(namespace)
    assert fill_prompt(text, namespace) == filled
    assert namespace == before


def test_a_frame_is_filled_in_as_a_table() -> None:
    df = pd.DataFrame({"n": range(9)})
    assert fill_prompt("Rows:\n{{ df.head(1) }}\n", {"df": df}) == "Rows:\n| n |\n| --- |\n| 0 |\n"
    assert fill_prompt("{{ df.n.sum() }}", {"df": df}) == "36"
    assert fill_prompt("{{ a[0] }}", {"a": np.array([0.1], "float32")}) == "0.1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{x} }} %x $x \\frac{1}{2} {% for %} {# no #} {",
        "def f():\r\n\treturn {1: {2: 3}}\r\n",
        "$\\{ \\{ \u2028 \ue000",
    ],
)
def test_what_is_no_expression_goes_out_as_typed(text: str) -> None:
    assert fill_prompt(text, {}) == text
    assert fill_prompt(f"{text} {{{{ 1 }}}}{text}", {}) == f"{text} 1{text}"


@given(st.text("{}ab'\"% \\\r\n") | st.text())
def test_text_without_double_braces_is_unchanged(text: str) -> None:
    text = text.replace("{{", "{ ")
    assert fill_prompt(text, {}) is text or "{{" in text


@given(st.text("{}x$%rawb \\'\"\r\n") | st.text())
def test_a_value_arrives_as_it_is(value: str) -> None:
    assert fill_prompt("<{{ x }}|{{ x }}>", {"x": value}) == f"<{value}|{value}>"


@pytest.mark.parametrize(
    "value", ["{{ boom() }}", "{x}", "$x", "%x", "{% raw %}", "{{", "\\{{ x }}"]
)
def test_a_value_is_never_expanded_again(value: str) -> None:
    def boom() -> None:
        pytest.fail("ran what a value holds")

    names = {"x": value, "boom": boom}
    assert fill_prompt("{{ x }}", names) == value
    assert fill_prompt("{{ [x] | first }}{{ x ~ '' }}", names) == value * 2


def test_a_variable_hides_a_builtin() -> None:
    assert fill_prompt("{{ len }} {{ range }}", {"len": 1, "range": 2}) == "1 2"


@pytest.mark.parametrize("name", ["result", "context", "loop", "environment", "caller", "class"])
def test_words_of_jinja_and_python_are_names_like_any_other(name: str) -> None:
    assert fill_prompt(f"{{{{ {name} }}}}", {name: 7}) == "7"


def test_an_expression_may_be_filled_with_many_values() -> None:
    template = parse_prompt("{{ a }}-{{ b }}")
    assert [template.fill({"a": 1, "b": b}) for b in "xy"] == ["1-x", "1-y"]


def test_the_variables_of_a_template_are_named_in_order() -> None:
    template = parse_prompt("{{ len(b) }} {{ a + b }} {{ dict(c=range(d)) }} {{ x.y[z] }} {q}")
    assert template.variables == ("b", "a", "d", "x", "z")
    assert parse_prompt("nothing {to} fill").variables == ()


# -- what is refused ---------------------------------------------------------------------------


def test_an_unknown_variable_is_told_with_what_was_meant() -> None:
    told = "unknown variable 'persoma' in {{ persoma }}; did you mean 'persona'?"
    assert refusal("{{ persoma }}", persona="x", _persoma="x") == told


def test_an_unknown_variable_like_no_other_may_be_meant_as_text() -> None:
    told = "unknown variable 'user' in {{ user }}; `--raw` sends it as it is"
    assert refusal("Write a template with {{ user }}.", q=1) == told


def test_nothing_runs_before_all_names_are_known() -> None:
    ran: list[int] = []
    refusal("{{ ran.append(1) }} {{ nobody }}", ran=ran)
    refusal("{{ ran.append(1) }} {{ 1 + }}", ran=ran)
    refusal("{{ ran.append(1) }} {{ open", ran=ran)
    assert ran == []
    parse_prompt("{{ 10 ** 10 ** 10 }}")  # would take all day


def test_an_unclosed_expression_may_be_meant_as_text() -> None:
    told = "no `}}` outside of quotes closes {{ it's }} so; `--raw` sends it as it is"
    assert refusal("Say {{ it's }}\n so") == told


@pytest.mark.parametrize("text", ["{{", "a {{ b", "{{ b }", "{{{ b }}", "{{ 'b }}", "{{ \\' }}'"])
def test_an_expression_has_an_end(text: str) -> None:
    assert "`--raw` sends it as it is" in refusal(text, b=1)


@pytest.mark.parametrize("text", ["{{}}", "{{ }}", "{{ \n }}"])
def test_an_expression_is_not_empty(text: str) -> None:
    assert refusal(text) == "{{ }} holds no expression; `--raw` sends it as it is"


@pytest.mark.parametrize(
    "source",
    ["1 +", "a b", "a, b", "{ a }", "a -", "a | uper", "f(a", "a }  b", "9" * 5000, "self"],
)
def test_what_is_no_expression_may_be_meant_as_text(source: str) -> None:
    told = refusal(f"{{{{ {source} }}}}", a=1, b=2, f=len, self=3)
    assert told.endswith("; `--raw` sends it as it is")
    assert "is no Jinja expression (" in told


def test_a_long_expression_is_told_in_part() -> None:
    told = refusal("{{ " + "x +\n" * 100 + "}}")
    assert told.startswith("{{ " + "x + " * 14 + "x +… }} is no Jinja expression (")


def test_the_sign_that_trims_in_jinja_is_refused_where_it_would_negate() -> None:
    told = "`{{-` trims nothing here: put a blank before -n }}"
    assert refusal("a {{-n }}", n=5) == told
    assert fill_prompt("{{ -n }}", {"n": 5}) == "-5"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("1 / 0", "{{ 1 / 0 }} failed: ZeroDivisionError: division by zero"),
        ("d.b", "{{ d.b }} failed: UndefinedError: 'dict object' has no attribute 'b'"),
        ("d['b']", "{{ d['b'] }} failed: UndefinedError: 'dict object' has no attribute 'b'"),
        ("[d.b]", "{{ [d.b] }} failed: UndefinedError: 'dict object' has no attribute 'b'"),
        ("fail('a\\nb')", r"{{ fail('a\nb') }} failed: ValueError: a b"),
        ("fail()", "{{ fail() }} failed: ValueError"),
        ("mute", "{{ mute }} failed: RuntimeError"),
    ],
)
def test_what_an_expression_raises_is_one_line(source: str, told: str) -> None:
    class Mute(RuntimeError):
        def __str__(self) -> str:
            raise self

    Mute.__name__ = "RuntimeError"

    def fail(*words: str) -> None:
        raise ValueError(*words)

    assert refusal(f"{{{{ {source} }}}}", d={"a": 1}, fail=fail, mute=Mute()) == told


def test_what_was_raised_is_the_cause_and_its_message_is_clipped() -> None:
    def fail() -> None:
        raise ValueError("x" * 5000)

    with pytest.raises(SettingsError) as raised:
        fill_prompt("{{ fail() }}", {"fail": fail})
    assert isinstance(raised.value.__cause__, ValueError)
    assert str(raised.value) == "{{ fail() }} failed: ValueError: " + "x" * 199 + "…"


def test_the_user_may_interrupt_an_expression() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill_prompt("{{ stop() }}", {"stop": stop})


# -- hostile text ------------------------------------------------------------------------------

MANY = 100_000


@pytest.mark.parametrize(
    "text",
    [
        "{{" * MANY,
        "{{ '" * (MANY // 2),
        "{{ " + "\\'" * MANY,
        "{{ '" + "\\'" * MANY,
        "{{ " + "'\"" * MANY,
        "{{ " + "} " * MANY,
        "{{ " + "(" * MANY + ")" * MANY + " }}",
        "{{ " + "a" * MANY + " }}",
        "{{ " + "-" * MANY + "1 }}",
    ],
)
def test_hostile_text_is_refused_soon(text: str) -> None:
    assert len(refusal(text)) < 400
    if "}}" not in text:
        with pytest.raises(SettingsError):
            protect(text)


def test_many_expressions_take_no_more_than_their_share() -> None:
    assert fill_prompt("{{ 1 }}}" * 300, {}) == "1}" * 300
    assert len(protect("{{ 1 }}\ue000 " * MANY)[0].split()) == MANY


@given(st.text("{}'\"\\ a", max_size=40))
def test_any_text_is_filled_or_refused(text: str) -> None:
    try:
        fill_prompt(text, {"a": 1})
    except SettingsError as error:
        assert "\n" not in str(error)


# -- a magic line ------------------------------------------------------------------------------


def split(line: str) -> list[str]:
    protected, restore = protect(line)
    return [restore(word) for word in shlex.split(protected)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-m {{ models['a b'] }} -t 1", ["-m", "{{ models['a b'] }}", "-t", "1"]),
        ("--system 'Be {{ tone }}'", ["--system", "Be {{ tone }}"]),
        ('--system="{{ d["a"] }} {{ b }}"', ['--system={{ d["a"] }} {{ b }}']),
        ("{{a}}{{ b }}0", ["{{a}}{{ b }}0"]),
        ("\ue0000\ue000 {{ 'x y' }} \ue000", ["\ue0000\ue000", "{{ 'x y' }}", "\ue000"]),
        ("'a b' c", ["a b", "c"]),
    ],
)
def test_an_expression_on_a_line_stays_in_one_word(line: str, words: list[str]) -> None:
    assert split(line) == words


def test_an_unclosed_expression_on_a_line_is_refused() -> None:
    with pytest.raises(SettingsError, match="--raw"):
        protect("-s {{ x y")


@given(st.lists(st.sampled_from(["{{ 'a b' }}", "{{x}}", "\ue000", "0", "1", " ", "é"])))
def test_a_line_comes_through_unharmed(pieces: list[str]) -> None:
    line = "".join(pieces)
    protected, restore = protect(line)
    assert restore(protected) == line
    assert "{{" not in protected


def test_jinja_is_not_imported_before_a_prompt_needs_it() -> None:
    script = (
        "import sys\n"
        "from glm_magic.session.prompts import fill_prompt, protect\n"
        "fill_prompt('a { b }', {}), protect('-s {{ x }}')\n"
        "print(*set(sys.modules) & {'jinja2', 'pandas', 'numpy'})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.split() == []
