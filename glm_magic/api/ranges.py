"""What each family of the platform's models takes, so that a request is refused before it is sent.

Source: the chat completion pages of docs.bigmodel.cn and docs.z.ai (May and September 2026) and
the table of models, data/models.csv. Only what is documented is held against a request: a model
that is not in the table may take anything, and so may any other server.
"""

from __future__ import annotations

import re

from glm_magic.api.catalog import find_model
from glm_magic.api.endpoints import Endpoint
from glm_magic.api.requests import EFFORTS, ChatRequest
from glm_magic.api.tables import Model
from glm_magic.api.tool import WebSearch
from glm_magic.errors import SettingsError

__all__ = ["check_ranges", "efforts_of"]

_TEMPERATURE_MAX, _TOP_P_MIN = 1.0, 0.01
# Of the engines that are documented, those that know one site from another.
_DOMAIN_ENGINES = ("search_std", "search_pro", "search_pro_sogou")
_ALWAYS_THINKING = re.compile(r"glm-5\.3(-|$)")


def efforts_of(model: str) -> tuple[str, ...] | None:
    """Return the values of `effort` that a model takes, none if it takes no effort at all.

    None for a model that is not in the table.
    """
    name = model.lower()
    if _ALWAYS_THINKING.match(name):
        return ("low", "high", "max")
    if name == "glm-5.2":
        return EFFORTS
    return () if find_model(name) else None


def check_ranges(request: ChatRequest, endpoint: Endpoint) -> None:
    """Compare a request with what its model takes at the platform.

    Raises:
        SettingsError: a value is out of the model's range, which the message has.
    """
    if not endpoint.has_catalog:
        return
    _check_sampling(request)
    if request.web_search:
        _check_search(request.web_search)
    if known := find_model(request.model):
        _check_length(request, known)
        _check_thinking(request, known, endpoint)
    _check_effort(request)


def _check_sampling(request: ChatRequest) -> None:
    temperature, top_p = request.temperature, request.top_p
    if temperature is not None and temperature > _TEMPERATURE_MAX:
        raise _out_of_range("temperature", temperature, request, "from 0 to 1")
    if top_p is not None and top_p < _TOP_P_MIN:
        raise _out_of_range("top_p", top_p, request, "from 0.01 to 1")


def _check_length(request: ChatRequest, known: Model) -> None:
    limit, asked = known.max_output_tokens, request.max_tokens
    if limit is not None and asked is not None and asked > limit:
        raise _out_of_range("max_tokens", asked, request, f"from 1 to {limit:,}")


def _check_thinking(request: ChatRequest, known: Model, endpoint: Endpoint) -> None:
    # The coding plan takes it and reasons not at all (seen in September 2026).
    is_plan = endpoint.name in ("coding", "coding-zai")
    if request.thinking is False and known.thinking == "forced" and not is_plan:
        way = "; effort=low makes it short" if efforts_of(request.model) else ""
        raise SettingsError(f"thinking=off is not possible: {request.model} always reasons{way}")
    if request.thinking and known.thinking == "no":
        raise SettingsError(f"thinking=on is not possible: {request.model} does not reason")


def _check_effort(request: ChatRequest) -> None:
    allowed = efforts_of(request.model)
    if request.effort is None or allowed is None or request.effort in allowed:
        return
    if not allowed:
        raise SettingsError(
            f"effort={request.effort} is not possible: {request.model} takes no effort; "
            "GLM-5.2 and later do"
        )
    raise _out_of_range("effort", request.effort, request, f"one of {', '.join(allowed)}")


def _check_search(search: WebSearch) -> None:
    if search.domain and search.engine not in _DOMAIN_ENGINES:
        engines = ", ".join(_DOMAIN_ENGINES)
        raise SettingsError(f"search_domain is not possible with {search.engine}: use {engines}")
    if search.count and search.engine == "search_pro_sogou" and search.count % 10:
        raise SettingsError(
            f"search_count={search.count} is out of range for search_pro_sogou: "
            "10, 20, 30, 40 or 50"
        )


def _out_of_range(name: str, value: object, request: ChatRequest, allowed: str) -> SettingsError:
    return SettingsError(f"{name}={value} is out of range for {request.model}: {allowed}")
