"""TLS, proxies and addresses: who may get the key, and the one line when the way is barred."""

import asyncio
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from asking import CHUNK, DONE, KEY, LAST, SITE, ask, error_of, replying
from glm_server import GlmServer
from raw_server import HANG, RawServer, head

from glm_magic.api.client import AsyncClient
from glm_magic.api.proxies import describe_unusable_proxy, proxy_variable
from glm_magic.errors import AuthError, ConnectError, SettingsError

ANSWER = (head(), CHUNK, LAST, DONE)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """The TLS of a server with a certificate of our own authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost", "::1").configure_cert(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own authority in SSL_CERT_FILE."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, so that nobody else gets it, but not listening
        yield taken.getsockname()[1]


# -- TLS -----------------------------------------------------------------------------------


def test_a_certificate_that_is_not_trusted_is_named_and_not_tried_again(
    tls: ssl.SSLContext,
) -> None:
    with RawServer(ANSWER, tls=tls) as server:
        outcome = ask(server.url, max_retries=2)
        assert error_of(outcome, ConnectError) == (
            f"127.0.0.1:{server.port}: its TLS certificate is not trusted here; "
            "set SSL_CERT_FILE if it is your own server"
        )
        assert server.requests == []
    assert outcome.reply.state == "failed"
    assert outcome.events == []


def test_a_certificate_for_another_host_is_not_trusted(
    authority: trustme.CA, trusted: None
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("llm.example.org").configure_cert(context)
    with RawServer(ANSWER, tls=context) as server:
        outcome = ask(server.url)
        assert "its TLS certificate is not trusted here" in error_of(outcome, ConnectError)
        assert server.requests == []


@pytest.mark.usefixtures("trusted")
def test_a_certificate_of_ssl_cert_file_is_trusted(tls: ssl.SSLContext) -> None:
    with RawServer(ANSWER, tls=tls) as server:
        assert server.url.startswith("https://")
        assert ask(server.url).reply.text == "Hello"


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_an_ssl_cert_file_that_is_none_is_named(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    outcome = ask(SITE)
    assert error_of(outcome, SettingsError) == (
        "SSL_CERT_FILE or SSL_CERT_DIR names no file or folder of certificates"
    )


def test_plain_http_on_an_https_port_is_named_and_not_tried_again() -> None:
    # What arrives is the hello of TLS, and no HTTP request.
    play = (b"HTTP/1.1 400 Bad Request\r\n\r\n", HANG)
    with RawServer(play, waits_for_request=False) as server:
        outcome = ask(f"https://127.0.0.1:{server.port}/v1", max_retries=2)
    assert error_of(outcome, ConnectError) == (
        f"127.0.0.1:{server.port}: cannot be reached by TLS; check that its address begins "
        "with https://"
    )
    assert outcome.events == []


def test_https_on_a_plain_http_address_is_one_line(tls: ssl.SSLContext) -> None:
    with RawServer(ANSWER, tls=tls) as server:
        outcome = ask(server.url.replace("https:", "http:"))
        error_of(outcome, ConnectError)
        assert server.requests == []


def test_a_server_that_does_not_go_on_with_tls_is_left_after_the_connect_time() -> None:
    with RawServer((HANG,)) as server:
        outcome = ask(f"https://127.0.0.1:{server.port}/v1", connect_timeout_s=0.2)
        assert "no connection within 0.2 s; check the network" in error_of(outcome, ConnectError)
        server.wait_for_left()


@pytest.mark.usefixtures("trusted")
def test_a_stopped_reply_closes_its_tls_connection_at_once(tls: ssl.SSLContext) -> None:
    async def leave(url: str) -> str:
        async with AsyncClient(KEY, url) as client, client.stream("hi") as stream:
            async for _ in stream:
                break
        return stream.reply.state

    with RawServer((head(), CHUNK, HANG), tls=tls) as server:
        assert asyncio.run(leave(server.url)) == "stopped"
        server.wait_for_left(1.0)


# -- proxies -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_that_does_not_answer_is_named_by_its_variable(
    name: str, monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    monkeypatch.setenv(name, f"http://user:hunter2@127.0.0.1:{closed_port}")
    outcome = ask(SITE)
    assert error_of(outcome, ConnectError) == (
        f"llm.example.org: the proxy in {name} cannot be reached; check it and NO_PROXY"
    )


def test_a_proxy_that_refuses_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer((head(407), b"")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        outcome = ask(SITE)
        assert error_of(outcome, ConnectError) == (
            "llm.example.org: the proxy in HTTPS_PROXY refused; check it and NO_PROXY"
        )
        (request,) = proxy.requests
    assert request.startswith(b"CONNECT llm.example.org:443 ")
    assert KEY.encode() not in request


def test_a_proxy_that_is_silent_is_left_after_the_first_byte_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with RawServer((HANG,)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        error_of(ask(SITE, first_byte_timeout_s=0.2), ConnectError)
        proxy.wait_for_left()


def ask_through_environment(url: str) -> str:
    """The text of a reply, or the error, with nothing between the client and the network."""

    async def take() -> str:
        async with AsyncClient(KEY, url, max_retries=0) as client:
            return (await client.chat("hi", model="glm-4.7")).text

    return asyncio.run(take())


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "*", "localhost,127.0.0.1", "x, 127.0.0.1"])
def test_no_proxy_is_honoured(
    server: GlmServer, no_proxy: str, monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port}")
    with pytest.raises(ConnectError, match="the proxy in HTTP_PROXY cannot be reached"):
        ask_through_environment(server.url)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert ask_through_environment(server.url).startswith("Hello!")


def test_a_request_goes_through_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with RawServer(ANSWER) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert ask_through_environment("http://127.0.0.1:9/v1") == "Hello"
        (request,) = proxy.requests
    assert request.startswith(b"POST http://127.0.0.1:9/v1/chat/completions ")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    "value", ["gopher://proxy.example.org", "socks://127.0.0.1:7890", "http://h:x", "://x"]
)
def test_a_proxy_that_is_none_is_named_by_its_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    outcome = ask(SITE)
    assert error_of(outcome, SettingsError) == (
        f"the proxy in {name} is not usable: an address such as http://host:8080"
    )


@pytest.mark.parametrize(
    "value", ["http://127.0.0.1:99999", "127.0.0.1:99999", "http://[", "http://", "h:80:80"]
)
def test_a_proxy_in_use_that_is_no_address_is_named(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    assert "the proxy in HTTPS_PROXY is not usable" in error_of(ask(SITE), SettingsError)
    assert ask(SITE, transport=replying(CHUNK, LAST, DONE)).error is None


@pytest.mark.parametrize("value", ["socks5://127.0.0.1:7890", "socks5h://127.0.0.1:7890"])
def test_a_socks_proxy_says_what_it_needs(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    monkeypatch.setitem(sys.modules, "socksio", None)  # as if it were not installed
    assert error_of(ask(SITE), SettingsError) == (
        'ALL_PROXY is a SOCKS proxy, which needs `pip install "httpx[socks]"`'
    )


@pytest.mark.parametrize("value", ["[::1]", "fe80::/10", "http://a:x"])
def test_a_no_proxy_that_is_none_is_named(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", value)
    assert "NO_PROXY is not usable" in error_of(ask(SITE), SettingsError)


def test_the_local_engine_knows_no_proxy(monkeypatch: pytest.MonkeyPatch, closed_port: int) -> None:
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{closed_port}")
    assert ask("local", transport=replying(CHUNK, LAST, DONE)).reply.text == "Hello"


@pytest.mark.parametrize(
    ("variables", "url", "name"),
    [
        ({}, SITE, ""),
        ({"HTTP_PROXY": "http://p"}, SITE, ""),
        ({"HTTPS_PROXY": "http://p"}, SITE, "HTTPS_PROXY"),
        ({"HTTPS_PROXY": "http://p", "https_proxy": "http://q"}, SITE, "https_proxy"),
        ({"HTTPS_PROXY": "http://p", "ALL_PROXY": "http://q"}, SITE, "HTTPS_PROXY"),
        ({"ALL_PROXY": "http://q"}, "http://127.0.0.1/v1", "ALL_PROXY"),
        ({"HTTPS_PROXY": "http://p", "NO_PROXY": "example.org"}, SITE, ""),
        ({"HTTPS_PROXY": "http://p", "NO_PROXY": "example.com"}, SITE, "HTTPS_PROXY"),
        ({"HTTPS_PROXY": ""}, SITE, ""),
    ],
)
def test_the_variable_of_the_proxy_in_use_is_known(
    variables: dict[str, str], url: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert proxy_variable(url) == name


def test_without_a_bad_proxy_it_is_no_proxy_that_is_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "127.0.0.1:8080")
    assert describe_unusable_proxy().startswith("NO_PROXY is not usable")


# -- addresses -----------------------------------------------------------------------------


def test_ipv6_is_understood() -> None:
    try:
        with RawServer(ANSWER, host="::1") as server:
            assert server.url.startswith("http://[::1]:")
            outcome = ask(server.url)
            (request,) = server.requests
    except OSError:
        pytest.skip("no IPv6 on this machine")
    assert outcome.reply.text == "Hello"
    assert outcome.reply.endpoint == f"[::1]:{server.port}"
    assert f"host: [::1]:{server.port}".encode() in request.lower()


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://evil.example/v1", "evil.example"),
        ("//evil.example", "evil.example"),
        ("/elsewhere", "another address"),
        ("https://xn--80ak6aa92e.com/", "xn--80ak6aa92e.com"),
        ("https://user:pw@evil.example/", "evil.example"),
    ],
)
def test_a_redirect_shows_the_true_host_in_ascii(location: str, shown: str) -> None:
    line = error_of(ask(SITE, transport=replying(status=307, location=location)), ConnectError)
    assert f"sends on to {shown}, which is never followed" in line


def test_netrc_never_replaces_the_key(
    server: GlmServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password gold\ndefault login x password y\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ask_through_environment(server.url).startswith("Hello!")
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    outcome = ask(server.url, key="")
    assert "no key was sent" in error_of(outcome, AuthError)
    assert "authorization" not in server.requests[1].headers
