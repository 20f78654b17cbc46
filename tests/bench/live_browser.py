"""How a long answer looks in a real JupyterLab: frames, long tasks, and when it is all there."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, inf
from pathlib import Path
from tempfile import TemporaryDirectory

from browser.lab import Lab, Notebook, launch, start_lab
from glm_server import GlmServer
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from bench.live_document import Answer
from bench.live_kernel import PREPARE, Showing
from bench.live_ways import Run, get_answer, read_run

_PROBE = Path(__file__).with_name("live_probe.js").read_text("utf-8")
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# Without a change for so long, nothing more is to come: the typesetter takes less to begin.
_STILL_MS = 1500
# An answer whose last words never show is given up after this.
_HOPELESS_MS = 8000
# What the browser still does for the last change: layout and paint.
_SETTLE_MS = 500
_IDLE_S = 2.0
# Of Chromium's `Performance.getMetrics`, in seconds; the first one holds the others.
_METRICS = {
    "TaskDuration": "main thread",
    "ScriptDuration": "scripts",
    "RecalcStyleDuration": "styles",
    "LayoutDuration": "layout",
}


@dataclass(frozen=True, slots=True)
class Span:
    """Frames and long tasks of some time; a gap is the time from one frame to the next."""

    gaps_ms: Sequence[float]
    long_tasks_s: Sequence[float]

    @property
    def longest_gap_ms(self) -> float:
        """The longest gap, 0 without any."""
        return max(self.gaps_ms, default=0.0)

    def gap_ms(self, share: float) -> float:
        """The smallest gap that this share of all gaps does not exceed."""
        return sorted(self.gaps_ms)[ceil(share * len(self.gaps_ms)) - 1] if self.gaps_ms else 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer as the browser had it.

    Attributes:
        run: what the kernel tells; None when it was cut off too.
        idle: the page before the cell ran, for what the machine itself makes of frames.
        stream: from the key press to the end of the stream.
        swap: from there until the final output stood still, typeset; empty where the stream
            leads up to it.
        swap_s: how long that took; None when there was no such end within the limit.
        words_s: from the key press to the last words; None when they never showed.
        share: how much of the answer was on the page in the end.
        formulas: how many were typeset then.
        spent_s: seconds of the page's main thread, by what it did.
    """

    run: Run | None
    idle: Span
    stream: Span
    swap: Span
    swap_s: float | None
    words_s: float | None
    share: float
    formulas: int
    spent_s: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Record:
    """What the probe tells of one cell; times are milliseconds of the page's clock.

    Attributes:
        origin: when that clock was 0, in milliseconds of the epoch.
        frames: when each was begun.
        tasks: start and length of each long one.
        is_done: whether all ended within the limit.
    """

    origin: float
    frames: list[float]
    tasks: list[tuple[float, float]]
    started_at: float
    words_at: float | None
    changed_at: float
    text: str
    formulas: int
    is_done: bool = True

    def span(self, from_ms: float, to_ms: float) -> Span:
        """The gaps and long tasks that end in this time."""
        gaps = (b - a for a, b in pairwise(self.frames) if from_ms < b <= to_ms)
        tasks = (ms for start, ms in self.tasks if from_ms < start + ms <= to_ms)
        return Span(tuple(gaps), tuple(ms / 1000 for ms in tasks))

    @property
    def words_s(self) -> float | None:
        return None if self.words_at is None else (self.words_at - self.started_at) / 1000


@dataclass(frozen=True, slots=True)
class _Watched:
    record: _Record
    run: Run | None
    idle: Span
    spent_s: dict[str, float]


