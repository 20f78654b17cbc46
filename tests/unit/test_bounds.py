"""The limits of a request: their defaults, and what is no limit."""

import math
from typing import Any

import pytest

from glm_magic.api.bounds import BOUND_NAMES, Bounds
from glm_magic.api.client import AsyncClient
from glm_magic.errors import SettingsError


def test_the_defaults_are_the_promised_ones() -> None:
    assert Bounds() == Bounds(
        connect_timeout_s=10.0,
        first_byte_timeout_s=120.0,
        idle_timeout_s=60.0,
        total_timeout_s=None,
        max_retries=2,
        retry_base_s=0.5,
        max_event_bytes=67108864,
    )


def test_their_names_are_known() -> None:
    assert BOUND_NAMES == (
        "connect_timeout_s",
        "first_byte_timeout_s",
        "idle_timeout_s",
        "total_timeout_s",
        "max_retries",
        "retry_base_s",
        "max_event_bytes",
    )


@pytest.mark.parametrize("name", BOUND_NAMES)
@pytest.mark.parametrize("value", [-1, -0.001, math.nan, math.inf, -math.inf, "10"])
def test_what_is_no_number_from_0_on_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(SettingsError) as caught:
        Bounds(**{name: value})  # type: ignore[arg-type]
    assert str(caught.value) == f"{name}={value} is not allowed: a number from 0 on"


@pytest.mark.parametrize("name", BOUND_NAMES)
def test_nothing_is_a_limit(name: str) -> None:
    Bounds(**{name: 0})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(set(BOUND_NAMES) - {"total_timeout_s"}))
def test_only_the_whole_request_may_be_without_a_limit(name: str) -> None:
    assert Bounds(total_timeout_s=None).total_timeout_s is None
    with pytest.raises(SettingsError, match=f"{name}=None is not allowed"):
        Bounds(**{name: None})  # type: ignore[arg-type]


def test_a_client_takes_them_by_their_names() -> None:
    with pytest.raises(SettingsError, match="idle_timeout_s=-1 is not allowed"):
        AsyncClient("", "http://127.0.0.1:1", idle_timeout_s=-1)
    with pytest.raises(TypeError):
        wrong: dict[str, Any] = {"timeout": 3}
        AsyncClient("", "http://127.0.0.1:1", **wrong)
