"""The settings of a session: set all or none, and known whence each value comes."""

import pytest
from traitlets import TraitError
from traitlets.config import Config

from glm_magic.errors import SettingsError
from glm_magic.session.names import did_you_mean
from glm_magic.session.settings import GlmMagic


def refusal(**pairs: str) -> str:
    settings = GlmMagic()
    with pytest.raises(SettingsError) as caught:
        settings.assign(pairs)
    assert "\n" not in str(caught.value)
    assert [row.origin for row in settings.rows()] == ["default"] * 34
    return str(caught.value)


def test_every_setting_has_a_default_and_a_meaning() -> None:
    rows = GlmMagic().rows()
    assert [(row.name, row.value, row.origin) for row in rows] == [
        ("endpoint", "auto", "default"),
        ("model", "glm-4.7-flash", "default"),
        ("embedding_model", "embedding-3", "default"),
        ("system", "", "default"),
        ("temperature", None, "default"),
        ("top_p", None, "default"),
        ("max_tokens", None, "default"),
        ("stop", [], "default"),
        ("thinking", None, "default"),
        ("effort", None, "default"),
        ("max_tool_rounds", 10, "default"),
        ("web_search", False, "default"),
        ("search_engine", "auto", "default"),
        ("search_count", None, "default"),
        ("search_recency", None, "default"),
        ("search_domain", "", "default"),
        ("chat", "", "default"),
        ("keep_reasoning", False, "default"),
        ("reasoning", "fold", "default"),
        ("footer", True, "default"),
        ("cache", False, "default"),
        ("store", "auto", "default"),
        ("budget", None, "default"),
        ("catalog", "", "default"),
        ("connect_timeout_s", 10.0, "default"),
        ("first_byte_timeout_s", 120.0, "default"),
        ("idle_timeout_s", 60.0, "default"),
        ("total_timeout_s", None, "default"),
        ("max_retries", 2, "default"),
        ("retry_base_s", 0.5, "default"),
        ("max_event_bytes", 67108864, "default"),
        ("tier", "free", "default"),
        ("concurrency", None, "default"),
        ("auth", "key", "default"),
    ]
    assert all(row.help.endswith(".") for row in rows)
    assert GlmMagic.setting_names() == [row.name for row in rows]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("endpoint", "zai", "zai"),
        ("endpoint", " https://llm.example.org/v1 ", "https://llm.example.org/v1"),
        ("endpoint", "auto", "auto"),
        ("model", " glm-4.7 ", "glm-4.7"),
        ("system", "You are a pirate.", "You are a pirate."),
        ("system", "", ""),
        ("temperature", "0", 0.0),
        ("temperature", "2", 2.0),
        ("temperature", "None", None),
        ("top_p", "0.01", 0.01),
        ("max_tokens", "1", 1),
        ("max_tokens", "None", None),
        ("thinking", "on", "on"),
        ("thinking", "off", "off"),
        ("thinking", "None", None),
        ("web_search", "true", True),
        ("web_search", "0", False),
        ("search_engine", "search_pro", "search_pro"),
        ("idle_timeout_s", "0.5", 0.5),
        ("total_timeout_s", "None", None),
        ("max_retries", "0", 0),
        ("tier", "tier5", "tier5"),
        ("concurrency", "3", 3),
        ("auth", "jwt", "jwt"),
        ("stop", "END", ["END"]),
        ("stop", '["END", "###"]', ["END", "###"]),
        ("stop", "", []),
        ("effort", "none", "none"),
        ("effort", "None", None),
        ("temperature", "none", None),
        ("web_search", "on", True),
        ("footer", "off", False),
        ("search_count", "50", 50),
        ("search_recency", "oneDay", "oneDay"),
        ("chat", "story-2.b", "story-2.b"),
        ("chat", "故事", "故事"),
        ("reasoning", "hide", "hide"),
        ("budget", "5.00", 5.0),
        ("budget", "0", 0.0),
        ("system", '~/x "quoted"', '~/x "quoted"'),
    ],
)
def test_a_setting_is_read_from_text(name: str, text: str, value: object) -> None:
    settings = GlmMagic()
    settings.assign({name: text})
    assert getattr(settings, name) == value
    assert settings.origin(name) == "session"


