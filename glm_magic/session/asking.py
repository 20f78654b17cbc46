"""A prompt to an exchange: what is asked, of whom, with what of a chat before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from glm_magic.api.catalog import find_model
from glm_magic.api.endpoints import Endpoint
from glm_magic.api.ranges import check_ranges
from glm_magic.api.reply import Context, ReasoningView, Reply
from glm_magic.api.requests import (
    SEARCH_ENGINE,
    SEARCH_ENGINE_ZAI,
    ChatRequest,
    Message,
    WebSearch,
)
from glm_magic.api.tokens import estimate_tokens
from glm_magic.errors import SettingsError
from glm_magic.session.chats import Place, TurnKey, messages_of
from glm_magic.session.exchange import Exchange
from glm_magic.session.leaks import holds_own_key
from glm_magic.session.options import ChatOptions
from glm_magic.session.settings import GlmMagic
from glm_magic.session.window import fit_turns, window_of

if TYPE_CHECKING:
    from glm_magic.session.session import Session

__all__ = ["build_exchange", "choose", "place_for"]


def place_for(session: Session, options: ChatOptions, key: TurnKey | None) -> Place:
    """Return where in which chat the answer to a line goes."""
    name = options.settings.get("chat", session.settings.chat)
    return session.chats.place(key, name=name, goes_on=options.goes_on)


def choose(session: Session, options: ChatOptions, place: Place) -> GlmMagic:
    """Return the settings of one line: its own, then those of its chat, then the session's.

    A chat keeps the system message and the model that were on a line of it last.

    Raises:
        SettingsError: a value is not allowed.
    """
    of_chat = {"system": place.system, "model": place.model}
    kept = {name: value for name, value in of_chat.items() if value is not None}
    return session.settings.over({**kept, **options.settings})


def build_exchange(
    session: Session,
    prompt: str,
    options: ChatOptions,
    *,
    settings: GlmMagic,
    endpoint: Endpoint,
    place: Place | None = None,
) -> Exchange:
    """Return what a line and its prompt ask for.

    Args:
        settings: as `choose` gave them.
        place: None for a question that belongs to no chat.

    Raises:
        SettingsError: the prompt is empty, the endpoint cannot do what is asked, or a value is
            out of the model's range.
    """
    if not prompt.strip():
        raise SettingsError("the cell is empty; write the prompt below the %%glm line")
    model = session.model(endpoint, settings)
    messages, context = _build_messages(prompt, model, settings, place)
    request = ChatRequest(
        model=model,
        messages=messages,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_tokens=settings.max_tokens,
        thinking=_thinking(model, settings),
        web_search=_web_search(options, settings, endpoint),
        stream=not options.no_stream,
        stop=tuple(settings.stop),
        effort=settings.effort,
    )
    check_ranges(request, endpoint)
    _check_keys(session, request)
    reply = Reply(
        format=options.format or ("code" if options.extract else "md"),
        context=context,
        shows_reasoning=cast(ReasoningView, settings.reasoning),
        has_footer=settings.footer,
    )
    return Exchange(
        request,
        endpoint,
        reply,
        is_task=options.task,
        place=place,
        settings=settings,
        line=options.settings,
    )


def _check_keys(session: Session, request: ChatRequest) -> None:
    """Refuse what holds a key of this session: a value of the notebook may be one.

    Turns before the last were looked at when they were new.
    """
    known = session.keys.known()
    query = request.web_search.query if request.web_search else ""
    new = (*request.messages[:1], *request.messages[-1:])
    texts = (*(message.content for message in new), query, *request.stop)
    if any(holds_own_key(text, known) for text in texts):
        raise SettingsError("the prompt holds this session's API key; nothing was sent")


def _build_messages(
    prompt: str, model: str, settings: GlmMagic, place: Place | None
) -> tuple[tuple[Message, ...], Context | None]:
    """The system message, the turns that fit, the prompt; and what of the chat that is."""
    system = (Message("system", settings.system),) if settings.system else ()
    asked = Message("user", prompt)
    if place is None:
        return (*system, asked), None
    taken = estimate_tokens(settings.system) + estimate_tokens(prompt)
    window, limit = window_of(model), settings.max_tokens
    turns = fit_turns(place.before, window=window, taken=taken, max_tokens=limit)
    context = Context(
        chat=place.chat.name,
        number=place.number,
        left_out=len(place.before) - len(turns),
        stale=place.stale,
    )
    before = messages_of(turns, keep_reasoning=settings.keep_reasoning)
    return (*system, *before, asked), context


def _thinking(model: str, settings: GlmMagic) -> bool | None:
    """Whether to reason; a model that never does is not told not to."""
    known = find_model(model)
    if settings.thinking is None or (
        settings.thinking == "off" and known is not None and known.thinking == "no"
    ):
        return None
    return bool(settings.thinking == "on")


def _web_search(options: ChatOptions, settings: GlmMagic, endpoint: Endpoint) -> WebSearch | None:
    implied = bool(options.search_query) and "web_search" not in options.settings
    if not (settings.web_search or implied):
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
