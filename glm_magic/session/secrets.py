"""API keys: where they are found, and the one host each of them is for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from glm_magic.api.endpoints import BASE_URLS, PLATFORM_HOSTS, Endpoint, parse_endpoint
from glm_magic.errors import SettingsError
from glm_magic.secret import Secret

# The names that the platform's own clients read, newest first: zai-sdk, then zhipuai.
KEY_VARIABLES = ("ZAI_API_KEY", "ZHIPUAI_API_KEY")
URL_VARIABLES = ("ZAI_BASE_URL", "ZHIPUAI_BASE_URL")

HOW_TO_GET_A_KEY = (
    "no API key: register at open.bigmodel.cn (or z.ai), pass real-name verification, make a key "
    "on the API keys page and run `%glm login`; or, without a key, "
    'pip install "glm-magic[local]" for a small model on this machine'
)


@dataclass(frozen=True, slots=True)
class Key:
    """A key and where it was found: "ZAI_API_KEY", "%glm login", ..."""

    secret: Secret
    origin: str


class KeyRing:
    """The keys of this session.

    A key typed at `%glm login` is for the host it was typed for. A key of the environment is
    for the platform's hosts, or for the host of the base URL in the environment; once it went
    to one host, no other but the platform's own gets it, so that a base URL that changes under
    a running session (a project's .env file, say) does not take the key along.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._typed: dict[str, Secret] = {}
        self._sent_to: dict[Secret, str] = {}

    def remember(self, endpoint: Endpoint, value: str) -> None:
        """Keep a typed key for the host of `endpoint`, in memory only.

        Raises:
            SettingsError: the value cannot be a key.
        """
        self._typed[endpoint.host] = _checked(value.strip())

    def base_url(self) -> tuple[str, str] | None:
        """Return variable and value of the base URL in the environment, if there is one."""
        return next(((n, v) for n in URL_VARIABLES if (v := self._variable(n))), None)

    def has_key(self) -> bool:
        """Return whether a key for one of the platform's hosts is known."""
        typed = any(host in self._typed for host in PLATFORM_HOSTS)
        return typed or self._from_environment() is not None

    def find(self, endpoint: Endpoint) -> Key | None:
        """Return the key for `endpoint`; None when it has none and may need none.

        Raises:
            SettingsError: the platform is asked without a key; or the environment's key was
                used for another host before.
        """
        if endpoint.is_local:
            return None
        if typed := self._typed.get(endpoint.host):
            return Key(typed, "%glm login")
        found = self._from_environment()
        if found and self._is_for(endpoint):
            self._check_host(found, endpoint)
            return found
        if endpoint.is_platform:
            raise SettingsError(HOW_TO_GET_A_KEY)
        return None

    def hand_out(self, endpoint: Endpoint) -> Key | None:
        """Return the key as `find` does, to be sent: from now on it is tied to its host.

        Raises:
            SettingsError: as `find`.
        """
        found = self.find(endpoint)
        if found and endpoint.host not in self._typed:
            self._sent_to.setdefault(found.secret, endpoint.host)
        return found

    def typed_endpoint(self) -> str | None:
        """Return the name of the platform's site that a key was typed for, if one was."""
        for name in ("bigmodel", "zai"):
            if parse_endpoint(BASE_URLS[name]).host in self._typed:
                return name
        return None

    def _variable(self, name: str) -> str:
        return self._environ.get(name, "").strip()

    def _from_environment(self) -> Key | None:
        for name in KEY_VARIABLES:
            if value := self._variable(name):
                return Key(_checked(value, name), name)
        return None

    def _is_for(self, endpoint: Endpoint) -> bool:
        if endpoint.is_platform:
            return True
        named = self.base_url()
        return named is not None and endpoint.host == parse_endpoint(named[1]).host

    def _check_host(self, key: Key, endpoint: Endpoint) -> None:
        if endpoint.is_platform:
            return
        first = self._sent_to.get(key.secret, endpoint.host)
        if first != endpoint.host:
            raise SettingsError(
                f"{key.origin} was used for {first} and is not sent to {endpoint.host}; "
                "run `%glm login` to give that host a key"
            )


def _checked(value: str, name: str = "this") -> Secret:
    """A header takes printable ASCII only, and a key holds no blank."""
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise SettingsError(f"{name} does not look like an API key: letters, digits and a dot")
    return Secret(value)
