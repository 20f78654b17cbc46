"""A reply as a value: what was sent, its JSON, and that it is used like its text."""

import copy
import pickle
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from glm_magic.api.events import Source, Usage
from glm_magic.api.reply import Context, Reply
from glm_magic.api.requests import ChatRequest, Message
from glm_magic.api.tool import WebSearch
from glm_magic.errors import GlmError, ReplyError
from glm_magic.render.reply import render_reply

ASKED = ChatRequest(
    "glm-4.7",
    (Message("system", "be brief"), Message("user", "6 × 7?")),
    temperature=0.5,
    thinking=False,
)
REPLY = Reply(
    "It is **42**.",
    reasoning="six sevens",
    usage=Usage(9, 4, 13),
    model="glm-4.7",
    endpoint="api.z.ai",
    state="complete",
    billed_in="USD",
    asked=ASKED,
    speaks_glm=True,
    context=Context("story", 3, left_out=2, stale=1),
)
SYSTEM = {"role": "system", "content": "be brief"}
USER = {"role": "user", "content": "6 × 7?"}


# -- what was sent -------------------------------------------------------------------------


def test_the_request_is_the_body_as_it_was_sent() -> None:
    assert REPLY.request == {
        "model": "glm-4.7",
        "messages": [SYSTEM, USER],
        "stream": True,
        "temperature": 0.5,
        "thinking": {"type": "disabled"},
    }


def test_the_request_is_in_the_dialect_of_where_it_went() -> None:
    request = replace(REPLY, speaks_glm=False).request
    assert request["chat_template_kwargs"] == {"enable_thinking": False}
    assert "thinking" not in request


def test_the_request_of_a_task_has_no_stream() -> None:
    assert "stream" not in replace(REPLY, is_task=True).request


def test_changing_what_request_gave_changes_no_reply() -> None:
    REPLY.request["messages"].clear()
    assert REPLY.request["messages"] == [SYSTEM, USER]


def test_messages_are_those_sent_and_the_answer() -> None:
    answer = {"role": "assistant", "content": "It is **42**."}
    assert REPLY.messages == [SYSTEM, USER, answer]


def test_an_answer_without_text_is_no_message() -> None:
    assert replace(REPLY, text="").messages == [SYSTEM, USER]


def test_a_reply_to_nobody_knows_what_has_no_request() -> None:
    assert (Reply("a").request, Reply().messages) == ({}, [])


# -- JSON ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, null]}', {"a": [1, None]}),
        (" 42\n", 42),
        ('"words"', "words"),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('Here you are:\n\n~~~\n["a"]\n~~~\nDone.', ["a"]),
        ('[note] as asked\n\n```\n{"a": 1}\n```', {"a": 1}),
        ('{"fence": "```\\n1\\n```"}', {"fence": "```\n1\n```"}),
        ("```json\n[1, 2]", [1, 2]),
        ("```\n1\n```\n\n```\n2\n```", 1),
    ],
)
def test_json_is_the_whole_answer_or_its_first_fence(text: str, value: object) -> None:
    assert Reply(text).json() == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value: line 1 column 1 (char 0)"),
        ("The answer is 42.", "Expecting value: line 1 column 1 (char 0)"),
        ('The answer is {"a": 1}.', "Expecting value: line 1 column 1 (char 0)"),
        ('{"a": 1', "Expecting ',' delimiter: line 1 column 8 (char 7)"),
        ("```\nx = 1\n```", "Expecting value: line 1 column 1 (char 0)"),
        ("[NaN]", "it has NaN for a number"),
        ("[-Infinity]", "it has -Infinity for a number"),
    ],
)
def test_an_answer_that_is_no_json_says_why(text: str, reason: str) -> None:
    with pytest.raises(ReplyError) as caught:
        Reply(text).json()
    assert str(caught.value) == (f"the answer is no JSON: {reason}; reply.text has it as it came")


@pytest.mark.parametrize("text", ["[" * 200_000, "9" * 5000, '{"a":' * 200_000])
def test_json_that_python_cannot_hold_is_one_short_line(text: str) -> None:
    with pytest.raises(ReplyError) as caught:
        Reply(text).json()
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


def test_an_error_about_the_answer_is_ours_and_a_value_error() -> None:
    with pytest.raises(ValueError, match="no JSON") as caught:
        Reply("secret words").json()
    assert isinstance(caught.value, GlmError)
    assert "secret" not in str(caught.value)
    assert caught.value._render_traceback_() == [f"glm: {caught.value}"]


# -- like its text -------------------------------------------------------------------------


