"""Markdown from a model to HTML that any front end may show, whole or while it streams in.

CommonMark 0.31 with tables and strikethrough, without raw HTML, images and link references.
The parser escapes everything it does not know; a sanitizer with our own allow-list stands
behind it, should the parser ever slip. TeX stays TeX: formulas leave here as they came in, for
the front end's typesetter, except those with commands that do more than typeset.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from glm_magic.render.clean import LINE_END, clean_line, clean_text, escape
from glm_magic.render.links import parse_link, render_link

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token
    from nh3 import Cleaner

__all__ = ["finished_length", "render_line", "render_markdown", "render_plain"]

# About 100,000 tokens: more than models write, and 1 to 3 s of work (2-core machine, 11/2026).
_TEXT_LIMIT = 300_000

# markdown-it-py drops what is nested deeper than its limit, and a list takes two levels.
_NESTING_LIMIT = 20
_DEEPEST_BLOCK = _NESTING_LIMIT - 2

# Short rows are filled up with empty cells, so a few bytes can ask for thousands of cells.
_COLUMN_LIMIT = 100
_SMALL_TABLE_CELLS = 1000

_LANGUAGE = re.compile(r"[A-Za-z0-9_+#-]{1,30}")
_LANGUAGE_CLASS = re.compile(rf"language-{_LANGUAGE.pattern}")

_AUTOLINK = re.compile(r"<(https://[^\s<>]+)>", re.IGNORECASE)

# Formulas in the delimiters of MathJax. A single dollar follows Pandoc's rule, which tells prices
# from formulas. Each body stops at what could open the next formula: linear without a closer.
_FORMULA = re.compile(
    r"\$\$(?:[^$\\]|\\.)++\$\$"
    r"|\$(?![\s$])(?:[^$\\`]|\\.)++(?<!\s)\$(?![0-9])"
    r"|\\\((?:[^\\]|\\[^()])*+\\\)"
    r"|\\\[(?:[^\\]|\\[^\[\]])*+\\\]",
    re.DOTALL,
)
_DISPLAY_ENDS = {"$$": "$$", "\\[": "\\]"}

# Commands of MathJax 2 to 4, KaTeX and TeX that reach beyond the formula they stand in: they make
# links, load, set styles, classes and ids, react to the mouse, or define macros, which persist
# from cell to cell of a page.
_TEX_COMMANDS = (
    r"action|afterassignment|bbox|catcode|char|class|csname|css|cssId|data|def|definecolor"
    r"|DeclareMathOperator|DeclarePairedDelimiters?(?:X|XPP)?|documentclass|edef|expandafter"
    r"|futurelet|gdef|global|href|html[A-Za-z]*|immediate|include(?:graphics|only)?|input|let"
    r"|loadextension|long|mathchardef|mathtip|mathtoolsset|mmlToken|newcommand|newenvironment"
    r"|newtagform|noexpand|openin|openout|providecommand|read|renewcommand|renewenvironment"
    r"|renewtagform|require|special|style|texttip|toggle|unicode|url|usepackage|usetagform"
    r"|verbatiminput|write|xdef"
)
_TEX = re.compile(rf"\\(?:{_TEX_COMMANDS})(?![A-Za-z])")

# What plain text may hold that is not plain: a source's mark as GLM writes it, a TeX command, or
# a dollar, which a typesetter would pair with the next.
_MARK = re.compile(
    r"\[ref_(?P<square>[0-9]{1,4})\]"
    r"|【ref_(?P<lenticular>[0-9]{1,4})】"
    r"|(?<![\w/.-])ref_(?P<bare>[0-9]{1,4})(?!\w)"
    rf"|(?P<tex>{_TEX.pattern})"
    r"|(?P<dollar>\$)"
)

_INLINE_TAGS = {"a", "br", "code", "em", "s", "small", "span", "strong"}
_BLOCK_TAGS = {"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "ul"}
_TABLE_TAGS = {"table", "tbody", "td", "th", "thead", "tr"}
_ATTRIBUTES = {
    "a": {"href", "rel", "target"},
    "code": {"class"},
    "ol": {"start"},
    "td": {"align"},
    "th": {"align"},
}


def render_markdown(text: str, links: Mapping[int, str] = {}) -> str:
    """Return an HTML fragment that shows `text` and neither loads nor runs anything.

    It holds only the tags and attributes listed in this module, and links only as `parse_link`
    allows; any other link stays as it was written. An image becomes `[image: alt (host)]`.
    Takes any text, cleaned or not. A text of more than 300,000 characters is shown plain, and
    so is a table of more than 100 columns or with far more cells than were written.

    Args:
        links: URLs by number: `[ref_3]` in the text becomes a link to `links[3]`.
    """
    if len(text) > _TEXT_LIMIT:
        return render_plain(text)
    return _sanitizer().clean(_markdown().render(clean_text(text), {"links": links}))


def render_plain(text: str) -> str:
    """Return `text`, cleaned and escaped, in a block that keeps its lines and wraps long ones."""
    # A parser drops a line feed right after `<pre>`: ours, not the text's.
    return f'<pre style="white-space: pre-wrap; overflow-wrap: anywhere">\n{escape(text)}</pre>'


def render_line(text: str) -> str:
    """Return text that is no Markdown as one line, in which a typesetter finds no formula."""
    return _drawn_text(clean_line(text))


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
    markdown = _markdown()
    tokens: list[Token] = []
    markdown.block.parse(text, markdown, {}, tokens)
    return next((token.map[0] for token in reversed(tokens) if not token.level and token.map), 0)


@cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt

    class Markdown(MarkdownIt):
        # Links keep the form they were written in; `parse_link` alone judges and rewrites them.
        def normalizeLink(self, url: str) -> str:
            return url

        def validateLink(self, url: str) -> bool:
            return parse_link(url) is not None

    options = {"html": False, "linkify": False, "typographer": False, "maxNesting": _NESTING_LIMIT}
    markdown = Markdown("js-default", options)
    # References can blow 5 kB up to 1 MB, and one that comes late would change finished blocks.
    markdown.disable(["reference", "html_block", "html_inline", "linkify"])
    markdown.block.ruler.at("table", _table, {"alt": ["paragraph"]})
    markdown.block.ruler.before("table", "display", _display_formula, {"alt": _INTERRUPTED})
    markdown.block.ruler.before("display", "deepest", _deepest_block)
    markdown.inline.ruler.before("escape", "formula", _formula)
    markdown.inline.ruler.at("autolink", _autolink)
    markdown.core.ruler.push("fold_links", _fold_links)
    for name, draw in _DRAWINGS.items():
        markdown.add_render_rule(name, _adapted(draw))
    return markdown


@cache
def _sanitizer() -> Cleaner:
    import nh3

    return nh3.Cleaner(
        tags=_INLINE_TAGS | _BLOCK_TAGS | _TABLE_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=_kept_attribute,
        url_schemes={"http", "https", "mailto"},
        url_relative="deny",
        link_rel=None,  # our links bring their own
    )


def _kept_attribute(tag: str, name: str, value: str) -> str | None:
    return None if name == "class" and not _LANGUAGE_CLASS.fullmatch(value) else value


_INTERRUPTED = ["paragraph", "blockquote", "list"]


def _deepest_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Take what lies too deep to be parsed as a paragraph, markers and all, and lose nothing."""
    if state.level < _DEEPEST_BLOCK:
        return False
    _push_paragraph(state, start, _outside(state, start, end))
    return True


