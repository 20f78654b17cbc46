"""The notebook's variables as completions: their names, attributes and keys; none is evaluated."""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from types import ModuleType

from glm_magic.jupyter.completion.candidates import Candidates

__all__ = ["Variables", "expression_candidates"]

# Quoted text in one piece, and braces: what `session.prompts` finds the end of `{{ }}` by.
_MARK = re.compile(r"""(['"])(?:\\.|(?!\1)[^\\])*+(\1?)|[{}]""", re.DOTALL)
# No expression that somebody is about to end is longer; behind a `{{` that was forgotten is prose.
_LIMIT_CHARACTERS = 1000
# Behind one of these a value may begin.
_BEFORE_VALUE = ("", *"([{,:=+-*/%~<>!")
_WORDS_BEFORE_VALUE = ("if", "else", "and", "or", "not", "in")
_WORD, _NAME = re.compile(r"\w*\Z"), re.compile(r"[^\W\d]\w*\Z")
# Types whose values may be texts, by name: pandas may not be there to ask.
_SOURCES = frozenset(
    {"list", "tuple", "dict", "ndarray", "Series", "DataFrame", "Index", "Embeddings"}
)
_LIMIT_KEYS = 10_000
_LIMIT_KEY_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Variables:
    """What a shell's namespace holds.

    Attributes:
        namespace: all of it.
        hidden: what the shell put there itself, such as `In` and `exit`.
    """

    namespace: Mapping[str, object]
    hidden: Mapping[str, object]

    def names(self) -> list[str]:
        """Return the user's own names, sorted; none of those with an underscore before them."""
        # A copy in one step: another thread may be running the user's code.
        values = dict(self.namespace)
        mine = (name for name in values if not name.startswith("_") and self._is_mine(name, values))
        return sorted(mine, key=lambda name: (name.lower(), name))

    def _is_mine(self, name: str, values: Mapping[str, object]) -> bool:
        return name not in self.hidden or self.hidden[name] is not values[name]

    def assignable(self) -> list[str]:
        """Return the names that an answer may be assigned to."""
        return [
            name
            for name in self.names()
            if name not in vars(builtins)
            and not issubclass(type(self.namespace.get(name)), ModuleType)
        ]

    def sources(self, typed: str) -> list[str]:
        """Return what `--in` may name: variables that may hold texts, columns of a DataFrame."""
        name, dot, _ = typed.partition(".")
        if not dot:
            kinds = {name: type(self.namespace.get(name)).__name__ for name in self.names()}
            return [name for name, kind in kinds.items() if kind in _SOURCES]
        owner = self.namespace.get(name)
        columns = () if _is_dict(owner) else _keys(owner)
        return [f"{name}.{column}" for column in columns if column.isidentifier()]

    def functions(self) -> list[str]:
        """Return what `--tool` may name: whatever can be called, but for classes."""
        values = ((name, self.namespace.get(name)) for name in self.names())
        return [
            name for name, value in values if callable(value) and not issubclass(type(value), type)
        ]

    def schemas(self) -> list[str]:
        """Return what `--schema` may name: classes that have fields, dicts that look like one."""
        return [name for name in self.names() if _is_schema(self.namespace.get(name))]


def _is_schema(value: object) -> bool:
    if issubclass(type(value), type):
        # Of dataclasses, pydantic models and TypedDicts.
        marks = ("__dataclass_fields__", "__pydantic_fields__", "__required_keys__")
        return any(mark in vars(cls) for cls in type.mro(value) for mark in marks)  # type: ignore[arg-type]
    return _is_dict(value) and not {"$ref", "properties", "type"}.isdisjoint(_keys(value))


