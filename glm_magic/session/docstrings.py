"""Docstrings: which one a function has, and what it says of the function's parameters."""

from __future__ import annotations

import inspect
from functools import partial
from types import WrapperDescriptorType
from typing import Any

__all__ = ["docstring_of", "parse_docstring"]


def docstring_of(value: Any) -> str:
    """Return the docstring of a function, or of what an object calls; "" without one."""
    if inspect.isroutine(value):
        return inspect.getdoc(value) or ""
    # `__doc__` itself would be that of the class, such as of `partial`.
    if own := getattr(value, "__dict__", {}).get("__doc__"):
        return inspect.cleandoc(own)
    if isinstance(value, partial):
        return docstring_of(value.func)
    if hasattr(value, "__wrapped__"):
        return docstring_of(value.__wrapped__)
    call = type(value).__call__
    # Those of C are all "Call self as a function.", which `getdoc` would find for ours too.
    own = "" if isinstance(call, WrapperDescriptorType) else inspect.cleandoc(call.__doc__ or "")
    return own or inspect.getdoc(type(value)) or ""


def parse_docstring(docstring: str) -> tuple[str, dict[str, str]]:
    """Return the text before its sections, and what it says of each parameter."""
    import docstring_parser

    try:
        parsed = docstring_parser.parse(docstring)
    except docstring_parser.ParseError:  # which none of its styles raises for plain text
        return docstring, {}
    text = "\n\n".join(filter(None, (parsed.short_description, parsed.long_description)))
    described = {
        name.strip().lstrip("*"): parameter.description
        for parameter in parsed.params
        for name in parameter.arg_name.split(",")  # NumPy's style has "a, b : int"
        if parameter.description
    }
    return text or docstring, described
