"""What stands around safe HTML: the frame of every output of ours, and how parts of it look.

JupyterLab's classes give its own type, tables and colours in every theme; inline styles hold
where they are stronger than a theme, or where a viewer keeps no classes. Without either it is
plain HTML that reads from top to bottom.
"""

from __future__ import annotations

import re

__all__ = ["frame", "live_frame", "muted"]

# `contain` keeps whatever is inside from reaching out.
_FRAME = '<div class="jp-RenderedHTMLCommon glm-reply" style="contain: content; overflow-x: auto">'
# A grey that reads on white and on near-black.
_MUTED = 'style="opacity: 0.75; font-size: 0.9em"'

# JupyterLab sets tables of HTML outputs right-aligned and those of widgets in the middle,
# whatever their `align` says; only a style on the tag itself is stronger. In safe HTML `<td` is
# always a tag, since text has no `<`.
_TAG = re.compile(
    r'<(?P<cell>caption|t[dh])(?P<scope> scope="\w+")?(?: align="(?P<align>\w+)")?'
    r'(?P<nowrap> nowrap="")?>'
    r'|(?P<styled><li class="task-list-item"|<pre class="highlight"><code)'
    r"|(?P<table></?table>)"
)
_CODE = (
    "margin: 0 0 1em; padding: 0.5em 0.75em; overflow-x: auto; "
    "background: var(--jp-cell-editor-background, rgba(127, 127, 127, 0.1))"
)
_STYLED = {
    '<li class="task-list-item"': '<li class="task-list-item" style="list-style: none"',
    '<pre class="highlight"><code': f'<pre class="highlight" style="{_CODE}">'
    '<code style="padding: 0; background: none; white-space: pre"',
}
# A wide table scrolls by itself, and the text around it stays in sight.
_TABLES = {
    "<table>": '<div style="overflow-x: auto; margin-bottom: 0.5em"><table style="margin-left: 0">',
    "</table>": "</table></div>",
}


def frame(*parts: str) -> str:
    """Return safe HTML parts in the frame that every output of ours has."""
    return f"{_FRAME}{_laid_out(parts)}</div>"


def live_frame(*parts: str) -> str:
    """Return safe HTML parts as a piece of a live output, which is drawn many times."""
    return f'<div class="jp-RenderedHTMLCommon">{_laid_out(parts)}</div>'


def _laid_out(parts: tuple[str, ...]) -> str:
    return _TAG.sub(_styled, "".join(parts))


def _styled(tag: re.Match[str]) -> str:
    if tag["table"]:
        return _TABLES[tag["table"]]
    if tag["styled"]:
        return _STYLED[tag["styled"]]
    wrap = "; white-space: nowrap" if tag["nowrap"] else ""
    return f'<{tag["cell"]}{tag["scope"] or ""} style="text-align: {tag["align"] or "left"}{wrap}">'


def muted(html: str, tag: str = "div") -> str:
    """Return safe HTML in small, quiet type."""
    return f"<{tag} {_MUTED}>{html}</{tag}>" if html else ""
