"""Values to the bundles of an output: `text/html` and `text/plain`, and facts as metadata."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from glm_magic.api.reply import Reply
from glm_magic.local.weights import describe
from glm_magic.render.clean import clean_line
from glm_magic.render.frame import frame, muted
from glm_magic.render.markdown import render_line
from glm_magic.render.reply import render_reply, render_reply_plain

if TYPE_CHECKING:
    from glm_magic.study.comparison import Comparison
    from glm_magic.study.embeddings import Embeddings
    from glm_magic.study.projection import Projection

__all__ = [
    "Bundle",
    "Shown",
    "line_bundle",
    "model_note",
    "reply_bundle",
    "reply_metadata",
    "value_bundle",
    "value_metadata",
]

Bundle = dict[str, str]
Shown: TypeAlias = "Reply | Embeddings | Comparison | Projection"

# What draws a value: the module, and the end of the function's name.
_RENDERED = {
    "Embeddings": ("similarity", "embeddings"),
    "Comparison": ("comparison", "comparison"),
    "Projection": ("plane", "plane"),
}


def reply_bundle(reply: Reply, answer: str | None = None) -> Bundle:
    """Return what a saved notebook keeps of a reply.

    Args:
        answer: the answer as safe HTML, where it is rendered already.
    """
    page = render_reply(reply, note=model_note(reply.model, reply.endpoint), answer=answer)
    return {"text/html": page, "text/plain": render_reply_plain(reply)}


def value_bundle(value: Shown) -> Bundle:
    """Return what a saved notebook keeps of a value that a cell shows."""
    if isinstance(value, Reply):
        return reply_bundle(value)
    render, render_plain = _renderers(value)
    return {"text/html": render(value), "text/plain": render_plain(value)}


def value_metadata(value: Shown) -> dict[str, Any] | None:
    """Return its facts for the metadata of its output."""
    if isinstance(value, Reply):
        return reply_metadata(value)
    return embeddings_metadata(value)


def _renderers(value: Any) -> tuple[Callable[[Any], str], Callable[[Any], str]]:
    """The functions that draw a value of the study room, imported when one is there to draw."""
    module, name = _RENDERED[type(value).__name__]
    room = import_module(f"glm_magic.render.study.{module}")
    return getattr(room, f"render_{name}"), getattr(room, f"render_{name}_plain")


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


def embeddings_metadata(value: Any) -> dict[str, Any] | None:
    """Return the facts of embeddings, or of each that are compared; None for any other value."""
    kind = type(value).__name__
    if kind == "Comparison":
        members = [member.embeddings for member in value if member.cut_from is None]
        return {"glm_magic": {"compared": [_embeddings_facts(member) for member in members]}}
    return {"glm_magic": _embeddings_facts(value)} if kind == "Embeddings" else None


def _embeddings_facts(value: Embeddings) -> dict[str, Any]:
    return {
        "model": value.model,
        "endpoint": value.endpoint,
        "texts": len(value),
        "dimensions": value.dimensions,
        "usage": asdict(value.usage),
        "requests": value.requests,
        "recalled": value.recalled,
        "seconds": round(value.seconds, 3),
        "date": value.date,
    }
