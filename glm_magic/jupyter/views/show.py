"""Values to outputs: `text/html` and `text/plain`, and nothing that a viewer would run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from glm_magic.api.reply import Format, ReasoningView, Reply
from glm_magic.jupyter.runner import View
from glm_magic.jupyter.views.bundles import (
    Shown,
    line_bundle,
    model_note,
    value_bundle,
    value_metadata,
)
from glm_magic.render.settings import render_settings, render_settings_plain
from glm_magic.session.settings import Setting

if TYPE_CHECKING:
    from glm_magic.api.rounds import Round
    from glm_magic.api.schema import AnswerSchema
    from glm_magic.render.growth import Growth


class ReplyView(View, Protocol):
    """A view of one reply."""

    def show_rounds(self, rounds: Sequence[Round]) -> None:
        """Show all rounds so far; what comes next is not of them."""

    def show_again(self) -> None:
        """Show itself once more where the output of the cell has been cleared."""

    def finish(self, reply: Reply) -> None:
        """Show the reply as it stays."""

    def leave(self, line: str) -> None:
        """Show one line in place of a reply that is not there."""


def is_terminal(shell: InteractiveShell) -> bool:
    """Return whether there is no front end that shows widgets and HTML: only a kernel has one."""
    return getattr(shell, "kernel", None) is None


def is_watched(shell: InteractiveShell) -> bool:
    """Return whether somebody may see the cell while it runs.

    No front end says so. But programs that run notebooks (nbclient, and with it papermill and
    nbconvert) tell the kernel that nobody can type, and those that people use, that somebody can.
    The programs would keep the state of every widget, closed ones too.
    """
    kernel: Any = getattr(shell, "kernel", None)
    if not hasattr(kernel, "get_parent"):
        return True
    request = kernel.get_parent("shell") or {}
    return bool(request.get("content", {}).get("allow_stdin", True))


@dataclass(frozen=True, slots=True)
class Look:
    """What a view shows besides what it is fed.

    Attributes:
        format: how the answer is shown.
        schema: what it is to fit, where it is shown as the table of its fields.
        start: the beginning of the answer where it is known already.
        tip: what the Stop button says of itself.
        reasoning: how the reasoning is shown.
        context: what of a chat goes along, plain text for the title.
    """

    model: str
    host: str
    format: Format = "md"
    start: str = ""
    tip: str = "Stop this answer, or press the kernel's stop button (I, I)"
    reasoning: ReasoningView = "fold"
    context: str = ""
    schema: AnswerSchema | None = None

    @property
    def title(self) -> str:
        """Model, endpoint and context, in one line."""
        note = model_note(self.model, self.host)
        model = f"{self.model} ({note})" if note else self.model
        return " · ".join(filter(None, (model, self.host, self.context)))


def new_view(shell: InteractiveShell, look: Look, on_stop: Callable[[], None]) -> ReplyView:
    """Return a view for the front end at hand: widgets, text in a terminal, or the end alone."""
    if is_terminal(shell):
        from glm_magic.jupyter.views.terminal import TerminalView

        is_markdown = look.format == "md"
        return TerminalView(start=look.start, is_markdown=is_markdown, reasoning=look.reasoning)
    if not is_watched(shell):
        return StaticView()
    from glm_magic.jupyter.views.live import LiveView

    return LiveView(
        look.title,
        on_stop,
        tip=look.tip,
        new_growth=partial(_new_growth, look),
        start=look.start,
        reasoning=look.reasoning,
    )


def _new_growth(look: Look) -> Growth:
    """What draws an answer of this look while it comes."""
    from glm_magic.render.fields import FieldsGrowth
    from glm_magic.render.growth import MarkdownGrowth, PlainGrowth

    if look.format == "table" and look.schema:
        return FieldsGrowth(look.schema.wire_columns, is_rows=look.schema.is_rows)
    return MarkdownGrowth() if look.format == "md" else PlainGrowth()


class StaticView:
    """The view of a cell that nobody watches: nothing until the reply has ended."""

    dirty = False

    def feed(self, values: list[Any]) -> None:
        """Take events; show none."""

    def paint(self) -> None:
        """Show nothing yet."""

    def show_rounds(self, rounds: Sequence[Round]) -> None:
        """Show nothing yet."""

    def show_again(self) -> None:
        """Show nothing yet."""

    def finish(self, reply: Reply) -> None:
        """Show the reply as it stays."""
        show_value(reply)

    def leave(self, line: str) -> None:
        """Show one line in place of a reply that is not there."""
        display(line_bundle(line), raw=True)


def show_value(value: Shown) -> None:
    """Show a value as it was shown when it came."""
    display(value_bundle(value), raw=True, metadata=value_metadata(value))


def show_settings(rows: Sequence[Setting]) -> None:
    """Show the settings as a table."""
    show_table(render_settings(rows), render_settings_plain(rows))


def show_table(html: str, plain: str) -> None:
    """Show safe HTML, and text where there is no HTML."""
    display({"text/html": html, "text/plain": plain}, raw=True)