def _display_formula(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Keep a formula of several lines in one paragraph: no list or heading begins inside it."""
    opening = _line(state, start)
    closer = _DISPLAY_ENDS.get(opening[:2])
    if closer is None or closer in opening[2:] or state.is_code_block(start):
        return False
    if not silent:
        _push_paragraph(state, start, _formula_end(state, start, end, closer))
    return True


def _formula_end(state: StateBlock, start: int, end: int, closer: str) -> int:
    for line in range(start + 1, end):
        if _is_outside(state, line):
            return line
        if closer in _line(state, line):
            return line + 1
    return end


def _outside(state: StateBlock, start: int, end: int) -> int:
    """Return the first line after `start` that is blank or indented less than its container."""
    return next((line for line in range(start + 1, end) if _is_outside(state, line)), end)


def _is_outside(state: StateBlock, line: int) -> bool:
    return state.isEmpty(line) or state.sCount[line] < state.blkIndent


def _push_paragraph(state: StateBlock, start: int, stop: int) -> None:
    state.push("paragraph_open", "p", 1).map = [start, stop]
    inline = state.push("inline", "", 0)
    inline.content = state.getLines(start, stop, state.blkIndent, False).strip()
    inline.map, inline.children = [start, stop], []
    state.push("paragraph_close", "p", -1)
    state.line = stop


def _table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Parse a table, unless it would grow out of all proportion: then its lines stay as text."""
    from markdown_it.rules_block import table

    if silent:
        return table(state, start, end, True)
    if not table(state, start, end, True):
        return False
    stop = _table_end(state, start, end)
    if not _is_exploding(state, start, stop):
        return table(state, start, end, False)
    _push_verbatim(state, start, stop)
    return True


def _push_verbatim(state: StateBlock, start: int, stop: int) -> None:
    block = state.push("code_block", "code", 0)
    block.content = state.getLines(start, stop, state.blkIndent, True)
    block.map = [start, stop]
    state.line = stop


def _table_end(state: StateBlock, start: int, end: int) -> int:
    # The same conditions as in markdown-it's table rule, which tells the end only when done.
    blocks = state.md.block.ruler.getRules("blockquote")
    for line in range(start + 2, end):
        if _is_outside(state, line) or state.is_code_block(line):
            return line
        if any(begins(state, line, end, True) for begins in blocks):
            return line
    return end


def _is_exploding(state: StateBlock, start: int, stop: int) -> bool:
    columns = sum(map(bool, _line(state, start + 1).replace(" ", "").split("|")))
    written = state.eMarks[stop - 1] - state.bMarks[start]
    return columns > _COLUMN_LIMIT or columns * (stop - start) > max(_SMALL_TABLE_CELLS, written)


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]


