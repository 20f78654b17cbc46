"""API keys: never seen, found where users put them, and for one host each."""

import copy
import json
import pickle

import pytest

from glm_magic.api.endpoints import LOCAL, parse_endpoint
from glm_magic.errors import SettingsError
from glm_magic.secret import Secret
from glm_magic.session.secrets import Key, KeyRing

KEY = "0123456789abcdef.AbCdEfGhIjKlMnOp"
BIGMODEL = parse_endpoint("bigmodel")
ZAI = parse_endpoint("zai")
FOREIGN = parse_endpoint("https://llm.example.org/v1")
EVIL = parse_endpoint("https://evil.example/v1")


def ring(**environ: str) -> KeyRing:
    return KeyRing(environ)


# -- a secret ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shown",
    [
        repr(Secret(KEY)),
        str(Secret(KEY)),
        f"{Secret(KEY)}",
        f"{Secret(KEY)!r}",
        format(Secret(KEY)),
        "{}".format(Secret(KEY)),  # noqa: UP032
        "%s" % Secret(KEY),  # noqa: UP031
    ],
)
def test_every_way_of_showing_a_secret_shows_a_mark(shown: str) -> None:
    assert shown == "<secret>"


def test_a_secret_in_a_container_shows_the_mark() -> None:
    assert repr([Key(Secret(KEY), "ZAI_API_KEY")]) == (
        "[Key(secret=<secret>, origin='ZAI_API_KEY')]"
    )


def test_a_format_with_a_width_pads_the_mark() -> None:
    assert f"{Secret(KEY):>10}" == "  <secret>"


def test_a_secret_has_no_attribute_that_shows_it() -> None:
    secret = Secret(KEY)
    with pytest.raises(TypeError):
        vars(secret)
    shown = [repr(getattr(secret, name, "")) for name in dir(secret)]
    assert not [text for text in shown if KEY in text]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="a file would hold the key"):
        pickle.dumps({"key": Secret(KEY)}, protocol)


def test_a_secret_has_no_json() -> None:
    with pytest.raises(TypeError) as caught:
        json.dumps({"key": Secret(KEY)})
    assert KEY not in str(caught.value)
    assert json.dumps(Secret(KEY), default=str) == '"<secret>"'


def test_a_copy_of_a_secret_is_the_same_object() -> None:
    secret = Secret(KEY)
    assert copy.copy(secret) is secret
    assert copy.deepcopy({"key": secret})["key"] is secret


def test_a_secret_cannot_be_given_another_attribute() -> None:
    with pytest.raises(AttributeError):
        Secret(KEY).value = KEY  # type: ignore[attr-defined]


def test_a_secret_gives_its_value_when_asked() -> None:
    assert Secret(KEY).reveal() == KEY


def test_secrets_are_equal_when_their_values_are() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert Secret("a") and not Secret("")


# -- keys of the environment ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "value", "origin"),
    [
        ({"ZAI_API_KEY": "a.1"}, "a.1", "ZAI_API_KEY"),
        ({"ZHIPUAI_API_KEY": "b.2"}, "b.2", "ZHIPUAI_API_KEY"),
        ({"ZHIPUAI_API_KEY": "b.2", "ZAI_API_KEY": "a.1"}, "a.1", "ZAI_API_KEY"),
        ({"ZHIPUAI_API_KEY": "b.2", "ZAI_API_KEY": " "}, "b.2", "ZHIPUAI_API_KEY"),
        ({"ZAI_API_KEY": " a.1\n"}, "a.1", "ZAI_API_KEY"),
    ],
)
def test_the_newer_variable_comes_first(environ: dict[str, str], value: str, origin: str) -> None:
    keys = KeyRing(environ)
    assert keys.has_key()
    assert keys.find(BIGMODEL) == Key(Secret(value), origin)
    assert keys.find(ZAI) == Key(Secret(value), origin)


def test_a_variable_set_later_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZHIPUAI_API_KEY", raising=False)
    monkeypatch.delenv("ZAI_API_KEY", raising=False)
    keys = KeyRing()
    assert not keys.has_key()
    monkeypatch.setenv("ZAI_API_KEY", KEY)
    assert keys.has_key()


@pytest.mark.parametrize("endpoint", ["bigmodel", "zai", "coding", "coding-zai"])
def test_the_platform_without_a_key_tells_how_to_get_one(endpoint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ring().find(parse_endpoint(endpoint))
    line = str(caught.value)
    assert line.startswith("no API key: register at open.bigmodel.cn (or z.ai)")
    assert 'pip install "glm-magic[local]"' in line
    assert "\n" not in line


def test_another_server_may_need_no_key() -> None:
    assert ring().find(FOREIGN) is None


def test_the_local_engine_gets_no_key() -> None:
    assert ring(ZAI_API_KEY=KEY).find(LOCAL) is None


def test_a_key_of_the_environment_is_not_sent_to_another_host() -> None:
    assert ring(ZAI_API_KEY=KEY).find(EVIL) is None


def test_a_base_url_in_the_environment_says_which_other_host_the_key_is_for() -> None:
    keys = ring(ZAI_API_KEY=KEY, ZAI_BASE_URL="https://llm.example.org/v1")
    found = keys.find(FOREIGN)
    assert found is not None
    assert found.secret == Secret(KEY)
    assert keys.find(EVIL) is None


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, None),
        ({"ZAI_BASE_URL": " "}, None),
        ({"ZHIPUAI_BASE_URL": "zai"}, ("ZHIPUAI_BASE_URL", "zai")),
        ({"ZHIPUAI_BASE_URL": "zai", "ZAI_BASE_URL": "coding"}, ("ZAI_BASE_URL", "coding")),
    ],
)
def test_the_base_url_is_read_from_both_variables(
    environ: dict[str, str], named: tuple[str, str] | None
) -> None:
    assert KeyRing(environ).base_url() == named


