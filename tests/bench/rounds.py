"""What a round of tool calls costs, whether rounds stay as cheap, and what reading an answer takes.

    python -m tests.bench.rounds

Takes about a minute. Cells of a real kernel, each beside a floor that follows it in the same
kernel: the same requests, with the same bodies, sent by bare httpx on one client and read to their
end, and the same function called between them. Both are timed inside the kernel, and nobody reads
what it publishes meanwhile, so that the loopback server has this process for itself.
"""

from __future__ import annotations

import gc
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from glm_server import GlmServer, Script, build_pieces, call
from kernels import Kernel, start_kernel
from pydantic import BaseModel

from bench.figures import Figure, percentile_90, render_machine, render_table
from glm_magic.api.schema import AnswerSchema
from glm_magic.session.schemas import find_schema

TARGET_MS = 20  # for a round, beyond its request and its function
TARGET_RATIO = 1.5
TARGET_READ_MS = 50

FEW, MANY = (1, 5, 10, 20), (5, 10, 20, 40)
NO_ROUNDS = 0  # what a cell takes in any case
RUNS = 15

PREPARE = """
%load_ext glm_magic
%glm config max_tool_rounds=100

import asyncio, json, os, time
import httpx

def plain() -> str:
    "Answer at once."
    return "done"

async def on_the_loop() -> str:
    "Answer after one turn of the loop."
    await asyncio.sleep(0)
    return "done"

client = httpx.Client(timeout=60, headers={"Authorization": "Bearer " + os.environ["ZAI_API_KEY"]})

def send(body):
    url = os.environ["ZAI_BASE_URL"] + "/chat/completions"
    with client.stream("POST", url, json=body) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                json.loads(line[6:])

started, took = [0.0], []
events = get_ipython().events
events.register("pre_run_cell", lambda _: started.append(time.perf_counter()))
events.register("post_run_cell", lambda _: took.append(time.perf_counter() - started[-1]))
"""
GLM = "%%glm --tool {function}\nGo on until you are done"
# The last request gets the answer; nothing is called after it.
FLOOR = """
for body in bodies[:-1]:
    send(body)
    {call}
send(bodies[-1])
"""


@dataclass(frozen=True, slots=True)
class Way:
    """What the model calls in each round, how, and who watches.

    Attributes:
        function: its name in `PREPARE`.
        is_watched: whether somebody can type, as in every front end: the view is live then.
        words: what the model writes before each call.
    """

    what: str
    function: str = "plain"
    is_watched: bool = True
    words: str = ""

    @property
    def floor(self) -> str:
        """The cell of the floor, for a kernel that has `bodies`."""
        is_async = self.function == "on_the_loop"
        return FLOOR.format(call=f"{'await ' if is_async else ''}{self.function}()")


WAYS = (
    Way("a function"),
    Way("an async function", function="on_the_loop"),
    Way("a function, nobody watches", is_watched=False),
    Way("words before each call", words="Now I look at the next part of the table.\n"),
)


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells of one way with so many rounds, in milliseconds, each beside its floor."""

    rounds: int
    ours_ms: Sequence[float]
    floor_ms: Sequence[float]

    @property
    def beyond_ms(self) -> list[float]:
        """What each cell took longer than its floor."""
        pairs = zip(self.ours_ms, self.floor_ms, strict=True)
        return [ours - floor for ours, floor in pairs]

    @property
    def overheads_ms(self) -> list[float]:
        """The same, a round."""
        return [ms / self.rounds for ms in self.beyond_ms]


Measured = Mapping[str, Mapping[int, Cells]]  # by what is called, and the number of rounds


# -- rounds in a kernel ------------------------------------------------------------------------


def measure(counts: Sequence[int], runs: int, ways: Sequence[Way] = WAYS) -> Measured:
    """Run every way with every number of rounds; all of them take turns."""
    times = defaultdict[tuple[Way, int], list[tuple[float, float]]](list)
    with GlmServer() as server, _warm_kernel(server, ways) as kernel:
        for _ in range(runs):
            for way in ways:
                for rounds in counts:
                    times[way, rounds].append(_time_cells(kernel, server, way, rounds))
    return {way.what: {n: _cells(n, times[way, n]) for n in counts} for way in ways}


def _cells(rounds: int, pairs: list[tuple[float, float]]) -> Cells:
    ours, floor = zip(*pairs, strict=True)
    return Cells(rounds, ours, floor)


@contextmanager
def _warm_kernel(server: GlmServer, ways: Sequence[Way]) -> Iterator[Kernel]:
    env = {"ZAI_API_KEY": server.key, "ZAI_BASE_URL": server.url}
    with start_kernel(env) as kernel:
        _run(kernel, PREPARE)
        for way in ways:
            _time_cells(kernel, server, way, 2)
        yield kernel


def _time_cells(kernel: Kernel, server: GlmServer, way: Way, rounds: int) -> tuple[float, float]:
    """Milliseconds of a cell, and of its floor."""
    server.script = _asks(way, rounds)
    seen = len(server.requests)
    ours_ms = _time(kernel, GLM.format(function=way.function), is_watched=way.is_watched)
    bodies = [request.json for request in server.requests[seen:]]
    assert len(bodies) == rounds + 1, f"{len(bodies)} requests for {rounds} rounds"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bodies.json"
        path.write_text(json.dumps(bodies), encoding="utf-8")
        _run(kernel, f"bodies = json.load(open({str(path)!r}, encoding='utf-8'))")
    return ours_ms, _time(kernel, way.floor)


def _asks(way: Way, rounds: int) -> Callable[[Any], Script]:
    """A model that asks for one call after the other, and answers after so many."""

    def script(body: Any) -> Script:
        results = sum(message["role"] == "tool" for message in body["messages"])
        if results >= rounds:
            return Script(text=("Done.",))
        return Script(text=build_pieces(way.words), tool_calls=(call(way.function),))

    return script


def _time(kernel: Kernel, code: str, *, is_watched: bool = True) -> float:
    """Milliseconds that a cell took, by the kernel's own clock."""
    _run(kernel, code, is_watched=is_watched)
    return 1000 * float(kernel.value("took[-1]"))