def test_a_reply_is_used_like_its_text() -> None:
    reply = Reply("你好, GLM")
    assert len(reply) == 7
    assert (reply[0], reply[-3:], reply[::-1]) == ("你", "GLM", "MLG ,好你")
    assert "GLM" in reply and "glm" not in reply
    assert (reply + "!", "> " + reply, reply + reply) == (
        "你好, GLM!",
        "> 你好, GLM",
        "你好, GLM你好, GLM",
    )
    assert (f"{reply:>9}", f"{reply}", f"{reply!s:.2}") == ("  你好, GLM", "你好, GLM", "你好")
    assert "".join(reply) == "你好, GLM"


def test_a_reply_is_true_if_it_has_text() -> None:
    assert Reply("a") and not Reply("", reasoning="hm")


def test_a_reply_equals_its_text() -> None:
    assert Reply("a", model="m") == "a"
    assert ["a", "b"].index(Reply("b")) == 1
    assert Reply("a") != "b"
    assert Reply("a") != ["a"]


def test_replies_are_equal_if_all_their_fields_are() -> None:
    assert replace(REPLY) == REPLY
    assert Reply("a", model="m") != Reply("a")
    assert replace(REPLY, asked=None) != REPLY


def test_a_reply_is_found_where_its_text_is_a_key() -> None:
    assert hash(Reply("a", model="m")) == hash("a")
    assert {"a": 1}[Reply("a")] == 1  # type: ignore[index]
    assert len({Reply("a"), Reply("a"), Reply("b")}) == 2


def test_replies_sort_by_their_text() -> None:
    b, a, also_a = Reply("b"), Reply("a", model="1"), Reply("a", model="2")
    assert sorted([b, a]) == [a, b]
    assert max([b, "c", a]) == "c"
    assert a <= also_a and a >= also_a and not a < also_a and not a > also_a
    assert sorted(["b", a]) == ["a", "b"]


@pytest.mark.parametrize(
    "wrong",
    [lambda r: r + 1, lambda r: 1 + r, lambda r: r < 1, lambda r: 1 in r, lambda r: r["a"]],
)
def test_a_reply_refuses_what_its_text_refuses(wrong: Any) -> None:
    with pytest.raises(TypeError):
        wrong(Reply("a"))


# -- a value -------------------------------------------------------------------------------


def test_a_reply_stays_what_it_is() -> None:
    with pytest.raises(FrozenInstanceError):
        REPLY.text = "other"  # type: ignore[misc]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_reply_survives_pickling_with_its_request_and_context(protocol: int) -> None:
    searched = replace(REPLY, asked=replace(ASKED, web_search=WebSearch(query="q")))
    again = pickle.loads(pickle.dumps(searched, protocol))
    assert again == searched
    assert again.request == searched.request


def test_a_reply_is_copied_whole() -> None:
    assert copy.copy(REPLY) == copy.deepcopy(REPLY) == replace(REPLY) == REPLY


def test_a_repr_tells_nothing_of_the_request() -> None:
    assert repr(REPLY) == "<Reply 'It is **42**.' model='glm-4.7' complete>"


def test_a_reply_shows_itself_as_html_alone() -> None:
    assert REPLY._repr_html_() == render_reply(REPLY)
    assert not hasattr(REPLY, "_repr_markdown_") and not hasattr(REPLY, "_repr_latex_")


def test_a_reply_from_memory_costs_nothing() -> None:
    assert REPLY.cost is not None
    assert replace(REPLY, is_cached=True).cost is None


# -- what it cost --------------------------------------------------------------------------

SEARCHED = replace(
    REPLY,
    billed_in="CNY",
    endpoint="open.bigmodel.cn",
    usage=Usage(1000, 100, 1100),
    found=(Source(1, "t", "", "", "", ""),),
    asked=replace(ASKED, web_search=WebSearch("search_pro_sogou")),
)


def test_the_cost_has_the_search_whose_price_is_known() -> None:
    assert SEARCHED.search_cost is not None
    assert SEARCHED.search_cost.amount == 0.05
    assert SEARCHED.cost is not None
    assert SEARCHED.cost.amount == pytest.approx(0.05 + 1000 * 2e-6 + 100 * 8e-6)
    assert "about ¥0.053 (prices of 2026-0" in render_reply(SEARCHED)


@pytest.mark.parametrize(
    "reply",
    [
        replace(SEARCHED, found=()),
        replace(SEARCHED, asked=None),
        replace(SEARCHED, asked=replace(ASKED, web_search=WebSearch("search_new"))),
        replace(SEARCHED, billed_in=None),
    ],
)
def test_a_search_that_found_nothing_or_has_no_price_costs_nothing_known(reply: Reply) -> None:
    assert reply.search_cost is None
