"""Asynchronous tasks in a notebook: `%%glm --task`, `%glm task` and `%glm task ID`."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from glm_magic.api.events import ReasoningDelta, TextDelta, Waiting
from glm_magic.api.loop import Job
from glm_magic.api.reply import Reply
from glm_magic.api.tasks import (
    Progress,
    Report,
    Task,
    check_task_id,
    check_tasks,
    how_to_pick_up,
    wait_for_task,
)
from glm_magic.errors import GlmError, Stopped
from glm_magic.jupyter.chat import look_of
from glm_magic.jupyter.runner import follow, uninterrupted
from glm_magic.jupyter.views.show import Look, ReplyView, is_terminal, new_view, show_table
from glm_magic.render.tasks import render_tasks, render_tasks_plain
from glm_magic.session.exchange import Exchange
from glm_magic.session.rounds import check_answer

if TYPE_CHECKING:
    from glm_magic.jupyter.magics import Glm

_STOP_TIP = "Stop waiting; the task goes on and can be picked up later"


def run_task(glm: Glm, exchange: Exchange, *, out: str | None = None) -> Reply | None:
    """Submit a request as a task, wait for its reply and show it; None when told to stop waiting.

    Raises:
        SettingsError: the endpoint has no tasks.
        Stopped: the kernel was interrupted; the task goes on.
    """
    request, endpoint = exchange.request, exchange.endpoint
    check_tasks(endpoint)
    session, _ = glm.open()
    session.last = exchange  # however the wait ends
    settings = exchange.settings or session.settings
    client, total_s = session.client(endpoint, settings), settings.total_timeout_s

    async def work(report: Report) -> None:
        try:
            task = await client.submit_task(request)
        except GlmError:  # of a submission that was interrupted nobody knows
            held.release()
            raise
        session.tasks.remember(task, exchange, held)

        async def poll(task_id: str) -> Task:
            return await client.task(task_id, request=request)

        await wait_for_task(task, poll, report, total_timeout_s=total_s)

    held = session.reserve(request, endpoint)  # until its reply is known, whoever waits for that
    wait = _Wait(request.model, endpoint.host, submits=True, exchange=exchange)
    return _wait(glm, wait, work, out)


def show_tasks(glm: Glm, task: str | None) -> Reply | None:
    """List the tasks of this session, or wait for the one that is named and show its reply."""
    if task:
        return _pick_up(glm, check_task_id(task))
    session, _ = glm.open()
    if rows := session.tasks.rows():
        show_table(render_tasks(rows), render_tasks_plain(rows))
    else:
        print("no tasks yet in this session; `%%glm --task` submits the cell as one")
    return None


def _pick_up(glm: Glm, task_id: str) -> Reply | None:
    """Wait again for a task of this session, or of another one at the endpoint in use."""
    session, _ = glm.open()
    kept = session.tasks.find(task_id)
    endpoint = kept.endpoint if kept else glm.endpoint()
    check_tasks(endpoint)
    client, total_s = session.client(endpoint), session.settings.total_timeout_s
    exchange = kept.exchange if kept else None
    request = exchange.request if exchange else None
    # One that has ended is shown from memory: the server forgets results in time.
    task = kept.task if kept and kept.task.has_ended else Task(task_id)

    async def poll(task_id: str) -> Task:
        return await client.task(task_id, request=request)

    async def work(report: Report) -> None:
        await wait_for_task(task, poll, report, total_timeout_s=total_s)

    model = request.model if request else "an earlier task"
    return _wait(glm, _Wait(model, endpoint.host, submits=False, exchange=exchange), work)


@dataclass(slots=True)
class _Wait:
    """One wait for a task: how far it has come, in words.

    Attributes:
        submits: whether it begins with submitting the task.
        exchange: what the reply will be of; None for a task of another session.
        progress: the last; set by the thread of the loop, so that it is known even when the
            main thread is interrupted before it looks.
    """

    model: str
    host: str
    submits: bool
    exchange: Exchange | None = None
    progress: Progress | None = None
    started: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """How long it has lasted."""
        return time.perf_counter() - self.started

    def _look(self, reply: Reply) -> Reply:
        return self.exchange.with_reply(reply).reply if self.exchange else reply

    @property
    def reply(self) -> Reply | None:
        """The reply, once it is there."""
        return self.progress.task.reply if self.progress else None

    def note(self, progress: Progress) -> Progress:
        """Take what the loop's thread reports; a reply that is new gets its seconds."""
        task = progress.task
        if task.reply is not None and not task.reply.seconds:
            reply = replace(task.reply, seconds=self.seconds)
            task = replace(task, reply=self._look(reply))
        self.progress = replace(progress, task=task)
        return self.progress

    def parting(self) -> str:
        """The line for a wait that was interrupted."""
        if self.progress is None:
            return "stopped before the server named the task; it may go on all the same"
        task = self.progress.task
        if task.has_ended:
            return "stopped; the answer is in _glm" if task.reply else "stopped; the task failed"
        return f"stopped waiting; the task goes on, {how_to_pick_up(task.id)}"

    def last_line(self) -> str:
        """What stays on screen of a wait that brought no reply."""
        parts = [self.model, self.host]
        if self.progress is None:
            return " · ".join((*parts, "no task was named by the server"))
        task = self.progress.task
        if task.status:
            parts += [_in_words(self.progress), f"{self.seconds:.1f} s"]
        goes_on = task.status and not task.has_ended
        way = f"the task goes on, {how_to_pick_up(task.id)}" if goes_on else f"task {task.id}"
        return " · ".join((*parts, way))


