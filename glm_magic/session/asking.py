"""A prompt to an exchange: what is asked, of whom, with what of a chat before it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from glm_magic.api.catalog import find_model
from glm_magic.api.endpoints import Endpoint
from glm_magic.api.ranges import check_ranges
from glm_magic.api.reply import Context, Format, ReasoningView, Reply
from glm_magic.api.requests import ChatRequest, Message, build_chat
from glm_magic.api.tokens import estimate_tokens
from glm_magic.errors import SettingsError
from glm_magic.session.chats import Place, TurnKey, messages_of
from glm_magic.session.exchange import Exchange
from glm_magic.session.leaks import holds_own_key
from glm_magic.session.offers import Offer, build_offer
from glm_magic.session.options import ChatOptions
from glm_magic.session.params import check_params
from glm_magic.session.settings import GlmMagic
from glm_magic.session.window import fit_turns, window_of

if TYPE_CHECKING:
    from glm_magic.api.schema import AnswerSchema
    from glm_magic.session.session import Session

__all__ = ["build_exchange", "choose", "place_for"]

# JSON mode alone is no word to the model.
_ANSWER_JSON = "Answer with one JSON object and nothing else: no words around it, no fence."


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
    namespace: Mapping[str, Any] = {},
) -> Exchange:
    """Return what a line and its prompt ask for.

    Args:
        settings: as `choose` gave them.
        place: None for a question that belongs to no chat.
        namespace: the variables of the notebook, where functions and schemas are found.

    Raises:
        SettingsError: the prompt is empty, the endpoint cannot do what is asked, a function or a
            schema cannot be used, or a value is out of the model's range.
    """
    if not prompt.strip():
        raise SettingsError("the cell is empty; write the prompt below the %%glm line")
    model = session.model(endpoint, settings)
    offer = build_offer(options, settings, endpoint, namespace)
    schema = _schema(options, namespace)
    system = "\n\n".join(filter(None, (settings.system, _form(options, schema))))
    messages, context = _build_messages(prompt, system, model, settings, place)
    request = ChatRequest(
        model=model,
        messages=messages,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_tokens=settings.max_tokens,
        thinking=_thinking(model, settings),
        is_json=options.json or schema is not None,
        schema=_schema_text(schema) if schema and endpoint.holds_to_schema else "",
        stream=not options.no_stream,
        stop=tuple(settings.stop),
        effort=settings.effort,
    )
    request = _with_offer(request, offer)
    check_ranges(request, endpoint)
    request = _with_params(session, request, options, endpoint)
    _check_keys(session, request)
    return Exchange(
        request,
        endpoint,
        _blank_reply(options, settings, schema, context),
        is_task=options.task,
        place=place,
        settings=settings,
        line=options.settings,
        functions=offer.functions,
        confirms=options.confirm,
    )


def _with_offer(request: ChatRequest, offer: Offer) -> ChatRequest:
    return replace(
        request,
        web_search=offer.web_search,
        functions=tuple(function.tool for function in offer.functions),
        knowledge=offer.knowledge,
        mcp=offer.mcp,
    )


def _blank_reply(
    options: ChatOptions,
    settings: GlmMagic,
    schema: AnswerSchema | None,
    context: Context | None,
) -> Reply:
    """What tells how the reply is to look, and what it is to fit."""
    return Reply(
        format=options.format or _format(options),
        schema=schema,
        context=context,
        shows_reasoning=cast(ReasoningView, settings.reasoning),
        has_footer=settings.footer,
    )


def _schema(options: ChatOptions, namespace: Mapping[str, Any]) -> AnswerSchema | None:
    if options.schema is None:
        return None
    # Not at the top, as few cells have one.
    from glm_magic.session.schemas import find_schema

    return find_schema(options.schema, namespace)


def _format(options: ChatOptions) -> Format:
    """How an answer is shown where no line says it."""
    if options.extract:
        return "code"
    if options.schema is not None:
        return "table"
    return "json" if options.json else "md"


def _form(options: ChatOptions, schema: AnswerSchema | None) -> str:
    """What the model is told of the form of its answer: the platform ignores schemas."""
    if schema:
        return schema.instruction
    return _ANSWER_JSON if options.json else ""


def _schema_text(schema: AnswerSchema) -> str:
    return json.dumps(schema.json_schema, ensure_ascii=False)


def _with_params(
    session: Session, request: ChatRequest, options: ChatOptions, endpoint: Endpoint
) -> ChatRequest:
    if not options.params:
        return request
    known = session.local_fields if endpoint.is_local else None
    check_params(options.params, build_chat(request, speaks_glm=endpoint.speaks_glm), known)
    return replace(request, extra=options.params)


def _check_keys(session: Session, request: ChatRequest) -> None:
    """Refuse what holds a key of this session: a value of the notebook may be one.

    Turns before the last were looked at when they were new.
    """
    known = session.keys.known()
    new = (*request.messages[:1], *request.messages[-1:])
    texts = (*(message.content for message in new), *request.stop, *_texts_beside(request))
    if any(holds_own_key(text, known) for text in texts):
        raise SettingsError("the prompt holds this session's API key; nothing was sent")


def _texts_beside(request: ChatRequest) -> Iterator[str]:
    """What is sent beside the messages that a value of the notebook may stand in."""
    if request.web_search:
        yield request.web_search.query
    if request.knowledge:
        yield from (request.knowledge.id, request.knowledge.prompt)
    for server in request.mcp:
        yield from (server.label, server.url)
    for function in request.functions:  # a default is in its schema
        yield from (function.description, function.parameters)
    yield request.schema
    yield from (text for pair in request.extra for text in pair)


def _build_messages(
    prompt: str, system_text: str, model: str, settings: GlmMagic, place: Place | None
) -> tuple[tuple[Message, ...], Context | None]:
    """The system message, the turns that fit, the prompt; and what of the chat that is."""
    system = (Message("system", system_text),) if system_text else ()
    asked = Message("user", prompt)
    if place is None:
        return (*system, asked), None
    taken = estimate_tokens(system_text) + estimate_tokens(prompt)
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
