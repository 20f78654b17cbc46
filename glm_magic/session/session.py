"""What one notebook session holds: settings, keys, clients and the last reply."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from glm_magic.api.bounds import BOUND_NAMES, Bounds
from glm_magic.api.catalog import billed_in
from glm_magic.api.client import AsyncClient
from glm_magic.api.cost import estimate_cost_of
from glm_magic.api.embedding import EmbeddingReply
from glm_magic.api.endpoints import LOCAL, Endpoint, parse_endpoint
from glm_magic.api.events import Usage
from glm_magic.api.http import AsyncBaseTransport
from glm_magic.api.limiter import Places
from glm_magic.api.reply import Reply
from glm_magic.api.requests import ChatRequest, EmbeddingRequest
from glm_magic.api.tiers import Limits, Spend, Tier
from glm_magic.api.token import AuthStyle
from glm_magic.errors import SettingsError
from glm_magic.secret import Secret
from glm_magic.session.cache import ReplyCache
from glm_magic.session.chats import Chats
from glm_magic.session.exchange import Exchange
from glm_magic.session.ledger import Ledger, Reservation
from glm_magic.session.secrets import HOW_TO_GET_A_KEY, Key, KeyRing
from glm_magic.session.settings import GlmMagic, Origin, Setting
from glm_magic.session.tasks import Tasks
from glm_magic.session.templates import Templates
from glm_magic.session.usage import spend_of, spend_of_embeddings, spend_of_usage

if TYPE_CHECKING:
    from glm_magic.session.store import VectorStore

# All that a client is made of; another setting makes another client.
_ClientKey = tuple[Endpoint, Secret | None, Bounds, Tier, int | None, AuthStyle]


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """What a session needs to know of the engine in this process.

    Attributes:
        is_installed: whether its extra is there.
        transport: makes the transport that answers in place of the network.
        model: the chat model to use when none was chosen.
        embedding_model: likewise for embeddings.
        fields: the fields of a request that it reads.
    """

    is_installed: Callable[[], bool]
    transport: Callable[[], AsyncBaseTransport]
    model: str
    embedding_model: str
    fields: Collection[str] = ()


class Session:
    """Settings and keys in, requests and clients out."""

    def __init__(self, settings: GlmMagic, keys: KeyRing, local: LocalEngine) -> None:
        self.settings = settings
        self.keys = keys
        self.tasks = Tasks()
        self.chats = Chats()
        self.templates = Templates()
        self.ledger = Ledger()
        self.cache = ReplyCache()
        self.last: Exchange | None = None
        self._local = local
        self._local_transport: AsyncBaseTransport | None = None
        self._clients: dict[_ClientKey, AsyncClient] = {}
        self._store: VectorStore | None = None

    def endpoint(self, settings: GlmMagic | None = None) -> Endpoint:
        """Return where requests go now.

        Args:
            settings: those of one line, where it has its own.

        Raises:
            SettingsError: nothing can answer; the message says how to get a key.
        """
        chosen = (settings or self.settings).endpoint
        if chosen != "auto":
            return parse_endpoint(chosen)
        if named := self.keys.base_url():
            return _endpoint_of_variable(*named)
        if self.keys.has_key():
            return parse_endpoint(self.keys.typed_endpoint() or "bigmodel")
        if self._local.is_installed():
            return LOCAL
        raise SettingsError(HOW_TO_GET_A_KEY)

    def has_answer(self) -> bool:
        """Return whether there is anything that can answer where no endpoint is chosen."""
        return bool(self.keys.base_url() or self.keys.has_key() or self._local.is_installed())

    def fell_back_to_local(self) -> bool:
        """Return whether the local engine answers only because no key was found."""
        unasked = self.settings.endpoint == "auto" and self.keys.base_url() is None
        return unasked and self.endpoint().is_local

    def login_endpoint(self, name: str | None) -> Endpoint:
        """Return the endpoint that a typed key is for: the one named, or the one in use.

        Raises:
            SettingsError: it is the local engine, or no valid endpoint.
        """
        named = self.keys.base_url()
        in_use = self.settings.endpoint if self.settings.endpoint != "auto" else None
        chosen = name if name and name != "auto" else in_use or (named[1] if named else "bigmodel")
        endpoint = parse_endpoint(chosen)
        if endpoint.is_local:
            raise SettingsError("the local engine needs no key; name a site: `%glm login bigmodel`")
        return endpoint

    def setting_rows(self) -> list[Setting]:
        """Return the rows of `%glm config`: every setting, and whether there is a key."""
        rows = {row.name: row for row in self.settings.rows()}
        if self.settings.endpoint == "auto" and (named := self.keys.base_url()):
            rows["endpoint"] = replace(rows["endpoint"], value=named[1], origin="environment")
        rows |= self._local_models(rows)
        return [*rows.values(), self._key_row()]

    @property
    def local_fields(self) -> Collection[str]:
        """The fields of a request that the local engine reads."""
        return self._local.fields

    def _local_models(self, rows: Mapping[str, Setting]) -> dict[str, Setting]:
        """The rows of the models where the engine's own stand in for those never chosen."""
        try:
            endpoint = self.endpoint()
        except SettingsError:
            return {}
        values = {"model": self.model(endpoint), "embedding_model": self.embedding_model(endpoint)}
        return {name: replace(rows[name], value=value) for name, value in values.items()}

    def _key_row(self) -> Setting:
        meaning = (
            "API key: `%glm login`, ZAI_API_KEY, ZHIPUAI_API_KEY, or the keyring; never shown."
        )
        try:
            key = self.keys.find(self.endpoint())
        except SettingsError:
            key = None
        origin: Origin = "default"
        if key is not None:
            origins: dict[str, Origin] = {"%glm login": "session", "keyring": "keyring"}
            origin = origins.get(key.origin, "environment")
        return Setting("key", f"from {key.origin}" if key else None, origin, meaning)

    def client(self, endpoint: Endpoint, settings: GlmMagic | None = None) -> AsyncClient:
        """Return the client for `endpoint`, kept open between requests.

        Args:
            settings: those of one line, where it has its own.
        """
        wanted = self._client_key(endpoint, self.keys.hand_out(endpoint), settings)
        _, secret, bounds, tier, limit, auth = wanted
        if wanted not in self._clients:
            self._clients[wanted] = AsyncClient(
                secret,
                endpoint,
                tier=tier,
                concurrency=limit,
                auth=auth,
                transport=self._transport(endpoint),
                **asdict(bounds),
            )
        return self._clients[wanted]

    def _client_key(
        self, endpoint: Endpoint, key: Key | None, settings: GlmMagic | None = None
    ) -> _ClientKey:
        s = settings or self.settings
        secret, auth = key.secret if key else None, cast(AuthStyle, s.auth)
        return (endpoint, secret, _bounds(s), s.tier, s.concurrency, auth)

    def keyless_client(self, endpoint: Endpoint) -> AsyncClient:
        """Return a client that sends no key, for the caller to close."""
        return AsyncClient("", endpoint, **asdict(_bounds(self.settings)))

    def limits(self, endpoint: Endpoint, spend: Spend | None) -> Limits:
        """Return what is set for requests at a time, and what was learned at `endpoint`."""
        s = self.settings
        return Limits(endpoint.host, s.tier, s.concurrency, spend, self._learned(endpoint))

    def _learned(self, endpoint: Endpoint) -> tuple[Places, ...]:
        try:
            wanted = self._client_key(endpoint, self.keys.find(endpoint))
        except SettingsError:  # without a key nothing was sent there
            return ()
        client = self._clients.get(wanted)
        return tuple(limiter.places for limiter in client.limiters) if client else ()

    def _transport(self, endpoint: Endpoint) -> AsyncBaseTransport | None:
        """One for all clients of the local engine: each would load its model anew."""
        if not endpoint.is_local:
            return None
        if self._local_transport is None:
            self._local_transport = self._local.transport()
        return self._local_transport

    # -- before and after a request --------------------------------------------------------

    def reserve(self, request: ChatRequest | EmbeddingRequest, endpoint: Endpoint) -> Reservation:
        """Hold what a request may cost until the `with` of what is returned ends.

        Raises:
            SettingsError: it would pass the budget; nothing may be sent.
        """
        currency, budget = billed_in(endpoint, request.model), self.settings.budget
        if currency is None and budget is not None and endpoint.may_bill:
            raise SettingsError(
                f"nobody knows what {endpoint.host} costs, so the budget cannot hold; `%glm config "
                "catalog=FOLDER` with a prices.csv tells it, `budget=None` lifts the budget"
            )
        estimate = estimate_cost_of(request, endpoint)
        return self.ledger.reserve(budget, estimate, currency, request.model)

    def note(
        self, reply: Reply, request: ChatRequest, reservation: Reservation | None = None
    ) -> None:
        """Put what one request took into the ledger, in place of what was held for it."""
        engine = request.web_search.engine if request.web_search else None
        spent = spend_of(reply, engine=engine, prompt=request.messages)
        reservation.settle(spent) if reservation else self.ledger.add(spent)

    def note_embeddings(
        self, reply: EmbeddingReply, request: EmbeddingRequest, endpoint: Endpoint
    ) -> None:
        """Put what a request for embeddings took into the ledger.

        Raises:
            SettingsError: the budget is passed with it.
        """
        model, usage, texts = request.model, reply.usage, request.texts
        currency = billed_in(endpoint, model)
        self.ledger.add(spend_of_embeddings(model, endpoint.host, usage, currency, texts=texts))
        if budget := self.ledger.budget(self.settings.budget, currency):
            budget.check_spent()

    def note_usage(self, usage: Usage, model: str, endpoint: Endpoint) -> None:
        """Put the counts of a request of another kind into the ledger."""
        currency = billed_in(endpoint, model)
        self.ledger.add(spend_of_usage(model, endpoint.host, usage, currency))

    def recall(self, exchange: Exchange) -> Exchange | None:
        """Return an exchange with the answer that memory has, if it may be answered from there.

        Never where functions are offered: what they give may be another thing by now. Nor is an
        answer that does not fit: it is asked for again.
        """
        settings = exchange.settings
        if settings is None or not settings.cache or exchange.functions:
            return None
        cached = self.cache.find(exchange.request, exchange.endpoint)
        schema = exchange.reply.schema
        if cached is None or (schema and schema.problem(cached.text)):
            return None
        return exchange.with_reply(cached)

    def keep(self, exchange: Exchange) -> None:
        """Remember an exchange as the last one, in its chat and for the next of its like."""
        self.last = exchange
        if exchange.place is not None:
            if turn := exchange.turn:
                self.chats.put(exchange.place, turn)
            else:
                is_gone = exchange.reply.state in ("withdrawn", "complete")
                self.chats.miss(exchange.place, is_gone=is_gone)
        self.cache.keep(exchange.request, exchange.endpoint, exchange.reply)

    async def aclose(self) -> None:
        """Close every client."""
        clients, self._clients = self._clients, {}
        self._local_transport = None
        for client in clients.values():
            await client.aclose()

    def store(self) -> VectorStore | None:
        """Return where vectors are kept; None where the settings, or GLM_MAGIC_STORE, keep none."""
        from glm_magic.session.store import VectorStore, store_path

        chosen = self.settings.store
        if chosen == "auto":
            chosen = os.environ.get("GLM_MAGIC_STORE", "").strip() or str(store_path())
        if chosen == "off":
            return None
        path = Path(chosen).absolute()
        if self._store is None or self._store.path != path:
            self._store = VectorStore(path)
        return self._store

    def model(self, endpoint: Endpoint, settings: GlmMagic | None = None) -> str:
        """Return the chat model of the settings, or the engine's own where none was chosen."""
        settings = settings or self.settings
        chosen = settings.origin("model") != "default"
        return self._local.model if endpoint.is_local and not chosen else settings.model

    def embedding_model(self, endpoint: Endpoint) -> str:
        """Return the embedding model likewise."""
        chosen = self.settings.origin("embedding_model") != "default"
        local = endpoint.is_local and not chosen
        return self._local.embedding_model if local else self.settings.embedding_model


def _bounds(settings: GlmMagic) -> Bounds:
    return Bounds(**{name: getattr(settings, name) for name in BOUND_NAMES})


def _endpoint_of_variable(name: str, value: str) -> Endpoint:
    try:
        return parse_endpoint(value)
    except SettingsError as error:
        raise SettingsError(f"{name}: {error}") from error
