"""Many texts to vectors, beside other clients and the ideal: `python -m tests.bench.embed`.

One loopback server in a process of its own, which waits 50 ms before each answer and has the
vectors ready. Eight requests at a time, 64 texts each. The ideal is requests x 50 ms / 8. Rounds
take turns. Two clients are for this bench alone: `pip install openai zai-sdk`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from glm_server import GlmServer, Script, warm_embeddings

from glm_magic.api.client import AsyncClient
from glm_magic.api.loop import Job, LoopThread
from glm_magic.api.requests import EmbeddingRequest
from glm_magic.session.corpus import read_variable
from glm_magic.session.embedding import EmbeddingRun
from glm_magic.session.store import VectorStore
from glm_magic.study.embeddings import Embeddings, build_embeddings

MODEL, KEY = "embedding-3", "test-key-id.test-secret"
DELAY_S, AT_ONCE, BATCH = 0.05, 8, 64

Texts = list[str]
Way = Callable[[str, Texts, int], object]


def build_texts(count: int) -> Texts:
    """Different texts of about fifty characters."""
    return [f"text number {number}: something of medium length to embed" for number in range(count)]


@contextmanager
def run_server(count: int, dimensions: int) -> Iterator[str]:
    """The base URL of a server in a process of its own, with the vectors of `build_texts`."""
    command = [sys.executable, "-m", "tests.bench.embed", "--serve", str(count), str(dimensions)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as it:
        assert it.stdin and it.stdout
        try:
            yield it.stdout.readline().strip()
        finally:
            it.stdin.close()


def serve(count: int, dimensions: int) -> None:
    """Serve until the standard input ends."""
    warm_embeddings(build_texts(count), dimensions)
    with GlmServer() as server:
        server.script = Script(headers_delay_s=DELAY_S)
        print(server.url, flush=True)
        sys.stdin.read()


def batches(texts: Texts) -> list[Texts]:
    return [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]


@contextmanager
def open_client(url: str) -> Iterator[tuple[AsyncClient, LoopThread]]:
    """A client and its thread, as a session has them from its first request on."""
    client, thread = AsyncClient(KEY, url, concurrency=AT_ONCE), LoopThread()
    try:
        first = EmbeddingRequest(MODEL, ("the first text of a session",), 8)
        with Job(thread, lambda _: client.embed(first)) as job:
            while not job.ended:
                job.take(0.05)
        job.result()
        yield client, thread
    finally:
        thread.close(client.aclose)


def embed_ours(
    session: tuple[AsyncClient, LoopThread], texts: Texts, dimensions: int, path: Path
) -> Embeddings:
    """As a cell does: look into the store, send the rest, keep it, build the value."""
    client, thread = session
    corpus, started = read_variable(texts, "texts"), time.perf_counter()
    request = EmbeddingRequest(MODEL, tuple(dict.fromkeys(corpus.texts)), dimensions)
    run = EmbeddingRun(request, client.endpoint, VectorStore(path))
    run.recall()
    run.plan()
    if run.requests:
        with Job(thread, lambda put: run.send(client, put, lambda _: None)) as job:
            while not job.ended:
                for position, reply in job.take(0.05):
                    run.take(position, reply)
            job.result()
        run.keep()
    return build_embeddings(corpus, run, seconds=time.perf_counter() - started)


def embed_zai(url: str, texts: Texts, dimensions: int) -> np.ndarray:
    from zai import ZhipuAiClient

    client = ZhipuAiClient(api_key=KEY, base_url=url)
    rows: list[list[float]] = []
    for batch in batches(texts):
        reply = client.embeddings.create(model=MODEL, input=batch, dimensions=dimensions)
        rows += [entry.embedding for entry in reply.data]
    return np.asarray(rows, dtype=np.float32)


def embed_openai(url: str, texts: Texts, dimensions: int) -> np.ndarray:
    from openai import AsyncOpenAI

    async def gather() -> np.ndarray:
        turn = asyncio.Semaphore(AT_ONCE)
        async with AsyncOpenAI(api_key=KEY, base_url=url) as client:

            async def ask(batch: Texts) -> list[list[float]]:
                async with turn:
                    reply = await client.embeddings.create(
                        model=MODEL, input=batch, dimensions=dimensions, encoding_format="float"
                    )
                return [entry.embedding for entry in reply.data]

            parts = await asyncio.gather(*map(ask, batches(texts)))
        return np.asarray([row for part in parts for row in part], dtype=np.float32)

    return asyncio.run(gather())


def timed(act: Callable[[], object]) -> float:
    gc.collect()  # of what the way before has left
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def measure(count: int, dimensions: int, rounds: int) -> dict[str, list[float]]:
    """The seconds of each way by its name; ways whose client is not installed are left out."""
    texts = build_texts(count)
    times: dict[str, list[float]] = {}
    others: dict[str, Way] = {"openai, gather of 8": embed_openai, "zai-sdk, a loop": embed_zai}
    with (
        run_server(count, dimensions) as url,
        open_client(url) as session,
        tempfile.TemporaryDirectory() as folder,
    ):
        for number in range(rounds):
            path = Path(folder) / f"{number}.sqlite"
            ours = lambda path=path: embed_ours(session, texts, dimensions, path)  # noqa: E731
            times.setdefault("ours, into the store", []).append(timed(ours))
            again = [timed(ours) for _ in range(5)]
            times.setdefault("ours again, from the store", []).append(statistics.median(again))
            for name, way in others.items():
                try:
                    seconds = timed(lambda way=way: way(url, texts, dimensions))
                except ImportError:
                    continue
                times.setdefault(name, []).append(seconds)
    return times


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(*options.serve)
    for dimensions in options.dimensions:
        print(render(options.texts, dimensions, measure(options.texts, dimensions, options.rounds)))
    return None


def render(count: int, dimensions: int, times: dict[str, list[float]]) -> str:
    """The table of one width: seconds, and as a multiple of the ideal and of our first run."""
    ideal = -(-count // BATCH) * DELAY_S / AT_ONCE
    first = statistics.median(times["ours, into the store"])
    lines = [f"\n{count:,} texts x {dimensions}; the ideal is {ideal:.3f} s"]
    lines.append(f"{'':30}{'min s':>9}{'median s':>10}{'x ideal':>9}{'ours is x faster':>18}")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        lines.append(
            f"{name:30}{min(seconds):9.3f}{median:10.3f}{median / ideal:9.2f}{median / first:18.2f}"
        )
    again = statistics.median(times["ours again, from the store"])
    lines.append(f"from the store {first / again:.0f} x faster than the first time")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
