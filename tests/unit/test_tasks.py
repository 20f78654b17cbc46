"""Asynchronous tasks: every shape the server tells of one in, and the wait for its reply."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from itertools import islice
from typing import Any, TypeVar

import httpx
import pytest
from glm_server import FAILURES, SOURCES, GlmServer, Script, build_refusal, failure

from glm_magic.api.client import AsyncClient
from glm_magic.api.endpoints import LOCAL, Endpoint, parse_endpoint
from glm_magic.api.events import Filtered, Usage
from glm_magic.api.failures import Context
from glm_magic.api.reply import Reply
from glm_magic.api.requests import ChatRequest, build_messages
from glm_magic.api.tasks import (
    Progress,
    Task,
    check_task_id,
    parse_task,
    poll_waits_s,
    wait_for_task,
)
from glm_magic.api.tool import WebSearch
from glm_magic.errors import (
    ApiError,
    AuthError,
    ConnectError,
    ContentError,
    GlmError,
    SettingsError,
    StreamError,
)
from glm_magic.render.reply import header_line, render_reply_plain
from glm_magic.render.tasks import render_tasks, render_tasks_plain
from glm_magic.session.exchange import Exchange
from glm_magic.session.tasks import TaskRow, Tasks

T = TypeVar("T")
KEY = "test-key-id.test-secret"  # the server's
SITE = "https://llm.example.org/api/paas/v4"
HOST = "llm.example.org"
ID = "2026090712000012ab"
PROMPT = "我的日记：今天 I hid the gold under the old oak."
ASK = ChatRequest("glm-4.6", build_messages(PROMPT))
ASKED = Context(HOST, "glm-4.6", (KEY, PROMPT))
HEAD = {"id": ID, "request_id": "r-1", "model": "glm-4.6"}
ANSWER = {"finish_reason": "stop", "index": 0, "message": {"role": "assistant", "content": "42"}}
USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
PROCESSING = {**HEAD, "task_status": "PROCESSING"}
SUCCESS = {**HEAD, "task_status": "SUCCESS", "choices": [ANSWER], "usage": USAGE}
FAIL = {**HEAD, "task_status": "FAIL"}
REPLY = Reply("42", model="glm-4.6", endpoint=HOST, state="complete", finish_reason="stop")
RUNNING, DONE = Task(ID, "PROCESSING"), Task(ID, "SUCCESS", reply=REPLY)
PICK_UP = f"pick it up with %glm task {ID}"


def parse(fields: object, context: Context = ASKED) -> Task:
    return parse_task(fields, context, task_id=ID)


def reply_of(fields: dict[str, Any], context: Context = ASKED) -> Reply:
    reply = parse(fields, context).reply
    assert reply is not None
    return reply


def failure_of(fields: dict[str, Any]) -> ApiError:
    error = parse(fields).failure
    assert error is not None
    assert "\n" not in str(error)
    return error


# -- what the server tells -----------------------------------------------------------------


def test_a_submitted_task_has_an_id_and_goes_on() -> None:
    task = parse_task(PROCESSING, ASKED)
    assert task == Task(ID, "PROCESSING", "glm-4.6")
    assert not task.has_ended


@pytest.mark.parametrize("model", [{"model": None}, {"model": ""}, {}])
def test_a_running_task_may_name_no_model(model: dict[str, Any]) -> None:
    fields = {"id": ID, "request_id": "r-1", "task_status": "PROCESSING", **model}
    assert parse_task(fields, ASKED) == Task(ID, "PROCESSING", "")


@pytest.mark.parametrize("status", ["PROCESSING", "processing", "QUEUED", " Pending\n"])
def test_a_status_that_is_no_end_is_waited_on(status: str) -> None:
    task = parse({**HEAD, "task_status": status})
    assert task.status == status.strip().upper()
    assert not task.has_ended


def test_a_task_that_succeeded_has_its_reply() -> None:
    assert parse(SUCCESS).has_ended
    assert reply_of(SUCCESS) == Reply(
        text="42",
        usage=Usage(7, 2, 9),
        model="glm-4.6",
        endpoint=HOST,
        finish_reason="stop",
        request_id="r-1",
        state="complete",
    )


def test_choices_without_a_status_are_a_success() -> None:
    assert reply_of({**HEAD, "choices": [ANSWER]}).text == "42"


def test_reasoning_sources_and_tool_calls_come_along() -> None:
    message = {
        "content": "Yes[ref_1].",
        "reasoning_content": "Let me see.",
        "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": "{}"}}],
    }
    fields = {**SUCCESS, "choices": [{"message": message}], "web_search": list(SOURCES)}
    reply = reply_of(fields)
    assert (reply.text, reply.reasoning) == ("Yes[ref_1].", "Let me see.")
    assert [source.number for source in reply.found] == [1, 2]
    assert [call.name for call in reply.tool_calls] == ["f"]


def test_null_tool_calls_are_none() -> None:
    message = {"role": "assistant", "content": "42", "tool_calls": None}
    assert reply_of({**SUCCESS, "choices": [{"message": message}]}).tool_calls == ()


def test_a_reply_that_came_whole_tells_no_speed() -> None:
    reply = reply_of(SUCCESS)
    assert (reply.first_token_s, reply.tokens_per_s) == (None, None)


@pytest.mark.parametrize("choices", [[], None, "x", [None]])
def test_a_success_without_an_answer_is_an_empty_reply(choices: object) -> None:
    assert reply_of({**SUCCESS, "choices": choices}).text == ""


@pytest.mark.parametrize(
    "content",
    [None, [], "PROCESSING", 7, {}, {"id": ID}, {"status": 404}, {"task_status": None}],
)
def test_what_is_no_task_is_told_in_one_line(content: object) -> None:
    with pytest.raises(ConnectError) as caught:
        parse(content)
    assert str(caught.value) == (
        f"{HOST} answered with something that is no task; check `%glm config endpoint`"
    )


@pytest.mark.parametrize(
    "task_id", [None, "", "a/b", "../models", "a b", "a?b", "a\nb", "x" * 129, "任务"]
)
def test_a_submission_without_a_usable_id_is_no_task(task_id: object) -> None:
    with pytest.raises(ConnectError, match="something that is no task"):
        parse_task({**PROCESSING, "id": task_id}, ASKED)


@pytest.mark.parametrize("text", ["2026090712000012ab", "8353-9_a", "A", "x" * 128])
def test_an_id_is_a_word_of_letters_digits_and_dashes(text: str) -> None:
    assert check_task_id(text) == text


@pytest.mark.parametrize("text", ["", KEY, "a/b", "..", "%2e", "x" * 129, "id\n"])
def test_what_cannot_be_an_id_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_task_id(text)
    assert str(caught.value) == (
        "that is no task id: one has letters, digits, - and _ only; "
        "`%glm task` lists those of this session"
    )


# -- a task that failed --------------------------------------------------------------------


@pytest.mark.parametrize("status", ["FAIL", "FAILED", "fail", "Failed"])
def test_both_words_for_a_failure_are_taken(status: str) -> None:
    error = failure_of({**HEAD, "task_status": status})
    assert str(error) == (
        f"{HOST}: task {ID} failed, and the server does not say why; run the cell again"
    )
    assert not error.retryable


@pytest.mark.parametrize(
    "said",
    [
        {"error": {"message": "out of memory"}},
        {"error": "out of memory"},
        {"message": "out of memory"},
        {"msg": "out of\nmemory"},
    ],
)
def test_a_failure_repeats_what_the_server_said(said: dict[str, Any]) -> None:
    assert str(failure_of({**FAIL, **said})) == (
        f'{HOST}: task {ID} failed: "out of memory"; run the cell again'
    )


def test_a_failure_with_a_code_says_what_it_means() -> None:
    error = failure_of({**FAIL, "error": {"code": "1301", "message": FAILURES["1301"][1]}})
    assert type(error) is ContentError
    assert error.code == "1301"
    assert str(error) == (
        f"task {ID} failed: {HOST}: the safety review refused the content "
        "(HTTP 200, code 1301); rephrase it"
    )


def test_a_failure_never_repeats_the_prompt_or_the_key() -> None:
    error = failure_of({**FAIL, "message": f"cannot answer {PROMPT} of {KEY}"})
    assert str(error) == f'{HOST}: task {ID} failed: "cannot answer … of …"; run the cell again'


# -- a substituted model -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "answered", "asked_model"),
    [
        ("glm-4.6", "GLM-4.7", "glm-4.6"),
        ("glm-4.7", "glm-4.7-ali", "glm-4.7"),
        ("glm-4.5-air", "GLM-4.5-AIR", ""),
        ("GLM-5.3", "glm-5.3", ""),
        ("glm-4.6", None, ""),
        ("", "GLM-4.7", ""),
    ],
)
def test_a_model_is_substituted_when_more_than_its_case_differs(
    asked: str, answered: str | None, asked_model: str
) -> None:
    reply = reply_of({**SUCCESS, "model": answered}, Context(HOST, asked))
    assert reply.asked_model == asked_model
    assert reply.model == (answered or asked)


def test_a_substituted_model_is_named_wherever_the_reply_is_shown() -> None:
    reply = reply_of({**SUCCESS, "model": "GLM-4.7"})
    told = f"asked for glm-4.6, answered by GLM-4.7 · {HOST}"
    assert header_line(reply) == told
    assert render_reply_plain(reply) == f"42\n\n[{told}]"


def test_the_model_that_was_asked_for_is_named_alone() -> None:
    assert header_line(reply_of(SUCCESS)) == f"glm-4.6 · {HOST}"
    assert render_reply_plain(reply_of(SUCCESS)) == "42"


# -- the wait ------------------------------------------------------------------------------


class Clockless:
    """A server that tells these one after the other, and a sleep that takes no time."""

    def __init__(self, told: Iterable[Task | GlmError]) -> None:
        self._told = iter(told)
        self.asked: list[str] = []
        self.slept_s: list[float] = []
        self.seen: list[Progress] = []

    async def poll(self, task_id: str) -> Task:
        self.asked.append(task_id)
        told = next(self._told)
        if isinstance(told, GlmError):
            raise told
        return told

    async def sleep(self, wait_s: float) -> None:
        self.slept_s.append(wait_s)

    def wait(self, task: Task = RUNNING) -> Reply:
        return run(wait_for_task(task, self.poll, self.seen.append, sleep=self.sleep))

    def fail(self, task: Task = RUNNING) -> GlmError:
        with pytest.raises(GlmError) as caught:
            self.wait(task)
        assert "\n" not in str(caught.value)
        return caught.value


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def trouble(text: str = f"{HOST}: cannot be reached") -> ConnectError:
    return ConnectError(text)


def test_polls_come_ever_later_up_to_a_quarter_of_a_minute() -> None:
    expected = [2.0, 3.0, 4.5, 6.75, 10.125, 15.0, 15.0, 15.0]
    assert list(islice(poll_waits_s(), 8)) == expected


def test_a_task_is_asked_about_until_it_ends() -> None:
    server = Clockless([RUNNING, RUNNING, DONE])
    assert server.wait() == REPLY
    assert server.asked == [ID, ID, ID]
    assert server.slept_s == [2.0, 3.0, 4.5]


def test_a_task_of_which_nothing_is_known_is_asked_about_at_once() -> None:
    server = Clockless([RUNNING, DONE])
    assert server.wait(Task(ID)) == REPLY
    assert server.slept_s == [0.0, 2.0]


def test_a_task_that_has_ended_is_not_asked_about() -> None:
    server = Clockless([])
    assert server.wait(DONE) == REPLY
    assert (server.asked, server.seen) == ([], [Progress(DONE)])


def test_every_step_of_a_wait_is_told() -> None:
    server = Clockless([RUNNING, trouble("it broke"), DONE])
    server.wait()
    assert server.seen == [
        Progress(RUNNING),
        Progress(RUNNING, 1),
        Progress(RUNNING, 2, "it broke"),
        Progress(DONE, 3),
    ]


def test_five_polls_in_a_row_may_go_wrong() -> None:
    server = Clockless([*[trouble()] * 5, RUNNING, *[trouble()] * 5, DONE])
    assert server.wait() == REPLY
    assert len(server.asked) == 12


def test_a_sixth_ends_the_wait_with_the_id() -> None:
    server = Clockless([RUNNING, *[trouble()] * 6])
    error = server.fail()
    assert type(error) is ConnectError
    assert str(error) == (
        f"no news of task {ID} after 6 tries: {HOST}: cannot be reached; the task goes on, "
        f"{PICK_UP}"
    )


@pytest.mark.parametrize(("asked_s", "slept_s"), [(None, 3.0), (1.0, 3.0), (30.0, 30.0)])
def test_a_busy_server_is_given_the_time_it_asks_for(asked_s: float | None, slept_s: float) -> None:
    busy = ApiError("busy", status=429, code="1302", retryable=True, retry_after_s=asked_s)
    server = Clockless([busy, DONE])
    server.wait()
    assert server.slept_s == [2.0, slept_s]


def test_a_wait_that_the_server_asks_for_has_an_end() -> None:
    busy = ApiError("busy", status=429, retryable=True, retry_after_s=1e9)
    server = Clockless([busy, DONE])
    server.wait()
    assert server.slept_s == [2.0, 120.0]


def test_a_refusal_ends_the_wait_at_once_and_names_the_id() -> None:
    server = Clockless([AuthError(f"{HOST}: the key has expired", status=401, code="1003")])
    error = server.fail()
    assert type(error) is AuthError
    assert (error.code, str(error)) == ("1003", f"task {ID}: {HOST}: the key has expired")


def test_a_failed_task_raises_its_failure() -> None:
    failed = Task(ID, "FAIL", failure=ApiError("it failed", status=200))
    server = Clockless([failed])
    assert str(server.fail()) == "it failed"
    assert server.seen[-1] == Progress(failed, 1)


def test_a_reply_of_unsafe_content_is_withdrawn() -> None:
    answer = {**ANSWER, "finish_reason": "sensitive"}
    fields = {**SUCCESS, "choices": [answer], "content_filter": [{"role": "assistant", "level": 0}]}
    task = parse(fields)
    assert task.reply is not None
    assert (task.reply.text, task.reply.state) == ("", "withdrawn")
    assert task.reply.filtered == (Filtered("assistant", 0),)
    error = Clockless([task]).fail()
    assert type(error) is ContentError
    assert str(error) == (
        f"{HOST}: the safety review withdrew the answer: unsafe content in the answer, level 0 "
        "(0 is the worst, 3 the mildest); rephrase"
    )


def test_a_reply_that_the_platform_broke_off_is_kept() -> None:
    task = parse({**SUCCESS, "choices": [{**ANSWER, "finish_reason": "network_error"}]})
    error = Clockless([task]).fail()
    assert isinstance(error, StreamError)
    assert (error.reply.text, error.reply.state) == ("42", "cut off")


@pytest.mark.parametrize("task", [RUNNING, Task(ID)], ids=["between polls", "in a poll"])
def test_a_wait_ends_with_the_total_time(task: Task) -> None:
    async def poll(_: str) -> Task:
        await asyncio.sleep(60)
        return DONE

    with pytest.raises(ConnectError) as caught:
        run(wait_for_task(task, poll, lambda _: None, total_timeout_s=0.02))
    assert str(caught.value) == (
        f"task {ID} is not done after 0.02 s (total_timeout_s); it goes on, {PICK_UP}"
    )


def test_a_stopped_wait_asks_no_more() -> None:
    async def stop() -> list[str]:
        server = Clockless([RUNNING] * 9)
        wait = wait_for_task(RUNNING, server.poll, server.seen.append)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wait, 0.02)
        return server.asked

    assert run(stop()) == []


# -- over HTTP -----------------------------------------------------------------------------


def with_client(
    work: Callable[[AsyncClient], Awaitable[T]], url: str, transport: Any = None, **bounds: Any
) -> T:
    async def use() -> T:
        async with AsyncClient(KEY, url, transport=transport, **bounds) as client:
            return await work(client)

    return run(use())


def told(*responses: httpx.Response | Exception) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    """A transport that gives these responses in turn, and the requests it has had."""
    given, had = iter(responses), list[httpx.Request]()

    def handle(request: httpx.Request) -> httpx.Response:
        had.append(request)
        response = next(given)
        if isinstance(response, Exception):
            raise response
        return response

    return httpx.MockTransport(handle), had


def refused(code: str) -> httpx.Response:
    plain = build_refusal(failure(code))
    return httpx.Response(plain.status, content=plain.body)


def test_a_submission_is_a_chat_request_without_its_stream_fields() -> None:
    transport, had = told(httpx.Response(200, json=PROCESSING))
    request = ChatRequest(
        "glm-4.6", build_messages("hi"), temperature=0.2, thinking=False, web_search=WebSearch()
    )
    task = with_client(lambda client: client.submit_task(request), SITE, transport)
    assert task == Task(ID, "PROCESSING", "glm-4.6")
    assert (had[0].method, str(had[0].url)) == ("POST", f"{SITE}/async/chat/completions")
    body = json.loads(had[0].content)
    assert body.pop("tools")[0]["type"] == "web_search"
    assert body == {
        "model": "glm-4.6",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0.2,
        "thinking": {"type": "disabled"},
    }


def test_a_poll_is_a_get_of_the_id_with_the_key() -> None:
    transport, had = told(httpx.Response(200, json=PROCESSING))
    with_client(lambda client: client.task(ID), SITE, transport)
    assert (had[0].method, str(had[0].url)) == ("GET", f"{SITE}/async-result/{ID}")
    assert had[0].headers["authorization"] == f"Bearer {KEY}"
    assert had[0].content == b""


def test_a_task_of_the_server_gives_its_reply(server: GlmServer) -> None:
    server.script = Script(text=("答案",), substitutes_model=True, null_model=True)
    seen: list[Progress] = []

    async def ask(client: AsyncClient) -> Reply:
        task = await client.submit_task(ASK)

        async def poll(task_id: str) -> Task:
            return await client.task(task_id, request=ASK)

        return await wait_for_task(task, poll, seen.append, sleep=lambda _: asyncio.sleep(0))

    reply = with_client(ask, server.url)
    assert (reply.text, reply.model, reply.asked_model) == ("答案", "GLM-4.7", "glm-4.6")
    assert [progress.task.status for progress in seen] == ["PROCESSING", "PROCESSING", "SUCCESS"]
    assert [progress.task.model for progress in seen] == ["", "", "GLM-4.7"]


@pytest.mark.parametrize(
    "response",
    [
        httpx.ConnectError("no route"),
        httpx.ReadTimeout("slow"),
        httpx.Response(502, text="<html>Bad Gateway</html>"),
        httpx.Response(200, text="<html>Sign in</html>"),
        httpx.Response(200, json={"error": {"code": "1234", "message": "网络错误"}}),
        httpx.Response(200, json={}),
    ],
    ids=["unreachable", "timeout", "gateway", "captive portal", "platform error", "no task"],
)
def test_a_poll_that_goes_wrong_is_made_again(response: httpx.Response | Exception) -> None:
    transport, had = told(response, httpx.Response(200, json=SUCCESS))
    sleeps = Clockless([])

    async def ask(client: AsyncClient) -> Reply:
        return await wait_for_task(RUNNING, client.task, sleeps.seen.append, sleep=sleeps.sleep)

    assert with_client(ask, SITE, transport).text == "42"
    assert len(had) == 2
    assert sleeps.seen[1].trouble.startswith(HOST)


def test_a_failure_with_a_code_that_may_be_retried_ends_the_task_all_the_same() -> None:
    fields = {**FAIL, "error": {"code": "1234", "message": "网络错误"}}
    transport, had = told(httpx.Response(200, json=fields))

    async def ask(client: AsyncClient) -> Reply:
        return await wait_for_task(Task(ID), client.task, lambda _: None)

    with pytest.raises(ApiError, match=f"task {ID} failed: {HOST}: a network error"):
        with_client(ask, SITE, transport)
    assert len(had) == 1


def test_a_refused_submission_is_the_error_of_any_request() -> None:
    transport, _ = told(refused("1113"))
    with pytest.raises(ApiError, match="no balance or resource package") as caught:
        with_client(lambda client: client.submit_task(ASK), SITE, transport)
    assert caught.value.code == "1113"


def test_a_submission_is_not_repeated_where_it_may_be_billed_twice() -> None:
    transport, had = told(httpx.ReadTimeout("slow"))
    with pytest.raises(ConnectError):
        with_client(lambda client: client.submit_task(ASK), SITE, transport, retry_base_s=0.0)
    assert len(had) == 1


def test_what_cannot_be_an_id_is_never_sent() -> None:
    transport, had = told()
    with pytest.raises(SettingsError, match="that is no task id"):
        with_client(lambda client: client.task("../models"), SITE, transport)
    assert had == []


# -- where there are tasks -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "has_tasks", "has_web_search"),
    [
        (parse_endpoint("bigmodel"), True, True),
        (parse_endpoint(SITE), True, True),
        (parse_endpoint("http://127.0.0.1:8000/api/paas/v4"), True, True),
        (parse_endpoint("zai"), False, True),
        (parse_endpoint("coding"), False, True),
        (parse_endpoint("coding-zai"), False, True),
        (LOCAL, False, False),
        (parse_endpoint("https://llm.example.org/v1"), False, False),
    ],
    ids=lambda value: value.base_url if isinstance(value, Endpoint) else str(value),
)
def test_each_endpoint_has_what_its_site_offers(
    endpoint: Endpoint, has_tasks: bool, has_web_search: bool
) -> None:
    assert (endpoint.has_tasks, endpoint.has_web_search) == (has_tasks, has_web_search)


def test_nothing_is_sent_where_there_are_no_tasks() -> None:
    transport, had = told()
    url = "https://llm.example.org/v1"
    for work in (lambda client: client.submit_task(ASK), lambda client: client.task(ID)):
        with pytest.raises(SettingsError) as caught:
            with_client(work, url, transport)
        assert str(caught.value) == (
            "llm.example.org has no asynchronous tasks; leave --task out, or use "
            "`%glm config endpoint=bigmodel`"
        )
    assert had == []


# -- what a session remembers --------------------------------------------------------------


def test_a_session_remembers_its_tasks_in_their_order() -> None:
    now = [1000.0]
    tasks, endpoint = Tasks(clock=lambda: now[0]), parse_endpoint(SITE)
    assert tasks.rows() == []
    tasks.remember(RUNNING, Exchange(ASK, endpoint, Reply()))
    now[0] += 90
    tasks.remember(
        Task("second", "PROCESSING"),
        Exchange(ChatRequest("m", build_messages("hi")), endpoint, Reply()),
    )
    now[0] += 150
    tasks.update(parse({**SUCCESS, "model": "GLM-4.7"}))
    assert tasks.rows() == [
        TaskRow(ID, "glm-4.6 → GLM-4.7", "SUCCESS", "4 min", PROMPT),
        TaskRow("second", "m", "PROCESSING", "2 min", "hi"),
    ]


def test_a_task_of_another_session_is_not_kept() -> None:
    tasks = Tasks()
    tasks.update(DONE)
    assert (tasks.rows(), tasks.find(ID)) == ([], None)


HOSTILE = TaskRow(
    "a1", "<b>m</b>", "\x1b[31mOK", "3 s", "line one\nline <script>two</script> \u202e" + "x" * 99
)


def test_a_table_of_tasks_is_safe_and_short() -> None:
    html = render_tasks([HOSTILE])
    assert "<script" not in html
    assert "<b>" not in html
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert "line one line &lt;script&gt;two&lt;/script&gt; xxx" in html
    assert "x" * 40 not in html


def test_tasks_in_a_terminal_are_aligned_lines() -> None:
    rows = [HOSTILE, TaskRow("long-id-2", "glm-4.7", "PROCESSING", "12 s", "为什么?")]
    lines = render_tasks_plain(rows).splitlines()
    assert lines[0] == "Task       Model     Last status  Age   Prompt"
    assert lines[1].startswith("a1         <b>m</b>  OK           3 s   line one line <script>")
    assert lines[2] == "long-id-2  glm-4.7   PROCESSING   12 s  为什么?"
