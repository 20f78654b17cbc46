"""A refusal of the server to one line that says what happened and what to do.

The business code of the platform decides first (data/error_codes.csv, from its table of
September 2026 with the rows of older ones), the HTTP status second.
"""

from __future__ import annotations

import json
import re
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
# Long enough for any message of the platform, short enough for one line.
_LIMIT_CHARACTERS = 200


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
    except ValueError:
        return Refusal("", "")
    return parse_error_object(content) if isinstance(content, dict) else Refusal("", "")


def parse_error_object(content: dict[str, Any]) -> Refusal:
    """Return code and message of `{"error": {"code", "message"}}` and its kin."""
    error = content.get("error")
    if not isinstance(error, dict):
        error = {"message": error} | content
    code, message = error.get("code"), error.get("message") or error.get("msg") or ""
    return Refusal("" if code is None else str(code), str(message))


def build_api_error(refusal: Refusal, *, status: int, host: str, model: str) -> ApiError:
    """Return the error for a refusal; the message is one line, with no part of a key."""
    row = _codes().get(refusal.code)
    kind = row["kind"] if row else _kind_of_status(status)
    meaning = row["meaning"] if row else _meaning_of_status(status)
    advice = _advice(refusal, model) or (row["advice"] if row else "")
    text = f"{host}: {meaning} ({_label(refusal, status)})"
    if refusal.message and kind in ("request", "rate", "server"):
        text += f': "{shorten(refusal.message)}"'
    if advice:
        text += f"; {advice}"
    return _CLASSES.get(kind, ApiError)(text, status=status, code=refusal.code)


def _label(refusal: Refusal, status: int) -> str:
    known = refusal.code and refusal.code != str(status)
    return f"HTTP {status}, code {shorten(refusal.code)}" if known else f"HTTP {status}"


def _advice(refusal: Refusal, model: str) -> str:
    """What to do, where the request itself tells more than the table."""
    if refusal.code != "1211":
        return ""
    near = nearest_model(model)
    hint = f"did you mean '{near}'?" if near and near != model else "check its name"
    return f"the model was '{model[:60]}'; {hint}"


def _kind_of_status(status: int) -> str:
    if status in (401, 403):
        return "auth"
    if status == 429:
        return "rate"
    return "request" if status < 500 else "server"


def _meaning_of_status(status: int) -> str:
    meanings = {
        401: "the key was not accepted",
        403: "the key may not do this",
        404: "there is no such address; check `%glm config endpoint`",
        429: "too many requests",
    }
    default = "the server refused the request" if status < 500 else "the server failed, try again"
    return meanings.get(status, default)


# What a server may echo of an Authorization header or a body: long unbroken runs, in the shape
# of keys and tokens.
_KEY_LIKE = re.compile(r"(?i)bearer\s+\S+|[A-Za-z0-9_\-.]{24,}")


def shorten(text: str) -> str:
    """Return a server's words fit for one line: key-like runs masked, length bounded."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    line = _KEY_LIKE.sub("…", line)
    return line if len(line) <= _LIMIT_CHARACTERS else f"{line[: _LIMIT_CHARACTERS - 1]}…"
