"""Functions that the model calls, and answers that fit a form, as a person sees them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest
from glm_server import Json, Script, build_pieces, call
from lab import Lab, Notebook
from playwright.sync_api import Browser, Locator, expect

# `weather` waits until the test has looked, `wait` for ever.
LOAD = '''%load_ext glm_magic
def weather(city: str) -> dict:
    """Tell the weather."""
    print("asking", city)
    open("gate").read()
    return {"city": city, "celsius": 21}

def divide(a: int, b: int) -> float:
    """Divide."""
    return a / b

def wait() -> None:
    """Wait for ever."""
    import time
    while True:
        time.sleep(60)
'''
CALL = "%%glm --tool weather --tool divide\nDo I need a coat?"
WAIT = "%%glm --tool wait\nWait"
CONFIRM = "%%glm --confirm --tool divide\nDivide"
FORM = '%%glm --schema "[name, year int]"\nWho?'


def people(first: int, last: int) -> str:
    """JSON of so many rows, enough to be more than one piece of a live table."""
    rows = (f'{{"name": "Person {n}", "year": {1800 + n}}}' for n in range(first, last + 1))
    return ", ".join(rows)


# Ten rows come, eight more and a piece of the next, the rest.
IN_THREE = Script(
    text=(
        f'{{"items": [{people(1, 10)}',
        f', {people(11, 18)}, {{"name": "Ada Lov',
        'elace", "year": 1815}]}',
    ),
    pauses=(1, 2),
)
# What ipywidgets puts between two widgets.
MARGINS_PX = 4


def calling(*calls: Json, pauses: tuple[int, ...] = ()) -> Callable[[Json], Script]:
    """A model that asks for these calls once, and answers when it has their results."""

    def reply(body: Json) -> Script:
        if body["messages"][-1]["role"] == "tool":
            return Script(text=build_pieces("It is **warm**."))
        return Script(text=("Let me see.",), tool_calls=calls, pauses=pauses)

    return reply


@pytest.fixture
def gate(lab: Lab) -> Iterator[Path]:
    """What `weather` waits for somebody to write to."""
    path = lab.folder / "gate"
    os.mkfifo(path)
    yield path
    path.unlink()


def test_calls_and_fields_are_seen_live_and_stay_after_saving_and_reopening(
    browser: Browser, lab: Lab, gate: Path
) -> None:
    name = lab.write(LOAD, CALL, FORM, WAIT, CONFIRM)
    with lab.open(browser, name, theme="JupyterLab Dark") as notebook:
        notebook.run(0)
        expect_asked_and_allowed(lab, notebook, 4)
        expect_stopped_by_the_button(lab, notebook, 3)
        expect_calls_that_run(lab, notebook, gate)
        expect_fields_that_come(lab, notebook)
        expect_what_stays(notebook)
        notebook.screenshot("rounds-final")
        notebook.save()
        assert notebook.foreign == []
    assert "widget" not in (lab.folder / name).read_text()
    saved = lab.read(name)
    assert [kinds(cell) for cell in saved.cells[1:4]] == [[["text/html", "text/plain"]]] * 3
    saved.cells.append(nbformat.v4.new_markdown_cell("Somebody else's now."))
    stranger = lab.write(notebook=saved)
    assert (lab.trusts(name), lab.trusts(stranger)) == (True, False)
    # What nobody trusts is shown with less than what is trusted.
    with lab.open(browser, stranger, kernel=False) as notebook:
        expect_what_stays(notebook)
        notebook.screenshot("rounds-untrusted")
        assert notebook.foreign == []


def kinds(cell: Any) -> list[list[str]]:
    """The media types of each output."""
    return [sorted(output.data) for output in cell.outputs]


def expect_calls_that_run(lab: Lab, notebook: Notebook, gate: Path) -> None:
    """Expect the first call to run while the second one waits, and then one output."""
    lab.server.script = calling(call("weather", city="北京"), call("divide", a=1, b=0))
    notebook.start(1)
    output = notebook.output(1)
    rows = output.get_by_role("table", name="Calls (2)").get_by_role("row")
    expect(rows.nth(1)).to_contain_text("running …")
    expect(rows.nth(2)).to_contain_text("not called")
    expect(output.get_by_role("status")).to_have_text("calling weather …")
    notebook.screenshot("calls-live")
    gate.write_text("")
    notebook.wait_until_done(1)
    expect(output.locator(".jupyter-widgets")).to_have_count(0)


def expect_fields_that_come(lab: Lab, notebook: Notebook) -> None:
    """Expect one table to fill, and then one output."""
    lab.server.script = IN_THREE
    notebook.start(2)
    output = notebook.output(2)
    expect(output.get_by_role("row").last).to_have_text("Person 101810")
    lab.server.go_on()
    expect(output.get_by_role("row").last).to_have_text("Ada Lov")
    expect_one_look(output)
    notebook.screenshot("fields-live")
    lab.server.go_on()
    notebook.wait_until_done(2)
    expect(output.locator(".jupyter-widgets")).to_have_count(0)


def expect_calls(output: Locator) -> None:
    """Expect both calls above the answer, what was printed, and a traceback to be opened."""
    table = output.get_by_role("table", name="Calls (2)")
    rows = table.get_by_role("row")
    expect(rows).to_have_count(5)
    expect(rows.nth(1)).to_contain_text('{"city":"北京","celsius":21}')
    expect(rows.nth(2)).to_contain_text("asking 北京")
    expect(rows.nth(3)).to_contain_text("error: ZeroDivisionError: division by zero")
    expect(table.locator("details pre")).not_to_be_visible()
    table.locator("summary", has_text="Traceback").click()
    expect(table.locator("details pre")).to_contain_text("return a / b")
    expect(table.locator("details pre")).to_be_visible()
    expect(output.locator("strong", has_text="warm")).to_be_visible()


def expect_stopped_by_the_button(lab: Lab, notebook: Notebook, index: int) -> None:
    """Expect the Stop button to end a call that never returns, and no other request."""
    lab.server.script = calling(call("wait"), pauses=(1,))
    sent = len(lab.server.requests)
    notebook.start(index)
    output = notebook.output(index)
    # JupyterLab starts the subshell that clicks come on with the widgets; this is a while later.
    expect(output).to_contain_text(re.compile(r"about \d+ tokens/s"))
    lab.server.go_on()
    expect(output).to_contain_text("running …")
    output.get_by_role("button", name="Stop").click()
    notebook.wait_until_done(index)
    expect(output.get_by_role("row").nth(1)).to_contain_text("stopped")
    expect(output).to_contain_text("[stopped: the answer is not complete]")
    expect(output).not_to_contain_text("Error")
    notebook.screenshot("calls-stopped")
    assert len(lab.server.requests) == sent + 1


def expect_asked_and_allowed(lab: Lab, notebook: Notebook, index: int) -> None:
    """Expect the question, and the call once it has its answer."""
    lab.server.script = calling(call("divide", a=1, b=2))
    notebook.start(index)
    output = notebook.output(index)
    expect(output).to_contain_text("Call divide(a=1, b=2)? [y/N]")
    expect(output.get_by_role("row").nth(1)).to_contain_text("not called")
    notebook.screenshot("calls-confirm")
    output.locator(".jp-Stdin-input").fill("y")
    output.locator(".jp-Stdin-input").press("Enter")
    notebook.wait_until_done(index)
    expect(output.get_by_role("row").nth(1)).to_contain_text("0.5")
    expect(output.locator("strong", has_text="warm")).to_be_visible()


def expect_one_look(output: Locator) -> None:
    """Expect pieces of a table that nobody could tell from one table."""
    expect(output.get_by_role("columnheader")).to_have_text(["name", "year"])
    tables = boxes(output.get_by_role("table"))
    assert len(tables) > 2
    assert len({(box["x"], box["width"]) for box in tables}) == 1
    gaps = [low["y"] - high["y"] - high["height"] for high, low in pairwise(tables)]
    assert max(gaps) <= MARGINS_PX
    heads = boxes(output.get_by_role("columnheader"))
    cells = boxes(output.get_by_role("row").last.get_by_role("cell"))
    assert [(b["x"], b["width"]) for b in heads] == [(b["x"], b["width"]) for b in cells]
    assert contrast(output.get_by_role("table").last) > READABLE


def expect_what_stays(notebook: Notebook) -> None:
    """Expect the calls of the first cell and the rows of the second, and both to be readable."""
    calls = notebook.output(1).get_by_role("table", name="Calls (2)")
    expect_calls(notebook.output(1))
    fields = notebook.output(2).get_by_role("table")
    expect(fields.get_by_role("row")).to_have_count(20)
    expect(fields.get_by_role("row").last).to_have_text("Ada Lovelace1815")
    expect(notebook.output(2).locator("summary")).to_have_text("The answer as JSON")
    expect(notebook.output(2).locator("details pre")).not_to_be_visible()
    for table in (calls, fields):
        assert contrast(table) > READABLE
        expect(table.locator("[style*=color]")).to_have_count(0)


def boxes(elements: Locator) -> list[Any]:
    return [element.bounding_box() for element in elements.all()]


# WCAG 2.2, "Contrast (Minimum)".
READABLE = 4.5
_CONTRAST = """table => {
    const parts = color => color.match(/[\\d.]+/g).map(Number);
    const over = ([r, g, b, alpha = 1], under) =>
        alpha === 1 ? [r, g, b] : [r, g, b].map((part, i) => part * alpha + under[i] * (1 - alpha));
    const ground = element => {
        const color = parts(getComputedStyle(element).backgroundColor);
        return over(color, color[3] === undefined ? [] : ground(element.parentElement));
    };
    const light = color => {
        const [r, g, b] = color.map(part => part / 255).map(
            part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
    };
    const ratio = element => {
        const under = ground(element);
        const text = over(parts(getComputedStyle(element).color), under);
        const both = [light(text), light(under)];
        return Math.max(...both) / Math.min(...both);
    };
    return Math.min(...[...table.querySelectorAll("th, td, code, pre, summary")].map(ratio));
}"""


def contrast(table: Locator) -> float:
    """The least contrast of any text in a table to what is behind it, from 1 to 21."""
    return float(table.evaluate(_CONTRAST))
