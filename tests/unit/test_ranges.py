"""Values out of a model's range are refused before they are sent, with the range."""

from dataclasses import replace
from typing import Any

import pytest

from glm_magic.api.endpoints import LOCAL, Endpoint, parse_endpoint
from glm_magic.api.ranges import check_ranges, efforts_of
from glm_magic.api.requests import ChatRequest, Message
from glm_magic.api.tool import WebSearch
from glm_magic.errors import SettingsError

BIGMODEL = parse_endpoint("bigmodel")
CODING = parse_endpoint("coding")
OTHER = parse_endpoint("https://llm.example.org/v1")
ASK = ChatRequest("glm-4.7", (Message("user", "hi"),))


def refusal(endpoint: Endpoint = BIGMODEL, **fields: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        check_ranges(replace(ASK, **fields), endpoint)
    return str(caught.value)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"temperature": 1.5}, "temperature=1.5 is out of range for glm-4.7: from 0 to 1"),
        ({"top_p": 0.0}, "top_p=0.0 is out of range for glm-4.7: from 0.01 to 1"),
        (
            {"max_tokens": 200_000},
            "max_tokens=200000 is out of range for glm-4.7: from 1 to 131,072",
        ),
        (
            {"model": "glm-5.3", "thinking": False},
            "thinking=off is not possible: glm-5.3 always reasons; effort=low makes it short",
        ),
        (
            {"model": "glm-4-plus", "thinking": True},
            "thinking=on is not possible: glm-4-plus does not reason",
        ),
        (
            {"effort": "low"},
            "effort=low is not possible: glm-4.7 takes no effort; GLM-5.2 and later do",
        ),
        (
            {"model": "GLM-5.3-flash", "effort": "medium"},
            "effort=medium is out of range for GLM-5.3-flash: one of low, high, max",
        ),
        (
            {"web_search": WebSearch("search_pro_sogou", count=15)},
            "search_count=15 is out of range for search_pro_sogou: 10, 20, 30, 40 or 50",
        ),
        (
            {"web_search": WebSearch("search_pro_quark", domain="example.com")},
            "search_domain is not possible with search_pro_quark: use search_std, search_pro, "
            "search_pro_sogou",
        ),
    ],
)
def test_what_the_model_does_not_take_is_refused_with_its_range(
    fields: dict[str, Any], line: str
) -> None:
    assert refusal(**fields) == line


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"temperature": 0.0},
        {"temperature": 1.0, "top_p": 0.01, "max_tokens": 131_072},
        {"thinking": False},
        {"model": "glm-5.3", "effort": "low"},
        {"model": "glm-5.2", "effort": "none"},
        {"model": "my-fine-tuned", "effort": "medium", "max_tokens": 10**9, "thinking": False},
        {"web_search": WebSearch("search_pro_sogou", count=50, domain="example.com")},
        {"web_search": WebSearch("search_std", count=7)},
    ],
)
def test_what_it_takes_passes(fields: dict[str, Any]) -> None:
    check_ranges(replace(ASK, **fields), BIGMODEL)


def test_the_coding_plan_lets_reasoning_be_switched_off() -> None:
    check_ranges(replace(ASK, model="glm-5.3", thinking=False), CODING)


@pytest.mark.parametrize("endpoint", [OTHER, LOCAL])
def test_other_servers_take_what_they_take(endpoint: Endpoint) -> None:
    fields: dict[str, Any] = {
        "temperature": 2.0,
        "top_p": 0.0,
        "max_tokens": 10**7,
        "effort": "low",
    }
    check_ranges(replace(ASK, **fields), endpoint)


def test_of_a_model_that_is_not_in_the_table_nothing_is_known() -> None:
    assert efforts_of("glm-4.7") == ()
    assert efforts_of("somebody/model") is None
