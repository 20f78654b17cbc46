"""What a long answer costs in a real kernel, and on the wire that leaves it; no browser."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kernels import Kernel, start_kernel

from bench.live_ways import Run, read_run

_ROOT = Path(__file__).parents[2]
# What every kernel runs first: the package beside this bench, whatever else is installed.
PREPARE = f"""
import sys
sys.path[:0] = [{str(_ROOT)!r}, {str(_ROOT / "tests")!r}]
from bench.live_ways import show
"""
_DELIMITER = b"<IDS|MSG>"


@dataclass(frozen=True, slots=True)
class Showing:
    """What a cell shows, and how; see `bench.live_ways.show`."""

    way: str
    name: str
    tokens: int
    limit_s: float

    def build_cell(self, path: Path) -> str:
        """Return the code, for a kernel that has run `PREPARE`; its run is written to `path`."""
        args = f"{self.way!r}, {self.name!r}, {self.tokens}, {str(path)!r}"
        return f"show({args}, limit_s={self.limit_s})"


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a kernel published while a cell ran, in frames as they are on the wire.

    Attributes:
        messages: of all types but status.
        bytes: of these messages, whole: topic, signature, headers, content.
    """

    messages: int
    bytes: int


@dataclass(frozen=True, slots=True)
class KernelCost:
    """One way in one kernel: the whole answer, and its first eighth."""

    whole: Run
    beginning: Run
    traffic: Traffic

    @property
    def growth(self) -> float:
        """CPU time of the whole as a multiple of that of an eighth; 8 is linear."""
        return self.whole.cpu_s / self.beginning.cpu_s


def measure_kernel(way: str, tokens: int, limit_s: float) -> KernelCost:
    """Show the document in a kernel of its own, which is warm by then."""
    with _warm_kernel(way) as kernel:
        beginning, _ = _measure(kernel, Showing(way, "beginning", tokens, limit_s))
        whole, traffic = _measure(kernel, Showing(way, "document", tokens, limit_s))
    return KernelCost(whole, beginning, traffic)


def measure_producers(tokens: int = 4000) -> dict[str, float]:
    """Seconds until the last delta was handed over, to our view and on a slow front end."""
    with _warm_kernel("ours") as kernel:
        runs = {
            way: _measure(kernel, Showing(way, "document", tokens, limit_s=600))[0]
            for way in ("ours", "slow")
        }
    return {way: (run.produced_at or run.ended_at) - run.started_at for way, run in runs.items()}


@contextmanager
def _warm_kernel(way: str) -> Iterator[Kernel]:
    with start_kernel({}) as kernel:
        _run(kernel, PREPARE, 60)
        _measure(kernel, Showing(way, "warm-up", 0, limit_s=60))
        yield kernel


def _measure(kernel: Kernel, showing: Showing) -> tuple[Run, Traffic]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run.json"
        traffic = _run(kernel, showing.build_cell(path), showing.limit_s)
        return read_run(path), traffic


def _run(kernel: Kernel, code: str, limit_s: float) -> Traffic:
    """Execute and count what is published; frames are read as they come, and nearly unparsed."""
    request_id = kernel.send(code)
    traffic = _count(_read_until_idle(kernel, request_id, limit_s + 60))
    reply = kernel.client.get_shell_msg(timeout=60)
    assert reply["content"]["status"] == "ok", "\n".join(reply["content"]["traceback"])
    return traffic


def _read_until_idle(kernel: Kernel, request_id: str, limit_s: float) -> Iterable[list[bytes]]:
    """Yield the frames of each message but those of type status."""
    socket: Any = kernel.client.iopub_channel.socket
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if not socket.poll(1000):
            continue
        frames: list[bytes] = socket.recv_multipart()
        header, parent, _, content = map(json.loads, _read_parts(frames))
        if header["msg_type"] != "status":
            yield frames
        elif content["execution_state"] == "idle" and parent.get("msg_id") == request_id:
            return
    raise TimeoutError(f"the kernel was not idle within {limit_s} s")


def _read_parts(frames: list[bytes]) -> list[bytes]:
    """Header, parent and metadata; the content of a status only, as it may be large."""
    start = frames.index(_DELIMITER) + 2
    parts = frames[start : start + 4]
    return parts if len(parts[3]) < 200 else [*parts[:3], b"{}"]


def _count(messages: Iterable[list[bytes]]) -> Traffic:
    sizes = [sum(map(len, frames)) for frames in messages]
    return Traffic(len(sizes), sum(sizes))
