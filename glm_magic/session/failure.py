"""A cell that failed, as text to send: its error, its traceback, and the source it came from.

The traceback is Python's own, without colours and without the notebook's machinery.
"""

from __future__ import annotations

import re
import tokenize
import traceback
from collections import ChainMap
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from types import FrameType, ModuleType
from typing import Any

__all__ = [
    "Cell",
    "Excerpt",
    "Failure",
    "FindCell",
    "build_cell",
    "build_error_prompt",
    "describe_failure",
]

# What an answer needs is at both ends: the error and the frames near it last, the call first.
_TRACEBACK_CHARACTERS = 6_000
_OUTER_FRAMES, _INNER_FRAMES = 6, 14
_LINE_CHARACTERS = 500
_SOURCE_LINES = 200
_SOURCE_CHARACTERS = 8_000
_SOURCE_LINE_CHARACTERS = 2_000
# An exception may have as many causes as it likes, each the cause of the next.
_CAUSES = 100
_TYPES = 12
_QUOTED_CHARACTERS = 200
# Cleaned as a whole before it is cut, so that no cut leaves half a key; what is longer than this
# loses its middle first, which is never kept.
_CLEANED_CHARACTERS = 400_000


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell that was run.

    Attributes:
        name: as a notebook shows it, "In[3]".
        source: as it was typed, without empty lines before and after.
        is_numbered: whether the line numbers of a traceback are those of the source.
    """

    name: str
    source: str
    is_numbered: bool = True


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A cell, or as much of it as is sent.

    Attributes:
        start, total: number of the first line that `text` has, and how many the cell has.
        failed: number of the line that failed, from 1; None where that is not known.
        line: that line.
        types: names in it that are variables, and the names of their types; no values.
        is_whole: whether nothing was left out, within lines neither.
    """

    name: str
    text: str
    start: int
    total: int
    failed: int | None = None
    line: str = ""
    types: tuple[tuple[str, str], ...] = ()
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class Failure:
    """What is told of an exception.

    Attributes:
        cells: the cell that was run and, where that is another, the one where it failed; of an
            exception that came from no cell, none.
    """

    error_type: str
    traceback: str
    cells: tuple[Excerpt, ...]


FindCell = Callable[[str], Cell | None]
Clean = Callable[[str], str]
# A cell, the number of a line in it and, while it ran, the frame.
_Place = tuple[Cell, int | None, FrameType | None]


def build_cell(name: str, typed: str, compiled: Sequence[str]) -> Cell:
    """Return a cell of what was typed and the lines that IPython made of it.

    A line magic is one line in both; a cell magic makes one of all lines.
    """
    lines = typed.rstrip().split("\n")
    while lines and not lines[0].strip():
        del lines[0]
    return Cell(name, "\n".join(lines), is_numbered=len(lines) == len(compiled))


def describe_failure(
    value: BaseException,
    find_cell: FindCell,
    *,
    clean: Clean = str,
    hidden: Sequence[str] = (),
) -> Failure:
    """Return what is told of an exception; each text is bounded.

    Args:
        find_cell: gives the cell that was compiled under the name of a file, if any.
        clean: makes a text fit to be sent; it may take out keys, and gives as many lines.
        hidden: folders whose frames are left out.
    """
    summary = traceback.TracebackException.from_exception(value)
    _hide_frames(summary, tuple(hidden))
    places = _ends(_places(value, find_cell))
    return Failure(
        type(value).__name__,
        _traceback_text(summary, find_cell, clean),
        tuple(_excerpt(place, clean) for place in places),
    )


# -- the traceback -------------------------------------------------------------------------------


class _Frames(traceback.StackSummary):
    """Frames of which a long row shows both ends; frames that repeat count as one."""

    def format(self, **look: Any) -> list[str]:
        pieces = super().format(**look)
        left_out = len(pieces) - _OUTER_FRAMES - _INNER_FRAMES
        if left_out <= 0:
            return pieces
        note = f"  [{left_out} frames left out]\n"
        return [*pieces[:_OUTER_FRAMES], note, *pieces[-_INNER_FRAMES:]]


