"""Ways to show a long answer while it streams, as they run inside a kernel."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any

import ipywidgets
from IPython.display import Markdown, display

from bench.live_bad import build_bad
from bench.live_document import Answer, build_answer
from glm_magic.api.events import TextDelta, Usage
from glm_magic.api.loop import Job, LoopThread, Put
from glm_magic.api.reply import Reply
from glm_magic.jupyter.runner import FRAME_S, follow
from glm_magic.jupyter.views.bundles import reply_bundle, reply_metadata
from glm_magic.jupyter.views.live import LiveView
from glm_magic.render.frame import frame
from glm_magic.render.markdown import render_markdown

# A network hands over a few tokens at a time; waking up for each would cost more than showing it.
_PACKET_S = 0.01
_FULL_SPEED_PACKET = 1000
# How long one paint of the slow front end takes.
SLOW_PAINT_S = 0.5


@dataclass(frozen=True, slots=True)
class Run:
    """What the kernel itself can tell of one shown answer; `_at` are epoch seconds.

    Attributes:
        cpu_s: of all threads but the one that produces, from before the view is made to its end.
        deltas: how many were shown before the end, or the limit.
        paints: how often something was drawn.
        longest_paint_ms: of all paints but the final output's, which is `finish_ms`.
        longest_paint_cpu_ms: the same without what other work on the machine takes.
        produced_at: when the last delta was handed over; None when that was never.
        finishing_at: when the stream was over and the final output was begun.
    """

    cpu_s: float
    deltas: int
    paints: int
    longest_paint_ms: float
    longest_paint_cpu_ms: float
    finish_ms: float
    started_at: float
    produced_at: float | None
    finishing_at: float
    ended_at: float

    @property
    def seconds(self) -> float:
        """How long the cell took."""
        return self.ended_at - self.started_at


def read_run(path: Path) -> Run:
    """Return what `show` wrote."""
    return Run(**json.loads(path.read_text()))


class _Overdue(Exception):
    """The time is up."""


class _Watched:
    """A view, and how often and how long it paints.

    Raises:
        _Overdue: on feeding it after `deadline`, a `time.perf_counter()`.
    """

    def __init__(self, view: Any, deadline: float) -> None:
        self.view, self.deadline = view, deadline
        self.deltas = self.paints = 0
        self.longest_s = self.longest_cpu_s = 0.0

    @property
    def dirty(self) -> bool:
        return bool(self.view.dirty)

    def feed(self, values: list[Any]) -> None:
        if time.perf_counter() > self.deadline:
            raise _Overdue
        self.deltas += len(values)
        self.view.feed(values)

    def paint(self) -> None:
        start, cpu_s = time.perf_counter(), time.thread_time()
        self.view.paint()
        self.longest_s = max(self.longest_s, time.perf_counter() - start)
        self.longest_cpu_s = max(self.longest_cpu_s, time.thread_time() - cpu_s)
        self.paints += 1


class _Nothing:
    """Shows nothing: what the stream itself costs."""

    dirty = False

    def feed(self, values: list[Any]) -> None:
        pass

    def paint(self) -> None:
        pass

    def finish(self, reply: Reply) -> None:
        pass


class _Live(LiveView):
    """Our own view."""

    def __init__(self) -> None:
        super().__init__("glm-4.7 · bench", lambda: None)


class _Slow(_Live):
    """Our own view on a front end that is slow to take what is painted."""

    def paint(self) -> None:
        super().paint()
        time.sleep(SLOW_PAINT_S)


class _Whole:
    """One HTML widget that is set to all that came, and the same final output as ours."""

    def __init__(self) -> None:
        self.text = ""
        self.widget = ipywidgets.HTML()
        self.handle = display(self.widget, display_id=True)

    def feed(self, values: list[Any]) -> None:
        self.text += "".join(value.text for value in values)

    def paint(self) -> None:
        self.widget.value = frame(render_markdown(self.text))

    def finish(self, reply: Reply) -> None:
        self.handle.update(reply_bundle(reply), raw=True, metadata=reply_metadata(reply))
        self.widget.close()


class _Markdown:
    """An output of Markdown that is replaced; it is its own final output."""

    def __init__(self) -> None:
        self.text = ""
        self.handle = display(Markdown(""), display_id=True)

    def feed(self, values: list[Any]) -> None:
        self.text += "".join(value.text for value in values)

    def paint(self) -> None:
        self.handle.update(Markdown(self.text))

    def finish(self, reply: Reply) -> None:
        pass


def _at_25_fps(job: Job[Any], view: _Watched) -> None:
    """Paint what came, 25 times a second at most and as often as paints allow."""
    while not job.ended:
        start = time.perf_counter()
        view.feed(job.take(FRAME_S))
        view.paint()
        time.sleep(max(0.0, FRAME_S - (time.perf_counter() - start)))


def _at_every_delta(job: Job[Any], view: _Watched) -> None:
    while not job.ended:
        for value in job.take(FRAME_S):
            view.feed([value])
            view.paint()


# How a view is made, and who drives it.
_WAYS: dict[str, tuple[Callable[[], Any], Callable[[Job[Any], Any], Any]]] = {
    "ours": (_Live, follow),
    "slow": (_Slow, follow),
    "whole": (_Whole, _at_25_fps),
    "token": (_Markdown, _at_every_delta),
    "none": (_Nothing, follow),
}


def get_answer(name: str, tokens: int) -> Answer:
    """Return the answer to show.

    Args:
        name: "document"; "beginning", its first eighth, cut wherever that ends; "warm-up", a short
            answer with one of everything; or one of `BAD_NAMES`.
        tokens: length of the document.
    """
    match name:
        case "document":
            return build_answer(tokens)
        case "beginning":
            return Answer(build_answer(tokens).deltas[: tokens // 8], ())
        case "warm-up":
            return build_answer(600)
    return build_bad(name)


def show(way: str, name: str, tokens: int, path: str, *, limit_s: float = inf) -> None:
    """Show an answer in one of the ways; write its `Run` as JSON to `path`."""
    run = _show(way, get_answer(name, tokens), limit_s)
    # Written aside: who waits for the file finds it whole.
    aside = Path(path).with_suffix(".part")
    aside.write_text(json.dumps(asdict(run)))
    aside.rename(path)


def _show(way: str, answer: Answer, limit_s: float) -> Run:
    new_view, drive = _WAYS[way]
    producer = _Producer(answer)
    started_at, cpu_s = time.time(), time.process_time()
    view = _Watched(new_view(), time.perf_counter() + limit_s)
    with Job(_THREAD, producer.run) as job, suppress(_Overdue):
        drive(job, view)
    finishing_at = time.time()
    view.view.finish(_build_reply(answer, finishing_at - started_at))
    ended_at = time.time()
    return Run(
        cpu_s=time.process_time() - cpu_s - producer.cpu_s,
        deltas=view.deltas,
        paints=view.paints,
        longest_paint_ms=view.longest_s * 1000,
        longest_paint_cpu_ms=view.longest_cpu_s * 1000,
        finish_ms=(ended_at - finishing_at) * 1000,
        started_at=started_at,
        produced_at=producer.done_at,
        finishing_at=finishing_at,
        ended_at=ended_at,
    )


_THREAD = LoopThread()


class _Producer:
    """Hands over all deltas of an answer at their pace.

    Attributes:
        cpu_s: what that cost.
        done_at: when it was over, in epoch seconds; None when it was stopped before.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.cpu_s = 0.0
        self.done_at: float | None = None

    async def run(self, put: Put) -> None:
        cpu_s = time.thread_time()
        try:
            await self._put_all(put)
            self.done_at = time.time()
        finally:
            self.cpu_s = time.thread_time() - cpu_s

    async def _put_all(self, put: Put) -> None:
        start, done = time.perf_counter(), 0
        deltas, pace = self.answer.deltas, self.answer.deltas_a_second
        while done < len(deltas):
            await asyncio.sleep(_PACKET_S if pace else 0)
            due = int((time.perf_counter() - start) * pace) if pace else done + _FULL_SPEED_PACKET
            for text in deltas[done:due]:
                put(TextDelta(text))
            done = max(done, due)


def _build_reply(answer: Answer, seconds: float) -> Reply:
    count = len(answer.deltas)
    return Reply(
        text=answer.text,
        usage=Usage(prompt_tokens=20, completion_tokens=count, total_tokens=20 + count),
        model="glm-4.7",
        endpoint="bench",
        finish_reason="stop",
        seconds=seconds,
        first_token_s=0.1,
        state="complete",
    )
