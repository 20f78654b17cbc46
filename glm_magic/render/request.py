"""A request before it is sent: where to, the exact JSON, and what it may cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glm_magic.render.clean import clean_line, clean_text
from glm_magic.render.code import draw_code_block
from glm_magic.render.frame import frame, muted
from glm_magic.render.markdown import render_line

__all__ = ["RequestPage", "render_request", "render_request_plain"]


@dataclass(frozen=True, slots=True)
class RequestPage:
    """What is shown of a request.

    Attributes:
        url: where it would go; "" for the engine in this process.
        key: where the key is from; "" for none. The key itself is no part of this.
        notes: one line each, plain text.
    """

    url: str
    body: Mapping[str, Any]
    key: str
    notes: tuple[str, ...] = ()


def render_request(page: RequestPage) -> str:
    """Return the request as HTML."""
    return frame(
        f"<p>{render_line(_title(page))}</p>",
        draw_code_block(_json(page), "json"),
        *(muted(render_line(clean_line(note))) for note in _notes(page)),
    )


def render_request_plain(page: RequestPage) -> str:
    """Return the request as text."""
    return "\n".join((_title(page), _json(page), *map(clean_line, _notes(page))))


def _title(page: RequestPage) -> str:
    return f"POST {clean_line(page.url)}" if page.url else "To the model in this process"


def _json(page: RequestPage) -> str:
    return clean_text(json.dumps(page.body, ensure_ascii=False, indent=2))


def _notes(page: RequestPage) -> tuple[str, ...]:
    key = f"Authorization: the key from {page.key}" if page.key else "without a key"
    return (f"{key}; nothing was sent", *page.notes)
