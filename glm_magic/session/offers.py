"""What a line lets the model use: functions, a knowledge base, MCP servers, or the web.

The platform serves one kind of tools a request: of several, functions before knowledge bases
before the web (its description of December 2024; its schema of May 2026 has no mixed lists).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from glm_magic.api.endpoints import Endpoint
from glm_magic.api.tool import (
    SEARCH_ENGINE,
    SEARCH_ENGINE_ZAI,
    KnowledgeBase,
    McpServer,
    WebSearch,
)
from glm_magic.errors import SettingsError
from glm_magic.session.options import ChatOptions
from glm_magic.session.settings import GlmMagic

if TYPE_CHECKING:
    from glm_magic.session.functions import Function

__all__ = ["Offer", "build_offer"]

_PLACE = re.compile(r"{{\s*knowledge\s*}}")


@dataclass(frozen=True, slots=True)
class Offer:
    """What the model may use; of at most one kind."""

    functions: tuple[Function, ...] = ()
    knowledge: KnowledgeBase | None = None
    mcp: tuple[McpServer, ...] = ()
    web_search: WebSearch | None = None


def build_offer(
    options: ChatOptions,
    settings: GlmMagic,
    endpoint: Endpoint,
    namespace: Mapping[str, Any],
) -> Offer:
    """Return what a line offers.

    Args:
        namespace: the variables of the notebook.

    Raises:
        SettingsError: a function cannot be offered, the endpoint lacks what is asked for, or
            there are several kinds.
    """
    _check_options(options)
    _check_kinds(options, settings)
    return Offer(
        _functions(options, namespace),
        _knowledge(options, endpoint),
        _mcp(options, endpoint),
        _web_search(options, settings, endpoint),
    )


def _check_options(options: ChatOptions) -> None:
    if options.tools and options.task:
        raise SettingsError(
            "functions are called while a cell waits, which a task does not; leave out --task"
        )
    if options.confirm and not options.tools:
        raise SettingsError("--confirm asks before a function is called; --tool NAME offers one")
    if options.knowledge is not None and not options.knowledge.strip():
        raise SettingsError("--knowledge needs the id of a knowledge base")
    if options.knowledge_prompt is not None and not options.knowledge:
        raise SettingsError("--knowledge-prompt is for what --knowledge ID finds; give both")


def _searches(options: ChatOptions, settings: GlmMagic) -> bool:
    implied = bool(options.search_query) and "web_search" not in options.settings
    return settings.web_search or implied


def _check_kinds(options: ChatOptions, settings: GlmMagic) -> None:
    is_given = {
        "functions (--tool)": bool(options.tools),
        "a knowledge base (--knowledge)": bool(options.knowledge),
        "MCP servers (--mcp)": bool(options.mcp),
        "web search (--no-web-search leaves it out)": _searches(options, settings),
        "--param tools": any(name == "tools" for name, _ in options.params),
    }
    kinds = [name for name, is_so in is_given.items() if is_so]
    if len(kinds) > 1:
        raise SettingsError(
            f"{kinds[0]} and {kinds[1]} exclude each other: GLM serves one kind of tools a "
            "request, functions before knowledge before the web; leave one out"
        )


def _functions(options: ChatOptions, namespace: Mapping[str, Any]) -> tuple[Function, ...]:
    if not options.tools:
        return ()
    # Not at the top: few cells offer functions, and the first cell of a kernel waits for it.
    from glm_magic.session.functions import find_functions

    return find_functions(options.tools, namespace)


def _knowledge(options: ChatOptions, endpoint: Endpoint) -> KnowledgeBase | None:
    if not options.knowledge:
        return None
    if not endpoint.has_web_search:
        raise SettingsError(
            f"knowledge bases are the platform's: {endpoint.host} has none; it needs a GLM key"
        )
    prompt = options.knowledge_prompt or ""
    if prompt and not _PLACE.search(prompt):
        raise SettingsError(
            "--knowledge-prompt needs {{ knowledge }}, in whose place the finds are put"
        )
    return KnowledgeBase(options.knowledge, prompt)


def _mcp(options: ChatOptions, endpoint: Endpoint) -> tuple[McpServer, ...]:
    if options.mcp and not endpoint.has_mcp:
        raise SettingsError(
            f"{endpoint.host} calls no MCP servers; open.bigmodel.cn does (`--endpoint bigmodel`)"
        )
    return tuple(McpServer(label, url) for label, url in options.mcp)


def _web_search(options: ChatOptions, settings: GlmMagic, endpoint: Endpoint) -> WebSearch | None:
    if not _searches(options, settings):
        return None
    if not endpoint.has_web_search:
        raise SettingsError(f"web search is not offered by {endpoint.host}; it needs a GLM key")
    engine = settings.search_engine
    if engine == "auto":
        engine = SEARCH_ENGINE_ZAI if endpoint.host == "api.z.ai" else SEARCH_ENGINE
    return WebSearch(
        engine,
        options.search_query or "",
        settings.search_count,
        settings.search_recency,
        settings.search_domain,
    )
