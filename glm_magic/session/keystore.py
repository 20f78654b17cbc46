"""Saved keys: the keyring of this machine, through the package `keyring`, if it is installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol, TypeVar

from glm_magic.errors import SettingsError
from glm_magic.secret import Secret

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

__all__ = ["KeyStore", "Keyring"]

T = TypeVar("T")
SERVICE = "glm_magic"
_NOT_INSTALLED = 'saving needs a keyring: pip install "glm-magic[keyring]"'
# What to do, by the name of the error: whose class is there only when the package is.
_PROBLEMS = {
    "NoKeyringError": "this machine has no keyring (see `keyring --list-backends`); "
    "set ZAI_API_KEY in the environment instead",
    "KeyringLocked": "the keyring is locked; unlock it and try again",
    "InitError": "the keyring did not open; unlock it and try again",
}


class KeyStore(Protocol):
    """Where keys are kept between sessions, one a host."""

    def name(self) -> str:
        """Return what it is, for the user to find it again."""

    def get(self, host: str) -> Secret | None:
        """Return the key saved for a host; None for none, and when it cannot be read."""

    def set(self, host: str, value: Secret) -> None:
        """Save the key of a host.

        Raises:
            SettingsError: it was not saved.
        """

    def delete(self, host: str) -> bool:
        """Remove the key of a host; return whether there was one.

        Raises:
            SettingsError: it is still there.
        """


class Keyring:
    """The keyring of the operating system, or what its settings name.

    The package is imported when it is first needed.

    Args:
        backend: one of the package's backends; None is the one that the package chooses.
    """

    def __init__(self, backend: KeyringBackend | None = None) -> None:
        self._backend = backend

    def name(self) -> str:
        """Return the name of the backend, such as "SecretService Keyring"."""
        found, problem = _tried(lambda: str(self._open().name))
        return found or problem

    def get(self, host: str) -> Secret | None:
        """Return the key saved for a host; None for none, and when it cannot be read."""
        if not self._is_installed():
            return None
        return _tried(lambda: self._read(host))[0]

    def set(self, host: str, value: Secret) -> None:
        """Save the key of a host.

        Raises:
            SettingsError: there is no keyring, or it is locked, or it did not keep the key.
        """
        if not self._is_installed():
            raise SettingsError(_NOT_INSTALLED)
        kept, problem = _tried(lambda: self._write(host, value))
        if not kept:
            raise SettingsError(problem or "the keyring did not keep it")

    def delete(self, host: str) -> bool:
        """Remove the key of a host; return whether there was one.

        Raises:
            SettingsError: there is a keyring and it did not let go of the key.
        """
        if not self._is_installed():
            return False
        found, problem = _tried(lambda: self._read(host))
        if found:
            _, problem = _tried(lambda: self._open().delete_password(SERVICE, host))
        if problem and problem != _PROBLEMS["NoKeyringError"]:
            raise SettingsError(f"the saved key for {host} was not removed: {problem}")
        return found is not None

    def _is_installed(self) -> bool:
        return self._backend is not None or find_spec("keyring") is not None

    def _open(self) -> KeyringBackend:
        if self._backend is None:
            import keyring

            self._backend = keyring.get_keyring()
        return self._backend

    def _read(self, host: str) -> Secret | None:
        saved = self._open().get_password(SERVICE, host)
        return Secret(saved) if saved else None

    def _write(self, host: str, value: Secret) -> bool:
        """Some backends take a password and keep nothing, and say nothing."""
        self._open().set_password(SERVICE, host, value.reveal())
        return self._read(host) == value


def _tried(action: Callable[[], T]) -> tuple[T | None, str]:
    """What a keyring gives, or what went wrong, in words without the error itself.

    The error is let go of: the frames of its traceback hold the key.
    """
    try:
        return action(), ""
    except Exception as error:  # backends are plug-ins over D-Bus, files and C: any of their errors
        name = type(error).__name__
    return None, _PROBLEMS.get(name, f"the keyring failed ({name})")
