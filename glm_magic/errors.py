"""What can go wrong, and whose fault it is.

    GlmError
    ├── SettingsError    an option, setting, key or file is wrong; nothing was sent
    ├── ConnectError     no reply: refused, timed out, cut off before the headers
    ├── ApiError         the server refused: HTTP status, business code, meaning, what to do
    │   ├── AuthError        401, 403, 1000-1005: the key
    │   ├── RateLimitError   429: too many requests, or nothing left to spend
    │   └── ContentError     1301: the safety review refused the content
    ├── StreamError      the reply began and broke; the partial reply rides on it
    └── ReplyError       the reply is not what was asked of it; it is whole all the same

A message is one line that says what happened and what to do; it holds neither the key nor
the prompt. No error of the HTTP library leaves `api/`: it is the `__cause__`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glm_magic.api.reply import Reply

# Longer than any message of ours; one that repeats a value may be of any length.
_LIMIT_CHARACTERS = 500


class GlmError(Exception):
    """An expected failure: one line in a notebook, and the cell fails."""

    def _render_traceback_(self) -> list[str]:
        """Give IPython the one line to print in place of a traceback."""
        return [f"glm: {_one_line(str(self))}"]


class SettingsError(GlmError):
    """An option, setting, key or file is wrong; nothing was sent."""


class ConnectError(GlmError):
    """No reply came: refused, timed out, or cut off before the headers.

    Attributes:
        retryable: whether the same request may do better at once: never where the server may
            have begun to work, for it would be paid twice.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class ApiError(GlmError):
    """The server refused the request.

    Attributes:
        status: HTTP status, for example 429.
        code: business code of the platform, for example "1113"; "" when it sent none.
        retryable: whether the same request may do better later.
        retry_after_s: how long the server asks to wait; None when it does not say.
        reset_at: when a limit of a plan resets, as the server wrote it ("2026-05-11 21:02:26",
            in no stated time zone); "" when it does not say.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str = "",
        retryable: bool = False,
        retry_after_s: float | None = None,
        reset_at: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.reset_at = reset_at


class AuthError(ApiError):
    """The key is missing, wrong, expired or not yet verified."""


class RateLimitError(ApiError):
    """Too many requests at once, or nothing left to spend."""


class ContentError(ApiError):
    """The safety review refused the prompt or the answer (business code 1301)."""


class StreamError(GlmError):
    """The reply began and broke.

    Attributes:
        reply: what had arrived by then.
    """

    def __init__(self, message: str, *, reply: Reply) -> None:
        super().__init__(message)
        self.reply = reply


class ReplyError(GlmError, ValueError):
    """The reply is not what was asked of it: its text is no JSON, or has no table."""


def _one_line(text: str) -> str:
    """A text that may hold a value of the user's: no ends of lines, controls or direction marks."""
    line = "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))
    return line if len(line) <= _LIMIT_CHARACTERS else f"{line[: _LIMIT_CHARACTERS - 1]}…"


class Stopped(KeyboardInterrupt):
    """The user interrupted the kernel while a reply streamed.

    A `KeyboardInterrupt`, so that Run All halts, with a one-line rendering of its own.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"glm: {self}"]
