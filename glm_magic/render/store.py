"""What vectors are kept on disk, as a table and as lines of text."""

from __future__ import annotations

from glm_magic.render.clean import clean_line
from glm_magic.render.columns import align
from glm_magic.render.frame import frame, muted
from glm_magic.render.markdown import render_line
from glm_magic.render.words import counted
from glm_magic.session.store import StoreFacts

__all__ = ["render_store", "render_store_plain"]

_HEAD = ("Model", "Endpoint", "Dimensions", "Texts")


def render_store(facts: StoreFacts) -> str:
    """Return a row for each model, and where the file is."""
    head = "".join(f'<th scope="col">{name}</th>' for name in _HEAD)
    rows = "".join(map(_row, _rows(facts)))
    table = (
        f"<table><caption>Vectors on disk</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )
    return frame(table if facts.texts else "", muted(render_line(_note(facts))))


def _row(cells: tuple[str, ...]) -> str:
    model, endpoint, dimensions, texts = map(render_line, cells)
    return (
        f'<tr><th scope="row">{model}</th><td>{endpoint}</td>'
        f'<td align="right">{dimensions}</td><td align="right">{texts}</td></tr>'
    )


def _rows(facts: StoreFacts) -> list[tuple[str, ...]]:
    return [
        (
            clean_line(row.model, 60),
            clean_line(row.endpoint, 80),
            str(row.dimensions),
            f"{row.texts:,}",
        )
        for row in facts.models
    ]


def _note(facts: StoreFacts) -> str:
    kept = (
        f"{counted(facts.texts, 'text')}, {facts.size_bytes / 1e6:,.1f} MB"
        if facts.texts
        else "nothing"
    )
    return (
        f"{kept} in {clean_line(str(facts.path))}; hashes and vectors, never the texts themselves; "
        "`%glm store --clear` removes them, `%glm config store=off` keeps none"
    )


def render_store_plain(facts: StoreFacts) -> str:
    """Return the same as lines of text."""
    lines = align([_HEAD, *_rows(facts)], right=(2, 3)) if facts.texts else []
    return "\n".join((*lines, _note(facts)))