def _in_words(progress: Progress) -> str:
    task, count = progress.task, progress.polls
    polls = f"{count} poll{'' if count == 1 else 's'}"
    trouble = f", trying again: {progress.trouble}" if progress.trouble else ""
    return f"{task.status or 'asking'} · {polls}{trouble}"


class _WaitView:
    """The view of a reply, told of the wait for it."""

    def __init__(self, view: ReplyView, wait: _Wait, *, tells_time: bool) -> None:
        self._view, self._wait, self._tells_time = view, wait, tells_time
        if wait.submits:
            self._view.feed([Waiting(math.inf, "submitting")])

    @property
    def dirty(self) -> bool:
        """Whether there is something new to draw."""
        return self._view.dirty

    def feed(self, values: list[Progress]) -> None:
        """Take how far the wait has come."""
        for progress in values:
            words = f"{_in_words(progress)} · task {progress.task.id}"
            if self._tells_time:
                words = f"{self._wait.seconds:.0f} s · {words}"
            self._view.feed([Waiting(math.inf, words)])

    def paint(self) -> None:
        """Draw it, and the clock."""
        self._view.paint()

    def finish(self) -> None:
        """Show what stays: the reply, or one line that says where it is to be found."""
        reply = self._wait.reply
        if reply is None:
            return self._view.leave(self._wait.last_line())
        deltas = [ReasoningDelta(reply.reasoning)] if reply.reasoning else []
        self._view.feed([*deltas, TextDelta(reply.text)])
        return self._view.finish(reply)


def _wait(
    glm: Glm, wait: _Wait, work: Callable[[Report], Awaitable[None]], out: str | None = None
) -> Reply | None:
    """Show how a wait goes; return the reply, None when the Stop button ended it."""
    _, thread = glm.open()
    view: _WaitView | None = None
    try:
        with Job(thread, lambda put: work(lambda progress: put(wait.note(progress)))) as job:
            with uninterrupted():
                view = _new_view(glm, wait, job.stop)
            follow(job, view)
        _read_ahead(wait.reply)
    except KeyboardInterrupt:
        raise Stopped(wait.parting()) from None
    finally:
        with uninterrupted(wait.parting()):
            _keep(glm, wait)
            if view is not None:
                view.finish()
    if wait.reply is None:
        return None
    check_answer(wait.reply)
    return glm.hand_over(wait.reply, out)


def _read_ahead(reply: Reply | None) -> None:
    """Let the code of a schema's type run where it can be interrupted."""
    if reply is not None and reply.schema:
        reply.schema.problem(reply.text)


def _new_view(glm: Glm, wait: _Wait, on_stop: Callable[[], None]) -> _WaitView:
    plain = Look(wait.model, wait.host, tip=_STOP_TIP)
    look = look_of(wait.exchange, tip=_STOP_TIP) if wait.exchange else plain
    view = new_view(glm.shell, look, on_stop)
    return _WaitView(view, wait, tells_time=is_terminal(glm.shell))


def _keep(glm: Glm, wait: _Wait) -> None:
    """Remember how the task stands, and its reply as `_glm`."""
    session, _ = glm.open()
    is_new = wait.progress is not None and session.tasks.update(wait.progress.task)
    if wait.reply is None:
        return
    if wait.exchange is None:  # of another session
        glm.shell.push({"_glm": wait.reply}, interactive=False)
        return
    # One that is looked at again is in its chat already, or was replaced there since.
    place = wait.exchange.place if is_new else None
    if is_new and wait.progress:
        kept = session.tasks.find(wait.progress.task.id)
        session.note(wait.reply, wait.exchange.request, kept.held if kept else None)
    glm.keep(replace(wait.exchange, reply=wait.reply, place=place))
