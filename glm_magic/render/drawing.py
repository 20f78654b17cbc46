"""What the parser understood to HTML: each kind of token in its own way."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from glm_magic.render.clean import clean_line, clean_text, escape_tags
from glm_magic.render.code import draw_code_block
from glm_magic.render.columns import is_short
from glm_magic.render.links import parse_link, render_link
from glm_magic.render.tex import UNSAFE_TEX

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

__all__ = ["draw_text", "use_drawings"]

# What plain text may hold that is not plain: a source's mark as GLM writes it, a TeX command, or
# a dollar, which a typesetter would pair with the next.
_MARK = re.compile(
    r"\[ref_(?P<square>[0-9]{1,4})\]"
    r"|【ref_(?P<lenticular>[0-9]{1,4})】"
    r"|(?<![\w/.-])ref_(?P<bare>[0-9]{1,4})(?!\w)"
    rf"|(?P<tex>{UNSAFE_TEX.pattern})"
    r"|(?P<dollar>\$)"
)


def use_drawings(markdown: MarkdownIt) -> None:
    """Let a parser draw what it understood with the functions of this module."""
    for name, draw in _DRAWINGS.items():
        markdown.add_render_rule(name, _adapted(draw))
    for name, rule in _RULES.items():
        markdown.add_render_rule(name, rule)


def _draw_text(token: Token, links: Mapping[int, str]) -> str:
    return draw_text(token.content, links)


def draw_text(text: str, links: Mapping[int, str] = {}) -> str:
    """Return plain text as HTML: marks of sources as links, and nothing for a typesetter."""
    # Cleaned again, since entities (`&#x202e;`) are resolved by now.
    text = clean_text(text)
    drawn, end = [], 0
    for mark in _MARK.finditer(text):
        drawn += [escape_tags(text[end : mark.start()]), _drawn_mark(mark, links)]
        end = mark.end()
    return "".join(drawn) + escape_tags(text[end:])


def _drawn_mark(mark: re.Match[str], links: Mapping[int, str]) -> str:
    # Typesetters skip code, and no formula of theirs reaches from one element into another.
    if mark["tex"]:
        return f"<code>{escape_tags(mark[0])}</code>"
    if mark["dollar"]:
        return "<span>$</span>"
    number = int(mark["square"] or mark["lenticular"] or mark["bare"])
    if number not in links:
        return escape_tags(mark[0])
    link = parse_link(links[number])
    return render_link(f"[{number}]", link) if link else f"[{number}]"


def _draw_formula(token: Token, links: Mapping[int, str]) -> str:
    formula = escape_tags(token.content)
    return f"<code>{formula}</code>" if UNSAFE_TEX.search(token.content) else formula


def _link_rule(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    # Without `links`: an anchor inside an anchor would end the outer one.
    label = renderer.render(tokens[index].children or [], options, {**env, "links": {}})
    link = parse_link(str(tokens[index].attrs["href"]))
    return render_link(label, link) if link else str(label)


def _draw_image(token: Token, links: Mapping[int, str]) -> str:
    link = parse_link(str(token.attrs["src"]))
    words = ["[image:", clean_line(token.content), f"({link.host})" if link else ""]
    return draw_text(" ".join(filter(None, words)) + "]")


def _fence_rule(
    renderer: object, tokens: Sequence[Token], index: int, options: object, env: Any
) -> str:
    language = (tokens[index].info.split() or [""])[0]
    return draw_code_block(tokens[index].content, language, coloured=env["coloured"])


def _draw_code(token: Token, links: Mapping[int, str]) -> str:
    return f"<code>{escape_tags(token.content)}</code>"


def _cell_rule(
    renderer: object, tokens: Sequence[Token], index: int, options: object, env: object
) -> str:
    """Draw the head of a cell; a short one stays in a line, as Chinese would break anywhere."""
    token = tokens[index]
    scope = ' scope="col"' if token.tag == "th" else ""
    align = str(token.attrs.get("style", "")).removeprefix("text-align:")
    align = f' align="{align}"' if align else ""
    nowrap = ' nowrap=""' if is_short(tokens[index + 1].content) else ""
    return f"<{token.tag}{scope}{align}{nowrap}>"


def _draw_footnote_mark(token: Token, links: Mapping[int, str]) -> str:
    return f"<sup>{draw_text(f'[{token.content}]')}</sup>"


def _draw_footnote(token: Token, links: Mapping[int, str]) -> str:
    """Draw the label of a footnote that begins with no paragraph to hold it."""
    return "".join(f"<p>{_draw_footnote_mark(mark, links)}</p>\n" for mark in token.children or ())


def _definition_rule(
    renderer: object, tokens: Sequence[Token], index: int, options: object, env: Any
) -> str:
    """Draw a link reference that nothing refers to: as it was written."""
    token = tokens[index]
    used = token.meta["label"] in env["references"].used
    return "" if used else f"<p>{draw_text(token.content.strip())}</p>\n"


def _nothing(token: Token, links: Mapping[int, str]) -> str:
    return ""


_Drawing = Callable[["Token", Mapping[int, str]], str]

_DRAWINGS: dict[str, _Drawing] = {
    "code_inline": _draw_code,
    "footnote_mark": _draw_footnote_mark,
    "footnote_reference_close": _nothing,
    "footnote_reference_open": _draw_footnote,
    "formula": _draw_formula,
    "image": _draw_image,
    "text": _draw_text,
}


# What needs to know more than its own token and the links.
_RULES: dict[str, Callable[..., str]] = {
    "code_block": _fence_rule,
    "definition": _definition_rule,
    "fence": _fence_rule,
    "link_open": _link_rule,
    "td_open": _cell_rule,
    "th_open": _cell_rule,
}


def _adapted(draw: _Drawing) -> Callable[..., str]:
    def rule(
        renderer: object, tokens: Sequence[Token], index: int, options: object, env: Any
    ) -> str:
        return draw(tokens[index], env["links"])

    return rule
