"""The texts of one `%%glm embed` cell: its lines, those of a variable, or both."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any, overload

from glm_magic.api.batches import EmbeddingLimits, cut_text, describe_too_long, too_long
from glm_magic.errors import SettingsError
from glm_magic.session.columns import (
    LINE_END,
    Span,
    look_up,
    quoted,
    read_source,
    read_texts,
)

__all__ = [
    "Corpus",
    "Places",
    "Span",
    "find_variable",
    "fit_texts",
    "join",
    "read_cell",
    "read_labels",
    "read_variable",
    "with_labels",
]

_TEXTS_AT_ONCE = 10_000

_COMMA = re.compile("[,，]")
_HALF = re.compile(r"[\ud800-\udfff]")


# -- values ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Places(Sequence[str]):
    """Where each text stands, told when it is asked for: "line 3", "docs row 17", "docs['a']".

    Rows count from 0, as `iloc` takes them; lines from 1.
    """

    spans: tuple[Span, ...]

    def __len__(self) -> int:
        return sum(len(span.keys) for span in self.spans)

    @overload
    def __getitem__(self, position: int) -> str: ...
    @overload
    def __getitem__(self, position: slice) -> tuple[str, ...]: ...
    def __getitem__(self, position: int | slice) -> str | tuple[str, ...]:
        if isinstance(position, slice):
            return tuple(self[i] for i in range(*position.indices(len(self))))
        place = position + len(self) if position < 0 else position
        for span in self.spans:
            if 0 <= place < len(span.keys):
                return span.place(place)
            place -= len(span.keys)
        raise IndexError(position)


@dataclass(frozen=True, slots=True)
class Corpus:
    """The texts to embed; none is blank, and some may be there twice.

    Attributes:
        texts: in their order; lines are stripped, texts of a variable are as they are there.
        places: where each of them stands, to name it in an error.
        labels: a short name for each text, or ().
        split: the first so many texts are compared with the others; None is one set.
    """

    texts: tuple[str, ...]
    places: Places
    labels: tuple[str, ...] = ()
    split: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What each text is called: its label, or itself."""
        return self.labels or self.texts


# -- the cell ----------------------------------------------------------------------------------


def read_cell(cell: str) -> Corpus:
    """Return the lines of a cell, the blank ones left out; one line of `---` makes two sets.

    Raises:
        SettingsError: there is no text, several lines are `---`, or one of the sets is empty.
    """
    lines = LINE_END.split(cell)
    marks = [number for number, line in enumerate(lines, 1) if line.strip() == "---"]
    kept = [
        (number, text)
        for number, line in enumerate(lines, 1)
        if (text := line.strip()) and text != "---"
    ]
    if not kept:
        raise SettingsError("the cell has no text; write one a line below %%glm embed")
    places = Places((Span("line ", tuple(number for number, _ in kept)),))
    texts = tuple(text for _, text in kept)
    _refuse_halves(texts, places)
    return Corpus(texts, places, split=_split(marks, [number for number, _ in kept]))


def _split(marks: Sequence[int], numbers: Sequence[int]) -> int | None:
    """How many of the numbered lines stand before the one `---`; None without one."""
    if not marks:
        return None
    if len(marks) > 1:
        raise SettingsError(
            f"lines {marks[0]} and {marks[1]} are both ---; one such line makes two sets of texts"
        )
    split = sum(number < marks[0] for number in numbers)
    if split in (0, len(numbers)):
        side = "below" if split else "above"
        raise SettingsError(
            f"there is no text {side} the --- of line {marks[0]}; both sets need one"
        )
    return split


# -- a variable --------------------------------------------------------------------------------


def find_variable(expression: str, namespace: Mapping[str, Any]) -> Corpus:
    """Return the texts of VAR, VAR.column or VAR['column'].

    A column is one of a DataFrame or a key of a dict; VAR.column takes all after the first dot,
    blanks too. No other attribute is looked at.

    Raises:
        SettingsError: the expression is something else, or a name in it is unknown, or as
            `read_variable`.
    """
    return read_variable(*look_up(expression, namespace))


