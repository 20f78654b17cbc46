"""Names that users give, and what they meant by a name that nobody knows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["NAME_RULE", "did_you_mean", "is_name"]

NAME_RULE = "letters, digits, dots, dashes and underscores, at most 60"
_NAME = re.compile(r"\w[\w.-]{0,59}")


def is_name(text: str) -> bool:
    """Return whether a chat or a template may be called so."""
    return _NAME.fullmatch(text) is not None


def did_you_mean(word: str, known: Iterable[object]) -> str:
    """Return "; did you mean 'x'?" for the nearest of `known`, or "" when none is near."""
    names = [str(name) for name in known]
    begun = [name for name in names if len(word) > 2 and name.startswith(word)]
    near = begun or get_close_matches(word, names, n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""
