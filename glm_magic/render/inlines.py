"""Rules inside a line: formulas, autolinks, and links with their labels under them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from glm_magic.render.links import parse_link
from glm_magic.render.tex import FORMULA

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

__all__ = ["use_formulas", "use_inlines"]

_AUTOLINK = re.compile(r"<(https://[^\s<>]+)>", re.IGNORECASE)


def use_inlines(markdown: MarkdownIt) -> None:
    """Add the rules of this module to a parser."""
    use_formulas(markdown, "formula")
    markdown.inline.ruler.at("autolink", _autolink)
    markdown.core.ruler.push("fold_links", _fold_links)


def use_formulas(markdown: MarkdownIt, kind: str) -> None:
    """Let a parser take formulas as they are: their stars and backslashes are not Markdown.

    Args:
        kind: the type of the tokens that they become.
    """

    def rule(state: StateInline, silent: bool) -> bool:
        formula = FORMULA.match(state.src, state.pos, state.posMax)
        if not formula:
            return False
        if not silent:
            state.push(kind, "", 0).content = formula[0]
        state.pos = formula.end()
        return True

    markdown.inline.ruler.before("escape", "formula", rule)


def _autolink(state: StateInline, silent: bool) -> bool:
    url = _AUTOLINK.match(state.src, state.pos, state.posMax)
    if not url or state.linkLevel or not parse_link(url[1]):
        return False
    if not silent:
        state.push("link_open", "a", 1).attrs = {"href": url[1]}
        state.push("text", "", 0).content = url[1]
        state.push("link_close", "a", -1)
    state.pos = url.end()
    return True


def _fold_links(state: StateCore) -> None:
    """Put the tokens of each label under their link, so that both are drawn in one step."""
    for token in state.tokens:
        if token.type == "inline" and token.children:
            token.children = _folded(token.children)


def _folded(tokens: Sequence[Token]) -> list[Token]:
    folded: list[Token] = []
    target = folded
    for token in tokens:
        if token.type == "link_close":
            target = folded
            continue
        target.append(token)
        if token.type == "link_open":
            target = token.children = []
    return folded
