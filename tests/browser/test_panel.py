"""`%glm config panel` as a person uses it in JupyterLab: seen, moved, typed into, opened again."""

from __future__ import annotations

import re

import pytest
from lab import Lab, Theme
from playwright.sync_api import Browser, Locator, expect

LOAD = "%load_ext glm_magic"
PANEL = "%glm config panel"
TITLE = "the settings of this session as a form; run the cell again to open it anew"


def field(form: Locator, name: str) -> Locator:
    """The field with this label."""
    return form.get_by_label(name, exact=True)


def tab(form: Locator, name: str) -> Locator:
    return form.get_by_role("tab", name=name)


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_what_a_teacher_needs_is_seen_at_once(browser: Browser, lab: Lab, theme: Theme) -> None:
    with lab.open(browser, lab.write(LOAD, PANEL), theme=theme) as notebook:
        notebook.page.set_viewport_size({"width": 1280, "height": 800})
        notebook.run(0)
        notebook.run(1)
        form = notebook.output(1)
        for name in ("model", "system", "temperature", "top_p", "max_tokens", "thinking"):
            expect(field(form, name)).to_be_in_viewport(ratio=1)
        expect(form.get_by_role("slider")).to_have_count(2)
        expect(form).to_contain_text(TITLE)
        picture = f"panel-{theme.split()[-1].lower()}"
        notebook.screenshot(picture)
        for title in ("Web search", "Chats", "What is shown", "The connection", "The session"):
            tab(form, title).click()
            notebook.screenshot(f"{picture}-{title.lower().replace(' ', '-')}")
        assert notebook.foreign == []


def test_the_keyboard_moves_the_slider_and_the_setting_and_the_next_request_has_it(
    browser: Browser, front_end: Lab
) -> None:
    name = front_end.write(LOAD, PANEL, "%glm config", "%%glm\nHello")
    with front_end.open(browser, name) as notebook:
        for index in (0, 1):
            notebook.run(index)
        form = notebook.output(1)
        # Notebook 7 takes the arrow keys of every slider for itself, but not these.
        form.get_by_role("slider").first.press("PageDown")
        expect(field(form, "temperature")).to_have_value("0.75")
        expect(form.get_by_label("default").first).not_to_be_checked()
        expect(form.get_by_role("status")).to_have_text("temperature = 0.75")
        notebook.screenshot(f"panel-moved-{front_end.app.module}")
        notebook.run(2)
        row = notebook.output(2).get_by_role("row").filter(has_text="temperature")
        expect(row).to_contain_text("0.75")
        expect(row).to_contain_text("session")
        notebook.run(3)
        expect(notebook.output(3)).to_contain_text("很高兴见到你")
        (request,) = front_end.server.requests
        assert request.json["temperature"] == 0.75
        assert "top_p" not in request.json


def test_an_arrow_key_moves_the_slider_by_one_step(browser: Browser, lab: Lab) -> None:
    with lab.open(browser, lab.write(LOAD, PANEL)) as notebook:
        notebook.run(0)
        notebook.run(1)
        expect(notebook.output(1).get_by_role("slider")).to_have_count(2)
        temperature, top_p = notebook.output(1).get_by_role("slider").all()
        for _ in range(3):
            temperature.press("ArrowLeft")
        top_p.press("ArrowLeft")
        expect(field(notebook.output(1), "temperature")).to_have_value("0.85")
        expect(field(notebook.output(1), "top_p")).to_have_value("0.99")


def test_the_form_follows_what_a_cell_sets_and_rounds_nothing(browser: Browser, lab: Lab) -> None:
    name = lab.write(
        LOAD,
        PANEL,
        "%glm config temperature=0.333 thinking=off",
        "%config GlmMagic.temperature",
        "%glm config reset",
    )
    with lab.open(browser, name) as notebook:
        for index in (0, 1, 2):
            notebook.run(index)
        form = notebook.output(1)
        expect(field(form, "temperature")).to_have_value("0.333")
        expect(field(form, "thinking")).to_have_value("off")
        expect(form.get_by_role("slider").first).to_have_attribute("aria-valuetext", "0.35")
        # By the time that another control has spoken, the slider would have, too.
        field(form, "max_tokens").fill("64")
        field(form, "max_tokens").press("Enter")
        expect(form.get_by_role("status")).to_have_text("max_tokens = 64")
        notebook.run(3)
        expect(notebook.output(3)).to_contain_text("0.333")
        notebook.run(4)
        expect(field(form, "temperature")).to_have_value("")
        expect(field(form, "max_tokens")).to_have_value("")
        expect(field(form, "thinking")).to_have_value(re.compile("default|None"))
        expect(form.get_by_label("default").first).to_be_checked()


