"""`%glm config panel` as a person uses it in JupyterLab: seen, moved, typed into, opened again."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from lab import Lab, Notebook, Theme
from playwright.sync_api import Browser, Locator, expect

LOAD = "%load_ext glm_magic"
PANEL = "%glm config panel"
TITLE = "the settings of this session as a form; run the cell again to open it anew"


# The cells of a notebook that many tests share, by what they are for.
CELLS = {
    "load": LOAD,
    "panel": PANEL,
    "ask": "%%glm\nHello",
    "ask again": "%%glm\nHello",
    "set": "%glm config temperature=0.333 thinking=off",
    "temperature": "%config GlmMagic.temperature",
    "reset": "%glm config reset",
    "stop": "%config GlmMagic.stop",
    "another panel": PANEL,
}
AT = {name: index for index, name in enumerate(CELLS)}


@pytest.fixture(scope="module")
def shared(browser: Browser, jupyterlab: Lab) -> Iterator[Notebook]:
    """One notebook of these cells, opened once."""
    with jupyterlab.open(browser, jupyterlab.write(*CELLS.values())) as notebook:
        notebook.run(AT["load"])
        yield notebook


@pytest.fixture
def notebook(shared: Notebook, lab: Lab) -> Notebook:
    """The notebook with a form that shows the defaults, nothing sent."""
    shared.run(AT["reset"])
    shared.run(AT["panel"])
    return shared


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


def test_an_arrow_key_moves_the_slider_by_one_step(notebook: Notebook) -> None:
    form = notebook.output(AT["panel"])
    expect(form.get_by_role("slider")).to_have_count(2)
    temperature, top_p = form.get_by_role("slider").all()
    for _ in range(3):
        temperature.press("ArrowLeft")
    top_p.press("ArrowLeft")
    expect(field(form, "temperature")).to_have_value("0.85")
    expect(field(form, "top_p")).to_have_value("0.99")


def test_the_form_follows_what_a_cell_sets_and_rounds_nothing(notebook: Notebook) -> None:
    form = notebook.output(AT["panel"])
    notebook.run(AT["set"])
    expect(field(form, "temperature")).to_have_value("0.333")
    expect(field(form, "thinking")).to_have_value("off")
    expect(form.get_by_role("slider").first).to_have_attribute("aria-valuetext", "0.35")
    # By the time that another control has spoken, the slider would have, too.
    field(form, "max_tokens").fill("64")
    field(form, "max_tokens").press("Enter")
    expect(form.get_by_role("status")).to_have_text("max_tokens = 64")
    notebook.run(AT["temperature"])
    expect(notebook.output(AT["temperature"])).to_contain_text("0.333")
    notebook.run(AT["reset"])
    expect(field(form, "temperature")).to_have_value("")
    expect(field(form, "max_tokens")).to_have_value("")
    expect(field(form, "thinking")).to_have_value(re.compile("default|None"))
    expect(form.get_by_label("default").first).to_be_checked()


def test_a_model_is_chosen_from_the_list_or_typed(notebook: Notebook, lab: Lab) -> None:
    lab.server.models.add("my-own-model")
    form = notebook.output(AT["panel"])
    model = field(form, "model")
    expect(model).to_be_visible()
    listed = form.locator("datalist option").evaluate_all("each => each.map(o => o.value)")
    assert {"glm-4.6", "glm-4.7-flash"} < set(listed)
    for cell, chosen in (("ask", "glm-4.6"), ("ask again", "my-own-model")):
        model.fill(chosen)
        model.press("Tab")
        expect(form.get_by_role("status")).to_have_text(f"model = '{chosen}'")
        notebook.run(AT[cell])
    assert [r.json["model"] for r in lab.server.requests] == ["glm-4.6", "my-own-model"]


def test_a_bad_value_is_said_in_one_line_and_nothing_is_set(notebook: Notebook) -> None:
    form = notebook.output(AT["panel"])
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
    notebook.run(AT["stop"])
    expect(notebook.output(AT["stop"])).to_contain_text("[]")


def test_web_search_is_switched_on_by_keyboard_alone(notebook: Notebook, lab: Lab) -> None:
    form = notebook.output(AT["panel"])
    tab(form, "The model").focus()
    notebook.page.keyboard.press("ArrowRight")
    notebook.page.keyboard.press("Enter")
    switch = field(form, "web_search")
    expect(switch).to_be_visible()
    switch.press("Space")
    expect(form.get_by_role("status")).to_have_text("web_search = True")
    notebook.run(AT["ask"])
    (request,) = lab.server.requests
    assert request.json["tools"][0]["type"] == "web_search"


def test_opened_in_another_cell_the_form_closes_where_it_was(notebook: Notebook) -> None:
    first, second = notebook.output(AT["panel"]), notebook.output(AT["another panel"])
    notebook.run(AT["another panel"])
    expect(first).to_contain_text("the form is open elsewhere")
    expect(first.locator(".jupyter-widgets")).to_have_count(0)
    expect(field(second, "model")).to_be_visible()
    notebook.screenshot("panel-below")
    notebook.run(AT["panel"])
    expect(field(first, "model")).to_be_visible()
    expect(second).to_contain_text("the form is open elsewhere")


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
