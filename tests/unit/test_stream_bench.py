"""The bench of streamed replies, `python tests/bench/stream.py`, runs; no figure is judged."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import stream
from bench.wire import Plan

PROGRAM = Path(stream.__file__)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with stream.run_server() as url:
        yield url


def is_figure(value: float) -> bool:
    return math.isfinite(value) and value > 0


def test_every_client_that_is_installed_has_its_cpu_time(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = stream.measure_rounds(url, events=20, rounds=1)
    assert set(figures) >= {stream.FLOOR, stream.OURS}
    assert all(len(times) == 1 and all(map(is_figure, times)) for times in figures.values())
    stream.print_machine()
    stream.print_rounds(figures)
    stream.print_targets(figures)
    assert "ours / floor" in capsys.readouterr().out


def test_a_client_that_is_not_installed_is_named(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = stream.Contender("nobody's", stream.open_ours, "no_such_module")
    monkeypatch.setattr(stream, "CONTENDERS", (stream.FLOOR, stream.OURS, missing))
    stream.print_rounds(stream.measure_rounds(url, events=5, rounds=1))
    assert "skipped: no_such_module is not installed" in capsys.readouterr().out


@pytest.mark.parametrize("traced", [True, False])
def test_memory_is_looked_at_three_times(url: str, *, traced: bool) -> None:
    points = asyncio.run(stream.measure_memory(url, Plan(100), traced=traced))
    assert [point.events for point in points] == [10, 50, 100]
    assert all(is_figure(point.text_kib) for point in points)
    assert all((point.python_kib is not None) == traced for point in points)
    stream.print_memory("memory", points)


def test_many_replies_at_once_are_whole(url: str) -> None:
    crowd = asyncio.run(stream.measure_crowd(url, streams=20, events=10, pace_ms=1))
    assert (crowd.streams, crowd.whole) == (20, 20)
    assert 0 < crowd.first_s <= crowd.last_s
    stream.print_crowd(crowd, "20 at once")


def test_the_way_from_the_wire_has_a_time(url: str) -> None:
    latency = asyncio.run(stream.measure_latency_us(url, events=20, pace_ms=1))
    assert set(latency) == {"aiter_raw", "ours"}
    assert all(map(is_figure, latency.values()))


def test_the_program_starts() -> None:
    command = [sys.executable, str(PROGRAM), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--rounds" in done.stdout
