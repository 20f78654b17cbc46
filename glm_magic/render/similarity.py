"""Cosine similarities as a table whose cells are shaded by their value."""

from __future__ import annotations

from unicodedata import east_asian_width

from glm_magic.render.clean import clean_line
from glm_magic.render.frame import frame, muted
from glm_magic.render.markdown import render_line
from glm_magic.study.embeddings import Embeddings

# A table with more rows would be read by nobody; the numbers are in `.similarity`.
_LIMIT_TEXTS = 40
_LABEL_CHARACTERS = 60


def render_embeddings(embeddings: Embeddings) -> str:
    """Return the similarities as HTML: one row and one column a text, numbered."""
    shown = embeddings.texts[:_LIMIT_TEXTS]
    matrix = embeddings.similarity[: len(shown), : len(shown)].tolist()
    head = "".join(f'<th scope="col">{i}</th>' for i in range(1, len(shown) + 1))
    rows = "".join(
        _row(i, text, values) for i, (text, values) in enumerate(zip(shown, matrix, strict=True), 1)
    )
    return frame(
        muted(render_line(_header(embeddings))),
        "<table><caption>Cosine similarity</caption>"
        f'<thead><tr><td></td><th scope="col">Text</th>{head}</tr></thead>',
        f"<tbody>{rows}</tbody></table>",
        muted(_left_out(embeddings)),
    )


def _row(number: int, text: str, values: list[float]) -> str:
    label = render_line(clean_line(text, _LABEL_CHARACTERS))
    return f'<tr><td>{number}</td><th scope="row">{label}</th>{"".join(map(_cell, values))}</tr>'


def _cell(value: float) -> str:
    """One number; the more alike, the stronger the shade. Half-clear, so it suits any theme."""
    shade = max(0.0, value) ** 2 * 0.65
    return f'<td style="background: rgba(64, 140, 255, {shade:.2f})">{value:.2f}</td>'


def _header(embeddings: Embeddings) -> str:
    count, width = embeddings.vectors.shape
    parts = (
        embeddings.model,
        embeddings.endpoint,
        f"{embeddings.seconds:.1f} s",
        f"{count} texts",
        f"{width} dimensions",
        f"{embeddings.usage.prompt_tokens} tokens" if embeddings.usage.prompt_tokens else "",
    )
    return " · ".join(filter(None, map(clean_line, parts)))


def _left_out(embeddings: Embeddings) -> str:
    rest = len(embeddings) - _LIMIT_TEXTS
    return f"and {rest} more; all numbers are in .similarity" if rest > 0 else ""


def render_embeddings_plain(embeddings: Embeddings) -> str:
    """Return the similarities as lines of text."""
    shown = embeddings.texts[:_LIMIT_TEXTS]
    matrix = embeddings.similarity[: len(shown), : len(shown)].tolist()
    labels = [clean_line(text, 30) for text in shown]
    width = max(map(_columns, labels))
    lines = [
        label + " " * (width + 1 - _columns(label)) + " ".join(f"{value:5.2f}" for value in values)
        for label, values in zip(labels, matrix, strict=True)
    ]
    return "\n".join(filter(None, (*lines, _left_out(embeddings))))


def _columns(text: str) -> int:
    """The width in a terminal: wide characters (Chinese, say) take two columns."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)
