"""A growing text as a column of HTML widgets: what is finished is frozen, the tail drawn again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import ipywidgets

from glm_magic.render.frame import live_frame
from glm_magic.render.growth import Growth

# A group ends past this, at about 4 kB: small enough that adding to the last one is cheap, large
# enough that few widgets are made.
_GROUP_CHARACTERS = 3000
# What is finished waits in the tail until it is worth a message of its own.
_BATCH_CHARACTERS = 600
# A box sends the list of its children for each new one, so it holds no more than this.
_BOX_CHILDREN = 16


class Widgets:
    """All widgets of a view, to be closed together."""

    def __init__(self) -> None:
        self._all: list[Any] = []
        self._looks: dict[str, Any] = {}

    def new(self, kind: Callable[..., Any], **traits: Any) -> Any:
        """Return a new widget."""
        self._all.append(kind(**traits))
        return self._all[-1]

    def new_html(self, html: str = "") -> Any:
        """Return a new HTML widget; all of these share one layout and one style."""
        widget = self.new(ipywidgets.HTML, value=html, **self._looks)
        self._looks = {"layout": widget.layout, "style": widget.style}
        return widget

    def close(self) -> None:
        """Close each widget with all that belongs to it."""
        close_widgets(self._all)

    def close_some(self, widgets: Iterable[Any]) -> None:
        """Close some of the widgets, but not what they share with others."""
        for widget in widgets:
            self._all.remove(widget)
            if isinstance(widget, ipywidgets.HTML):
                widget.close()
            else:
                close_widgets([widget])


def close_widgets(widgets: Iterable[Any]) -> None:
    """Close each widget with its layout and style, which are models of their own."""
    widgets = tuple(widgets)
    parts = {part for widget in widgets for part in _parts(widget)}
    for widget in (*parts, *widgets):
        widget.close()


def _parts(widget: Any) -> list[Any]:
    parts = (getattr(widget, name, None) for name in ("layout", "style"))
    return [part for part in parts if isinstance(part, ipywidgets.Widget)]


class Column:
    """A text that grows in widgets, none of which but the last two is touched again.

    Args:
        widgets: makes the widgets, and closes them in the end.
        growth: turns the text into safe HTML, step by step.
    """

    def __init__(self, widgets: Widgets, growth: Growth) -> None:
        self._widgets, self._growth = widgets, growth
        self._tail = widgets.new_html()
        self._groups = widgets.new(ipywidgets.VBox)
        self.box = widgets.new(ipywidgets.VBox, children=[self._groups, self._tail])
        self._group: Any = None
        self._frozen = ""
        self._fresh = ""
        self.is_empty = True

    @property
    def is_waiting(self) -> bool:
        """Whether there is text to draw."""
        return self._growth.is_waiting

    def add(self, text: str) -> None:
        """Take text; draw nothing yet."""
        self._growth.add(text)

    def paint(self) -> None:
        """Draw what was added, or a bounded part of it."""
        if not self._growth.is_waiting:
            return
        self.is_empty = False
        step = self._growth.step()
        self._fresh += step.finished
        if len(self._fresh) > _BATCH_CHARACTERS:
            self._freeze()
        self._tail.value = live_frame(self._fresh + step.tail)

    def _freeze(self) -> None:
        """Move what is finished out of the tail into the last group."""
        self._frozen, self._fresh = self._frozen + self._fresh, ""
        if self._group is None:
            self._group = self._append(live_frame(self._frozen))
        else:
            self._group.value = live_frame(self._frozen)
        if len(self._frozen) > _GROUP_CHARACTERS:
            self._group, self._frozen = None, ""

    def _append(self, html: str) -> Any:
        if len(self._groups.children) == _BOX_CHILDREN:
            self._groups = self._widgets.new(ipywidgets.VBox)
            self.box.children = (*self.box.children[:-1], self._groups, self._tail)
        group = self._widgets.new_html(html)
        self._groups.children = (*self._groups.children, group)
        return group

    def close(self) -> None:
        """Close its widgets; it must not be shown any more."""
        groups = [part for part in self.box.children if part is not self._tail]
        pieces = [piece for group in groups for piece in group.children]
        self._widgets.close_some([*pieces, *groups, self._tail, self.box])

    def replace(self, html: str) -> None:
        """Show `html` in the place of all that was drawn, for good."""
        self.box.children = [self._widgets.new_html(html)]
        self.is_empty = True
