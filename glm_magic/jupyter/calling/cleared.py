"""What a function clears of the output of its cell, in which the answer stands too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["clearing_noticed"]


@contextmanager
def clearing_noticed(shell: Any) -> Iterator[list[bool]]:
    """Give a list that has an entry for each `clear_output()` of the block.

    A front end drops all outputs of the cell then, and later updates of them go nowhere. There is
    no event for it, hence the method of this one publisher stands in for its class's meanwhile.
    """
    publisher = getattr(shell, "display_pub", None)
    noticed: list[bool] = []
    if publisher is None or "clear_output" in vars(publisher):  # somebody else's, or our own
        yield noticed
        return
    clear = publisher.clear_output

    def clear_output(wait: bool = False) -> None:
        noticed.append(wait)
        clear(wait)

    publisher.clear_output = clear_output
    try:
        yield noticed
    finally:
        del publisher.clear_output
