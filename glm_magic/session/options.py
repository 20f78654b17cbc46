"""What one magic line asks for, over the settings of the session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glm_magic.api.reply import Format


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """The options of one `%%glm` line.

    Attributes:
        settings: values of this line by the names of the settings they stand in for.
        goes_on: whether it goes on with the chat that was used last.
        raw: whether the prompt is sent with its `{{ }}`.
        save, use, define: the name of a template.
        tools: names of functions of the notebook that the model may call.
        confirm: whether the user is asked before each call.
        knowledge: the id of a knowledge base; knowledge_prompt how its finds are put.
        mcp: servers as (label, URL), the URL "" for one that the platform hosts.
        json: whether the answer is to be JSON.
        schema: what the answer is to fit, as the user wrote it.
        params: other fields of the request by name, each as JSON text.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    goes_on: bool = False
    search_query: str | None = None
    out: str | None = None
    format: Format | None = None
    extract: bool = False
    no_stream: bool = False
    task: bool = False
    raw: bool = False
    dry_run: bool = False
    save: str | None = None
    use: str | None = None
    define: str | None = None
    tools: tuple[str, ...] = ()
    confirm: bool = False
    knowledge: str | None = None
    knowledge_prompt: str | None = None
    mcp: tuple[tuple[str, str], ...] = ()
    json: bool = False
    schema: str | None = None
    params: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class EmbedOptions:
    """The options of one `%%glm embed` line.

    Attributes:
        models: none for the one of the settings; several are compared.
        dimensions: likewise; none for the model's own.
        source: the variable with the texts, as VAR or VAR.column.
        labels: a variable likewise, or names with commas between.
        truncate: whether texts over the model's limit are cut.
    """

    models: tuple[str, ...] = ()
    dimensions: tuple[int, ...] = ()
    source: str | None = None
    labels: str | None = None
    out: str | None = None
    truncate: bool = False
    no_store: bool = False
    dry_run: bool = False