def test_several_settings_are_set_at_once() -> None:
    settings = GlmMagic()
    settings.assign({"model": "glm-4.6", "temperature": "0.5"})
    assert (settings.model, settings.temperature) == ("glm-4.6", 0.5)


@pytest.mark.parametrize(
    "wrong", [{"temperature": "9"}, {"endpoint": "nowhere"}, {"model": " "}, {"no_such": "1"}]
)
def test_one_wrong_value_and_nothing_is_set(wrong: dict[str, str]) -> None:
    refusal(model="glm-4.6", **wrong) if "model" not in wrong else refusal(top_p="1", **wrong)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("temperature", "-0.1"),
        ("temperature", "2.1"),
        ("temperature", "warm"),
        ("temperature", "nan"),
        ("temperature", "inf"),
        ("top_p", "1.1"),
        ("top_p", "nan"),
        ("max_tokens", "0"),
        ("max_tokens", "1.5"),
        ("thinking", "maybe"),
        ("web_search", "perhaps"),
        ("model", ""),
        ("embedding_model", ""),
        ("connect_timeout_s", "-1"),
        ("first_byte_timeout_s", "inf"),
        ("idle_timeout_s", "nan"),
        ("total_timeout_s", "soon"),
        ("max_retries", "-1"),
        ("retry_base_s", "inf"),
        ("max_event_bytes", "0"),
        ("tier", "tier6"),
        ("concurrency", "0"),
        ("auth", "oauth"),
        ("stop", '["a", 1]'),
        ("stop", '["a"'),
        ("stop", '["a", "b", "c", "d", "e"]'),
        ("effort", "huge"),
        ("search_count", "51"),
        ("search_recency", "yesterday"),
        ("chat", "a b"),
        ("chat", "../x"),
        ("reasoning", "loud"),
        ("footer", "maybe"),
        ("budget", "five"),
        ("budget", "-1"),
        ("budget", "5 CNY"),
        ("catalog", "/no/such/folder"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, text: str) -> None:
    assert refusal(**{name: text}).startswith(f"{name}={text} is not allowed: ")


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("thinking", "maybe", "maybe is not on, off or None"),
        ("temperature", "9", "9 is not from 0 to 2"),
        ("temperature", "hot", "hot is no number"),
        ("max_tokens", "0", "0 is not 1 or more"),
        ("max_tokens", "1.5", "1.5 is no whole number"),
        ("budget", "-1", "-1 is not 0 or more"),
        ("budget", "five", "five is no number"),
        ("web_search", "perhaps", "perhaps is not on or off"),
        ("model", "", "a model has a name"),
    ],
)
def test_a_refusal_says_what_would_be_right(name: str, text: str, reason: str) -> None:
    assert refusal(**{name: text}) == f"{name}={text} is not allowed: {reason}"


def test_a_refused_endpoint_says_why() -> None:
    assert "use auto, bigmodel, zai" in refusal(endpoint="nowhere")
    assert "in the clear" in refusal(endpoint="http://llm.example.org/v1")


KEY = "0123456789abcdef0123456789abcdef.ABCDEFGHIJKLMNOP"


@pytest.mark.parametrize("name", ["model", "embedding_model", "system", "search_engine", "chat"])
def test_a_key_is_no_value_of_any_setting(name: str) -> None:
    settings = GlmMagic()
    with pytest.raises(TraitError, match="looks like an API key"):
        setattr(settings, name, KEY)


def test_an_unknown_name_suggests_the_nearest() -> None:
    assert refusal(temprature="1") == "unknown setting 'temprature'; did you mean 'temperature'?"
    assert refusal(zzz="1") == "unknown setting 'zzz'"


def test_what_traitlets_has_of_its_own_is_no_setting() -> None:
    assert "unknown setting 'parent'" in refusal(parent="x")
    assert "unknown setting 'log'" in refusal(log="x")


def test_a_config_file_sets_and_is_named_as_the_origin() -> None:
    settings = GlmMagic(config=Config({"GlmMagic": {"model": "glm-4.6", "temperature": 0.3}}))
    assert (settings.model, settings.temperature) == ("glm-4.6", 0.3)
    assert settings.origin("model") == "config"
    assert settings.origin("top_p") == "default"


