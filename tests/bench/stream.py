"""What a streamed reply costs, side by side with other clients: `python tests/bench/stream.py`.

All clients run in this process against one server in another; the CPU time is this process's
own. Rounds are interleaved, so that a busy machine is busy for all. Of the figures only the
ratios mean anything on another machine. Two clients are for this bench alone, and rows whose
client is not installed are left out: `pip install openai httpx-sse zai-sdk`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

if __package__:
    from bench.wire import Plan
else:
    from wire import Plan

from glm_magic import AsyncClient, Client
from glm_magic.api.events import TextDelta

MODEL = "glm-4.7-flash"
KEY = "bench-key-id.bench-secret"
WIRE = Path(__file__).with_name("wire.py")

# A prompt in, the text of the reply out; None from those that only move bytes.
Ask = Callable[[str], Awaitable[str | None]]


@contextmanager
def run_server() -> Iterator[str]:
    """The base URL of a server in a process of its own."""
    command = [sys.executable, str(WIRE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as it:
        try:
            yield f"http://127.0.0.1:{int(it.stdout.readline())}/api/paas/v4"
        finally:
            it.stdin.close()


def build_body(prompt: str) -> bytes:
    messages = [{"role": "user", "content": prompt}]
    return json.dumps({"model": MODEL, "messages": messages, "stream": True}).encode()


def find_text(data: str | bytes) -> str:
    """The text of one event, taken the shortest way."""
    return json.loads(data)["choices"][0]["delta"].get("content") or ""


async def open_floor(url: str, stack: AsyncExitStack) -> Ask:
    client = await stack.enter_async_context(httpx.AsyncClient(timeout=None))

    async def ask(prompt: str) -> None:
        path = f"{url}/chat/completions"
        async with client.stream("POST", path, content=build_body(prompt)) as response:
            async for _ in response.aiter_raw():
                pass

    return ask


async def open_floor_sync(url: str, stack: AsyncExitStack) -> Ask:
    client = stack.enter_context(httpx.Client(timeout=None))

    async def ask(prompt: str) -> None:
        path = f"{url}/chat/completions"
        with client.stream("POST", path, content=build_body(prompt)) as response:
            for _ in response.iter_raw():
                pass

    return ask


async def open_split(url: str, stack: AsyncExitStack) -> Ask:
    client = await stack.enter_async_context(httpx.AsyncClient(timeout=None))

    async def ask(prompt: str) -> str:
        path, rest, pieces = f"{url}/chat/completions", b"", []
        async with client.stream("POST", path, content=build_body(prompt)) as response:
            async for data in response.aiter_raw():
                *events, rest = (rest + data).split(b"\n\n")
                pieces += [find_text(event[6:]) for event in events if event[6:] != b"[DONE]"]
        return "".join(pieces)

    return ask


async def open_httpx_sse(url: str, stack: AsyncExitStack) -> Ask:
    connect = importlib.import_module("httpx_sse").aconnect_sse
    client = await stack.enter_async_context(httpx.AsyncClient(timeout=None))

    async def ask(prompt: str) -> str:
        path = f"{url}/chat/completions"
        async with connect(client, "POST", path, content=build_body(prompt)) as source:
            events = source.aiter_sse()
            pieces = [find_text(sse.data) async for sse in events if sse.data != "[DONE]"]
        return "".join(pieces)

    return ask


async def open_ours(url: str, stack: AsyncExitStack) -> Ask:
    client = await stack.enter_async_context(AsyncClient(KEY, url))

    async def ask(prompt: str) -> str:
        stream = client.stream(prompt, model=MODEL)
        async for _ in stream:
            pass
        return stream.reply.text

    return ask


async def open_ours_sync(url: str, stack: AsyncExitStack) -> Ask:
    client = stack.enter_context(Client(KEY, url))

    async def ask(prompt: str) -> str:
        stream = client.stream(prompt, model=MODEL)
        for _ in stream:
            pass
        return stream.reply.text

    return ask


async def open_openai(url: str, stack: AsyncExitStack) -> Ask:
    library = importlib.import_module("openai")
    client = await stack.enter_async_context(library.AsyncOpenAI(api_key=KEY, base_url=url))

    async def ask(prompt: str) -> str:
        messages = [{"role": "user", "content": prompt}]
        chunks = await client.chat.completions.create(model=MODEL, messages=messages, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

    return ask


async def open_zai(url: str, stack: AsyncExitStack) -> Ask:
    library = importlib.import_module("zai")
    client = stack.enter_context(library.ZhipuAiClient(api_key=KEY, base_url=url))

    async def ask(prompt: str) -> str:
        messages = [{"role": "user", "content": prompt}]
        chunks = client.chat.completions.create(model=MODEL, messages=messages, stream=True)
        return "".join([chunk.choices[0].delta.content or "" for chunk in chunks])

    return ask


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to read a stream.

    Attributes:
        open: makes its client, which the stack closes.
        needs: the module that it is of.
    """

    name: str
    open: Callable[[str, AsyncExitStack], Awaitable[Ask]]
    needs: str = "httpx"

    @property
    def is_installed(self) -> bool:
        return importlib.util.find_spec(self.needs) is not None


