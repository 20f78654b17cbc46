"""Where requests go, and which addresses are refused."""

import pytest

from glm_magic.api.endpoints import LOCAL, Endpoint, is_loopback, parse_endpoint
from glm_magic.errors import SettingsError


@pytest.mark.parametrize(
    ("name", "url", "host"),
    [
        ("bigmodel", "https://open.bigmodel.cn/api/paas/v4", "open.bigmodel.cn"),
        ("zai", "https://api.z.ai/api/paas/v4", "api.z.ai"),
        ("coding", "https://open.bigmodel.cn/api/coding/paas/v4", "open.bigmodel.cn"),
        ("coding-zai", "https://api.z.ai/api/coding/paas/v4", "api.z.ai"),
    ],
)
def test_each_site_of_the_platform_has_a_name(name: str, url: str, host: str) -> None:
    assert parse_endpoint(name) == Endpoint(name, url)
    assert parse_endpoint(url) == Endpoint(name, url)
    assert parse_endpoint(f" {url}/ ") == Endpoint(name, url)
    assert parse_endpoint(name).host == host
    assert parse_endpoint(name).speaks_glm


def test_local_is_the_engine_in_this_process() -> None:
    assert parse_endpoint("local") is LOCAL
    assert LOCAL.is_local
    assert LOCAL.host == "local"
    assert not parse_endpoint("zai").is_local


@pytest.mark.parametrize(
    "url",
    [
        "https://llm.example.org/v1",
        "https://llm.example.org:8443/v1",
        "http://localhost:8000/v1",
        "http://127.0.0.1:8000/v1",
        "http://127.8.8.8/v1",
        "http://[::1]:8000/v1",
    ],
)
def test_any_other_url_is_an_endpoint(url: str) -> None:
    assert parse_endpoint(url) == Endpoint("url", url)


def test_a_host_is_shown_with_its_port() -> None:
    assert parse_endpoint("http://127.0.0.1:8000/v1").host == "127.0.0.1:8000"


@pytest.mark.parametrize(
    ("url", "speaks_glm"),
    [
        ("http://localhost:8000/v1", False),
        ("http://localhost:8000/api/paas/v4", True),
        ("https://proxy.example.org/zhipu/api/paas/v4", True),
        ("https://llm.example.org/v4", False),
    ],
)
def test_the_path_tells_who_understands_the_fields_of_glm(url: str, speaks_glm: bool) -> None:
    assert parse_endpoint(url).speaks_glm is speaks_glm


@pytest.mark.parametrize("text", ["", "bigmodle", "auto", "ftp://a.org", "https://", "a.org/v1"])
def test_what_is_neither_a_name_nor_a_url_is_refused_with_the_names(text: str) -> None:
    with pytest.raises(SettingsError, match="use auto, bigmodel, zai, coding, coding-zai, local"):
        parse_endpoint(text)


@pytest.mark.parametrize(
    "url",
    [
        "http://llm.example.org/v1",
        "http://192.168.0.7:8000/v1",
        "http://0.0.0.0:8000/v1",
        "http://localhost.example.org/v1",
        "http://127.0.0.1.example.org/v1",
        "http://2130706433/v1",
        "http://[::ffff:8.8.8.8]/v1",
    ],
)
def test_plain_http_never_leaves_this_machine(url: str) -> None:
    with pytest.raises(SettingsError, match="in the clear"):
        parse_endpoint(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://me:word@llm.example.org/v1",
        "https://open.bigmodel.cn@evil.example/v1",
        "https://@evil.example/v1",
        "https://llm.example.org/v1?key=abc",
        "https://llm.example.org/v1#top",
    ],
)
def test_a_url_with_more_than_a_host_and_a_path_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="no user, query or fragment") as caught:
        parse_endpoint(url)
    assert "word" not in str(caught.value)
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://llm.example.org:99999/v1",
        "https://llm.example.org:x/v1",
        "https://[::1/v1",
        "https://llm example.org/v1",
        "https://llm.example.org/v1\r\nHost: a",
        "https://llm.example.org/v\t1",
        "https://evil.example\\@open.bigmodel.cn/api/paas/v4",
        "https://llm.example.org\\v1",
    ],
)
def test_a_broken_url_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(SettingsError, match="no valid URL") as caught:
        parse_endpoint(url)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.255.255.254", True),
        ("::1", True),
        ("::2", False),
        ("10.0.0.1", False),
        ("localhost.", False),
        ("example.org", False),
    ],
)
def test_loopback_is_this_machine_alone(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
