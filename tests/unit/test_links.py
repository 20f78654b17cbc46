"""Which URLs become links, and what a reader sees of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glm_magic.render.links import Link, parse_link, render_link

DOCS = Link("https://docs.example.org/", "docs.example.org")


@pytest.mark.parametrize(
    ("url", "href", "host"),
    [
        ("https://example.org", "https://example.org/", "example.org"),
        ("HTTP://Example.ORG:80/A?b=C#d", "http://example.org/A?b=C#d", "example.org"),
        ("https://example.org:8443/x", "https://example.org:8443/x", "example.org:8443"),
        ("https://example.org:/x", "https://example.org/x", "example.org"),
        ("https://example.org./x", "https://example.org/x", "example.org"),
        (" \thttps://exa\nmple.org/\r", "https://example.org/", "example.org"),
        ("https://例え.jp/道?q=ä", "https://xn--r8jz45g.jp/%E9%81%93?q=%C3%A4", "xn--r8jz45g.jp"),
        ("https://faß.de/", "https://xn--fa-hia.de/", "xn--fa-hia.de"),
        ("https://аррӏе.com/", "https://xn--80ak6aa92e.com/", "xn--80ak6aa92e.com"),  # Cyrillic
        ("https://ｅxample。org/", "https://example.org/", "example.org"),
        ("https://xn--80ak6aa92e.com", "https://xn--80ak6aa92e.com/", "xn--80ak6aa92e.com"),
        ("https://a.org/%41 b'\"<>", "https://a.org/%41%20b%27%22%3C%3E", "a.org"),
        ("https://a.org/\u202egpj", "https://a.org/%E2%80%AEgpj", "a.org"),
        ("https://a.org?x=[1]&y=2", "https://a.org/?x=[1]&y=2", "a.org"),
        ("https://8.8.8.8/", "https://8.8.8.8/", "8.8.8.8"),
        (
            "https://[2606:4700:0::1111]:8080",
            "https://[2606:4700::1111]:8080/",
            "[2606:4700::1111]:8080",
        ),
        ("mailto:me+a@Example.org", "mailto:me+a@example.org", "example.org"),
        (
            "MAILTO:me@example.org?subject=Hi there",
            "mailto:me@example.org?subject=Hi%20there",
            "example.org",
        ),
    ],
)
def test_a_public_address_becomes_a_link(url: str, href: str, host: str) -> None:
    assert parse_link(url) == Link(href, host)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "java\tscript:alert(1)",
        "\x01JaVaScRiPt:alert(1)",
        "vbscript:x",
        "httpſ://example.org",
        "data:text/html,<script>",
        "file:///etc/passwd",
        "blob:https://example.org/1",
        "vscode://file/x",
        "ms-msdt:/id",
        "command:x",
        "smb://example.org/x",
        "ftp://example.org/",
        "view-source:https://example.org",
        "jar:https://example.org!/x",
    ],
)
def test_other_schemes_are_refused(url: str) -> None:
    assert parse_link(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "#top",
        "/hub/logout",
        "lab?token=1",
        "//example.org",
        "https:/example.org",
        "https:example.org",
        "https:///example.org",
        "https://",
        "www.example.org",
        r"https:\\example.org",
        r"https://example.org\@evil.org",
        r"/\example.org",
    ],
)
def test_relative_and_half_made_urls_are_refused(url: str) -> None:
    assert parse_link(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8888/lab",
        "http://localhost.",
        "http://a.localhost",
        "http://intranet/",
        "http://printer.local",
        "http://db.internal",
        "http://127.0.0.1",
        "http://127.1",
        "http://2130706433",
        "http://0x7f000001",
        "http://0x7f.0.0.1",
        "http://0177.0.0.1",
        "http://１２７.0.0.1",
        "http://10.0.0.1",
        "http://192.168.1.1",
        "http://172.16.0.1",
        "http://169.254.169.254/latest/meta-data/",
        "http://0.0.0.0",
        "http://224.0.0.1",
        "http://1.2.3.256",
        "http://[::1]",
        "http://[fe80::1]",
        "http://[fe80::1%25eth0]",
        "http://[::ffff:127.0.0.1]",
        "http://[2002:7f00:1::]",
        "http://[64:ff9b::7f00:1]",
        "http://[8.8.8.8]",
        "http://[::1",
        "http://1.1.1.1.0x7f",
        "mailto:root@localhost",
    ],
)
def test_hosts_of_the_readers_own_network_are_refused(url: str) -> None:
    assert parse_link(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://user@example.org",
        "https://example.org:x@evil.org",
        "https://example.org:99999",
        "https://example.org:0",
        "https://example.org:٣",
        "https://exam ple.org",
        "https://exa%6dple.org",
        "https://example..org",
        "https://-example.org",
        "https://xn--a.org",
        "https://xn--.org",
        "https://exam\u200cple.org",
        "https://exam\u202eple.org",
        "https://example.org/\ud800",
        "https://example.org/\x1b[31m",
        "https://" + "a." * 200 + "org",
        "https://example.org/" + "a" * 4096,
        "mailto:a@example.org,b@example.org",
        "mailto:a@example.org?attach=/etc/passwd",
        "mailto:a@example.org?subject=x&bcc=b@example.org",
        "mailto:",
    ],
)
def test_urls_that_may_mislead_are_refused(url: str) -> None:
    assert parse_link(url) is None


@given(st.text(max_size=40))
def test_an_accepted_link_is_plain_ascii_and_accepted_again(tail: str) -> None:
    if link := parse_link("https://example.org" + tail):
        assert link.href.isascii()
        assert not set("\"'<>\\` \t\r\n") & set(link.href)
        assert parse_link(link.href) == link


def test_a_link_opens_elsewhere_and_shows_its_host() -> None:
    assert render_link("the <em>docs</em>", DOCS) == (
        '<a href="https://docs.example.org/" rel="noopener noreferrer nofollow" target="_blank">'
        "the <em>docs</em></a> <small>(docs.example.org)</small>"
    )


@pytest.mark.parametrize(
    "label", ["docs.example.org", "https://docs.example.org", "https://docs.example.org/"]
)
def test_a_label_that_is_the_address_needs_no_host(label: str) -> None:
    assert "<small>" not in render_link(label, DOCS)


@pytest.mark.parametrize(
    "label",
    ["https://bank.example.com", "docs.example.org ", "DOCS.example.org", "docs.exаmple.org", ""],
)
def test_a_label_that_only_looks_like_the_address_gets_the_host(label: str) -> None:
    assert render_link(label, DOCS).endswith("</a> <small>(docs.example.org)</small>")


def test_the_host_may_stand_elsewhere() -> None:
    assert render_link("[1]", DOCS, show_host=False).endswith("[1]</a>")


def test_an_address_needs_no_host_beside_it() -> None:
    link = Link("mailto:me@example.org", "example.org")
    assert "<small>" not in render_link("me@example.org", link)
    assert "<small>" in render_link("write to me", link)


def test_ampersands_are_escaped_in_attributes() -> None:
    assert 'href="https://a.org/?b=1&amp;lt=2"' in render_link(
        "x", Link("https://a.org/?b=1&lt=2", "a.org")
    )
