"""What a function prints is its own, whoever else prints at the same time."""

import asyncio
import contextlib
import gc
import io
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from glm_magic.jupyter.calling.printed import printed


def test_what_is_printed_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with printed() as taken:
        print("out")
        print("err", file=sys.stderr)
    print("after")
    assert taken.text() == "out\nerr\n"
    assert capsys.readouterr() == ("after\n", "")


def test_another_thread_prints_where_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    with printed() as taken:
        thread = threading.Thread(target=print, args=("thread",))
        thread.start()
        thread.join()
    assert taken.text() == ""
    assert capsys.readouterr().out == "thread\n"


def test_a_task_of_before_prints_where_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    async def both() -> str:
        go = asyncio.Event()

        async def other() -> None:
            await go.wait()
            print("other")

        task = asyncio.create_task(other())
        with printed() as taken:
            own = asyncio.create_task(asyncio.to_thread(print, "own"))
            go.set()
            await asyncio.gather(task, own)
        return taken.text()

    assert asyncio.run(both()) == "own\n"
    assert capsys.readouterr().out == "other\n"


def test_more_than_a_reader_can_use_is_counted_only() -> None:
    with printed() as taken:
        for _ in range(3):
            print("x" * 10_000, end="")
    assert taken.text() == "x" * 20_000 + "\n(10,000 more characters were printed)"


def test_the_stream_is_as_it_was_after_an_exception(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    with pytest.raises(ZeroDivisionError), printed():
        raise ZeroDivisionError
    gc.collect()  # a forgotten tap closes nothing
    assert sys.stdout is before
    print("there")
    assert capsys.readouterr().out == "there\n"


def test_what_asks_the_stream_gets_its_answer() -> None:
    with printed():
        assert sys.stdout.isatty() is False
        assert sys.stdout.encoding


def test_a_redirection_that_ends_meanwhile_stays_ended(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    redirected = contextlib.redirect_stdout(io.StringIO())
    redirected.__enter__()
    with printed():
        redirected.__exit__(None, None, None)
    print("visible")
    assert sys.stdout is before
    assert capsys.readouterr().out == "visible\n"


def test_a_redirection_that_ends_later_leaves_one_tap_at_most(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = sys.stdout
    try:
        for _ in range(3):
            redirected = contextlib.redirect_stdout(io.StringIO())
            with printed():
                redirected.__enter__()
            redirected.__exit__(None, None, None)
        print("visible")
        with printed() as taken:
            print("taken")
        assert (taken.text(), sys.stdout) == ("taken\n", before)
        assert capsys.readouterr().out == "visible\n"
    finally:
        sys.stdout = before


def test_calls_on_many_threads_leave_the_stream_as_it_was(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = sys.stdout

    def call(number: int) -> str:
        with printed() as taken:
            print(number)
        return taken.text()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(call, range(200))) == [f"{n}\n" for n in range(200)]
    assert sys.stdout is before
    assert capsys.readouterr().out == ""


def test_what_a_task_prints_after_its_call_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    async def both() -> None:
        go = asyncio.Event()

        async def late() -> None:
            await go.wait()
            print("late")

        with printed():
            task = asyncio.create_task(late())
        go.set()
        await task

    asyncio.run(both())
    assert capsys.readouterr().out == "late\n"


def test_a_part_of_what_is_taken_out_is_not_left_where_it_is_cut() -> None:
    with printed() as taken:
        print("x" * 19_995 + "secret", end="")
    assert "sec" not in taken.text(lambda text: text.replace("secret", "[key]"))
