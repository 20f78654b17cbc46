"""Requests in flight, per endpoint and model, as many as the platform allows.

The platform limits requests at the same time, not per minute, and tells a client of it by
refusing (code 1302); no API tells the number. So the limit starts at what the account's tier
allows and learns: a refusal halves it, success lets it grow again by about one a round.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Self

from glm_magic.errors import ApiError

# The business code of "too many requests at the same time for this account".
TOO_MANY = "1302"


@dataclass(frozen=True, slots=True)
class Places:
    """A limiter at one moment: at the most, now, and taken."""

    model: str
    limit: int
    now: int
    in_flight: int


class Limiter:
    """Places for requests in flight; a place is held until the response is closed.

    First come, first served. For one event loop.

    Args:
        limit: how many at the most; it never grows beyond.
        name: whose limit it is, to say so.
    """

    def __init__(self, limit: int, *, name: str = "") -> None:
        self.limit = max(1, limit)
        self._name = name
        self._now = float(self.limit)
        self._in_flight = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def now(self) -> int:
        """How many requests may be in flight now, at least 1."""
        return max(1, int(self._now))

    @property
    def in_flight(self) -> int:
        """How many are."""
        return self._in_flight

    @property
    def places(self) -> Places:
        """The limiter as it is at this moment."""
        return Places(self._name, self.limit, self.now, self._in_flight)

    @property
    def is_full(self) -> bool:
        """Whether a request would have to wait for a place."""
        return self._in_flight >= self.now or bool(self._queue)

    @property
    def reason(self) -> str:
        """Why a request waits, in words."""
        learned = f", down from {self.limit} after refusals" if self.now < self.limit else ""
        return f"{self._name} takes {self.now} at a time{learned}; waiting for a place"

    def slot(self, *, limit_s: float | None = None) -> Slot:
        """Return an async context manager that holds one place.

        Entering raises TimeoutError when none is free within `limit_s`.
        """
        return Slot(self, limit_s)

    async def acquire(self) -> None:
        """Take a place, after those who came before."""
        if not self.is_full:
            self._in_flight += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the place was given all the same
                self.release()
            elif turn in self._queue:
                self._queue.remove(turn)
            raise

    def release(self) -> None:
        """Give a place back, and hand on what is free."""
        self._in_flight -= 1
        while self._queue and self._in_flight < self.now:
            turn = self._queue.popleft()
            if not turn.done():
                self._in_flight += 1
                turn.set_result(None)

    def succeeded(self) -> None:
        """Grow by a place a round of successes."""
        self._now = min(float(self.limit), self._now + 1 / max(1.0, self._now))

    def refused(self) -> None:
        """Halve the places, to one at least."""
        self._now = max(1.0, min(self._now, float(max(self._in_flight, 1))) / 2)


class Slot:
    """One place of a limiter, held from entering to leaving."""

    def __init__(self, limiter: Limiter, limit_s: float | None) -> None:
        self._limiter = limiter
        self._limit_s = limit_s

    async def __aenter__(self) -> Self:
        async with asyncio.timeout(self._limit_s):
            await self._limiter.acquire()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, ApiError) and error.code == TOO_MANY:
            self._limiter.refused()
        self._limiter.release()

    def succeeded(self) -> None:
        """Tell the limiter that this many at a time went well."""
        self._limiter.succeeded()