def expression_candidates(inside: str, rest: str, variables: Variables) -> Candidates:
    """Return what may stand at the end of an expression: a name, an attribute, a key, a filter.

    Args:
        inside: from the `{{` to the cursor.
        rest: the line behind the cursor.
    """
    if len(inside) > _LIMIT_CHARACTERS:
        return Candidates()
    if opened := _open_quote(inside):
        before, quote, typed = inside[: opened - 1], inside[opened - 1], inside[opened:]
        owner = _owner(before, "[", variables)
        return Candidates(_ended(_keys(owner), quote, rest), typed, "instance")
    fragment = _end_of(inside, _WORD)
    before = inside[: len(inside) - len(fragment)].rstrip()
    if fragment[:1].isdigit():
        return Candidates()
    if before.endswith("."):
        return Candidates(_attributes(_owner(before, ".", variables), fragment), fragment)
    if before.endswith("|"):
        return Candidates(_filters(), fragment, "function")
    return Candidates(_names(variables, fragment) if _may_begin(before) else (), fragment)


def _open_quote(text: str) -> int:
    """Where the text of a quote begins that is still open; 0 for none."""
    quotes = [mark for mark in _MARK.finditer(text) if mark[1]]
    return quotes[-1].start() + 1 if quotes and not quotes[-1][2] else 0


def _end_of(text: str, pattern: re.Pattern[str]) -> str:
    found = pattern.search(text)
    return found[0] if found else ""


def _may_begin(before: str) -> bool:
    """Whether a value may stand behind this, as behind an operator and not behind a value."""
    return before[-1:] in _BEFORE_VALUE or _end_of(before, _WORD) in _WORDS_BEFORE_VALUE


def _names(variables: Variables, fragment: str) -> Iterable[str]:
    yield from variables.names()
    if fragment:
        yield from (name for name in dir(builtins) if not name.startswith("_"))


def _filters() -> Iterable[str]:
    from jinja2.filters import FILTERS

    return sorted(FILTERS)


# -- of one variable ---------------------------------------------------------------------------


def _owner(before: str, mark: str, variables: Variables) -> object:
    """The variable whose name and `mark` end a text; None for anything that is not just a name.

    What stands behind a dot or a call would have to be evaluated first.
    """
    before = before.rstrip()
    if not before.endswith(mark):
        return None
    before = before[: -len(mark)].rstrip()
    name = _end_of(before, _NAME)
    is_part = before[: len(before) - len(name)].rstrip().endswith(".")
    return None if is_part or not name else variables.namespace.get(name)


def _attributes(value: object, fragment: str) -> Iterable[str]:
    """What may follow a dot: in an expression of Jinja the keys of a dict may, too."""
    if value is None:
        return
    if _is_dict(value):
        yield from (key for key in _keys(value) if key.isidentifier())
    is_private = fragment.startswith("_")
    yield from (name for name in dir(value) if is_private or not name.startswith("_"))


def _keys(value: object) -> Iterator[str]:
    """The texts that are keys of a dict or columns of a DataFrame."""
    keys: Iterable[object] = ()
    if _is_dict(value):
        keys = dict.keys(value)  # type: ignore[arg-type]
    elif (frame := _frame_type()) and issubclass(type(value), frame):
        keys = value.columns  # type: ignore[attr-defined]
    some = islice(keys, _LIMIT_KEYS)
    return (key for key in some if type(key) is str and len(key) <= _LIMIT_KEY_CHARACTERS)


def _is_dict(value: object) -> bool:
    # By its type: `__class__` may be a property of the user's.
    return issubclass(type(value), dict)


def _frame_type() -> type | None:
    """The class of DataFrames, if anybody has imported it."""
    frame = getattr(sys.modules.get("pandas"), "DataFrame", None)
    return frame if isinstance(frame, type) else None


def _ended(keys: Iterable[str], quote: str, rest: str) -> Iterator[str]:
    """The keys with what ends them, unless the editor has put that there with the bracket."""
    end = "" if rest.startswith(quote) else quote if rest.startswith("]") else f"{quote}]"
    for key in keys:
        if key.isprintable() and quote not in key and "\\" not in key:
            yield key + end
