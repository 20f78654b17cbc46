"""What a variable of the notebook holds, as rows that may be texts: lists, columns, dicts.

Nothing is evaluated: a variable is looked up, then at most one column or key of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from glm_magic.api.reply import Reply
from glm_magic.errors import SettingsError
from glm_magic.session.names import did_you_mean
from glm_magic.session.values import is_a

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LINE_END", "Source", "Span", "look_up", "quoted", "read_source", "read_texts"]

_SHOWN_CHARACTERS = 60
_SHOWN_ROWS = 5
_SHOWN_WORDS = 10
# As the editor of a notebook counts lines. `str.splitlines` splits at U+2028 and form feeds too.
LINE_END = re.compile(r"\r\n|\r|\n")
# VAR, VAR.column or VAR['column'], of which the line's own quotes may be gone. Whatever follows
# the first dot is one column.
_EXPRESSION = re.compile(
    r"""(?P<name>[^\W\d]\w*)(?:\.(?P<column>.+)|\[(?P<quote>['"]?)(?P<key>.+)(?P=quote)\])?""",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Span:
    """Where the texts of one source stand: what stands before and after each of its keys.

    Attributes:
        rows: how many rows the source has, empty ones too, if its keys are row numbers.
    """

    before: str
    keys: Sequence[int | str]
    after: str = ""
    rows: int | None = None

    def place(self, position: int) -> str:
        """Return where one of its texts stands."""
        return f"{self.before}{quoted(self.keys[position])}{self.after}"


@dataclass(frozen=True, slots=True)
class Source:
    """What a variable holds, not yet looked at one by one."""

    name: str
    values: Sequence[Any]
    span: Span
    labels: Sequence[str] = ()


def read_source(value: object, name: str, column: str | None) -> Source:
    """Return what a variable, or a column of it, holds.

    Raises:
        SettingsError: it holds no rows, or there is no such column.
    """
    if column is not None:
        value, name = _column(value, name, column), f"{name}.{_short(column)}"
    if is_a(value, "pandas", "DataFrame"):
        value, name = _only_column(value, name)
    if isinstance(value, str | Reply):
        lines = [line.strip() for line in LINE_END.split(str(value))]
        return Source(name, lines, Span(f"{name} line ", range(1, len(lines) + 1)))
    if isinstance(value, dict):
        keys = tuple(key if isinstance(key, int) else str(key) for key in value)
        span = Span(f"{name}[", keys, "]")
        return Source(name, list(value.values()), span, [str(key) for key in keys])
    values, labels = _values(value, name)
    span = Span(f"{name} row ", range(len(values)), rows=len(values))
    return Source(name, values, span, labels)


def _values(value: object, name: str) -> tuple[Sequence[Any], Sequence[str]]:
    """What a value has in rows, and their labels if it has them."""
    if is_a(value, "pandas", "Series"):
        return value.tolist(), _index_labels(value.index)
    if is_a(value, "pandas", "Index") or is_a(value, "pandas.api.extensions", "ExtensionArray"):
        return value.tolist(), ()
    if is_a(value, "numpy", "ndarray"):
        if value.ndim != 1:
            raise SettingsError(f"{name} has shape {value.shape}; one row of texts is expected")
        return value.tolist(), ()
    if is_a(value, "glm_magic.study.embeddings", "Embeddings"):
        return value.texts, value.labels
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return list(value), ()
    raise SettingsError(_refusal(value, name))


def _refusal(value: object, name: str) -> str:
    kind = _kind(value)
    if isinstance(value, AbstractSet):
        return f"{name} is of type {kind}, which has no order; sorted({name}) is a list of it"
    if isinstance(value, Iterator):
        return f"{name} is of type {kind}, to be read only once; list({name}) keeps its texts"
    return (
        f"{name} is of type {kind}; a list, Series, DataFrame column, array, dict or Embeddings "
        "with texts is expected"
    )


def _kind(value: object) -> str:
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    return kind.__name__ if library in ("builtins", "__main__") else f"{library}.{kind.__name__}"


def _index_labels(index: pd.Index[Any]) -> Sequence[str]:
    """The labels in an index that holds strings and nothing else."""
    return _plain_texts(index.tolist()) or () if _may_be_text(index.dtype) else ()


# -- its texts ---------------------------------------------------------------------------------


def read_texts(source: Source) -> Sequence[str]:
    """Return the texts of a source, blank ones too.

    Raises:
        SettingsError: something in it is no text; the rows are named.
    """
    texts = _plain_texts(source.values)
    if texts is None:
        texts = _plain_texts([v.text if isinstance(v, Reply) else v for v in source.values])
    return _refuse_others(source) if texts is None else texts


def _plain_texts(values: Sequence[Any]) -> list[str] | None:
    """The strings, those of a subclass as plain ones; None if anything else is among them."""
    try:
        return list(map(str.__str__, values))
    except TypeError:
        return None


def _refuse_others(source: Source) -> NoReturn:
    others = [i for i, value in enumerate(source.values) if not isinstance(value, str | Reply)]
    keys = [quoted(source.span.keys[i]) for i in others[:_SHOWN_ROWS]]
    rows = _listed(keys, len(others))
    kinds = _listed(list(dict.fromkeys(_missing_or_kind(source.values[i]) for i in others)))
    what, origin = ("key", "") if source.span.rows is None else ("row", " (the first is 0)")
    words = (
        f"{what} {rows}{origin} holds no text ({kinds}); drop or fill it"
        if len(others) == 1
        else f"{what}s {rows}{origin} hold no text ({kinds}); drop or fill them"
    )
    raise SettingsError(f"{source.name}: {words}")


def _missing_or_kind(value: object) -> str:
    """What a value without text is called: "None", "NaN", "<NA>", or its type."""
    if isinstance(value, float) and value != value:
        return "NaN"
    kind = _kind(value)
    return str(value) if kind in ("NoneType", "pandas.NAType", "pandas.NaTType") else kind


# -- its columns -------------------------------------------------------------------------------


def _column(value: object, name: str, column: str) -> object:
    """A column of a DataFrame or the value of a dict's key."""
    if is_a(value, "pandas", "DataFrame"):
        names = [str(label) for label in value.columns]
        found = [place for place, label in enumerate(names) if label == column]
        if len(found) > 1:
            raise SettingsError(f"{name} has {len(found)} columns {quoted(column)}; rename one")
        if found:
            return value.iloc[:, found[0]]
    elif isinstance(value, dict):
        names = [str(key) for key in value]
        if column in names:
            return list(value.values())[names.index(column)]
    else:
        raise SettingsError(
            f"{name} is of type {_kind(value)}, which has no columns; assign the texts to "
            "a variable of their own"
        )
    advice = did_you_mean(column, names) or f"; it has {_listed(names)}"
    what = "key" if isinstance(value, dict) else "column"
    raise SettingsError(f"{name} has no {what} {quoted(column)}{advice}")


def _only_column(frame: pd.DataFrame, name: str) -> tuple[object, str]:
    """The one column that may hold text, and its name."""
    names = [str(label) for label in frame.columns]
    found = [place for place, dtype in enumerate(frame.dtypes) if _may_be_text(dtype)]
    if len(found) == 1:
        return frame.iloc[:, found[0]], f"{name}.{_short(names[found[0]])}"
    listed = _listed([names[place] for place in found] or names)
    what = "several columns of text" if found else "no column of text"
    raise SettingsError(f"{name} has {what}: {listed}; name the one to embed, as {name}.COLUMN")


def _may_be_text(dtype: Any) -> bool:
    """Whether a column or an index of this type may hold strings."""
    from pandas.api.types import is_string_dtype

    if is_a(dtype, "pandas", "CategoricalDtype"):
        dtype = dtype.categories.dtype
    return is_string_dtype(dtype)


def look_up(expression: str, namespace: Mapping[str, Any]) -> tuple[object, str, str | None]:
    """Return the variable of an expression, its name, and the column that is asked of it.

    Raises:
        SettingsError: it is another expression, or there is no such variable.
    """
    found = _EXPRESSION.fullmatch(expression.strip())
    if found is None:
        raise SettingsError(
            f"{quoted(expression)} is no variable; VAR or VAR.column is expected, so assign it "
            "to a variable first"
        )
    name = found["name"]
    if name not in namespace:
        public = [known for known in namespace if not known.startswith("_")]
        advice = did_you_mean(name, public) or "; run the cell that assigns it first"
        raise SettingsError(f"unknown variable {quoted(name)}{advice}")
    return namespace[name], name, found["column"] or found["key"]


# -- in messages -------------------------------------------------------------------------------


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


def quoted(key: int | str) -> str:
    """Return a name as it is written in a message, of bounded length."""
    return repr(_short(key) if isinstance(key, str) else key)


def _listed(words: Sequence[str], count: int | None = None) -> str:
    """The first words, and how many more there are: "a, b and 3 more"."""
    shown = [_short(word) for word in words[:_SHOWN_WORDS]]
    more = (len(words) if count is None else count) - len(shown)
    if more:
        return f"{', '.join(shown)} and {more:,} more"
    *head, tail = shown or ["nothing"]
    return f"{', '.join(head)} and {tail}" if head else tail
