"""The check of an endpoint: what each step finds, one failure at a time."""

import asyncio
import io
import itertools
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import html5lib
import pytest
from glm_server import ApiFailure, GlmServer, Script, failure

from glm_magic.api import http
from glm_magic.api.check import STEPS, Finding, Plan, check, clock_ahead_s
from glm_magic.api.client import AsyncClient
from glm_magic.api.connection import Answered
from glm_magic.api.endpoints import parse_endpoint
from glm_magic.jupyter.lines.check import LinesView
from glm_magic.render.check import CheckTable, render_check, render_check_plain
from glm_magic.secret import Secret

KEY = "test-key-id.test-secret"  # the server's
PLAN = Plan("glm-4.7-flash", "embedding-3", "ZAI_API_KEY")
SITE = "https://llm.example.org/api/paas/v4"
LIST = {"object": "list", "data": [{"id": "glm-4.7-flash"}]}
ANSWER = {
    "model": "glm-4.7-flash",
    "choices": [{"index": 0, "finish_reason": "length", "message": {"content": "Hi"}}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
}
STREAM = (
    b'data: {"model":"glm-4.7-flash","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
    b'data: {"choices":[{"index":0,"finish_reason":"length","delta":{"content":""}}],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}\n\n'
    b"data: [DONE]\n\n"
)
VECTORS = {
    "model": "embedding-3",
    "data": [{"index": 0, "embedding": [0.6, 0.8]}],
    "usage": {"prompt_tokens": 2, "total_tokens": 2},
}
PAGE = b"<!DOCTYPE html><html><h1>Sign in</h1></html>"
NOTHING = {"status": 404, "error": "Not Found"}
Answer = Callable[[http.Request], http.Response]


async def find(client: AsyncClient, plan: Plan, **options: Any) -> list[Finding]:
    async with client:
        return [finding async for finding in check(client, plan, **options)]


def check_server(server: GlmServer, plan: Plan = PLAN, **options: Any) -> dict[str, Finding]:
    key = options.pop("key", KEY)
    client = AsyncClient(key, options.pop("url", server.url), **{"max_retries": 0, **options})
    return {finding.step: finding for finding in asyncio.run(find(client, plan))}


def check_mock(
    url: str = SITE, plan: Plan = PLAN, *, key: str = KEY, auth: Any = "key", **answers: Answer
) -> dict[str, Finding]:
    """Check a server that answers well but for `models`, `chat`, `stream` or `embeddings`."""

    def answer(request: http.Request) -> http.Response:
        name = request.url.path.rpartition("/")[2]
        if name == "completions":
            name = "stream" if b'"stream":true' in request.content else "chat"
        return answers.get(name, GOOD[name])(request)

    client = AsyncClient(
        Secret(key) if key else "",
        parse_endpoint(url),
        auth=auth,
        max_retries=0,
        transport=http.MockTransport(answer),
    )
    return {finding.step: finding for finding in asyncio.run(find(client, plan))}


class Body(http.AsyncByteStream):
    """A body that has not been read yet, as one of the network has not."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


def sends(content: bytes, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: http.Response(status, headers=named, stream=Body(content))


def says(status: int = 200, content: object = None, **headers: str) -> Answer:
    return sends(json.dumps(content).encode(), status, **headers)


def refuses(code: str) -> Answer:
    refusal = failure(code)
    return says(refusal.status, refusal.build_body())


GOOD: dict[str, Answer] = {
    "models": says(content=LIST),
    "chat": says(content=ANSWER),
    "stream": sends(STREAM, content_type="text/event-stream"),
    "embeddings": says(content=VECTORS),
}


def verdicts(found: dict[str, Finding]) -> dict[str, str]:
    return {step: finding.verdict for step, finding in found.items()}


def reasons(found: dict[str, Finding], *steps: str) -> list[str]:
    return [found[step].reason for step in steps]


# -- all is well ---------------------------------------------------------------------------


def test_a_good_endpoint_passes_every_step(server: GlmServer) -> None:
    server.script = Script(text=("Hi",))
    found = check_server(server)
    assert tuple(found) == STEPS
    assert verdicts(found) == {
        "address": "works",
        "key": "works",
        "model": "works",
        "streaming": "works",
        "embeddings": "works",
        "clock": "not known",
        "web search": "offered",
        "tasks": "offered",
    }
    assert reasons(found, "address", "key", "model", "embeddings", "clock") == [
        "it answers and lists 10 models",
        "from ZAI_API_KEY: it was accepted",
        "glm-4.7-flash answers",
        "embedding-3 gives 8 dimensions",
        "the server sends no date",
    ]
    assert "ms, " in found["streaming"].reason


def test_a_check_costs_three_calls_of_one_token_and_a_list(server: GlmServer) -> None:
    server.script = Script(text=("Hi",))
    found = check_server(server)
    assert [request.path.rpartition("v4")[2] for request in server.requests] == [
        "/models",
        "/chat/completions",
        "/chat/completions",
        "/embeddings",
    ]
    chat, stream = (request.json for request in server.requests[1:3])
    assert chat == {
        "model": "glm-4.7-flash",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": False,
        "max_tokens": 1,
        "thinking": {"type": "disabled"},
    }
    assert stream == chat | {"stream": True}
    assert server.requests[3].json == {"model": "embedding-3", "input": ["Hi"]}
    assert sum(finding.requests for finding in found.values()) == 4
    # Twice a prompt and an answer of one token each, and one text.
    assert sum(finding.tokens for finding in found.values()) == 2 + 2 + 1


@pytest.mark.parametrize("model", ["glm-5.3", "my-own-model"])
def test_a_model_that_must_think_or_is_not_known_is_not_told_otherwise(
    server: GlmServer, model: str
) -> None:
    server.models.add("my-own-model")
    found = check_server(server, Plan(model, "embedding-3", "ZAI_API_KEY"))
    assert found["model"].verdict == found["streaming"].verdict == "works"
    assert "thinking" not in server.requests[1].json


def test_time_is_measured_by_the_clock_that_is_given() -> None:
    ticks = itertools.count()
    client = AsyncClient(KEY, SITE, transport=http.MockTransport(GOOD["models"]))
    found = asyncio.run(find(client, PLAN, clock=lambda: float(next(ticks))))
    assert found[0].milliseconds == 1000.0


def test_a_model_that_answers_as_another_is_named() -> None:
    found = check_mock(chat=says(content=ANSWER | {"model": "GLM-4.7-ali"}))
    assert found["model"].reason == "glm-4.7-flash answers as GLM-4.7-ali"


# -- the address ---------------------------------------------------------------------------


@pytest.fixture
def nobody() -> str:
    """An address of this machine where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/api/paas/v4"


def test_an_address_that_does_not_answer_skips_what_needs_it(
    server: GlmServer, nobody: str
) -> None:
    found = check_server(server, url=nobody)
    assert found["address"].verdict == "fails"
    assert "cannot be reached; check `%glm config endpoint`" in found["address"].reason
    steps = ("model", "streaming", "embeddings", "clock")
    assert {found[step].verdict for step in ("key", *steps)} == {"skipped"}
    assert set(reasons(found, *steps)) == {"the address does not answer"}
    assert found["key"].reason == "from ZAI_API_KEY: the address does not answer"
    assert found["tasks"].verdict == "offered"
    assert sum(finding.requests for finding in found.values()) == 1


def test_an_endpoint_without_a_list_works_all_the_same() -> None:
    found = check_mock(models=says(404, NOTHING))
    assert found["address"].verdict == "works"
    assert found["address"].reason == "it answers (HTTP 404); it has no list of models"
    assert found["key"].verdict == found["model"].verdict == "works"


def test_a_list_of_another_shape_is_no_failure() -> None:
    found = check_mock(models=says(content=["glm-4.7"]))
    assert found["address"].reason == "it answers, but not with a list of models"
    assert found["model"].verdict == "works"


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (sends(PAGE), "something that is not JSON"),
        (says(502), "the server failed (HTTP 502)"),
        (says(307, location="https://example.org/"), "sends on to example.org"),
    ],
    ids=["page", "gateway", "redirect"],
)
def test_an_address_that_answers_wrongly_fails_alone(models: Answer, words: str) -> None:
    found = check_mock(models=models)
    assert found["address"].verdict == "fails"
    assert words in found["address"].reason
    assert found["model"].verdict == found["embeddings"].verdict == "works"


