"""Vectors on disk: what is kept is found, by whoever asks at once, and nothing else is believed."""

import os
import random
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from glm_magic.errors import SettingsError
from glm_magic.session.store import Space, StoreError, VectorStore, WidthError, store_path

SPACE = Space("https://open.bigmodel.cn/api/paas/v4", "embedding-3", 2)
NUMBERS = range(200)


def circle(numbers: Sequence[int]) -> npt.NDArray[np.float32]:
    """A different vector of length 1 for each number."""
    return np.array([(np.cos(n), np.sin(n)) for n in numbers], np.float32).reshape(-1, 2)


def names(numbers: Sequence[int]) -> list[str]:
    return [f"text {number}" for number in numbers]


def keep(store: VectorStore, numbers: Sequence[int]) -> None:
    store.keep(SPACE, names(numbers), circle(numbers))


def found(store: VectorStore, numbers: Sequence[int]) -> list[int]:
    """The numbers whose texts have their vector, which is the right one."""
    positions, vectors = store.find(SPACE, names(numbers))
    there = [numbers[i] for i in positions]
    assert np.allclose(vectors, circle(there), atol=0.05)
    return there


@pytest.fixture
def store(tmp_path: Path) -> VectorStore:
    return VectorStore(tmp_path / "vectors.sqlite")


@pytest.fixture
def full(store: VectorStore) -> VectorStore:
    """With the texts of NUMBERS, fifty to a request."""
    for start in range(0, 200, 50):
        keep(store, NUMBERS[start : start + 50])
    return store


