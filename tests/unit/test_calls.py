"""Calls of functions as a table and as lines, whatever the model and the functions wrote."""

import json
import re

import html5lib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glm_magic.api.reply import Reply
from glm_magic.api.rounds import Call, Round
from glm_magic.render.calls import (
    call_line,
    exact_line,
    render_calls,
    render_calls_plain,
    render_rounds,
)
from glm_magic.render.frame import frame
from glm_magic.render.reply import render_reply, render_reply_plain

WEATHER = Call("1", "weather", '{"city": "北京", "days": 3}', "done", "sunny", seconds=0.5)
FAILED = Call(
    "2", "divide", "{}", "failed", "error: ZeroDivisionError", "half\n", "Traceback\n  line", 1.25
)


def test_a_call_is_written_as_in_python() -> None:
    assert call_line(WEATHER) == 'weather(city="北京", days=3)'
    assert call_line(Call("", "f", "")) == "f()"
    assert call_line(Call("", "f", "{broken")) == "f({broken)"
    assert call_line(Call("", "f", "[1]")) == "f([1])"


def test_the_question_before_a_call_is_one_clean_line() -> None:
    line = call_line(Call("", "f\x1b[2J", '{"x": "a\\nb\\u202e"}'))
    assert line == 'f(x="a\\nb")'


def test_the_question_hides_nothing() -> None:
    long = "a" * 300 + "; DROP TABLE users"
    assert exact_line(Call("", "f", json.dumps({"sql": long}))).endswith('; DROP TABLE users")')
    line = exact_line(Call("", "f", '{"x": "a\u202eb\U000e0044c\u200bd\ne"}'))
    assert line == 'f({"x": "a\\u202eb\\U000e0044c\\u200bd\\ne"})'
    huge = exact_line(Call("", "f", "x" * 10_000))
    assert huge.endswith("… (5,003 more characters)")


def test_arguments_that_are_nested_too_deep_stay_text() -> None:
    deep = '{"a": ' + "[" * 960 + "]" * 960 + "}"
    assert "[[[" in render_calls([Call("1", "f", deep)])


def test_a_call_is_a_row() -> None:
    html = render_calls([WEATHER])
    assert "<caption>Calls</caption>" in html
    cells = re.sub(r' style="[^"]*"', "", html)
    assert '<td>city="北京", days=3</td><td>sunny</td><td>0.50 s</td>' in cells


def test_what_was_printed_and_the_traceback_stand_below_their_call() -> None:
    html = render_calls([FAILED, WEATHER])
    assert "<caption>Calls (2)</caption>" in html
    order = [html.index(part) for part in ("ZeroDivisionError", "half", "Traceback", "weather")]
    assert order == sorted(order)
    assert "<details><summary>Traceback</summary>" in html


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("asked", "not called"),
        ("running", "running …"),
        ("declined", "declined by you"),
        ("stopped", "stopped"),
    ],
)
def test_a_call_that_has_no_result_says_why(state: str, words: str) -> None:
    call = Call("1", "f", "{}", state)  # type: ignore[arg-type]
    assert f"<em>{words}</em>" in render_calls([call])
    assert render_calls_plain([call]) == f"→ f(): {words}"


def test_a_long_result_is_folded_whole() -> None:
    html = render_calls([Call("1", "f", "{}", "done", "word " * 100)])
    assert "<details><summary>word word" in html
    assert html.count("word") > 100


def test_calls_of_rounds_without_words_are_one_table() -> None:
    rounds = (Round(calls=(WEATHER,)), Round(calls=(FAILED,)), Round("So *far*", "", (WEATHER,)))
    html = render_rounds(rounds)
    assert html.count("<table>") == 2
    assert html.index("Calls (2)") < html.index("<em>far</em>")


def test_an_answer_that_was_sent_back_is_folded_with_the_reason() -> None:
    html = render_rounds((Round('{"x": "<b>"}', problem="x: no <integer>"),))
    assert "was sent back: x: no &lt;integer&gt;</summary>" in html
    assert "&lt;b&gt;" in html


def test_as_text_each_call_is_a_line() -> None:
    assert render_calls_plain([WEATHER, FAILED]).splitlines() == [
        '→ weather(city="北京", days=3): sunny (0.50 s)',
        "→ divide(): error: ZeroDivisionError (1.2 s)",
        "    half",
        "    Traceback",
        "      line",
    ]


def test_a_reply_shows_its_calls_before_its_text_and_all_its_reasoning_above() -> None:
    reply = Reply("Sunny.", "Good.", state="complete", rounds=(Round("", "Hm.", (WEATHER,)),))
    html = render_reply(reply)
    order = [html.index(part) for part in ("Hm.", "Good.", "Calls", "Sunny.", "2 requests")]
    assert order == sorted(order)
    assert render_reply_plain(reply).startswith("→ weather(")


def test_a_call_that_the_platform_made_stands_there_too() -> None:
    served = Call("1", "search.web", '{"q": "x"}', "done", "found")
    html = render_reply(Reply("Yes.", state="complete", served=(served,)))
    assert html.index("search.web") < html.index("Yes.")


HOSTILE = st.text(st.sampled_from("<>&\"'$\\\x1b\u202e\ud800ab\n /")) | st.just(
    "<script>x</script>"
)


@given(name=HOSTILE, arguments=HOSTILE, result=HOSTILE, printed=HOSTILE, trace=HOSTILE)
def test_nothing_hostile_acts(
    name: str, arguments: str, result: str, printed: str, trace: str
) -> None:
    call = Call("1", name, arguments, "failed", result, printed, trace, 1.0)
    html = frame(render_rounds((Round(calls=(call,)), Round(result, problem=printed))))
    parser = html5lib.HTMLParser(namespaceHTMLElements=False)
    tags = {str(node.tag) for node in parser.parseFragment(html).iter()}
    assert not tags & {"script", "img", "a", "iframe"}
    assert not {"\x1b", "\u202e"} & set(html + render_calls_plain([call]))