def test_a_base_url_that_changes_does_not_take_the_key_along() -> None:
    environ = {"ZAI_API_KEY": KEY, "ZAI_BASE_URL": FOREIGN.base_url}
    keys = KeyRing(environ)
    keys.hand_out(FOREIGN)
    environ["ZAI_BASE_URL"] = EVIL.base_url
    with pytest.raises(SettingsError) as caught:
        keys.find(EVIL)
    assert str(caught.value) == (
        "ZAI_API_KEY was used for llm.example.org and is not sent to evil.example; "
        "run `%glm login` to give that host a key"
    )


def test_a_key_that_went_to_the_platform_does_not_follow_a_base_url_that_comes_later() -> None:
    environ = {"ZAI_API_KEY": KEY}
    keys = KeyRing(environ)
    keys.hand_out(ZAI)
    environ["ZAI_BASE_URL"] = EVIL.base_url
    with pytest.raises(SettingsError, match=r"was used for api\.z\.ai and is not sent to evil"):
        keys.hand_out(EVIL)


def test_looking_for_a_key_does_not_tie_it_to_a_host() -> None:
    environ = {"ZAI_API_KEY": KEY, "ZAI_BASE_URL": FOREIGN.base_url}
    keys = KeyRing(environ)
    keys.find(FOREIGN)
    environ["ZAI_BASE_URL"] = EVIL.base_url
    assert keys.hand_out(EVIL) == Key(Secret(KEY), "ZAI_API_KEY")


def test_a_key_tied_to_another_host_still_goes_to_the_platform() -> None:
    keys = ring(ZAI_API_KEY=KEY, ZAI_BASE_URL=FOREIGN.base_url)
    keys.hand_out(FOREIGN)
    assert keys.hand_out(ZAI) == Key(Secret(KEY), "ZAI_API_KEY")


def test_a_new_key_may_go_to_a_new_host() -> None:
    environ = {"ZAI_API_KEY": "a.1", "ZAI_BASE_URL": FOREIGN.base_url}
    keys = KeyRing(environ)
    keys.hand_out(FOREIGN)
    environ |= {"ZAI_API_KEY": "b.2", "ZAI_BASE_URL": EVIL.base_url}
    assert keys.find(EVIL) == Key(Secret("b.2"), "ZAI_API_KEY")


def test_a_broken_base_url_does_not_keep_the_key_from_the_platform() -> None:
    keys = ring(ZAI_API_KEY=KEY, ZAI_BASE_URL="http://llm.example.org/v1")
    assert keys.find(BIGMODEL) == Key(Secret(KEY), "ZAI_API_KEY")


# -- typed keys ----------------------------------------------------------------------------


def test_a_typed_key_is_for_its_host_and_comes_first() -> None:
    keys = ring(ZAI_API_KEY="env.1")
    keys.remember(ZAI, " typed.2 ")
    assert keys.find(ZAI) == Key(Secret("typed.2"), "%glm login")
    assert keys.find(parse_endpoint("coding-zai")) == Key(Secret("typed.2"), "%glm login")
    assert keys.find(BIGMODEL) == Key(Secret("env.1"), "ZAI_API_KEY")


def test_a_key_typed_for_another_server_is_not_for_the_platform() -> None:
    keys = ring()
    keys.remember(FOREIGN, KEY)
    assert keys.find(FOREIGN) == Key(Secret(KEY), "%glm login")
    assert not keys.has_key()
    with pytest.raises(SettingsError):
        keys.find(BIGMODEL)


@pytest.mark.parametrize(
    ("endpoint", "name"), [(BIGMODEL, "bigmodel"), (ZAI, "zai"), (FOREIGN, None)]
)
def test_the_site_of_a_typed_key_is_known(endpoint: object, name: str | None) -> None:
    keys = ring()
    keys.remember(endpoint, KEY)  # type: ignore[arg-type]
    assert keys.typed_endpoint() == name


@pytest.mark.parametrize("value", ["", "  ", "a b", "a\nb", "a\x00b", "密钥", "a\r\nHost: x"])
def test_what_cannot_be_a_key_is_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ring().remember(ZAI, value)
    assert str(caught.value) == "this does not look like an API key: letters, digits and a dot"


def test_a_variable_that_cannot_be_a_key_is_named_and_not_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        ring(ZAI_API_KEY="Bearer secret-word").find(ZAI)
    assert str(caught.value) == (
        "ZAI_API_KEY does not look like an API key: letters, digits and a dot"
    )
