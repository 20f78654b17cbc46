"""The sources of a web search as a table, and as a numbered list in plain text."""

from __future__ import annotations

from collections.abc import Sequence

from glm_magic.api.events import Source
from glm_magic.render.clean import clean_line
from glm_magic.render.links import parse_link, render_link
from glm_magic.render.markdown import render_line

_HEAD = "".join(
    f'<th scope="col">{name}</th>' for name in ("#", "Title", "Site", "Date", "Snippet")
)


def render_sources(sources: Sequence[Source]) -> str:
    """Return the table as HTML; "" without sources."""
    if not sources:
        return ""
    rows = "".join(map(_row, sources))
    return (
        f"<table><caption>Sources ({len(sources)})</caption>"
        f"<thead><tr>{_HEAD}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _row(source: Source) -> str:
    return (
        f'<tr><th scope="row">{source.number}</th><td>{_title(source)}</td>'
        f"<td>{render_line(source.site)}</td>"
        f'<td style="text-align: left; white-space: nowrap">{render_line(source.date)}</td>'
        f"<td>{render_line(source.snippet)}</td></tr>"
    )


def _title(source: Source) -> str:
    """The title, linked where the link is good; why not, where it is not."""
    title = render_line(source.title) or "untitled"
    if link := parse_link(source.link):
        return render_link(title, link)
    return f"{title} <small>({_why_no_link(source.link)})</small>"


def _why_no_link(link: str) -> str:
    return f"not linked: {render_line(link)}" if link.strip() else "no link given"


def render_sources_plain(sources: Sequence[Source]) -> str:
    """Return the sources as numbered lines."""
    return "\n".join(f"[{s.number}] {_line(s)}" for s in sources)


def _line(source: Source) -> str:
    parts = (source.title, source.link, source.site, source.date)
    return " · ".join(filter(None, map(clean_line, parts))) or "untitled"
