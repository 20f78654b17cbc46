"""The sources of a web search as a table, and as a numbered list in plain text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from glm_magic.api.events import Source
from glm_magic.render.clean import clean_line
from glm_magic.render.links import parse_link, render_link
from glm_magic.render.markdown import render_line

__all__ = ["render_sources", "render_sources_plain"]

_HEAD = "".join(
    f'<th scope="col">{name}</th>' for name in ("#", "Title", "Site", "Date", "Snippet", "Cited")
)
# Dates stay in one line.
_NO_WRAP = 'style="text-align: left; white-space: nowrap"'


@dataclass(frozen=True, slots=True)
class _Row:
    """One page, which a search may have found several times."""

    source: Source
    numbers: tuple[int, ...]
    is_cited: bool

    @property
    def number(self) -> str:
        return ", ".join(map(str, self.numbers))


def render_sources(sources: Sequence[Source], cited: Collection[int] = ()) -> str:
    """Return the table as HTML, a page found twice in one row; "" without sources.

    Args:
        cited: the numbers that the answer refers to.
    """
    rows = _merge(sources, cited)
    if not rows:
        return ""
    return (
        f"<table><caption>Sources ({len(rows)})</caption>"
        f"<thead><tr>{_HEAD}</tr></thead><tbody>{''.join(map(_draw, rows))}</tbody></table>"
    )


def _merge(sources: Sequence[Source], cited: Collection[int]) -> list[_Row]:
    """Put sources of one page together: by their link, or by all their words if it is empty."""
    pages: dict[object, list[Source]] = {}
    for source in sources:
        pages.setdefault(_page(source), []).append(source)
    return [
        _Row(same[0], tuple(s.number for s in same), any(s.number in cited for s in same))
        for same in pages.values()
    ]


def _page(source: Source) -> object:
    if link := parse_link(source.link):
        return _without_place(link.href)
    return (source.link, source.title, source.site, source.date, source.snippet)


def _without_place(href: str) -> str:
    """The URL of a page, whatever place in it is meant; some pages are told by such a place."""
    page, sign, place = href.partition("#")
    if place.startswith(("/", "!")):
        return page + sign + place
    return page if "?" in page else page.rstrip("/")


def _draw(row: _Row) -> str:
    source = row.source
    return (
        f'<tr><th scope="row" {_NO_WRAP}>{row.number}</th><td>{_title(source)}</td>'
        f"<td>{render_line(source.site)}</td>"
        f"<td {_NO_WRAP}>{render_line(source.date)}</td>"
        f"<td>{render_line(source.snippet)}</td><td>{'yes' if row.is_cited else 'no'}</td></tr>"
    )


def _title(source: Source) -> str:
    """The title, linked where the link is good; why not, where it is not."""
    title = render_line(source.title) or "untitled"
    if link := parse_link(source.link):
        return render_link(title, link)
    return f"{title} <small>({_why_no_link(source.link)})</small>"


def _why_no_link(link: str) -> str:
    return f"not linked: {render_line(link)}" if link.strip() else "no link given"


def render_sources_plain(sources: Sequence[Source], cited: Collection[int] = ()) -> str:
    """Return the sources as numbered lines, a page found twice in one."""
    return "\n".join(f"[{row.number}] {_line(row)}" for row in _merge(sources, cited))


def _line(row: _Row) -> str:
    source = row.source
    parts = (source.title, source.link, source.site, source.date)
    words = " · ".join(filter(None, map(clean_line, parts))) or "untitled"
    return f"{words} · cited" if row.is_cited else words
