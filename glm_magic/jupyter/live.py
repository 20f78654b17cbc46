"""A reply while it streams, as widgets; at the end one static output in their place.

The answer grows in groups: finished blocks are rendered once and frozen in a widget of
about 4 kB, and only the last group is drawn again. So a frame costs the same at the end of
a long answer as at its start.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import ipywidgets
from IPython.display import DisplayHandle, display

from glm_magic.api.events import Event, ReasoningDelta, TextDelta, Waiting
from glm_magic.api.reply import Reply
from glm_magic.jupyter.show import reply_bundle, reply_metadata
from glm_magic.render.clean import clean_line
from glm_magic.render.markdown import finished_length, render_line, render_markdown, render_plain
from glm_magic.render.reply import frame, muted

# Small enough that drawing the last group is cheap, large enough that few widgets are made
# (measured: 25 times less traffic than drawing all of a 32k-token answer).
_GROUP_CHARACTERS = 4000
# A rough count for the live header; the final one has the server's numbers. An English token
# has about 4 bytes of UTF-8, a Chinese one 1.6 characters of 3 bytes.
_BYTES_A_TOKEN = 4.5


class LiveView:
    """Header, reasoning, answer and a Stop button, fed with events.

    Args:
        title: model and endpoint, plain text.
        on_stop: called on a click; it may come on another thread.
        tip: what the button says of itself.
    """

    def __init__(
        self,
        title: str,
        on_stop: Callable[[], None],
        *,
        tip: str = "Stop",
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.dirty = True
        self._title = clean_line(title)
        self._clock = clock
        self._started = clock()
        self._bytes = 0
        self._first: float | None = None
        self._pause: tuple[float, str] | None = None
        self._widgets: list[Any] = []
        try:
            self._build(on_stop, tip)
            self._handle: DisplayHandle | None = display(self._box, display_id=True)
        except BaseException:  # an interrupt too: nobody else knows these widgets
            self._close()
            raise
        _unpin(self._button)

    def _build(self, on_stop: Callable[[], None], tip: str) -> None:
        self._header = self._new(ipywidgets.HTML)
        self._button = self._new(
            ipywidgets.Button,
            description="Stop",
            icon="stop",
            tooltip=tip,
        )
        self._button.on_click(lambda _: on_stop())
        top = self._new(ipywidgets.HBox, children=[self._header, self._button])
        top.layout.justify_content = "space-between"
        self._reasoning = _Growing(self._new, render_plain, _last_line_end)
        self._answer = _Growing(self._new, render_markdown, finished_length)
        self._fold = self._new(
            ipywidgets.Accordion, children=[self._reasoning.box], titles=("Reasoning",)
        )
        self._fold.layout.display = "none"
        self._box = self._new(ipywidgets.VBox, children=[top, self._fold, self._answer.box])

    def _new(self, kind: Callable[..., Any], **traits: Any) -> Any:
        self._widgets.append(kind(**traits))
        return self._widgets[-1]

    def feed(self, values: list[Event]) -> None:
        """Take events; `paint` shows them."""
        for event in values:
            match event:
                case TextDelta(text):
                    self._answer.add(text)
                    self._count(text)
                case ReasoningDelta(text):
                    self._reasoning.add(text)
                    self._count(text)
                case Waiting(seconds, reason):
                    self._pause = (self._clock() + seconds, reason)
                    self.dirty = True
                case _:
                    self._pause = None

    def _count(self, text: str) -> None:
        self.dirty = True
        self._pause = None
        self._bytes += len(text.encode())
        if self._first is None:
            self._first = self._clock()

    def paint(self) -> None:
        """Draw what is new, and the clock."""
        self._header.value = frame(muted(render_line(self._status()), "span"))
        self._paint_reasoning()
        self._answer.paint()
        self.dirty = False

    def _paint_reasoning(self) -> None:
        if not self._reasoning.paint():
            return
        if self._fold.layout.display == "none":
            self._fold.layout.display = None
            self._fold.selected_index = None

    def _status(self) -> str:
        now = self._clock()
        parts = [self._title, f"{now - self._started:.1f} s"]
        if self._pause is not None:
            parts.append(_countdown(self._pause[0] - now, self._pause[1]))
        elif self._first is None:
            parts.append("waiting for the first token …")
        elif now > self._first + 0.5:
            speed = self._bytes / _BYTES_A_TOKEN / (now - self._first)
            parts.append(f"about {speed:.0f} tokens/s")
        return " · ".join(parts)

    def finish(self, reply: Reply) -> None:
        """Put the static output in the place of the widgets and close them all."""
        if self._handle is not None:
            self._handle.update(reply_bundle(reply), raw=True, metadata=reply_metadata(reply))
        self._close()

    def leave(self, line: str) -> None:
        """Put one line in the place of the widgets and close them all."""
        if self._handle is not None:
            html = frame(muted(render_line(line)))
            self._handle.update({"text/html": html, "text/plain": clean_line(line)}, raw=True)
        self._close()

    def _close(self) -> None:
        for widget in self._widgets:
            _close(widget)


def _countdown(left_s: float, reason: str) -> str:
    if left_s == math.inf:
        return reason
    return f"trying again in {max(0.0, left_s):.0f} s: {reason}"


class _Growing:
    """Text that grows in a box of HTML widgets, the finished ones never touched again.

    Args:
        new: makes a widget that the view closes in the end.
        render: text to safe HTML.
        finished: how many leading characters can be rendered apart from what follows.
    """

    def __init__(
        self,
        new: Callable[..., Any],
        render: Callable[[str], str],
        finished: Callable[[str], int],
    ) -> None:
        self._new, self._render, self._finished = new, render, finished
        self.box = new(ipywidgets.VBox)
        self._pieces: list[str] = []
        self._group = ""
        self._tail = ""
        self._last: Any = None

    def add(self, text: str) -> None:
        self._pieces.append(text)

    def paint(self) -> bool:
        """Draw what was added; return whether anything was."""
        if not self._pieces:
            return False
        text = self._tail + "".join(self._pieces)
        self._pieces.clear()
        cut = self._finished(text)
        self._group += self._render(text[:cut]) if cut else ""
        self._tail = text[cut:]
        self._draw()
        return True

    def _draw(self) -> None:
        if self._last is None:
            self._last = self._new(ipywidgets.HTML)
            self.box.children = (*self.box.children, self._last)
        self._last.value = frame(self._group, self._render(self._tail) if self._tail else "")
        if len(self._group) > _GROUP_CHARACTERS:
            self._last.value = frame(self._group)
            self._group, self._last = "", None


def _last_line_end(text: str) -> int:
    return text.rfind("\n") + 1


def _unpin(button: Any) -> None:
    """Let clicks come while the cell runs.

    Expected: a click reaches the kernel on a subshell. Actual, on ipykernel 7.4.0: a comm
    remembers the shell that last sent on it, the blocked main one for a button made in the
    cell, and clicks wait there until the cell ends. Without that memory JupyterLab's own
    choice, a subshell, holds. The attribute is private and absent elsewhere; this may go
    when ipykernel stops pinning comms made in a cell.
    """
    vars(button.comm).pop("_reply_subshell_id", None) if hasattr(button.comm, "__dict__") else None


def _close(widget: Any) -> None:
    """Close a widget with its layout and style, which are models of their own."""
    for name in ("layout", "style"):
        part = getattr(widget, name, None)
        if isinstance(part, ipywidgets.Widget):
            part.close()
    widget.close()
