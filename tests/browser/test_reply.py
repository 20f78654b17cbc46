"""What a person sees of a reply in JupyterLab and Notebook: live, in the end, saved, reopened."""

from __future__ import annotations

import re
from dataclasses import replace

import nbformat
import pytest
from glm_server import DEMO, THINKING, Script
from hostile import LURES, attack
from lab import Lab, Theme
from playwright.sync_api import Browser, Locator, expect

LOAD = "%load_ext glm_magic"
ASK = "%%glm --web-search\nWhy is the sky blue?"
HEADING = "Why is the sky blue?"
# Half of the answer comes, and the rest when it has been looked at.
IN_HALVES = replace(DEMO, pace_s=0.002, pauses=(180,))
ENDLESS = Script(text=("# Counting\n\n", *(f"{n}, " for n in range(500))), pace_s=0.1)


@pytest.mark.parametrize(
    ("front_end", "theme"),
    [
        ("jupyterlab", "JupyterLab Light"),
        ("jupyterlab", "JupyterLab Dark"),
        ("notebook_7", "JupyterLab Dark"),
    ],
    ids=["JupyterLab 4, light", "JupyterLab 4, dark", "Notebook 7, dark"],
    indirect=["front_end"],
)
def test_an_answer_streams_in_and_stays_after_saving_and_reopening(
    browser: Browser, front_end: Lab, theme: Theme
) -> None:
    front_end.server.script = IN_HALVES
    name = front_end.write(LOAD, ASK)
    picture = f"{front_end.app.module}-{theme.split()[-1].lower()}"
    with front_end.open(browser, name, theme=theme) as notebook:
        notebook.run(0)
        notebook.start(1)
        output = notebook.output(1)
        expect(output.get_by_role("button", name="Stop")).to_be_visible()
        expect(output.get_by_role("heading", name=HEADING)).to_be_visible()
        expect(output).to_contain_text(re.compile(r"about \d+ tokens/s"))
        notebook.screenshot(f"{picture}-live")
        front_end.server.go_on()
        notebook.wait_until_done(1)
        expect(output.get_by_role("button", name="Stop")).to_have_count(0)
        expect(output.locator(".widget-html, .jupyter-widgets")).to_have_count(0)
        expect(output.get_by_role("table").last).to_contain_text("example.org")
        notebook.screenshot(f"{picture}-final")
        notebook.save()
        assert notebook.foreign == []
    saved = front_end.read(name)
    (shown,) = saved.cells[1].outputs
    assert (shown.output_type, sorted(shown.data)) == ("display_data", ["text/html", "text/plain"])
    assert shown.metadata["glm_magic"]["model"] == "glm-4.7-flash"
    assert "widgets" not in saved.metadata
    # A changed output has no valid signature: this is how a notebook from elsewhere looks.
    shown.data["text/html"] = shown.data["text/html"].replace(HEADING, HEADING.upper())
    stranger = front_end.write(name=f"stranger-{name}", notebook=saved)
    assert (front_end.trusts(name), front_end.trusts(stranger)) == (True, False)
    for again, title in ((name, HEADING), (stranger, HEADING.upper())):
        with front_end.open(browser, again, theme=theme, kernel=False) as notebook:
            expect(notebook.output(1).get_by_role("heading", name=title)).to_be_visible()
            expect(notebook.output(1).get_by_role("table").last).to_contain_text("示例统计网")
            notebook.screenshot(f"{picture}-{'reopened' if again == name else 'untrusted'}")
            assert notebook.foreign == []


def test_reasoning_is_seen_while_it_comes_then_folds_and_can_be_opened_live_and_after(
    browser: Browser, lab: Lab
) -> None:
    # Once in the reasoning, once in the answer.
    lab.server.script = replace(THINKING, pace_s=0.002, pauses=(40, 70))
    with lab.open(browser, lab.write(LOAD, "%%glm -m glm-4.6\n17*23?")) as notebook:
        notebook.run(0)
        notebook.start(1)
        output = notebook.output(1)
        thought = output.get_by_text("340").first
        expect(thought).to_be_visible()
        notebook.screenshot("reasoning-comes")
        lab.server.go_on()
        expect(output.get_by_text("Reasoning")).to_be_visible()
        expect(thought).not_to_be_visible()
        output.get_by_text("Reasoning").click()
        expect(thought).to_be_visible()
        notebook.screenshot("reasoning-live")
        lab.server.go_on()
        notebook.wait_until_done(1)
        summary = output.locator("summary", has_text="Reasoning")
        expect(summary).to_be_visible()
        expect(output.locator("details pre")).not_to_be_visible()
        summary.click()
        expect(output.locator("details pre")).to_be_visible()
        notebook.screenshot("reasoning-final")


