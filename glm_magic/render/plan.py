"""What a run of embeddings would send, before it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glm_magic.api.cost import Cost
from glm_magic.render.clean import clean_line
from glm_magic.render.columns import align
from glm_magic.render.frame import frame, muted
from glm_magic.render.markdown import render_line

__all__ = ["PlanRow", "render_plan", "render_plan_plain"]

_HEAD = ("Model", "Dimensions", "Texts", "There already", "To send", "Requests", "Tokens", "Cost")
_NOTE = "nothing was sent; tokens and cost are estimates"


@dataclass(frozen=True, slots=True)
class PlanRow:
    """What one model would be asked for.

    Attributes:
        dimensions: None for the model's own.
        texts: different ones.
        there: how many of them have their vectors already.
        tokens: of those to send, an estimate.
        cost: None where nobody is billed, or no price is known.
    """

    model: str
    dimensions: int | None
    texts: int
    there: int
    requests: int
    tokens: int
    cost: Cost | None

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as words."""
        return (
            clean_line(self.model, 60),
            "its own" if self.dimensions is None else str(self.dimensions),
            f"{self.texts:,}",
            f"{self.there:,}",
            f"{self.texts - self.there:,}",
            f"{self.requests:,}",
            f"{self.tokens:,}",
            self.cost.in_words if self.cost else "",
        )


def render_plan(rows: Sequence[PlanRow], refusal: str = "") -> str:
    """Return a table with a row a model and width.

    Args:
        refusal: why it would not be sent; "" if it would.
    """
    head = _cells("th", _HEAD)
    body = "".join(f"<tr>{_cells('td', row.cells)}</tr>" for row in rows)
    return frame(
        f"<table><caption>Would be embedded</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>",
        muted(render_line(_note(refusal))),
    )


def _cells(tag: str, cells: Sequence[str]) -> str:
    scope = ' scope="col"' if tag == "th" else ""
    first, *rest = map(render_line, cells)
    numbers = "".join(f'<{tag}{scope} align="right">{cell}</{tag}>' for cell in rest)
    return f"<{tag}{scope}>{first}</{tag}>{numbers}"


def render_plan_plain(rows: Sequence[PlanRow], refusal: str = "") -> str:
    """Return the same as lines of text."""
    lines = align([_HEAD, *(row.cells for row in rows)], right=range(1, len(_HEAD)))
    return "\n".join((*lines, _note(refusal)))


def _note(refusal: str) -> str:
    return "; ".join(filter(None, (_NOTE, clean_line(refusal, 500))))
