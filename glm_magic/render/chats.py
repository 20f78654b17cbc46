"""The chats of a session, and what one of them would send, as tables and as lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glm_magic.render.clean import clean_line
from glm_magic.render.columns import align
from glm_magic.render.frame import frame, muted
from glm_magic.render.markdown import render_line

__all__ = [
    "ChatRow",
    "History",
    "MessageRow",
    "render_chats",
    "render_chats_plain",
    "render_history",
    "render_history_plain",
]

_TEXT_CHARACTERS = 300
_PLAIN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class ChatRow:
    """One chat.

    Attributes:
        name: "" for the one that a single question started.
        tokens: a rough count.
        is_current: whether it was used last.
    """

    name: str
    turns: int
    stale: int
    tokens: int
    last_prompt: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message that would be sent.

    Attributes:
        number: of its turn; None for the system message.
        note: "stale, not sent", "stopped", "left out", ...; "" for nothing.
        is_sent: whether it would be.
    """

    number: int | None
    role: str
    text: str
    tokens: int
    note: str = ""
    is_sent: bool = True


@dataclass(frozen=True, slots=True)
class History:
    """What a chat would send with its next prompt.

    Attributes:
        window: tokens that the model reads and writes; None where that is not known.
    """

    name: str
    model: str
    rows: tuple[MessageRow, ...]
    tokens: int
    window: int | None


def _head(*names: str) -> str:
    cells = "".join(f'<th scope="col">{name}</th>' for name in names)
    return f"<thead><tr>{cells}</tr></thead>"


def render_chats(rows: Sequence[ChatRow]) -> str:
    """Return the chats as a table."""
    head = _head("Chat", "Turns", "Stale", "Tokens, about", "Last prompt")
    body = "".join(
        f'<tr><th scope="row">{render_line(_name(row))}</th><td align="right">{row.turns}</td>'
        f'<td align="right">{row.stale or ""}</td><td align="right">{row.tokens:,}</td>'
        f"<td>{render_line(clean_line(row.last_prompt, 120))}</td></tr>"
        for row in rows
    )
    return frame(f"<table>{head}<tbody>{body}</tbody></table>")


def _name(row: ChatRow) -> str:
    name = clean_line(row.name) or "without a name"
    return f"{name} (used last)" if row.is_current else name


def render_chats_plain(rows: Sequence[ChatRow]) -> str:
    """Return the chats as lines of text."""
    table = [("Chat", "Turns", "Stale", "Tokens", "Last prompt")]
    table += [
        (
            _name(row),
            str(row.turns),
            str(row.stale or ""),
            f"{row.tokens:,}",
            clean_line(row.last_prompt, _PLAIN_CHARACTERS),
        )
        for row in rows
    ]
    return "\n".join(align(table, right=(1, 2, 3)))


def render_history(history: History) -> str:
    """Return what would be sent as a table."""
    head = _head("Turn", "Role", "Text", "Tokens, about", "Note")
    body = "".join(
        f'<tr><th scope="row">{row.number or ""}</th><td>{render_line(row.role)}</td>'
        f"<td>{render_line(clean_line(row.text, _TEXT_CHARACTERS))}</td>"
        f'<td align="right">{row.tokens:,}</td><td>{render_line(row.note)}</td></tr>'
        for row in history.rows
    )
    caption = render_line(_caption(history))
    return frame(
        f"<table><caption>{caption}</caption>{head}<tbody>{body}</tbody></table>",
        muted(render_line(_sum(history))),
    )


def _caption(history: History) -> str:
    name = f"chat {clean_line(history.name)}" if history.name else "the chat used last"
    return f"What {name} sends before the next prompt"


def _sum(history: History) -> str:
    window = f" of the {history.window:,} that {clean_line(history.model)} reads"
    return f"about {history.tokens:,} tokens{window if history.window else ''}"


def render_history_plain(history: History) -> str:
    """Return what would be sent as lines of text."""
    table = [("Turn", "Role", "Text", "Tokens", "Note")]
    table += [
        (
            str(row.number or ""),
            row.role,
            clean_line(row.text, _PLAIN_CHARACTERS),
            f"{row.tokens:,}",
            row.note,
        )
        for row in history.rows
    ]
    return "\n".join((_caption(history), *align(table, right=(0, 3)), _sum(history)))