# -- the key -------------------------------------------------------------------------------


def test_a_refused_key_skips_what_needs_it(server: GlmServer) -> None:
    found = check_server(server, key="wrong-key-id.wrong-secret")
    assert found["address"].verdict == "works"
    assert found["key"].verdict == "fails"
    assert "the key was not accepted (HTTP 401, code 1000)" in found["key"].reason
    assert found["key"].reason.startswith("from ZAI_API_KEY: ")
    assert set(reasons(found, "model", "streaming", "embeddings")) == {"the key was refused"}
    assert len(server.requests) == 1
    assert "wrong-key-id" not in str(found)


def test_a_key_that_only_models_refuse_is_judged_by_them() -> None:
    found = check_mock(chat=refuses("1002"))
    assert found["key"].verdict == "fails"
    assert "the key is not valid (HTTP 401, code 1002)" in found["key"].reason
    assert set(reasons(found, "model", "streaming", "embeddings")) == {"the key was refused"}
    assert sum(finding.requests for finding in found.values()) == 2


def test_without_a_key_the_address_is_checked_and_the_rest_skipped(server: GlmServer) -> None:
    found = check_server(server, Plan("m", "e", no_key="no API key: run `%glm login`"), key="")
    assert found["address"].reason == "it answers (HTTP 401)"
    assert found["key"] == Finding("key", "fails", "no API key: run `%glm login`")
    assert set(reasons(found, "model", "streaming", "embeddings")) == {"there is no key"}
    assert "authorization" not in server.requests[0].headers


