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

__all__ = [
    "call_line",
    "exact_line",
    "pieces_of",
    "render_calls",
    "render_calls_plain",
    "render_pieces",
    "render_rounds",
]

_HEAD = "".join(f'<th scope="col">{n}</th>' for n in ("Function", "Arguments", "Result", "Time"))
# What is longer is folded, with all of it inside.
_CELL_CHARACTERS = 200
# What of a text is shown at all; the model has had all of it.
_TEXT_CHARACTERS = 20_000
# A question that is longer nobody reads, and a kernel may not show.
_EXACT_CHARACTERS = 5_000
_BELOW = '<tr><td colspan="4" style="text-align: left; padding-left: 2em">'
# Without the ground of its own that a theme gives a `<pre>`: it stands in a striped table.
_PLAIN = (
    "margin: 0; background: none; white-space: pre-wrap; overflow-wrap: anywhere; "
    "word-break: normal"
)
# A result may be opened, and be long.
_TOP = 'style="text-align: left; vertical-align: top"'
_STATES = {
    "asked": "not called",
    "running": "running …",
    "declined": "declined by you",
    "stopped": "stopped",
}


def call_line(call: Call, limit: int = 200) -> str:
    """Return a call as Python would write it, in one clean line."""
    arguments = _arguments(call.arguments)[: 10 * limit]
    return clean_line(f"{call.name}({arguments})", limit)


def exact_line(call: Call) -> str:
    """Return a call in one line in which nothing is left out and nothing can hide.

    What has no look of its own is written as Python escapes it; a very long call says how much
    of it is missing.
    """
    line = "".join(map(_visible, f"{call.name}({_arguments(call.arguments)})"))
    rest = len(line) - _EXACT_CHARACTERS
    return line if rest <= 0 else f"{line[:_EXACT_CHARACTERS]}… ({rest:,} more characters)"


def _visible(letter: str) -> str:
    return letter if letter.isprintable() else ascii(letter)[1:-1]


def _arguments(text: str) -> str:
    """The arguments by name; as they came where they are no JSON object, or a huge one."""
    if len(text) > _TEXT_CHARACTERS:
        return text
    try:
        values = json.loads(text or "{}")
        named = values.items() if isinstance(values, dict) else None
        return text if named is None else ", ".join(f"{n}={_value(v)}" for n, v in named)
    except (ValueError, RecursionError):
        return text


def _value(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


# -- as HTML -----------------------------------------------------------------------------------


def render_rounds(rounds: Sequence[Round]) -> str:
    """Return what came before the answer: what the model wrote, and the calls it asked for.

    The calls of rounds in which it wrote nothing are one table.
    """
    return render_pieces(pieces_of(rounds))


def pieces_of(rounds: Sequence[Round]) -> list[Call | Round]:
    """Return the calls of rounds, and before them the round itself where it has words."""
    pieces: list[Call | Round] = []
    for each in rounds:
        pieces += (*_spoken(each), *each.calls)
    return pieces


def _spoken(each: Round) -> tuple[Round, ...]:
    return (each,) if each.problem or each.text.strip() else ()


def render_pieces(pieces: Sequence[Call | Round], limit: int = _TEXT_CHARACTERS) -> str:
    """Return some of them.

    Args:
        limit: so many characters of each text are shown.
    """
    parts: list[str] = []
    for _, group in groupby(pieces, key=lambda piece: isinstance(piece, Call)):
        members: list[Call | Round] = list(group)
        parts.append(render_calls([m for m in members if isinstance(m, Call)], limit))
        parts += [_words(m) for m in members if isinstance(m, Round)]
    return "".join(parts)


def _words(each: Round) -> str:
    return _sent_back(each) if each.problem else render_markdown(each.text)


def _sent_back(each: Round) -> str:
    why = render_line(f"An answer that did not fit was sent back: {each.problem}")
    return f"<details><summary>{why}</summary>{_text(each.text)}</details>"


def render_calls(calls: Sequence[Call], limit: int = _TEXT_CHARACTERS) -> str:
    """Return calls as a table, what they printed and their tracebacks below each; "" for none."""
    if not calls:
        return ""
    many = "" if len(calls) == 1 else f" ({len(calls)})"
    return (
        f"<table><caption>Calls{many}</caption><thead><tr>{_HEAD}</tr></thead>"
        f"<tbody>{''.join(_rows(call, limit) for call in calls)}</tbody></table>"
    )


def _rows(call: Call, limit: int) -> str:
    time = "" if call.seconds is None else timed(call.seconds)
    return (
        f'<tr><th scope="row" {_TOP}><code>{render_line(call.name)}</code></th>'
        f"<td {_TOP}>{_folded(_arguments(call.arguments), limit)}</td>"
        f"<td {_TOP}>{_result(call, limit)}</td><td {_TOP}>{time}</td></tr>"
        f"{_printed(call, limit)}{_traceback(call, limit)}"
    )


def _result(call: Call, limit: int) -> str:
    words = _STATES.get(call.state)
    return f"<em>{words}</em>" if words else _folded(call.result, limit)


def _folded(text: str, limit: int) -> str:
    """A short text in one line; a long one behind its beginning."""
    # No more is cleaned than is shown: it may be megabytes.
    line = render_line(clean_line(text[: 10 * _CELL_CHARACTERS], _CELL_CHARACTERS))
    is_short = len(text) <= _CELL_CHARACTERS and "\n" not in text.strip()
    if is_short:
        return line
    return f"<details><summary>{line}</summary>{_text(text, limit)}</details>"


def _printed(call: Call, limit: int) -> str:
    if not call.printed.strip():
        return ""
    return f"{_BELOW}{muted('printed')}{_text(call.printed, limit)}</td></tr>"


def _traceback(call: Call, limit: int) -> str:
    if not call.traceback:
        return ""
    details = f"<details><summary>Traceback</summary>{_text(call.traceback, limit)}</details>"
    return f"{_BELOW}{details}</td></tr>"


def _text(text: str, limit: int = _TEXT_CHARACTERS) -> str:
    return f'<pre style="{_PLAIN}">\n{escape(_cut(text.strip(), limit))}</pre>'


def _cut(text: str, limit: int = _TEXT_CHARACTERS) -> str:
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n({len(text) - limit:,} more characters)"


# -- as text -----------------------------------------------------------------------------------


def render_calls_plain(calls: Sequence[Call]) -> str:
    """Return each call as a line with its result, what it printed below."""
    return "\n".join(line for call in calls for line in _lines(call))


def _lines(call: Call) -> Iterator[str]:
    result = call.result[: 10 * _CELL_CHARACTERS]
    words = _STATES.get(call.state) or clean_line(result, _CELL_CHARACTERS)
    time = "" if call.seconds is None else f" ({timed(call.seconds)})"
    yield f"→ {call_line(call)}: {words}{time}"
    for text in (call.printed, call.traceback):
        if text.strip():
            yield from (f"    {line}" for line in clean_text(_cut(text.rstrip())).split("\n"))
