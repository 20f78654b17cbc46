"""Whether an endpoint works: one cheap call a feature, each with a finding of its own.

    async for finding in check(client, Plan("glm-4.7-flash", "embedding-3", "ZAI_API_KEY")):
        print(finding.step, finding.verdict, finding.reason)

A step that fails does not end the check; those after it that cannot work then are skipped.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Generic, Literal, TypeVar, get_args

from glm_magic.api.catalog import find_model, parse_model_list
from glm_magic.api.client import AsyncClient
from glm_magic.api.connection import Answered, Call
from glm_magic.api.embedding import EmbeddingReply
from glm_magic.api.endpoints import Endpoint
from glm_magic.api.events import Usage, Waiting
from glm_magic.api.reply import Reply
from glm_magic.api.requests import ChatRequest, build_messages
from glm_magic.api.token import AuthStyle
from glm_magic.errors import ApiError, AuthError, GlmError, SettingsError

Step = Literal["address", "key", "model", "streaming", "embeddings", "clock", "web search", "tasks"]
STEPS: tuple[Step, ...] = get_args(Step)
_CALLS: tuple[Step, ...] = ("model", "streaming", "embeddings")
Verdict = Literal["works", "fails", "offered", "not offered", "skipped", "not known"]

# A token more or less of a prompt costs less than any price can tell.
_PROMPT = "Hi"
# A signed token holds for 210 s; a quarter of that is no cause for alarm.
CLOCK_LIMIT_S = 60
# What a server says of an address that it does not have.
NO_SUCH_ADDRESS = frozenset({404, 405, 501})
# The key is good, but not for this: the business code of "you may not use this API".
_NO_RIGHT = "1220"
# "The model does not support this way of calling": streaming may still work.
_OTHER_WAY = "1212"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to check an endpoint with.

    Attributes:
        key_origin: where its key is from, never the key; "" when none is sent.
        no_key: why there is no key where one is needed; "" when there is one, or no need.
    """

    model: str
    embedding_model: str
    key_origin: str = ""
    no_key: str = ""
    auth: AuthStyle = "key"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one step found.

    Attributes:
        reason: one line of plain text; a server's own words may stand in it.
        milliseconds: what the call took; None where there was none of its own.
        requests: how many went out, each try counted.
        tokens: what they cost, as far as the server told.
        usage: the same in detail; None where nothing was told.
    """

    step: Step
    verdict: Verdict
    reason: str
    milliseconds: float | None = None
    requests: int = 0
    tokens: int = 0
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class _Outcome(Generic[T]):
    """How one call went: its value or its error."""

    value: T | None
    error: GlmError | None
    milliseconds: float
    requests: int
    answered: Answered | None

    def finding(
        self, step: Step, verdict: Verdict, reason: str, usage: Usage | None = None
    ) -> Finding:
        tokens = _total(usage)
        return Finding(step, verdict, reason, self.milliseconds, self.requests, tokens, usage)

    def failure(self, step: Step) -> Finding:
        return self.finding(step, "fails", str(self.error))

    @property
    def refusal(self) -> ApiError | None:
        return self.error if isinstance(self.error, ApiError) else None

    @property
    def is_key_refused(self) -> bool:
        """Whether the key itself was not accepted; a right that it lacks is another matter."""
        error = self.error
        return isinstance(error, AuthError) and error.status != 403 and error.code != _NO_RIGHT


@dataclass(frozen=True, slots=True)
class _Caller:
    client: AsyncClient
    clock: Callable[[], float]

    async def call(self, work: Awaitable[T]) -> _Outcome[T]:
        """Await `work` and tell how it went."""
        sent, answered, started = self.client.sent, self.client.answered, self.clock()
        value, error = None, None
        try:
            value = await work
        except GlmError as caught:
            error = caught
        milliseconds = (self.clock() - started) * 1000
        latest = self.client.answered
        fresh = None if latest is answered else latest
        return _Outcome(value, error, milliseconds, self.client.sent - sent, fresh)


async def check(
    client: AsyncClient, plan: Plan, *, clock: Callable[[], float] = time.perf_counter
) -> AsyncGenerator[Finding]:
    """Yield one finding for each of `STEPS`, in their order, as soon as it is known.

    Three requests at the most go to a model, each with the smallest answer that is valid.

    Args:
        client: of the endpoint to check; one without a key where `plan.no_key` says why.
        clock: seconds, monotonic.
    """
    caller = _Caller(client, clock)
    listed = await caller.call(client.fetch(Call("/models")))
    yield _address(client.endpoint, listed)
    reason = _why_no_call(listed, plan)
    if reason:
        yield _key_alone(listed, plan)
        for step in _CALLS:
            yield Finding(step, "skipped", reason)
    else:
        async for finding in _calls(caller, listed, plan):
            yield finding
    yield _clock(client, plan.auth)
    yield _web_search(client.endpoint)
    yield _tasks(client.endpoint)


async def _calls(caller: _Caller, listed: _Outcome[Any], plan: Plan) -> AsyncGenerator[Finding]:
    """The steps that ask a model; the key is judged by the first of them."""
    answered = await caller.call(caller.client.chat(_request(plan.model, stream=False)))
    yield _key(listed, answered, plan)
    if answered.is_key_refused:
        for step in _CALLS:
            # The first was sent all the same, and is counted.
            sent = answered.requests if step == "model" else 0
            yield Finding(step, "skipped", "the key was refused", requests=sent)
        return
    yield _model(answered, plan.model)
    yield await _streaming(caller, answered, plan.model)
    yield _embeddings(await caller.call(_embed(caller.client, plan)), plan.embedding_model)


def _request(model: str, *, stream: bool) -> ChatRequest:
    known = find_model(model)
    # Reasoning costs more than the one token; a model that always reasons refuses to be told.
    thinking = False if known and known.thinking == "auto" else None
    messages = build_messages(_PROMPT)
    return ChatRequest(model, messages, max_tokens=1, thinking=thinking, stream=stream)


def _embed(client: AsyncClient, plan: Plan) -> Awaitable[EmbeddingReply]:
    return client.embed((_PROMPT,), model=plan.embedding_model)


# -- address and key ---------------------------------------------------------------------------


def _address(endpoint: Endpoint, listed: _Outcome[Any]) -> Finding:
    if listed.error is None:
        return listed.finding("address", "works", f"it answers{_listing(endpoint, listed.value)}")
    refusal = listed.refusal
    if refusal is None or refusal.status >= 500:
        return listed.failure("address")
    what = "; it has no list of models" if refusal.status in NO_SUCH_ADDRESS else ""
    return listed.finding("address", "works", f"it answers (HTTP {refusal.status}){what}")


def _listing(endpoint: Endpoint, content: object) -> str:
    try:
        ids = parse_model_list(content, host=endpoint.host)
    except GlmError:
        return ", but not with a list of models"
    return f" and lists {len(ids)} {'model' if len(ids) == 1 else 'models'}"


def _why_no_call(listed: _Outcome[Any], plan: Plan) -> str:
    """Why no model can be asked; "" when one can."""
    if listed.error is not None and not listed.requests:
        return "nothing can be sent"
    if listed.error is not None and listed.answered is None:
        return "the address does not answer"
    if plan.no_key:
        return "there is no key"
    return "the key was refused" if listed.is_key_refused else ""


def _key_alone(listed: _Outcome[Any], plan: Plan) -> Finding:
    """The key where no model was asked with it."""
    if plan.no_key:
        return Finding("key", "fails", plan.no_key)
    if listed.is_key_refused:
        return Finding("key", "fails", f"{_origin(plan)}{listed.error}")
    return Finding("key", "skipped", f"{_origin(plan)}{_why_no_call(listed, plan)}")


def _key(listed: _Outcome[Any], answered: _Outcome[Reply], plan: Plan) -> Finding:
    """The key as the first model took it; a refusal for another reason has accepted it."""
    if answered.is_key_refused:
        return Finding("key", "fails", f"{_origin(plan)}{answered.error}")
    told = answered.error is None or answered.refusal is not None or listed.error is None
    if not plan.key_origin:
        verdict: Verdict = "works" if told else "not known"
        return Finding("key", verdict, "none was sent" + (" and none is needed" if told else ""))
    if not told:
        return Finding("key", "not known", f"{_origin(plan)}nothing has judged it")
    return Finding("key", "works", f"{_origin(plan)}it was accepted")


def _origin(plan: Plan) -> str:
    return f"from {plan.key_origin}: " if plan.key_origin else ""


# -- the calls ---------------------------------------------------------------------------------


def _model(outcome: _Outcome[Reply], model: str) -> Finding:
    if outcome.value is None:
        return outcome.failure("model")
    name = outcome.value.model
    other = f" as {name}" if name and name.lower() != model.lower() else ""
    return outcome.finding("model", "works", f"{model} answers{other}", outcome.value.usage)


async def _streaming(caller: _Caller, answered: _Outcome[Reply], model: str) -> Finding:
    if _is_hopeless(answered):
        return Finding("streaming", "skipped", "the model does not answer")
    outcome = await caller.call(_stream(caller, model))
    if outcome.value is None:
        return outcome.failure("streaming")
    reply, times_s = outcome.value
    if not times_s:
        return outcome.finding("streaming", "fails", "the stream ended without an event")
    count = f"{len(times_s)} {'event' if len(times_s) == 1 else 'events'}"
    reason = f"the first event came after {times_s[0] * 1000:.0f} ms, {count} in all"
    return outcome.finding("streaming", "works", reason, reply.usage)


def _is_hopeless(answered: _Outcome[Reply]) -> bool:
    """Whether the same request as a stream must fail too: it was refused for good."""
    if isinstance(answered.error, SettingsError):
        return True
    error = answered.refusal
    if error is None or error.retryable:
        return False
    return error.status < 500 and error.code != _OTHER_WAY


async def _stream(caller: _Caller, model: str) -> tuple[Reply, list[float]]:
    """Take one short stream; return the reply, and the seconds at which each event came."""
    started = caller.clock()
    async with caller.client.stream(_request(model, stream=True)) as stream:
        times_s = [
            caller.clock() - started
            async for event in stream
            if not isinstance(event, Waiting)  # which is the client's own
        ]
    return stream.reply, times_s


def _embeddings(outcome: _Outcome[EmbeddingReply], model: str) -> Finding:
    if outcome.value is not None:
        _, width = outcome.value.vectors.shape
        reason = f"{model} gives {width} dimensions"
        return outcome.finding("embeddings", "works", reason, outcome.value.usage)
    refusal = outcome.refusal
    if refusal is not None and refusal.status in NO_SUCH_ADDRESS:
        reason = f"the endpoint has none (HTTP {refusal.status})"
        return outcome.finding("embeddings", "not offered", reason)
    return outcome.failure("embeddings")


def _total(usage: Usage | None) -> int:
    if usage is None:
        return 0
    return usage.total_tokens or usage.prompt_tokens + usage.completion_tokens


# -- without a call ----------------------------------------------------------------------------


def _clock(client: AsyncClient, auth: AuthStyle) -> Finding:
    if client.endpoint.is_local:
        return Finding("clock", "works", "it is this machine's own")
    if client.answered is None:
        return Finding("clock", "skipped", "the address does not answer")
    ahead_s = clock_ahead_s(client.answered)
    if ahead_s is None:
        return Finding("clock", "not known", "the server sends no date")
    if abs(ahead_s) <= CLOCK_LIMIT_S:
        return Finding("clock", "works", f"within {CLOCK_LIMIT_S} s of the server's")
    way = "ahead of" if ahead_s > 0 else "behind"
    what = "tokens signed with it may be refused" if auth == "jwt" else "auth=jwt may fail"
    return Finding("clock", "fails", f"{abs(ahead_s):.0f} s {way} the server's; {what}")


def clock_ahead_s(answered: Answered) -> float | None:
    """Return by how many seconds the clock here is ahead; None when no valid date was sent."""
    try:
        date = parsedate_to_datetime(answered.date)
    except ValueError:
        return None
    if date.tzinfo is None:  # "-0000", by RFC 5322 a time in UTC
        date = date.replace(tzinfo=UTC)
    return answered.at_s - date.timestamp()


def _web_search(endpoint: Endpoint) -> Finding:
    if endpoint.has_web_search:
        return Finding("web search", "offered", "by the platform's documents; not tried")
    return Finding("web search", "not offered", "it needs an endpoint of the platform")


def _tasks(endpoint: Endpoint) -> Finding:
    if endpoint.has_tasks:
        return Finding("tasks", "offered", "by the platform's documents; not tried")
    return Finding("tasks", "not offered", "they need endpoint=bigmodel")
