"""Values to outputs: `text/html` and `text/plain`, and nothing that a viewer would run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from glm_magic.api.reply import Format, ReasoningView, Reply
from glm_magic.jupyter.runner import View
from glm_magic.local.weights import describe
from glm_magic.render.clean import clean_line
from glm_magic.render.frame import frame, muted
from glm_magic.render.markdown import render_line
from glm_magic.render.reply import render_reply, render_reply_plain
from glm_magic.render.settings import render_settings, render_settings_plain
from glm_magic.session.settings import Setting

if TYPE_CHECKING:
    from glm_magic.study.embeddings import Embeddings

Bundle = dict[str, str]


class ReplyView(View, Protocol):
    """A view of one reply."""

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

    @property
    def title(self) -> str:
        """Model, endpoint and context, in one line."""
        note = model_note(self.model, self.host)
        model = f"{self.model} ({note})" if note else self.model
        return " · ".join(filter(None, (model, self.host, self.context)))


def new_view(shell: InteractiveShell, look: Look, on_stop: Callable[[], None]) -> ReplyView:
    """Return a view for the front end at hand: widgets, text in a terminal, or the end alone."""
    if is_terminal(shell):
        from glm_magic.jupyter.terminal import TerminalView

        is_markdown = look.format == "md"
        return TerminalView(start=look.start, is_markdown=is_markdown, reasoning=look.reasoning)
    if not is_watched(shell):
        return StaticView()
    from glm_magic.jupyter.live import LiveView

    return LiveView(
        look.title,
        on_stop,
        tip=look.tip,
        is_markdown=look.format == "md",
        start=look.start,
        reasoning=look.reasoning,
    )


def reply_bundle(reply: Reply, answer: str | None = None) -> Bundle:
    """Return what a saved notebook keeps of a reply.

    Args:
        answer: the answer as safe HTML, where it is rendered already.
    """
    page = render_reply(reply, note=model_note(reply.model, reply.endpoint), answer=answer)
    return {"text/html": page, "text/plain": render_reply_plain(reply)}


def line_bundle(line: str) -> Bundle:
    """Return one line that stands in the place of a reply."""
    return {"text/html": frame(muted(render_line(line))), "text/plain": clean_line(line)}


def model_note(model: str, host: str) -> str:
    """Return what a reader should know of a local model, "" for any other."""
    return describe(model) if host == "local" else ""


def reply_metadata(reply: Reply) -> dict[str, Any]:
    """Return the facts of a reply for the metadata of its output."""
    facts = {
        "model": reply.model,
        "endpoint": reply.endpoint,
        "usage": asdict(reply.usage) if reply.usage else None,
        "finish_reason": reply.finish_reason,
        "request_id": reply.request_id,
        "seconds": round(reply.seconds, 3),
    }
    if reply.asked_model:
        facts["asked_model"] = reply.asked_model
    if reply.context and not reply.context.is_single:
        facts |= {"chat": reply.context.chat, "turn": reply.context.number}
    return {"glm_magic": facts}


class StaticView:
    """The view of a cell that nobody watches: nothing until the reply has ended."""

    dirty = False

    def feed(self, values: list[Any]) -> None:
        """Take events; show none."""

    def paint(self) -> None:
        """Show nothing yet."""

    def finish(self, reply: Reply) -> None:
        """Show the reply as it stays."""
        show_value(reply)

    def leave(self, line: str) -> None:
        """Show one line in place of a reply that is not there."""
        display(line_bundle(line), raw=True)


def show_value(value: Reply | Embeddings) -> None:
    """Show a value as it was shown when it came."""
    if isinstance(value, Reply):
        display(reply_bundle(value), raw=True, metadata=reply_metadata(value))
        return
    from glm_magic.render.similarity import render_embeddings, render_embeddings_plain

    show_table(render_embeddings(value), render_embeddings_plain(value))


def show_settings(rows: Sequence[Setting]) -> None:
    """Show the settings as a table."""
    show_table(render_settings(rows), render_settings_plain(rows))


def show_table(html: str, plain: str) -> None:
    """Show safe HTML, and text where there is no HTML."""
    display({"text/html": html, "text/plain": plain}, raw=True)
