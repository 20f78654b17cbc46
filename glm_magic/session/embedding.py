"""Many texts to vectors: what is kept already, what is sent for the rest, and what comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from glm_magic.api.batches import find_limits, split_batches
from glm_magic.api.client import AsyncClient
from glm_magic.api.embedding import EmbeddingReply, unit_vectors
from glm_magic.api.endpoints import Endpoint
from glm_magic.api.events import Usage, sum_usage
from glm_magic.api.requests import EmbeddingRequest
from glm_magic.api.retry import Told
from glm_magic.errors import GlmError
from glm_magic.session.store import Space, StoreError, VectorStore

__all__ = ["EmbeddingRun", "Taken"]

FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.intp]
# What a kernel that is killed may lose.
_KEEP_EVERY_S = 0.5
# One reply: which request it answers, and its vectors.
Taken = tuple[int, EmbeddingReply]


class EmbeddingRun:
    """The vectors of different texts, gathered from where they are.

    First `recall` what is kept, then `plan` requests for the rest, `send` them on the loop
    thread, `take` each reply on the caller's, and `keep` what is not kept yet. It may end at any
    time: what was taken counts.

    Args:
        request: for all texts at once, each of them once.
        store: where vectors are kept; None keeps none.

    Attributes:
        usage: token counts of the replies.
        requests: those to send, in the order of the texts.
        answered: how many were.
        recalled: how many texts had their vectors already.
        store_failure: why the store is not used any more; "" while it is.
    """

    def __init__(
        self,
        request: EmbeddingRequest,
        endpoint: Endpoint,
        store: VectorStore | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.request, self.endpoint = request, endpoint
        self.usage = Usage()
        self.requests: list[EmbeddingRequest] = []
        self.answered = self.recalled = 0
        self.store_failure = ""
        self._store = store
        self._unkept: list[tuple[Sequence[str], FloatArray]] = []
        self._clock, self._keep_at = clock, clock() + _KEEP_EVERY_S
        self._limits = find_limits(request.model)
        self._width: int | None = None  # of the replies so far, on the loop thread
        self._rows = _Rows(len(request.texts))
        self._positions: list[IndexArray] = []

    # -- before ----------------------------------------------------------------------------

    def recall(self, known: Mapping[str, FloatArray] | None = None) -> None:
        """Take the vectors that are there already.

        Args:
            known: vectors of length 1 of this model and width by their text.
        """
        if known:
            places = [i for i, text in enumerate(self.request.texts) if text in known]
            if places:
                vectors = np.stack([known[self.request.texts[i]] for i in places])
                self._rows.fill(np.array(places), vectors)
        missing = self.missing
        if self._store is not None and missing.size:
            try:
                found, vectors = self._store.find(self._space, self._texts(missing))
                self._rows.fill(missing[found], vectors)
            except StoreError as error:
                self._leave_store(error)
        self.recalled = len(self.request.texts) - self.missing.size

    def plan(self) -> EmbeddingRequest:
        """Divide what is missing into requests; return it as one, to reckon its cost by."""
        missing = self.missing
        texts = self._texts(missing)
        batches = split_batches(texts, self._limits)
        self._positions = [missing[batch.start : batch.stop] for batch in batches]
        self.requests = [self._ask(texts[batch.start : batch.stop]) for batch in batches]
        return self._ask(texts)

    def _ask(self, texts: Sequence[str]) -> EmbeddingRequest:
        return EmbeddingRequest(self.request.model, tuple(texts), self.request.dimensions)

    # -- on its way ------------------------------------------------------------------------

    async def send(
        self,
        client: AsyncClient,
        put: Callable[[Taken], None],
        noted: Callable[[Taken], None],
        told: Told | None = None,
    ) -> None:
        """Send the requests; put each reply as it comes.

        Args:
            put: hands a reply on, to be taken.
            noted: is told of each reply before that, on the loop thread: what was answered is
                paid. No other request is sent once it raises a GlmError.
            told: is told of each wait before a request is sent again.

        Raises:
            GlmError: as `AsyncClient.embed_each`, or the vectors have another width than those
                before, or as `noted`.
        """

        def done(position: int, reply: EmbeddingReply) -> None:
            taken = position, reply
            put(taken)
            noted(taken)
            self._check_width(reply.vectors.shape[1])

        self._width = self._rows.width
        await client.embed_each(self.requests, done, told)

    def _check_width(self, width: int) -> None:
        self._width = self._width or width
        if width == self._width:
            return
        way = "run it with --no-store, or `%glm store --clear`" if self.recalled else "try again"
        raise GlmError(
            f"{self.endpoint.host} sent vectors of {width} numbers, and those before had "
            f"{self._width}; nothing of it was kept; {way}"
        )

    def take(self, position: int, reply: EmbeddingReply) -> None:
        """Take the vectors of a reply, to be kept now or soon; those of another width are not."""
        self.answered += 1
        self.usage = sum_usage(self.usage, reply.usage)
        vectors = unit_vectors(reply.vectors)
        width = vectors.shape[1]
        if self._rows.width not in (None, width):
            return
        self._rows.fill(self._positions[position], vectors)
        if self._store is not None and self.width in (0, width):
            self._unkept.append((self.requests[position].texts, vectors))
        if self._clock() >= self._keep_at:
            self.keep()

    def keep(self) -> None:
        """Put into the store what came since the last time; to be called at the end, too.

        Not with each reply: a disk may take longer to write than the server to answer.
        """
        unkept, self._unkept = self._unkept, []
        self._keep_at = self._clock() + _KEEP_EVERY_S
        if not unkept or self._store is None:
            return
        texts = [text for texts, _ in unkept for text in texts]
        try:
            self._store.keep(self._space, texts, np.concatenate([rows for _, rows in unkept]))
        except StoreError as error:
            self._leave_store(error)

    def _leave_store(self, error: StoreError) -> None:
        self.store_failure, self._store = str(error), None

    # -- after -----------------------------------------------------------------------------

    @property
    def missing(self) -> IndexArray:
        """The positions of the texts without a vector."""
        return self._rows.missing

    @property
    def vectors(self) -> FloatArray:
        """The vectors there are, shape (n - missing, d), float32, each row of length 1."""
        return self._rows.filled()

    @property
    def width(self) -> int:
        """The width that the vectors will have, as far as that is known; else 0."""
        # What is asked for by its number and what comes without asking are the same vectors, where
        # the default is documented: at the platform itself.
        default = self._limits.default_dimensions if self.endpoint.is_platform else None
        return self.request.dimensions or default or 0

    @property
    def is_stored(self) -> bool:
        """Whether vectors are kept on disk."""
        return self._store is not None

    @property
    def _space(self) -> Space:
        return Space(self.endpoint.base_url, self.request.model.lower(), self.width)

    def _texts(self, positions: IndexArray) -> Sequence[str]:
        texts = self.request.texts
        if positions.size == len(texts):
            return texts
        return [texts[i] for i in positions]


class _Rows:
    """A matrix that is filled row by row; its width is known once the first ones come."""

    def __init__(self, count: int) -> None:
        self._has = np.zeros(count, dtype=bool)
        self._rows: FloatArray | None = None

    @property
    def width(self) -> int | None:
        return None if self._rows is None else self._rows.shape[1]

    @property
    def missing(self) -> IndexArray:
        return np.flatnonzero(~self._has)

    def fill(self, positions: IndexArray, vectors: FloatArray) -> None:
        if not positions.size:
            return
        if self._rows is None and positions.size == self._has.size:
            self._rows = vectors  # all at once and in order: no copy
        else:
            if self._rows is None:
                self._rows = np.empty((self._has.size, vectors.shape[1]), dtype=np.float32)
            self._rows[positions] = vectors
        self._has[positions] = True

    def filled(self) -> FloatArray:
        if self._rows is None:
            return np.empty((0, 0), dtype=np.float32)
        return self._rows if self._has.all() else self._rows[self._has]