def test_a_key_that_lacks_a_right_is_accepted() -> None:
    found = check_mock(chat=refuses("1220"))
    assert found["key"].verdict == "works"
    assert found["model"].verdict == "fails"
    assert "the key may not use this API" in found["model"].reason


def test_a_server_that_needs_no_key_is_said_to_need_none() -> None:
    found = check_mock(plan=Plan("m", "e"), key="")
    assert found["key"] == Finding("key", "works", "none was sent and none is needed")


def test_a_server_that_asks_for_a_key_and_got_none_refuses_it(server: GlmServer) -> None:
    found = check_server(server, Plan("m", "e"), key="")
    assert found["key"].verdict == "fails"
    assert "no key was sent" in found["key"].reason


def test_nothing_is_said_of_a_key_that_nothing_has_judged() -> None:
    found = check_mock(models=sends(PAGE), chat=sends(PAGE))
    assert found["key"].verdict == "not known"


def test_a_key_that_cannot_be_signed_with_sends_nothing() -> None:
    found = check_mock(key="no-dot", auth="jwt")
    assert "auth=jwt needs a key of the form ID.SECRET" in found["address"].reason
    assert set(reasons(found, "model", "streaming", "embeddings")) == {"nothing can be sent"}
    assert sum(finding.requests for finding in found.values()) == 0


# -- model, streaming, embeddings ----------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("1211", "the model does not exist (HTTP 400, code 1211)"),
        ("1113", "no balance or resource package for this key here (HTTP 429, code 1113)"),
        ("1210", "a parameter is wrong (HTTP 400, code 1210)"),
    ],
)
def test_a_model_refused_for_good_is_not_asked_to_stream(code: str, words: str) -> None:
    found = check_mock(chat=refuses(code))
    assert found["key"].verdict == "works"
    assert found["model"].verdict == "fails"
    assert words in found["model"].reason
    assert found["streaming"] == Finding("streaming", "skipped", "the model does not answer")
    assert found["embeddings"].verdict == "works"


