"""`%glm config panel` in a real kernel: what it shows, what it sets, and that none of it stays."""

from __future__ import annotations

from typing import Any

import pytest
from glm_server import GlmServer
from kernels import Cell, Kernel

PANEL = "%glm config panel"
VIEW = "application/vnd.jupyter.widget-view+json"
TITLE = "the settings of this session as a form; run the cell again to open it anew"
CANARY = "c4nary0123456789abcdef.Tw33tTw33tTw33t"
# A change from the front end is a change of `value` too.
LOOK = """
from ipywidgets.widgets.widget import _instances
def part(name, kind):
    found = [w for w in _instances.values() if type(w).__name__ == kind]
    (part,) = [w for w in found if name in (w.description, w.tooltip)]
    return part
def status():
    values = [str(getattr(w, "value", "")) for w in _instances.values()]
    return next(value for value in values if 'role="status"' in value)
settings = next(c for c in get_ipython().configurables if type(c).__name__ == "GlmMagic")
GREEDY = settings.settings()["temperature"].help
"""


@pytest.fixture
def panel(kernel: Kernel) -> Kernel:
    """The kernel with the form open."""
    assert kernel.run(PANEL).status == "ok"
    kernel.run(LOOK)
    return kernel


def open_models(kernel: Kernel) -> int:
    count: int = kernel.value("len(__import__('ipywidgets').widgets.widget._instances)")
    return count


def shown(kernel: Kernel, name: str, kind: str = "Text") -> Any:
    return kernel.value(f"part({name!r}, {kind!r}).value")


def enter(kernel: Kernel, name: str, value: object, kind: str = "Text") -> Cell:
    return kernel.run(f"part({name!r}, {kind!r}).value = {value!r}")


def setting(kernel: Kernel, name: str) -> Any:
    return kernel.value(f"settings.{name}")


def test_a_line_stands_above_the_form_for_those_who_open_the_notebook_again(
    kernel: Kernel,
) -> None:
    cell = kernel.run(PANEL)
    title, form = cell.outputs
    assert (title["data"].keys(), title["data"]["text/plain"]) == (
        {"text/html", "text/plain"},
        TITLE,
    )
    assert (form["data"].keys(), form["data"]["text/plain"]) == (
        {VIEW, "text/plain"},
        "the form is not open",
    )
    assert (cell.stdout, cell.stderr) == ("", "")


def test_every_setting_has_a_control_with_its_name(panel: Kernel) -> None:
    described = panel.value("[getattr(w, 'description', '') for w in _instances.values()]")
    names = panel.value("settings.setting_names()")
    assert sorted(set(described) & set(names)) == sorted(names)
    assert all(described.count(name) == 1 for name in names)


def test_the_form_is_made_of_no_more_models_than_it_needs(panel: Kernel) -> None:
    assert open_models(panel) < 120


def test_only_the_last_form_is_open_and_nothing_is_left_of_the_others(kernel: Kernel) -> None:
    before = open_models(kernel)
    first = kernel.run(PANEL)
    once = open_models(kernel)
    cells = [kernel.run(PANEL), kernel.run(PANEL)]
    assert open_models(kernel) == once
    updates = cells[0].contents("update_display_data")
    assert [u["data"]["text/plain"] for u in updates] == [
        "the form is open elsewhere; run the cell again to open it here",
        "",
    ]
    ids = [output["transient"]["display_id"] for output in first.outputs]
    assert [u["transient"]["display_id"] for u in updates] == ids
    opened = {c["comm_id"] for cell in (first, *cells) for c in cell.contents("comm_open")}
    closed = {c["comm_id"] for cell in (first, *cells) for c in cell.contents("comm_close")}
    assert len(opened - closed) == once - before
    assert kernel.value(OBSERVERS) == 1


OBSERVERS = """sum(
    'Panel' in getattr(each, '__qualname__', '')
    for c in get_ipython().configurables if type(c).__name__ == 'GlmMagic'
    for each in c._trait_notifiers['model']['change']
)"""


def test_unloading_closes_the_form(panel: Kernel) -> None:
    cell = panel.run("%unload_ext glm_magic")
    assert open_models(panel) == 0
    closed, _ = cell.contents("update_display_data")
    assert closed["data"]["text/plain"] == "the form is closed; run the cell again to open it anew"
    panel.run("settings.temperature = 0.4")
    assert open_models(panel) == 0


def test_a_run_that_nobody_watches_gets_the_table(kernel: Kernel) -> None:
    cell = kernel.run(PANEL, allow_stdin=False)
    assert (cell.status, cell.contents("comm_open")) == ("ok", [])
    assert cell.output["data"].keys() == {"text/html", "text/plain"}
    assert "temperature" in cell.html
    assert "%glm config NAME=VALUE" in cell.stdout