def test_the_stop_button_ends_its_own_reply_and_the_next_cell_runs(
    browser: Browser, front_end: Lab
) -> None:
    front_end.server.script = ENDLESS
    with front_end.open(
        browser, front_end.write(LOAD, "%%glm\ncount", "print('went', 'on')")
    ) as notebook:
        notebook.run(0)
        notebook.start(1)
        expect(notebook.output(1)).to_contain_text("Counting")
        notebook.start(2)
        notebook.output(1).get_by_role("button", name="Stop").click()
        front_end.server.wait_for_disconnect()
        notebook.wait_until_done(1)
        expect(notebook.output(1)).to_contain_text("stopped: the answer is not complete")
        expect(notebook.output(2)).to_contain_text("went on")
        notebook.screenshot(f"{front_end.app.module}-stopped")
        assert notebook.foreign == []


def test_an_interrupt_keeps_the_partial_answer_in_one_line_and_halts_what_is_queued(
    browser: Browser, front_end: Lab
) -> None:
    front_end.server.script = ENDLESS
    with front_end.open(
        browser, front_end.write(LOAD, "%%glm\ncount", "print('went', 'on')")
    ) as notebook:
        notebook.run(0)
        notebook.start(1)
        expect(notebook.output(1)).to_contain_text("Counting")
        notebook.start(2)
        notebook.interrupt()
        front_end.server.wait_for_disconnect()
        notebook.wait_until_done(1)
        expect(notebook.output(1)).to_contain_text("stopped: the answer is not complete")
        expect(notebook.output(1)).to_contain_text(
            "glm: stopped; the partial answer is in _glm, `%glm continue` goes on"
        )
        expect(notebook.output(2)).not_to_contain_text("went on")
        expect(notebook.cell(2).locator(".jp-InputPrompt")).to_have_text("[ ]:")
        notebook.screenshot(f"{front_end.app.module}-interrupted")
        assert notebook.foreign == []


def test_a_hostile_answer_runs_nothing_and_asks_no_other_host(browser: Browser, lab: Lab) -> None:
    attack(lab.server)
    name = lab.write(LOAD, "%%glm --web-search\nhello")
    with lab.open(browser, name) as notebook:
        notebook.run(0)
        notebook.run(1)
        expect(notebook.output(1)).to_contain_text("The end.")
        # Typeset, so that what MathJax makes of the rest is looked at too.
        expect(notebook.output(1).locator("mjx-container").first).to_be_visible()
        notebook.screenshot("hostile")
        notebook.save()
        assert notebook.page.evaluate("window.pwned") is None
        expect(notebook.output(1).locator(LURES)).to_have_count(0)
        assert notebook.foreign == []
    with lab.open(browser, name, kernel=False) as notebook:
        expect(notebook.output(1).locator("mjx-container").first).to_be_visible()
        expect(notebook.output(1)).to_contain_text("The end.")
        expect(notebook.output(1).locator(LURES)).to_have_count(0)
        assert notebook.page.evaluate("window.pwned") is None
        assert notebook.foreign == []
    assert [r.path for r in lab.server.requests] == ["/api/paas/v4/chat/completions"]


def test_login_takes_the_key_unseen(browser: Browser, lab: Lab) -> None:
    with lab.open(browser, lab.write(LOAD, "%glm login bigmodel")) as notebook:
        notebook.run(0)
        notebook.start(1)
        box = notebook.output(1).locator("input[type=password]")
        box.fill("canary.Secret123")
        box.press("Enter")
        notebook.wait_until_done(1)
        expect(notebook.output(1)).to_contain_text("key kept for open.bigmodel.cn")
        assert "canary" not in notebook.page.content()


EMBED = "%%glm embed\na cat\n一只猫\nstocks fell"
# Whether the one picture of an output has been drawn.
_IS_DRAWN = "image => image.complete && image.naturalWidth > 0"


def test_embeddings_show_a_shaded_matrix_and_a_map_also_where_nobody_trusts_them(
    browser: Browser, lab: Lab
) -> None:
    name = lab.write(LOAD, EMBED)
    with lab.open(browser, name) as notebook:
        notebook.run(0)
        notebook.run(1)
        expect_embeddings(notebook.output(1))
        notebook.screenshot("similarity")
        notebook.save()
    saved = lab.read(name)
    saved.cells.append(nbformat.v4.new_markdown_cell("Somebody else's now."))
    untrusted = lab.write(notebook=saved)
    assert not lab.trusts(untrusted)
    with lab.open(browser, untrusted, theme="JupyterLab Dark", kernel=False) as notebook:
        expect_embeddings(notebook.output(1))
        notebook.screenshot("similarity-untrusted")


def expect_embeddings(output: Locator) -> None:
    """Expect the numbers under their labels, and the picture of the map."""
    table = output.get_by_role("table", name="Cosine similarity")
    expect(table.get_by_role("rowheader", name="一只猫")).to_be_visible()
    expect(table.get_by_role("cell", name="1.00")).to_have_count(3)
    shaded = table.get_by_role("cell").nth(2)
    assert "rgba(" in shaded.evaluate("cell => getComputedStyle(cell).backgroundColor")
    image = output.get_by_role("img")
    expect(image).to_be_visible()
    assert image.evaluate(_IS_DRAWN)
    assert "map" in (image.get_attribute("alt") or "").lower()