@pytest.mark.parametrize("code", ["1302", "1305", "1230", "1212"])
def test_a_model_that_may_answer_next_time_is_asked_to_stream(code: str) -> None:
    found = check_mock(chat=refuses(code))
    assert (found["model"].verdict, found["streaming"].verdict) == ("fails", "works")


def test_an_unknown_model_is_named_with_the_nearest(server: GlmServer) -> None:
    found = check_server(server, Plan("glm-4.77", "embedding-3", "ZAI_API_KEY"))
    assert found["model"].reason.endswith("the model was 'glm-4.77'; did you mean 'glm-4.7'?")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (Script(cut_after=1), "cut off"),
        (Script(end_after=1), "cut off"),
        (Script(html=True), "answered with a web page"),
        (Script(error=ApiFailure(503, None, "busy")), "the server failed (HTTP 503)"),
    ],
)
def test_a_stream_that_breaks_fails_alone(server: GlmServer, script: Script, words: str) -> None:
    server.queue(Script(), script)
    found = check_server(server)
    assert found["streaming"].verdict == "fails"
    assert words in found["streaming"].reason
    assert found["model"].verdict == found["embeddings"].verdict == "works"


def test_a_server_that_stays_silent_fails_after_the_time_that_is_set(server: GlmServer) -> None:
    server.queue(Script(stall_after=0), Script(stall_after=0))
    found = check_server(server, first_byte_timeout_s=0.2)
    assert "no answer within 0.2 s" in found["model"].reason
    assert "silent for 0.2 s" in found["streaming"].reason
    assert found["embeddings"].verdict == "works"


@pytest.mark.parametrize("status", [404, 405, 501])
def test_an_endpoint_without_embeddings_does_not_offer_them(status: int) -> None:
    found = check_mock(embeddings=says(status, NOTHING))
    assert found["embeddings"].verdict == "not offered"
    assert found["embeddings"].reason == f"the endpoint has none (HTTP {status})"


@pytest.mark.parametrize(
    ("embeddings", "words"),
    [
        (refuses("1211"), "the model does not exist"),
        (says(content={"data": []}), "sent 0 vectors for 1 texts"),
    ],
)
def test_embeddings_that_fail_are_said_to(embeddings: Answer, words: str) -> None:
    found = check_mock(embeddings=embeddings)
    assert found["embeddings"].verdict == "fails"
    assert words in found["embeddings"].reason


def test_each_try_is_counted(server: GlmServer) -> None:
    server.queue(Script(error=failure("1302")))
    found = check_server(server, max_retries=1, retry_base_s=0.0)
    assert (found["model"].verdict, found["model"].requests) == ("works", 2)


# -- the clock -----------------------------------------------------------------------------


def at(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("offset_s", "verdict", "words"),
    [
        (0, "works", "within 60 s of the server's"),
        (-50, "works", "within 60 s of the server's"),
        (300, "fails", " s behind the server's; auth=jwt may fail"),
        (-300, "fails", " s ahead of the server's; auth=jwt may fail"),
    ],
)
def test_a_clock_that_is_off_is_said_to_be(offset_s: float, verdict: str, words: str) -> None:
    found = check_mock(embeddings=says(content=VECTORS, date=at(offset_s)))
    assert found["clock"].verdict == verdict
    assert words in found["clock"].reason


def test_a_clock_that_is_off_matters_to_signed_tokens() -> None:
    plan = Plan("m", "e", "ZAI_API_KEY", auth="jwt")
    found = check_mock(plan=plan, auth="jwt", embeddings=says(401, {}, date=at(600)))
    assert found["clock"].reason.endswith("tokens signed with it may be refused")


@pytest.mark.parametrize(
    ("date", "ahead_s"),
    [
        ("Tue, 24 Nov 2026 01:00:00 GMT", 30.0),
        ("Tue, 24 Nov 2026 01:00:00 -0000", 30.0),
        ("Tue, 24 Nov 2026 09:00:00 +0800", 30.0),
        ("", None),
        ("soon", None),
        ("Tue, 99 Nov 2026 99:00:00 GMT", None),
    ],
)
def test_a_date_is_read_as_it_is_written(date: str, ahead_s: float | None) -> None:
    now_s = datetime(2026, 11, 24, 1, 0, 30, tzinfo=UTC).timestamp()
    assert clock_ahead_s(Answered(date, now_s)) == ahead_s