class Stage:
    """A JupyterLab and a browser, in which answers are shown one after the other."""

    def __init__(self, lab: Lab, browser: Browser) -> None:
        self.lab, self.browser = lab, browser

    def show(self, showing: Showing) -> Seen:
        """Show an answer in a notebook and kernel of its own, which are warm by then."""
        answer = get_answer(showing.name, showing.tokens)
        watched = self._watch(showing, answer)
        record, run = watched.record, watched.run
        # Markdown that is updated is its own final output. Both clocks are this machine's.
        has_swap = run is not None and showing.way != "token"
        end_ms = run.finishing_at * 1000 - record.origin if run and has_swap else inf
        return Seen(
            run=run,
            idle=watched.idle,
            stream=record.span(0.0, end_ms),
            swap=record.span(end_ms, record.changed_at + _SETTLE_MS),
            swap_s=(record.changed_at - end_ms) / 1000 if has_swap and record.is_done else None,
            words_s=record.words_s,
            share=answer.share_in(record.text),
            formulas=record.formulas,
            spent_s=watched.spent_s,
        )

    def _watch(self, showing: Showing, answer: Answer) -> _Watched:
        warm_up, limit_s = replace(showing, name="warm-up"), showing.limit_s
        with TemporaryDirectory() as folder:
            first, second = Path(folder) / "first.json", Path(folder) / "second.json"
            cells = PREPARE + warm_up.build_cell(first), showing.build_cell(second)
            with self.lab.open(self.browser, self.lab.write(*cells)) as notebook:
                notebook.page.evaluate(_PROBE)
                _watch_cell(notebook, 0, get_answer("warm-up", 0), first, limit_s)
                idle = _watch_nothing(notebook.page)
                with _metered(notebook.page) as spent_s:
                    record = _watch_cell(notebook, 1, answer, second, limit_s)
                notebook.screenshot(f"live-{showing.way}-{showing.name}")
            return _Watched(record, read_run(second) if second.exists() else None, idle, spent_s)


@contextmanager
def open_stage() -> Iterator[Stage]:
    """Start JupyterLab and Chromium, both on this machine alone.

    Raises:
        SystemExit: there is no Chromium on the PATH.
    """
    path = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if path is None:
        raise SystemExit("no Chromium on the PATH; --only kernel needs none")
    with (
        TemporaryDirectory() as folder,
        GlmServer() as server,
        start_lab(Path(folder), server) as lab,
        sync_playwright() as playwright,
    ):
        browser = launch(playwright, path)
        yield Stage(lab, browser)
        browser.close()


def _watch_cell(
    notebook: Notebook, index: int, answer: Answer, path: Path, limit_s: float
) -> _Record:
    """Run a cell that writes `path` at its end, and tell what was seen of it."""
    page, words = notebook.page, answer.needles[-1]
    page.evaluate("([index, words]) => glmProbe.start(index, words)", [index, words])
    notebook.start(index)
    is_done = _wait_until_still(page, path, limit_s)
    return _Record(**page.evaluate("glmProbe.stop()"), is_done=is_done)


def _wait_until_still(page: Page, path: Path, limit_s: float) -> bool:
    """Wait until the kernel is done and the page has stood still; return whether that came."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        state = page.evaluate("glmProbe.state()")
        needed_ms = _STILL_MS if state["has_words"] else _HOPELESS_MS
        if path.exists() and not state["is_live"] and state["still_ms"] > needed_ms:
            return True
        page.wait_for_timeout(200)
    return False


def _watch_nothing(page: Page) -> Span:
    page.evaluate("glmProbe.start(1, 'nothing')")
    page.wait_for_timeout(_IDLE_S * 1000)
    return _Record(**page.evaluate("glmProbe.stop()")).span(0.0, inf)


@contextmanager
def _metered(page: Page) -> Iterator[dict[str, float]]:
    """Fill what is given with the seconds that the page's main thread spends meanwhile."""
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable")
    spent_s: dict[str, float] = {}
    before = _read_metrics(cdp)
    yield spent_s
    after = _read_metrics(cdp)
    spent_s |= {word: after[key] - before[key] for key, word in _METRICS.items()}


def _read_metrics(cdp: CDPSession) -> dict[str, float]:
    metrics = cdp.send("Performance.getMetrics")["metrics"]
    return {metric["name"]: metric["value"] for metric in metrics}
