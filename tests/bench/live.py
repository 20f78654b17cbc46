"""What it costs to show a long answer while it streams, the same answer in several ways.

    python -m tests.bench.live
    python -m tests.bench.live --only kernel --tokens 4000

Ours is the live view as the magic drives it. Beside it stand one widget that is set to the whole
text 25 times a second, an output of Markdown that is updated at every delta, as other tools do,
and for scale a stream that nobody shows. All get the same deltas, from memory, at 800 tokens a
second. The kernel's costs are measured without a browser, then frames and long tasks in a
headless Chromium with JupyterLab, then answers that no view is made for. Takes about ten minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import TypeVar

from bench.figures import render_machine
from bench.live_bad import BAD_NAMES
from bench.live_browser import Seen, Stage, open_stage
from bench.live_document import build_answer
from bench.live_kernel import KernelCost, Showing, measure_kernel, measure_producers
from bench.live_ways import SLOW_PAINT_S

T = TypeVar("T")

WAYS = {
    "ours": "ours",
    "whole": "whole, 25 fps",
    "token": "each token",
    "none": "nothing shown",
}
# Targets that are no ratio were set for an answer of this length.
FULL_TOKENS = 32_000


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of each way; None where there is none.

    Attributes:
        limit: what ours should not exceed; None is no such wish.
        digits: after the point.
    """

    what: str
    values: Mapping[str, float | None]
    limit: float | None = None
    digits: int = 1


def render_rows(title: str, ways: Sequence[str], rows: Sequence[Row]) -> str:
    """Return a table in plain text: a row a figure, a column a way, the targets at the end."""
    head = f"{title:52}" + "".join(f"{WAYS[way]:>15}" for way in ways)
    return "\n".join(("", head, *(_render_row(row, ways) for row in rows)))


def _render_row(row: Row, ways: Sequence[str]) -> str:
    cells = "".join(f"{_render_value(row.values.get(way), row.digits):>15}" for way in ways)
    return f"{row.what:52}{cells}  {_render_target(row)}".rstrip()


