"""The calls of functions that an answer took, as a table and as lines; and answers sent back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby

from glm_magic.api.rounds import Call, Round
from glm_magic.render.clean import clean_line, clean_text, escape
from glm_magic.render.frame import muted
from glm_magic.render.markdown import render_line, render_markdown
from glm_magic.render.words import timed

__all__ = ["call_line", "render_calls", "render_calls_plain", "render_rounds"]

_HEAD = "".join(f'<th scope="col">{n}</th>' for n in ("Function", "Arguments", "Result", "Time"))
# What is longer is folded, with all of it inside.
_CELL_CHARACTERS = 200
# What of a text is shown at all; the model has had all of it.
_TEXT_CHARACTERS = 20_000
_BELOW = '<tr><td colspan="4" style="text-align: left; padding-left: 2em">'
# Without the ground of its own that a theme gives a `<pre>`: it stands in a striped table.
_PLAIN = "margin: 0; background: none; white-space: pre-wrap; overflow-wrap: anywhere"
_STATES = {
    "asked": "not called",
    "running": "running …",
    "declined": "declined by you",
    "stopped": "stopped",
}


def call_line(call: Call, limit: int = 200) -> str:
    """Return a call as Python would write it, in one clean line."""
    return clean_line(f"{call.name}({_arguments(call.arguments)})", limit)


def _arguments(text: str) -> str:
    """The arguments by name; as they came where they are no JSON object."""
    try:
        values = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return text
    if not isinstance(values, dict):
        return text
    return ", ".join(f"{name}={_value(value)}" for name, value in values.items())


def _value(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


# -- as HTML -----------------------------------------------------------------------------------


def render_rounds(rounds: Sequence[Round]) -> str:
    """Return what came before the answer: what the model wrote, and the calls it asked for.

    The calls of rounds in which it wrote nothing are one table.
    """
    parts: list[str] = []
    for has_calls, group in groupby(_pieces(rounds), key=lambda piece: isinstance(piece, Call)):
        pieces = list(group)
        if has_calls:
            parts.append(render_calls([p for p in pieces if isinstance(p, Call)]))
        else:
            parts += [piece for piece in pieces if isinstance(piece, str)]
    return "".join(parts)


def _pieces(rounds: Sequence[Round]) -> Iterator[Call | str]:
    """Calls, and the HTML of what stands between them."""
    for each in rounds:
        if each.problem:
            yield _sent_back(each)
        elif each.text.strip():
            yield render_markdown(each.text)
        yield from each.calls


def _sent_back(each: Round) -> str:
    why = render_line(f"An answer that did not fit was sent back: {each.problem}")
    return f"<details><summary>{why}</summary>{_text(each.text)}</details>"


def render_calls(calls: Sequence[Call]) -> str:
    """Return calls as a table, what they printed and their tracebacks below each; "" for none."""
    if not calls:
        return ""
    many = "" if len(calls) == 1 else f" ({len(calls)})"
    return (
        f"<table><caption>Calls{many}</caption><thead><tr>{_HEAD}</tr></thead>"
        f"<tbody>{''.join(map(_rows, calls))}</tbody></table>"
    )


def _rows(call: Call) -> str:
    time = "" if call.seconds is None else timed(call.seconds)
    return (
        f'<tr><th scope="row"><code>{render_line(call.name)}</code></th>'
        f"<td>{_folded(_arguments(call.arguments))}</td><td>{_result(call)}</td>"
        f'<td align="right" nowrap="">{time}</td></tr>{_printed(call)}{_traceback(call)}'
    )


def _result(call: Call) -> str:
    words = _STATES.get(call.state)
    return f"<em>{words}</em>" if words else _folded(call.result)


def _folded(text: str) -> str:
    """A short text in one line; a long one behind its beginning."""
    line = render_line(clean_line(text, _CELL_CHARACTERS))
    is_short = len(text) <= _CELL_CHARACTERS and "\n" not in text.strip()
    if is_short:
        return line
    return f"<details><summary>{line}</summary>{_text(text)}</details>"


def _printed(call: Call) -> str:
    if not call.printed.strip():
        return ""
    return f"{_BELOW}{muted('printed')}{_text(call.printed)}</td></tr>"


def _traceback(call: Call) -> str:
    if not call.traceback:
        return ""
    details = f"<details><summary>Traceback</summary>{_text(call.traceback)}</details>"
    return f"{_BELOW}{details}</td></tr>"


def _text(text: str) -> str:
    return f'<pre style="{_PLAIN}">\n{escape(_cut(text.strip()))}</pre>'


def _cut(text: str) -> str:
    if len(text) <= _TEXT_CHARACTERS:
        return text
    return f"{text[:_TEXT_CHARACTERS]}\n({len(text) - _TEXT_CHARACTERS:,} more characters)"


# -- as text -----------------------------------------------------------------------------------


def render_calls_plain(calls: Sequence[Call]) -> str:
    """Return each call as a line with its result, what it printed below."""
    return "\n".join(line for call in calls for line in _lines(call))


def _lines(call: Call) -> Iterator[str]:
    words = _STATES.get(call.state) or clean_line(call.result, _CELL_CHARACTERS)
    time = "" if call.seconds is None else f" ({timed(call.seconds)})"
    yield f"→ {call_line(call)}: {words}{time}"
    for text in (call.printed, call.traceback):
        if text.strip():
            yield from (f"    {line}" for line in clean_text(_cut(text.rstrip())).split("\n"))