def test_a_model_is_chosen_from_the_list_or_typed(browser: Browser, lab: Lab) -> None:
    name = lab.write(LOAD, PANEL, "%%glm\nHello", "%%glm\nHello")
    lab.server.models.add("my-own-model")
    with lab.open(browser, name) as notebook:
        notebook.run(0)
        notebook.run(1)
        form = notebook.output(1)
        model = field(form, "model")
        listed = form.locator("datalist option").evaluate_all("each => each.map(o => o.value)")
        assert {"glm-4.6", "glm-4.7-flash"} < set(listed)
        for index, chosen in ((2, "glm-4.6"), (3, "my-own-model")):
            model.fill(chosen)
            model.press("Tab")
            expect(form.get_by_role("status")).to_have_text(f"model = '{chosen}'")
            notebook.run(index)
        assert [r.json["model"] for r in lab.server.requests] == ["glm-4.6", "my-own-model"]


def test_a_bad_value_is_said_in_one_line_and_nothing_is_set(browser: Browser, lab: Lab) -> None:
    with lab.open(browser, lab.write(LOAD, PANEL, "%config GlmMagic.stop")) as notebook:
        notebook.run(0)
        notebook.run(1)
        form = notebook.output(1)
        for name, text, line in (
            ("temperature", "hot", "temperature=hot is not allowed: hot is no number"),
            ("max_tokens", "0", "max_tokens=0 is not allowed: 0 is not 1 or more"),
            ("stop", "[<img src=x onerror=window.pwned=1>", "stop=[<img src=x onerror="),
        ):
            field(form, name).fill(text)
            field(form, name).press("Tab")
            expect(form.get_by_role("status")).to_contain_text(line)
            expect(field(form, name)).to_have_value("")
        notebook.screenshot("panel-refused")
        expect(form.get_by_role("status").locator("*")).to_have_count(0)
        assert notebook.page.evaluate("window.pwned") is None
        notebook.run(2)
        expect(notebook.output(2)).to_contain_text("[]")


def test_web_search_is_switched_on_by_keyboard_alone(browser: Browser, lab: Lab) -> None:
    with lab.open(browser, lab.write(LOAD, PANEL, "%%glm\nHello")) as notebook:
        notebook.run(0)
        notebook.run(1)
        form = notebook.output(1)
        tab(form, "The model").focus()
        notebook.page.keyboard.press("ArrowRight")
        notebook.page.keyboard.press("Enter")
        switch = field(form, "web_search")
        expect(switch).to_be_visible()
        switch.press("Space")
        expect(form.get_by_role("status")).to_have_text("web_search = True")
        notebook.run(2)
        (request,) = lab.server.requests
        assert request.json["tools"][0]["type"] == "web_search"


def test_opened_in_another_cell_the_form_closes_where_it_was(browser: Browser, lab: Lab) -> None:
    with lab.open(browser, lab.write(LOAD, PANEL, PANEL)) as notebook:
        for index in (0, 1, 2):
            notebook.run(index)
        expect(notebook.output(1)).to_contain_text("the form is open elsewhere")
        expect(notebook.output(1).locator(".jupyter-widgets")).to_have_count(0)
        expect(field(notebook.output(2), "model")).to_be_visible()
        notebook.screenshot("panel-below")
        notebook.run(1)
        expect(field(notebook.output(1), "model")).to_be_visible()
        expect(notebook.output(2)).to_contain_text("the form is open elsewhere")


@pytest.mark.parametrize("kernel", [False, True], ids=["without a kernel", "with a new kernel"])
def test_a_notebook_opened_again_says_how_to_get_the_form(
    browser: Browser, lab: Lab, kernel: bool
) -> None:
    name = lab.write(LOAD, PANEL)
    with lab.open(browser, name) as notebook:
        notebook.run(0)
        notebook.run(1)
        expect(field(notebook.output(1), "model")).to_be_visible()
        notebook.save()
    saved = lab.read(name)
    assert "widgets" not in saved.metadata
    assert [output.data["text/plain"] for output in saved.cells[1].outputs] == [
        TITLE,
        "the form is not open",
    ]
    with lab.open(browser, name, kernel=kernel) as notebook:
        expect(notebook.output(1)).to_contain_text(TITLE)
        notebook.screenshot(f"panel-reopened-{'kernel' if kernel else 'none'}")
