"""Link references, footnotes and task lists: what one line says of another.

A definition may come long after its use, so a text that has any is rendered as a whole. None
is ever lost: one that nothing refers to is shown as it was written, and if the references of
a text would expand far beyond its own length, all of them are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

__all__ = ["References", "expanded_length", "has_definitions", "use_definitions"]

# A label is bounded, so that a row of openers takes linear time.
_FOOTNOTE = re.compile(r"\[\^([^\]\s]{1,80})\]")
_TASK = re.compile(r"\[([ xX])\](?=\s)")


class References(dict[str, Any]):
    """The link references of one text, and which of them were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.used: set[str] = set()

    def get(self, label: str, default: Any = None) -> Any:
        """Return a reference; the parser asks here where text refers to it."""
        if label in self:
            self.used.add(label)
        return super().get(label, default)


def use_definitions(markdown: MarkdownIt, *, references: bool) -> None:
    """Add the rules of this module to a parser; link references only where wanted."""
    from mdit_py_plugins.footnote import footnote_plugin

    footnote_plugin(markdown, inline=False, move_to_end=False)
    # Its own rule for a mark takes quadratic time for a row of openers.
    markdown.inline.ruler.at("footnote_ref", _footnote_mark)
    markdown.core.ruler.after("inline", "footnote_labels", _label_footnotes)
    # Not the plugin for task lists: it walks back to the head of the list from every item.
    markdown.core.ruler.after("inline", "task_lists", _mark_tasks)
    if references:
        markdown.block.ruler.at("reference", _reference)
    else:
        markdown.disable("reference")


def has_definitions(env: Mapping[str, Any]) -> bool:
    """Return whether the text that a parser left this `env` of has any definition."""
    return bool(env.get("references") or env.get("footnotes", {}).get("refs"))


def expanded_length(tokens: Iterable[Token]) -> int:
    """Return how many characters the URLs of all links and images have together."""
    return sum(len(str(t.attrs.get("href") or t.attrs.get("src") or "")) for t in _all(tokens))


def _all(tokens: Iterable[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _all(token.children or ())


def _reference(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Parse a reference and keep its lines, to be shown if nothing refers to it."""
    from markdown_it.rules_block import reference

    known = len(state.env["references"])
    if not reference(state, start, end, silent):
        return False
    if not silent:
        token = state.push("definition", "", 0)
        token.content = state.getLines(start, state.line, state.blkIndent, False)
        token.map = [start, state.line]
        # Without a label where the same one was defined before: that definition holds.
        is_new = len(state.env["references"]) > known
        token.meta = {"label": next(reversed(state.env["references"])) if is_new else None}
    return True


def _footnote_mark(state: StateInline, silent: bool) -> bool:
    mark = _FOOTNOTE.match(state.src, state.pos, state.posMax)
    if not mark or f":{mark[1]}" not in state.env.get("footnotes", {}).get("refs", {}):
        return False
    if not silent:
        state.push("footnote_mark", "", 0).content = mark[1]
    state.pos = mark.end()
    return True


def _label_footnotes(state: StateCore) -> None:
    """Put the label of each footnote at the head of its first paragraph."""
    from markdown_it.token import Token

    for place, token in enumerate(state.tokens):
        if token.type != "footnote_reference_open":
            continue
        following = state.tokens[place + 1 : place + 3]
        label = Token("footnote_mark", "", 0, content=token.meta["label"])
        if [t.type for t in following] == ["paragraph_open", "inline"]:
            space = Token("text", "", 0, content=" ")
            following[1].children = [label, space, *(following[1].children or ())]
        else:  # it begins with another block, or has none
            token.children = [label]


def _mark_tasks(state: StateCore) -> None:
    for place, token in enumerate(state.tokens):
        if token.type == "inline" and token.children and _is_first_of_item(state.tokens, place):
            first = token.children[0]
            if first.type == "text" and (box := _TASK.match(token.content)):
                first.content = ("☐" if box[1] == " " else "☑") + first.content[3:]
                state.tokens[place - 2].attrSet("class", "task-list-item")


def _is_first_of_item(tokens: list[Token], place: int) -> bool:
    kinds = [token.type for token in tokens[max(0, place - 2) : place]]
    return kinds == ["list_item_open", "paragraph_open"]
