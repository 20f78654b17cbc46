"""A reply as one static page and as plain text: what a saved notebook keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from glm_magic.api.code import json_text, parse_code_blocks
from glm_magic.api.reply import ReasoningView, Reply
from glm_magic.render.clean import clean_line, clean_text
from glm_magic.render.code import draw_code_block
from glm_magic.render.footer import context_notes, ending_line, footer_line, header_line
from glm_magic.render.frame import frame, muted
from glm_magic.render.growth import MarkdownGrowth
from glm_magic.render.indent import indent_json
from glm_magic.render.markdown import (
    TEXT_LIMIT,
    render_line,
    render_markdown,
    render_plain,
    render_prose,
)
from glm_magic.render.sources import render_sources, render_sources_plain

__all__ = ["render_answer", "render_reasoning", "render_reply", "render_reply_plain"]


def render_reply(reply: Reply, *, note: str = "", answer: str | None = None) -> str:
    """Return the whole reply as HTML: header, reasoning, answer, sources, footer.

    Args:
        note: plain text to show with the model, such as what kind of model it is.
        answer: what `render_answer` gave, where it is at hand.
    """
    return frame(
        muted(render_line(header_line(reply, note=note))),
        render_reasoning(reply.reasoning, reply.shows_reasoning),
        render_answer(reply) if answer is None else answer,
        _ending(reply),
        render_sources(reply.found, reply.cited_numbers),
        muted(_footer(reply)),
    )


def _footer(reply: Reply) -> str:
    line = render_line(footer_line(reply)) if reply.has_footer else ""
    return f'<span role="status">{line}</span>' if line else ""


def render_answer(reply: Reply, growth: MarkdownGrowth | None = None) -> str:
    """Return the answer as HTML in the reply's format.

    Args:
        growth: what was rendered of it while it came, if anything was.
    """
    links = {source.number: source.link for source in reply.found}
    if reply.format == "code":
        return _code(reply, links)
    if reply.format == "json":
        return _json(reply)
    if reply.format == "text":
        return render_plain(reply.text)
    whole = growth.whole(reply.text, links) if growth else render_markdown(reply.text, links)
    return _giant_note(reply.text) + whole


def _giant_note(text: str) -> str:
    is_giant = len(text) > TEXT_LIMIT
    return muted(f"shown as plain text: {len(text):,} characters") if is_giant else ""


def _code(reply: Reply, links: Mapping[int, str]) -> str:
    """The code blocks alone, the words around them folded; all of it where there are none."""
    blocks = parse_code_blocks(reply.text) if len(reply.text) <= TEXT_LIMIT else ()
    whole = _giant_note(reply.text) + render_markdown(reply.text, links)
    if not blocks:
        return whole
    shown = "".join(draw_code_block(clean_text(block.code), block.language) for block in blocks)
    return shown + _folded("The whole answer", whole)


def _json(reply: Reply) -> str:
    """The answer indented if it is JSON, fenced or not; as it came, with the reason, if not."""
    try:
        is_giant = len(reply.text) > TEXT_LIMIT
        shown = indent_json(reply.text if is_giant else json_text(reply.text))
    except (ValueError, RecursionError) as error:
        why = muted(render_line(f"not shown as JSON: {error}"))
        return why + render_plain(reply.text)
    return draw_code_block(clean_text(shown), "json")


def render_reasoning(reasoning: str, view: ReasoningView = "fold") -> str:
    """Return the reasoning as a section that folds; "" without any, or where it is hidden."""
    if view == "hide" or not reasoning.strip():
        return ""
    return _folded("Reasoning", render_prose(reasoning), is_open=view == "show")


def _folded(summary: str, html: str, *, is_open: bool = False) -> str:
    return f"<details{' open' * is_open}><summary>{summary}</summary>{html}</details>"


def _ending(reply: Reply) -> str:
    line = ending_line(reply)
    return f"<p><em>[{render_line(line)}]</em></p>" if line else ""


def render_reply_plain(reply: Reply) -> str:
    """Return the reply as text: the answer, how it ended, the sources, what of a chat is amiss."""
    ending = ending_line(reply)
    alone = replace(reply, context=None)
    substitution = clean_line(header_line(alone)) if reply.asked_model else ""
    notes = context_notes(reply.context) if reply.context else ""
    parts = (
        clean_text(reply.text).strip(),
        f"[{ending}]" if ending else "",
        f"[{substitution}]" if substitution else "",
        render_sources_plain(reply.found, reply.cited_numbers),
        f"[{notes}]" if notes else "",
    )
    return "\n\n".join(filter(None, parts))
