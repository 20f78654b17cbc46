"""One session: where a cell goes, with which key, and what it asks for."""

import asyncio
from typing import Any

import pytest

from glm_magic.api import http
from glm_magic.api.endpoints import LOCAL, Endpoint, parse_endpoint
from glm_magic.api.requests import ChatRequest, Message
from glm_magic.api.tool import WebSearch
from glm_magic.errors import SettingsError
from glm_magic.session.asking import build_exchange, choose, place_for
from glm_magic.session.options import ChatOptions
from glm_magic.session.secrets import KeyRing
from glm_magic.session.session import LocalEngine, Session
from glm_magic.session.settings import GlmMagic

KEY = {"ZAI_API_KEY": "id.secret"}
BIGMODEL = parse_endpoint("bigmodel")
ZAI = parse_endpoint("zai")
OTHER = parse_endpoint("https://llm.example.org/v1")


def session(
    environ: dict[str, str] | None = None, *, has_local: bool = False, **settings: Any
) -> Session:
    transport = http.MockTransport(lambda _: http.Response(200))
    local = LocalEngine(lambda: has_local, lambda: transport, "tiny.gguf", "tiny-embedding")
    return Session(GlmMagic(**settings), KeyRing(environ or {}), local)


def line_of(caught: pytest.ExceptionInfo[SettingsError]) -> str:
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- where ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "has_local", "name"),
    [
        (KEY, False, "bigmodel"),
        (KEY, True, "bigmodel"),
        ({**KEY, "ZAI_BASE_URL": "https://api.z.ai/api/paas/v4/"}, True, "zai"),
        ({**KEY, "ZAI_BASE_URL": "https://llm.example.org/v1"}, True, "url"),
        ({"ZHIPUAI_BASE_URL": "https://llm.example.org/v1"}, True, "url"),
        ({}, True, "local"),
    ],
)
def test_auto_takes_the_best_that_can_answer(
    environ: dict[str, str], has_local: bool, name: str
) -> None:
    assert session(environ, has_local=has_local).endpoint().name == name


@pytest.mark.parametrize("name", ["bigmodel", "zai"])
def test_auto_goes_where_a_typed_key_is_for(name: str) -> None:
    here = session(has_local=True)
    here.keys.remember(parse_endpoint(name), "id.secret")
    assert here.endpoint().name == name


def test_auto_with_nothing_that_answers_tells_how_to_get_a_key() -> None:
    with pytest.raises(SettingsError) as caught:
        session().endpoint()
    assert line_of(caught).startswith("no API key: register at open.bigmodel.cn")


def test_a_broken_base_url_in_the_environment_is_named_by_its_variable() -> None:
    with pytest.raises(SettingsError) as caught:
        session({"ZHIPUAI_BASE_URL": "http://llm.example.org/v1"}).endpoint()
    assert line_of(caught).startswith("ZHIPUAI_BASE_URL: http:// would send your prompts and key")


def test_a_chosen_endpoint_comes_before_the_environment() -> None:
    environ = {**KEY, "ZAI_BASE_URL": "https://llm.example.org/v1"}
    assert session(environ, endpoint="coding").endpoint().name == "coding"


def test_falling_back_to_the_local_engine_is_known() -> None:
    assert session(has_local=True).fell_back_to_local()
    assert not session(KEY, has_local=True).fell_back_to_local()
    assert not session(has_local=True, endpoint="local").fell_back_to_local()


@pytest.mark.parametrize(
    ("named", "setting", "environ", "host"),
    [
        (None, "auto", {}, "open.bigmodel.cn"),
        ("zai", "auto", {}, "api.z.ai"),
        ("auto", "zai", {}, "api.z.ai"),
        (None, "https://llm.example.org/v1", {}, "llm.example.org"),
        (None, "auto", {"ZAI_BASE_URL": "https://llm.example.org/v1"}, "llm.example.org"),
        ("https://a.example/v1", "zai", {}, "a.example"),
    ],
)
def test_a_login_is_for_the_endpoint_named_or_in_use(
    named: str | None, setting: str, environ: dict[str, str], host: str
) -> None:
    assert session(environ, endpoint=setting).login_endpoint(named).host == host


