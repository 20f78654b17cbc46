"""The keyring of the machine: what is saved is there again, and what fails is one line."""

import sys
import traceback
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.backends.null import Keyring as NullKeyring
from keyring.errors import InitError, KeyringLocked, PasswordSetError
from keyrings.alt.file import PlaintextKeyring

from glm_magic.errors import SettingsError
from glm_magic.secret import Secret
from glm_magic.session.keystore import Keyring

HOST, KEY = "api.z.ai", Secret("0123456789abcdef.AbCdEfGhIjKlMnOp")


class Failing(PlaintextKeyring):
    """A keyring in a file that fails as one does that is locked, say."""

    error: Exception | None = None

    def get_password(self, service: str, username: str) -> str | None:
        if self.error:
            raise self.error
        found: str | None = super().get_password(service, username)
        return found

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.error:
            raise self.error
        super().set_password(service, username, password)

    def delete_password(self, service: str, username: str) -> None:
        if self.error:
            raise self.error
        super().delete_password(service, username)


@pytest.fixture
def backend(tmp_path: Path) -> Failing:
    """A keyring in a file of this test's own, which does not fail until told so."""
    made = Failing()
    made.file_path = str(tmp_path / "keyring.cfg")
    return made


def line_of(caught: pytest.ExceptionInfo[SettingsError]) -> str:
    line = str(caught.value)
    assert "\n" not in line and KEY.reveal() not in line
    return line


def test_a_key_is_saved_for_its_host(backend: Failing) -> None:
    Keyring(backend).set(HOST, KEY)
    assert Keyring(backend).get(HOST) == KEY
    assert Keyring(backend).get("open.bigmodel.cn") is None


def test_a_key_is_where_other_programs_find_it(backend: Failing) -> None:
    Keyring(backend).set(HOST, KEY)
    assert backend.get_password("glm_magic", "api.z.ai") == KEY.reveal()


def test_a_key_that_is_deleted_is_gone(backend: Failing) -> None:
    store = Keyring(backend)
    store.set(HOST, KEY)
    assert store.delete(HOST)
    assert store.get(HOST) is None
    assert not store.delete(HOST)


def test_the_keyring_of_the_machine_is_the_one_that_the_package_has_chosen(tmp_path: Path) -> None:
    backend, before = PlaintextKeyring(), keyring.get_keyring()
    backend.file_path = str(tmp_path / "keyring.cfg")
    keyring.set_keyring(backend)
    try:
        Keyring().set(HOST, KEY)
        assert Keyring().name() == "file PlaintextKeyring"
    finally:
        keyring.set_keyring(before)
    assert Keyring(backend).get(HOST) == KEY


ERRORS = [
    (KeyringLocked("locked!"), "the keyring is locked; unlock it and try again"),
    (InitError("?"), "the keyring did not open; unlock it and try again"),
    (PasswordSetError("?"), "the keyring failed (PasswordSetError)"),
    (OSError(13, "Permission denied"), "the keyring failed (PermissionError)"),
]


@pytest.mark.parametrize(("error", "line"), ERRORS)
def test_saving_says_in_one_line_what_went_wrong(
    backend: Failing, error: Exception, line: str
) -> None:
    backend.error = error
    with pytest.raises(SettingsError) as caught:
        Keyring(backend).set(HOST, KEY)
    assert line_of(caught) == line


@pytest.mark.parametrize(("error", "line"), ERRORS)
def test_a_keyring_that_fails_has_no_key_to_give(
    backend: Failing, error: Exception, line: str
) -> None:
    Keyring(backend).set(HOST, KEY)
    backend.error = error
    assert Keyring(backend).get(HOST) is None


@pytest.mark.parametrize(("error", "line"), ERRORS)
def test_a_key_that_cannot_be_deleted_is_named(
    backend: Failing, error: Exception, line: str
) -> None:
    Keyring(backend).set(HOST, KEY)
    backend.error = error
    with pytest.raises(SettingsError) as caught:
        Keyring(backend).delete(HOST)
    assert line_of(caught) == f"the saved key for api.z.ai was not removed: {line}"


def test_the_error_keeps_no_frame_in_which_the_key_is_seen(backend: Failing) -> None:
    backend.error = KeyringLocked()
    with pytest.raises(SettingsError) as caught:
        Keyring(backend).set(HOST, KEY)
    assert caught.value.__cause__ is caught.value.__context__ is None
    seen = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert KEY.reveal() not in "".join(seen.format())


@pytest.mark.parametrize(
    ("backend", "line"),
    [
        (
            NoKeyring(),
            "this machine has no keyring (see `keyring --list-backends`); set ZAI_API_KEY in the "
            "environment instead",
        ),
        (NullKeyring(), "the keyring did not keep it"),
    ],
)
def test_a_machine_without_a_keyring_saves_nothing(backend: KeyringBackend, line: str) -> None:
    store = Keyring(backend)
    with pytest.raises(SettingsError) as caught:
        store.set(HOST, KEY)
    assert line_of(caught) == line
    assert store.get(HOST) is None
    assert not store.delete(HOST)


def test_without_the_package_nothing_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(SettingsError) as caught:
        Keyring().set(HOST, KEY)
    assert line_of(caught) == 'saving needs a keyring: pip install "glm-magic[keyring]"'
    assert Keyring().get(HOST) is None
    assert not Keyring().delete(HOST)
