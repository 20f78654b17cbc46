"""API keys: where they are found, and the one host each of them is for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from glm_magic.api.endpoints import BASE_URLS, PLATFORM_HOSTS, Endpoint, parse_endpoint
from glm_magic.errors import SettingsError
from glm_magic.secret import Secret
from glm_magic.session.keystore import Keyring, KeyStore

# The names that the platform's own clients read, newest first: zai-sdk, then zhipuai.
KEY_VARIABLES = ("ZAI_API_KEY", "ZHIPUAI_API_KEY")
URL_VARIABLES = ("ZAI_BASE_URL", "ZHIPUAI_BASE_URL")

# Where a key takes `endpoint=auto`.
_SITES = {name: parse_endpoint(BASE_URLS[name]).host for name in ("bigmodel", "zai")}

HOW_TO_GET_A_KEY = (
    "no API key: register at open.bigmodel.cn (or z.ai), pass real-name verification, make a key "
    "on the API keys page and run `%glm login`; or, without a key, "
    'pip install "glm-magic[local]" for a small model on this machine'
)


@dataclass(frozen=True, slots=True)
class Key:
    """A key and where it was found: "ZAI_API_KEY", "%glm login" or "keyring"."""

    secret: Secret
    origin: str


_TYPED, _SAVED = "%glm login", "keyring"


class KeyRing:
    """The keys of this session.

    A key typed at `%glm login` is for the host it was typed for. A key of the environment is
    for the platform's hosts, or for the host of the base URL in the environment; once it went
    to one host, no other but the platform's own gets it, so that a base URL that changes under
    a running session (a project's .env file, say) does not take the key along. A saved key is
    for the host it was saved for; only when there is no other is it looked for, once a session.

    Args:
        environ: where the variables are; None is the environment of this process.
        store: where keys are saved; None is the keyring of this machine.
    """

    def __init__(
        self, environ: Mapping[str, str] | None = None, store: KeyStore | None = None
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._store = Keyring() if store is None else store
        self._typed: dict[str, Secret] = {}
        self._saved: dict[str, Secret | None] = {}
        self._sent_to: dict[Secret, str] = {}
        self._seen: set[Secret] = set()

    def remember(self, endpoint: Endpoint, value: str, *, save: bool = False) -> None:
        """Keep a typed key for the host of `endpoint`, in memory, and saved if asked.

        Raises:
            SettingsError: the value cannot be a key; or it could not be saved, and is kept in
                memory alone.
        """
        secret, host = _checked(value.strip()), endpoint.host
        self._typed[host] = secret
        self._seen.add(secret)
        if save:
            self._save(host, secret)

    def _save(self, host: str, secret: Secret) -> None:
        try:
            self._store.set(host, secret)
        except SettingsError as error:
            raise SettingsError(
                f"the key for {host} is kept in this session's memory only: {error}"
            ) from error
        self._saved[host] = secret

    def where_saved(self) -> str:
        """Return what saves keys on this machine, by its own name."""
        return self._store.name()

    def forget(self, endpoint: Endpoint) -> tuple[str, ...]:
        """Drop the keys for the host of `endpoint`, from memory and from where they were saved.

        Returns:
            Whence they came, as in `Key.origin`: "%glm login", "keyring", both or none. A key
            of the environment stays.

        Raises:
            SettingsError: the saved key could not be removed; this session uses it no more.
        """
        typed = self._typed.pop(endpoint.host, None)
        self._saved[endpoint.host] = None
        saved = self._store.delete(endpoint.host)
        return (*((_TYPED,) if typed else ()), *((_SAVED,) if saved else ()))

    def variable_for(self, endpoint: Endpoint) -> str | None:
        """Return the name of the environment's variable that holds a key for `endpoint`."""
        found = self._for_endpoint(endpoint)
        return found.origin if found else None

    def known(self) -> tuple[Secret, ...]:
        """Return every key that this session has met, forgotten ones too, to redact them."""
        variables = {Secret(value) for name in KEY_VARIABLES if (value := self._variable(name))}
        return tuple(self._seen | variables)

    def base_url(self) -> tuple[str, str] | None:
        """Return variable and value of the base URL in the environment, if there is one."""
        return next(((n, v) for n in URL_VARIABLES if (v := self._variable(n))), None)

    def has_key(self) -> bool:
        """Return whether a key for one of the platform's hosts is known."""
        if any(host in self._typed for host in PLATFORM_HOSTS):
            return True
        return self._from_environment() is not None or any(map(self._look_up, _SITES.values()))

    def find(self, endpoint: Endpoint) -> Key | None:
        """Return the key for `endpoint`; None when it has none and may need none.

        Raises:
            SettingsError: the platform is asked without a key; or the environment's key was
                used for another host before, and no other is for this one.
        """
        if endpoint.is_local:
            return None
        if typed := self._typed.get(endpoint.host):
            return Key(typed, _TYPED)
        found = self._for_endpoint(endpoint)
        problem = self._problem(found, endpoint) if found else ""
        if found and not problem:
            return found
        if saved := self._look_up(endpoint.host):
            return Key(saved, _SAVED)
        if problem or endpoint.is_platform:
            raise SettingsError(problem or HOW_TO_GET_A_KEY)
        return None

    def hand_out(self, endpoint: Endpoint) -> Key | None:
        """Return the key as `find` does, to be sent: from now on it is tied to its host.

        Raises:
            SettingsError: as `find`.
        """
        found = self.find(endpoint)
        if found:
            self._seen.add(found.secret)
        if found and found.origin in KEY_VARIABLES:
            self._sent_to.setdefault(found.secret, endpoint.host)
        return found

    def typed_endpoint(self) -> str | None:
        """Return the name of the platform's site that a key was typed for, or else saved for.

        A key of the environment comes between: it is for both sites, hence None.
        """
        if name := next((name for name, host in _SITES.items() if host in self._typed), None):
            return name
        if self._from_environment():
            return None
        return next((name for name, host in _SITES.items() if self._look_up(host)), None)

    def _look_up(self, host: str) -> Secret | None:
        """The saved key of a host; a host is asked for once, as a locked keyring may prompt."""
        if host not in self._saved:
            saved = self._store.get(host)
            self._saved[host] = saved = saved if saved and _can_be_key(saved.reveal()) else None
            self._seen |= {saved} if saved else set()
        return self._saved[host]

    def _variable(self, name: str) -> str:
        return self._environ.get(name, "").strip()

    def _from_environment(self) -> Key | None:
        for name in KEY_VARIABLES:
            if value := self._variable(name):
                return Key(_checked(value, name), name)
        return None

    def _for_endpoint(self, endpoint: Endpoint) -> Key | None:
        found = self._from_environment()
        return found if found and self._is_for(endpoint) else None

    def _is_for(self, endpoint: Endpoint) -> bool:
        if endpoint.is_platform:
            return True
        named = self.base_url()
        return named is not None and endpoint.host == parse_endpoint(named[1]).host

    def _problem(self, key: Key, endpoint: Endpoint) -> str:
        """Why a key of the environment is not sent to a host that it is for now."""
        first = self._sent_to.get(key.secret, endpoint.host)
        if endpoint.is_platform or first == endpoint.host:
            return ""
        return (
            f"{key.origin} was used for {first} and is not sent to {endpoint.host}; "
            "run `%glm login` to give that host a key"
        )


def _checked(value: str, name: str = "this") -> Secret:
    if not _can_be_key(value):
        raise SettingsError(f"{name} does not look like an API key: letters, digits and a dot")
    return Secret(value)


def _can_be_key(value: str) -> bool:
    """A header takes printable ASCII only, and a key holds no blank."""
    return bool(value) and value.isascii() and value.isprintable() and " " not in value