def _render_value(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _render_target(row: Row) -> str:
    if row.limit is None or "ours" not in row.values:
        return ""
    ours = row.values["ours"]
    word = "met" if ours is not None and ours <= row.limit else "MISSED"
    return f"<= {row.limit:g} {word}"


def _build_row(
    each: Mapping[str, T],
    what: str,
    of: Callable[[T], float | None],
    *,
    limit: float | None = None,
    digits: int = 1,
) -> Row:
    return Row(what, {way: of(one) for way, one in each.items()}, limit, digits)


def build_kernel_rows(costs: Mapping[str, KernelCost], tokens: int) -> list[Row]:
    """Return the rows of what was measured in kernels."""
    bytes_ = len(build_answer(tokens).text.encode())
    scale = tokens / FULL_TOKENS
    beside_s = costs["whole"].whole.cpu_s if "whole" in costs else inf
    # What grows faster than the answer is not far ahead while that is short.
    share = 0.125 if "whole" in costs and scale >= 1 else None
    row = partial(_build_row, costs)
    return [
        row("deltas shown", lambda c: c.whole.deltas, digits=0),
        row("seconds", lambda c: c.whole.seconds),
        row("paints", lambda c: c.whole.paints, digits=0),
        row("longest paint, ms", lambda c: c.whole.longest_paint_ms),
        row("longest paint, ms of CPU", lambda c: c.whole.longest_paint_cpu_ms),
        row("final output, ms", lambda c: c.whole.finish_ms),
        row("CPU of the kernel, s", lambda c: c.whole.cpu_s, digits=2),
        row("CPU / that of the whole", lambda c: c.whole.cpu_s / beside_s, limit=share, digits=3),
        row("CPU of the first eighth, s", lambda c: c.beginning.cpu_s, digits=2),
        row("CPU, whole / first eighth (8 is linear)", lambda c: c.growth, limit=9, digits=2),
        row("iopub messages", lambda c: c.traffic.messages, digits=0),
        row("iopub messages a second", lambda c: c.traffic.messages / c.whole.seconds, limit=60),
        row("iopub MB", lambda c: c.traffic.bytes / 1e6, limit=3 * scale, digits=2),
        row("iopub bytes / bytes of the answer", lambda c: c.traffic.bytes / bytes_, limit=25),
    ]


def build_browser_rows(seen: Mapping[str, Seen], tokens: int) -> list[Row]:
    """Return the rows of what was measured in the browser."""
    answer = build_answer(tokens)
    ideal_s = len(answer.deltas) / (answer.deltas_a_second or inf)
    row = partial(_build_row, seen)
    return [
        row("idle page before: frames a second", lambda s: _per_second(s.idle.gaps_ms)),
        row("idle page before: longest frame gap, ms", lambda s: s.idle.longest_gap_ms),
        row(f"seconds to the last words (ideal {ideal_s:.1f})", lambda s: s.words_s),
        row("answer on the page in the end, %", lambda s: 100 * s.share),
        row("formulas typeset in the end", lambda s: s.formulas, digits=0),
        row("streaming: frame gap p95, ms", lambda s: s.stream.gap_ms(0.95)),
        row("streaming: frame gap p99, ms", lambda s: s.stream.gap_ms(0.99)),
        row("streaming: frame gap max, ms", lambda s: s.stream.longest_gap_ms, limit=100),
        row("streaming: long tasks", lambda s: len(s.stream.long_tasks_s), digits=0),
        row("streaming: long tasks, s", lambda s: sum(s.stream.long_tasks_s), limit=0.2, digits=2),
        row("to the final output, typeset, s", lambda s: s.swap_s, digits=2),
        row("final output: frame gap max, ms", lambda s: s.swap.longest_gap_ms),
        row("final output: long tasks, s", lambda s: sum(s.swap.long_tasks_s), digits=2),
        *(
            row(f"page, {word}, s", lambda s, word=word: s.spent_s[word], digits=2)
            for word in next(iter(seen.values())).spent_s
        ),
    ]


def _per_second(gaps_ms: Sequence[float]) -> float | None:
    return 1000 * len(gaps_ms) / sum(gaps_ms) if gaps_ms else None


_BAD_LIMIT_MS = 100
_BAD_COLUMNS = (
    *("frame gap", "paint", "final gap"),  # those with a limit
    *("idle gap", "paint CPU", "final", "seconds", "whole, %"),
)


def render_bad(seen: Mapping[str, Seen]) -> str:
    """Return the bad answers as a table, one a line.

    The gap of the idle page and the CPU time of the longest paint tell what the machine's other
    work adds to the figures; "final" is how long the kernel makes the final output.
    """
    title = f"Ours in JupyterLab, ms; gaps and paints <= {_BAD_LIMIT_MS}"
    head = f"{title:48}" + "".join(f"{column:>11}" for column in _BAD_COLUMNS)
    return "\n".join(("", head, *map(_render_bad, seen, seen.values())))


def _render_bad(name: str, seen: Seen) -> str:
    limited = {
        "frame gap": seen.stream.longest_gap_ms,
        "paint": seen.run.longest_paint_ms if seen.run else None,
        "final gap": seen.swap.longest_gap_ms if seen.swap_s else None,
    }
    run_ms = (seen.run.longest_paint_cpu_ms, seen.run.finish_ms) if seen.run else (None, None)
    values = (*limited.values(), seen.idle.longest_gap_ms, *run_ms, seen.words_s, 100 * seen.share)
    cells = (f"{_render_value(v, int(n > 5)):>11}" for n, v in enumerate(values))
    over = [what for what, ms in limited.items() if ms is None or ms > _BAD_LIMIT_MS]
    missed = ", ".join([*over, *(["whole"] if seen.share < 1 else [])])
    return f"{BAD_NAMES[name]:48}{''.join(cells)}  {f'MISSED: {missed}' if missed else 'met'}"


def print_kernel(ways: Sequence[str], tokens: int, limit_s: float) -> None:
    """Print what the ways cost in kernels, and that a slow view holds up no stream."""
    costs = {way: measure_kernel(way, tokens, limit_s) for way in ways}
    title = f"Kernel without a browser, {_describe(tokens)}"
    print(render_rows(title, ways, build_kernel_rows(costs, tokens)), flush=True)
    if "ours" in ways:
        print(_render_producers(measure_producers()), flush=True)


def _render_producers(seconds: Mapping[str, float]) -> str:
    ratio = seconds["slow"] / seconds["ours"]
    return (
        f"\nThe stream of 4,000 tokens was read to its end in {seconds['ours']:.2f} s; where each "
        f"paint takes {SLOW_PAINT_S} s, in {seconds['slow']:.2f} s: ratio {ratio:.3f}  "
        f"<= 1.05 {'met' if ratio <= 1.05 else 'MISSED'}"
    )


def _describe(tokens: int) -> str:
    return f"{tokens:,} tokens ({len(build_answer(tokens).text.encode()) / 1000:.0f} kB)"


def print_browser(stage: Stage, ways: Sequence[str], tokens: int, limit_s: float) -> None:
    """Print how the ways look in JupyterLab."""
    shown = [way for way in ways if way != "none"]
    seen = {way: stage.show(Showing(way, "document", tokens, limit_s)) for way in shown}
    if not seen:
        return
    rows = build_browser_rows(seen, tokens)
    print(render_rows(f"JupyterLab, {_describe(tokens)}", shown, rows))
    for way, one in seen.items():
        if one.words_s is None:
            print(f"{WAYS[way]}: not done after {limit_s:.0f} s, at {one.share:.0%} of the answer")


def print_bad(stage: Stage, names: Sequence[str], limit_s: float) -> None:
    """Print how bad answers go."""
    seen = {name: stage.show(Showing("ours", name, 0, limit_s)) for name in names}
    print(render_bad(seen), flush=True)


def main() -> None:
    """Print all tables, or those asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tokens", type=int, default=FULL_TOKENS, help="of the answer")
    parser.add_argument("--only", choices=("kernel", "browser", "bad"), help="one of the parts")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=[*WAYS])
    parser.add_argument("--bad", nargs="+", choices=BAD_NAMES, default=[*BAD_NAMES])
    parser.add_argument("--limit", type=float, default=90, help="seconds before a way is cut off")
    options = parser.parse_args()
    print(render_machine("ipykernel", "ipywidgets", "jupyterlab"), flush=True)
    if options.only in (None, "kernel"):
        print_kernel(options.ways, options.tokens, options.limit)
    if options.only != "kernel":
        with open_stage() as stage:
            if options.only != "bad":
                print_browser(stage, options.ways, options.tokens, options.limit)
            if options.only != "browser":
                print_bad(stage, options.bad, options.limit)
    print("\n" + render_machine())


if __name__ == "__main__":
    main()