FLOOR = Contender("httpx aiter_raw, bytes only (the floor)", open_floor)
OURS = Contender("glm_magic.AsyncClient: events and Reply", open_ours)
OPENAI = Contender("openai.AsyncOpenAI: chunks", open_openai, "openai")
ZAI = Contender("zai-sdk: chunks (it has no async client)", open_zai, "zai")
CONTENDERS = (
    FLOOR,
    Contender("httpx iter_raw, sync, bytes only", open_floor_sync),
    Contender("bytes.split and json.loads", open_split),
    Contender("httpx-sse and json.loads", open_httpx_sse, "httpx_sse"),
    OURS,
    Contender("glm_magic.Client, on its thread", open_ours_sync),
    OPENAI,
    ZAI,
)


async def measure_cpu_us(contender: Contender, url: str, events: int) -> float:
    """The CPU time of one event of a reply at full speed, in microseconds.

    Raises:
        AssertionError: the text is not what was sent.
    """
    plan = Plan(events)
    async with AsyncExitStack() as stack:
        ask = await contender.open(url, stack)
        await ask(Plan(1).build_prompt())  # connects and imports
        gc.collect()
        start = time.process_time()
        text = await ask(plan.build_prompt())
        spent = time.process_time() - start
    assert text is None or text == plan.text(), f"{contender.name}: not the text that was sent"
    return spent / events * 1e6


def measure_rounds(url: str, *, events: int, rounds: int) -> dict[Contender, list[float]]:
    """CPU microseconds an event of each client that is installed, a figure a round."""
    figures: dict[Contender, list[float]] = {c: [] for c in CONTENDERS if c.is_installed}
    for _ in range(rounds):
        for contender, times in figures.items():
            times.append(asyncio.run(measure_cpu_us(contender, url, events)))
    return figures


def print_rounds(figures: dict[Contender, list[float]]) -> None:
    print(f"\n{'CPU microseconds an event':<42}   min  median  x floor (min, median)  x ours")
    floor, ours = figures[FLOOR], figures[OURS]
    for contender, times in figures.items():
        least, middle = min(times), statistics.median(times)
        print(
            f"{contender.name:<42} {least:5.1f}   {middle:5.1f}"
            f"         {least / min(floor):5.2f} {middle / statistics.median(floor):5.2f}"
            f"          {least / min(ours):5.2f}"
        )
    for contender in CONTENDERS:
        if contender not in figures:
            print(f"{contender.name:<42} skipped: {contender.needs} is not installed")


def print_targets(figures: dict[Contender, list[float]]) -> None:
    ours = min(figures[OURS])
    print(f"\n{'targets':<42}   wanted    found")
    found = ours / min(figures[FLOOR])
    print(f"{'ours / floor':<42}   <= 2.0   {found:6.2f}  {'met' if found <= 2 else 'MISSED'}")
    for contender, wanted in ((OPENAI, 5), (ZAI, 10)):
        if contender in figures:
            found = min(figures[contender]) / ours
            met = "met" if found >= wanted else "MISSED"
            print(f"{contender.needs + ' / ours':<42}   >= {wanted:<4} {found:7.1f}  {met}")


@dataclass(frozen=True, slots=True)
class Memory:
    """What the process holds at one point of a reply, less the text that a reply must keep.

    Attributes:
        events: taken so far.
        text_kib: the strings of the reply so far.
        python_kib: what Python allocated besides since the first event; None when not traced.
        rss_kib: what the system counts for the process, its text too; None where it is not told.
    """

    events: int
    text_kib: float
    python_kib: float | None
    rss_kib: float | None


def read_rss_kib() -> float | None:
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


