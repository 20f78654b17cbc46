"""The second wall: an allow-list behind the parser, should that ever slip."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from glm_magic.render.drawing import LANGUAGE

if TYPE_CHECKING:
    from nh3 import Cleaner

__all__ = ["sanitizer"]

_LANGUAGE_CLASS = re.compile(rf"language-{LANGUAGE.pattern}")

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
    return None if name == "class" and not _LANGUAGE_CLASS.fullmatch(value) else value
