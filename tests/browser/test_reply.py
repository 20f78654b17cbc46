"""What a person sees of a reply in JupyterLab: live, at the end, saved and reopened."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from glm_server import DEMO, THINKING, Script
from lab import Lab, Theme
from playwright.sync_api import Browser, expect

LOAD = "%load_ext glm_magic"
ASK = "%%glm --web-search\nWhy is the sky blue?"
HEADING = "Why is the sky blue?"
# Slow enough to look at, fast enough to wait for.
SLOW = replace(DEMO, pace_s=0.02)
ENDLESS = Script(text=("# Counting\n\n", *(f"{n}, " for n in range(500))), pace_s=0.1)


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_an_answer_streams_in_and_stays_after_saving_and_reopening(
    browser: Browser, lab: Lab, theme: Theme
) -> None:
    lab.server.script = SLOW
    name = lab.write(LOAD, ASK)
    shade = theme.split()[-1].lower()
    with lab.open(browser, name, theme=theme) as notebook:
        notebook.run(0)
        notebook.start(1)
        output = notebook.output(1)
        expect(output.get_by_role("button", name="Stop")).to_be_visible()
        expect(output.get_by_role("heading", name=HEADING)).to_be_visible()
        expect(output).to_contain_text(re.compile(r"about \d+ tokens/s"))
        notebook.screenshot(f"{shade}-live")
        notebook.wait_until_done(1)
        expect(output.get_by_role("button", name="Stop")).to_have_count(0)
        expect(output.locator(".widget-html, .jupyter-widgets")).to_have_count(0)
        expect(output.get_by_role("table").last).to_contain_text("example.org")
        notebook.screenshot(f"{shade}-final")
        notebook.save()
        assert notebook.foreign == []
    saved = lab.read(name)
    (shown,) = saved.cells[1].outputs
    assert (shown.output_type, sorted(shown.data)) == ("display_data", ["text/html", "text/plain"])
    assert shown.metadata["glm_magic"]["model"] == "glm-4.7-flash"
    assert "widgets" not in saved.metadata
    # A changed output has no valid signature: this is how a notebook from elsewhere looks.
    shown.data["text/html"] = shown.data["text/html"].replace(HEADING, HEADING.upper())
    stranger = lab.write(name=f"stranger-{name}", notebook=saved)
    for again, title in ((name, HEADING), (stranger, HEADING.upper())):
        with lab.open(browser, again, theme=theme, kernel=False) as notebook:
            expect(notebook.output(1).get_by_role("heading", name=title)).to_be_visible()
            expect(notebook.output(1).get_by_role("table").last).to_contain_text("示例统计网")
            notebook.screenshot(f"{shade}-reopened-{'saved' if again == name else 'untrusted'}")
            assert notebook.foreign == []


def test_reasoning_is_folded_and_can_be_opened_live_and_after(browser: Browser, lab: Lab) -> None:
    lab.server.script = replace(THINKING, pace_s=0.08)
    with lab.open(browser, lab.write(LOAD, "%%glm -m glm-4.6\n17*23?")) as notebook:
        notebook.run(0)
        notebook.start(1)
        output = notebook.output(1)
        thought = output.get_by_text("340").first
        expect(output.get_by_text("Reasoning")).to_be_visible()
        expect(thought).not_to_be_visible()
        output.get_by_text("Reasoning").click()
        expect(thought).to_be_visible()
        notebook.screenshot("reasoning-live")
        notebook.wait_until_done(1)
        summary = output.locator("summary", has_text="Reasoning")
        expect(summary).to_be_visible()
        expect(output.locator("details pre")).not_to_be_visible()
        summary.click()
        expect(output.locator("details pre")).to_be_visible()
        notebook.screenshot("reasoning-final")


def test_the_stop_button_ends_its_own_reply_and_the_next_cell_runs(
    browser: Browser, lab: Lab
) -> None:
    lab.server.script = ENDLESS
    with lab.open(browser, lab.write(LOAD, "%%glm\ncount", "print('went', 'on')")) as notebook:
        notebook.run(0)
        notebook.start(1)
        expect(notebook.output(1)).to_contain_text("Counting")
        notebook.start(2)
        notebook.output(1).get_by_role("button", name="Stop").click()
        lab.server.wait_for_disconnect()
        notebook.wait_until_done(1)
        expect(notebook.output(1)).to_contain_text("stopped: the answer is not complete")
        expect(notebook.output(2)).to_contain_text("went on")
        notebook.screenshot("stopped")


def test_an_interrupt_keeps_the_partial_answer_in_one_line_and_halts_what_is_queued(
    browser: Browser, lab: Lab
) -> None:
    lab.server.script = ENDLESS
    with lab.open(browser, lab.write(LOAD, "%%glm\ncount", "print('went', 'on')")) as notebook:
        notebook.run(0)
        notebook.start(1)
        expect(notebook.output(1)).to_contain_text("Counting")
        notebook.start(2)
        notebook.interrupt()
        lab.server.wait_for_disconnect()
        notebook.wait_until_done(1)
        expect(notebook.output(1)).to_contain_text("stopped: the answer is not complete")
        expect(notebook.output(1)).to_contain_text("glm: stopped; the partial answer is in _glm")
        expect(notebook.output(2)).not_to_contain_text("went on")
        expect(notebook.cell(2).locator(".jp-InputPrompt")).to_have_text("[ ]:")
        notebook.screenshot("interrupted")


HOSTILE = """\
# Hello

