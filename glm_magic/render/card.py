"""The card of a session: where requests go, with which key and chat, and what was used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from glm_magic.api.cost import format_money
from glm_magic.render.clean import clean_line
from glm_magic.render.frame import frame, muted
from glm_magic.render.markdown import render_line
from glm_magic.session.usage import UsageRow

__all__ = ["render_card", "render_card_plain", "usage_words"]

_HINT = "%glm help shows all options, %glm config all settings"

Fact = tuple[str, str]


def render_card(facts: Sequence[Fact]) -> str:
    """Return the facts, a name and a text each, as a small table."""
    rows = "".join(
        f'<tr><th scope="row">{render_line(name)}</th><td>{render_line(clean_line(text))}</td></tr>'
        for name, text in facts
    )
    return frame(f"<table><tbody>{rows}</tbody></table>", muted(_HINT))


def render_card_plain(facts: Sequence[Fact]) -> str:
    """Return the facts as lines of text."""
    widest = max(len(name) for name, _ in facts)
    lines = [f"{name:<{widest}}  {clean_line(text)}" for name, text in facts]
    return "\n".join((*lines, _HINT))


def usage_words(rows: Sequence[UsageRow]) -> str:
    """Return requests, tokens and cost of a session in one line."""
    if not rows:
        return "nothing was asked yet"
    requests, tokens = sum(row.requests for row in rows), sum(row.tokens for row in rows)
    counts = f"{requests:,} {'request' if requests == 1 else 'requests'}, {tokens:,} tokens"
    return ", ".join((counts, *_costs(rows)))


def _costs(rows: Sequence[UsageRow]) -> Iterator[str]:
    for currency in dict.fromkeys(row.currency for row in rows):
        billed = [row for row in rows if row.currency == currency]
        known = sum(row.known_cost for row in billed)
        if currency and known:
            yield f"about {format_money(known, currency)}"
        elif currency and not any(row.unpriced for row in billed):
            yield "free"
    if any(row.unpriced for row in rows):
        yield "some at unknown prices"
