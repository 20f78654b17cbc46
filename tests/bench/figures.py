"""Times of one run beside the times they are measured against, as lines of a table."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from math import ceil
from statistics import median

Times = Sequence[float]
_HEAD = f"{'ms':34}{'n':>3} {'median':>8}{'p90':>8}{'max':>8}   "
_HEAD += f"{'beside it':24}{'median':>8}{'p90':>8}{'max':>8}{'ratio':>8}  target"


@dataclass(frozen=True, slots=True)
class Figure:
    """Our times and those beside them, in milliseconds, of runs that took turns.

    Attributes:
        target_ms: what our median should not exceed; None is no such wish.
        note: what else there is to know, for the end of the line.
    """

    what: str
    ours_ms: Times
    beside: str
    beside_ms: Times
    target_ms: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float:
        """Our median as a multiple of the one beside it."""
        return median(self.ours_ms) / median(self.beside_ms)


def percentile_90(times: Times) -> float:
    """Return the smallest time that nine in ten do not exceed."""
    return sorted(times)[ceil(0.9 * len(times)) - 1]


def render_machine(*packages: str) -> str:
    """Return one line on the machine, its load and the versions of `packages`."""
    load = f", load {os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else ""
    versions = (f"{package} {version(package)}" for package in packages)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    machine = f"{os.cpu_count()} cores ({platform.machine()}, {platform.system()}){load}"
    return " · ".join((machine, python, *versions))


def render_table(title: str, figures: Sequence[Figure]) -> str:
    """Return the figures as a table in plain text."""
    return "\n".join(("", title, _HEAD, *map(_render_line, figures)))


def _render_line(figure: Figure) -> str:
    ours, beside = _render_times(figure.ours_ms), _render_times(figure.beside_ms)
    line = f"{figure.what:34}{len(figure.ours_ms):3} {ours}   {figure.beside:24}{beside}"
    return f"{line}{figure.ratio:8.2f}  {_render_target(figure)}{figure.note}".rstrip()


def _render_times(times: Times) -> str:
    return "".join(f"{ms:8.1f}" for ms in (median(times), percentile_90(times), max(times)))


def _render_target(figure: Figure) -> str:
    if figure.target_ms is None:
        return ""
    is_met = median(figure.ours_ms) <= figure.target_ms
    return f"<= {figure.target_ms:.0f} {'met' if is_met else 'MISSED'}  "
