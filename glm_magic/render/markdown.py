"""Markdown from a model to HTML that any front end may show, whole or while it streams in.

CommonMark 0.31 with tables and strikethrough, without raw HTML, images and link references.
The parser escapes everything it does not know; a sanitizer with our own allow-list stands
behind it, should the parser ever slip. TeX stays TeX: formulas leave here as they came in, for
the front end's typesetter, except those with commands that do more than typeset.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from glm_magic.render.clean import LINE_END, clean_line, clean_text, escape
from glm_magic.render.drawing import draw_text
from glm_magic.render.parser import parser
from glm_magic.render.sanitizer import sanitizer

if TYPE_CHECKING:
    from markdown_it.token import Token

__all__ = ["finished_length", "render_line", "render_markdown", "render_plain"]

# About 100,000 tokens: more than models write, and 1 to 3 s of work (2-core machine, 11/2026).
_TEXT_LIMIT = 300_000


def render_markdown(text: str, links: Mapping[int, str] = {}) -> str:
    """Return an HTML fragment that shows `text` and neither loads nor runs anything.

    It holds only the tags and attributes listed in `sanitizer`, and links only as `parse_link`
    allows; any other link stays as it was written. An image becomes `[image: alt (host)]`.
    Takes any text, cleaned or not. A text of more than 300,000 characters is shown plain, and
    so is a table of more than 100 columns or with far more cells than were written.

    Args:
        links: URLs by number: `[ref_3]` in the text becomes a link to `links[3]`.
    """
    if len(text) > _TEXT_LIMIT:
        return render_plain(text)
    return sanitizer().clean(parser().render(clean_text(text), {"links": links}))


def render_plain(text: str) -> str:
    """Return `text`, cleaned and escaped, in a block that keeps its lines and wraps long ones."""
    # A parser drops a line feed right after `<pre>`: ours, not the text's.
    return f'<pre style="white-space: pre-wrap; overflow-wrap: anywhere">\n{escape(text)}</pre>'


def render_line(text: str) -> str:
    """Return text that is no Markdown as one line, in which a typesetter finds no formula."""
    return draw_text(clean_line(text))


def finished_length(text: str) -> int:
    """Return how many leading characters of `text` no later text can change the look of.

    For streaming: `text[:n]` is rendered once and for all, `text[n:]` again as it grows. The
    HTML of the parts, joined, is the HTML of the whole, as long as the whole is short enough not
    to be shown plain. `n` is 0 or stands where a line begins, never between CR and LF.

    All top-level blocks but the last are finished. Only complete lines are looked at: what a
    line is (an item, a paragraph, a table's head) is open until it ends.

    Args:
        text: not cleaned, as it came in; from its start or from an earlier cut.
    """
    # The LF of a CR LF may still be on its way.
    lines = LINE_END.finditer(text.removesuffix("\r"))
    starts = [0, *(line.end() for line in lines)]
    # Cleaning gives a line for a line, so the parser's line numbers fit the raw text.
    return starts[_last_block(clean_text(text[: starts[-1]]))]


def _last_block(text: str) -> int:
    """Return the number of the line where the last top-level block begins, 0 if there is none."""
    markdown = parser()
    tokens: list[Token] = []
    markdown.block.parse(text, markdown, {}, tokens)
    return next((token.map[0] for token in reversed(tokens) if not token.level and token.map), 0)
