"""Asynchronous tasks: submitted with one request, asked about until the reply is there.

Source of the shapes: the platform's async chat pages (read September 2026) and observed replies:
PROCESSING without choices, perhaps with `"model": null`; SUCCESS with the choices of a chat
reply; FAIL. Some clients expect FAILED, which is taken too.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from glm_magic.api.catalog import billed_in
from glm_magic.api.characters import valid_unicode
from glm_magic.api.connection import Call, Connection
from glm_magic.api.endpoints import Endpoint
from glm_magic.api.events import ChunkParser, in_words
from glm_magic.api.failures import Context, build_api_error, parse_error_object, shorten
from glm_magic.api.fold import ReplyFold
from glm_magic.api.reply import Reply, State
from glm_magic.api.requests import ChatRequest, build_chat
from glm_magic.api.retry import LONGEST_WAIT_S
from glm_magic.errors import ApiError, ConnectError, ContentError, SettingsError, StreamError

# The platform's examples ask every 2 to 5 s; a task of minutes need not be asked so often.
_FIRST_WAIT_S = 2.0
_WAIT_GROWTH = 1.5
_LONGEST_WAIT_S = 15.0
# So many polls in a row may go wrong before the wait is given up.
MOST_HICCUPS = 5
# An id becomes a part of a URL, and of what is said to be typed.
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_FAILED = ("FAIL", "FAILED")
_LIMIT_STATUS_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class Task:
    """One asynchronous task, as the server last told of it.

    Attributes:
        id: the server's; what the task is asked about with.
        status: "PROCESSING", "SUCCESS", "FAIL" or a word of the server's own; "" before it was
            asked.
        model: as the server says; "" while it says none.
        reply: the reply of a task that succeeded.
        failure: why a task failed, to be raised or read.
    """

    id: str
    status: str = ""
    model: str = ""
    reply: Reply | None = None
    failure: ApiError | None = None

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing to wait for any more."""
        return self.reply is not None or self.failure is not None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a wait has come.

    Attributes:
        polls: how often the task was asked about.
        trouble: why the last poll told nothing; "" when it told.
    """

    task: Task
    polls: int = 0
    trouble: str = ""


Poll = Callable[[str], Awaitable[Task]]
Report = Callable[[Progress], None]
Sleep = Callable[[float], Awaitable[None]]


def check_tasks(endpoint: Endpoint) -> None:
    """Raise SettingsError for an endpoint that has no asynchronous tasks."""
    if not endpoint.has_tasks:
        raise SettingsError(
            f"{endpoint.host} has no asynchronous tasks; leave --task out, or use "
            "`%glm config endpoint=bigmodel`"
        )


def check_task_id(text: str) -> str:
    """Return `text` if it can be the id of a task.

    Raises:
        SettingsError: it cannot; what it is, is not repeated, since it may be a key.
    """
    if not _ID.fullmatch(text):
        raise SettingsError(
            "that is no task id: one has letters, digits, - and _ only; "
            "`%glm task` lists those of this session"
        )
    return text


def how_to_pick_up(task_id: str) -> str:
    """Return what to type to wait for a task again."""
    return f"pick it up with %glm task {task_id}"


# -- over HTTP ---------------------------------------------------------------------------------


async def submit_task(connection: Connection, request: ChatRequest) -> Task:
    """Submit a request as a task, tried again only where that cannot be billed twice.

    Raises:
        SettingsError: the endpoint has no tasks.
        ConnectError: no response, or one without an id.
        ApiError: the server refused.
    """
    check_tasks(connection.endpoint)
    call = Call("/async/chat/completions", _build_task(request), request.model, request.texts)
    content = await connection.fetch_patiently(call)
    return _with_request(parse_task(content, connection.context(call)), request, connection)


async def fetch_task(
    connection: Connection, task_id: str, request: ChatRequest | None = None
) -> Task:
    """Return how a task stands now: one request, tried once.

    Args:
        request: what the task was made of, if that is known; it tells a substituted model, and
            what no error may repeat.

    Raises:
        SettingsError: the endpoint has no tasks, or the id cannot be one.
        ConnectError: no response, or one that tells of no task.
        ApiError: the server refused to tell; a task that failed is no error here.
    """
    check_tasks(connection.endpoint)
    model, texts = (request.model, request.texts) if request else ("", ())
    call = Call(f"/async-result/{check_task_id(task_id)}", None, model, texts)
    content = await connection.read(call)
    if not _has_failed(content):
        connection.check_error(content, call)
    task = parse_task(content, connection.context(call), task_id=task_id)
    return _with_request(task, request, connection)


def _with_request(task: Task, request: ChatRequest | None, connection: Connection) -> Task:
    """The task; a reply of it knows what it answers, and who bills it."""
    if task.reply is None:
        return task
    model = request.model if request else task.reply.model
    bill = billed_in(connection.endpoint, model)
    reply = replace(task.reply, billed_in=bill, asked=request, speaks_glm=True, is_task=True)
    return replace(task, reply=reply)


def _build_task(request: ChatRequest) -> dict[str, Any]:
    body = build_chat(replace(request, stream=False), speaks_glm=True)
    del body["stream"]  # the path takes no such field
    return body


# -- parsing -----------------------------------------------------------------------------------


def parse_task(content: object, context: Context, *, task_id: str = "") -> Task:
    """Return the task in the JSON of a submission or of a poll.

    Args:
        context: the host, the model that was asked for ("" if unknown), what to mask.
        task_id: the id that was asked about; "" takes the server's.

    Raises:
        ConnectError: it is no task, or one with no usable id.
    """
    fields = content if isinstance(content, dict) else {}
    status = _parse_status(fields)
    task_id = task_id or str(fields.get("id") or "")
    if not status or not _ID.fullmatch(task_id):
        raise ConnectError(
            f"{context.host} answered with something that is no task; check `%glm config endpoint`"
        )
    model = valid_unicode(str(fields.get("model") or ""))
    task = Task(task_id, status, model)
    if status in _FAILED:
        return replace(task, failure=_parse_failure(fields, context, task_id))
    return replace(task, reply=_parse_reply(fields, context)) if status == "SUCCESS" else task


def _parse_status(fields: dict[str, Any]) -> str:
    status = fields.get("task_status")
    if not status:
        return "SUCCESS" if fields.get("choices") else ""
    return valid_unicode(str(status)).strip().upper()[:_LIMIT_STATUS_CHARACTERS]


def _has_failed(content: object) -> bool:
    return isinstance(content, dict) and _parse_status(content) in _FAILED


def _parse_failure(fields: dict[str, Any], context: Context, task_id: str) -> ApiError:
    """The error of a task that failed; no body of one is documented, so any shape is taken."""
    refusal = parse_error_object(fields)
    if refusal.code:
        error = build_api_error(refusal, context, status=200)
        return type(error)(f"task {task_id} failed: {error}", status=200, code=refusal.code)
    said = shorten(refusal.message, context.private)
    why = f': "{said}"' if said else ", and the server does not say why"
    return ApiError(f"{context.host}: task {task_id} failed{why}; run the cell again", status=200)


_STATES: dict[str | None, State] = {"sensitive": "withdrawn", "network_error": "cut off"}


def _parse_reply(fields: dict[str, Any], context: Context) -> Reply:
    parser = ChunkParser()
    fold = ReplyFold(Reply(model=context.model, endpoint=context.host))
    for event in (*parser.parse(fields), *parser.finish()):
        fold.add(event, 0.0)
    state = _STATES.get(fold.start.finish_reason, "complete")
    if state == "withdrawn":
        fold.withdraw()
    reply = fold.reply(state=state)
    # The whole answer came at once: that tells nothing of the model's speed.
    return replace(reply, first_token_s=None, asked_model=_substituted(context.model, reply.model))


def _substituted(asked: str, answered: str) -> str:
    """The model that was asked for, if another one answered; case does not matter there."""
    is_other = asked and answered and asked.strip().lower() != answered.strip().lower()
    return asked if is_other else ""


# -- waiting -----------------------------------------------------------------------------------


def poll_waits_s() -> Iterator[float]:
    """Yield the seconds before each poll: 2, 3, 4.5, ... up to 15, without end."""
    wait_s = _FIRST_WAIT_S
    while True:
        yield wait_s
        wait_s = min(wait_s * _WAIT_GROWTH, _LONGEST_WAIT_S)


async def wait_for_task(
    task: Task,
    poll: Poll,
    report: Report,
    *,
    total_timeout_s: float | None = None,
    sleep: Sleep = asyncio.sleep,
) -> Reply:
    """Return the reply of a task, asked about until it ends.

    Args:
        task: with the status "" it is asked about at once, else after the first wait.
        poll: asks; such as `AsyncClient.task`.
        report: told how it stands, at first and after every poll.
        total_timeout_s: of waiting; None is for ever.

    Raises:
        ApiError: the task failed, or the server refuses to tell.
        ContentError: the safety review withdrew the reply.
        StreamError: the platform broke the reply off; it carries what there is.
        ConnectError: too many polls in a row went wrong, or the time is over.
    """
    report(Progress(task))
    try:
        async with asyncio.timeout(total_timeout_s):
            task = await _wait(task, poll, report, sleep)
    except TimeoutError as error:
        raise ConnectError(
            f"task {task.id} is not done after {total_timeout_s:g} s (total_timeout_s); "
            f"it goes on, {how_to_pick_up(task.id)}"
        ) from error
    return _reply_of(task)


async def _wait(task: Task, poll: Poll, report: Report, sleep: Sleep) -> Task:
    waits_s = poll_waits_s()
    wait_s = next(waits_s) if task.status else 0.0
    polls = hiccups = 0
    while not task.has_ended:
        await sleep(wait_s)
        polls += 1
        wait_s = next(waits_s)
        try:
            task = await poll(task.id)
        except (ApiError, ConnectError) as error:
            hiccups += 1
            wait_s = max(wait_s, _asked_wait_s(error))
            _check_hiccup(error, hiccups, task.id)
            report(Progress(task, polls, str(error)))
        else:
            hiccups = 0
            report(Progress(task, polls))
    return task


def _asked_wait_s(error: ApiError | ConnectError) -> float:
    asked_s = error.retry_after_s if isinstance(error, ApiError) else None
    return min(asked_s or 0.0, LONGEST_WAIT_S)


def _check_hiccup(error: ApiError | ConnectError, hiccups: int, task_id: str) -> None:
    """Raise what is no hiccup, or one too many; a poll costs nothing, so most are tried again."""
    if isinstance(error, ApiError) and not error.retryable:
        named = f"task {task_id}: {error}"
        raise type(error)(named, status=error.status, code=error.code) from error
    if hiccups > MOST_HICCUPS:
        raise ConnectError(
            f"no news of task {task_id} after {hiccups} tries: {error}; the task goes on, "
            f"{how_to_pick_up(task_id)}"
        ) from error


def _reply_of(task: Task) -> Reply:
    if task.failure is not None:
        raise task.failure
    assert task.reply is not None
    reply = task.reply
    if reply.state == "withdrawn":
        raise ContentError(
            f"{reply.endpoint}: the safety review withdrew the answer: unsafe content"
            f"{in_words(reply.filtered)}; rephrase",
            status=200,
            code="sensitive",
        )
    if reply.state == "cut off":
        raise StreamError(
            f"{reply.endpoint}: the platform failed in mid-answer; run the cell again", reply=reply
        )
    return reply
