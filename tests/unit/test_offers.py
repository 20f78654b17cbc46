"""What a line lets the model use: each kind alone, and one line where it cannot be had."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from glm_magic.api.endpoints import Endpoint, parse_endpoint
from glm_magic.api.tool import KnowledgeBase, McpServer, WebSearch
from glm_magic.errors import SettingsError
from glm_magic.session.offers import Offer, build_offer
from glm_magic.session.options import ChatOptions
from glm_magic.session.settings import GlmMagic

BIGMODEL, ZAI, LOCAL = map(parse_endpoint, ("bigmodel", "zai", "local"))
PROXY = parse_endpoint("https://proxy.example.org/api/paas/v4")
OPENAI = parse_endpoint("https://llm.example.org/v1")
PROMPT = "Found:\n{{ knowledge }}\nAsked: {{question}}"


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return city


def now() -> str:
    """Tell the time."""
    return ""


NAMESPACE = {"weather": weather, "now": now, "n": 5}


def offer(endpoint: Endpoint = BIGMODEL, /, **options: Any) -> Offer:
    """What a line with these options offers; those of settings stand in `settings`."""
    line = ChatOptions(**options)
    return build_offer(line, GlmMagic().over(line.settings), endpoint, NAMESPACE)


def refusal(endpoint: Endpoint = BIGMODEL, /, **options: Any) -> str:
    with pytest.raises(SettingsError) as raised:
        offer(endpoint, **options)
    line = str(raised.value)
    assert line.isprintable()
    return line


# -- each alone --------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", [BIGMODEL, ZAI, LOCAL, PROXY, OPENAI])
def test_a_bare_line_offers_nothing(endpoint: Endpoint) -> None:
    assert offer(endpoint) == Offer()


@pytest.mark.parametrize("endpoint", [BIGMODEL, ZAI, LOCAL, PROXY, OPENAI])
def test_functions_are_offered_everywhere_in_their_order(endpoint: Endpoint) -> None:
    offered = offer(endpoint, tools=("weather", "now"), confirm=True)
    assert [function.tool.name for function in offered.functions] == ["weather", "now"]
    assert (offered.knowledge, offered.mcp, offered.web_search) == (None, (), None)


@pytest.mark.parametrize(
    ("options", "base"),
    [
        ({"knowledge": "kb-1"}, KnowledgeBase("kb-1")),
        ({"knowledge": "kb-1", "knowledge_prompt": PROMPT}, KnowledgeBase("kb-1", PROMPT)),
        (
            {"knowledge": "kb-1", "knowledge_prompt": "{{knowledge}}"},
            KnowledgeBase("kb-1", "{{knowledge}}"),
        ),
    ],
)
def test_a_knowledge_base_comes_with_its_prompt(
    options: dict[str, str], base: KnowledgeBase
) -> None:
    assert offer(ZAI, **options) == Offer(knowledge=base)


@pytest.mark.parametrize("endpoint", [BIGMODEL, PROXY])
def test_servers_come_with_or_without_a_url(endpoint: Endpoint) -> None:
    servers = (("sogou", ""), ("mine", "https://mcp.example.org/sse"))
    assert offer(endpoint, mcp=servers) == Offer(
        mcp=(McpServer("sogou"), McpServer("mine", "https://mcp.example.org/sse"))
    )


@pytest.mark.parametrize(
    ("endpoint", "engine"),
    [(BIGMODEL, "search_pro_sogou"), (ZAI, "search_pro_jina"), (PROXY, "search_pro_sogou")],
)
def test_a_search_takes_the_engine_that_returns_links(endpoint: Endpoint, engine: str) -> None:
    assert offer(endpoint, settings={"web_search": True}) == Offer(web_search=WebSearch(engine))


def test_a_search_takes_what_the_settings_say() -> None:
    settings = {
        "web_search": True,
        "search_engine": "search_std",
        "search_count": 20,
        "search_recency": "oneDay",
        "search_domain": "www.example.org",
    }
    assert offer(settings=settings, search_query="GDP").web_search == WebSearch(
        "search_std", "GDP", 20, "oneDay", "www.example.org"
    )


def test_a_query_asks_for_a_search_unless_the_line_says_no() -> None:
    assert offer(search_query="GDP").web_search == WebSearch("search_pro_sogou", "GDP")
    assert offer(search_query="GDP", settings={"web_search": False}) == Offer()


# -- several kinds -----------------------------------------------------------------------------

KINDS: dict[str, dict[str, Any]] = {
    "functions (--tool)": {"tools": ("weather",)},
    "a knowledge base (--knowledge)": {"knowledge": "kb-1"},
    "MCP servers (--mcp)": {"mcp": (("sogou", ""),)},
    "web search (--no-web-search leaves it out)": {"settings": {"web_search": True}},
    "--param tools": {"params": (("tools", "[]"),)},
}


@pytest.mark.parametrize(("one", "other"), list(combinations(KINDS, 2)))
def test_two_kinds_exclude_each_other(one: str, other: str) -> None:
    assert refusal(**KINDS[one], **KINDS[other]) == (
        f"{one} and {other} exclude each other: GLM serves one kind of tools a request, functions "
        "before knowledge before the web; leave one out"
    )


def test_of_three_kinds_the_first_two_are_named() -> None:
    line = refusal(tools=("now",), mcp=(("sogou", ""),), search_query="GDP")
    assert line.startswith("functions (--tool) and MCP servers (--mcp) exclude each other: ")


def test_a_search_that_a_query_implies_is_a_kind_too() -> None:
    assert "web search" in refusal(tools=("now",), search_query="GDP")


def test_a_setting_that_searches_is_named_and_a_line_can_leave_it_out() -> None:
    settings = GlmMagic(web_search=True)
    with pytest.raises(SettingsError, match="--no-web-search leaves it out"):
        build_offer(ChatOptions(tools=("now",)), settings, BIGMODEL, NAMESPACE)
    line = ChatOptions({"web_search": False}, tools=("now",))
    offered = build_offer(line, settings.over(line.settings), BIGMODEL, NAMESPACE)
    assert [function.tool.name for function in offered.functions] == ["now"]


def test_other_fields_go_with_any_kind() -> None:
    assert offer(knowledge="kb-1", params=(("seed", "7"),)).knowledge == KnowledgeBase("kb-1")


# -- what cannot be had ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            {"tools": ("now",), "task": True},
            "functions are called while a cell waits, which a task does not; leave out --task",
        ),
        (
            {"confirm": True},
            "--confirm asks before a function is called; --tool NAME offers one",
        ),
        (
            {"knowledge_prompt": PROMPT},
            "--knowledge-prompt is for what --knowledge ID finds; give both",
        ),
        (
            {"knowledge_prompt": ""},
            "--knowledge-prompt is for what --knowledge ID finds; give both",
        ),
    ],
)
def test_options_that_miss_another_are_refused(options: dict[str, Any], line: str) -> None:
    assert refusal(**options) == line


@pytest.mark.parametrize(
    "prompt",
    ["Answer.", "{{ question }}", "Use all your knowledge on {{ question }}", "{knowledge}"],
)
def test_a_prompt_has_a_place_for_what_was_found(prompt: str) -> None:
    assert refusal(knowledge="kb-1", knowledge_prompt=prompt) == (
        "--knowledge-prompt needs {{ knowledge }}, in whose place the finds are put"
    )


@pytest.mark.parametrize(
    ("endpoint", "options", "line"),
    [
        (
            LOCAL,
            {"knowledge": "kb-1"},
            "knowledge bases are the platform's: local has none; it needs a GLM key",
        ),
        (
            OPENAI,
            {"knowledge": "kb-1"},
            "knowledge bases are the platform's: llm.example.org has none; it needs a GLM key",
        ),
        (
            ZAI,
            {"mcp": (("sogou", ""),)},
            "api.z.ai calls no MCP servers; open.bigmodel.cn does (`--endpoint bigmodel`)",
        ),
        (
            LOCAL,
            {"mcp": (("sogou", ""),)},
            "local calls no MCP servers; open.bigmodel.cn does (`--endpoint bigmodel`)",
        ),
        (
            LOCAL,
            {"search_query": "GDP"},
            "web search is not offered by local; it needs a GLM key",
        ),
        (
            OPENAI,
            {"settings": {"web_search": True}},
            "web search is not offered by llm.example.org; it needs a GLM key",
        ),
    ],
)
def test_what_an_endpoint_lacks_is_refused(
    endpoint: Endpoint, options: dict[str, Any], line: str
) -> None:
    assert refusal(endpoint, **options) == line


@pytest.mark.parametrize(
    ("name", "words"), [("wether", "did you mean 'weather'?"), ("n", "'n'")], ids=["typo", "number"]
)
def test_what_is_no_function_is_refused(name: str, words: str) -> None:
    assert words in refusal(tools=(name,))
