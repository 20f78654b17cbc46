"""API keys: never seen, found where users put them, and for one host each."""

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from keyring.backends.fail import Keyring as NoKeyring
from keyring.backends.null import Keyring as NullKeyring
from keyrings.alt.file import PlaintextKeyring

from glm_magic.api.endpoints import LOCAL, parse_endpoint
from glm_magic.errors import SettingsError
from glm_magic.secret import Secret
from glm_magic.session.keystore import Keyring
from glm_magic.session.secrets import Key, KeyRing

KEY = "0123456789abcdef.AbCdEfGhIjKlMnOp"
BIGMODEL = parse_endpoint("bigmodel")
ZAI = parse_endpoint("zai")
FOREIGN = parse_endpoint("https://llm.example.org/v1")
EVIL = parse_endpoint("https://evil.example/v1")
NOTHING_SAVED = Keyring(NullKeyring())


def ring(**environ: str) -> KeyRing:
    return KeyRing(environ, NOTHING_SAVED)


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
    keys = KeyRing(environ, NOTHING_SAVED)
    assert keys.has_key()
    assert keys.find(BIGMODEL) == Key(Secret(value), origin)
    assert keys.find(ZAI) == Key(Secret(value), origin)


def test_a_variable_set_later_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZHIPUAI_API_KEY", raising=False)
    monkeypatch.delenv("ZAI_API_KEY", raising=False)
    keys = KeyRing(None, NOTHING_SAVED)
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
    assert KeyRing(environ, NOTHING_SAVED).base_url() == named


def test_a_base_url_that_changes_does_not_take_the_key_along() -> None:
    environ = {"ZAI_API_KEY": KEY, "ZAI_BASE_URL": FOREIGN.base_url}
    keys = KeyRing(environ, NOTHING_SAVED)
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
    keys = KeyRing(environ, NOTHING_SAVED)
    keys.hand_out(ZAI)
    environ["ZAI_BASE_URL"] = EVIL.base_url
    with pytest.raises(SettingsError, match=r"was used for api\.z\.ai and is not sent to evil"):
        keys.hand_out(EVIL)


def test_looking_for_a_key_does_not_tie_it_to_a_host() -> None:
    environ = {"ZAI_API_KEY": KEY, "ZAI_BASE_URL": FOREIGN.base_url}
    keys = KeyRing(environ, NOTHING_SAVED)
    keys.find(FOREIGN)
    environ["ZAI_BASE_URL"] = EVIL.base_url
    assert keys.hand_out(EVIL) == Key(Secret(KEY), "ZAI_API_KEY")


def test_a_key_tied_to_another_host_still_goes_to_the_platform() -> None:
    keys = ring(ZAI_API_KEY=KEY, ZAI_BASE_URL=FOREIGN.base_url)
    keys.hand_out(FOREIGN)
    assert keys.hand_out(ZAI) == Key(Secret(KEY), "ZAI_API_KEY")


def test_a_new_key_may_go_to_a_new_host() -> None:
    environ = {"ZAI_API_KEY": "a.1", "ZAI_BASE_URL": FOREIGN.base_url}
    keys = KeyRing(environ, NOTHING_SAVED)
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


# -- saved keys ----------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a keyring that starts empty."""
    return tmp_path / "keyring.cfg"


def saving(file: Path, **environ: str) -> KeyRing:
    """The keys of a new session, with a real keyring in a file."""
    return KeyRing(environ, store_in(file))


def store_in(file: Path) -> Keyring:
    backend = PlaintextKeyring()
    backend.file_path = str(file)
    return Keyring(backend)


def test_a_saved_key_is_there_in_the_next_session(file: Path) -> None:
    saving(file).remember(ZAI, f" {KEY} ", save=True)
    assert saving(file).find(ZAI) == Key(Secret(KEY), "keyring")
    assert saving(file).hand_out(parse_endpoint("coding-zai")) == Key(Secret(KEY), "keyring")


def test_a_key_is_not_saved_unasked(file: Path) -> None:
    saving(file).remember(ZAI, KEY)
    assert not file.exists()


def test_a_saved_key_is_for_its_host_only(file: Path) -> None:
    saving(file).remember(FOREIGN, KEY, save=True)
    keys = saving(file)
    assert keys.find(FOREIGN) == Key(Secret(KEY), "keyring")
    assert keys.find(EVIL) is None
    assert not keys.has_key()
    with pytest.raises(SettingsError, match="no API key"):
        keys.find(BIGMODEL)


