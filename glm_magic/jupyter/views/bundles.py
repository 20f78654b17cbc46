"""Values to the bundles of an output: `text/html` and `text/plain`, and facts as metadata."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from glm_magic.api.reply import Reply
from glm_magic.local.weights import describe
from glm_magic.render.clean import clean_line
from glm_magic.render.frame import frame, muted
from glm_magic.render.markdown import render_line
from glm_magic.render.reply import render_reply, render_reply_plain

__all__ = ["Bundle", "line_bundle", "model_note", "reply_bundle", "reply_metadata"]

Bundle = dict[str, str]


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