@pytest.mark.parametrize(("named", "setting"), [("local", "auto"), (None, "local")])
def test_the_local_engine_takes_no_login(named: str | None, setting: str) -> None:
    with pytest.raises(SettingsError, match="the local engine needs no key"):
        session(endpoint=setting).login_endpoint(named)


# -- what ----------------------------------------------------------------------------------


def request(
    here: Session, prompt: str, options: ChatOptions | None = None, endpoint: Endpoint = BIGMODEL
) -> ChatRequest:
    options = options or ChatOptions()
    place = place_for(here, options, None)
    settings = choose(here, options, place)
    return build_exchange(
        here, prompt, options, settings=settings, endpoint=endpoint, place=place
    ).request


def test_a_plain_cell_leaves_all_to_the_server() -> None:
    asked = request(session(KEY), "你好")
    assert asked == ChatRequest("glm-4.7-flash", (Message("user", "你好"),))
    assert asked.stream


def test_settings_fill_what_the_line_leaves_out() -> None:
    here = session(
        model="glm-4.6",
        system="be brief",
        temperature=0.3,
        top_p=0.8,
        max_tokens=9,
        thinking="off",
        stop=["END"],
    )
    asked = request(here, "hi")
    assert asked.model == "glm-4.6"
    assert asked.messages == (Message("system", "be brief"), Message("user", "hi"))
    assert (asked.temperature, asked.top_p, asked.max_tokens) == (0.3, 0.8, 9)
    assert asked.thinking is False
    assert asked.stop == ("END",)


def test_the_line_comes_before_the_settings() -> None:
    here = session(model="glm-4.6", system="be brief", temperature=0.3, thinking="off")
    line = {"model": "glm-5", "system": "rhyme", "temperature": 0.0, "top_p": 0.5}
    options = ChatOptions({**line, "max_tokens": 7, "thinking": "on"}, no_stream=True)
    asked = request(here, "hi", options)
    assert asked.model == "glm-5"
    assert asked.messages[0] == Message("system", "rhyme")
    assert (asked.temperature, asked.top_p, asked.max_tokens) == (0.0, 0.5, 7)
    assert asked.thinking is True
    assert not asked.stream


def test_an_empty_system_message_on_the_line_takes_the_setting_away() -> None:
    asked = request(session(system="be brief"), "hi", ChatOptions({"system": ""}))
    assert asked.messages == (Message("user", "hi"),)


def test_none_on_the_line_takes_a_number_away() -> None:
    asked = request(session(temperature=0.3), "hi", ChatOptions({"temperature": None}))
    assert asked.temperature is None


@pytest.mark.parametrize("prompt", ["", " ", "\n\n\t"])
def test_an_empty_cell_is_not_sent(prompt: str) -> None:
    with pytest.raises(SettingsError, match="the cell is empty; write the prompt below"):
        request(session(), prompt)


def test_the_local_engine_has_a_model_of_its_own() -> None:
    here = session()
    assert here.model(LOCAL) == "tiny.gguf"
    assert here.model(BIGMODEL) == "glm-4.7-flash"
    assert request(here, "hi", endpoint=LOCAL).model == "tiny.gguf"
    assert here.embedding_model(LOCAL) == "tiny-embedding"


def test_a_chosen_model_is_for_the_local_engine_too() -> None:
    here = session()
    here.settings.assign({"model": "big.gguf", "embedding_model": "big-embedding"})
    assert here.model(LOCAL) == "big.gguf"
    assert here.embedding_model(LOCAL) == "big-embedding"
    assert request(here, "hi", ChatOptions({"model": "x"}), LOCAL).model == "x"


def test_a_model_that_never_reasons_is_not_told_not_to() -> None:
    asked = request(session(thinking="off"), "hi", ChatOptions({"model": "glm-4-plus"}))
    assert asked.thinking is None


