"""`--param NAME=JSON`: fields of a request that have no option, sent as they are."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from glm_magic.api.answer import load_json
from glm_magic.api.line import short
from glm_magic.errors import SettingsError
from glm_magic.session.names import did_you_mean

__all__ = ["check_params", "parse_param"]

_NAME = re.compile(r"[^\s\"'\\]{1,64}")
# What has a way of its own, which does more than to send it.
_OWN_WAYS = {
    "model": "-m",
    "messages": "the cell is the prompt, -s the system message, --chat a chat",
    "stream": "--no-stream",
    "max_tokens": "--max-tokens",
}
# What is sent without being asked for; a line may say otherwise.
_IMPLIED = frozenset({"response_format", "stream_options", "tool_stream"})


def parse_param(text: str) -> tuple[str, str]:
    """Return name and JSON text of `NAME=JSON`.

    Raises:
        ValueError: it has no name, or its value is no JSON; the message says what is.
    """
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or not name.isprintable() or not _NAME.fullmatch(name):
        raise ValueError(f"'{short(text.strip())}' is not NAME=JSON, such as seed=7")
    try:
        load_json(value)
    except (ValueError, RecursionError):
        raise ValueError(
            f"{name}={short(value)} is no JSON; quotes stay where others stand around: "
            f"""'{name}="text"', '{name}={{"a": 1}}'"""
        ) from None
    return name, value


def check_params(
    params: tuple[tuple[str, str], ...],
    body: Mapping[str, Any],
    known: Collection[str] | None,
) -> None:
    """Refuse what would not be sent as it is, or in place of something else.

    Args:
        body: the request without them.
        known: the fields that the server reads; None where nobody knows.

    Raises:
        SettingsError: one of them cannot be sent.
    """
    names = [name for name, _ in params]
    # That is how temperature 0 is sent.
    taken = {*body, *(("temperature",) if "do_sample" in body else ())}
    for place, name in enumerate(names):
        if way := _OWN_WAYS.get(name):
            raise SettingsError(f"--param {name}: that has a way of its own: {way}")
        if name in names[:place]:
            raise SettingsError(f"--param {name} is there twice; leave one out")
        if name in taken and name not in _IMPLIED:
            raise SettingsError(
                f"--param {name}: an option or a setting sends that already; leave one out"
            )
        if known is not None and name not in known:
            near = did_you_mean(name, known)
            raise SettingsError(f"the local engine knows no field '{name}'{near}")
