"""A refusal of the server to one line that says what happened and what to do.

The business code of the platform decides first (data/error_codes.csv, from its table of
September 2026 with the rows of older ones), the HTTP status second.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from glm_magic.api.catalog import nearest_model, read_table
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
    """What the server said: business code ("" if none) and its own message."""

    code: str
    message: str


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


def parse_error_object(content: dict[str, Any]) -> Refusal:
    """Return code and message of `{"error": {"code", "message"}}` and its kin."""
    error = content.get("error")
    if not isinstance(error, dict):
        error = {"message": error} | content
    code, message = error.get("code"), error.get("message") or error.get("msg") or ""
    return Refusal("" if code is None else str(code), str(message))


def build_api_error(
    refusal: Refusal, *, status: int, host: str, model: str, private: Sequence[str] = ()
) -> ApiError:
    """Return the error for a refusal: one line that ends in what to do.

    Args:
        private: what the message must not repeat, whatever the server said: key and prompt.
    """
    row = _codes().get(refusal.code)
    kind, meaning, advice = (
        (row["kind"], row["meaning"], row["advice"]) if row else _status_row(status)
    )
    text = f"{host}: {meaning} ({_label(refusal, status, private)})"
    if refusal.message and kind in ("request", "rate", "server"):
        text += f': "{shorten(refusal.message, private)}"'
    text += f"; {_advice(refusal, model) or advice}"
    return _CLASSES.get(kind, ApiError)(text, status=status, code=refusal.code)


def _label(refusal: Refusal, status: int, private: Sequence[str]) -> str:
    known = refusal.code and refusal.code != str(status)
    return f"HTTP {status}, code {shorten(refusal.code, private)}" if known else f"HTTP {status}"


def _advice(refusal: Refusal, model: str) -> str:
    """What to do, where the request itself tells more than the table."""
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
    line = _one_line(text)[:_LOOK_CHARACTERS]
    for echoed in private:
        line = _without_echo(line, _one_line(echoed))
    line = _KEY_LIKE.sub("…", line)
    return line if len(line) <= _LIMIT_CHARACTERS else f"{line[: _LIMIT_CHARACTERS - 1]}…"


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _without_echo(line: str, private: str) -> str:
    """Mask the runs of `line` that stand in `private` too; a word or two says nothing."""
    if len(private) <= _ECHO_CHARACTERS:
        return line.replace(private, "…") if len(private) > 3 else line
    width = _ECHO_CHARACTERS
    starts = (i for i in range(len(line) - width + 1) if line[i : i + width] in private)
    hidden = {place for start in starts for place in range(start, start + width)}
    masked = ("\0" if place in hidden else c for place, c in enumerate(line))
    return re.sub("\0+", "…", "".join(masked))