def _run(kernel: Kernel, code: str, *, is_watched: bool = True) -> None:
    """Execute; what was published is read when all is done."""
    request_id = kernel.send(code, allow_stdin=is_watched)
    reply = kernel.client.get_shell_msg(timeout=60)["content"]
    kernel.read(request_id, lambda _: False)
    assert reply["status"] == "ok", "\n".join(reply["traceback"])


def render_rounds(measured: Measured, counts: Sequence[int] = FEW) -> str:
    """Return what a round adds to a cell beyond its request and its function."""
    title = "What a round adds to a cell of none, beyond its request and the function"
    head = f"{'ms':28}{'rounds':>6}{'n':>4}{'cell':>9}{'floor':>9}   "
    head += f"{'a round':>8}{'p90':>8}{'max':>8}  {'target':16}"
    head += "with the cell's own: (cell - floor) / rounds"
    lines = [
        _render_cells(what, cells[rounds], cells[NO_ROUNDS])
        for what, cells in measured.items()
        for rounds in (NO_ROUNDS, *counts)
    ]
    return "\n".join(("", title, head, *lines))


def _render_cells(what: str, cells: Cells, none: Cells) -> str:
    line = f"{what:28}{cells.rounds:6}{len(cells.ours_ms):4}"
    line += f"{median(cells.ours_ms):9.1f}{median(cells.floor_ms):9.1f}"
    if not cells.rounds:
        return line
    own = median(none.beyond_ms)
    added = [(ms - own) / cells.rounds for ms in cells.beyond_ms]
    line += "   " + "".join(
        f"{ms:8.1f}" for ms in (median(added), percentile_90(added), max(added))
    )
    return f"{line}  {_judge(median(added), TARGET_MS):16}{median(cells.overheads_ms):.1f}"


def _judge(value: float, target: float) -> str:
    return f"<= {target:g} {'met' if value <= target else 'MISSED'}"


def render_linearity(measured: Measured, counts: Sequence[int] = MANY) -> str:
    """Return what a round takes in cells of more and more rounds, as a multiple of the first."""
    title = "Rounds in a cell; requests grow with the rounds before, hence the floor's own ratio"
    head = f"{'':28}{'rounds':>6}{'s':>8}{'ms a round':>12}{'ratio':>7}"
    head += f"{'ms floor':>11}{'ratio':>7}{'ms beyond':>11}{'ratio':>7}  target of the first ratio"
    lines = [
        _render_growth(what, cells[rounds], cells[counts[0]])
        for what, cells in measured.items()
        for rounds in counts
    ]
    return "\n".join(("", title, head, *lines))


