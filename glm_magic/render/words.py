"""Counts, shares and times in words."""

from __future__ import annotations

__all__ = ["counted", "percent", "timed"]


def counted(count: int, noun: str) -> str:
    """Return "1 text", "5 texts" or "2,000 texts"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def percent(share: float) -> str:
    """Return a share of 1 as "43 %"."""
    return f"{share * 100:.0f} %"


def timed(seconds: float) -> str:
    """Return "0.44 s", or "12.3 s" from a second on."""
    return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
