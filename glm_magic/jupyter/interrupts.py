"""Interrupts of the kernel: caught while something is done that they must not break, or must."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["heeded_interrupts", "interrupts_to"]

Handler = Callable[[int, FrameType | None], None]


@contextmanager
def interrupts_to(handler: Handler) -> Iterator[None]:
    """Let `handler` have the interrupts that come during the block.

    On any other than the main thread nothing is changed: no interrupt comes there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)


@contextmanager
def heeded_interrupts() -> Iterator[None]:
    """Let an interrupt end the block as ever, also where the block's own code swallows it.

    Raises:
        KeyboardInterrupt: one came, and the block went on to its end all the same.
    """
    came: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if callable(before):
            before(number, frame)

    with interrupts_to(on_interrupt):
        yield
    if came:
        raise KeyboardInterrupt
