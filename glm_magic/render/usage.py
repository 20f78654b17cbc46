"""What a session took and what that costs, as a table and as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from glm_magic.api.cost import Cost, format_money
from glm_magic.api.endpoints import PLATFORM_HOSTS
from glm_magic.render.clean import clean_line
from glm_magic.render.columns import align
from glm_magic.render.frame import frame, muted
from glm_magic.render.markdown import render_line
from glm_magic.session.ledger import Budget
from glm_magic.session.usage import UsageRow, sum_rows

__all__ = ["budget_line", "render_usage", "render_usage_plain"]

_NAMES = ("Model", "Host")
_NUMBERS = ("Requests", "Prompt", "Cached", "Completion", "Reasoning", "Searches")
_HEAD = (*_NAMES, *_NUMBERS, "Cost")
_CAPTION = "Tokens, searches and cost of this session"
_EMPTY = "nothing was asked yet in this session"
_NAME_CHARACTERS = 80


def render_usage(rows: Sequence[UsageRow], budget: Budget | None = None) -> str:
    """Return the table as HTML: a row for each model, a total for each currency, and notes.

    Args:
        rows: of a session's ledger.
        budget: as it stands where requests go now, if there is one.
    """
    if not rows:
        return frame(muted(render_line(_EMPTY)))
    head = "".join(_cell("th", name, place, ' scope="col"') for place, name in enumerate(_HEAD))
    body = "".join(_row(_cells(row)) for row in rows)
    sums = "".join(_row(_cells(row), is_total=True) for row in _totals(rows))
    return frame(
        f"<table><caption>{render_line(_CAPTION)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}{sums}</tbody></table>",
        *(muted(render_line(note)) for note in _notes(rows, budget)),
    )


def _row(cells: Sequence[str], *, is_total: bool = False) -> str:
    first, *rest = (render_line(cell) for cell in cells)
    if is_total:
        first, *rest = (f"<strong>{cell}</strong>" if cell else "" for cell in (first, *rest))
    name = f'<th scope="row">{first}</th>'
    return (
        f"<tr>{name}{''.join(_cell('td', html, place) for place, html in enumerate(rest, 1))}</tr>"
    )


def _cell(tag: str, html: str, place: int, scope: str = "") -> str:
    align_right = ' align="right"' if place >= len(_NAMES) else ""
    return f"<{tag}{scope}{align_right}>{html}</{tag}>"


def _cells(row: UsageRow) -> tuple[str, ...]:
    counts = (
        row.requests,
        row.prompt_tokens,
        row.cached_tokens,
        row.completion_tokens,
        row.reasoning_tokens,
        row.searches,
    )
    names = (clean_line(name, _NAME_CHARACTERS) for name in (row.model, row.host))
    return (*names, *(f"{count:,}" for count in counts), _cost(row))


def _cost(row: UsageRow) -> str:
    if row.currency is None:
        return _unbilled(row.host)
    known = Cost(row.known_cost, row.currency, row.read).in_words
    if row.unpriced:
        # Where some of it is known, that much is said.
        return f"{known} + unknown" if row.known_cost else "unknown"
    return known if row.known_cost or row.tokens else "nothing"


def _unbilled(host: str) -> str:
    """What is said of a host that no price list is of: this machine, a plan, a server."""
    if host == "local":
        return "nothing"
    return "not billed by token" if host in PLATFORM_HOSTS else "unknown"


def _totals(rows: Sequence[UsageRow]) -> Iterator[UsageRow]:
    for currency in dict.fromkeys(row.currency for row in rows):
        if currency is not None:
            billed = [row for row in rows if row.currency == currency]
            yield sum_rows(billed, model=f"Total in {currency}")


def _notes(rows: Sequence[UsageRow], budget: Budget | None) -> Iterator[str]:
    every = sum_rows(rows)
    if budget:
        yield budget_line(budget)
    if every.estimated:
        yield _estimated_line(every.estimated)
    if every.unpriced:
        yield "unknown: no price is known; `%glm config catalog=FOLDER` takes a prices.csv"
    if count := every.unpriced_searches:
        searches = (
            "the search" if every.searches == 1 else f"{count:,} of {every.searches:,} searches"
        )
        yield f"the price of {searches} is unknown and not in the cost"
    if any(row.currency for row in rows):
        read = f"prices are those of {every.read}; " if every.read else ""
        yield f"{read}cost is an estimate, the bill is the platform's"


def budget_line(budget: Budget) -> str:
    """Return what is left of a budget, in words."""
    limit, left = (format_money(amount, budget.currency) for amount in (budget.limit, budget.left))
    held = format_money(budget.reserved, budget.currency)
    flight = f", {held} are reserved for requests in flight" if budget.reserved else ""
    return f"{left if budget.left else 'nothing'} of the budget of {limit} is left{flight}"


def _estimated_line(count: int) -> str:
    subject, whose = ("1 request", "its") if count == 1 else (f"{count:,} requests", "their")
    return f"{subject} ended without the server's counts: {whose} tokens are estimated"


def render_usage_plain(rows: Sequence[UsageRow], budget: Budget | None = None) -> str:
    """Return the same as lines of text."""
    if not rows:
        return _EMPTY
    cells = [_HEAD, *map(_cells, rows), *map(_cells, _totals(rows))]
    lines = align(cells, right=range(len(_NAMES), len(_HEAD)))
    return "\n".join((_CAPTION, *lines, *_notes(rows, budget)))
