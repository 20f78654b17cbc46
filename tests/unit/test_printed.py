"""What a function prints is its own, whoever else prints at the same time."""

import asyncio
import gc
import sys
import threading

import pytest

from glm_magic.jupyter.calling.printed import printed


def test_what_is_printed_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with printed() as taken:
        print("out")
        print("err", file=sys.stderr)
    print("after")
    assert taken.text == "out\nerr\n"
    assert capsys.readouterr() == ("after\n", "")


def test_another_thread_prints_where_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    with printed() as taken:
        thread = threading.Thread(target=print, args=("thread",))
        thread.start()
        thread.join()
    assert taken.text == ""
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
        return taken.text

    assert asyncio.run(both()) == "own\n"
    assert capsys.readouterr().out == "other\n"


def test_more_than_a_reader_can_use_is_counted_only() -> None:
    with printed() as taken:
        for _ in range(3):
            print("x" * 10_000, end="")
    assert taken.text == "x" * 20_000 + "\n(10,000 more characters were printed)"


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