<script>window.pwned = 1</script> <img src=x onerror="window.pwned = 2">
![pixel]({leak}/a.png) ![ref][r] <iframe srcdoc="<script>parent.pwned = 3</script>"></iframe>
[click](javascript:window.pwned=4) <https://example.org/ok>
<style>body {{ display: none }}</style> $\\href{{javascript:alert(1)}}{{x}}$

[r]: {leak}/b.png

```mermaid
graph TD; A[<img src={leak}/c.png>]
```

The end.
"""


def test_a_hostile_answer_runs_nothing_and_asks_no_other_host(browser: Browser, lab: Lab) -> None:
    leak = lab.server.url.replace("/api/paas/v4", "/leak")
    text = HOSTILE.format(leak=leak)
    source = {
        "refer": "ref_1",
        "title": f'<img src="{leak}/d.png">',
        "link": "javascript:window.pwned=5",
        "content": f"![x]({leak}/e.png)</td></table><script>window.pwned=6</script>",
        "media": "\u202eevil",
        "icon": f"{leak}/f.png",
        "publish_date": "",
    }
    lab.server.script = Script(
        text=tuple(text[i : i + 7] for i in range(0, len(text), 7)),
        reasoning=(f'<img src="{leak}/g.png" onerror="window.pwned=7">',),
        sources=(source,),
        pace_s=0.01,
    )
    name = lab.write(LOAD, "%%glm --web-search\nhello")
    with lab.open(browser, name) as notebook:
        notebook.run(0)
        notebook.run(1)
        expect(notebook.output(1)).to_contain_text("The end.")
        notebook.screenshot("hostile")
        notebook.save()
        assert notebook.page.evaluate("window.pwned") is None
        assert notebook.foreign == []
    with lab.open(browser, name, kernel=False) as notebook:
        expect(notebook.output(1)).to_contain_text("The end.")
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


def test_embeddings_show_a_shaded_matrix_with_the_texts_as_labels(
    browser: Browser, lab: Lab
) -> None:
    with lab.open(browser, lab.write(LOAD, "%%glm embed\na cat\n一只猫\nstocks fell")) as notebook:
        notebook.run(0)
        notebook.run(1)
        table = notebook.output(1).get_by_role("table")
        expect(table.get_by_role("rowheader", name="一只猫")).to_be_visible()
        expect(table.get_by_role("cell", name="1.00")).to_have_count(3)
        notebook.screenshot("similarity")
