"""A reply as one static page and as plain text: what a saved notebook keeps."""

from __future__ import annotations

import re

from glm_magic.api.events import in_words
from glm_magic.api.reply import Reply
from glm_magic.render.clean import clean_line, clean_text
from glm_magic.render.markdown import render_line, render_markdown, render_plain
from glm_magic.render.sources import render_sources, render_sources_plain

# The class gives JupyterLab's own type, tables and colours in every theme; the style holds
# where a viewer keeps no classes. `contain` keeps whatever is inside from reaching out.
_FRAME = '<div class="jp-RenderedHTMLCommon glm-reply" style="contain: content; overflow-x: auto">'
# A grey that reads on white and on near-black.
_MUTED = 'style="opacity: 0.75; font-size: 0.9em"'

# Under this a speed says more of the network's buffers than of the model.
_LEAST_S = 0.2

_IN_WORDS = {
    "length": "the token limit was reached",
    "sensitive": "the safety review ended it",
    "network_error": "the platform failed",
    "model_context_window_exceeded": "the model's context is full",
    "tool_calls": "it asks for a tool",
}


def frame(*parts: str) -> str:
    """Return safe HTML parts in the frame that every output of ours has."""
    return f"{_FRAME}{_TABLE_TAG.sub(_laid_out, ''.join(parts))}</div>"


# JupyterLab sets tables of HTML outputs right-aligned and those of widgets in the middle,
# whatever their `align` says; only a style on the tag itself is stronger. In safe HTML `<td` is
# always a tag, since text has no `<`.
_TABLE_TAG = re.compile(r'<(table|caption|t[dh])( scope="\w+")?(?: align="(\w+)")?>')


def _laid_out(tag: re.Match[str]) -> str:
    name, scope, align = tag[1], tag[2] or "", tag[3] or "left"
    style = "margin-left: 0" if name == "table" else f"text-align: {align}"
    return f'<{name}{scope} style="{style}">'


def muted(html: str, tag: str = "div") -> str:
    """Return safe HTML in small, quiet type."""
    return f"<{tag} {_MUTED}>{html}</{tag}>" if html else ""


def render_reply(reply: Reply, *, note: str = "") -> str:
    """Return the whole reply as HTML: header, reasoning, answer, sources.

    Args:
        note: plain text to show with the model, such as what kind of model it is.
    """
    links = {source.number: source.link for source in reply.cited}
    return frame(
        muted(render_line(header_line(reply, note=note))),
        render_reasoning(reply.reasoning),
        render_markdown(reply.text, links),
        _ending(reply),
        render_sources(reply.cited),
    )


def render_reasoning(reasoning: str, *, is_open: bool = False) -> str:
    """Return the reasoning as a section that folds; "" without any."""
    if not reasoning.strip():
        return ""
    opened = " open" if is_open else ""
    return f"<details{opened}><summary>Reasoning</summary>{render_plain(reasoning)}</details>"


def header_line(reply: Reply, *, note: str = "") -> str:
    """Return model, endpoint, seconds, tokens and speed as one line of text."""
    model = _substitution(reply) or reply.model
    model = f"{model} ({note})" if note else model
    parts = [model, reply.endpoint, f"{reply.seconds:.1f} s", _tokens(reply), _speed(reply)]
    return " · ".join(filter(None, map(clean_line, parts)))


def _substitution(reply: Reply) -> str:
    asked = reply.asked_model
    return f"asked for {asked}, answered by {reply.model}" if asked else ""


def _tokens(reply: Reply) -> str:
    usage = reply.usage
    return f"{usage.prompt_tokens} + {usage.completion_tokens} tokens" if usage else ""


def _speed(reply: Reply) -> str:
    """Tokens a second; nothing for a reply too short to tell."""
    lasted = reply.seconds - (reply.first_token_s or 0.0)
    speed = reply.tokens_per_s
    return f"{speed:.0f} tokens/s" if speed and lasted > _LEAST_S else ""


def ending_line(reply: Reply) -> str:
    """Return in words how the reply ended; "" when it simply ended."""
    if reply.state == "failed":
        return "no answer came"
    if reply.state == "withdrawn":
        return f"withdrawn by the safety review: unsafe content{in_words(reply.filtered)}"
    if reply.state in ("stopped", "cut off"):
        return f"{reply.state}: the answer is not complete"
    if reply.finish_reason in (None, "stop"):
        return "" if reply.text.strip() or reply.state == "streaming" else "the answer is empty"
    words = _IN_WORDS.get(reply.finish_reason or "", clean_line(reply.finish_reason or ""))
    return f"ended early: {words}" + _starved(reply)


def _starved(reply: Reply) -> str:
    if reply.finish_reason != "length" or reply.text.strip():
        return ""
    return "; reasoning used it up, raise --max-tokens or use --thinking off"


def _ending(reply: Reply) -> str:
    line = ending_line(reply)
    return f"<p><em>[{render_line(line)}]</em></p>" if line else ""


def render_reply_plain(reply: Reply) -> str:
    """Return the reply as text: the answer, how it ended, the sources."""
    ending = ending_line(reply)
    substitution = clean_line(_substitution(reply))
    parts = (
        clean_text(reply.text).strip(),
        f"[{ending}]" if ending else "",
        f"[{substitution}]" if substitution else "",
        render_sources_plain(reply.cited),
    )
    return "\n\n".join(filter(None, parts))
