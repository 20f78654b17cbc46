"""How many requests at a time, as tables and as lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from glm_magic.api.limiter import Places
from glm_magic.api.tiers import FROM_CNY, TABLE_DATE, TIERS, Limits, Tier, concurrency_table
from glm_magic.render.clean import clean_line
from glm_magic.render.columns import align
from glm_magic.render.frame import frame, muted
from glm_magic.render.markdown import render_line

_LEARNED_HEAD = ("Model", "Limit", "Now", "In flight")
_NAME_CHARACTERS = 60


def render_limits(limits: Limits) -> str:
    """Return the table of tiers, the spend, and what was learned, as HTML."""
    return frame(_tier_table(limits.tier), _lines(_spend_lines(limits)), *_learned(limits))


def _tier_table(tier: Tier) -> str:
    heads = "".join(
        f'<th scope="col" align="right">{_emphasis(_head(t, tier), t == tier)}</th>' for t in TIERS
    )
    costs = "".join(
        f'<td align="right">{_emphasis(text, t == tier)}</td>'
        for t, text in zip(TIERS, _costs(), strict=True)
    )
    rows = "".join(_tier_row(name, counts, tier) for name, counts in concurrency_table().items())
    return (
        f"<table><caption>{render_line(_caption())}</caption>"
        f'<thead><tr><th scope="col">Model</th>{heads}</tr>'
        f'<tr><th scope="row">CNY a month</th>{costs}</tr></thead><tbody>{rows}</tbody></table>'
    )


def _tier_row(name: str, counts: Sequence[int], tier: Tier) -> str:
    cells = "".join(
        f'<td align="right">{_emphasis(str(count), t == tier)}</td>'
        for t, count in zip(TIERS, counts, strict=True)
    )
    return f'<tr><th scope="row">{render_line(name)}</th>{cells}</tr>'


def _emphasis(text: str, is_yours: bool) -> str:
    html = render_line(text)
    return f"<strong>{html}</strong>" if is_yours else html


def _head(tier: Tier, yours: Tier) -> str:
    return f"{tier} (yours)" if tier == yours else tier


def _costs() -> list[str]:
    """What an account spends in a month, by tier; where the next begins is not in it."""
    ends = [f"{start:,}" for start in FROM_CNY]
    between = [f"{start} to {end}" for start, end in pairwise(ends)]
    return [*between, f"from {ends[-1]}"]


def _caption() -> str:
    return f"Requests at a time, by tier ({TABLE_DATE})"


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"<p>{render_line(line)}</p>" for line in lines)


def _spend_lines(limits: Limits) -> list[str]:
    lines = []
    if limits.concurrency is not None:
        lines.append(f"concurrency={limits.concurrency} is set and holds in place of the tier's")
    if limits.spend is not None:
        lines.append(_spend_line(limits))
    return lines


def _spend_line(limits: Limits) -> str:
    assert limits.spend is not None
    tier, spend = limits.spend.tier, limits.spend
    amounts = (
        f"{_amount(spend.last_month_cny)} CNY last month and "
        f"{_amount(spend.this_month_cny)} CNY this month up to yesterday"
    )
    way = ", which is set" if tier == limits.tier else f"; set it with `%glm config tier={tier}`"
    return f"{amounts}, the higher of which counts: {tier}{way}"


def _amount(amount: float) -> str:
    return f"{amount:,.2f}".removesuffix(".00")


def _learned(limits: Limits) -> tuple[str, ...]:
    notes = tuple(muted(render_line(note)) for note in _notes(limits))
    if not limits.learned:
        return notes
    head = "".join(f'<th scope="col">{name}</th>' for name in _LEARNED_HEAD)
    rows = "".join(map(_learned_row, limits.learned))
    return (
        f"<table><caption>{render_line(_learned_caption(limits))}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>",
        *notes,
    )


def _learned_row(places: Places) -> str:
    cells = "".join(f'<td align="right">{count}</td>' for count in _counts(places))
    return f'<tr><th scope="row">{render_line(_name(places))}</th>{cells}</tr>'


def _learned_caption(limits: Limits) -> str:
    return f"Learned at {clean_line(limits.host)}"


def _counts(places: Places) -> tuple[int, ...]:
    return (places.limit, places.now, places.in_flight)


def _name(places: Places) -> str:
    return clean_line(places.model, _NAME_CHARACTERS)


def _notes(limits: Limits) -> list[str]:
    used = [] if limits.learned else [f"no model was used at {clean_line(limits.host)} yet"]
    return [
        *used,
        "the platform publishes the real numbers in its console only; a limit starts at the "
        "table's, halves when a request is refused and grows again with success",
    ]


def render_limits_plain(limits: Limits) -> str:
    """Return the same as lines of text."""
    heads = ("Model", *(_head(tier, limits.tier) for tier in TIERS))
    counts = [(name, *map(str, row)) for name, row in concurrency_table().items()]
    tiers = align([heads, ("CNY a month", *_costs()), *counts], right=range(1, 7))
    lines = [_caption(), *tiers, *_spend_lines(limits)]
    if limits.learned:
        rows = [(_name(places), *map(str, _counts(places))) for places in limits.learned]
        learned = align([_LEARNED_HEAD, *rows], right=range(1, 4))
        lines += [_learned_caption(limits), *learned]
    return "\n".join((*lines, *_notes(limits)))
