"""How soon a cell shows its first text, lets go of its connection, and can be there at all.

    python -m tests.bench.first_cell

Takes about three minutes, on the installed ipykernel and on the newest of its 6.x line, which
pip fetches into a folder of the bench; what kernels and pip have to say goes to stderr. Most
figures stand beside a floor: the least that a cell can do, httpx read in the main thread into one
widget, with no thread, no Markdown and no button. Ours and the floor take turns, so that other
work on the machine falls on both. Server and front end are one process: one clock times all.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import Any

from glm_server import GlmServer, Script
from kernels import Cell, Kernel, start_kernel

from bench.figures import Figure, render_machine, render_table

Series = Mapping[str, list[float]]

GLM = "%%glm\nSay ahoy"
# Both floors show "waiting" first, as `%%glm` does.
PREPARE_FLOOR = """
import json, os
import httpx, ipywidgets
from IPython.display import HTML, display

def stream(show):
    show("waiting ")
    url = os.environ["ZAI_BASE_URL"] + "/chat/completions"
    body = {"model": "glm-4.7-flash", "stream": True,
            "messages": [{"role": "user", "content": "Say ahoy"}]}
    headers = {"Authorization": "Bearer " + os.environ["ZAI_API_KEY"]}
    with httpx.stream("POST", url, json=body, headers=headers, timeout=60) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                show(json.loads(line[6:])["choices"][0]["delta"].get("content", ""))

def stream_into_widget():
    widget = ipywidgets.HTML()
    display(widget)
    def show(text):
        widget.value += text
    stream(show)
