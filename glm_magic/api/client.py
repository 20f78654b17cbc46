"""The client of an endpoint, for notebooks, scripts and asyncio programs."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from glm_magic.api import http
from glm_magic.api.bounds import Bounds
from glm_magic.api.catalog import DEFAULT_EMBEDDING_MODEL, DEFAULT_MODEL
from glm_magic.api.connection import Answered, Call, Connection
from glm_magic.api.embedding import EmbeddingReply, parse_embeddings
from glm_magic.api.endpoints import Endpoint, parse_endpoint
from glm_magic.api.limiter import Limiter
from glm_magic.api.reply import Reply
from glm_magic.api.requests import (
    ChatRequest,
    EmbeddingRequest,
    Message,
    Role,
    build_embedding,
    build_messages,
)
from glm_magic.api.retry import Told, patiently
from glm_magic.api.stream import ReplyStream
from glm_magic.api.tasks import Task, fetch_task, submit_task
from glm_magic.api.tiers import Tier, concurrency
from glm_magic.api.token import AuthStyle
from glm_magic.errors import GlmError
from glm_magic.secret import Secret

Prompt = str | Sequence[Message | Mapping[str, str]]


class AsyncClient:
    """A client of one endpoint with one key; to be used on one event loop.

        async with AsyncClient(endpoint="bigmodel") as client:
            async with client.stream("Why is the sky blue?") as stream:
                async for event in stream: ...
            stream.reply.text

    Args:
        api_key: sent to that endpoint only; None reads ZAI_API_KEY or ZHIPUAI_API_KEY for the
            platform's own sites and sends none elsewhere; "" sends none anywhere.
        endpoint: a name ("bigmodel", "zai", "coding", "coding-zai") or a base URL.
        tier: of the account, for the number of requests at a time.
        concurrency: that number itself; it wins over `tier`.
        auth: "key", or "jwt" for the platform's older signed tokens.
        transport: how bytes travel; None is the network.
        clock: seconds, monotonic.
        bounds: `connect_timeout_s`, `max_retries` and the others of `Bounds`.

    Raises:
        SettingsError: the endpoint or a bound is not valid.
    """

    def __init__(
        self,
        api_key: str | Secret | None = None,
        endpoint: str | Endpoint = "bigmodel",
        *,
        tier: Tier = "free",
        concurrency: int | None = None,
        auth: AuthStyle = "key",
        transport: http.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.perf_counter,
        **bounds: Any,
    ) -> None:
        place = parse_endpoint(endpoint) if isinstance(endpoint, str) else endpoint
        given = Secret(api_key) if isinstance(api_key, str) else api_key
        key = _key_for(place) if given is None else given
        self._connection = Connection(place, key, Bounds(**bounds), transport, auth)
        self._tier, self._concurrency = tier, concurrency
        self._limiters: dict[str, Limiter] = {}
        self._clock = clock

    @property
    def endpoint(self) -> Endpoint:
        """Where requests go."""
        return self._connection.endpoint

    @property
    def auth(self) -> AuthStyle:
        """What is sent: the key, or tokens signed with it."""
        return self._connection.auth

    @property
    def sent(self) -> int:
        """How many requests went out so far, each try counted."""
        return self._connection.sent

    @property
    def answered(self) -> Answered | None:
        """When the server last answered, with whatever status; None when it never did."""
        return self._connection.answered

    @property
    def limiters(self) -> tuple[Limiter, ...]:
        """The limiters of the models that were used, in the order of their first use."""
        return tuple(self._limiters.values())

    def limiter(self, model: str) -> Limiter:
        """Return the limiter of a model at this endpoint."""
        if model not in self._limiters:
            limit = self._concurrency or concurrency(model, self._tier)
            self._limiters[model] = Limiter(limit, name=model)
        return self._limiters[model]

    def stream(
        self, prompt: Prompt | ChatRequest, *, model: str = DEFAULT_MODEL, **options: Any
    ) -> ReplyStream:
        """Return the reply as a stream; the request is sent when iteration begins.

        Args:
            prompt: the user's text, a list of messages, or a whole request.
            options: the other fields of `ChatRequest`, and `system`.
        """
        request = build_request(prompt, model=model, **options)
        return ReplyStream(
            self._connection, request, self.limiter(request.model), clock=self._clock
        )

    async def chat(
        self, prompt: Prompt | ChatRequest, *, model: str = DEFAULT_MODEL, **options: Any
    ) -> Reply:
        """Return the whole reply; arguments and errors as those of `stream`."""
        async with self.stream(prompt, model=model, **options) as stream:
            async for _ in stream:
                pass
        return stream.reply

    async def embed(
        self,
        texts: Sequence[str] | EmbeddingRequest,
        *,
        model: str = DEFAULT_EMBEDDING_MODEL,
        dimensions: int | None = None,
        told: Told | None = None,
    ) -> EmbeddingReply:
        """Return one vector for each text, in their order.

        Args:
            told: is told of each wait before a request is sent again.

        Raises:
            ConnectError: no response.
            ApiError: the server refused.
            GlmError: the vectors do not fit the texts.
        """
        request = (
            texts
            if isinstance(texts, EmbeddingRequest)
            else EmbeddingRequest(model, tuple(texts), dimensions)
        )
        call = Call("/embeddings", build_embedding(request), request.model, request.texts)
        content = await patiently(lambda: self._fetch_in_turn(call), self._connection.bounds, told)
        return parse_embeddings(
            content,
            count=len(request.texts),
            host=self.endpoint.host,
            dimensions=request.dimensions,
        )

    async def _fetch_in_turn(self, call: Call) -> Any:
        """One try in a place of its own, so that the limiter learns of each refusal."""
        async with self.limiter(call.model).slot() as slot:
            content = await self._connection.fetch(call)
            slot.succeeded()
        return content

    async def embed_each(
        self,
        requests: Sequence[EmbeddingRequest],
        done: Callable[[int, EmbeddingReply], None],
        told: Told | None = None,
    ) -> None:
        """Send requests, as many at a time as the limiter lets pass, and hand over each reply.

        Once one has failed no other is sent; those in flight are waited for, as they are paid.

        Args:
            requests: for one model.
            done: gets the position of a request and its reply, in the order they come.
            told: as `embed`.

        Raises:
            GlmError: as `embed`, the first that came.
        """
        waiting, failures = iter(enumerate(requests)), []

        async def work() -> None:
            for position, request in waiting:
                try:
                    done(position, await self.embed(request, told=told))
                except GlmError as error:
                    failures.append(error)
                if failures:
                    return

        limit = self.limiter(requests[0].model).limit if requests else 0
        await asyncio.gather(*(work() for _ in range(min(limit, len(requests)))))
        if failures:
            raise failures[0]

    async def submit_task(
        self, prompt: Prompt | ChatRequest, *, model: str = DEFAULT_MODEL, **options: Any
    ) -> Task:
        """Submit an asynchronous task; arguments as those of `stream`, errors as `tasks` has them.

        `tasks.wait_for_task(task, client.task, report)` gives its reply.
        """
        request = build_request(prompt, model=model, **options)
        async with self.limiter(request.model).slot() as slot:
            task = await submit_task(self._connection, request)
            slot.succeeded()
        return task

    async def task(self, task_id: str, *, request: ChatRequest | None = None) -> Task:
        """Return how a task stands now; `request` is what it was made of, if that is known."""
        return await fetch_task(self._connection, task_id, request)

    async def fetch(self, call: Call) -> Any:
        """Return the JSON of any other request to the endpoint."""
        return await self._connection.fetch_patiently(call)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connection.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def build_request(prompt: Prompt | ChatRequest, *, model: str, **options: Any) -> ChatRequest:
    """Return the request for a prompt, messages or a request itself.

    Raises:
        TypeError: an option is no field of `ChatRequest`.
    """
    if isinstance(prompt, ChatRequest):
        return prompt
    system = options.pop("system", "")
    if isinstance(prompt, str):
        return ChatRequest(model, build_messages(prompt, system=system), **options)
    turns = tuple(turn if isinstance(turn, Message) else _message(turn) for turn in prompt)
    opening = (Message("system", system),) if system else ()
    return ChatRequest(model, (*opening, *turns), **options)


def _message(turn: Mapping[str, str]) -> Message:
    return Message(cast(Role, turn["role"]), turn["content"])


def _key_for(endpoint: Endpoint) -> Secret | None:
    """The environment's key, for the platform's own sites only."""
    if not endpoint.is_platform:
        return None
    names = ("ZAI_API_KEY", "ZHIPUAI_API_KEY")
    found = next(filter(None, (os.environ.get(name, "").strip() for name in names)), None)
    return Secret(found) if found else None