@pytest.fixture
def bound_folder() -> Iterator[Path]:
    """A folder of somebody whom file modes bind: root becomes nobody for the time."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() == 0:
            os.chown(name, 65534, 65534)
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            os.seteuid(os.getuid())
            Path(name).chmod(0o700)


def refusal(store: VectorStore) -> str:
    """Why it cannot be used: the same for all that one may ask of it, in one line."""
    acts = (lambda: keep(store, [1]), lambda: found(store, [1]), store.facts, store.clear)
    messages = set()
    for act in acts:
        with pytest.raises(StoreError) as caught:
            act()
        messages.add(str(caught.value))
    (message,) = messages
    assert "\n" not in message
    assert message.startswith(str(store.path))
    assert message.endswith("or leave it out with --no-store")
    return message.removeprefix(f"{store.path} ")


# -- what is kept is found -------------------------------------------------------------------


def test_a_vector_comes_back_as_it_was_kept(store: VectorStore) -> None:
    vectors = np.array([[0.6, 0.8], [0, -1]], np.float32)
    store.keep(SPACE, ["a", "b"], vectors)
    positions, rows = store.find(SPACE, ["a", "b"])
    assert positions.tolist() == [0, 1]
    assert rows.dtype == np.float32
    assert np.array_equal(rows, vectors)


def test_texts_without_a_vector_are_left_out(store: VectorStore) -> None:
    store.keep(SPACE, ["a", "b"], np.array([[0.6, 0.8], [0, -1]], np.float32))
    positions, rows = store.find(SPACE, ["new", "b", "other", "a"])
    assert positions.tolist() == [1, 3]
    assert np.array_equal(rows, np.array([[0, -1], [0.6, 0.8]], np.float32))


@pytest.mark.parametrize(
    "numbers",
    [
        list(NUMBERS),
        [900, *NUMBERS],
        [n for n in NUMBERS if n % 7],
        [n for i in NUMBERS for n in (i, 900 + i)],
        list(reversed(NUMBERS)),
        random.Random(1).sample(NUMBERS, 200),
        [*range(150, 200), *range(70, 90), 3],
        [],
    ],
    ids=["as sent", "one more", "fewer", "every other", "backwards", "shuffled", "parts", "none"],
)
def test_a_vector_is_found_in_any_order_of_the_texts(full: VectorStore, numbers: list[int]) -> None:
    assert found(full, numbers) == [n for n in numbers if n < 200]


def test_a_request_may_be_of_any_size(store: VectorStore) -> None:
    store.keep(SPACE, [], np.empty((0, 0), np.float32))
    keep(store, range(1_000))
    assert found(store, range(1_000)) == list(range(1_000))


@pytest.mark.parametrize(
    "other",
    [
        Space("https://api.z.ai/api/paas/v4", "embedding-3", 2),
        Space("https://open.bigmodel.cn/api/paas/v4", "embedding-2", 2),
        Space("https://open.bigmodel.cn/api/paas/v4", "embedding-3", 0),
    ],
)
def test_vectors_of_another_endpoint_model_or_width_are_not_found(
    store: VectorStore, other: Space
) -> None:
    keep(store, [1])
    store.keep(other, ["text 2"], circle([2]))
    assert store.find(other, ["text 1", "text 2"])[0].tolist() == [1]


def test_texts_that_utf_8_cannot_hold_are_different_texts(store: VectorStore) -> None:
    texts = ["\ud83d", "\ude00", "\U0001f600", "?", "", "\0"]
    store.keep(SPACE, texts, circle(range(6)))
    positions, rows = store.find(SPACE, texts)
    assert positions.tolist() == [0, 1, 2, 3, 4, 5]
    assert np.array_equal(rows, circle(range(6)))


def test_no_text_is_in_the_file(store: VectorStore) -> None:
    store.keep(SPACE, ["Nobody shall read this"], circle([1]))
    content = store.path.read_bytes()
    assert b"embedding-3" in content
    assert b"Nobody" not in content


def test_the_width_of_a_space_is_that_of_its_first_vectors(store: VectorStore) -> None:
    space = Space("local", "some-model", 0)
    store.keep(space, ["a"], np.array([[0, 0, 1]], np.float32))
    with pytest.raises(
        WidthError, match="of 3 numbers of 'some-model', and these have 2"
    ) as caught:
        store.keep(space, ["b"], circle([1]))
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, SettingsError)
    assert store.find(space, ["a", "b"])[0].tolist() == [0]


def test_vectors_of_another_width_than_asked_for_are_refused(store: VectorStore) -> None:
    with pytest.raises(WidthError, match="of 2 numbers"):
        store.keep(SPACE, ["a"], np.array([[0, 0, 1]], np.float32))
    assert store.facts().models == ()


@pytest.mark.parametrize(
    "vectors", [[[1, 1]], [[np.nan, 0]], [[np.inf, 0]], [[0, 0]], [[0, 1], [1, 0]], [0, 1]]
)
def test_what_is_no_vector_of_length_1_is_refused(
    store: VectorStore, vectors: list[list[float]]
) -> None:
    with pytest.raises(ValueError):
        store.keep(SPACE, ["a"], np.array(vectors, np.float32))
    assert not store.path.exists()


def test_the_facts_tell_how_much_of_which_model_there_is(store: VectorStore) -> None:
    keep(store, [1, 2, 3])
    keep(store, [3, 4])
    store.keep(Space("local", "a-model", 0), ["a"], np.array([[0, 0, 1]], np.float32))
    facts = store.facts()
    assert facts.path == store.path
    assert facts.texts == 5
    assert [(m.endpoint, m.model, m.dimensions, m.texts) for m in facts.models] == [
        ("local", "a-model", 3, 1),
        ("https://open.bigmodel.cn/api/paas/v4", "embedding-3", 2, 4),
    ]
    assert facts.size_bytes == store.path.stat().st_size > 0


def test_clearing_leaves_no_vector_in_the_file(store: VectorStore) -> None:
    keep(store, range(20_000))
    vector, size = circle([7]).tobytes(), store.path.stat().st_size
    assert vector in store.path.read_bytes()
    assert store.clear() == 20_000
    assert vector not in store.path.read_bytes()
    assert store.path.stat().st_size < size / 10
    assert store.facts().models == ()
    keep(store, [7])
    assert found(store, range(20_000)) == [7]


# -- the file --------------------------------------------------------------------------------


def test_asking_makes_no_file(tmp_path: Path) -> None:
    store = VectorStore(tmp_path / "new" / "vectors.sqlite")
    positions, vectors = store.find(SPACE, ["a"])
    assert (positions.shape, vectors.shape) == ((0,), (0, 2))
    assert (store.facts().texts, store.facts().size_bytes, store.clear()) == (0, 0, 0)
    assert list(tmp_path.iterdir()) == []


def test_the_default_file_lies_in_the_users_cache() -> None:
    assert store_path().parts[-2:] == ("glm_magic", "embeddings.sqlite")


def test_only_the_owner_may_read_it_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "new" / "newer" / "vectors.sqlite"
    before = os.umask(0)
    try:
        keep(VectorStore(path), [1])
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent, path.parent.parent)]
    assert modes == [0o600, 0o700, 0o700]
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_others_may_read_is_closed_to_them(full: VectorStore) -> None:
    full.path.chmod(0o666)
    assert found(full, [1]) == [1]
    assert stat.S_IMODE(full.path.stat().st_mode) == 0o600


def test_a_file_of_another_program_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Something of the user's own, long enough to have the size of a header." * 9)
    path.chmod(0o644)
    refusal(VectorStore(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert path.read_text().startswith("Something")


@pytest.mark.parametrize("name", ["what? it's #1 of 100%.sqlite", "向量 ü.sqlite", ":memory:"])
def test_the_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    keep(VectorStore(tmp_path / name), [1])
    assert found(VectorStore(tmp_path / name), [1]) == [1]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_it_stays_the_same_file_in_another_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = VectorStore(Path("vectors.sqlite"))
    keep(store, [1])
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert found(store, [1]) == [1]


def test_a_file_that_was_deleted_is_made_again(full: VectorStore) -> None:
    full.path.unlink()
    assert found(full, NUMBERS) == []
    keep(full, [1])
    assert found(full, NUMBERS) == [1]


# -- files that are refused ------------------------------------------------------------------


def test_a_link_is_refused(full: VectorStore, tmp_path: Path) -> None:
    link = tmp_path / "link.sqlite"
    link.symlink_to(full.path)
    assert refusal(VectorStore(link)).startswith("is a link, or no file at all; name another file")


def test_a_link_to_nothing_is_not_followed(tmp_path: Path) -> None:
    link = tmp_path / "link.sqlite"
    link.symlink_to(tmp_path / "target")
    refusal(VectorStore(link))
    assert not (tmp_path / "target").exists()


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(VectorStore(tmp_path)).startswith("is a link, or no file at all")


def test_a_file_in_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = refusal(VectorStore(tmp_path / "file" / "vectors.sqlite"))
    assert message.startswith("cannot be used (Not a directory); name another file")


def test_a_file_of_another_user_is_refused(bound_folder: Path) -> None:
    assert refusal(VectorStore(Path("/etc/passwd"))).startswith("belongs to another user")


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_a_folder_that_anybody_may_write_to_is_refused(full: VectorStore, mode: int) -> None:
    full.path.parent.chmod(mode)
    assert refusal(full).startswith("lies in a folder that anybody may write to")
    with pytest.raises(StoreError, match="anybody"):
        keep(VectorStore(full.path.parent / "new.sqlite"), [1])
    assert not (full.path.parent / "new.sqlite").exists()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vectors.sqlite"
    path.write_bytes(b"\x80\x04cos\nsystem\n" * 100)
    assert refusal(VectorStore(path)).startswith("is no store of vectors, or a damaged one; delete")


def test_the_database_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE texts (x)")
    content = path.read_bytes()
    assert refusal(VectorStore(path)).startswith("is the database of another program; name another")
    assert path.read_bytes() == content


def test_a_store_of_another_version_is_refused(full: VectorStore) -> None:
    with closing(sqlite3.connect(full.path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    assert refusal(full) == (
        "is a store of version 2, and this glm_magic reads version 1; delete it, "
        "or leave it out with --no-store"
    )


def test_a_file_that_was_cut_off_is_refused(full: VectorStore) -> None:
    os.truncate(full.path, full.path.stat().st_size // 2)
    assert refusal(full) == "is damaged; delete it, or leave it out with --no-store"


def test_an_empty_file_is_a_new_store(store: VectorStore) -> None:
    store.path.touch()
    assert (found(store, [1]), store.facts().texts, store.clear()) == ([], 0, 0)
    keep(store, [1])
    assert found(store, [1]) == [1]


DAMAGES = [
    b"",
    b"1234567",
    "text",
    7,
    np.full((50, 2), np.nan, "<f4").tobytes(),
    np.full((50, 2), 3e38, "<f4").tobytes(),
    np.zeros((50, 2), "<f4").tobytes(),
]


@pytest.mark.parametrize("column", ["vectors", "keys"])
@pytest.mark.parametrize("value", DAMAGES)
def test_damaged_vectors_are_not_found_and_may_be_kept_again(
    full: VectorStore, column: str, value: object
) -> None:
    with closing(sqlite3.connect(full.path)) as connection, connection:
        connection.execute(f"UPDATE blocks SET {column} = ? WHERE id = 2", (value,))
    whole = [*range(50), *range(100, 200)]
    assert found(full, NUMBERS) == whole
    assert found(full, NUMBERS[::-1]) == whole[::-1]
    keep(full, range(50, 100))
    assert found(full, NUMBERS) == list(NUMBERS)


@pytest.mark.parametrize("place", [-1, 1_000_000, 0.5, "x"])
def test_a_damaged_place_is_not_believed(full: VectorStore, place: object) -> None:
    with closing(sqlite3.connect(full.path)) as connection, connection:
        connection.execute("UPDATE texts SET place = ?", (place,))
    assert found(full, NUMBERS) == list(NUMBERS)


@pytest.mark.parametrize("width", [0, -1, 10**12, "x"])
def test_a_damaged_width_is_told(full: VectorStore, width: object) -> None:
    with closing(sqlite3.connect(full.path)) as connection, connection:
        connection.execute("UPDATE spaces SET width = ?", (width,))
    with pytest.raises(StoreError, match="is damaged; delete it"):
        found(full, NUMBERS)
    with pytest.raises(StoreError, match="is damaged; delete it"):
        keep(full, [1])


def test_one_damaged_vector_leaves_the_others_of_its_request(full: VectorStore) -> None:
    content = full.path.read_bytes()
    full.path.write_bytes(content.replace(circle([60]).tobytes(), b"\0\0\xc0\x7f\0\0\0\0"))
    assert found(full, NUMBERS) == [n for n in NUMBERS if n != 60]
    assert found(full, [60]) == []
    keep(full, [60])
    assert found(full, NUMBERS) == list(NUMBERS)


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_file_gives_right_vectors_or_none(full: VectorStore, seed: int) -> None:
    content = bytearray(full.path.read_bytes())
    dice = random.Random(seed)
    used = [place for place, byte in enumerate(content) if byte]
    for place in dice.sample(used, 8):
        content[place] = dice.randrange(256)
    full.path.write_bytes(content)
    acts = (
        lambda: found(full, NUMBERS),
        lambda: found(full, NUMBERS[::-1]),
        lambda: keep(full, [900]),
        full.facts,
        full.clear,
    )
    for act in acts:
        try:
            act()
        except StoreError as error:
            assert "\n" not in str(error)


# -- what the disk does not allow ------------------------------------------------------------


def test_a_file_that_may_not_be_written_is_read_all_the_same(bound_folder: Path) -> None:
    store = VectorStore(bound_folder / "vectors.sqlite")
    keep(store, [1])
    store.path.chmod(0o400)
    assert found(store, [1, 2]) == [1]
    with pytest.raises(StoreError, match="cannot be written; make it and its folder"):
        keep(store, [2])
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o400


def test_a_file_in_a_folder_that_may_not_be_written_is_read_all_the_same(
    bound_folder: Path,
) -> None:
    store = VectorStore(bound_folder / "vectors.sqlite")
    keep(store, [1])
    bound_folder.chmod(0o500)
    assert (found(store, [1, 2]), store.facts().texts) == ([1], 1)
    with pytest.raises(StoreError, match="cannot be written; make it and its folder"):
        keep(store, [2])
    with pytest.raises(StoreError, match=r"cannot be used \(Permission denied\)"):
        keep(VectorStore(bound_folder / "new" / "vectors.sqlite"), [1])


def test_a_file_that_may_not_be_read_is_told(bound_folder: Path) -> None:
    store = VectorStore(bound_folder / "vectors.sqlite")
    keep(store, [1])
    store.path.chmod(0)
    assert refusal(store).startswith("cannot be opened")


def test_what_a_full_disk_does_not_take_harms_nothing(full: VectorStore) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (full.path.stat().st_size + 30_000, limits[1]))
    try:
        with pytest.raises(StoreError, match="see whether the disk is full"):
            keep(full, range(200, 20_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert found(full, range(20_000)) == list(NUMBERS)
    keep(full, [200])
    assert found(full, [200]) == [200]


# -- several at once -------------------------------------------------------------------------


def test_a_file_that_is_locked_for_long_is_told(full: VectorStore) -> None:
    impatient = VectorStore(full.path, busy_timeout_s=0.01)
    with closing(sqlite3.connect(full.path)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert refusal(impatient).startswith("is in use by another program; try again")
    assert found(impatient, [1]) == [1]


def test_a_lock_is_waited_for(full: VectorStore) -> None:
    with closing(sqlite3.connect(full.path, check_same_thread=False)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        timer = threading.Timer(0.1, connection.rollback)
        timer.start()
        keep(full, [900])
        timer.join()
    assert found(full, [900]) == [900]


def test_one_may_ask_while_another_writes(full: VectorStore) -> None:
    with closing(sqlite3.connect(full.path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM blocks")
        assert found(VectorStore(full.path, busy_timeout_s=0), NUMBERS) == list(NUMBERS)


def test_threads_share_a_store(store: VectorStore) -> None:
    seen: list[list[int]] = []

    def work(start: int) -> None:
        for number in range(start, start + 10):
            keep(store, [number, number + 1])
        seen.append(found(store, range(start, start + 11)))

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 80, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(len, seen)) == [11] * 8
    assert found(store, range(81)) == list(range(81))


# What a process of its own begins with: `store`, `keep` and `found` as above.
_BEGIN = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_store import *
store = VectorStore(Path(sys.argv[2]))
"""
_WRITER = """
print("ready", flush=True)
start = int(sys.stdin.readline())
for number in range(start, start + 20):
    keep(store, range(number * 10, number * 10 + 15))
assert found(store, range(start * 10, start * 10 + 205)) == [*range(start * 10, start * 10 + 205)]
"""