def _hide_frames(summary: traceback.TracebackException, folders: tuple[str, ...]) -> None:
    for part in _parts(summary):
        part.stack = _Frames(f for f in part.stack if not f.filename.startswith(folders))


def _parts(summary: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """An exception's summary with those of its causes and of the exceptions it groups."""
    left: list[traceback.TracebackException | None] = [summary]
    while left:
        part = left.pop()
        if part is not None:
            yield part
            left += (part.__cause__, part.__context__, *(part.exceptions or ()))


def _traceback_text(
    summary: traceback.TracebackException, find_cell: FindCell, clean: Clean
) -> str:
    text = "".join(summary.format()).rstrip()
    for name in _file_names(summary):
        if cell := find_cell(name):
            text = text.replace(f'File "{name}"', f"Cell {cell.name}")
    lines = [_cut_line(line, _LINE_CHARACTERS) for line in _cleaned(text, clean).split("\n")]
    return "\n".join(_without_middle(lines))


def _file_names(summary: traceback.TracebackException) -> set[str]:
    parts = list(_parts(summary))
    names = {frame.filename for part in parts for frame in part.stack}
    return names | {part.filename for part in parts if getattr(part, "filename", None)}


def _without_middle(lines: list[str]) -> list[str]:
    """The first lines and twice as much of the last, where all are too long."""
    if sum(map(len, lines)) + len(lines) <= _TRACEBACK_CHARACTERS:
        return lines
    head = _fitting(lines, _TRACEBACK_CHARACTERS // 3)
    tail = _fitting(lines[::-1], _TRACEBACK_CHARACTERS * 2 // 3)[::-1]
    return [*head, f"[{len(lines) - len(head) - len(tail)} lines left out]", *tail]


def _fitting(lines: Sequence[str], characters: int) -> list[str]:
    fitting: list[str] = []
    for line in lines:
        characters -= len(line) + 1
        if characters < 0:
            break
        fitting.append(line)
    return fitting


def _cut_line(line: str, limit: int) -> str:
    if len(line) <= limit:
        return line
    tail = limit // 5
    return f"{line[: limit - tail]} […] {line[-tail:]}"


def _cleaned(text: str, clean: Clean) -> str:
    half = _CLEANED_CHARACTERS // 2
    return clean(text if len(text) <= 2 * half else f"{text[:half]}\n[…]\n{text[-half:]}")


# -- the cells -----------------------------------------------------------------------------------


def _places(value: BaseException, find_cell: FindCell) -> list[_Place]:
    """Where in which cells it failed, from the call inwards; of its causes where it has none."""
    for error in islice(_causes(value), _CAUSES):
        frames = traceback.walk_tb(error.__traceback__)
        found: list[_Place] = [
            (cell, number, frame)
            for frame, number in frames
            if (cell := find_cell(frame.f_code.co_filename))
        ]
        if isinstance(error, SyntaxError) and (cell := find_cell(error.filename or "")):
            found.append((cell, error.lineno, None))
        if found:
            return found
    return []


def _causes(value: BaseException) -> Iterator[BaseException]:
    error: BaseException | None = value
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _ends(places: list[_Place]) -> list[_Place]:
    """The place that failed, and before it that of the cell that was run, if it is another."""
    if not places or places[0][0] == places[-1][0]:
        return places[-1:]
    return [places[0], places[-1]]


def _excerpt(place: _Place, clean: Clean) -> Excerpt:
    cell, number, frame = place
    lines = _cleaned(cell.source, clean).split("\n")
    failed = number if cell.is_numbered and number and number <= len(lines) else None
    line = lines[failed - 1] if failed else ""
    shown = [_cut_line(line, _SOURCE_LINE_CHARACTERS) for line in lines]
    part = _around(shown, failed - 1 if failed else 0)
    return Excerpt(
        cell.name,
        "\n".join(shown[part.start : part.stop]),
        part.start + 1,
        len(lines),
        failed,
        line.strip(),
        _types(frame, line) if frame else (),
        is_whole=len(part) == len(lines) and shown == lines,
    )


def _around(lines: Sequence[str], center: int) -> range:
    """The lines around one, by turns before and after it, as many as there is room for."""
    first, end = center, center + 1
    left = _SOURCE_CHARACTERS - len(lines[center])
    is_after = True
    for _ in range(2 * _SOURCE_LINES):
        is_after = not is_after
        near = end if is_after else first - 1
        if 0 <= near < len(lines) and len(lines[near]) < left and end - first < _SOURCE_LINES:
            left -= len(lines[near]) + 1
            first, end = (first, end + 1) if is_after else (near, end)
    return range(first, end)


def _types(frame: FrameType, line: str) -> tuple[tuple[str, str], ...]:
    scope = ChainMap(frame.f_locals, frame.f_globals)
    names = dict.fromkeys(_names(line))
    # `type`, for a lazy object may run code when it is asked for its class.
    kinds = ((name, type(scope[name])) for name in names if name in scope)
    variables = ((n, kind.__name__) for n, kind in kinds if not issubclass(kind, ModuleType))
    return tuple(islice(variables, _TYPES))


def _names(line: str) -> Iterator[str]:
    """Every name in a line of code; those before the end where it ends amid a statement."""
    lines = iter((line.strip(),))
    with suppress(tokenize.TokenError, SyntaxError):
        for token in tokenize.generate_tokens(lambda: next(lines, "")):
            if token.type == tokenize.NAME:
                yield token.string


# -- the prompt ----------------------------------------------------------------------------------

_EXPLAIN = (
    "Explain in a few plain sentences why, and say what to change. "
    "Answer in the language of the comments in the cell, in English if it has none."
)
_MEND = (
    "Answer with the whole corrected cell in one Python code block, changed no more than needed, "
    "and with one sentence that says what was wrong."
)
_MEND_ONE_OF_TWO = "Of the two cells, correct the one that is to blame."
_MEND_PART = (
    "Of a long cell only a part is given: correct that part, and leave out what is not given."
)


def build_error_prompt(failure: Failure, *, mend: bool) -> str:
    """Return the prompt that asks why a cell failed, or for the cell mended.

    Args:
        failure: with at least one cell, if it is to be mended.
    """
    parts = [_task(failure, mend=mend), "Traceback:", _fence(failure.traceback)]
    for excerpt in failure.cells:
        parts += _cell_parts(excerpt, is_call=excerpt is not failure.cells[-1])
    return "\n\n".join(parts)


def _task(failure: Failure, *, mend: bool) -> str:
    what = "A cell of a notebook" if failure.cells else "Code in a notebook"
    sentences = [f"{what} failed with {failure.error_type}.", _MEND if mend else _EXPLAIN]
    if mend and len(failure.cells) > 1:
        sentences.append(_MEND_ONE_OF_TWO)
    if mend and not all(excerpt.is_whole for excerpt in failure.cells):
        sentences.append(_MEND_PART)
    return " ".join(sentences)


def _cell_parts(excerpt: Excerpt, *, is_call: bool) -> list[str]:
    verb = "called it" if is_call else "failed"
    place = f" in line {excerpt.failed}" if excerpt.failed else ""
    quoted = f", `{excerpt.line}`" if _is_quotable(excerpt.line) else ""
    end = excerpt.start + excerpt.text.count("\n")
    is_part = end - excerpt.start + 1 < excerpt.total
    lines = f" (lines {excerpt.start} to {end} of {excerpt.total})" if is_part else ""
    heading = f"Cell {excerpt.name}, which {verb}{place}{quoted}{lines}:"
    types = ", ".join(f"{name}: {kind}" for name, kind in excerpt.types)
    return [heading, _fence(excerpt.text, "python"), *([f"Types there: {types}"] if types else ())]


def _is_quotable(line: str) -> bool:
    return 0 < len(line) <= _QUOTED_CHARACTERS and "`" not in line


def _fence(text: str, language: str = "") -> str:
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
