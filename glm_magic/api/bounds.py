"""How long and how much a request may take."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from glm_magic.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of a request; where each default is from stands beside it.

    Attributes:
        connect_timeout_s: until a connection stands.
        first_byte_timeout_s: from sending the request to the first byte of the body; thinking
            models may be silent for long.
        idle_timeout_s: of silence once bytes flow; any byte counts, comments too.
        total_timeout_s: for the whole request; None is for ever.
        max_retries: tries after the first, all before the first event.
        retry_base_s: the first back-off; it doubles each time, up to 8 s.
        max_event_bytes: the most one server-sent event may have, after decompression.

    Raises:
        SettingsError: a number is negative or not one.
    """

    connect_timeout_s: float = 10.0
    first_byte_timeout_s: float = 120.0
    idle_timeout_s: float = 60.0
    total_timeout_s: float | None = None
    max_retries: int = 2
    retry_base_s: float = 0.5
    max_event_bytes: int = 64 * 2**20

    def __post_init__(self) -> None:
        for name in BOUND_NAMES:
            value = getattr(self, name)
            if value is None and name == "total_timeout_s":
                continue
            if not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise SettingsError(f"{name}={value} is not allowed: a number from 0 on")


BOUND_NAMES = tuple(field.name for field in fields(Bounds))
