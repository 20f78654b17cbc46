"""The Markdown that we understand: CommonMark and what models add to it, without raw HTML."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from glm_magic.render.blocks import NESTING_LIMIT, use_blocks
from glm_magic.render.definitions import use_definitions
from glm_magic.render.drawing import use_drawings
from glm_magic.render.inlines import use_inlines
from glm_magic.render.links import parse_link

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

__all__ = ["parser"]


@cache
def parser(*, references: bool = True) -> MarkdownIt:
    """Return the one parser, or its twin that leaves link references as they were written.

    Its `env` holds "links", URLs by number, and "references", a `References`.
    """
    from markdown_it import MarkdownIt

    class Markdown(MarkdownIt):
        # Links keep the form they were written in; `parse_link` alone judges and rewrites them.
        def normalizeLink(self, url: str) -> str:
            return url

        def validateLink(self, url: str) -> bool:
            return parse_link(url) is not None

    options = {"html": False, "linkify": False, "typographer": False, "maxNesting": NESTING_LIMIT}
    markdown = Markdown("js-default", options)
    markdown.disable(["html_block", "html_inline", "linkify"])
    use_blocks(markdown)
    use_inlines(markdown)
    use_definitions(markdown, references=references)
    use_drawings(markdown)
    return markdown
