"""Parts of an output beside each other, as far as there is room."""

from __future__ import annotations

__all__ = ["beside", "columns"]

# Printers leave grounds out unless they are told that the shades matter.
_COLUMNS = "display: flex; flex-wrap: wrap; gap: 0.75em 1.5em; print-color-adjust: exact"


def columns(*parts: str) -> str:
    """Return parts side by side, and under each other where there is no room."""
    inside = "".join(map(_narrow, filter(None, parts)))
    return f'<div style="{_COLUMNS}; margin-bottom: 0.75em">{inside}</div>' if inside else ""


def beside(part: str, rest: str, pixels: int) -> str:
    """Return a part, and the rest beside it where so much room is left of the page."""
    rest = f'<div style="flex: 1 1 {pixels}px; max-width: 100%">{rest}</div>'
    return f'<div style="{_COLUMNS}">{_narrow(part)}{rest}</div>'


def _narrow(part: str) -> str:
    """Return a part that scrolls by itself, rather than widen what it stands in."""
    return f'<div style="max-width: 100%">{part}</div>'
