"""Markdown from a model to HTML that any front end may show.

CommonMark 0.31 with tables, strikethrough, task lists and footnotes; without raw HTML and
images. The parser escapes everything it does not know; a sanitizer with our own allow-list
stands behind it, should the parser ever slip. TeX stays TeX: formulas leave here as they came
in, for the front end's typesetter, except those with commands that do more than typeset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glm_magic.render.clean import clean_line, clean_text, escape
from glm_magic.render.definitions import References, expanded_length, has_definitions
from glm_magic.render.drawing import draw_text
from glm_magic.render.parser import parser
from glm_magic.render.sanitizer import sanitizer

__all__ = [
    "TEXT_LIMIT",
    "Part",
    "render_line",
    "render_markdown",
    "render_open_part",
    "render_part",
    "render_plain",
    "render_prose",
]

# About 100,000 tokens: more than models write, and 1 to 3 s of work (2-core machine, 11/2026).
TEXT_LIMIT = 300_000

# cmark's own bound: so much may the URLs of links expand to, or as much as there is text.
_EXPANDED_LIMIT = 100_000

_PLAIN_STYLE = "margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; word-break: normal"
_PROSE_STYLE = f"{_PLAIN_STYLE}; font-family: inherit"
# A browser lays out long text in one go unless it may skip what is out of sight.
_LONG_PLAIN_CHARACTERS = 32_000
_SKIPPED_STYLE = "content-visibility: auto; contain-intrinsic-size: auto 40em"


@dataclass(frozen=True, slots=True)
class Part:
    """One text rendered.

    Attributes:
        html: what it looks like.
        has_definitions: whether it has link references or footnotes, which reach beyond it.
    """

    html: str
    has_definitions: bool


def render_markdown(text: str, links: Mapping[int, str] = {}) -> str:
    """Return an HTML fragment that shows `text` and neither loads nor runs anything.

    It holds only the tags and attributes listed in `sanitizer`, and links only as `parse_link`
    allows; any other link stays as it was written. An image becomes `[image: alt (host)]`.
    Takes any text, cleaned or not. A text of more than `TEXT_LIMIT` characters is shown plain,
    and so is a table of more than 100 columns or with far more cells than were written.

    Args:
        links: URLs by number: `[ref_3]` in the text becomes a link to `links[3]`.
    """
    return render_plain(text) if len(text) > TEXT_LIMIT else render_part(text, links).html


def render_part(text: str, links: Mapping[int, str] = {}, *, coloured: bool = True) -> Part:
    """Return `text` as `render_markdown` does, however long, and what reaches beyond it.

    Args:
        coloured: False leaves code without colours, for what is drawn many times a second.
    """
    text = clean_text(text)
    markdown, env = parser(), _new_env(links, coloured)
    tokens = markdown.parse(text, env)
    reaches_out = has_definitions(env)
    if env["references"].used and expanded_length(tokens) > max(_EXPANDED_LIMIT, len(text)):
        markdown, env = parser(references=False), _new_env(links, coloured)
        tokens = markdown.parse(text, env)
    html = markdown.renderer.render(tokens, markdown.options, env)
    return Part(sanitizer().clean(html), reaches_out)


def render_open_part(text: str) -> Part:
    """Return a part that is still open, its code without colours: it is drawn many times."""
    return render_part(text, coloured=False)


def _new_env(links: Mapping[int, str], coloured: bool) -> dict[str, Any]:
    return {"links": links, "references": References(), "coloured": coloured}


def render_prose(text: str) -> str:
    """Return `text` as `render_plain` does, in the type of the words around it."""
    return _plain(text, _PROSE_STYLE)


def render_plain(text: str) -> str:
    """Return `text`, cleaned and escaped, in blocks that keep its lines and wrap long ones."""
    return _plain(text, _PLAIN_STYLE)


def _plain(text: str, style: str) -> str:
    html = escape(text)
    if len(html) <= _LONG_PLAIN_CHARACTERS:
        return _plain_block(html, style)
    style = f"{style}; {_SKIPPED_STYLE}"
    return "".join(_plain_block(part, style) for part in _line_groups(html))


def _plain_block(html: str, style: str) -> str:
    # A parser drops a line feed right after `<pre>`: ours, not the text's.
    return f'<pre style="{style}">\n{html}</pre>'


def _line_groups(text: str) -> list[str]:
    """Cut text at line ends into parts of about equal length."""
    groups, start = [], 0
    while start < len(text):
        end = text.find("\n", start + _LONG_PLAIN_CHARACTERS // 4) + 1 or len(text)
        groups.append(text[start:end])
        start = end
    return groups


def render_line(text: str) -> str:
    """Return text that is no Markdown as one line, in which a typesetter finds no formula."""
    return draw_text(clean_line(text))
