"""A reply as one static page and as plain text: what a saved notebook keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from glm_magic.api.code import json_text, parse_code_blocks
from glm_magic.api.reply import ReasoningView, Reply
from glm_magic.errors import ReplyError
from glm_magic.render.calls import render_calls, render_calls_plain, render_rounds
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

if TYPE_CHECKING:
    from glm_magic.api.schema import AnswerSchema

__all__ = ["render_answer", "render_reasoning", "render_reply", "render_reply_plain"]


def render_reply(reply: Reply, *, note: str = "", answer: str | None = None) -> str:
    """Return the whole reply as HTML: header, reasoning, answer, sources, footer.

    Args:
        note: plain text to show with the model, such as what kind of model it is.
        answer: what `render_answer` gave, where it is at hand.
    """
    return frame(
        muted(render_line(header_line(reply, note=note))),
        render_reasoning(_all_reasoning(reply), reply.shows_reasoning),
        render_rounds(reply.rounds),
        render_calls(reply.served),
        render_answer(reply) if answer is None else answer,
        _ending(reply),
        render_sources(reply.found, reply.cited_numbers),
        muted(_footer(reply)),
    )


def _all_reasoning(reply: Reply) -> str:
    """What the model thought before its calls and before its answer."""
    thoughts = (*(each.reasoning for each in reply.rounds), reply.reasoning)
    return "\n\n".join(filter(str.strip, thoughts))


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
    if reply.format == "table" and reply.schema:
        return _table(reply, reply.schema)
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


def _table(reply: Reply, schema: AnswerSchema) -> str:
    """The fields of the answer, its JSON folded; as JSON with the reason where it does not fit."""
    try:
        value = schema.plain(reply.text)
    except ReplyError as error:
        why = muted(render_line(str(error))) if reply.state == "complete" else ""
        return why + _json(reply) if reply.text.strip() else ""
    # Not at the top: few answers have a schema.
    from glm_magic.render.fields import render_fields

    table = render_fields(value, schema.columns, is_rows=schema.is_rows)
    return table + _folded("The answer as JSON", _json(reply))


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
        render_calls_plain(reply.calls),
        clean_text(reply.text).strip(),
        f"[{ending}]" if ending else "",
        f"[{substitution}]" if substitution else "",
        render_sources_plain(reply.found, reply.cited_numbers),
        f"[{notes}]" if notes else "",
    )
    return "\n\n".join(filter(None, parts))
