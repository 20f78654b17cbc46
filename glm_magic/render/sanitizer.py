"""The second wall: an allow-list behind the parser, should that ever slip."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from glm_magic.render.code import is_code_class

if TYPE_CHECKING:
    from nh3 import Cleaner

__all__ = ["sanitizer"]

_INLINE_TAGS = {"a", "br", "code", "em", "s", "small", "span", "strong", "sup"}
_BLOCK_TAGS = {"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "ul"}
_TABLE_TAGS = {"table", "tbody", "td", "th", "thead", "tr"}
_ATTRIBUTES = {
    "a": {"href", "rel", "target"},
    "code": {"class"},
    "li": {"class"},
    "ol": {"start"},
    "pre": {"class"},
    "span": {"class"},
    "td": {"align", "nowrap"},
    "th": {"align", "nowrap", "scope"},
}


@cache
def sanitizer() -> Cleaner:
    """Return the one sanitizer; nothing passes it but the tags and attributes listed here."""
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
    return None if name == "class" and not _is_our_class(tag, value) else value


def _is_our_class(tag: str, value: str) -> bool:
    return value == "task-list-item" if tag == "li" else is_code_class(tag, value)
