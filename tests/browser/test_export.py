"""A notebook as a page of HTML, as nbconvert makes it: a hostile reply does nothing there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from glm_server import Script, call
from hostile import LURES, attack, find_acts, parse_page
from nbconvert import HTMLExporter
from playwright.sync_api import Browser, Page, expect
from runners import Place, build, open_place, run_with_nbclient

LOAD = "%load_ext glm_magic"
ASK = "%%glm --web-search\nhello"
# The same MathJax as nbconvert's template loads from elsewhere, and with the same safe mode.
MATHJAX = "/mathjax/MathJax.js?config=TeX-AMS-MML_HTMLorMML-full,Safe"
IS_TYPESET = "document.querySelector('.MathJax') && !MathJax.Hub.queue.pending"


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files, and says nothing of it."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass(frozen=True)
class Site:
    """The exported pages, and the place where their notebooks ran."""

    url: str
    place: Place
    notebook: Any

    def write(self, name: str, notebook: Any, **options: Any) -> str:
        """Export a notebook; return the page."""
        page, _ = HTMLExporter(**options).from_notebook_node(notebook)
        (self.place.folder / name).write_text(page, encoding="utf-8")
        return str(page)

    def read(self, name: str) -> str:
        return (self.place.folder / name).read_text(encoding="utf-8")

    def open(self, page: Page, name: str) -> set[str]:
        """Open a page to the end; return what it asked for of any other host."""
        asked: set[str] = set()
        page.on("request", lambda request: asked.add(request.url))
        page.goto(f"{self.url}/{name}", wait_until="networkidle")
        return {url for url in asked if not url.startswith(self.url)}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The page of a hostile reply as `nbconvert --execute` writes it, beside an empty one."""
    folder = tmp_path_factory.mktemp("pages")
    static = find_spec("jupyter_server_mathjax").submodule_search_locations[0]
    (folder / "mathjax").symlink_to(Path(static) / "static")
    handler = partial(QuietHandler, directory=str(folder))
    with open_place(folder) as place, ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        attack(place.server)
        place.write(LOAD, ASK)
        place.run("nbconvert", "--to=html", "--execute", "--output=hostile.html", "notebook.ipynb")
        notebook = run_with_nbclient(place, LOAD, ASK, store_widget_state=False)
        site = Site(f"http://127.0.0.1:{server.server_address[1]}", place, notebook)
        site.write("empty.html", build(LOAD, ASK))
        yield site
        server.shutdown()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1200, "height": 1000})
    yield page
    page.close()


def output_of(tree: Any) -> Any:
    """The one output of a page, as one or the other template marks it."""
    marks = {"jp-OutputArea-output", "output_html"}
    (output,) = (e for e in tree.iter() if marks & set(e.get("class", "").split()))
    return output


def active(page: str) -> Counter[str]:
    """How many elements of each kind a page has that load or do something."""
    kinds = ("base", "form", "iframe", "img", "link", "meta", "object", "script", "style")
    return Counter(element.tag for element in parse_page(page).iter() if element.tag in kinds)


@pytest.mark.parametrize("template", ["lab", "classic", "basic", "reveal"])
def test_nothing_of_a_hostile_reply_acts_in_a_page(site: Site, template: str) -> None:
    page = site.write(f"{template}.html", site.notebook, template_name=template)
    empty = site.write(f"{template}-empty.html", build(LOAD, ASK), template_name=template)
    output = output_of(parse_page(page))
    assert "The end." in "".join(output.itertext())
    assert list(find_acts(output)) == []
    assert active(page) == active(empty)


def test_a_page_that_nbconvert_executes_has_nothing_that_an_empty_one_has_not(site: Site) -> None:
    assert active(site.read("hostile.html")) == active(site.read("empty.html"))


def test_a_page_with_a_hostile_reply_asks_for_what_an_empty_one_does(
    site: Site, browser: Browser, page: Page
) -> None:
    usual = site.open(page, "empty.html")
    with browser.new_page() as hostile:
        asked = site.open(hostile, "hostile.html")
        assert "The end." in hostile.content()
        assert hostile.evaluate("window.pwned") is None
    assert asked == usual
    assert not any("/leak" in request.path for request in site.place.server.requests)


def test_mathjax_typesets_the_honest_tex_of_a_page_and_obeys_none(site: Site, page: Page) -> None:
    usual = site.open(page, "empty.html")
    site.write("mathjax.html", site.notebook, mathjax_url=MATHJAX)
    asked = site.open(page, "mathjax.html")
    page.wait_for_function(IS_TYPESET)
    assert page.evaluate("window.pwned") is None
    assert page.locator(".jp-OutputArea-output").locator(LURES).count() == 0
    assert asked <= usual


FUNCTIONS = """%load_ext glm_magic
def lure(a: int, b: int) -> float:
    'Lure.'
    print('<img src=x onerror="window.pwned=1"> $x^2$')
    return a / b if b else 1 / 0
"""
CALL = "%%glm --tool lure\nDivide"
FORM = '%%glm --schema "[name, year int]"\nWho?'


def test_calls_and_fields_are_in_a_page_and_ask_for_nothing(site: Site, page: Page) -> None:
    site.place.server.queue(
        Script(text=(), tool_calls=(call("lure", a=1, b=2), call("lure", a=1, b=0))),
        Script(text=("Done.",)),
        Script(text=('{"items": [{"name": "<b>Ada</b> $x$", "year": 1815}]}',)),
    )
    cells = (FUNCTIONS, CALL, FORM)
    notebook = run_with_nbclient(site.place, *cells, store_widget_state=False)
    assert active(site.write("calls.html", notebook)) == active(
        site.write("no-calls.html", build(*cells))
    )
    assert site.open(page, "no-calls.html") == site.open(page, "calls.html")
    calls = page.get_by_role("table", name="Calls (2)")
    expect(calls.get_by_role("row")).to_have_count(6)
    expect(calls.get_by_role("row").nth(1)).to_contain_text("a=1, b=2")
    expect(calls.get_by_role("row").nth(2)).to_contain_text('<img src=x onerror="window.pwned=1">')
    calls.get_by_text("Traceback", exact=True).click()
    expect(calls.get_by_text("return a / b if b else 1 / 0")).to_be_visible()
    expect(page.get_by_role("row").last).to_have_text("<b>Ada</b> $x$1815")
    assert page.evaluate("window.pwned") is None
