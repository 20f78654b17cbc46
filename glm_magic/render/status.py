"""The line above a reply while it comes, as HTML."""

from __future__ import annotations

from collections.abc import Iterable

from glm_magic.render.frame import live_frame, muted
from glm_magic.render.markdown import render_line

__all__ = ["render_figures", "render_phase"]


def render_phase(title: str, phase: str) -> str:
    """Return what happens as a live region: a screen reader tells it when it changes."""
    told = f'<span role="status" aria-live="polite">{render_line(phase)}</span>'
    return live_frame(muted(f"{render_line(title)} · {told}", "span"))


def render_figures(texts: Iterable[str]) -> str:
    """Return figures that change all the time, which a screen reader leaves alone."""
    figures = render_line(" · ".join(texts))
    return live_frame(muted(f'<span aria-live="off">{figures}</span>', "span"))