def _formula(state: StateInline, silent: bool) -> bool:
    """Take a formula as it is: its underscores, stars and backslashes are not Markdown."""
    formula = _FORMULA.match(state.src, state.pos, state.posMax)
    if not formula:
        return False
    if not silent:
        state.push("formula", "", 0).content = formula[0]
    state.pos = formula.end()
    return True


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


def _draw_text(token: Token, links: Mapping[int, str]) -> str:
    return _drawn_text(token.content, links)


def _drawn_text(text: str, links: Mapping[int, str] = {}) -> str:
    # Cleaned again, since entities (`&#x202e;`) are resolved by now.
    text = clean_text(text)
    drawn, end = [], 0
    for mark in _MARK.finditer(text):
        drawn += [_escaped(text[end : mark.start()]), _drawn_mark(mark, links)]
        end = mark.end()
    return "".join(drawn) + _escaped(text[end:])


def _drawn_mark(mark: re.Match[str], links: Mapping[int, str]) -> str:
    # Typesetters skip code, and no formula of theirs reaches from one element into another.
    if mark["tex"]:
        return f"<code>{_escaped(mark[0])}</code>"
    if mark["dollar"]:
        return "<span>$</span>"
    number = int(mark["square"] or mark["lenticular"] or mark["bare"])
    link = parse_link(links.get(number, ""))
    return render_link(f"[{number}]", link) if link else _escaped(mark[0])


def _draw_formula(token: Token, links: Mapping[int, str]) -> str:
    formula = _escaped(token.content)
    return f"<code>{formula}</code>" if _TEX.search(token.content) else formula


def _draw_link(token: Token, links: Mapping[int, str]) -> str:
    markdown = _markdown()
    # Without `links`: an anchor inside an anchor would end the outer one.
    label = markdown.renderer.render(token.children or [], markdown.options, {"links": {}})
    link = parse_link(str(token.attrs["href"]))
    return render_link(label, link) if link else label


def _draw_image(token: Token, links: Mapping[int, str]) -> str:
    link = parse_link(str(token.attrs["src"]))
    words = ["[image:", clean_line(token.content), f"({link.host})" if link else ""]
    return _drawn_text(" ".join(filter(None, words)) + "]")


def _draw_fence(token: Token, links: Mapping[int, str]) -> str:
    language = (token.info.split() or [""])[0]
    kind = f' class="language-{language}"' if _LANGUAGE.fullmatch(language) else ""
    return f"<pre><code{kind}>{_escaped(token.content)}</code></pre>\n"


def _draw_code(token: Token, links: Mapping[int, str]) -> str:
    return f"<code>{_escaped(token.content)}</code>"


def _draw_cell(token: Token, links: Mapping[int, str]) -> str:
    align = str(token.attrs.get("style", "")).removeprefix("text-align:")
    return f'<{token.tag} align="{align}">' if align else f"<{token.tag}>"


def _escaped(text: str) -> str:
    # Quotes stay, as in what the sanitizer writes. For text only, never for attributes.
    return html.escape(text, quote=False)


_Drawing = Callable[["Token", Mapping[int, str]], str]

_DRAWINGS: dict[str, _Drawing] = {
    "code_block": _draw_fence,
    "code_inline": _draw_code,
    "fence": _draw_fence,
    "formula": _draw_formula,
    "image": _draw_image,
    "link_open": _draw_link,
    "td_open": _draw_cell,
    "text": _draw_text,
    "th_open": _draw_cell,
}


def _adapted(draw: _Drawing) -> Callable[..., str]:
    def rule(
        renderer: object, tokens: Sequence[Token], index: int, options: object, env: Any
    ) -> str:
        return draw(tokens[index], env["links"])

    return rule
