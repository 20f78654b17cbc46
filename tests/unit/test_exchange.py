"""Going on with a reply: what is asked, and how two replies become one."""

from dataclasses import replace

import pytest

from glm_magic.api.endpoints import LOCAL, parse_endpoint
from glm_magic.api.events import Source, Usage
from glm_magic.api.reply import Reply
from glm_magic.api.requests import ChatRequest, Message
from glm_magic.api.tool import WebSearch
from glm_magic.errors import SettingsError
from glm_magic.session.exchange import Exchange, build_continuation, join_replies

REQUEST = ChatRequest("glm-4.7", (Message("user", "Tell"),), temperature=0.2)
HALF = Reply("Once upon", reasoning="hm", state="stopped")


def test_the_model_is_asked_to_go_on_from_its_own_words() -> None:
    request = build_continuation(Exchange(REQUEST, parse_endpoint("bigmodel"), HALF))
    assert [message.role for message in request.messages] == ["user", "assistant", "user"]
    assert request.messages[1].content == "Once upon"
    assert (request.model, request.temperature) == ("glm-4.7", 0.2)


def test_the_local_engine_goes_on_by_itself() -> None:
    request = build_continuation(Exchange(REQUEST, LOCAL, HALF))
    assert [message.role for message in request.messages] == ["user", "assistant"]


def test_two_replies_are_one_with_the_counts_of_the_second() -> None:
    after = Reply(" a time.", reasoning="so", usage=Usage(9, 4, 13), state="complete", seconds=2.0)
    whole = join_replies(HALF, after)
    assert (whole.text, whole.reasoning) == ("Once upon a time.", "hm\n\nso")
    assert (whole.usage, whole.seconds, whole.state) == (Usage(9, 4, 13), 2.0, "complete")


def test_a_reply_that_nothing_came_to_is_still_the_half_it_was() -> None:
    assert join_replies(HALF, Reply(state="failed")).state == "cut off"
    assert join_replies(Reply(), Reply(state="failed")).state == "failed"


def test_going_on_searches_for_nothing_anew() -> None:
    searched = replace(REQUEST, web_search=WebSearch())
    request = build_continuation(Exchange(searched, parse_endpoint("bigmodel"), HALF))
    assert request.web_search is None


def test_an_end_for_another_reason_is_told() -> None:
    full = replace(HALF, state="complete", finish_reason="model_context_window_exceeded")
    with pytest.raises(SettingsError, match="ended with 'model_context_window_exceeded'"):
        build_continuation(Exchange(REQUEST, LOCAL, full))


def test_the_first_of_two_sources_with_one_number_holds() -> None:
    first, second, third = (
        Source(number, title, "", "", "", "") for number, title in ((1, "a"), (1, "b"), (2, "c"))
    )
    whole = join_replies(Reply("x", found=(first,)), Reply("y", found=(second, third)))
    assert whole.found == (first, third)