# -- other endpoints -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "web_search", "tasks"),
    [
        ("bigmodel", "offered", "offered"),
        ("zai", "offered", "not offered"),
        ("coding", "offered", "not offered"),
        ("coding-zai", "offered", "not offered"),
        (SITE, "offered", "offered"),
        ("https://llm.example.org/v1", "not offered", "not offered"),
    ],
)
def test_what_an_endpoint_offers_is_said_without_a_call(
    url: str, web_search: str, tasks: str
) -> None:
    found = check_mock(url)
    assert (found["web search"].verdict, found["tasks"].verdict) == (web_search, tasks)


def test_the_local_engine_is_checked_like_any_other() -> None:
    found = check_mock("local", Plan("glm-4.7-flash", "embedding-3"), key="")
    assert reasons(found, "address", "key", "clock") == [
        "it answers and lists 1 model",
        "none was sent and none is needed",
        "it is this machine's own",
    ]
    assert (found["web search"].verdict, found["tasks"].verdict) == ("not offered", "not offered")


# -- the table -----------------------------------------------------------------------------

FOUND = (
    Finding("address", "works", "it answers", 12.4, 1),
    Finding("key", "fails", "<script>alert(1)</script>\x1b[31m"),
    Finding("model", "skipped", "the key was refused", None, 2, 7),
)
TAGS = {"html", "head", "body", "div", "span", "strong"}
TAGS |= {"table", "caption", "thead", "tbody", "tr", "th", "td"}


def nodes(html: str) -> Iterator[Any]:
    yield from html5lib.parse(html, namespaceHTMLElements=False).iter()


def cells(html: str) -> list[str]:
    return ["".join(node.itertext()) for node in nodes(html) if node.tag in ("th", "td")]


def test_a_check_under_way_shows_what_is_found_and_what_runs() -> None:
    html = render_check(CheckTable("h · m", FOUND))
    assert cells(html)[4:] == [
        *("address", "✓ works", "it answers", "12"),
        *("key", "✗ fails", "<script>alert(1)</script>", ""),
        *("model", "– skipped", "the key was refused", ""),
        *("streaming", "…", "", ""),
    ]
    assert "checking streaming …" in html
    assert {node.tag for node in nodes(html)} <= TAGS


def test_a_stopped_check_says_so_and_what_it_cost() -> None:
    table = CheckTable("h · m", FOUND, is_stopped=True)
    assert render_check_plain(table).splitlines() == [
        "h · m",
        "address     ✓ works        it answers (12 ms)",
        "key         ✗ fails        <script>alert(1)</script>",
        "model       – skipped      the key was refused",
        "stopped after 3 of 8 steps; 3 requests, 7 tokens",
    ]
    assert "…" not in render_check(table)


def test_a_whole_check_ends_in_its_cost() -> None:
    whole = CheckTable("h", tuple(Finding(step, "works", "", 1.0, 1, 1) for step in STEPS))
    assert render_check_plain(whole).splitlines()[-1] == "8 requests, 8 tokens"
    assert "checking" not in render_check(whole)


def test_a_terminal_gets_a_line_for_each_finding_as_it_comes() -> None:
    out = io.StringIO()
    view = LinesView(CheckTable("h · m"), out)
    view.feed([FOUND[0]])
    view.paint()
    view.paint()
    assert out.getvalue().splitlines()[1:] == ["address     ✓ works        it answers (12 ms)"]
    view.feed([FOUND[1]])
    view.finish()
    assert out.getvalue().splitlines()[2:] == [
        "key         ✗ fails        <script>alert(1)</script>",
        "stopped after 2 of 8 steps; 1 request, 0 tokens",
    ]
