"""What a server refuses becomes one line: what happened, and what to do."""

import csv
from importlib.resources import files

import pytest

from glm_magic.api.events import Filtered
from glm_magic.api.failures import Context, Refusal, build_api_error, parse_refusal, shorten
from glm_magic.errors import ApiError, AuthError, ContentError, RateLimitError

TABLE = files("glm_magic.api").joinpath("data", "error_codes.csv").read_text("utf-8")
ROWS = list(csv.DictReader(TABLE.splitlines()))
KEY = "0123456789abcdef0123456789abcdef.AbCdEfGhIjKlMnOp"


def build(
    code: str = "", message: str = "", *, status: int = 400, model: str = "glm-4.7"
) -> ApiError:
    context = Context("api.z.ai", model)
    return build_api_error(Refusal(code, message), context, status=status)


@pytest.mark.parametrize("row", ROWS, ids=[row["code"] for row in ROWS])
def test_every_code_of_the_platform_is_one_line_that_ends_in_advice(row: dict[str, str]) -> None:
    error = build(row["code"], f"余额不足\nBearer {KEY}", status=429, model="")
    text = str(error)
    assert text.startswith(f"api.z.ai: {row['meaning']} (HTTP 429, code {row['code']})")
    assert text.endswith(f"; {row['advice']}")
    assert "\n" not in text
    assert KEY not in text
    assert (error.status, error.code) == (429, row["code"])


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("1000", AuthError),
        ("1003", AuthError),
        ("1112", AuthError),
        ("1113", RateLimitError),
        ("1210", ApiError),
        ("1211", ApiError),
        ("1220", AuthError),
        ("1234", ApiError),
        ("1261", ApiError),
        ("1301", ContentError),
        ("1302", RateLimitError),
        ("1305", RateLimitError),
        ("1308", RateLimitError),
        ("1321", RateLimitError),
    ],
)
def test_the_class_of_a_code_says_whose_fault_it_is(code: str, kind: type[ApiError]) -> None:
    assert type(build(code)) is kind


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (400, ApiError, "the server refused the request (HTTP 400); check the options"),
        (401, AuthError, "the key was not accepted (HTTP 401); check it with `%glm login`"),
        (403, AuthError, "the key may not do this (HTTP 403); check its rights"),
        (404, ApiError, "there is no such address (HTTP 404); check `%glm config endpoint`"),
        (429, RateLimitError, "too many requests (HTTP 429); wait a moment"),
        (500, ApiError, "the server failed (HTTP 500); try again"),
        (529, ApiError, "the server failed (HTTP 529); try again"),
    ],
)
def test_without_a_code_the_status_decides(status: int, kind: type[ApiError], text: str) -> None:
    error = build(status=status)
    assert type(error) is kind
    assert str(error).startswith(f"api.z.ai: {text}")


def test_the_code_decides_before_the_status() -> None:
    assert type(build("1301", status=429)) is ContentError


def test_an_unknown_code_is_shown_and_the_status_decides() -> None:
    error = build("1999", "新错误", status=401)
    assert type(error) is AuthError
    assert "(HTTP 401, code 1999)" in str(error)


def test_a_code_that_repeats_the_status_is_not_said_twice() -> None:
    assert "(HTTP 404);" in str(build("404", status=404))


def test_a_model_that_does_not_exist_names_the_nearest() -> None:
    assert str(build("1211", "模型不存在，请检查模型代码。", model="GLM-4.77")) == (
        'api.z.ai: the model does not exist (HTTP 400, code 1211): "模型不存在，请检查模型代码。"; '
        "the model was 'GLM-4.77'; did you mean 'glm-4.7'?"
    )


@pytest.mark.parametrize("model", ["llama-99b", "glm-4.7"])
def test_a_model_with_no_other_near_is_to_be_checked(model: str) -> None:
    assert str(build("1211", model=model)).endswith(f"the model was '{model}'; check its name")


def test_an_empty_balance_says_that_the_key_may_be_for_another_site() -> None:
    assert str(build("1113", "余额不足或无可用资源包,请充值。", status=429)) == (
        "api.z.ai: no balance or resource package for this key here (HTTP 429, code 1113); "
        "recharge, or use the site the key is from: `%glm config endpoint=bigmodel`, `zai`, "
        "`coding` or `coding-zai`"
    )


