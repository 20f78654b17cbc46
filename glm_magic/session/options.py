"""What one magic line asks for, over the settings of the session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glm_magic.api.reply import Format


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """The options of one `%%glm` line; None leaves a value to the settings."""

    model: str | None = None
    system: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    thinking: str | None = None
    web_search: bool | None = None
    search_query: str | None = None
    out: str | None = None
    no_stream: bool = False
    task: bool = False
    format: Format | None = None
    extract: bool = False


@dataclass(frozen=True, slots=True)
class AgainOptions:
    """The options of one `%glm again` or `%glm continue` line."""

    out: str | None = None


@dataclass(frozen=True, slots=True)
class EmbedOptions:
    """The options of one `%%glm embed` line."""

    model: str | None = None
    dimensions: int | None = None
    out: str | None = None


@dataclass(frozen=True, slots=True)
class ModelsOptions:
    """The options of one `%glm models` line."""

    query: str | None = None


@dataclass(frozen=True, slots=True)
class LimitsOptions:
    """The options of one `%glm limits` line: what was spent, in CNY."""

    this_month: float | None = None
    last_month: float | None = None
