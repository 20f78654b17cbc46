"""Async functions that the model calls: on the notebook's own loop, whatever else runs there.

Each line of ipykernel runs its cells in another way: as tasks that share one context from 7 on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from glm_server import GlmServer, Json, Script, call
from kernels import Cell, Kernel, start_kernel

OWN = "{}.{}".format(*sys.version_info)
LINES = [(OWN, "7.4"), (OWN, "6.31"), ("3.13", "7.4"), ("3.13", "6.31")]

# A task of the user's own, and what belongs to the loop that it was made on.
SETUP = """
import asyncio, contextvars
%load_ext glm_magic
loop, ticks, seen = asyncio.get_running_loop(), [], []
lock, queue = asyncio.Lock(), asyncio.Queue()

async def tick():
    while True:
        ticks.append(len(ticks))
        async with lock:
            await asyncio.sleep(0.005)
        if not queue.empty():
            (await queue.get()).set_result(len(ticks))

ticking = asyncio.create_task(tick())

async def count(n: int) -> int:
    "Ask the task that ticks how far it is."
    seen.append(asyncio.get_running_loop() is loop)
    print("counting", n)
    answer = loop.create_future()
    await queue.put(answer)
    async with lock:
        pass
    return await answer

async def hang() -> None:
    "Wait for ever."
    await loop.create_future()

async def fail() -> None:
    "Fail."
    await asyncio.sleep(0)
    raise RuntimeError("no such thing")
"""


@pytest.fixture(
    scope="module", params=LINES, ids=lambda pair: "Python {}, ipykernel {}".format(*pair)
)
def module_kernel(
    request: pytest.FixtureRequest,
    pythons: Callable[[str], Path],
    ipykernels: Callable[[str], Path],
) -> Iterator[Kernel]:
    """A kernel of each line of Python with each line of ipykernel."""
    python_line, ipykernel_line = request.param
    python = sys.executable if python_line == OWN else str(pythons(python_line))
    folder = str(ipykernels(ipykernel_line))
    env = {"PYTHONPATH": os.pathsep.join((folder, os.environ.get("PYTHONPATH", "")))}
    with start_kernel(env, python) as kernel:
        assert kernel.value("__import__('ipykernel').__version__").startswith(f"{ipykernel_line}.")
        assert kernel.value("'%d.%d' % __import__('sys').version_info[:2]") == python_line
        yield kernel


@pytest.fixture
def ticking(kernel: Kernel) -> Iterator[Kernel]:
    """The kernel with the user's own task in its loop, still alive after the test."""
    assert kernel.run(SETUP).status == "ok"
    yield kernel
    before = kernel.value("len(ticks)")
    assert kernel.run("await asyncio.sleep(0.05)").status == "ok"
    assert kernel.value("len(ticks)") > before
    assert kernel.value("ticking.done()") is False
    kernel.run("ticking.cancel()")


def calling(name: str, **arguments: object) -> Callable[[Json], Script]:
    """A model that asks for one call, and answers with its result."""

    def reply(body: Json) -> Script:
        last = body["messages"][-1]
        if last["role"] == "tool":
            return Script(text=("Result: ", last["content"]))
        return Script(text=(), tool_calls=(call(name, **arguments),))

    return reply


def run_all(kernel: Kernel, *cells: str) -> list[Cell]:
    """Send all cells at once, as Run All does, and wait for each."""
    ids = [kernel.send(cell) for cell in cells]
    found = {id: Cell() for id in ids}
    idle: set[str] = set()
    while len(idle) < len(ids):
        message = kernel.client.get_iopub_msg(timeout=30)
        kernel.log.append(message)
        parent = message["parent_header"].get("msg_id")
        if parent in found:
            found[parent].messages.append(message)
            if message["content"].get("execution_state") == "idle":
                idle.add(parent)
    for _ in ids:
        reply = kernel.client.get_shell_msg(timeout=30)
        found[reply["parent_header"]["msg_id"]].status = reply["content"]["status"]
    return list(found.values())


