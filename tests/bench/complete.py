"""From Tab to the names, at every kind of place, in a kernel with a long session in it.

The session: 5,000 lines of cells that ran, 2,000 variables, 200 chats, a DataFrame of 1,000
columns and a dict of 10,000 keys. A time is that of a `complete_request` and its reply, as a front
end sees it, through all of IPython's completer. Besides: a request that completes nothing, and
what IPython does in a Python cell of the same session, and in a prompt without the extension.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from kernels import TIMEOUT_S, Kernel, start_kernel

from bench.figures import render_machine

TARGET_MS = 50
LINES = 5_000
_CELL_LINES = 50

VARIABLES = """
import math
import pandas as pd

for number in range(2000):
    kinds = (number, "text " * 20, list(range(100)), {"number": number})
    globals()[f"value{number:04}"] = kinds[number % 4]
frame = pd.DataFrame({f"column {number}": [number] for number in range(1000)})
table = {f"key {number}": number for number in range(10_000)}
"""
CHATS = """
_glm_magics = get_ipython().magics_manager.magics["line"]["glm"].__self__
for number in range(200):
    _glm_magics.open()[0].chats.add(f"chat{number}", (), None)
"""
_PROSE = "\n".join(
    f"Line {number} costs {{{{ value0001 }}}} and isn't code." for number in range(LINES)
)
# The cursor is at the end.
PLACES: Mapping[str, str] = {
    "a word: %glm ": "%glm ",
    "an option: %%glm --": "%%glm --",
    "a setting: %glm config ": "%glm config ",
    "a model: -m glm-4": "%%glm -m glm-4",
    "a model's part: -m flash": "%%glm -m flash",
    "a chat: --chat ": "%%glm --chat ",
    "a file: %glm export ": "%glm export ",
    "a variable: -o ": "%%glm -o ",
    "a variable: -o value19": "%%glm -o value19",
    "a name: {{ ": "%%glm\nHello {{ ",
    "a name: {{ value19": "%%glm\nHello {{ value19",
    "an attribute: {{ frame.": "%%glm\nHello {{ frame.",
    "a filter: {{ frame | ": "%%glm\nHello {{ frame | ",
    "a column: {{ frame['": "%%glm\nHello {{ frame['",
    "a key: {{ table['key 99": "%%glm\nHello {{ table['key 99",
    "on the line, {{ value19": '%%glm -s "Hello {{ value19',
    "prose": "%%glm\nHello pri",
    f"prose, line {LINES}": f"%%glm\n{_PROSE}\npri",
    f"a name, line {LINES}": f"%%glm\n{_PROSE}\nHello {{{{ value19",
    f"behind a {{{{ never closed, {LINES} lines": f"%%glm\n{{{{ {_PROSE}\npri",
}
PYTHON = "value19"
PROMPT = "%%glm\npri"


@dataclass(frozen=True, slots=True)
class Row:
    """The times of one place, in ms; `first` is that of its first Tab, which is in no figure."""

    place: str
    names: int
    first: float
    times: Sequence[float]


@contextmanager
def long_session(lines: int = LINES) -> Iterator[Kernel]:
    """A kernel in which much was done, without the extension so far."""
    with start_kernel({}) as kernel:
        _run(kernel, VARIABLES)
        for start in range(0, lines, _CELL_LINES):
            numbers = range(start, start + _CELL_LINES)
            _run(
                kernel,
                "\n".join(f"total{n % 7} = {n} + len(dir(value{n % 2000:04}))" for n in numbers),
            )
        yield kernel


def load(kernel: Kernel) -> None:
    """Load the extension and make its chats."""
    _run(kernel, "%load_ext glm_magic")
    _run(kernel, CHATS)


def _run(kernel: Kernel, code: str) -> None:
    cell = kernel.run(code)
    assert cell.status == "ok", cell.contents("error")


def time_place(kernel: Kernel, place: str, code: str, runs: int) -> Row:
    """Press Tab at the end of `code`, once and then `runs` times."""
    first, reply = _time_request(kernel, lambda: kernel.client.complete(code))
    times = [_time_request(kernel, lambda: kernel.client.complete(code))[0] for _ in range(runs)]
    return Row(place, len(reply["matches"]), first, times)


def time_nothing(kernel: Kernel, runs: int) -> Row:
    """Ask the kernel who it is: what any request takes."""
    first, _ = _time_request(kernel, kernel.client.kernel_info)
    times = [_time_request(kernel, kernel.client.kernel_info)[0] for _ in range(runs)]
    return Row("a request for nothing", 0, first, times)


def _time_request(kernel: Kernel, send: Callable[[], str]) -> tuple[float, dict[str, Any]]:
    start = time.perf_counter()
    request_id = send()
    reply = kernel.client.get_shell_msg(timeout=TIMEOUT_S)
    while reply["parent_header"].get("msg_id") != request_id:
        reply = kernel.client.get_shell_msg(timeout=TIMEOUT_S)
    return (time.perf_counter() - start) * 1000, reply["content"]


def time_all(runs: int) -> tuple[list[Row], list[Row], bool]:
    """Return our places, those beside them, and whether ours have loaded jedi."""
    with long_session() as kernel:
        nothing = time_nothing(kernel, runs)
        load(kernel)
        ours = [time_place(kernel, place, code, runs) for place, code in PLACES.items()]
        has_jedi = bool(kernel.value("'jedi' in __import__('sys').modules"))
        python = time_place(kernel, f"Python: {PYTHON}", PYTHON, runs)
        _run(kernel, "%unload_ext glm_magic")
        bare = time_place(kernel, "prose, without the extension", PROMPT, runs)
    return ours, [nothing, python, bare], has_jedi


def render(title: str, rows: Sequence[Row], target_ms: float | None = None) -> str:
    """Return rows as a table in plain text."""
    head = f"{title:42}{'names':>6}{'first':>9}{'min':>8}{'median':>8}{'max':>8}"
    return "\n".join(("", head, *(_render_row(row, target_ms) for row in rows)))


def _render_row(row: Row, target_ms: float | None) -> str:
    figures = "".join(f"{ms:8.1f}" for ms in (min(row.times), median(row.times), max(row.times)))
    is_met = target_ms is None or max(row.times) <= target_ms
    return f"{row.place:42}{row.names:6}{row.first:9.1f}{figures}{'' if is_met else '  MISSED'}"


def main() -> None:
    """Print the tables."""
    runs = 30
    ours, beside, has_jedi = time_all(runs)
    print(render_machine("ipykernel", "ipython", "jedi"))
    print(render(f"ms, {runs} Tabs each, <= {TARGET_MS}", ours, TARGET_MS))
    print(render("beside it", beside))
    print(f"\njedi was {'' if has_jedi else 'not '}loaded by any Tab on a line of ours")


if __name__ == "__main__":
    main()