def _render_growth(what: str, cells: Cells, first: Cells) -> str:
    rows = zip(_a_round(cells), _a_round(first), strict=True)
    (ours, ratio), (floor, floor_ratio), (over, over_ratio) = ((ms, ms / one) for ms, one in rows)
    line = f"{what:28}{cells.rounds:6}{ours * cells.rounds / 1000:8.3f}{ours:12.1f}{ratio:7.2f}"
    line += f"{floor:11.1f}{floor_ratio:7.2f}{over:11.1f}{over_ratio:7.2f}"
    return line if cells is first else f"{line}  {_judge(ratio, TARGET_RATIO)}"


def _a_round(cells: Cells) -> tuple[float, float, float]:
    """Milliseconds of a round: ours, of the floor, and what ours is longer."""
    ours, floor = median(cells.ours_ms), median(cells.floor_ms)
    return ours / cells.rounds, floor / cells.rounds, median(cells.overheads_ms)


# -- answers that fit a schema -----------------------------------------------------------------


class ModelRow(BaseModel):
    """A row as a pydantic model."""

    name: str
    year: int
    tags: list[str]
    score: float


@dataclass
class DataRow:
    """A row as a dataclass."""

    name: str
    year: int
    tags: list[str]
    score: float


_TEXT = {"type": "string"}
DICT_ROW = {
    "type": "object",
    "properties": {
        "name": _TEXT,
        "year": {"type": "integer"},
        "tags": {"type": "array", "items": _TEXT},
        "score": {"type": "number"},
    },
    "required": ["name", "year", "tags", "score"],
}
FORMS = {
    "the short form": "[name, year int, tags list[str], score float]",
    "a pydantic model": "list[ModelRow]",
    "a dataclass": "list[DataRow]",
    "a JSON Schema": "list[DICT_ROW]",
}


def build_answer(rows: int) -> str:
    """An answer of so many rows of four fields, as a server gives it."""
    items = [
        {
            "name": f"Person {number} 第{number}位",
            "year": 1900 + number % 120,
            "tags": ["scientist", "数学", f"tag {number % 7}"],
            "score": number / 8,
        }
        for number in range(rows)
    ]
    return json.dumps({"items": items}, ensure_ascii=False)


def time_reading(rows: int, runs: int) -> list[Figure]:
    """Read an answer of each form, and make a frame of it, beside JSON alone."""
    text = build_answer(rows)
    names = {"ModelRow": ModelRow, "DataRow": DataRow, "DICT_ROW": DICT_ROW}
    schemas = {what: find_schema(form, names) for what, form in FORMS.items()}
    ways: dict[str, Callable[[], object]] = {
        "json.loads": lambda: json.loads(text),
        "json.loads, DataFrame": lambda: pd.DataFrame(json.loads(text)["items"]),
    }
    for what, schema in schemas.items():
        ways |= _reading(what, schema, text)
    with _small_heap():
        times = _take_turns(ways, runs)
    read = [(what, "json.loads", TARGET_READ_MS) for what in FORMS]
    frames = [(f"{what}, frame", "json.loads, DataFrame", None) for what in FORMS]
    return [Figure(w, times[w], by, times[by], target) for w, by, target in (*read, *frames)]


@contextmanager
def _small_heap() -> Iterator[None]:
    """Let the collector not look at what was there before: that would be most of its time."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _reading(what: str, schema: AnswerSchema, text: str) -> dict[str, Callable[[], object]]:
    # A text that was read last is remembered: each of these is another one by its blanks.
    texts = (text + " " * blanks for blanks in count(1))
    return {
        what: lambda: schema.read(next(texts)),
        f"{what}, frame": lambda: schema.frame(next(texts)),
    }


def _take_turns(ways: Mapping[str, Callable[[], object]], runs: int) -> Mapping[str, list[float]]:
    """Milliseconds of each; the first time of each, with its imports, is not counted."""
    times = defaultdict[str, list[float]](list)
    for _ in range(runs + 1):
        for what, way in ways.items():
            started = time.perf_counter()
            way()
            times[what].append((time.perf_counter() - started) * 1000)
    return {what: taken[1:] for what, taken in times.items()}


def main() -> None:
    """Print all tables."""
    print(render_machine("ipykernel", "ipywidgets", "httpx", "pydantic", "jsonschema-rs", "pandas"))
    measured = measure(sorted({NO_ROUNDS, *FEW, *MANY}), RUNS)
    print(render_rounds(measured))
    print(render_linearity(measured))
    print(render_table("An answer of 1,000 rows of 4 fields, read", time_reading(1000, runs=50)))
    print("\n" + render_machine())


if __name__ == "__main__":
    main()
