"""What is about to be sent, word for word, to be looked at before it is."""

from __future__ import annotations

from dataclasses import dataclass

from glm_magic.render.clean import clean_line, clean_text
from glm_magic.render.code import draw_code_block
from glm_magic.render.frame import frame
from glm_magic.render.markdown import render_line

__all__ = ["Preview", "render_preview", "render_preview_plain"]

# About 25 lines; what is longer scrolls.
_WINDOW = '<div style="max-height: 30em; overflow: auto">'


@dataclass(frozen=True, slots=True)
class Preview:
    """A request before it is sent.

    Attributes:
        host: where it goes; "local" is the engine in this process.
        tokens: a rough count.
        messages: role and text of each.
    """

    model: str
    host: str
    tokens: int
    messages: tuple[tuple[str, str], ...]


def render_preview(preview: Preview, *, is_open: bool) -> str:
    """Return one line and, folded unless open, all that is sent."""
    summary = f"<summary>{render_line(_title(preview))}</summary>"
    blocks = "".join(
        f"<p>{render_line(role)}</p>{draw_code_block(text)}" if role else draw_code_block(text)
        for role, text in _texts(preview)
    )
    opened = " open" * is_open
    return frame(f"<details{opened}>{summary}{_WINDOW}{blocks}</div></details>")


def render_preview_plain(preview: Preview) -> str:
    """Return the same as lines of text."""
    texts = (f"[{role}]\n{text}" if role else text for role, text in _texts(preview))
    return "\n\n".join((f"{_title(preview)}:", *texts))


def _title(preview: Preview) -> str:
    place = "on this machine" if preview.host == "local" else f"at {clean_line(preview.host)}"
    return f"To {clean_line(preview.model)} {place}, about {preview.tokens:,} tokens"


def _texts(preview: Preview) -> list[tuple[str, str]]:
    """The texts, each with its role where there is more than one."""
    messages = [(role, clean_text(text)) for role, text in preview.messages]
    return messages if len(messages) > 1 else [("", text) for _, text in messages]