def read_variable(value: object, name: str, column: str | None = None) -> Corpus:
    """Return the texts that a variable holds, blank ones left out.

    - A list, tuple or other sequence, a 1-d array, a Series: each value is a text. An index of
      strings and nothing else gives the labels.
    - A DataFrame: a column as above; where none is named, its only column of text.
    - A dict: its values are the texts, its keys the labels.
    - Embeddings: their texts and labels.
    - A string or a reply: its lines, as those of a cell, but `---` is a line like any other.

    Replies may stand among the texts of all these.

    Raises:
        SettingsError: it is none of these (sets have no order, iterators are used up), something
            in it is no text or half a character, or there is no text at all.
    """
    source = read_source(value, name, column)
    texts, span, labels = read_texts(source), source.span, source.labels
    kept = [bool(text.strip()) for text in texts]
    if not all(kept):
        texts, labels = list(compress(texts, kept)), list(compress(labels, kept))
        span = replace(span, keys=tuple(compress(span.keys, kept)))
    if not texts:
        raise SettingsError(f"{source.name} has no text; a list with one or more is expected")
    places = Places((span,))
    _refuse_halves(texts, places)
    return Corpus(tuple(texts), places, tuple(labels))


def _refuse_halves(texts: Sequence[str], places: Places) -> None:
    """Refuse lone surrogates: sent as "?", they would be another text than the one that is kept."""
    try:
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            # Many at once in UTF-16 take a quarter of the time that one by one in UTF-8 does.
            "".join(texts[start : start + _TEXTS_AT_ONCE]).encode("utf-16-le")
    except UnicodeEncodeError as error:
        found = [place for place, text in enumerate(texts) if _HALF.search(text)]
        more = f" and {len(found) - 1:,} more" if len(found) > 1 else ""
        raise SettingsError(
            f"{places[found[0]]}{more}: half a character (a lone surrogate) cannot be sent; "
            "take it out of the text"
        ) from error


# -- more of a corpus --------------------------------------------------------------------------


def join(queries: Corpus, documents: Corpus) -> Corpus:
    """Return both as two sets, to compare the texts of the one with those of the other.

    Raises:
        SettingsError: one of them has two sets already.
    """
    if not (queries.split is documents.split is None):
        raise SettingsError(
            "the --- of the cell makes two sets of texts, and --in would be a third; leave one away"
        )
    has_labels = queries.labels or documents.labels
    return Corpus(
        queries.texts + documents.texts,
        Places(queries.places.spans + documents.places.spans),
        queries.names + documents.names if has_labels else (),
        len(queries.texts),
    )


def read_labels(words: str, namespace: Mapping[str, Any]) -> list[Any]:
    """Return the labels in a list with commas, or in VAR, VAR.column or VAR['column'].

    Raises:
        SettingsError: a label of a list is empty, or as `find_variable`, but values of a
            variable may be of any type.
    """
    parts = [part.strip() for part in _COMMA.split(words)]
    if len(parts) == 1:
        return list(read_source(*look_up(words, namespace)).values)
    if "" in parts:
        raise SettingsError(f"label {parts.index('') + 1} of {quoted(words)} is empty")
    return parts


def with_labels(corpus: Corpus, labels: Sequence[object]) -> Corpus:
    """Return the texts with these labels in place of their own.

    As many as rows of the variable, of which the blank ones are left out here too; or as texts.
    Of a cell's lines with a variable, the variable alone may be labelled. A text whose label is
    blank or missing stands for itself.

    Raises:
        SettingsError: they are more or fewer.
    """
    *_, last = corpus.places.spans
    before = len(corpus.texts) - len(last.keys)
    if len(labels) == last.rows:
        labels = [labels[int(row)] for row in last.keys]
    elif len(labels) == len(corpus.texts):
        before = 0
    elif len(labels) != len(last.keys):
        raise SettingsError(
            f"{len(labels):,} labels for {len(corpus.texts):,} texts; one for each is expected"
        )
    named = (
        str(label) if _is_label(label) else text
        for label, text in zip(labels, corpus.texts[before:], strict=True)
    )
    return replace(corpus, labels=(*corpus.names[:before], *named))


def _is_label(value: object) -> bool:
    return value is not None and value == value and bool(str(value).strip())


def fit_texts(
    corpus: Corpus, limits: EmbeddingLimits, *, truncate: bool
) -> tuple[Corpus, tuple[int, ...]]:
    """Return the texts within what a model reads of one, and the positions of those cut for it.

    Raises:
        SettingsError: a text is too long by estimate, and `truncate` is not set.
    """
    found = too_long(corpus.texts, limits)
    if found and not truncate:
        raise SettingsError(describe_too_long(found, corpus.places, limits))
    texts = list(corpus.texts)
    for position, _ in found:
        texts[position] = cut_text(texts[position], limits.tokens_per_text or 0)
    return replace(corpus, texts=tuple(texts)), tuple(position for position, _ in found)