# -- from the form to the settings ---------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "entered", "value"),
    [
        ("model", "Combobox", "my-own-model", "my-own-model"),
        ("system", "Textarea", "Be kind.\nBe brief.", "Be kind.\nBe brief."),
        ("temperature", "Text", "0.333", 0.333),
        ("max_tokens", "Text", "100", 100),
        ("stop", "Text", "END", ["END"]),
        ("stop", "Text", '["a b", "c"]', ["a b", "c"]),
        ("thinking", "Dropdown", "off", "off"),
        ("effort", "Dropdown", "none", "none"),
        ("web_search", "Checkbox", True, True),
        ("budget", "Text", "0.5", 0.5),
        ("idle_timeout_s", "Text", "7", 7.0),
    ],
)
def test_a_control_sets_its_setting_for_the_session(
    panel: Kernel, name: str, kind: str, entered: object, value: object
) -> None:
    enter(panel, name, entered, kind)
    assert setting(panel, name) == value
    assert panel.value(f"settings.origin({name!r})") == "session"
    assert shown(panel, name, kind) == entered
    assert f"{name} = " in panel.value("status()")


def test_an_empty_field_leaves_a_number_to_the_server(panel: Kernel) -> None:
    enter(panel, "max_tokens", "100")
    enter(panel, "max_tokens", "")
    assert setting(panel, "max_tokens") is None
    enter(panel, "max_tokens", "None")
    assert (setting(panel, "max_tokens"), shown(panel, "max_tokens")) == (None, "")


def test_the_slider_sets_steps_and_its_switch_takes_the_value_back(panel: Kernel) -> None:
    panel.run("SWITCH = 'Leave temperature to the server'")
    panel.run("slider, default = part(GREEDY, 'FloatSlider'), part(SWITCH, 'Checkbox')")
    panel.run("slider.value = 0.15000000000000002")
    assert (setting(panel, "temperature"), panel.value("default.value")) == (0.15, False)
    panel.run("default.value = True")
    assert (setting(panel, "temperature"), shown(panel, "temperature")) == (None, "")
    panel.run("default.value = False")
    assert (setting(panel, "temperature"), shown(panel, "temperature")) == (0.15, "0.15")


@pytest.mark.parametrize(
    ("name", "kind", "entered", "line"),
    [
        ("temperature", "Text", "hot", "temperature=hot is not allowed: hot is no number"),
        ("temperature", "Text", "3", "temperature=3 is not allowed: 3 is not from 0 to 2"),
        ("max_tokens", "Text", "0", "max_tokens=0 is not allowed: 0 is not 1 or more"),
        ("stop", "Text", "[1]", "stop=[1] is not allowed: a list of texts is expected"),
        ("endpoint", "Combobox", "http://example.org", "http:// would send your prompts and key"),
        ("model", "Combobox", " ", "a model has a name"),
        ("chat", "Text", "<b>", "'&lt;b&gt;' is no name"),
    ],
)
def test_a_refused_value_is_one_line_and_the_control_shows_what_is_set(
    panel: Kernel, name: str, kind: str, entered: str, line: str
) -> None:
    before = (shown(panel, name, kind), setting(panel, name))
    cell = enter(panel, name, entered, kind)
    assert (cell.status, cell.stderr) == ("ok", "")
    assert (shown(panel, name, kind), setting(panel, name)) == before
    assert line in panel.value("status()")
    assert "<b>" not in panel.value("status()")


@pytest.mark.parametrize(
    ("name", "kind"), [("model", "Combobox"), ("system", "Textarea"), ("max_tokens", "Text")]
)
def test_a_key_typed_into_the_form_is_gone_at_once(panel: Kernel, name: str, kind: str) -> None:
    enter(panel, name, CANARY, kind)
    assert "API key" in panel.value("status()")
    values = panel.value("[str(getattr(w, 'value', '')) for w in _instances.values()]")
    assert not any("Tw33t" in value for value in values)


def test_the_key_in_use_is_not_in_the_form(kernel: Kernel, server: GlmServer) -> None:
    assert server.key not in kernel.run(PANEL).text


# -- from the settings to the form ---------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "%glm config temperature=0.333",
        "%config GlmMagic.temperature = 0.333",
        "settings.temperature = 0.333",
    ],
)
def test_the_form_follows_its_settings_and_rounds_nothing(panel: Kernel, code: str) -> None:
    panel.run(code)
    assert shown(panel, "temperature") == "0.333"
    assert panel.value("part(GREEDY, 'FloatSlider').value") == 0.35
    assert setting(panel, "temperature") == 0.333


def test_options_of_a_line_do_not_move_the_form(panel: Kernel) -> None:
    panel.run("%%glm -t 0.9 -m glm-4.6\nHello")
    assert (shown(panel, "temperature"), shown(panel, "model", "Combobox")) == ("", "glm-4.7-flash")


def test_a_refused_line_leaves_the_form_as_it_was(panel: Kernel) -> None:
    panel.run("%glm config thinking=off temperature=9")
    assert (shown(panel, "thinking", "Dropdown"), shown(panel, "temperature")) == ("None", "")


@pytest.mark.parametrize("code", ["%glm config reset", "part('Reset all', 'Button').click()"])
def test_taking_all_back_moves_the_form(panel: Kernel, code: str) -> None:
    enter(panel, "thinking", "off", "Dropdown")
    panel.run("%glm config temperature=0.3")
    panel.run(code)
    assert (shown(panel, "thinking", "Dropdown"), shown(panel, "temperature")) == ("None", "")
    assert panel.value("settings.origin('thinking')") == "default"
