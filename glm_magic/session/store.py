"""Vectors of texts on disk, so that the same text is never paid twice.

One SQLite file. Of the texts it holds hashes alone; but a hash tells whether a guessed text is
there, and a vector can tell a lot about its text. So the file is for its owner only: mode 0600,
in a folder of mode 0700 where it had to be made.

Texts are kept in blocks, as they were sent, for they are mostly asked for again in that order:
10,000 vectors of 256 numbers are read in 10 ms, and row by row it would be 25.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import platformdirs

from glm_magic.session.database import (
    BUSY_TIMEOUT_S,
    DAMAGED,
    LEAVE_OUT,
    Database,
    StoreError,
    Unfit,
)

__all__ = [
    "Space",
    "SpaceFacts",
    "StoreError",
    "StoreFacts",
    "VectorStore",
    "WidthError",
    "store_path",
]

T = TypeVar("T")
FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.intp]
KeyArray = npt.NDArray[np.bytes_]

_NUMBER = np.dtype("<f4")
# SHA-256: processors have instructions for it, which make it faster than BLAKE2.
_KEY = np.dtype("S32")
# As many texts as the platform takes in a request. Of a larger block more is read for one text.
_BLOCK_TEXTS = 64
# Shorter runs of texts in the order of their block are not worth the reading of it; where there
# are no others, so many texts are left out at most before the next try.
_LEAST_RUN, _LIMIT_LEAP = 8, 1_024
# In one statement; SQLite before 3.32 takes 999.
_LIMIT_PARAMETERS = 500
# Above any model there is; a damaged number would make a matrix larger than memory.
_LIMIT_WIDTH = 65_536
# How far the square of a length may be from 1.
_ROUNDING = 1e-3


class WidthError(StoreError, ValueError):
    """The vectors have another width than those of the same space that are kept."""


@dataclass(frozen=True, slots=True)
class Space:
    """What vectors have in common that may be compared.

    Attributes:
        endpoint: base URL.
        dimensions: the width that was asked for; 0 is the model's own, not known before.
    """

    endpoint: str
    model: str
    dimensions: int


@dataclass(frozen=True, slots=True)
class SpaceFacts:
    """How much is kept of one space.

    Attributes:
        dimensions: the width of its vectors, also where none was asked for.
        texts: how many have a vector.
    """

    endpoint: str
    model: str
    dimensions: int
    texts: int


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """How much is kept: `texts` in all `models` together."""

    path: Path
    size_bytes: int
    texts: int
    models: tuple[SpaceFacts, ...]


def store_path() -> Path:
    """Return the file in the user's cache folder; neither need exist yet."""
    return platformdirs.user_cache_path("glm_magic") / "embeddings.sqlite"


