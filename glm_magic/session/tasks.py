"""The asynchronous tasks that this session has submitted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from glm_magic.api.endpoints import Endpoint
from glm_magic.api.failures import format_wait
from glm_magic.api.tasks import Task
from glm_magic.session.exchange import Exchange
from glm_magic.session.ledger import Reservation


@dataclass(frozen=True, slots=True)
class KeptTask:
    """A task with what it was made of.

    Attributes:
        task: as the server last told of it.
        exchange: what it answers.
        held: what it may cost, until that is known.
        submitted_at_s: by the session's clock.
    """

    task: Task
    exchange: Exchange
    submitted_at_s: float
    held: Reservation | None = None

    @property
    def endpoint(self) -> Endpoint:
        """Where it was submitted; only there it is known."""
        return self.exchange.endpoint


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One row of `%glm task`, as the server and the user wrote it: nothing is cleaned here."""

    id: str
    model: str
    status: str
    age: str
    prompt: str


class Tasks:
    """What a session remembers of its tasks, in the order they were submitted.

    Args:
        clock: seconds, for their ages.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._kept: dict[str, KeptTask] = {}

    def remember(self, task: Task, exchange: Exchange, held: Reservation | None = None) -> None:
        """Keep a task that was just submitted."""
        self._kept[task.id] = KeptTask(task, exchange, self._clock(), held)

    def update(self, task: Task) -> bool:
        """Note how a task stands now; return whether a reply of this session is new with that.

        One of another session is not kept.
        """
        if (kept := self._kept.get(task.id)) is None:
            return False
        self._kept[task.id] = replace(kept, task=task)
        if task.has_ended and task.reply is None and kept.held:
            kept.held.release()
        return task.reply is not None and kept.task.reply is None

    def find(self, task_id: str) -> KeptTask | None:
        """Return the task of this session with this id."""
        return self._kept.get(task_id)

    def rows(self) -> list[TaskRow]:
        """Return a row for each task, the newest last."""
        return [self._row(kept) for kept in self._kept.values()]

    def _row(self, kept: KeptTask) -> TaskRow:
        task, asked = kept.task, kept.exchange.request.model
        substituted = task.reply is not None and task.reply.asked_model
        answered = task.reply.model if task.reply and substituted else ""
        model = f"{asked} → {answered}" if answered else asked
        age = format_wait(max(0.0, self._clock() - kept.submitted_at_s))
        return TaskRow(task.id, model, task.status, age, kept.exchange.request.messages[-1].content)
