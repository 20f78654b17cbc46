"""The benches run and give times; how long those are is no matter here."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from bench.figures import Figure, render_machine, render_table
from bench.first_cell import (
    time_first_cell,
    time_first_text,
    time_interrupts,
    time_loading,
    warm_kernel,
)
from glm_server import GlmServer


def are_times(figures: Sequence[Figure]) -> bool:
    return all(0 < ms < inf for f in figures for ms in (*f.ours_ms, *f.beside_ms))


def test_a_warm_kernel_gives_times(server: GlmServer) -> None:
    with warm_kernel(server, {}) as kernel:
        first = time_first_text(kernel, server, runs=1)
        closed = time_interrupts(kernel, server, runs=1)
    assert (len(first), len(closed)) == (3, 3)
    assert are_times(first) and are_times(closed)


def test_fresh_kernels_give_times(server: GlmServer) -> None:
    loading = time_loading(1, scale=("import pandas",))
    cold = time_first_cell(server, runs=1)
    assert (len(loading), len(cold)) == (1, 1)
    assert are_times(loading) and are_times(cold)


def test_a_table_sets_our_times_beside_others() -> None:
    figure = Figure("ours", (3.0, 1.0, 2.0), "theirs", (1.0, 1.0, 1.0), target_ms=1)
    line = render_table("Title", [figure]).splitlines()[-1]
    assert " ".join(line.split()) == "ours 3 2.0 3.0 3.0 theirs 1.0 1.0 1.0 2.00 <= 1 MISSED"


def test_the_machine_is_named() -> None:
    assert " cores " in render_machine("httpx")
    assert "httpx 0" in render_machine("httpx")