def test_a_key_typed_now_or_in_the_environment_comes_before_a_saved_one(file: Path) -> None:
    saving(file).remember(ZAI, KEY, save=True)
    keys = saving(file, ZAI_API_KEY="env.1")
    assert keys.find(ZAI) == Key(Secret("env.1"), "ZAI_API_KEY")
    keys.remember(ZAI, "typed.2")
    assert keys.find(ZAI) == Key(Secret("typed.2"), "%glm login")


def test_a_key_of_the_environment_for_other_hosts_leaves_room_for_a_saved_one(file: Path) -> None:
    saving(file).remember(FOREIGN, KEY, save=True)
    assert saving(file, ZAI_API_KEY="env.1").find(FOREIGN) == Key(Secret(KEY), "keyring")


def test_a_host_with_a_saved_key_needs_not_the_one_that_another_host_got(file: Path) -> None:
    saving(file).remember(EVIL, "saved.1", save=True)
    environ = {"ZAI_API_KEY": KEY, "ZAI_BASE_URL": FOREIGN.base_url}
    keys = KeyRing(environ, store_in(file))
    keys.hand_out(FOREIGN)
    environ["ZAI_BASE_URL"] = EVIL.base_url
    assert keys.hand_out(EVIL) == Key(Secret("saved.1"), "keyring")


@pytest.mark.parametrize(("name", "other"), [("bigmodel", ZAI), ("zai", BIGMODEL)])
def test_a_saved_key_of_the_platform_says_where_requests_go(
    file: Path, name: str, other: object
) -> None:
    saving(file).remember(parse_endpoint(name), KEY, save=True)
    keys = saving(file)
    assert keys.has_key()
    assert keys.typed_endpoint() == name
    keys.remember(other, "typed.2")  # type: ignore[arg-type]
    assert keys.typed_endpoint() != name


def test_a_key_of_the_environment_says_where_requests_go_before_a_saved_one(file: Path) -> None:
    saving(file).remember(ZAI, KEY, save=True)
    assert saving(file, ZAI_API_KEY="env.1").typed_endpoint() is None


def test_a_host_is_looked_up_once_a_session(file: Path) -> None:
    keys = saving(file)
    assert not keys.has_key()
    saving(file).remember(ZAI, KEY, save=True)
    assert not keys.has_key()
    found = saving(file)
    assert found.has_key()
    file.unlink()
    assert found.find(ZAI) == Key(Secret(KEY), "keyring")


def test_what_is_saved_and_cannot_be_a_key_is_none(file: Path) -> None:
    store_in(file).set("api.z.ai", Secret("two words\r\nHost: evil.example"))
    assert not saving(file).has_key()


def test_a_keyring_that_fails_is_none(file: Path) -> None:
    file.write_text("this is no file of a keyring")
    keys = saving(file)
    assert not keys.has_key()
    with pytest.raises(SettingsError, match="no API key: register"):
        keys.find(ZAI)


def test_a_key_that_cannot_be_saved_is_kept_for_the_session() -> None:
    keys = KeyRing({}, Keyring(NoKeyring()))
    with pytest.raises(SettingsError) as caught:
        keys.remember(ZAI, KEY, save=True)
    assert str(caught.value) == (
        "the key for api.z.ai is kept in this session's memory only: this machine has no keyring "
        "(see `keyring --list-backends`); set ZAI_API_KEY in the environment instead"
    )
    assert keys.find(ZAI) == Key(Secret(KEY), "%glm login")


def test_without_the_package_the_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    keys = KeyRing({})
    assert not keys.has_key()
    with pytest.raises(SettingsError) as caught:
        keys.remember(ZAI, KEY, save=True)
    assert str(caught.value) == (
        "the key for api.z.ai is kept in this session's memory only: saving needs a keyring: "
        'pip install "glm-magic[keyring]"'
    )
    assert keys.find(ZAI) == Key(Secret(KEY), "%glm login")
    assert keys.forget(ZAI) == ("%glm login",)


def test_a_value_that_cannot_be_a_key_is_not_saved(file: Path) -> None:
    with pytest.raises(SettingsError, match="does not look like an API key"):
        saving(file).remember(ZAI, "two words", save=True)
    assert not file.exists()


