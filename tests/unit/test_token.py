"""What the Authorization header holds: the key itself, or the platform's older token."""

import base64
import json
from datetime import UTC, datetime

import jwt
import pytest
from asking import KEY, ask, assert_keeps_secrets, error_of
from glm_server import GlmServer, check_authorization

from glm_magic.api.token import authorization
from glm_magic.errors import AuthError, SettingsError
from glm_magic.secret import Secret

NOW_S = 1_700_000_000.25


def token_of(key: str = KEY, *, now_s: float = NOW_S) -> str:
    scheme, _, token = authorization(Secret(key), "jwt", now_s=now_s).partition(" ")
    assert scheme == "Bearer"
    return token


def part(number: int) -> object:
    text = token_of().split(".")[number]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def test_the_key_itself_is_what_is_sent_as_a_rule() -> None:
    assert authorization(Secret("id.secret"), "key") == "Bearer id.secret"


def test_a_token_has_the_platforms_own_header_and_claims_in_milliseconds() -> None:
    assert part(0) == {"alg": "HS256", "sign_type": "SIGN"}
    assert part(1) == {
        "api_key": "test-key-id",
        "exp": 1700000210250,
        "timestamp": 1700000000250,
    }


def test_a_token_is_the_same_to_the_letter() -> None:
    head, claims, signature = token_of("id.secret").split(".")
    assert head == "eyJhbGciOiJIUzI1NiIsInNpZ25fdHlwZSI6IlNJR04ifQ"
    assert claims == (
        "eyJhcGlfa2V5IjoiaWQiLCJleHAiOjE3MDAwMDAyMTAyNTAsInRpbWVzdGFtcCI6MTcwMDAwMDAwMDI1MH0"
    )
    assert signature == "v_TX9bTSvsRoxMtBFcHkglxRKWfnvJvU5_clj8_K9rc"  # by openssl


def test_a_token_holds_no_secret() -> None:
    assert "secret" not in base64.urlsafe_b64decode(token_of().split(".")[1] + "==").decode()


# The platform's secrets are as short as this one.
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_another_jwt_library_finds_it_well_signed() -> None:
    options = {"verify_exp": False}  # milliseconds, which JWT has not
    claims = jwt.decode(token_of(), "test-secret", algorithms=["HS256"], options=options)
    assert claims["api_key"] == "test-key-id"
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token_of(), "other-secret", algorithms=["HS256"], options=options)


def test_the_server_takes_a_token_for_three_and_a_half_minutes() -> None:
    header = f"Bearer {token_of()}"
    assert check_authorization(header, KEY, NOW_S) is None
    assert check_authorization(header, KEY, NOW_S + 209) is None
    late = check_authorization(header, KEY, NOW_S + 211)
    assert late is not None
    assert late.code == "1003"


def test_a_request_with_a_token_is_answered(server: GlmServer) -> None:
    assert ask(server.url, auth="jwt").reply.state == "complete"
    sent = server.requests[0].headers["authorization"]
    assert sent.startswith("Bearer eyJ")
    assert "test-secret" not in sent


def test_each_request_has_a_token_of_its_own_time(server: GlmServer) -> None:
    before_ms = datetime.now(UTC).timestamp() * 1000
    ask(server.url, auth="jwt")
    text = server.requests[0].headers["authorization"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert before_ms - 1 <= claims["timestamp"] <= before_ms + 20_000


def test_a_token_of_another_key_is_refused_in_one_line(server: GlmServer) -> None:
    outcome = ask(server.url, key="other-id.other-secret", auth="jwt")
    assert "the key was not accepted (HTTP 401, code 1000)" in error_of(outcome, AuthError)


@pytest.mark.parametrize("key", ["nodot", ".secret", "id.", "."])
def test_a_key_that_makes_no_token_is_one_line_and_sends_nothing(
    server: GlmServer, key: str
) -> None:
    outcome = ask(server.url, key=key, auth="jwt")
    assert error_of(outcome, SettingsError) == (
        "auth=jwt needs a key of the form ID.SECRET; use auth=key"
    )
    assert server.requests == []


def test_without_a_key_there_is_no_token(server: GlmServer) -> None:
    ask(server.url, key="", auth="jwt")
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize("style", ["key", "jwt"])
@pytest.mark.parametrize(
    "key",
    [
        "id.gold\nunder",
        "id.gold under\r\nx: y",
        " id.gold\tunder",
        "id.我的日记",
        "id.gold\x00under",
    ],
)
def test_a_key_that_no_header_takes_is_one_line_and_not_shown(
    server: GlmServer, key: str, style: str
) -> None:
    outcome = ask(server.url, key=key, auth=style)
    line = error_of(outcome, SettingsError)
    assert line == "the key has characters that no key has; copy it again and run `%glm login`"
    assert outcome.error is not None
    assert_keeps_secrets(outcome.error)
    assert server.requests == []
