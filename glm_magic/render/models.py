"""The models of an endpoint with their prices, as a table and as lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glm_magic.api.tables import Currency, Model, Price
from glm_magic.render.clean import clean_line
from glm_magic.render.columns import align
from glm_magic.render.frame import frame, muted
from glm_magic.render.markdown import render_line

# More rows are read by nobody; `-q` finds the others.
_LIMIT_ROWS = 200
_ID_CHARACTERS = 80
# A style of one's own stands in for the frame's.
_NO_WRAP = ' style="text-align: left; white-space: nowrap"'
_THINKING = {"no": "no", "auto": "optional", "on": "default", "forced": "always"}
_NUMBERS = ("Context", "Max output")
_WORDS = ("Vision", "Thinking", "Free")


@dataclass(frozen=True, slots=True)
class ModelTable:
    """What is shown of an endpoint's models.

    Attributes:
        currency: of the prices.
        notes: one line each, plain text; shown below.
        has_catalog: whether the catalog is of this endpoint, so that a model may be missing there.
    """

    host: str
    models: tuple[Model, ...]
    currency: Currency
    notes: tuple[str, ...] = ()
    has_catalog: bool = True


def render_models(table: ModelTable) -> str:
    """Return the table as HTML; an id is text, whatever a server calls its models."""
    numbers = "".join(f'<th scope="col" align="right">{name}</th>' for name in _NUMBERS)
    words = "".join(f'<th scope="col">{name}</th>' for name in (*_WORDS, _price_head(table)))
    head = f'<th scope="col">Model</th>{numbers}{words}'
    body = "".join(_row(model, table) for model in table.models[:_LIMIT_ROWS])
    return frame(
        f"<table><caption>{render_line(_caption(table))}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>",
        *(muted(render_line(note)) for note in _notes(table)),
    )


def _row(model: Model, table: ModelTable) -> str:
    numbers = "".join(f'<td align="right">{text}</td>' for text in _number_cells(model))
    words = "".join(f"<td>{text}</td>" for text in _word_cells(model))
    prices = "<br>".join(map(render_line, _price_lines(model)))
    name = f'<th scope="row">{_name(model, table)}</th>'
    return f"<tr>{name}{numbers}{words}<td{_NO_WRAP}>{prices}</td></tr>"


def _name(model: Model, table: ModelTable) -> str:
    name = render_line(clean_line(model.id, _ID_CHARACTERS))
    mark = _mark(model, table)
    return f"{name} <small>({mark})</small>" if mark else name


def _mark(model: Model, table: ModelTable) -> str:
    """Where an id is from, unless both the endpoint and the catalog have it."""
    if not model.is_known and table.has_catalog:
        return "not in the catalog"
    return "not listed" if model.is_listed is False else ""


def _number_cells(model: Model) -> tuple[str, ...]:
    counts = (model.context_tokens, model.max_output_tokens)
    return tuple("" if count is None else f"{count:,}" for count in counts)


def _word_cells(model: Model) -> tuple[str, ...]:
    thinking = "" if model.thinking is None else _THINKING[model.thinking]
    return (_yes_or_no(model.vision), thinking, _yes_or_no(model.free))


def _yes_or_no(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"


def _price_lines(model: Model) -> list[str]:
    if model.free:
        return ["free"]
    return [_price_line(price) for price in model.prices] or ["unknown"]


def _price_line(price: Price) -> str:
    amounts = (price.input, price.output, price.cached)
    text = " / ".join("–" if amount is None else f"{amount:g}" for amount in amounts)
    return f"{text} ({price.note})" if price.note else text


def _price_head(table: ModelTable) -> str:
    return f"{table.currency} for 1M tokens: input / output / cached"


def _caption(table: ModelTable) -> str:
    count = len(table.models)
    return f"{count} {'model' if count == 1 else 'models'} · {clean_line(table.host)}"


def _notes(table: ModelTable) -> Sequence[str]:
    rest = len(table.models) - _LIMIT_ROWS
    left_out = f"and {rest} more: `%glm models -q TEXT` finds them by a part of the id"
    known = (_read_line(table.models), _listed_line(table))
    return [*([left_out] if rest > 0 else []), *table.notes, *filter(None, known)]


def _read_line(models: Sequence[Model]) -> str:
    """When the prices that are shown were read; "" without any."""
    dates = sorted({price.read for model in models for price in model.prices})
    if not dates:
        return ""
    # Of some prices no more than the year is known, "2026", which sorts before its months.
    first, last = dates[0], dates[-1]
    span = first if first == last else f"{first}, the latest in {last}"
    return f"prices were read in {span}; they change monthly, the platform's site has today's"


def _listed_line(table: ModelTable) -> str:
    if not any(_mark(model, table) == "not listed" for model in table.models):
        return ""
    return "not listed: the endpoint's list leaves it out, as it does with ids that it accepts"


def render_models_plain(table: ModelTable) -> str:
    """Return the table as lines of text; a model with several prices has a line for each."""
    head = ("model", "context", "max output", "vision", "thinking", "free", _price_head(table))
    rows = [
        head,
        *(row for model in table.models[:_LIMIT_ROWS] for row in _plain_rows(model, table)),
    ]
    lines = align(rows, right=(1, 2))
    return "\n".join((_caption(table), *lines, *map(clean_line, _notes(table))))


def _plain_rows(model: Model, table: ModelTable) -> list[tuple[str, ...]]:
    mark = _mark(model, table)
    name = clean_line(model.id, _ID_CHARACTERS) + (f" ({mark})" if mark else "")
    first, *more = _price_lines(model)
    blank = ("",) * (1 + len(_NUMBERS) + len(_WORDS))
    row = (name, *_number_cells(model), *_word_cells(model), first)
    return [row, *((*blank, line) for line in more)]
