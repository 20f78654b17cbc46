"""The proxies of the environment: which variable names the one in use, and what is wrong with it.

The HTTP library reads the variables itself (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in
capitals or not) and does not tell which.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

from glm_magic.errors import SettingsError

_SCHEMES = ("http", "https", "socks5", "socks5h")


def proxy_variable(url: str) -> str:
    """Return the variable whose proxy requests to `url` go through, "" if there is none."""
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return ""
    return next((name for name, _ in _proxies(parts.scheme, "all")), "")


def check_proxy(url: str) -> None:
    """Check the address of the proxy that requests to `url` go through, if there is one.

    Raises:
        SettingsError: it is none; the HTTP library would fail at it later, with a traceback.
    """
    name = proxy_variable(url)
    if name and not _is_address(os.environ[name]):
        raise SettingsError(_describe(name))


def describe_unusable_proxy() -> str:
    """Return one line on why no client can be made with the proxies of the environment."""
    for name, value in _proxies("http", "https", "all"):
        if not _is_address(value):
            return _describe(name)
        if value.lower().startswith("socks"):
            # Without it the HTTP library knows no SOCKS.
            return f'{name} is a SOCKS proxy, which needs `pip install "httpx[socks]"`'
    return "NO_PROXY is not usable: hosts and domains with commas between them"


def _describe(name: str) -> str:
    return f"the proxy in {name} is not usable: an address such as http://host:8080"


def _proxies(*schemes: str) -> Iterator[tuple[str, str]]:
    """The variables that are set, with their values, the one that wins first."""
    for scheme in schemes:
        for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY"):
            if value := os.environ.get(name, ""):
                yield name, value


def _is_address(value: str) -> bool:
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        _ = parts.port  # raises for one out of range
    except ValueError:
        return False
    return parts.scheme in _SCHEMES and bool(parts.hostname)
