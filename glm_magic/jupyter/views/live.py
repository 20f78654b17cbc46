"""A reply while it streams, as widgets; at the end one static output in their place.

The main thread feeds a view with what came and lets it paint; each paint is bounded, however
much came, so the view never holds up the kernel's stop button, and nothing the network.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
from IPython.display import DisplayHandle, display

from glm_magic.api.events import Event, ReasoningDelta, TextDelta
from glm_magic.api.reply import ReasoningView, Reply
from glm_magic.api.rounds import Call, Round
from glm_magic.jupyter.views.bundles import line_bundle, reply_bundle, reply_metadata
from glm_magic.jupyter.views.column import Column, Widgets
from glm_magic.jupyter.views.status import Status
from glm_magic.render.calls import pieces_of, render_pieces
from glm_magic.render.frame import frame, live_frame
from glm_magic.render.growth import Growth, MarkdownGrowth, PlainGrowth
from glm_magic.render.markdown import render_prose
from glm_magic.render.reply import render_answer, render_reasoning

# Reasoning scrolls in a window of its own; in a column turned over its end stays in sight.
_WINDOW = {"max_height": "16em", "overflow": "hidden auto", "flex_flow": "column-reverse"}

# A widget is drawn anew for each call in it, so it holds no more; texts are whole in the end.
_PIECES_A_WIDGET = 10
_LIVE_CHARACTERS = 2_000


class LiveView:
    """Status, reasoning, answer and a Stop button, fed with events.

    Args:
        title: model and endpoint, plain text.
        on_stop: called on a click; it may come on another thread.
        tip: what the button says of itself.
        new_growth: makes what draws an answer as it comes; each round has one of its own.
        start: the beginning of the answer where it is known already; not counted as new.
        reasoning: "fold" folds it when the answer starts, "show" leaves it open, "hide" draws
            none.
    """

    def __init__(
        self,
        title: str,
        on_stop: Callable[[], None],
        *,
        tip: str = "Stop",
        new_growth: Callable[[], Growth] = MarkdownGrowth,
        start: str = "",
        reasoning: ReasoningView = "fold",
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._shows = reasoning
        self._new_growth = new_growth
        self._rounds = 0
        self._shown: list[tuple[Call | Round, ...]] = []
        self._is_round_over = False
        self._widgets = Widgets()
        try:
            self._status = Status(self._widgets, title, clock=clock)
            self._build(on_stop, tip)
            self._handle: DisplayHandle | None = display(self._box, display_id=True)
        except BaseException:  # an interrupt too: nobody else knows these widgets
            self._widgets.close()
            raise
        _unpin(self._button)
        self._answer.add(start)

    def _build(self, on_stop: Callable[[], None], tip: str) -> None:
        new = self._widgets.new
        self._button = new(ipywidgets.Button, description="Stop", icon="stop", tooltip=tip)
        self._button.layout.width = "auto"
        self._button.on_click(lambda _: on_stop())
        top = new(ipywidgets.HBox, children=[self._status.box, self._button])
        top.layout.justify_content = "space-between"
        self._window = new(ipywidgets.VBox)
        self._past = new(ipywidgets.VBox)
        self._box = new(ipywidgets.VBox, children=[top, self._window, self._past])
        self._begin_round()

    def _begin_round(self) -> None:
        """Make place for what the model writes now, below all that came before."""
        self._reasoning: list[str] = []
        self._is_answering = self._is_folded = self._is_round_over = False
        self._thoughts = Column(self._widgets, PlainGrowth(render_prose))
        self._thoughts.box.layout.flex = "0 0 auto"  # it scrolls and is not squeezed
        # Turned over: the newest is the first of its children.
        self._window.children = (self._thoughts.box, *self._window.children)
        for name, value in _WINDOW.items():
            setattr(self._window.layout, name, value)
        self._growth = self._new_growth()
        self._answer = Column(self._widgets, self._growth)
        self._box.children = (*self._box.children[:3], self._answer.box)

    @property
    def dirty(self) -> bool:
        """Whether there is something new to draw."""
        thinks = self._thoughts.is_waiting and self._shows_thoughts
        answers = self._answer.is_waiting and not self._is_round_over
        return answers or thinks or self._status.dirty

    @property
    def _shows_thoughts(self) -> bool:
        """Whether reasoning is drawn as it comes, and not folded by now."""
        return self._shows == "show" or not self._is_answering

    def feed(self, values: list[Event]) -> None:
        """Take events; `paint` shows them."""
        for event in values:
            self._status.feed(event)
            if self._is_round_over and isinstance(event, TextDelta | ReasoningDelta):
                self._begin_round()
            match event:
                case TextDelta(text):
                    self._is_answering = True
                    self._answer.add(text)
                case ReasoningDelta(text) if self._shows != "hide":
                    self._reasoning.append(text)
                    self._thoughts.add(text)

    def paint(self) -> None:
        """Draw what is new, and the clock."""
        self._status.paint()
        if self._shows_thoughts:
            self._thoughts.paint()
        elif self._reasoning and not self._is_folded:
            self._fold()
        if not self._is_round_over:
            self._answer.paint()

    def show_rounds(self, rounds: Sequence[Round]) -> None:
        """Show all rounds so far, as the final output does; what comes next is not of them."""
        if len(rounds) > self._rounds and not self._is_round_over:
            self._end_round()
        self._rounds = len(rounds)
        pieces = pieces_of(rounds)
        for place, start in enumerate(range(0, len(pieces), _PIECES_A_WIDGET)):
            self._show_pieces(place, tuple(pieces[start : start + _PIECES_A_WIDGET]))

    def _show_pieces(self, place: int, pieces: tuple[Call | Round, ...]) -> None:
        """Draw some of what is past, where it is not what is drawn there already."""
        if place == len(self._shown):
            self._past.children = (*self._past.children, self._widgets.new_html())
            self._shown.append(())
        if pieces != self._shown[place]:
            self._shown[place] = pieces
            html = live_frame(render_pieces(pieces, _LIVE_CHARACTERS))
            self._past.children[place].value = html

    def show_again(self) -> None:
        """Show the widgets once more: a function has cleared the output of the cell."""
        if self._handle is not None:
            self._handle.display(self._box)

    def _end_round(self) -> None:
        """Take what the model wrote from its place: it stands among the rounds now."""
        self._is_round_over = True
        if self._reasoning:
            self._fold()
        self._box.children = self._box.children[:3]
        self._answer.close()

    def _fold(self) -> None:
        """Fold the reasoning, once: what comes of it later is in the final output."""
        self._is_folded = True
        self._thoughts.replace(frame(render_reasoning("".join(self._reasoning))))
        for name in _WINDOW:
            setattr(self._window.layout, name, None)

    def finish(self, reply: Reply) -> None:
        """Put the static output in the place of the widgets and close them all."""
        if self._handle is not None:
            markdown = self._growth if isinstance(self._growth, MarkdownGrowth) else None
            bundle = reply_bundle(reply, render_answer(reply, markdown))
            self._handle.update(bundle, raw=True, metadata=reply_metadata(reply))
        self._widgets.close()

    def leave(self, line: str) -> None:
        """Put one line in the place of the widgets and close them all."""
        if self._handle is not None:
            self._handle.update(line_bundle(line), raw=True)
        self._widgets.close()


def _unpin(button: Any) -> None:
    """Let clicks come while the cell runs.

    Expected: a click reaches the kernel on a subshell. Actual, on ipykernel 7.4.0: a comm
    remembers the shell that last sent on it, the blocked main one for a button made in the
    cell, and clicks wait there until the cell ends. Without that memory JupyterLab's own
    choice, a subshell, holds. The attribute is private and absent elsewhere; this may go
    when ipykernel stops pinning comms made in a cell.
    """
    vars(button.comm).pop("_reply_subshell_id", None) if hasattr(button.comm, "__dict__") else None
