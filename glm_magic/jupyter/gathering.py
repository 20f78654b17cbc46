"""The vectors of a run, gathered from the loop thread: whatever has come is taken and kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from glm_magic.api.events import Waiting
from glm_magic.api.loop import CLOSE_TIMEOUT_S, Job, Put
from glm_magic.jupyter.runner import follow, uninterrupted
from glm_magic.jupyter.views.progress import Progress
from glm_magic.render.clean import clean_line
from glm_magic.session.embedding import EmbeddingRun, Taken

if TYPE_CHECKING:
    from glm_magic.jupyter.magics import Glm

_KEEPING = "stopped; what came is kept, run the cell again to go on"


def gather(glm: Glm, run: EmbeddingRun, progress: Progress) -> None:
    """Send the requests of a run and take what comes.

    Raises:
        GlmError: the server refused, or sent no vectors; what came before was taken.
        KeyboardInterrupt: likewise.
    """
    session, thread = glm.open()
    client = session.client(run.endpoint)
    waits: deque[Waiting] = deque(maxlen=1)
    arrived: deque[Taken] = deque()  # not in the queue of the job, from which an interrupt may take

    def note(taken: Taken) -> None:
        position, reply = taken
        session.note_embeddings(reply, run.requests[position], run.endpoint)

    def take() -> int:
        count = 0
        if waits:
            waiting = waits.pop()
            progress.say(f"waits {waiting.seconds:.1f} s: {clean_line(waiting.reason, 120)}")
        while arrived:
            with uninterrupted(_KEEPING):
                position, reply = arrived.popleft()
                run.take(position, reply)
                count += len(reply.vectors)
                progress.say("")
        return count

    async def work(put: Put) -> None:
        def come(taken: Taken) -> None:
            arrived.append(taken)
            put(True)

        def wait(waiting: Waiting) -> None:
            waits.append(waiting)
            put(True)

        await run.send(client, come, note, wait)

    progress.take = take
    try:
        with Job(thread, work) as job:
            follow(job, progress)
    finally:
        _take_rest(job, take, run)


def _take_rest(job: Job[None], take: Callable[[], int], run: EmbeddingRun) -> None:
    """Take and keep what has come though nobody waits for it any more: it is paid."""
    with uninterrupted(_KEEPING):
        job.wait(CLOSE_TIMEOUT_S)
        take()
        run.keep()
