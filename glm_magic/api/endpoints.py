"""Where requests go: the platform's sites, the local engine, or any URL.

Source of the addresses: docs.bigmodel.cn and docs.z.ai, read September 2026.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from glm_magic.errors import SettingsError

BASE_URLS = {
    "bigmodel": "https://open.bigmodel.cn/api/paas/v4",
    "zai": "https://api.z.ai/api/paas/v4",
    "coding": "https://open.bigmodel.cn/api/coding/paas/v4",
    "coding-zai": "https://api.z.ai/api/coding/paas/v4",
}
# Never resolved: the transport of the local engine answers it in this process.
LOCAL_BASE_URL = "http://local.invalid/api/paas/v4"
NAMES = ("auto", *BASE_URLS, "local")
PLATFORM_HOSTS = frozenset({"open.bigmodel.cn", "api.z.ai"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place that answers requests.

    Attributes:
        name: "bigmodel", "zai", "coding", "coding-zai", "local", or "url" for any other.
        base_url: what paths such as "/chat/completions" are appended to; no slash at its end.
    """

    name: str
    base_url: str

    @property
    def is_local(self) -> bool:
        """Whether the engine in this process answers."""
        return self.name == "local"

    @property
    def host(self) -> str:
        """Host and port as a reader should see them, or "local"."""
        return "local" if self.is_local else urlsplit(self.base_url).netloc

    @property
    def is_platform(self) -> bool:
        """Whether it is one of the platform's own sites."""
        return self.host in PLATFORM_HOSTS

    @property
    def speaks_glm(self) -> bool:
        """Whether GLM's own fields (`thinking`, `do_sample`) are understood there.

        The platform's paths end in /paas/v4, behind a proxy of one's own too.
        """
        return urlsplit(self.base_url).path.endswith("/paas/v4")

    @property
    def has_web_search(self) -> bool:
        """Whether the platform's web search can be asked for."""
        return self.speaks_glm and not self.is_local

    @property
    def has_mcp(self) -> bool:
        """Whether MCP servers are called: on bigmodel alone, by the documents of May 2026.

        Another URL that speaks GLM gets the doubt.
        """
        return self.speaks_glm and self.name in ("bigmodel", "url")

    @property
    def holds_to_schema(self) -> bool:
        """Whether a JSON Schema is worth sending: llama.cpp, vLLM and OpenAI keep to it.

        The platform ignores it without a word (seen in September 2026).
        """
        return self.is_local or not self.speaks_glm

    @property
    def has_tasks(self) -> bool:
        """Whether there are asynchronous tasks of chat: on bigmodel's pay-as-you-go API alone.

        Z.ai documents them for pictures and videos only; keys of a Coding Plan are refused
        (code 1113, seen on 7 September 2026). Another URL that speaks GLM gets the doubt.
        """
        return self.speaks_glm and self.name in ("bigmodel", "url")

    @property
    def may_bill(self) -> bool:
        """Whether it may cost something that no price list of ours has: a server elsewhere."""
        return self.name == "url" and not is_loopback(urlsplit(self.base_url).hostname or "")

    @property
    def has_catalog(self) -> bool:
        """Whether the platform's models are what to expect there."""
        return self.speaks_glm and not self.is_local


LOCAL = Endpoint("local", LOCAL_BASE_URL)


def parse_endpoint(text: str) -> Endpoint:
    """Return the endpoint of a name or a base URL.

    Raises:
        SettingsError: neither a name nor a URL, or a URL that would carry the key in the
            clear: http is for loopback hosts only.
    """
    text = text.strip().rstrip("/")
    if text == "local":
        return LOCAL
    if text in BASE_URLS:
        return Endpoint(text, BASE_URLS[text])
    _check_url(text)
    name = next((name for name, url in BASE_URLS.items() if url == text), "url")
    return Endpoint(name, text)


def _check_url(text: str) -> None:
    # `urlsplit` drops some of these and keeps others; HTTP clients differ again.
    if "\\" in text or " " in text or not text.isprintable():
        raise SettingsError("the endpoint is no valid URL: it has a blank, backslash or control")
    try:
        url = urlsplit(text)
        host = url.hostname or ""
        _ = url.port  # raises for a port out of range
    except ValueError as error:
        raise SettingsError(f"the endpoint is no valid URL: {error}") from error
    if url.scheme not in ("http", "https") or not host:
        names = ", ".join(NAMES)
        raise SettingsError(f"unknown endpoint; use {names}, or a URL such as https://host/v1")
    if url.username is not None or url.query or url.fragment:
        raise SettingsError(
            "an endpoint URL has no user, query or fragment; `%glm login` sets keys"
        )
    if url.scheme == "http" and not is_loopback(host):
        raise SettingsError(
            f"http:// would send your prompts and key in the clear to {host}; use https://"
        )


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine: localhost, 127.0.0.0/8 or ::1."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
