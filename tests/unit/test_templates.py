"""Prompt templates: kept with their options, filled once, refused in one line."""

import pytest

from glm_magic.errors import SettingsError
from glm_magic.render.templates import render_templates, render_templates_plain
from glm_magic.session.templates import PromptTemplate, Templates

POEM = PromptTemplate("poem", "A poem on {{ topic }} in {{ lang }}", ("-s", "{{ persona }}"))


def test_the_variables_are_those_of_text_and_options() -> None:
    assert POEM.variables == ("topic", "lang", "persona")


def test_a_template_is_filled_with_values_of_the_notebook() -> None:
    assert POEM.fill({"topic": "rain", "lang": "{{ x }}"}) == "A poem on rain in {{ x }}"


def test_the_cell_that_uses_it_stands_below_or_where_it_is_named() -> None:
    below = PromptTemplate("t", "Translate:\n")
    named = PromptTemplate("t", "<text>{{ body }}</text>")
    assert below.fill({}, "some text") == "Translate:\n\nsome text"
    assert below.fill({}, " \n") == "Translate:\n"
    assert named.fill({}, "{{ text }}") == "<text>{{ text }}</text>"
    assert named.fill({"body": "mine"}, "") == "<text></text>"


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(SettingsError, match="unknown variable 'lang'"):
        POEM.fill({"topic": "rain"})


def test_templates_are_found_by_name_and_replaced() -> None:
    templates = Templates()
    templates.keep(POEM)
    templates.keep(PromptTemplate("poem", "another"))
    assert templates.find("poem").text == "another"
    assert templates.names() == ("poem",)


@pytest.mark.parametrize("text", ["", " \n", "{{ x", "{{ }}", "{{ 1 + }}"])
def test_an_empty_or_broken_template_is_not_kept(text: str) -> None:
    templates = Templates()
    with pytest.raises(SettingsError) as caught:
        templates.keep(PromptTemplate("t", text))
    assert "\n" not in str(caught.value)
    assert templates.all() == ()


def test_an_unknown_template_names_the_nearest() -> None:
    templates = Templates()
    templates.keep(POEM)
    with pytest.raises(SettingsError, match="no template 'peom' in this session; did you mean"):
        templates.find("peom")
    with pytest.raises(SettingsError, match="`%glm templates` lists them"):
        templates.find("zzzz")


def test_the_list_shows_text_as_text() -> None:
    html = render_templates([PromptTemplate("t", "<img src=x> {{ a }}")])
    assert "<img" not in html
    assert "&lt;img src=x&gt;" in html
    assert " ".join(render_templates_plain([POEM]).splitlines()[1].split()) == (
        "poem topic, lang, persona -s {{ persona }} A poem on {{ topic }} in {{ lang }}"
    )