class VectorStore:
    """Vectors by the texts they came from, in a file of one's own.

    Any number of processes, threads and forks may use one file at once. Each call opens it and
    closes it again, which takes 0.1 ms, so that nothing is left to close. It is not in SQLite's
    WAL mode, which fails on network folders, where homes may lie, and takes twice as long to
    write this way.

    Every method raises StoreError where the file cannot be used: it is no store, or damaged, or
    of another version; it is a link, or another user's, or in a folder that anybody may write to;
    others lock it for longer than `busy_timeout_s`; the disk is full, or may not be written. A
    file of one's own that others may read is closed to them.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        self._database = Database(path, busy_timeout_s=busy_timeout_s)

    # -- vectors ---------------------------------------------------------------------------

    def find(self, space: Space, texts: Sequence[str]) -> tuple[IndexArray, FloatArray]:
        """Return the positions of the texts that have a vector, in order, and these vectors.

        A vector that was damaged on disk is not found.

        Args:
            texts: each of them once.

        Returns:
            Shapes (m,) and (m, d); each vector is of length 1.

        Raises:
            StoreError: see the class.
        """
        nothing = np.empty(0, np.intp), np.empty((0, space.dimensions), np.float32)

        def look(connection: sqlite3.Connection) -> tuple[IndexArray, FloatArray]:
            connection.execute("BEGIN")  # one lock for all that is read
            found = _find_space(connection, space)
            return _Search(connection, *found, texts).run() if found else nothing

        return self._database.use(look, nothing)

    def keep(self, space: Space, texts: Sequence[str], vectors: FloatArray) -> None:
        """Keep the vectors of some texts: all of them, or, where that fails, none.

        Of a text that has a vector already either is found from now on.

        Args:
            texts: those of one answered request, each of them once.
            vectors: shape (n, d), each of length 1.

        Raises:
            StoreError: see the class.
            WidthError: the vectors of this space have another width; a ValueError, too.
            ValueError: there are not as many vectors as texts, or one is not of length 1.
        """
        _check_vectors(vectors, count=len(texts))
        if not texts:
            return
        keys = _hash_all(texts)

        def write(connection: sqlite3.Connection) -> None:
            space_id = self._note_space(connection, space, vectors.shape[1])
            for start in range(0, len(keys), _BLOCK_TEXTS):
                stop = start + _BLOCK_TEXTS
                _insert_block(connection, space_id, keys[start:stop], vectors[start:stop])

        self._database.write(write)

    def _note_space(self, connection: sqlite3.Connection, space: Space, width: int) -> int:
        """Return the id of a space, which is new or has this width."""
        connection.execute(
            "INSERT OR IGNORE INTO spaces (endpoint, model, dimensions, width) VALUES (?, ?, ?, ?)",
            (space.endpoint, space.model, space.dimensions, space.dimensions or width),
        )
        found = _find_space(connection, space)
        assert found, "it was inserted, or was there"
        space_id, known = found
        if known != width:
            raise WidthError(
                f"{self.path} has vectors of {known} numbers of '{space.model}', and these have "
                f"{width}; choose --dimensions, {LEAVE_OUT} (`%glm store --clear` empties it)"
            )
        return space_id

    # -- all of it -------------------------------------------------------------------------

    def facts(self) -> StoreFacts:
        """Return what is kept.

        Raises:
            StoreError: see the class.
        """
        nothing: tuple[SpaceFacts, ...] = ()
        models = self._database.use(_count_texts, nothing)
        size_bytes = self.path.stat().st_size if models else 0
        return StoreFacts(self.path, size_bytes, sum(model.texts for model in models), models)

    def clear(self) -> int:
        """Remove all vectors and give their place on the disk back; return how many there were.

        Raises:
            StoreError: see the class.
        """
        return self._database.use(_clear, 0)


# -- its tables ------------------------------------------------------------------------------


def _count_texts(connection: sqlite3.Connection) -> tuple[SpaceFacts, ...]:
    rows = connection.execute(
        "SELECT endpoint, model, width, count(*) FROM spaces "
        "JOIN texts ON texts.space = spaces.id "
        "GROUP BY spaces.id ORDER BY model, endpoint, width"
    )
    return tuple(SpaceFacts(*row) for row in rows)


def _clear(connection: sqlite3.Connection) -> int:
    """Remove all rows and shrink the file; return how many texts there were."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        count: int = connection.execute("SELECT count(*) FROM texts").fetchone()[0]
        for table in ("texts", "blocks", "spaces"):
            connection.execute(f"DELETE FROM {table}")
    connection.execute("VACUUM")
    return count


def _find_space(connection: sqlite3.Connection, space: Space) -> tuple[int, int] | None:
    """Return the id and the width of a space."""
    row = connection.execute(
        "SELECT id, width FROM spaces WHERE endpoint = ? AND model = ? AND dimensions = ?",
        (space.endpoint, space.model, space.dimensions),
    ).fetchone()
    if row is None:
        return None
    space_id, width = row
    if type(width) is not int or not 0 < width <= _LIMIT_WIDTH:
        raise Unfit(DAMAGED)
    return space_id, width


def _insert_block(
    connection: sqlite3.Connection, space_id: int, keys: list[bytes], vectors: FloatArray
) -> None:
    block = connection.execute(
        "INSERT INTO blocks (keys, vectors) VALUES (?, ?)",
        (b"".join(keys), vectors.astype(_NUMBER).tobytes()),
    ).lastrowid
    rows = ((space_id, key, block, place) for place, key in enumerate(keys))
    connection.executemany("INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?)", rows)


# -- texts and vectors -----------------------------------------------------------------------


def _hash_all(texts: Sequence[str]) -> list[bytes]:
    """The keys of texts, also of those with half a surrogate pair."""
    sha256 = hashlib.sha256
    return [sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]


def _check_vectors(vectors: FloatArray, *, count: int) -> None:
    if vectors.ndim != 2 or len(vectors) != count:
        raise ValueError(f"{count} texts have vectors of shape {vectors.shape}")
    if not _are_units(vectors).all():
        raise ValueError("a vector is not of length 1")


