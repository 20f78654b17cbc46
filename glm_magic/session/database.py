"""A database in a file of one's own: who may read it, and what may be wrong with it."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

from glm_magic.errors import SettingsError

__all__ = ["BUSY_TIMEOUT_S", "DAMAGED", "LEAVE_OUT", "Database", "StoreError", "Unfit"]

T = TypeVar("T")

BUSY_TIMEOUT_S: Final = 10.0
# 10,000 vectors are read in two thirds of the time that pages of 4,096 bytes take; pages of
# 32,768 take four times as long to write once the index is large.
_PAGE_BYTES = 16_384

_APPLICATION_ID = 0x676C6D76  # "glmv"; `file` shows it
_VERSION = 1
_SCHEMA = (
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_VERSION}",
    # `dimensions` is what was asked for, 0 for nothing; `width` is what came.
    "CREATE TABLE spaces (id INTEGER PRIMARY KEY, endpoint TEXT NOT NULL, model TEXT NOT NULL, "
    "dimensions INTEGER NOT NULL, width INTEGER NOT NULL, UNIQUE (endpoint, model, dimensions))",
    # The keys of its texts one after another, and their vectors.
    "CREATE TABLE blocks (id INTEGER PRIMARY KEY, keys BLOB NOT NULL, vectors BLOB NOT NULL)",
    "CREATE TABLE texts (space INTEGER NOT NULL, key BLOB NOT NULL, block INTEGER NOT NULL, "
    "place INTEGER NOT NULL, PRIMARY KEY (space, key)) WITHOUT ROWID",
)

LEAVE_OUT = "or leave it out with --no-store"
_ANOTHER = f"name another file with `%glm config store=FILE`, {LEAVE_OUT}"
DAMAGED = f"is damaged; delete it, {LEAVE_OUT}"
_PROBLEMS = {
    sqlite3.SQLITE_BUSY: f"is in use by another program; try again, {LEAVE_OUT}",
    sqlite3.SQLITE_FULL: f"cannot grow, for the disk is full; make room, {LEAVE_OUT}",
    # A journal is written beside it.
    sqlite3.SQLITE_READONLY: f"cannot be written; make it and its folder writable, {LEAVE_OUT}",
    sqlite3.SQLITE_CANTOPEN: f"cannot be opened; make it and its folder writable, {LEAVE_OUT}",
    sqlite3.SQLITE_IOERR: "cannot be read or written; see whether the disk is full or failing, "
    f"{LEAVE_OUT}",
    sqlite3.SQLITE_NOTADB: f"is no store of vectors, or a damaged one; delete it, {_ANOTHER}",
}

# SQLite keeps in the memory of a process what it has locked. A fork takes that along, and the
# child believes that it holds locks of the parent's: so no file is open while a process forks.
_LOCK = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release
    )


class StoreError(SettingsError):
    """The file of the vectors cannot be used."""


class Unfit(Exception):
    """What is wrong with the file, in words that follow its path."""


class Database:
    """The tables of the vector store in a file; each call opens it and closes it again.

    Args:
        path: of the file, which need not exist yet.
        busy_timeout_s: how long to wait for others that have locked it.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        self._absolute = path.absolute()
        self._busy_timeout_s = busy_timeout_s

    # These take a function instead of being context managers of their own: an interrupt between a
    # generator's `yield` and the body of the `with` would leave the file locked.

    def use(self, act: Callable[[sqlite3.Connection], T], nothing: T) -> T:
        """Return what `act` makes of the tables; `nothing` where there are none yet."""
        with _LOCK, self._failures():
            if not _is_there(self._absolute):
                return nothing
            with closing(self._connect()) as connection:
                if not _has_tables(connection):
                    return nothing
                _close_to_others(self._absolute)
                return act(connection)

    def write(self, act: Callable[[sqlite3.Connection], None]) -> None:
        """Let `act` write, all or nothing; make the file and the tables."""
        with _LOCK, self._failures():
            if not _is_there(self._absolute):
                _create_file(self._absolute)
            with closing(self._connect()) as connection:
                connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
                # One flush fewer, safe on file systems with a journal of their own.
                connection.execute("PRAGMA synchronous = NORMAL")
                with connection:
                    connection.execute("BEGIN IMMEDIATE")
                    if not _has_tables(connection):
                        _create_tables(connection)
                    _close_to_others(self._absolute)
                    act(connection)

    def _connect(self) -> sqlite3.Connection:
        # "rw" makes no file, and reads one that may not be written.
        uri, timeout = f"{self._absolute.as_uri()}?mode=rw", self._busy_timeout_s
        return sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Tell in one line what fails inside."""
        try:
            yield
        except Unfit as error:
            raise StoreError(f"{self.path} {error}") from error
        except sqlite3.Error as error:
            # The lowest byte is the kind; the others say more of it.
            kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
            raise StoreError(f"{self.path} {_PROBLEMS.get(kind, DAMAGED)}") from error
        except UnicodeDecodeError as error:  # of what a damaged file names in an error of SQLite's
            raise StoreError(f"{self.path} {DAMAGED}") from error
        except OSError as error:
            reason = error.strerror or error
            raise StoreError(f"{self.path} cannot be used ({reason}); {_ANOTHER}") from error


# -- whose file it is ------------------------------------------------------------------------


def _is_there(path: Path) -> bool:
    """Whether there is such a file.

    Raises:
        Unfit: somebody else may have put it there, or may change it.
    """
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(facts.st_mode):
        raise Unfit(f"is a link, or no file at all; {_ANOTHER}")
    if hasattr(os, "geteuid") and facts.st_uid != os.geteuid():
        raise Unfit(f"belongs to another user; {_ANOTHER}")
    _check_folder(path.parent)
    return True


def _check_folder(folder: Path) -> None:
    # Whoever may write there may put another file, or a journal for ours, in its place. A group
    # may: on many systems every user is one.
    if os.name == "posix" and folder.stat().st_mode & stat.S_IWOTH:
        raise Unfit(f"lies in a folder that anybody may write to; {_ANOTHER}")


def _create_file(path: Path) -> None:
    """Make an empty file, which nobody else may read from its first moment on."""
    _create_folder(path.parent)
    _check_folder(path.parent)
    with suppress(FileExistsError):  # another process was quicker
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _create_folder(folder: Path) -> None:
    """Make a folder and those above it, all for their owner only, unlike `mkdir(parents=True)`."""
    if not folder.exists():
        _create_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _close_to_others(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        with suppress(OSError):  # a disk that may not be written is read as it is
            path.chmod(mode & 0o700)


# -- its tables ------------------------------------------------------------------------------


def _has_tables(connection: sqlite3.Connection) -> bool:
    """Whether the tables are there; False for an empty file.

    Raises:
        Unfit: they are another program's, or of another version.
    """
    pragmas = ("application_id", "user_version")
    owner, version = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas)
    if (owner, version) == (_APPLICATION_ID, _VERSION):
        return True
    if owner == _APPLICATION_ID:
        raise Unfit(
            f"is a store of version {version}, and this glm_magic reads version {_VERSION}; "
            f"delete it, {LEAVE_OUT}"
        )
    if owner or version or connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise Unfit(f"is the database of another program; {_ANOTHER}")
    return False


def _create_tables(connection: sqlite3.Connection) -> None:
    for statement in _SCHEMA:
        connection.execute(statement)
