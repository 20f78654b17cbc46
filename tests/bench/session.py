"""What a long session costs: the settings shown, a request built on a thousand turns.

    python -m tests.bench.session

Times of the first part are round trips of a real kernel, as a front end sees them, beside a cell
that does nothing; those of the second are of this process.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

from glm_server import GlmServer
from kernels import start_kernel

from glm_magic.api.endpoints import parse_endpoint
from glm_magic.api.reply import Reply
from glm_magic.api.requests import build_chat
from glm_magic.session.asking import build_exchange, choose, place_for
from glm_magic.session.chats import Turn, TurnKey
from glm_magic.session.options import ChatOptions
from glm_magic.session.secrets import KeyRing
from glm_magic.session.session import LocalEngine, Session
from glm_magic.session.settings import GlmMagic

_RUNS = 30
_TURNS = 1000
_ANSWER = "The sky is blue because short waves are scattered most. 天空是蓝色的。" * 20


def main() -> None:
    """Print both tables."""
    print(f"{'in a kernel':<44}{'first':>9}{'min':>9}{'median':>9}{'max':>9}  ms")
    for name, times in _in_kernel().items():
        _print(name, times)
    print(f"\n{f'a chat of {_TURNS} turns':<44}{'first':>9}{'min':>9}{'median':>9}{'max':>9}  ms")
    for name, run in _in_process().items():
        _print(name, [_timed(run) for _ in range(_RUNS)])


def _print(name: str, times: list[float]) -> None:
    first, *rest = times
    figures = (first, min(rest), statistics.median(rest), max(rest))
    print(f"{name:<44}" + "".join(f"{seconds * 1e3:9.2f}" for seconds in figures))


def _timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def _in_kernel() -> dict[str, list[float]]:
    cells = ("None", "%glm config", "%glm", "%glm usage", "%glm history", "%%glm --dry-run\nHi")
    with GlmServer() as server:
        env = {"ZAI_BASE_URL": server.url, "ZAI_API_KEY": server.key}
        with start_kernel(env) as kernel:
            kernel.run("%load_ext glm_magic")
            kernel.run("%%glm --chat story\nHello")
            return {
                cell.splitlines()[0]: [_timed(partial(kernel.run, cell)) for _ in range(_RUNS)]
                for cell in cells
            }


def _in_process() -> dict[str, Callable[[], object]]:
    local = LocalEngine(lambda: False, _no_transport, "", "")
    session = Session(GlmMagic(), KeyRing({}), local)
    for number in range(_TURNS):
        key = TurnKey(str(number))
        place = session.chats.place(key, name="long")
        session.chats.put(place, Turn(key, f"Question {number}?", Reply(_ANSWER)))
    endpoint, options = parse_endpoint("bigmodel"), ChatOptions({"chat": "long"})

    def build(model: str) -> object:
        place = place_for(session, options, TurnKey("new"))
        settings = choose(session, options, place).over({"model": model})
        return build_exchange(
            session, "And now?", options, settings=settings, endpoint=endpoint, place=place
        )

    def build_json() -> object:
        exchange = build_exchange(
            session,
            "And now?",
            options,
            settings=session.settings,
            endpoint=endpoint,
            place=place_for(session, options, TurnKey("new")),
        )
        return build_chat(exchange.request, speaks_glm=True)

    return {
        "request, all turns fit (glm-5.2)": lambda: build("glm-5.2"),
        "request, the oldest left out (glm-4-plus)": lambda: build("glm-4-plus"),
        "request with its JSON body as a value": build_json,
    }


def _no_transport() -> object:
    raise AssertionError("nothing is sent")


if __name__ == "__main__":
    main()