# -- web search ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "engine"),
    [
        ("bigmodel", "search_pro_sogou"),
        ("coding", "search_pro_sogou"),
        ("zai", "search_pro_jina"),
        ("coding-zai", "search_pro_jina"),
        ("https://proxy.example.org/api/paas/v4", "search_pro_sogou"),
    ],
)
def test_each_site_has_the_search_engine_that_returns_links(endpoint: str, engine: str) -> None:
    options = ChatOptions({"web_search": True})
    asked = request(session(), "hi", options, parse_endpoint(endpoint))
    assert asked.web_search == WebSearch(engine)


def test_a_chosen_search_engine_is_used() -> None:
    here = session(search_engine="search_pro_quark")
    asked = request(here, "hi", ChatOptions({"web_search": True}), ZAI)
    assert asked.web_search == WebSearch("search_pro_quark")


def test_a_search_is_narrowed_by_settings_and_line() -> None:
    here = session(search_count=20, search_recency="oneWeek")
    options = ChatOptions({"web_search": True, "search_domain": "example.com"})
    asked = request(here, "hi", options)
    assert asked.web_search == WebSearch(
        "search_pro_sogou", count=20, recency="oneWeek", domain="example.com"
    )


@pytest.mark.parametrize(
    ("setting", "option", "query", "search"),
    [
        (False, None, None, None),
        (True, None, None, WebSearch()),
        (True, False, None, None),
        (False, True, None, WebSearch()),
        (False, None, "GDP", WebSearch(query="GDP")),
        (True, False, "GDP", None),
    ],
)
def test_a_search_is_asked_for_by_the_line_the_query_or_the_settings(
    setting: bool, option: bool | None, query: str | None, search: WebSearch | None
) -> None:
    chosen = {} if option is None else {"web_search": option}
    options = ChatOptions(chosen, search_query=query)
    assert request(session(web_search=setting), "hi", options).web_search == search


@pytest.mark.parametrize(("endpoint", "host"), [(LOCAL, "local"), (OTHER, "llm.example.org")])
def test_a_search_is_refused_where_it_is_not_offered(endpoint: Any, host: str) -> None:
    with pytest.raises(SettingsError) as caught:
        request(session(), "hi", ChatOptions({"web_search": True}), endpoint)
    assert line_of(caught) == f"web search is not offered by {host}; it needs a GLM key"


# -- clients and the table of settings -----------------------------------------------------


def test_a_client_is_kept_for_as_long_as_endpoint_and_key_are_the_same() -> None:
    environ = dict(KEY)
    here = session(environ)
    first = here.client(BIGMODEL)
    assert here.client(BIGMODEL) is first
    assert here.client(ZAI) is not first
    environ["ZAI_API_KEY"] = "other.key"
    assert here.client(BIGMODEL) is not first
    asyncio.run(here.aclose())


def test_there_is_no_client_of_the_platform_without_a_key() -> None:
    with pytest.raises(SettingsError, match="no API key"):
        session().client(BIGMODEL)


def key_row(here: Session) -> tuple[object, str]:
    row = here.setting_rows()[-1]
    assert row.name == "key"
    return row.value, row.origin


def test_the_settings_say_where_the_key_is_from_and_never_the_key() -> None:
    assert key_row(session()) == (None, "default")
    here = session(KEY)
    assert key_row(here) == ("from ZAI_API_KEY", "environment")
    here.keys.remember(BIGMODEL, "typed.secret")
    assert key_row(here) == ("from %glm login", "session")
    assert "secret" not in repr(here.setting_rows())


def test_a_base_url_of_the_environment_is_shown_as_the_endpoint() -> None:
    rows = session({"ZAI_BASE_URL": "https://llm.example.org/v1"}).setting_rows()
    assert (rows[0].name, rows[0].value, rows[0].origin) == (
        "endpoint",
        "https://llm.example.org/v1",
        "environment",
    )


def test_looking_at_the_settings_does_not_tie_the_key_to_a_host() -> None:
    environ = {**KEY, "ZAI_BASE_URL": "https://llm.example.org/v1"}
    here = session(environ)
    here.setting_rows()
    environ["ZAI_BASE_URL"] = "https://other.example.org/v1"
    here.client(here.endpoint())
