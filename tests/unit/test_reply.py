"""A reply: the fold of its events, and what it shows and computes."""

import pickle

import pytest

from glm_magic.api.events import (
    Event,
    Finished,
    Identified,
    ReasoningDelta,
    Source,
    SourcesFound,
    TextDelta,
    Usage,
    UsageReported,
)
from glm_magic.api.fold import ReplyFold
from glm_magic.api.reply import Reply, merge_sources

FIRST = Source(1, "一季度", "https://example.org/a", "示例", "2024-04-16", "GDP")
SECOND = Source(2, "Q1", "", "", "", "")
USAGE = Usage(prompt_tokens=10, completion_tokens=30, total_tokens=40)


def fold(*events: Event) -> ReplyFold:
    """The fold of events that come one second apart, the first after one second."""
    folded = ReplyFold(Reply(model="asked-for", endpoint="local"))
    for at_s, event in enumerate(events, start=1):
        folded.add(event, float(at_s))
    return folded


def test_a_reply_is_the_sum_of_its_events() -> None:
    folded = fold(
        Identified("r1", "glm-4.7"),
        ReasoningDelta("hm"),
        TextDelta("你"),
        TextDelta("好"),
        SourcesFound((FIRST,)),
        Finished("stop"),
        UsageReported(USAGE),
    )
    assert folded.reply(state="complete", seconds=8.0) == Reply(
        text="你好",
        reasoning="hm",
        found=(FIRST,),
        usage=USAGE,
        model="glm-4.7",
        endpoint="local",
        finish_reason="stop",
        request_id="r1",
        seconds=8.0,
        first_token_s=2.0,
        state="complete",
    )


def test_a_reply_that_has_not_begun_is_empty_and_streams() -> None:
    assert ReplyFold().reply() == Reply(text="", state="streaming", first_token_s=None)


def test_the_first_token_may_be_reasoning() -> None:
    reply = fold(Identified("r", "m"), ReasoningDelta("a"), TextDelta("b")).reply()
    assert reply.first_token_s == 2.0


def test_a_server_that_does_not_name_the_model_answers_as_the_model_asked() -> None:
    assert fold(Identified("r1", "")).reply().model == "asked-for"


def test_a_later_usage_replaces_an_earlier_one() -> None:
    assert fold(UsageReported(Usage(1, 1, 2)), UsageReported(USAGE)).reply().usage == USAGE


def test_the_text_of_a_reply_is_its_str() -> None:
    assert str(Reply(text="**你好**")) == "**你好**"


def test_a_repr_shows_the_start_the_model_and_the_state() -> None:
    reply = Reply(text="你好", model="glm-4.7", state="complete")
    assert repr(reply) == "<Reply '你好' model='glm-4.7' complete>"


def test_a_repr_of_a_long_reply_is_short() -> None:
    reply = Reply(text="a" * 61, model="m", state="stopped")
    assert repr(reply) == f"<Reply '{'a' * 59}…' model='m' stopped>"


def test_sources_are_a_table_indexed_by_their_number() -> None:
    sources = Reply(text="GDP[ref\\_2] x_ref_1", found=(FIRST, SECOND)).sources
    assert list(sources.columns) == ["title", "link", "site", "date", "snippet", "cited"]
    assert list(sources.index) == [1, 2]
    assert sources.index.name == "number"
    assert list(sources.loc[1]) == [
        "一季度",
        "https://example.org/a",
        "示例",
        "2024-04-16",
        "GDP",
        False,
    ]
    assert list(sources.loc[2]) == ["Q1", "", "", "", "", True]


def test_without_a_search_the_table_has_its_columns_and_no_rows() -> None:
    sources = Reply().sources
    assert list(sources.columns) == ["title", "link", "site", "date", "snippet", "cited"]
    assert len(sources) == 0


def test_the_speed_counts_from_the_first_token() -> None:
    assert Reply(usage=USAGE, first_token_s=2.0, seconds=5.0).tokens_per_s == 10.0


@pytest.mark.parametrize(
    "reply",
    [
        Reply(first_token_s=1.0, seconds=2.0),
        Reply(usage=USAGE, seconds=2.0),
        Reply(usage=USAGE, first_token_s=2.0, seconds=2.0),
    ],
)
def test_there_is_no_speed_without_counts_or_time(reply: Reply) -> None:
    assert reply.tokens_per_s is None


def test_a_reply_survives_pickling() -> None:
    reply = fold(TextDelta("你好"), SourcesFound((FIRST,)), UsageReported(USAGE)).reply()
    assert pickle.loads(pickle.dumps(reply)) == reply


def test_sources_merge_by_number_and_are_in_their_order() -> None:
    later = Source(2, "newer", "", "", "", "")
    assert merge_sources((SECOND,), (FIRST, later)) == (FIRST, later)
