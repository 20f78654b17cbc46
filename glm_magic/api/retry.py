"""What is tried again, and when.

Ours because the wait is part of the stream: it is shown, it can be interrupted, and it obeys
the server (`Retry-After` in all its forms). tenacity and stamina keep the wait inside their own
iterator and know exceptions only.
"""

from __future__ import annotations

import asyncio
import math
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from glm_magic.api.bounds import Bounds
from glm_magic.api.events import Waiting
from glm_magic.errors import ApiError, ConnectError, GlmError

T = TypeVar("T")
# A server that asks for more is not waited for: the user decides.
LONGEST_WAIT_S = 120.0
_LONGEST_BACK_OFF_S = 8.0
# Without a business code: time-outs, too many requests and the server's own failures.
_DECIMAL = re.compile(r"\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_RETRIED_STATUSES = frozenset({408, 429})


def parse_retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Return the seconds that a server asks to wait; None if it does not, or not sensibly.

    `retry-after-ms` comes first, then `retry-after` as seconds or as an HTTP date. A wait that
    is negative, over or not a number is none; one too large for a float is infinite.
    """
    if (wait_ms := _number(headers.get("retry-after-ms", ""))) is not None:
        return wait_ms / 1000
    text = headers.get("retry-after", "")
    if (wait_s := _number(text)) is not None:
        return wait_s
    wait_s = _seconds_until(text, now or datetime.now(UTC))
    return wait_s if wait_s > 0 else None


def _number(text: str) -> float | None:
    """A number over 0; digits too many for a float are infinite, the word "inf" is nothing."""
    if not _DECIMAL.fullmatch(text.strip()):
        return None
    return float(text) or None


def _seconds_until(text: str, now: datetime) -> float:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):  # the last from a time zone beyond all days
        return math.nan
    return (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()


def is_retried_status(status: int) -> bool:
    """Return whether a refusal without a business code is tried again."""
    return status in _RETRIED_STATUSES or status >= 500


def retry_wait_s(
    error: GlmError,
    tries: int,
    bounds: Bounds,
    *,
    chance: Callable[[], float] = random.random,
) -> float | None:
    """Return how long to wait before the next try; None when there is none.

    Args:
        tries: how many tries there were after the first.
        chance: a number in [0, 1), for the jitter: up to a quarter less, so that many clients
            do not come back at once.
    """
    if tries >= bounds.max_retries or not isinstance(error, (ApiError, ConnectError)):
        return None
    if not error.retryable:
        return None
    if isinstance(error, ApiError) and error.retry_after_s is not None:
        return error.retry_after_s if error.retry_after_s <= LONGEST_WAIT_S else None
    back_off_s = min(bounds.retry_base_s * 2.0**tries, _LONGEST_BACK_OFF_S)
    return back_off_s * (1 - 0.25 * chance())


def reason_of(error: GlmError) -> str:
    """Return why it is tried again: without its advice, which is for one who has to do so."""
    return str(error).rpartition("; ")[0] or str(error)


Told = Callable[[Waiting], None]


async def patiently(ask: Callable[[], Awaitable[T]], bounds: Bounds, told: Told | None = None) -> T:
    """Return what `ask` gives, tried again within the bounds where that may help.

    Args:
        told: is told of each wait before it begins.

    Raises:
        GlmError: what the last try raised.
    """
    tries = 0
    while True:
        try:
            return await ask()
        except GlmError as error:
            wait_s, reason = retry_wait_s(error, tries, bounds), reason_of(error)
            if wait_s is None:
                raise
        tries += 1
        if told:
            told(Waiting(wait_s, reason))
        await asyncio.sleep(wait_s)