def _are_units(vectors: FloatArray) -> npt.NDArray[np.bool_]:
    """Which vectors are of length 1; one with a number that is not finite is not."""
    with np.errstate(all="ignore"):
        squares = np.einsum("ij,ij->i", vectors, vectors)
        units: npt.NDArray[np.bool_] = np.abs(squares - 1) < _ROUNDING
    return units


class _Search:
    """The vectors of some texts, taken from their blocks.

    Where the texts stand in the order they were sent in, one look at the index finds as many as
    the block has; the rest are looked for one by one.
    """

    def __init__(
        self, connection: sqlite3.Connection, space_id: int, width: int, texts: Sequence[str]
    ) -> None:
        self._connection, self._space_id, self._width = connection, space_id, width
        self._keys = _hash_all(texts)
        self._table = np.array(self._keys, dtype=_KEY)
        self._rows = np.empty((len(texts), width), dtype=np.float32)
        self._has = np.zeros(len(texts), dtype=bool)

    def run(self) -> tuple[IndexArray, FloatArray]:
        self._take_runs()
        self._has &= _are_units(self._rows)
        # What is damaged in one block may have been kept again in another.
        self._take_singles()
        positions = np.flatnonzero(self._has)
        is_whole = positions.size == self._has.size
        return positions, self._rows if is_whole else self._rows[positions]

    def _take_runs(self) -> None:
        at, leap = 0, 1
        while at < len(self._keys):
            count = self._take_run(at)
            leap = 1 if count >= _LEAST_RUN else min(2 * leap, _LIMIT_LEAP)
            at += max(count, leap)

    def _take_run(self, at: int) -> int:
        """Take the texts from `at` on while the block of the first goes on as they do; return how
        many."""
        row = self._connection.execute(
            "SELECT place, keys, vectors FROM texts JOIN blocks ON blocks.id = block "
            "WHERE space = ? AND key = ? AND typeof(place) = 'integer' AND place >= 0",
            (self._space_id, self._keys[at]),
        ).fetchone()
        if row is None:
            return 0
        place, keys, vectors = row[0], *self._parse_block(*row[1:])
        count = _common_length(self._table[at:], np.frombuffer(keys, dtype=_KEY)[place:])
        self._rows[at : at + count] = vectors[place : place + count]
        self._has[at : at + count] = True
        return count

    def _take_singles(self) -> None:
        missing = {self._keys[i]: i for i in np.flatnonzero(~self._has).tolist()}
        # Both are sorted as the file has them: each page of it is read once.
        blocks: set[int] = set()
        for keys in _parts(sorted(missing)):
            statement = "SELECT DISTINCT block FROM texts WHERE space = ? AND key IN " + _marks(
                keys
            )
            rows = self._connection.execute(statement, (self._space_id, *keys))
            blocks.update(block for (block,) in rows if type(block) is int)
        for ids in _parts(sorted(blocks)):
            statement = "SELECT keys, vectors FROM blocks WHERE id IN " + _marks(ids)
            for row in self._connection.execute(statement, ids):
                self._take_from(*self._parse_block(*row), missing)

    def _take_from(self, keys: bytes, vectors: FloatArray, missing: Mapping[bytes, int]) -> None:
        """Take what is missing out of one block."""
        size, is_whole = _KEY.itemsize, _are_units(vectors)
        found = {
            missing[key]: place
            for place, start in enumerate(range(0, len(keys), size))
            if (key := keys[start : start + size]) in missing and is_whole[place]
        }
        positions, places = list(found), list(found.values())
        self._rows[positions] = vectors[places]
        self._has[positions] = True

    def _parse_block(self, keys: object, vectors: object) -> tuple[bytes, FloatArray]:
        """The keys and the vectors of a block; nothing of a damaged one."""
        if not isinstance(keys, bytes) or not isinstance(vectors, bytes):
            keys = vectors = b""
        count, rest = divmod(len(keys), _KEY.itemsize)
        if rest or len(vectors) != count * self._width * _NUMBER.itemsize:
            keys = vectors = b""
        return keys, np.frombuffer(vectors, dtype=_NUMBER).reshape(-1, self._width)


def _common_length(a: KeyArray, b: KeyArray) -> int:
    """How many keys are the same from the start on."""
    count = min(a.size, b.size)
    is_same = a[:count] == b[:count]
    return count if is_same.all() else int(is_same.argmin())


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """What one statement after the other takes."""
    for start in range(0, len(values), _LIMIT_PARAMETERS):
        yield values[start : start + _LIMIT_PARAMETERS]


def _marks(values: Sequence[object]) -> str:
    return f"({', '.join('?' * len(values))})"