@pytest.mark.parametrize(
    ("work", "is_imported"),
    [
        ("KeyRing({'ZAI_API_KEY': 'a.1'}).find(ZAI)", False),
        ("k = KeyRing({}); k.remember(ZAI, 'a.1'); k.has_key(); k.find(ZAI)", False),
        ("KeyRing({'ZAI_API_KEY': 'a.1'}).has_key()", False),
        ("KeyRing({'ZAI_API_KEY': 'a.1'}).typed_endpoint()", False),
        ("KeyRing({}).known()", False),
        ("KeyRing({}).has_key()", True),
    ],
)
def test_the_keyring_is_opened_only_when_there_is_no_other_key(
    work: str, is_imported: bool
) -> None:
    script = (
        "import sys\n"
        "from glm_magic.api.endpoints import parse_endpoint\n"
        "from glm_magic.session.secrets import KeyRing\n"
        "ZAI = parse_endpoint('zai')\n"
        f"{work}\n"
        "print('keyring' in sys.modules)\n"
    )
    environ = {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environ
    )
    assert done.stdout == f"{is_imported}\n"


# -- logout --------------------------------------------------------------------------------


def test_logout_forgets_the_typed_and_the_saved_key(file: Path) -> None:
    keys = saving(file)
    keys.remember(ZAI, KEY, save=True)
    keys.remember(BIGMODEL, "other.1", save=True)
    assert keys.forget(ZAI) == ("%glm login", "keyring")
    assert keys.forget(ZAI) == ()
    assert keys.find(BIGMODEL) == Key(Secret("other.1"), "%glm login")
    for session in (keys, saving(file)):
        with pytest.raises(SettingsError, match="no API key"):
            session.find(ZAI)


def test_logout_forgets_a_key_that_another_session_saved(file: Path) -> None:
    saving(file).remember(ZAI, KEY, save=True)
    assert saving(file).forget(ZAI) == ("keyring",)
    assert saving(file).forget(ZAI) == ()


def test_logout_without_a_keyring_forgets_what_was_typed() -> None:
    keys = KeyRing({}, Keyring(NoKeyring()))
    keys.remember(ZAI, KEY)
    assert keys.forget(ZAI) == ("%glm login",)


def test_a_saved_key_that_cannot_be_removed_is_used_no_more(file: Path) -> None:
    keys = saving(file)
    keys.remember(FOREIGN, KEY, save=True)
    file.write_text("this is no file of a keyring")
    with pytest.raises(SettingsError) as caught:
        keys.forget(FOREIGN)
    assert str(caught.value) == (
        "the saved key for llm.example.org was not removed: the keyring failed "
        "(MissingSectionHeaderError)"
    )
    assert keys.find(FOREIGN) is None


def test_logout_leaves_the_environment_alone() -> None:
    keys = ring(ZAI_API_KEY=KEY)
    assert keys.forget(ZAI) == ()
    assert keys.find(ZAI) == Key(Secret(KEY), "ZAI_API_KEY")
    assert keys.variable_for(ZAI) == "ZAI_API_KEY"
    assert keys.variable_for(FOREIGN) is None
    assert ring().variable_for(ZAI) is None


# -- what a session knows ------------------------------------------------------------------


def test_a_session_knows_every_key_that_it_has_met(file: Path) -> None:
    saving(file).remember(FOREIGN, "saved.1", save=True)
    keys = saving(file, ZAI_API_KEY="env.1", ZHIPUAI_API_KEY="not a key")
    assert set(keys.known()) == {Secret("env.1"), Secret("not a key")}
    keys.find(FOREIGN)
    keys.remember(ZAI, "typed.1")
    keys.forget(ZAI)
    keys.remember(ZAI, "typed.2")
    met = ("env.1", "not a key", "saved.1", "typed.1", "typed.2")
    assert set(keys.known()) == set(map(Secret, met))
    assert "typed" not in repr(keys.known())


def test_a_key_that_left_the_environment_is_still_known() -> None:
    environ = {"ZAI_API_KEY": "env.1"}
    keys = KeyRing(environ, NOTHING_SAVED)
    keys.hand_out(ZAI)
    environ.clear()
    assert keys.known() == (Secret("env.1"),)
