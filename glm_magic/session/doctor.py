"""What of a saved notebook, and of a session's inputs, looks like an API key.

Source of the format: nbformat 4.5, "The Notebook file format" (nbformat.readthedocs.io). The file
is read as plain JSON, so that one which no notebook program would open is examined too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from glm_magic.errors import SettingsError
from glm_magic.secret import Secret
from glm_magic.session.leaks import find_keys

__all__ = ["Examination", "Finding", "Where", "examine_inputs", "examine_notebook"]

Where: TypeAlias = Literal["input", "output", "metadata", "history"]
# More is no notebook that anything opens; it is read whole.
LIMIT_BYTES = 200 * 2**20
# Colours of tracebacks, which stand between a name and its value.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Finding:
    """Where something looks like a key; the key itself is not kept.

    Attributes:
        cell: number of the cell in the file, from 1; 0 for what belongs to no cell. Of an input
            of this session: N of `In[N]`.
        cell_type: "code", "markdown", "raw"; "notebook" for what belongs to no cell; "session"
            for an input of this session.
        execution_count: the number beside the cell, if it was run.
        where: input, output or metadata of the cell or the notebook; or "history", an input of
            this session.
        kind: in words, such as "GLM key".
        line: from 1, of the text that holds it.
    """

    cell: int
    cell_type: str
    execution_count: int | None
    where: Where
    kind: str
    line: int


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found in a notebook.

    Attributes:
        name: the file's name, as its owner wrote it: not safe to show as it is.
        cells: how many were looked at.
        findings: in the order of the file; then those of this session's inputs.
        inputs: how many inputs of this session were looked at too; None for "not asked".
    """

    name: str
    cells: int
    findings: tuple[Finding, ...]
    inputs: int | None = None


def examine_notebook(
    path: Path, known: Iterable[Secret], *, limit_bytes: int = LIMIT_BYTES
) -> Examination:
    """Return what of a notebook's file looks like a key: inputs, outputs and all metadata.

    Args:
        known: keys to find whatever they look like.
        limit_bytes: the largest file that is read.

    Raises:
        SettingsError: it is no file, or a larger one, or no notebook of format 4.
    """
    notebook, secrets = _parse_notebook(path.name, _read_bytes(path, limit_bytes)), tuple(known)
    found = [f for place, text in _places(notebook) for f in _findings(place, text, secrets)]
    return Examination(path.name, len(notebook["cells"]), tuple(dict.fromkeys(found)))


def examine_inputs(inputs: Sequence[str], known: Iterable[Secret]) -> tuple[Finding, ...]:
    """Return what of a session's inputs, IPython's `In`, looks like a key."""
    secrets = tuple(known)
    return tuple(
        finding
        for number, text in enumerate(inputs)
        for finding in _findings(_place(number, "session", number, "history"), text, secrets)
    )


# -- the file ----------------------------------------------------------------------------------


def _read_bytes(path: Path, limit_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except OSError as error:
        raise SettingsError(f"cannot read {path.name!r}: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"{path.name!r} is not the name of a file") from error
    if len(data) > limit_bytes:
        size = f"{limit_bytes / 2**20:g} MB"
        raise SettingsError(f"{path.name!r} is larger than {size}, the most that is examined")
    return data


def _parse_notebook(name: str, data: bytes) -> dict[str, Any]:
    notebook, problem = _parse_json(data)
    if not problem:
        problem = _problem(notebook)
    if problem:
        raise SettingsError(f"{name!r} {problem}")
    return cast(dict[str, Any], notebook)


def _parse_json(data: bytes) -> tuple[object, str]:
    """The value, or what is wrong. The error is let go of: it holds the whole file."""
    try:
        return json.loads(data), ""
    except RecursionError:
        return None, "is no notebook: it is nested too deeply"
    except ValueError:
        return None, "is no notebook: it is not JSON"


def _problem(notebook: object) -> str:
    if not isinstance(notebook, dict) or not isinstance(notebook.get("nbformat"), int):
        return "is no notebook: it does not say its format"
    if notebook["nbformat"] < 4:
        old = f"is a notebook of the old format {notebook['nbformat']}"
        return f"{old}; open it in Jupyter and save it, then examine it"
    if not isinstance(notebook.get("cells"), list):
        return "is no notebook: it has no cells"
    return ""


# -- its texts ---------------------------------------------------------------------------------


def _place(cell: int, cell_type: str, count: object, where: Where) -> Finding:
    number = count if isinstance(count, int) and not isinstance(count, bool) else None
    return Finding(cell, cell_type, number, where, "", 0)


def _places(notebook: dict[str, Any]) -> Iterator[tuple[Finding, str]]:
    for number, cell in enumerate(notebook["cells"], 1):
        parts = cell if isinstance(cell, dict) else {"metadata": cell}
        place = _place(
            number, str(parts.get("cell_type", "")), parts.get("execution_count"), "metadata"
        )
        for name, part in parts.items():
            inside = replace(place, where=_where(name))
            yield from ((inside, text) for text in _texts(part, name))
    outside = {name: part for name, part in notebook.items() if name != "cells"}
    place = _place(0, "notebook", None, "metadata")
    yield from ((place, text) for text in _texts(outside))


def _where(part: str) -> Where:
    """Attachments count as input: they are what somebody put into the cell."""
    if part in ("source", "attachments"):
        return "input"
    return "output" if part == "outputs" else "metadata"


def _texts(value: Any, name: str = "") -> Iterator[str]:
    """Yield all text in a JSON value, names too; a list of lines is one text."""
    # A stack of our own: a file may be nested deeper than Python may call.
    left = [(name, value)]
    while left:
        name, value = left.pop()
        if isinstance(value, str):
            yield value
            yield from _named(name, value)
        elif isinstance(value, list) and all(isinstance(item, str) for item in value):
            left.append((name, _joined(value)))
        elif isinstance(value, list):
            left.extend((name, item) for item in reversed(value))
        elif isinstance(value, dict):
            yield from value
            left.extend(reversed(value.items()))


def _joined(lines: list[str]) -> str:
    """Lines of a source end in LF; those of a traceback may not."""
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _named(name: str, value: str) -> Iterator[str]:
    """A value with its name before it, which tells what it is: {"api_key": "..."}."""
    if name and value.isprintable() and len(value) <= 256:
        yield f'"{name}": "{value.strip()}"'


def _findings(place: Finding, text: str, known: Sequence[Secret]) -> Iterator[Finding]:
    plain = _COLOUR.sub("", text)
    line, seen = 1, 0
    for leak in find_keys(plain, known):
        line += plain.count("\n", seen, leak.start)
        seen = leak.start
        yield replace(place, kind=leak.kind, line=line)
