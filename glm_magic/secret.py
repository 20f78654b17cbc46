"""A value that must not be seen: every way of showing it shows a mark instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

_MARK = "<secret>"


class Secret:
    """An API key, readable only by `reveal()`.

    `repr`, `str`, formatting and `vars` show a mark with no part of the key; pickling and
    JSON refuse it; a copy is the same object. Two secrets are equal when their values are.
    """

    __slots__ = ("__reveal",)

    def __init__(self, value: str) -> None:
        # A closure and not an attribute: debuggers, `%xmode Verbose` and object dumpers
        # print attributes, and none prints what a function has closed over.
        self.__reveal: Callable[[], str] = lambda: value

    def reveal(self) -> str:
        """Return the value itself, for the Authorization header and nowhere else."""
        return self.__reveal()

    def __repr__(self) -> str:
        return _MARK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(_MARK, spec)

    def __bool__(self) -> bool:
        return bool(self.reveal())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.reveal() == other.reveal()

    def __hash__(self) -> int:
        return hash((Secret, self.reveal()))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is not pickled: a file would hold the key")