def test_a_value_of_a_config_file_that_is_the_default_is_still_chosen() -> None:
    settings = GlmMagic(config=Config({"GlmMagic": {"model": "glm-4.7-flash"}}))
    assert settings.origin("model") == "config"


def test_what_is_set_later_comes_from_the_session() -> None:
    settings = GlmMagic(config=Config({"GlmMagic": {"model": "glm-4.6"}}))
    settings.assign({"model": "glm-4.6"})
    assert settings.origin("model") == "session"


def test_percent_config_sets_the_same_settings() -> None:
    settings = GlmMagic()
    settings.update_config(Config({"GlmMagic": {"model": "glm-5"}}))
    settings.top_p = 0.5
    assert settings.model == "glm-5"
    assert settings.origin("model") == "session"
    assert settings.origin("top_p") == "session"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("endpoint", "http://llm.example.org/v1"),
        ("endpoint", "nowhere"),
        ("model", ""),
        ("temperature", 3.0),
        ("top_p", float("nan")),
        ("max_tokens", 0),
    ],
)
def test_a_wrong_value_is_refused_however_it_is_set(name: str, value: object) -> None:
    settings = GlmMagic()
    with pytest.raises(TraitError):
        setattr(settings, name, value)
    assert settings.origin(name) == "default"


@pytest.mark.parametrize(
    ("word", "hint"),
    [("modl", "; did you mean 'model'?"), ("model", "; did you mean 'model'?"), ("qq", "")],
)
def test_the_nearest_word_is_suggested(word: str, hint: str) -> None:
    assert did_you_mean(word, ["model", "endpoint"]) == hint


# -- taken back, and overridden by a line ------------------------------------------------------


def test_a_setting_is_taken_back_to_its_default_or_its_file() -> None:
    settings = GlmMagic(config=Config({"GlmMagic": {"model": "glm-4.6"}}))
    settings.assign({"model": "glm-5", "temperature": "0.5", "top_p": "0.9"})
    assert settings.reset("temperature") == ("temperature",)
    assert (settings.temperature, settings.origin("temperature")) == (None, "default")
    assert settings.reset() == ("model", "top_p")
    assert (settings.model, settings.origin("model")) == ("glm-4.6", "config")
    assert settings.reset() == ()


def test_an_unknown_name_is_not_taken_back() -> None:
    with pytest.raises(SettingsError, match="unknown setting 'modl'; did you mean 'model'"):
        GlmMagic().reset("modl")


def test_a_line_overrides_and_changes_nothing() -> None:
    settings = GlmMagic()
    settings.assign({"top_p": "0.9"})
    chosen = settings.over({"temperature": 0.5, "chat": "story"})
    assert (chosen.temperature, chosen.chat, chosen.top_p) == (0.5, "story", 0.9)
    assert (chosen.origin("temperature"), chosen.origin("top_p")) == ("line", "session")
    assert (settings.temperature, settings.origin("temperature")) == (None, "default")


def test_a_line_with_a_wrong_value_is_refused() -> None:
    with pytest.raises(SettingsError):
        GlmMagic().over({"temperature": 9.0})


def test_numbers_have_units() -> None:
    units = {row.name: row.unit for row in GlmMagic().rows() if row.unit}
    assert units == {
        "max_tokens": "tokens",
        "max_tool_rounds": "rounds",
        "search_count": "pages",
        "budget": "CNY or USD",
        "connect_timeout_s": "s",
        "first_byte_timeout_s": "s",
        "idle_timeout_s": "s",
        "total_timeout_s": "s",
        "retry_base_s": "s",
        "max_event_bytes": "bytes",
    }


def test_what_percent_config_has_set_is_taken_back() -> None:
    config = Config({"GlmMagic": {"top_p": 0.9}})
    settings = GlmMagic(config=config)
    config.GlmMagic.temperature = 0.7  # as `%config GlmMagic.temperature = 0.7` does
    settings.temperature = 0.7
    assert settings.reset() == ("temperature",)
    assert (settings.temperature, settings.origin("temperature")) == (None, "default")