async def measure_memory(url: str, plan: Plan, *, traced: bool) -> list[Memory]:
    """The memory after a tenth, half and all of a reply's events."""
    marks = {plan.events // 10, plan.events // 2, plan.events}
    found, events, text_bytes = [], 0, 0
    async with AsyncClient(KEY, url) as client:
        await client.chat(Plan(1).build_prompt(), model=MODEL)
        if traced:
            tracemalloc.start()
        try:
            async for event in client.stream(plan.build_prompt(), model=MODEL):
                if type(event) is not TextDelta:
                    continue
                events += 1
                text_bytes += sys.getsizeof(event.text) + 8  # and its place in a list
                if events in marks:
                    gc.collect()
                    python = (tracemalloc.get_traced_memory()[0] - text_bytes) / 1024
                    rss_kib = read_rss_kib()
                    kept = Memory(events, text_bytes / 1024, python if traced else None, rss_kib)
                    found.append(kept)
        finally:
            tracemalloc.stop()
    return found


def print_memory(title: str, points: list[Memory]) -> None:
    print(f"\n{title:<42}   text KiB   besides KiB   RSS KiB")
    for point in points:
        python = "-" if point.python_kib is None else f"{point.python_kib:.0f}"
        rss = "-" if point.rss_kib is None else f"{point.rss_kib:.0f}"
        print(
            f"after {point.events:>7,} events{'':<21} {point.text_kib:10.0f} {python:>13} {rss:>9}"
        )


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many replies at once went.

    Attributes:
        whole: replies with just the text that was sent to them.
        first_s: when the first one was complete.
        last_s: when the last one was.
    """

    streams: int
    whole: int
    first_s: float
    last_s: float

    @property
    def spread(self) -> float:
        """The time between the first and the last to finish, as a share of the whole."""
        return (self.last_s - self.first_s) / self.last_s


async def measure_crowd(url: str, *, streams: int, events: int, pace_ms: float) -> Crowd:
    """Start so many replies at once with one client, and wait for all."""
    plans = [Plan(events, f"s{number}.", pace_ms) for number in range(streams)]
    async with AsyncClient(KEY, url, concurrency=streams) as client:
        start, ends = time.perf_counter(), []

        async def take(plan: Plan) -> bool:
            reply = await client.chat(plan.build_prompt(), model=MODEL)
            ends.append(time.perf_counter() - start)
            return reply.text == plan.text() and reply.state == "complete"

        whole = await asyncio.gather(*map(take, plans))
    return Crowd(streams, sum(whole), min(ends), max(ends))


async def measure_latency_us(url: str, *, events: int, pace_ms: float) -> dict[str, float]:
    """Median microseconds from just before the server's `send` to an event in the loop's body."""
    prompt = Plan(events, pace_ms=pace_ms, stamped=True).build_prompt()
    raw = []
    async with httpx.AsyncClient(timeout=None) as client:
        path = f"{url}/chat/completions"
        async with client.stream("POST", path, content=build_body(prompt)) as response:
            async for data in response.aiter_raw():
                now = time.perf_counter_ns()
                if b'"finish_reason"' not in data and data.startswith(b"data: {"):
                    raw.append(now - int(find_text(data[6:])))
    async with AsyncClient(KEY, url) as client:
        events = client.stream(prompt, model=MODEL)
        times = [(time.perf_counter_ns(), e.text) async for e in events if type(e) is TextDelta]
    ours = [now - int(text) for now, text in times]
    return {"aiter_raw": statistics.median(raw) / 1000, "ours": statistics.median(ours) / 1000}


def print_machine() -> None:
    names = ("httpx", "openai", "httpx-sse", "zai-sdk")
    versions = [f"{name} {v}" for name in names if (v := find_version(name))]
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(
        f"Python {platform.python_version()}, {', '.join(versions)}; {os.cpu_count()} cores{load}"
    )


def find_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def print_crowd(crowd: Crowd, title: str) -> None:
    print(
        f"{title:<42}   {crowd.whole} of {crowd.streams} whole; first after {crowd.first_s:.2f} s, "
        f"last after {crowd.last_s:.2f} s: spread {crowd.spread:.1%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=20_000, help="of a reply")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only-cpu", action="store_true", help="leave out memory and crowds")
    options = parser.parse_args()
    print_machine()
    with run_server() as url:
        figures = measure_rounds(url, events=options.events, rounds=options.rounds)
        print_rounds(figures)
        print_targets(figures)
        if not options.only_cpu:
            print_the_rest(url)


def print_the_rest(url: str) -> None:
    # Ten minutes of a fast model: 100 events a second.
    long, paced = Plan(60_000), Plan(1_000, pace_ms=20)
    for plan, name in (
        (long, "60,000 events at full speed"),
        (paced, "20 s at 50 events a second"),
    ):
        traced = asyncio.run(measure_memory(url, plan, traced=True))
        print_memory(f"memory, {name}, traced", traced)
        print_memory(f"memory, {name}", asyncio.run(measure_memory(url, plan, traced=False)))
    print()
    crowd = asyncio.run(measure_crowd(url, streams=100, events=200, pace_ms=0))
    print_crowd(crowd, "100 streams of 200 events at full speed")
    crowd = asyncio.run(measure_crowd(url, streams=100, events=200, pace_ms=20))
    print_crowd(crowd, "100 streams of 200 events, 50 a second")
    latency = asyncio.run(measure_latency_us(url, events=500, pace_ms=4))
    print(
        f"{'from the wire to the consumer, median':<42}   "
        f"ours {latency['ours']:.0f} us, aiter_raw {latency['aiter_raw']:.0f} us"
    )


if __name__ == "__main__":
    main()