def test_run_all_over_five_cells_leaves_none_hanging(ticking: Kernel, server: GlmServer) -> None:
    server.script = calling("count", n=1)
    cells = run_all(
        ticking,
        "first = len(ticks)",
        "%%glm --tool count -o a\nHow far?",
        "between = len(ticks)\nawait asyncio.sleep(0.01)",
        "%%glm --tool count -o b\nHow far?",
        "(seen, int(a.calls[0].result) < int(b.calls[0].result), first <= between)",
    )
    assert [cell.status for cell in cells] == ["ok"] * 5, [c.contents("error") for c in cells]
    assert cells[4].output["data"]["text/plain"] == "([True, True], True, True)"
    assert "Result: " in cells[1].html
    assert "counting 1" in cells[1].html
    assert [cell.stdout for cell in cells] == [""] * 5
    assert [cell.stderr for cell in cells] == [""] * 5


def test_a_plain_function_leaves_asyncio_as_it_is(ticking: Kernel, server: GlmServer) -> None:
    ticking.run("def plain() -> int:\n    'One.'\n    return 1")
    ticking.run("import subprocess, sys")
    server.script = calling("plain")
    assert "Result: 1" in ticking.run("%%glm --tool plain\nOne?").html


def test_an_exception_in_a_coroutine_is_told(ticking: Kernel, server: GlmServer) -> None:
    server.script = calling("fail")
    cell = ticking.run("%%glm --tool fail\nTry")
    assert cell.status == "ok"
    assert "error: RuntimeError: no such thing" in cell.html
    trace: str = ticking.value("_glm.calls[0].traceback")
    assert "nest_asyncio2" not in trace
    assert 'raise RuntimeError("no such thing")' in trace


def test_an_interrupt_cancels_the_coroutine_alone(ticking: Kernel, server: GlmServer) -> None:
    server.script = calling("hang")
    request_id = ticking.send("%%glm --tool hang\nWait")
    cell = ticking.read(request_id, lambda cell: cell.shows("calling hang"))
    ticking.interrupt()
    cell = ticking.wait(request_id, cell)
    assert cell.error_line == (
        "glm: stopped; the calls so far are in _glm, `%glm again` sends it again"
    )
    assert ticking.value("[c.state for c in _glm.calls]") == ["stopped"]


def test_a_coroutine_that_swallows_its_end_is_ended_all_the_same(
    ticking: Kernel, server: GlmServer
) -> None:
    ticking.run(
        "async def deaf() -> str:\n"
        "    'Hear nothing.'\n"
        "    try:\n"
        "        await loop.create_future()\n"
        "    except asyncio.CancelledError:\n"
        "        return 'went on'"
    )
    server.script = calling("deaf")
    request_id = ticking.send("%%glm --tool deaf\nWait")
    cell = ticking.read(request_id, lambda cell: cell.shows("calling deaf"))
    ticking.interrupt()
    assert ticking.wait(request_id, cell).error_line.startswith("glm: stopped; ")
    assert len(server.requests) == 1


def test_functions_of_prompts_on_threads_run_coroutines_on_loops_of_their_own(
    ticking: Kernel, server: GlmServer
) -> None:
    ticking.run(
        "async def late(x: int) -> int:\n"
        "    'Late.'\n"
        "    await asyncio.sleep(0.01)\n"
        "    return 2 * x"
    )
    server.script = calling("late", x=3)
    ticking.run("%%glm --def ask --tool late\nTwice 3?")
    ticking.run("from concurrent.futures import ThreadPoolExecutor")
    code = "list(ThreadPoolExecutor(4).map(lambda n: ask().calls[0].result, range(8)))"
    assert ticking.value(code) == ["6"] * 8


def test_with_the_original_nest_asyncio_nothing_is_sent(
    ipykernels: Callable[[str], Path], server: GlmServer
) -> None:
    env = {
        "PYTHONPATH": os.pathsep.join((str(ipykernels("7.4")), os.environ.get("PYTHONPATH", ""))),
        "ZAI_API_KEY": server.key,
        "ZAI_BASE_URL": server.url,
    }
    with start_kernel(env) as kernel:
        kernel.run("import nest_asyncio\nnest_asyncio.apply()\n" + SETUP)
        cell = kernel.run("%%glm --tool count\nHow far?")
        assert cell.error_line.startswith("glm: nest_asyncio is applied in this kernel")
        assert server.requests == []