def test_the_servers_words_are_shown_where_they_tell_more() -> None:
    error = build("1308", "您的限额将在 2026-05-11 21:02:26 重置。", status=429)
    assert str(error).endswith(
        ': "您的限额将在 2026-05-11 21:02:26 重置。"; wait until 2026-05-11 21:02:26'
    )


def test_a_safety_refusal_says_what_was_found_where_and_how_bad() -> None:
    found = (Filtered("user", 1), Filtered("history", 3))
    error = build_api_error(Refusal("1301", "敏感", found), Context("api.z.ai", ""), status=400)
    assert str(error) == (
        "api.z.ai: the safety review refused the content in the prompt, level 1 and in the chat "
        "before it, level 3 (0 is the worst, 3 the mildest) (HTTP 400, code 1301); rephrase it"
    )


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b'{"error":{"code":"1001","message":"no header"}}', Refusal("1001", "no header")),
        (b'{"error":{"code":1302,"message":"slow down"}}', Refusal("1302", "slow down")),
        (
            '{"contentFilter":[{"level":1,"role":"user"}],"error":{"code":"1301","message":"敏感"}}'
            "".encode(),
            Refusal("1301", "敏感", (Filtered("user", 1),)),
        ),
        (b'{"code":500,"msg":"404 NOT_FOUND","success":false}', Refusal("500", "404 NOT_FOUND")),
        (b'{"status":404,"error":"Not Found","path":"/v4/x"}', Refusal("", "Not Found")),
        (b'{"error":"model not loaded"}', Refusal("", "model not loaded")),
        (b'{"object":"error","message":"too long","code":400}', Refusal("400", "too long")),
        (b'{"type":"error","error":{"type":"x","code":"1113"}}', Refusal("1113", "")),
        (b'{"error":{"message":"bad","code":null}}', Refusal("", "bad")),
        (b"{}", Refusal("", "")),
        (b"[1]", Refusal("", "")),
        (b"", Refusal("", "")),
        (b"<html><h1>502 Bad Gateway</h1>", Refusal("", "")),
        (b'{"error":{"code":"10', Refusal("", "")),
        (b"\xff\xfe\x00", Refusal("", "")),
        (b"[" * 50_000, Refusal("", "")),
    ],
)
def test_an_error_body_is_read_in_every_shape_seen(body: bytes, refusal: Refusal) -> None:
    assert parse_refusal(body) == refusal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\n\tb\x1b[31m", "a b [31m"),
        (f"key {KEY} is wrong", "key … is wrong"),
        ("got Bearer abc.def", "got …"),
        ("got bearer  abc", "got …"),
        ("网络错误，错误id：20260123153010a1b2c3d4e5f60718，请稍后", "网络错误，错误id：…，请稍后"),
        ("Prompt 超长", "Prompt 超长"),
    ],
)
def test_a_servers_words_fit_one_line_and_hold_no_key(text: str, shown: str) -> None:
    assert shorten(text) == shown


def test_long_words_of_a_server_are_cut() -> None:
    assert shorten("ab " * 100) == "ab " * 66 + "a…"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("bad key short.key", "bad key …"),
        ("cannot answer 'my secret plan is to leave'", "cannot answer '…'"),
        ("cannot answer: my secret plan is to", "cannot answer: …"),
        ("我的密码是什么？不允许", "…？不允许"),
        ("messages 参数非法。", "messages 参数非法。"),
        ("which this is", "which this is"),
    ],
)
def test_what_a_server_echoes_of_the_request_is_not_shown(message: str, shown: str) -> None:
    private = ["", "hi", "short.key", "my secret plan\nis to leave", "我的密码是什么"]
    assert shorten(message, private) == shown


def test_a_limit_that_resets_at_a_stated_time_says_until_when() -> None:
    message = "Weekly limit reached, will reset at 2026-05-11 21:02:26"
    context = Context("api.z.ai", "glm-5.3")
    error = build_api_error(Refusal("1310", message), context, status=429)
    assert (error.reset_at, error.retryable) == ("2026-05-11 21:02:26", False)
    assert str(error).endswith("; wait until 2026-05-11 21:02:26")


def test_a_time_in_any_other_refusal_is_no_reset() -> None:
    refusal = Refusal("1210", "invalid since 2026-05-11 21:02:26")
    assert build_api_error(refusal, Context("api.z.ai", "glm-5.3"), status=400).reset_at == ""
