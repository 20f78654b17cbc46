"""The requests of one reply: what is sent next, what becomes of calls, and how it all ends."""

from dataclasses import replace

import pytest

from glm_magic.api.endpoints import parse_endpoint
from glm_magic.api.events import Source, Usage
from glm_magic.api.reply import Reply
from glm_magic.api.requests import ChatRequest, Message
from glm_magic.api.rounds import Call, Round
from glm_magic.api.tool import ToolCall, WebSearch
from glm_magic.errors import ReplyError
from glm_magic.session.exchange import Exchange
from glm_magic.session.functions import find_functions
from glm_magic.session.rounds import Rounds
from glm_magic.session.schemas import find_schema


def double(x: int) -> int:
    """Double a number."""
    return 2 * x


FUNCTIONS = find_functions(["double"], {"double": double})
REQUEST = ChatRequest(
    "glm-4.7", (Message("user", "Twice 4?"),), functions=tuple(f.tool for f in FUNCTIONS)
)
ASKS = Reply(
    "Let me see.",
    "Hm.",
    (ToolCall("c1", "double", '{"x": 4}'),),
    state="complete",
    finish_reason="tool_calls",
    usage=Usage(10, 2, 12),
    seconds=1.0,
    first_token_s=0.5,
)
ANSWER = Reply("8", state="complete", finish_reason="stop", usage=Usage(20, 1, 21), seconds=2.0)
DONE = Call("c1", "double", '{"x": 4}', "done", "8", seconds=0.25)


def take(rounds: Rounds, reply: Reply) -> None:
    """Let a reply be the one that came."""
    rounds.end(reply)
    rounds.judge()


def rounds_of(*, most: int = 10, schema: str = "", goes_on: ChatRequest | None = None) -> Rounds:
    reply = Reply(schema=find_schema(schema, {}) if schema else None)
    functions = () if schema else FUNCTIONS
    request = replace(REQUEST, functions=(), web_search=WebSearch()) if schema else REQUEST
    endpoint = parse_endpoint("bigmodel")
    exchange = Exchange(request, endpoint, reply, functions=functions)
    return Rounds(exchange, most=most, goes_on=goes_on)


def test_the_results_of_calls_go_into_the_next_request() -> None:
    rounds = rounds_of()
    assert rounds.request is not None and rounds.request.messages == REQUEST.messages
    take(rounds, ASKS)
    assert rounds.calls == (Call("c1", "double", '{"x": 4}'),)
    rounds.note(0, DONE)
    assert rounds.request == replace(
        REQUEST,
        messages=(
            Message("user", "Twice 4?"),
            Message("assistant", "Let me see.", "Hm.", (ToolCall("c1", "double", '{"x": 4}'),)),
            Message("tool", "8", call_id="c1"),
        ),
    )
    take(rounds, ANSWER)
    assert rounds.request is None
    rounds.check()


def test_all_of_it_is_one_reply() -> None:
    rounds = rounds_of()
    take(rounds, ASKS)
    rounds.note(0, DONE)
    assert rounds.request
    take(rounds, replace(ANSWER, found=(Source(1, "a", "", "", "", ""),)))
    reply = rounds.reply
    assert (reply.text, reply.reasoning, reply.state) == ("8", "", "complete")
    assert reply.rounds == (Round("Let me see.", "Hm.", (DONE,), usage=Usage(10, 2, 12)),)
    assert (reply.usage, reply.seconds, reply.first_token_s) == (Usage(30, 3, 33), 3.25, 0.5)
    assert (reply.calls, reply.requests, reply.asked) == ((DONE,), 2, REQUEST)
    assert [source.number for source in reply.found] == [1]


def test_counts_that_one_request_lacks_are_not_known() -> None:
    rounds = rounds_of()
    take(rounds, replace(ASKS, usage=None))
    rounds.note(0, DONE)
    assert rounds.request
    take(rounds, ANSWER)
    assert rounds.reply.usage is None


def test_what_ends_between_two_requests_is_stopped() -> None:
    rounds = rounds_of()
    take(rounds, ASKS)
    reply = rounds.reply
    assert (reply.state, reply.text, reply.tool_calls) == ("stopped", "", ())
    assert reply.rounds[0].text == "Let me see."
    assert [call.state for call in reply.calls] == ["asked"]


@pytest.mark.parametrize("reason", ["length", "sensitive"])
def test_calls_that_may_be_cut_are_not_made(reason: str) -> None:
    rounds = rounds_of()
    take(rounds, replace(ASKS, finish_reason=reason))
    assert rounds.calls == ()
    assert rounds.request is None
    with pytest.raises(ReplyError, match="cut in the middle of a call"):
        rounds.check()


def test_a_server_that_says_stop_beside_its_calls_is_understood() -> None:
    rounds = rounds_of()
    take(rounds, replace(ASKS, finish_reason="stop"))
    assert len(rounds.calls) == 1