"""
WIDGET_FLOOR = "stream_into_widget()"
DISPLAY_FLOOR = "stream(lambda text: display(HTML(text)))"
NAMES = {WIDGET_FLOOR: "httpx, one widget", DISPLAY_FLOOR: "httpx, display(HTML)"}

# Chunks go on after the first one, lest the end of the reply shows it.
FIRST = "Ahoy"
GREETING = (FIRST, *(f" {number}" for number in range(5)))
PACE_S = 0.05
# A view with nothing new repaints its clock 4 times a second, and what comes just after that
# waits for the next frame. So first chunks and interrupts are spread evenly over that time.
TICK_S = 0.25
# By then the widgets are there, as they are when a model has thought about its first token.
THINKING_S = 0.3

WORDS = tuple(f"word{number} " for number in range(200))
# What the server does, and what is on screen when the interrupt comes.
INTERRUPTED = {
    "streaming": (Script(text=WORDS, pace_s=0.02), "word3"),
    "stalled in mid-stream": (Script(text=WORDS, stall_after=5), "word3"),
    "waiting for headers": (Script(headers_delay_s=60.0), "waiting"),
}

LOAD = "get_ipython().run_line_magic('load_ext', 'glm_magic')"
# Imports that give a scale; `zai` is the platform's own client, made as openai's is.
SCALE = ("import pandas", "import zai", "import openai", "import httpx, ipywidgets")
TIME_IMPORT = """
import sys, time
before, start = set(sys.modules), time.perf_counter()
{statement}
ms, modules = (time.perf_counter() - start) * 1000, len(set(sys.modules) - before)
"""


def time_first_text(kernel: Kernel, server: GlmServer, runs: int) -> list[Figure]:
    """From the first chunk handed to the socket to the first message that shows it."""
    later, at_once = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    for run in range(runs):
        for code in (GLM, WIDGET_FLOOR, DISPLAY_FLOOR):
            delay_s = THINKING_S + TICK_S * run / runs
            later[code].append(_time_chunk_to_text(kernel, server, code, delay_s))
            at_once[code].append(_time_chunk_to_text(kernel, server, code, 0.0))
    return [
        Figure("chunk after 0.3 to 0.55 s", *_pair(later, WIDGET_FLOOR), 50),
        Figure("", *_pair(later, DISPLAY_FLOOR)),
        Figure("chunk with the headers", *_pair(at_once, WIDGET_FLOOR)),
    ]


def _pair(series: Series, floor: str) -> tuple[list[float], str, list[float]]:
    return series[GLM], NAMES[floor], series[floor]


def _time_chunk_to_text(kernel: Kernel, server: GlmServer, code: str, delay_s: float) -> float:
    server.script = Script(text=GREETING, pace_s=PACE_S, first_chunk_delay_s=delay_s)
    shown_at = _first_shown(_run(kernel, code))
    sent_at, _ = server.sent[0]
    return (shown_at - sent_at) * 1000


def _run(kernel: Kernel, code: str) -> Cell:
    cell = kernel.run(code)
    assert cell.status == "ok", cell.contents("error")
    return cell


def _first_shown(cell: Cell) -> float:
    """When the first message with the first text came, in epoch seconds."""
    shown = (m["at"] for m in cell.messages if FIRST in _html(m["content"].get("data", {})))
    return float(next(shown))


def _html(data: Mapping[str, Any]) -> str:
    """What a comm sets a widget to, or a display shows."""
    return f"{data.get('state', {}).get('value', '')}{data.get('text/html', '')}"


def time_interrupts(kernel: Kernel, server: GlmServer, runs: int) -> list[Figure]:
    """From the interrupt to the socket closed, as the server sees it."""
    return [_time_interrupt(kernel, server, name, runs) for name in INTERRUPTED]


def _time_interrupt(kernel: Kernel, server: GlmServer, name: str, runs: int) -> Figure:
    server.script, shown = INTERRUPTED[name]
    series = defaultdict[str, list[float]](list)
    for run in range(runs):
        for code in (GLM, WIDGET_FLOOR):
            wait_s = TICK_S * run / runs
            series[code].append(_time_to_close(kernel, server, code, shown, wait_s))
    return Figure(name, *_pair(series, WIDGET_FLOOR), 200)


def _time_to_close(
    kernel: Kernel, server: GlmServer, code: str, shown: str, wait_s: float
) -> float:
    seen = len(server.requests)
    request_id = kernel.send(code)
    cell = kernel.read(request_id, lambda cell: cell.shows(shown))
    server.wait_for_requests(seen + 1)
    time.sleep(wait_s)
    start = time.time()
    kernel.interrupt()
    closed_at = server.wait_for_disconnect().at
    assert kernel.wait(request_id, cell).status == "error"
    return (closed_at - start) * 1000


def time_loading(runs: int, scale: tuple[str, ...] = SCALE) -> list[Figure]:
    """Load the extension and, for scale, import other packages, each in a kernel of its own."""
    statements = (LOAD, *filter(_is_installed, scale))
    series = defaultdict[str, list[tuple[float, int]]](list)
    for _ in range(runs):
        for statement in statements:
            with start_kernel({}) as kernel:
                series[statement].append(_time_import(kernel, statement))
    loads, modules = zip(*series[LOAD], strict=True)
    return [
        Figure(
            f"%load_ext glm_magic, {modules[0]} modules",
            loads,
            statement,
            [ms for ms, _ in series[statement]],
            target_ms=250,
            note=f"{series[statement][0][1]} modules beside it",
        )
        for statement in statements[1:]
    ]


def _is_installed(statement: str) -> bool:
    return all(find_spec(n) for n in statement.removeprefix("import ").split(", "))


def _time_import(kernel: Kernel, statement: str) -> tuple[float, int]:
    """Milliseconds in the kernel, and how many modules it imported."""
    _run(kernel, "1 + 1")
    _run(kernel, TIME_IMPORT.format(statement=statement))
    ms, modules = kernel.value("(ms, modules)")
    return ms, modules


def time_first_cell(server: GlmServer, runs: int) -> list[Figure]:
    """From Shift-Enter to text in a kernel that has imported nothing yet.

    What `%load_ext` puts off is paid here.
    """
    server.script = Script(text=GREETING, pace_s=PACE_S)
    series = defaultdict[str, list[float]](list)
    for _ in range(runs):
        for code in (GLM, WIDGET_FLOOR):
            with start_kernel(_env(server)) as kernel:
                series[code].append(_time_cold(kernel, code))
    return [Figure("first %%glm of a kernel", *_pair(series, WIDGET_FLOOR))]


def _time_cold(kernel: Kernel, code: str) -> float:
    _run(kernel, "%load_ext glm_magic" if code == GLM else "1 + 1")
    start = time.time()
    cell = _run(kernel, code if code == GLM else PREPARE_FLOOR + code)
    return (_first_shown(cell) - start) * 1000


@contextmanager
def warm_kernel(server: GlmServer, env: Mapping[str, str]) -> Iterator[Kernel]:
    """A kernel that has run each of the cells once."""
    with start_kernel({**env, **_env(server)}) as kernel:
        server.script = Script(text=GREETING)
        for code in ("%load_ext glm_magic", PREPARE_FLOOR, GLM, WIDGET_FLOOR, DISPLAY_FLOOR):
            _run(kernel, code)
        yield kernel


def _env(server: GlmServer) -> Mapping[str, str]:
    return {"ZAI_API_KEY": server.key, "ZAI_BASE_URL": server.url}


@contextmanager
def ipykernel_6() -> Iterator[Mapping[str, str]]:
    """The environment in which kernels are of the line before subshells and shared contexts."""
    with TemporaryDirectory() as folder:
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder)
        subprocess.run((*pip, "ipykernel<7", "nest-asyncio"), check=True)
        yield {"PYTHONPATH": os.pathsep.join((folder, os.environ.get("PYTHONPATH", "")))}


def print_line(env: Mapping[str, str]) -> None:
    """Print what is measured in one warm kernel."""
    with GlmServer() as server, warm_kernel(server, env) as kernel:
        name = "ipykernel " + kernel.value("__import__('ipykernel').__version__")
        first = time_first_text(kernel, server, runs=20)
        print(render_table(f"{name}: first chunk on the wire to its text at the client", first))
        closed = time_interrupts(kernel, server, runs=10)
        print(render_table(f"{name}: interrupt to closed socket, seen by the server", closed))


def main() -> None:
    """Print all tables."""
    print(render_machine("ipykernel", "ipython", "ipywidgets", "httpx"))
    print_line({})
    with ipykernel_6() as env:
        print_line(env)
    print(render_table("Loading, in a fresh kernel after one trivial cell", time_loading(runs=7)))
    with GlmServer() as server:
        cold = time_first_cell(server, runs=7)
    print(render_table("Shift-Enter to first text; the server answers at once", cold))
    print("\n" + render_machine())


if __name__ == "__main__":
    main()
