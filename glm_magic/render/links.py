"""Which URLs may become links, and how a link looks: its true host always beside it.

A URL is judged as a browser would read it (WHATWG URL). What browsers must repair first, such
as missing slashes, backslashes or odd forms of IPv4, is refused: no honest link needs it.
"""

import ipaddress
import re
from dataclasses import dataclass
from html import unescape
from urllib.parse import quote

from glm_magic.render.clean import escape

__all__ = ["Link", "parse_link", "render_link"]

# Longer ones are refused, as they carry data away rather than lead anywhere.
_URL_LIMIT = 4096

# RFC 1035, 2.3.4.
_HOST_LIMIT = 253

# ASCII only, as re.IGNORECASE takes U+017F for an "s" otherwise.
_ANY_CASE = re.IGNORECASE | re.ASCII
_WEB = re.compile(r"(https?)://([^/?#]+)([^?#]*)(\?[^#]*)?(#.*)?", _ANY_CASE)
_MAIL = re.compile(r"mailto:([a-z0-9.!$&*+/=_~-]+)@([^?#@]+)(\?subject=[^#&]*)?", _ANY_CASE)
_PORT = re.compile(r"(.+?)(?::([0-9]{0,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")

# WHATWG: a host whose last label looks like this is an IPv4 address, whatever its other labels.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

# Browsers drop these at the ends, and tab and newline anywhere.
_ENDS = "".join(map(chr, range(0x21)))
_DROPPED = str.maketrans("", "", "\t\n\r")

# Backslashes are slashes to a browser; halves of a pair have no UTF-8; other controls hide.
_REFUSED = re.compile(r"[\\\x00-\x1f\x7f-\x9f\ud800-\udfff]")

_DEFAULT_PORTS = {"http": "80", "https": "443"}

# Names that lead into the reader's own machine or network: RFC 6761, 6762, 8375, 9476,
# ICANN's .internal (2024), and what home routers and offices commonly use.
_LOCAL_NAMES = (
    ".corp",
    ".home",
    ".home.arpa",
    ".internal",
    ".intranet",
    ".lan",
    ".local",
    ".localdomain",
    ".localhost",
    ".private",
    ".test",
)

# What is encoded already stays as it is, hence "%". Without the quote, which ends attributes.
_SAFE = "/%:@!$&()*+,;=~-._[]"


@dataclass(frozen=True, slots=True)
class Link:
    """A link that may be shown: `href` in percent-encoded ASCII, `host` as ASCII (xn--)."""

    href: str
    host: str


def parse_link(url: str) -> Link | None:
    """Return the link that `url` is, or None if it must stay text.

    Accepted are absolute http and https URLs of public hosts without user name or password,
    and `mailto:` with one address and at most a subject. The port is part of `host` only if it
    is not the default. Public is judged by name: a public name that resolves to a private
    address cannot be told apart without a request.

    Args:
        url: as the author meant it, entities and Markdown escapes decoded; any text.
    """
    url = url.strip(_ENDS).translate(_DROPPED)
    if len(url) > _URL_LIMIT or _REFUSED.search(url):
        return None
    return _parse_web(url) or _parse_mail(url)


def render_link(label_html: str, link: Link, *, show_host: bool = True) -> str:
    """Return an anchor that opens in a new tab, followed by its host in small print.

    The host is left out if the label is exactly the host, the URL or the address.

    Args:
        label_html: safe HTML without links; what it says is not trusted.
        show_host: False only where the host stands elsewhere in plain sight.
    """
    anchor = (
        f'<a href="{escape(link.href)}" rel="noopener noreferrer nofollow" target="_blank">'
        f"{label_html}</a>"
    )
    if not show_host or _says_host(unescape(label_html), link):
        return anchor
    return f"{anchor} <small>({escape(link.host)})</small>"


def _says_host(label: str, link: Link) -> bool:
    href = link.href
    return label in {link.host, href, href.removesuffix("/"), href.removeprefix("mailto:")}


def _parse_web(url: str) -> Link | None:
    if not (parts := _WEB.fullmatch(url)):
        return None
    scheme, authority, path, query, fragment = parts.groups(default="")
    if (host := _parse_authority(authority, _DEFAULT_PORTS[scheme.lower()])) is None:
        return None
    tail = quote(path or "/", safe=_SAFE) + quote(query + fragment, safe=_SAFE + "?#")
    return Link(f"{scheme.lower()}://{host}{tail}", host)


def _parse_mail(url: str) -> Link | None:
    if not (parts := _MAIL.fullmatch(url)):
        return None
    name, domain, subject = parts.groups(default="")
    if (host := _public_host(domain)) is None:
        return None
    return Link(f"mailto:{quote(name, safe=_SAFE)}@{host}{quote(subject, safe=_SAFE + '?')}", host)


def _parse_authority(authority: str, default_port: str) -> str | None:
    if "@" in authority or not (parts := _PORT.fullmatch(authority)):
        return None
    host, port = _public_host(parts[1]), (parts[2] or default_port).lstrip("0")
    if host is None or not port or int(port) > 65535:
        return None
    return host if port == default_port else f"{host}:{port}"


def _public_host(host: str) -> str | None:
    """Return `host` as a browser would ask for it, or None if it is not a public one."""
    if host.startswith("["):
        return _public_address(host[1:-1], bracketed=host.endswith("]"))
    name = _ascii_host(host)
    if name is None or "." not in name or f".{name}".endswith(_LOCAL_NAMES):
        return None
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _public_address(name)
    return name if all(map(_LABEL.fullmatch, labels)) else None


def _ascii_host(host: str) -> str | None:
    """Return `host` in lower-case ASCII, or None if UTS 46 has no such name for it."""
    host = host.lower()
    if len(host) > _HOST_LIMIT:
        return None
    if not host.isascii() or "xn--" in host:
        return _idna_host(host)
    return host.removesuffix(".")


def _idna_host(host: str) -> str | None:
    import idna  # its tables take a while to load, and few hosts need them

    # Joiners are right in a few scripts, but a reader cannot see whether they are there.
    if "\u200c" in host or "\u200d" in host:
        return None
    try:
        return idna.encode(host, uts46=True, std3_rules=True).decode("ascii").removesuffix(".")
    except idna.IDNAError:
        return None


def _public_address(text: str, *, bracketed: bool = False) -> str | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return str(address) if not bracketed and _is_public(address) else None
    # Only global unicast (RFC 4291), and not the ranges that carry an IPv4 address inside.
    public = bracketed and address in _GLOBAL_UNICAST and _is_public(address)
    if not public or address.sixtofour or address.teredo or address.scope_id:
        return None
    return f"[{address.compressed}]"


_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    # `is_global` counts multicast as global.
    return address.is_global and not address.is_multicast