def test_calls_without_an_id_or_with_one_twice_get_their_own() -> None:
    rounds = rounds_of()
    calls = tuple(ToolCall(id, "double", "{}") for id in ("", "a", "a"))
    take(rounds, replace(ASKS, tool_calls=calls))
    assert [call.id for call in rounds.calls] == ["call_0_0", "a", "call_0_2"]


def test_a_model_may_ask_so_often_and_no_more() -> None:
    rounds = rounds_of(most=2)
    for _ in range(2):
        take(rounds, ASKS)
        rounds.note(0, DONE)
        assert rounds.request is not None
    take(rounds, ASKS)
    assert rounds.request is None
    assert len(rounds.reply.rounds) == 2
    with pytest.raises(ReplyError, match="still asks for 'double' after 2 rounds of calls"):
        rounds.check()


def test_without_functions_a_call_is_only_told_of() -> None:
    rounds = rounds_of(schema="x int")
    take(rounds, ASKS)
    assert rounds.request is None
    assert len(rounds.reply.tool_calls) == 1


def test_an_answer_that_does_not_fit_is_sent_back_once() -> None:
    rounds = rounds_of(schema="x int")
    take(rounds, replace(ANSWER, text='{"x": "a"}', reasoning="Hm."))
    request = rounds.request
    assert request is not None and request.web_search is None
    *_, said, complaint = request.messages
    assert said == Message("assistant", '{"x": "a"}')
    assert complaint.role == "user" and "x: Input should be a valid integer" in complaint.content
    take(rounds, replace(ANSWER, text='{"x": "b"}'))
    assert rounds.request is None
    with pytest.raises(ReplyError, match="does not fit x int: x: Input should be"):
        rounds.check()


@pytest.mark.parametrize("state", ["failed", "stopped", "cut off"])
def test_where_nothing_comes_of_sending_it_back_the_answer_stays(state: str) -> None:
    rounds = rounds_of(schema="x int")
    take(rounds, replace(ANSWER, text='{"x": "a"}'))
    assert rounds.request
    take(rounds, Reply("", state=state))  # type: ignore[arg-type]
    reply = rounds.reply
    assert (reply.text, reply.state, reply.rounds) == ('{"x": "a"}', "complete", ())
    with pytest.raises(ReplyError, match="does not fit"):
        rounds.check()


def test_a_key_in_what_is_wrong_is_not_sent() -> None:
    exchange = Exchange(REQUEST, parse_endpoint("bigmodel"), Reply(schema=find_schema("x int", {})))
    rounds = Rounds(exchange, most=1, redact=lambda text: text.replace("secret", "[key]"))
    take(rounds, replace(ANSWER, text='{"x": "secret"}'))
    assert rounds.request and "[key]" in rounds.request.messages[-1].content


def test_an_answer_that_fits_is_not_sent_back() -> None:
    rounds = rounds_of(schema="x int")
    take(rounds, replace(ANSWER, text='{"x": 1}'))
    assert rounds.request is None
    rounds.check()


@pytest.mark.parametrize("state", ["stopped", "cut off", "withdrawn", "failed"])
def test_what_is_not_whole_is_neither_sent_back_nor_checked(state: str) -> None:
    rounds = rounds_of(schema="x int")
    rounds.end(replace(ANSWER, text="{", state=state))  # type: ignore[arg-type]
    assert rounds.request is None
    rounds.check()


def test_what_was_cut_at_the_limit_says_so() -> None:
    rounds = rounds_of(schema="x int")
    take(rounds, replace(ANSWER, text="{", finish_reason="length"))
    assert rounds.request is None
    with pytest.raises(ReplyError, match="token limit"):
        rounds.check()


def test_what_goes_on_is_sent_as_it_is_and_joined() -> None:
    goes_on = replace(REQUEST, functions=())
    exchange = Exchange(REQUEST, parse_endpoint("bigmodel"), Reply("8 and ", rounds=(Round("a"),)))
    rounds = Rounds(exchange, most=10, goes_on=goes_on)
    assert rounds.request == goes_on
    take(rounds, replace(ANSWER, text="more"))
    assert (rounds.reply.text, rounds.reply.rounds) == ("8 and more", (Round("a"),))


def test_each_request_is_priced_by_its_own_length() -> None:
    # Of glm-4.5-air a prompt of 32K tokens and more costs more a token.
    each = Usage(20_000, 100, 20_100)
    both = Usage(40_000, 200, 40_200)
    alone = Reply("a", usage=each, model="glm-4.5-air", billed_in="CNY")
    twice = replace(alone, usage=both, rounds=(Round("b", usage=each),))
    long = replace(alone, usage=both)
    assert alone.cost and twice.cost and long.cost
    assert twice.cost.amount == pytest.approx(2 * alone.cost.amount)
    assert long.cost.amount > twice.cost.amount * 1.2
