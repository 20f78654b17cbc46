"""A refusal of the server to one line that says what happened and what to do.

The business code of the platform decides first (data/error_codes.csv, from its table of
September 2026 with the rows of older ones), the HTTP status second.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from glm_magic.api.catalog import nearest_model
from glm_magic.api.events import Filtered, in_words, parse_findings
from glm_magic.api.line import one_line
from glm_magic.api.retry import LONGEST_WAIT_S, is_retried_status, parse_retry_after
from glm_magic.api.tables import read_table
from glm_magic.errors import ApiError, AuthError, ContentError, RateLimitError

_CLASSES: dict[str, type[ApiError]] = {
    "auth": AuthError,
    "rate": RateLimitError,
    "balance": RateLimitError,
    "content": ContentError,
}
# What an HTTP status says when there is no code that is known.
_STATUSES = {
    401: ("auth", "the key was not accepted", "check it with `%glm login`"),
    403: ("auth", "the key may not do this", "check its rights on the site it is from"),
    404: ("request", "there is no such address", "check `%glm config endpoint`"),
    429: ("rate", "too many requests", "wait a moment and run the cell again"),
}
_REFUSED = (
    "request",
    "the server refused the request",
    "check the options of this line and `%glm config`",
)
_FAILED = ("server", "the server failed", "try again in a moment")
# Long enough for any message of the platform, short enough for one line.
_LIMIT_CHARACTERS = 200
# So much of a server's words is looked at; more is not shown in any case.
_LOOK_CHARACTERS = 1000
# Runs of this length that also stand in the request are an echo; shorter ones are chance.
_ECHO_CHARACTERS = 12


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the server said: business code ("" if none), its own message, safety findings."""

    code: str
    message: str
    findings: tuple[Filtered, ...] = ()


@cache
def _codes() -> dict[str, dict[str, str]]:
    return {row["code"]: row for row in read_table("error_codes")}


def parse_refusal(body: bytes) -> Refusal:
    """Return code and message of an error body in any of the shapes seen."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return Refusal("", "")
    return parse_error_object(content) if isinstance(content, dict) else Refusal("", "")


def parse_error_object(value: object) -> Refusal:
    """Return code and message of `{"error": {"code", "message"}}` and its kin, or of any JSON."""
    content: dict[str, Any] = value if isinstance(value, dict) else {"error": value}
    error = content.get("error")
    if not isinstance(error, dict):
        error = {"message": error} | content
    code, message = error.get("code"), error.get("message") or error.get("msg") or ""
    findings = parse_findings(content.get("contentFilter") or content.get("content_filter"))
    return Refusal("" if code is None else str(code), str(message), findings)


@dataclass(frozen=True, slots=True)
class Context:
    """What a refusal is told with.

    Attributes:
        host: who refused.
        model: the model that was asked for.
        private: what no message may repeat, whatever the server said: key and prompt.
        headers: of the response, with lower-case names.
    """

    host: str
    model: str
    private: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def build_api_error(refusal: Refusal, context: Context, *, status: int) -> ApiError:
    """Return the error for a refusal: one line that ends in what to do."""
    row = _codes().get(refusal.code)
    kind, meaning, advice = (
        (row["kind"], row["meaning"], row["advice"]) if row else _status_row(status)
    )
    wait_s = parse_retry_after(context.headers)
    text = f"{context.host}: {meaning}{in_words(refusal.findings)}"
    text += f" ({_label(refusal, status, context.private)})"
    if refusal.message and kind in ("request", "rate", "server"):
        text += f': "{shorten(refusal.message, context.private)}"'
    if wait_s is not None and wait_s > LONGEST_WAIT_S:
        text += f"; it asks to wait {format_wait(wait_s)}"
    return _CLASSES.get(kind, ApiError)(
        f"{text}; {_advice(refusal, context.model) or advice}",
        status=status,
        code=refusal.code,
        retryable=_is_retried(row, status, context.headers),
        retry_after_s=wait_s,
        reset_at=_reset_at(refusal),
    )


# As the message of a plan's limit ends: "... reset at 2026-05-11 21:02:26".
_RESET_AT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", re.ASCII)


def _reset_at(refusal: Refusal) -> str:
    row = _codes().get(refusal.code)
    found = _RESET_AT.search(refusal.message) if row and row["retry"] == "wait" else None
    return found[0] if found else ""


def _is_retried(row: Mapping[str, str] | None, status: int, headers: Mapping[str, str]) -> bool:
    if headers.get("x-should-retry") == "false":
        return False
    return row["retry"] == "yes" if row else is_retried_status(status)


def format_wait(wait_s: float) -> str:
    """Return a wait as a reader would say it: seconds, minutes or hours."""
    if wait_s < 120:
        return f"{wait_s:.0f} s"
    if wait_s < 7200:
        return f"{wait_s / 60:.0f} min"
    return f"{wait_s / 3600:.0f} h" if wait_s < 1e6 else "for ever"


def _label(refusal: Refusal, status: int, private: Sequence[str]) -> str:
    known = refusal.code and refusal.code != str(status)
    return f"HTTP {status}, code {shorten(refusal.code, private)}" if known else f"HTTP {status}"


def _advice(refusal: Refusal, model: str) -> str:
    """What to do, where the request itself tells more than the table."""
    if reset_at := _reset_at(refusal):
        return f"wait until {reset_at}"
    if refusal.code != "1211":
        return ""
    near = nearest_model(model)
    hint = f"did you mean '{near}'?" if near and near != model else "check its name"
    return f"the model was '{model[:60]}'; {hint}"


def _status_row(status: int) -> tuple[str, str, str]:
    return _STATUSES.get(status, _REFUSED if status < 500 else _FAILED)


# What a server may echo of an Authorization header or a body: long unbroken runs, in the shape
# of keys and tokens.
_KEY_LIKE = re.compile(r"(?i)bearer\s+\S+|[A-Za-z0-9_\-.]{24,}")


def shorten(text: str, private: Sequence[str] = ()) -> str:
    """Return a server's words fit for one line.

    Key-like runs and what stands in `private` too are masked; the length is bounded.
    """
    line = one_line(text)[:_LOOK_CHARACTERS]
    for echoed in private:
        line = _without_echo(line, one_line(echoed))
    line = _KEY_LIKE.sub("…", line)
    return line if len(line) <= _LIMIT_CHARACTERS else f"{line[: _LIMIT_CHARACTERS - 1]}…"


def _without_echo(line: str, private: str) -> str:
    """Mask the runs of `line` that stand in `private` too; a word or two says nothing."""
    if len(private) <= _ECHO_CHARACTERS:
        return line.replace(private, "…") if len(private) > 3 else line
    width = _ECHO_CHARACTERS
    starts = (i for i in range(len(line) - width + 1) if line[i : i + width] in private)
    hidden = {place for start in starts for place in range(start, start + width)}
    masked = ("\0" if place in hidden else c for place, c in enumerate(line))
    return re.sub("\0+", "…", "".join(masked))
