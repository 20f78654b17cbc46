"""The Markdown that we understand: CommonMark with tables and strikethrough, without raw HTML."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from glm_magic.render.blocks import NESTING_LIMIT, use_blocks
from glm_magic.render.drawing import use_drawings
from glm_magic.render.inlines import use_inlines
from glm_magic.render.links import parse_link

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

__all__ = ["parser"]


@cache
def parser() -> MarkdownIt:
    """Return the one parser; its render step wants `env["links"]`, URLs by number."""
    from markdown_it import MarkdownIt

    class Markdown(MarkdownIt):
        # Links keep the form they were written in; `parse_link` alone judges and rewrites them.
        def normalizeLink(self, url: str) -> str:
            return url

        def validateLink(self, url: str) -> bool:
            return parse_link(url) is not None

    options = {"html": False, "linkify": False, "typographer": False, "maxNesting": NESTING_LIMIT}
    markdown = Markdown("js-default", options)
    # References can blow 5 kB up to 1 MB, and one that comes late would change finished blocks.
    markdown.disable(["reference", "html_block", "html_inline", "linkify"])
    use_blocks(markdown)
    use_inlines(markdown)
    use_drawings(markdown)
    return markdown
