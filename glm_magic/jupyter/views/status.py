"""The line above a reply while it comes: model, what happens, how long, how fast."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import ipywidgets

from glm_magic.api.events import Event, ReasoningDelta, TextDelta, ToolCallDelta, Waiting
from glm_magic.jupyter.views.column import Widgets
from glm_magic.render.clean import clean_line
from glm_magic.render.status import render_figures, render_phase

# Each step of the clock is a message; once text flows, that shows how it goes.
_WAITING_TICK_S, _TICK_S = 0.25, 0.5
# Sooner a speed says nothing.
_LEAST_S = 0.5
# A rough count; the final one has the server's numbers. An English token has about 4 bytes of
# UTF-8, a Chinese one 1.6 characters of 3 bytes.
_BYTES_A_TOKEN = 4.5

_WAITING = "waiting for the first token …"


class Status:
    """Two pieces of text: what happens, for a screen reader to tell; and the ticking figures.

    Args:
        title: model and endpoint, plain text.
        clock: seconds.
    """

    def __init__(
        self, widgets: Widgets, title: str, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._title = clean_line(title)
        self._clock = clock
        self._started = clock()
        self._due = 0.0
        self._first: float | None = None
        self._again_at: float | None = None
        self._bytes = 0
        self._phase, self._shown_phase = _WAITING, ""
        self._words, self._figures = widgets.new_html(), widgets.new_html()
        self.box = widgets.new(ipywidgets.HBox, children=[self._words, self._figures])

    @property
    def dirty(self) -> bool:
        """Whether something else happens than what is shown."""
        return self._phase != self._shown_phase

    def feed(self, event: Event) -> None:
        """Note what an event says of how the reply goes."""
        match event:
            case TextDelta(text):
                self._count(text, "answering …")
            case ReasoningDelta(text):
                self._count(text, "reasoning …")
            case ToolCallDelta(name=name, arguments=arguments):
                self._count(
                    arguments, f"asking for {clean_line(name, 80)} …" if name else self._phase
                )
            case Waiting(seconds, reason):
                self._phase = clean_line(reason)
                self._again_at = self._clock() + seconds
            case _ if self._again_at is not None:  # it goes on
                self._again_at = None
                self._phase = _WAITING

    def _count(self, text: str, phase: str) -> None:
        self._phase, self._again_at = phase, None
        self._bytes += len(text.encode())
        if self._first is None:
            self._first = self._clock()

    def paint(self) -> None:
        """Draw what happens, if it is new, and the figures when their time has come."""
        if self.dirty:
            self._shown_phase = self._phase
            self._words.value = render_phase(self._title, self._phase)
            self._due = 0.0
        now = self._clock()
        if now >= self._due:
            self._due = now + (_WAITING_TICK_S if self._first is None else _TICK_S)
            self._figures.value = render_figures(self._texts(now))

    def _texts(self, now: float) -> list[str]:
        texts = [f"{now - self._started:.1f} s"]
        if self._again_at is not None:
            if self._again_at < math.inf:
                texts.append(f"trying again in {max(0.0, self._again_at - now):.0f} s")
        elif self._first is not None and now > self._first + _LEAST_S:
            speed = self._bytes / _BYTES_A_TOKEN / (now - self._first)
            texts.append(f"about {speed:.0f} tokens/s")
        return texts
