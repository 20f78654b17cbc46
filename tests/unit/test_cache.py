"""Answers from memory: the same request at the same endpoint, whole, and marked."""

from dataclasses import replace

import pytest

from glm_magic.api.endpoints import parse_endpoint
from glm_magic.api.reply import Reply
from glm_magic.api.requests import ChatRequest, Message
from glm_magic.session.cache import ReplyCache

BIGMODEL, ZAI = parse_endpoint("bigmodel"), parse_endpoint("zai")
ASK = ChatRequest("glm-4.7", (Message("user", "hi"),))
WHOLE = Reply("Hello", state="complete", finish_reason="stop")


def test_the_same_request_has_the_same_answer_and_says_so() -> None:
    cache = ReplyCache()
    cache.keep(ASK, BIGMODEL, WHOLE)
    assert cache.find(ASK, BIGMODEL) == replace(WHOLE, is_cached=True)
    assert cache.find(replace(ASK, stream=False), BIGMODEL) is not None


@pytest.mark.parametrize(
    "other",
    [
        replace(ASK, temperature=0.5),
        replace(ASK, model="glm-5"),
        replace(ASK, messages=(Message("system", "x"), *ASK.messages)),
        replace(ASK, stop=("END",)),
    ],
)
def test_another_request_has_none(other: ChatRequest) -> None:
    cache = ReplyCache()
    cache.keep(ASK, BIGMODEL, WHOLE)
    assert cache.find(other, BIGMODEL) is None
    assert cache.find(ASK, ZAI) is None


@pytest.mark.parametrize(
    "reply",
    [
        replace(WHOLE, state="stopped"),
        replace(WHOLE, state="cut off"),
        replace(WHOLE, finish_reason="length"),
        replace(WHOLE, finish_reason="sensitive"),
    ],
)
def test_an_answer_that_is_not_whole_is_not_kept(reply: Reply) -> None:
    cache = ReplyCache()
    cache.keep(ASK, BIGMODEL, reply)
    assert cache.find(ASK, BIGMODEL) is None


def test_the_one_used_longest_ago_is_forgotten_first() -> None:
    cache = ReplyCache()
    asks = [replace(ASK, model=str(number)) for number in range(501)]
    for ask in asks[:500]:
        cache.keep(ask, BIGMODEL, WHOLE)
    cache.find(asks[0], BIGMODEL)
    cache.keep(asks[500], BIGMODEL, WHOLE)
    assert cache.find(asks[0], BIGMODEL)
    assert cache.find(asks[1], BIGMODEL) is None
