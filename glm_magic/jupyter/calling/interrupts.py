"""Interrupts of the kernel that come while a function of the notebook runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["heeded_interrupts"]


@contextmanager
def heeded_interrupts() -> Iterator[None]:
    """Let an interrupt end the block as ever, also where the block's own code swallows it.

    Raises:
        KeyboardInterrupt: one came, and the block went on to its end all the same.
    """
    if threading.current_thread() is not threading.main_thread():  # where no interrupt comes
        yield
        return
    came: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)
    if came:
        raise KeyboardInterrupt