def run(script: str, path: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", _BEGIN + script, str(Path(__file__).parent), str(path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_two_notebooks_write_and_read_at_once(store: VectorStore) -> None:
    with run(_WRITER, store.path) as one, run(_WRITER, store.path) as two:
        for process in (one, two):
            assert process.stdout and process.stdout.readline() == "ready\n"
        for process, start in ((one, "0\n"), (two, "10\n")):
            assert process.stdin
            process.stdin.write(start)
            process.stdin.flush()
        codes = [process.wait(60) for process in (one, two)]
    assert codes == [0, 0]
    assert found(store, range(305)) == list(range(305))
    assert store.facts().texts == 305


_FORKS = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # forks beside threads are what this is about
thread = threading.Thread(target=lambda: [keep(store, [number]) for number in range(100)])
thread.start()
children = []
for number in range(1_000, 1_010):
    if (child := os.fork()) == 0:
        keep(store, [number])
        os._exit(0 if found(store, [number]) else 1)
    children.append(child)
thread.join()
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""


def test_forks_write_to_the_same_store(store: VectorStore) -> None:
    with run(_FORKS, store.path) as process:
        try:
            printed, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert printed == f"{[0] * 10}\n"
    assert found(store, [*range(100), *range(1_000, 1_010)]) == [*range(100), *range(1_000, 1_010)]


# Python 3.13 tells of a connection that an interrupt left to be closed with its last reference.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_keeps_all_of_a_request_or_nothing(store: VectorStore) -> None:
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    interrupted = 0
    try:
        for turn in range(40):
            numbers = range(turn * 200, turn * 200 + 200)
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0001 * (turn + 1))
                keep(store, numbers)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                interrupted += 1
            assert len(found(VectorStore(store.path, busy_timeout_s=0), numbers)) in (0, 200)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
