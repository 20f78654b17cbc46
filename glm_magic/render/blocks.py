"""Rules for blocks: tables that would explode, formulas over several lines, what lies too deep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glm_magic.render.tex import DISPLAY_ENDS

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock

__all__ = ["NESTING_LIMIT", "use_blocks"]

# markdown-it-py drops what is nested deeper than its limit, and a list takes two levels.
NESTING_LIMIT = 20
_DEEPEST_BLOCK = NESTING_LIMIT - 2

# Short rows are filled up with empty cells, so a few bytes can ask for thousands of cells.
_COLUMN_LIMIT = 100
_SMALL_TABLE_CELLS = 1000

_INTERRUPTED = ["paragraph", "blockquote", "list"]


def use_blocks(markdown: MarkdownIt) -> None:
    """Add the rules of this module to a parser."""
    ruler = markdown.block.ruler
    ruler.at("table", _table, {"alt": ["paragraph"]})
    ruler.before("table", "display", _display_formula, {"alt": _INTERRUPTED})
    ruler.before("display", "deepest", _deepest_block)


def _deepest_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Take what lies too deep to be parsed as a paragraph, markers and all, and lose nothing."""
    if state.level < _DEEPEST_BLOCK:
        return False
    _push_paragraph(state, start, _outside(state, start, end))
    return True


def _display_formula(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Keep a formula of several lines in one paragraph: no list or heading begins inside it."""
    opening = _line(state, start)
    closer = DISPLAY_ENDS.get(opening[:2])
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
    """Parse a table, unless it would lose cells or grow out of all proportion: then as written."""
    from markdown_it.rules_block import table

    if silent:
        return table(state, start, end, True)
    if not table(state, start, end, True):
        return False
    stop = _table_end(state, start, end)
    if not _is_exploding(state, start, stop) and not _has_surplus(state, start, stop):
        return table(state, start, end, False)
    _push_verbatim(state, start, stop)
    return True


def _push_verbatim(state: StateBlock, start: int, stop: int) -> None:
    block = state.push("code_block", "code", 0)
    block.content = state.getLines(start, stop, state.blkIndent, True)
    block.map = [start, stop]
    state.line = stop


def _table_end(state: StateBlock, start: int, end: int) -> int:
    # The same conditions as in markdown-it's table rule, which tells the end only when done. Its
    # rules for a list look at where they stand: an empty item ends a table, but no paragraph.
    blocks = state.md.block.ruler.getRules("blockquote")
    around, state.parentType = state.parentType, "table"
    try:
        for line in range(start + 2, end):
            if _is_outside(state, line) or state.is_code_block(line):
                return line
            if any(begins(state, line, end, True) for begins in blocks):
                return line
        return end
    finally:
        state.parentType = around


def _has_surplus(state: StateBlock, start: int, stop: int) -> bool:
    """Whether a row has more cells with text than the head has cells: GFM drops them."""
    from markdown_it.rules_block.table import escapedSplit

    most = _columns(state, start)
    for number in range(start + 2, stop):
        line = _line(state, number).strip()
        if line.count("|") >= most:
            cells = escapedSplit(line)[line.startswith("|") :]
            if any(cell.strip() for cell in cells[most:]):
                return True
    return False


def _columns(state: StateBlock, start: int) -> int:
    return sum(map(bool, _line(state, start + 1).replace(" ", "").split("|")))


def _is_exploding(state: StateBlock, start: int, stop: int) -> bool:
    columns = _columns(state, start)
    written = state.eMarks[stop - 1] - state.bMarks[start]
    return columns > _COLUMN_LIMIT or columns * (stop - start) > max(_SMALL_TABLE_CELLS, written)


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]
