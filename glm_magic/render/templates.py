"""The prompt templates of a session, as a table and as lines of text."""

from __future__ import annotations

from collections.abc import Sequence

from glm_magic.render.clean import clean_line
from glm_magic.render.columns import align
from glm_magic.render.frame import frame
from glm_magic.render.markdown import render_line
from glm_magic.session.templates import PromptTemplate

__all__ = ["render_templates", "render_templates_plain"]

_HEAD = "".join(
    f'<th scope="col">{name}</th>' for name in ("Template", "Variables", "Options", "Prompt")
)
_TEXT_CHARACTERS, _PLAIN_CHARACTERS = 200, 60


def render_templates(templates: Sequence[PromptTemplate]) -> str:
    """Return the table as HTML."""
    body = "".join(
        f'<tr><th scope="row">{render_line(each.name)}</th>'
        + "".join(f"<td>{render_line(text)}</td>" for text in _cells(each, _TEXT_CHARACTERS))
        + "</tr>"
        for each in templates
    )
    return frame(f"<table><thead><tr>{_HEAD}</tr></thead><tbody>{body}</tbody></table>")


def _cells(template: PromptTemplate, most: int) -> tuple[str, str, str]:
    variables, words = ", ".join(template.variables), " ".join(template.words)
    return clean_line(variables), clean_line(words), clean_line(template.text, most)


def render_templates_plain(templates: Sequence[PromptTemplate]) -> str:
    """Return the templates as lines of text."""
    rows = [("Template", "Variables", "Options", "Prompt")]
    rows += [(clean_line(each.name), *_cells(each, _PLAIN_CHARACTERS)) for each in templates]
    return "\n".join(align(rows))
