"""Similarities and nearest texts beside bare numpy: `python -m tests.bench.neighbours`.

Rounds take turns; ratios of medians are what matters. "Bare" is what one would write by hand: the
product, `argpartition`, and a sort of the ten. The peak is of a process of its own, over what it
has before the search.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from glm_magic.study.embeddings import Embeddings
from glm_magic.study.neighbours import cosine_similarity, nearest
from glm_magic.study.pairs import extreme_pairs
from glm_magic.study.projection import project

K = 10
# Rows at a time in the bare search, as one would choose them: 100 x 10,000 cosines are 4 MB.
BLOCK = 10_000

Work = Callable[[], object]


def directions(count: int, width: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, width), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def bare_top(vectors: np.ndarray) -> np.ndarray:
    """The nearest of all, by the whole matrix."""
    matrix = vectors @ vectors.T
    np.fill_diagonal(matrix, -2)
    part = np.argpartition(matrix, -K, axis=1)[:, -K:]
    values = np.take_along_axis(matrix, part, axis=1)
    return np.take_along_axis(part, np.argsort(-values, axis=1), axis=1)


def bare_search(vectors: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The nearest of some queries, block by block."""
    rows, values = [], []
    for start in range(0, len(vectors), BLOCK):
        block = queries @ vectors[start : start + BLOCK].T
        part = np.argpartition(block, -K, axis=1)[:, -K:]
        rows.append(part + start)
        values.append(np.take_along_axis(block, part, axis=1))
    row, value = np.concatenate(rows, axis=1), np.concatenate(values, axis=1)
    return np.take_along_axis(row, np.argsort(-value, axis=1)[:, :K], axis=1)


def timed(work: Work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(ours: Work, bare: Work, rounds: int) -> tuple[list[float], list[float]]:
    """The seconds of both, which take turns, after one of each that does not count."""
    ours(), bare()
    pairs = [(timed(ours), timed(bare)) for _ in range(rounds)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def peak_ratio(count: int, width: int) -> float:
    """The most memory of a search, in a process of its own, as a multiple of the vectors'."""
    command = [sys.executable, "-m", "tests.bench.neighbours", "--peak", str(count), str(width)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def print_peak(count: int, width: int) -> None:
    before = peak_kib()
    vectors = np.empty((count, width), dtype=np.float32)
    for start in range(0, count, 1000):  # made in parts: nothing but the vectors is counted
        vectors[start : start + 1000] = directions(min(1000, count - start), width, start)
    nearest(vectors, vectors[:100], K)
    print((peak_kib() - before) * 1024 / vectors.nbytes)


def peak_kib() -> int:
    """The most memory so far; `getrusage` counts that of the process that started this one."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1])  # type: ignore[index]


def run(some: int, many: int, width: int, rounds: int) -> list[str]:
    """The lines of the table."""
    vectors = directions(some, width)
    texts = tuple(map(str, range(some)))
    few = Embeddings(texts[:2000], vectors[:2000], "m", "local")
    lines = [f"{'':46}{'ours ms':>9}{'bare ms':>9}{'ratio':>7}  target"]

    def add(name: str, ours: Work, bare: Work, target: str) -> None:
        times = [statistics.median(side) * 1e3 for side in measure(ours, bare, rounds)]
        lines.append(f"{name:46}{times[0]:9.1f}{times[1]:9.1f}{times[0] / times[1]:7.2f}  {target}")

    name = f"{some:,} x {width:,}"
    everything = lambda: cosine_similarity(vectors, vectors)  # noqa: E731
    add(f"{name}: similarity", everything, lambda: vectors @ vectors.T, "<= 1.2")
    add(
        f"{name}: top {K} of each",
        lambda: nearest(vectors, vectors, K, skip=np.arange(some)),
        lambda: bare_top(vectors),
        "<= 1.2",
    )
    large, asked = directions(many, width, 1), directions(100, width, 2)
    add(
        f"{many:,} x {width:,}: top {K} of 100 queries",
        lambda: nearest(large, asked, K),
        lambda: bare_search(large, asked),
        "<= 1.5",
    )
    assert (nearest(large, asked, K)[0] == bare_search(large, asked)).all()
    lines.append(f"{'peak memory over the vectors':46}{peak_ratio(many, width):25.2f}  <= 1.5")
    ends = [statistics.median(timed(lambda: extreme_pairs(few, 5)) for _ in range(rounds))]
    plane = [statistics.median(timed(lambda: project(few.vectors)) for _ in range(rounds))]
    lines.append(f"{f'{len(few):,} texts: closest and farthest pairs':46}{ends[0] * 1e3:9.1f}")
    lines.append(f"{f'{len(few):,} texts: principal components':46}{plane[0] * 1e3:9.1f}")
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--some", type=int, default=5_000)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=1_024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peak", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        return print_peak(*options.peak)
    print("\n".join(run(options.some, options.many, options.width, options.rounds)))
    return None


if __name__ == "__main__":
    main()
