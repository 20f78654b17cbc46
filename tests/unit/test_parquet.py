"""Embeddings as files: read as they were written, and nothing else is read or written over."""

import json
import os
import pickle
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from glm_magic.api.events import Usage
from glm_magic.errors import SettingsError
from glm_magic.study.embeddings import Embeddings
from glm_magic.study.parquet import load_embeddings, save_embeddings

VECTORS = np.float32([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [-1.0, 0.0]])
FOUR = Embeddings(
    texts=("cat", "猫", "", "cat"),
    vectors=VECTORS,
    model="embedding-3",
    endpoint="api.z.ai",
    usage=Usage(1000, 1, 1001, 5, 2),
    seconds=0.5,
    labels=("a", "b", "c", "d"),
    split=1,
    requests=2,
    recalled=1,
    cut=(1, 3),
    missing=7,
    date="2026-10-01T12:00:00Z",
    billed_in="CNY",
)
PLAIN = Embeddings(("cat", "dog"), VECTORS[:2], "m", "local")


def content_of(embeddings: Embeddings) -> dict[str, object]:
    fields = {name: getattr(embeddings, name) for name in Embeddings.__slots__}
    return fields | {"vectors": embeddings.vectors.tolist()}


def refusal(act: object, *arguments: object) -> str:
    with pytest.raises(SettingsError) as caught:
        act(*arguments)  # type: ignore[operator]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def damage(path: Path, **facts: object) -> Path:
    """Write PLAIN there and say something else of it."""
    table = parquet.read_table(save_embeddings(PLAIN, path))
    content = json.loads(table.schema.metadata[b"glm_magic"]) | facts
    told = {name: fact for name, fact in content.items() if fact is not ...}
    return write(path, table, json.dumps(told).encode())


def write(path: Path, table: pa.Table, facts: bytes) -> Path:
    parquet.write_table(table.replace_schema_metadata({b"glm_magic": facts}), path)
    return path


def write_column(path: Path, name: str, column: pa.Array) -> Path:
    table = parquet.read_table(save_embeddings(PLAIN, path))
    place = table.column_names.index(name)
    return write(path, table.set_column(place, name, column), table.schema.metadata[b"glm_magic"])


@contextmanager
def no_room(size_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# -- there and back ----------------------------------------------------------------------------


@pytest.mark.parametrize("embeddings", [FOUR, PLAIN], ids=["with all", "plain"])
def test_everything_is_read_as_it_was_written(tmp_path: Path, embeddings: Embeddings) -> None:
    loaded = load_embeddings(save_embeddings(embeddings, tmp_path / "e.parquet"))
    assert content_of(loaded) == content_of(embeddings)
    assert loaded.vectors.dtype == np.float32


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(codec=None)), min_size=1, max_size=5))
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    vectors = np.ones((len(texts), 1), np.float32)
    path = tmp_path_factory.mktemp("any") / "e.parquet"
    odd = Embeddings(tuple(texts), vectors, "m", "local", labels=tuple(texts[::-1]))
    loaded = load_embeddings(save_embeddings(odd, path))
    assert (loaded.texts, loaded.labels) == (odd.texts, odd.labels)


def test_more_rows_than_are_read_at_once_keep_their_order(tmp_path: Path) -> None:
    angles = np.arange(20_000, dtype=np.float32)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    many = Embeddings(tuple(map(str, range(20_000))), vectors, "m", "local")
    loaded = load_embeddings(save_embeddings(many, tmp_path / "e.parquet"))
    assert loaded.texts == many.texts
    assert np.array_equal(loaded.vectors, vectors)


def test_halves_of_characters_survive_and_others_see_a_replacement(tmp_path: Path) -> None:
    odd = replace(PLAIN, texts=("cut \ud83d", "\ud83d\ude00"), labels=("\udc80", "plain"))
    path = save_embeddings(odd, tmp_path / "e.parquet")
    assert load_embeddings(path).texts == ("cut \ud83d", "\ud83d\ude00")
    assert load_embeddings(path).labels == ("\udc80", "plain")
    assert pd.read_parquet(path).text.tolist() == ["cut \ufffd", "\ufffd\ufffd"]


def test_other_programs_read_plain_columns(tmp_path: Path) -> None:
    frame = pd.read_parquet(save_embeddings(FOUR, tmp_path / "e.parquet"))
    assert list(frame.columns) == ["text", "label", "vector"]
    assert frame.text.tolist() == ["cat", "猫", "", "cat"]
    assert frame.label.tolist() == ["a", "b", "c", "d"]
    assert frame.vector[1].dtype == np.float32
    assert np.stack(frame.vector).tolist() == VECTORS.tolist()


def test_the_columns_have_their_types(tmp_path: Path) -> None:
    path = save_embeddings(PLAIN, tmp_path / "e.parquet")
    assert [str(kind) for kind in parquet.read_schema(path).types] == [
        "string",
        "fixed_size_list<element: float not null>[2]",
    ]


def test_rows_of_a_larger_matrix_are_saved(tmp_path: Path) -> None:
    part = replace(PLAIN, vectors=np.float64([[1, 9, 0], [0, 9, 1]])[:, ::2])
    loaded = load_embeddings(save_embeddings(part, tmp_path / "e.parquet"))
    assert loaded.vectors.tolist() == [[1.0, 0.0], [0.0, 1.0]]


# -- where it is written -----------------------------------------------------------------------


def test_a_name_without_an_ending_gets_one(tmp_path: Path) -> None:
    assert save_embeddings(PLAIN, tmp_path / "pets") == tmp_path / "pets.parquet"
    assert load_embeddings(tmp_path / "pets").texts == ("cat", "dog")
    assert save_embeddings(PLAIN, tmp_path / "pets.pq") == tmp_path / "pets.pq"


def test_the_home_may_be_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert save_embeddings(PLAIN, Path("~/pets")) == tmp_path / "pets.parquet"
    assert load_embeddings("~/pets").texts == ("cat", "dog")


def test_an_embeddings_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = save_embeddings(FOUR, tmp_path / "e.parquet")
    save_embeddings(PLAIN, path)
    assert load_embeddings(path).texts == ("cat", "dog")
    assert list(tmp_path.iterdir()) == [path]


def test_who_reads_a_file_while_it_is_replaced_reads_the_old_one(tmp_path: Path) -> None:
    path = save_embeddings(FOUR, tmp_path / "e.parquet")
    with path.open("rb") as file:
        save_embeddings(PLAIN, path)
        assert parquet.read_table(file).num_rows == 4


def test_an_empty_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "e.parquet").touch()
    save_embeddings(PLAIN, tmp_path / "e.parquet")
    assert len(load_embeddings(tmp_path / "e.parquet")) == 2


def test_another_file_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    told = f"{path} is no embeddings file of ours; choose another name, or delete it first"
    path.write_text("my thesis")
    assert refusal(save_embeddings, PLAIN, path) == told
    assert path.read_text() == "my thesis"
    pd.DataFrame({"text": ["my data"]}).to_parquet(path)
    assert refusal(save_embeddings, PLAIN, path) == told
    assert pd.read_parquet(path).text.tolist() == ["my data"]


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    assert "is no embeddings file of ours" in refusal(save_embeddings, PLAIN, tmp_path / "..")
    (tmp_path / "e.parquet").mkdir()
    told = refusal(save_embeddings, PLAIN, tmp_path / "e.parquet")
    assert "is no embeddings file of ours" in told


def test_a_disk_without_room_leaves_what_was_there(tmp_path: Path) -> None:
    path = save_embeddings(PLAIN, tmp_path / "e.parquet")
    many = Embeddings(("x",) * 1000, np.ones((1000, 1), np.float32), "m", "local")
    with no_room(2000):
        assert "cannot be written: File too large" in refusal(save_embeddings, many, path)
    assert load_embeddings(path).texts == ("cat", "dog")
    assert list(tmp_path.iterdir()) == [path]


def test_what_only_the_user_may_read_stays_so(tmp_path: Path) -> None:
    path = save_embeddings(PLAIN, tmp_path / "e.parquet")
    path.chmod(0o600)
    save_embeddings(FOUR, path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.parquet").symlink_to(tmp_path / "e.parquet")
    save_embeddings(PLAIN, tmp_path / "link.parquet")
    assert (tmp_path / "link.parquet").is_symlink()
    assert len(load_embeddings(tmp_path / "e.parquet")) == 2


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    told = refusal(save_embeddings, PLAIN, tmp_path / "no" / "e.parquet")
    assert told == f"{tmp_path}/no/e.parquet cannot be written: No such file or directory"


@pytest.mark.parametrize("path", ["a\0b", "~nobody-of-this-name/e.parquet", "loop/e.parquet"])
def test_what_is_no_path_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    assert f"{path!r} is no path of a file" in refusal(save_embeddings, PLAIN, Path(path))
    assert f"{path!r} is no path of a file" in refusal(load_embeddings, path)


@pytest.mark.parametrize("shape", [(0, 0), (0, 2), (2, 0)])
def test_without_vectors_there_is_nothing_to_save(tmp_path: Path, shape: tuple[int, int]) -> None:
    none = Embeddings(("x",) * shape[0], np.empty(shape, np.float32), "m", "local")
    assert refusal(save_embeddings, none, tmp_path / "e") == "there are no vectors to write"
    assert list(tmp_path.iterdir()) == []


# -- what is no such file ----------------------------------------------------------------------


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    told = refusal(load_embeddings, tmp_path / "no.parquet")
    assert told == f"{tmp_path}/no.parquet cannot be read: No such file or directory"
    assert refusal(load_embeddings, tmp_path) == f"{tmp_path} cannot be read: Is a directory"


def test_a_file_of_others_is_told_by_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    pd.DataFrame({"my\ntext": ["a"], "id": [1]}).to_parquet(path)
    told = f"{path} holds no embeddings; its columns are 'my\\ntext', 'id'"
    assert refusal(load_embeddings, path) == told


@pytest.mark.parametrize("content", [b"", b"PAR1", b"text,vector\n", b"PAR1" + b"\xff" * 99])
def test_what_is_no_parquet_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "e.parquet").write_bytes(content)
    told = refusal(load_embeddings, tmp_path / "e.parquet")
    assert told.endswith("e.parquet is no parquet file, or a damaged one")


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = save_embeddings(FOUR, tmp_path / "e.parquet")
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        assert "is no parquet file, or a damaged one" in refusal(load_embeddings, path)


def test_a_flipped_bit_of_a_vector_is_found(tmp_path: Path) -> None:
    path = save_embeddings(PLAIN, tmp_path / "e.parquet")
    whole = path.read_bytes()
    assert whole.count(VECTORS[1].tobytes()) == 1
    path.write_bytes(whole.replace(VECTORS[1].tobytes(), np.float32([0.8, 0.6]).tobytes()))
    assert "damaged" in refusal(load_embeddings, path)


@pytest.mark.parametrize("number", [2, 10**30])
def test_a_newer_format_is_not_guessed_at(tmp_path: Path, number: int) -> None:
    path = damage(tmp_path / "e.parquet", format=number, model=["of", "the", "future"])
    assert "this glm_magic reads format 1; a newer one reads it: `pip install --upgrade" in refusal(
        load_embeddings, path
    )


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"format": ...}, "does not say the number of its format"),
        ({"format": 0}, "does not say the number of its format"),
        ({"format": True}, "does not say the number of its format"),
        ({"format": "1"}, "does not say the number of its format"),
        ({"model": ...}, "does not say its 'model'"),
        ({"model": None}, "has a value of 'model' that cannot be"),
        ({"endpoint": 3}, "has a value of 'endpoint' that cannot be"),
        ({"date": ["x"]}, "has a value of 'date' that cannot be"),
        ({"seconds": "1"}, "has a value of 'seconds' that cannot be"),
        ({"seconds": float("nan")}, "has a value of 'seconds' that cannot be"),
        ({"seconds": float("inf")}, "has a value of 'seconds' that cannot be"),
        ({"usage": [1]}, "has a value of 'usage' that cannot be"),
        ({"usage": {"prompt_tokens": "9"}}, "has a value of 'usage' that cannot be"),
        ({"requests": True}, "has a value of 'requests' that cannot be"),
        ({"recalled": -1}, "has a value of 'recalled' that cannot be"),
        ({"missing": 1.5}, "has a value of 'missing' that cannot be"),
        ({"billed_in": "EUR"}, "has a value of 'billed_in' that cannot be"),
        ({"billed_in": {}}, "has a value of 'billed_in' that cannot be"),
        ({"cut": [-1]}, "has a value of 'cut' that cannot be"),
        ({"cut": [2]}, "speaks of more texts than its 2"),
        ({"split": 3}, "speaks of more texts than its 2"),
        ({"dimensions": 0}, "holds no vectors"),
        ({"dimensions": 3}, "has vectors of 2 numbers, and says 3"),
        ({"dimensions": 2**40}, "has vectors of 2 numbers, and says 1099511627776"),
        ({"surrogates": []}, "has a value of 'surrogates' that cannot be"),
        ({"surrogates": {"text": 3}}, "has surrogates that do not fit"),
        ({"surrogates": {"text": {"x": "00"}}}, "has surrogates that do not fit"),
        ({"surrogates": {"text": {"9": "00"}}}, "has surrogates that do not fit"),
        ({"surrogates": {"text": {"0": "zz"}}}, "has surrogates that do not fit"),
        ({"surrogates": {"text": {"0": 3}}}, "has surrogates that do not fit"),
        ({"surrogates": {"text": {"0": b"dog".hex()}}}, "has surrogates that do not fit"),
    ],
)
def test_what_a_file_says_of_itself_is_checked(
    tmp_path: Path, facts: dict[str, object], words: str
) -> None:
    path = damage(tmp_path / "e.parquet", **facts)
    told = refusal(load_embeddings, path)
    assert told.startswith(f"{path} {words}")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (b"{", "has metadata that is no JSON"),
        (b"\xff\xfe\xfd", "has metadata that is no JSON"),
        (b"[" * 100_000, "has metadata that is no JSON"),
        (b"1" * 10_000, "has metadata that is no JSON"),
        (b"[]", "does not say the number of its format"),
    ],
)
def test_metadata_of_no_use_is_refused(tmp_path: Path, facts: bytes, words: str) -> None:
    path = write(tmp_path / "e.parquet", pa.table({"text": ["a"]}), facts)
    assert words in refusal(load_embeddings, path)


def test_what_a_later_version_adds_is_passed_over(tmp_path: Path) -> None:
    path = damage(tmp_path / "e.parquet", mood="good", usage={"prompt_tokens": 3, "odd_tokens": 4})
    assert load_embeddings(path).usage == Usage(3)


# -- what its columns hold ---------------------------------------------------------------------


def vector_column(rows: list[object], kind: pa.DataType | None = None) -> pa.Array:
    return pa.array(rows, kind or pa.list_(pa.float32(), 2))


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (vector_column([[1, 0], [float("nan"), 1]]), "zero or not finite, in row 1"),
        (vector_column([[float("inf"), 0], [0, 1]]), "zero or not finite, in row 0"),
        (vector_column([[1, 0], [0, 0]]), "zero or not finite, in row 1"),
        (vector_column([[1, 0], None]), "damaged"),
        (vector_column([[1, 0], [1, None]]), "a vector with a number missing"),
        (vector_column([[1], [1]], pa.list_(pa.float32(), 1)), "vectors of 1 numbers, and says 2"),
        (vector_column([[1, 0], [1]], pa.list_(pa.float32())), "has no lists of float32"),
        (vector_column([[1, 0], [0, 1]], pa.list_(pa.float64(), 2)), "has no lists of float32"),
        (pa.array([b"1", b"2"]), "has no lists of float32"),
    ],
)
def test_vectors_that_are_none_are_refused(tmp_path: Path, column: pa.Array, words: str) -> None:
    path = write_column(tmp_path / "e.parquet", "vector", column)
    assert words in refusal(load_embeddings, path)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pa.array([1, 2]), "has no strings as its column 'text'"),
        (pa.array(["a", "b"]).dictionary_encode(), "has no strings as its column 'text'"),
        (pa.array(["a", None]), "has a row without a text"),
        (
            pa.StringArray.from_buffers(
                2, pa.py_buffer(np.int32([0, 1, 2])), pa.py_buffer(b"\xff\xfe")
            ),
            "is no parquet file, or a damaged one",
        ),
    ],
)
def test_texts_that_are_none_are_refused(tmp_path: Path, column: pa.Array, words: str) -> None:
    path = write_column(tmp_path / "e.parquet", "text", column)
    assert words in refusal(load_embeddings, path)


def test_a_wrong_vector_is_told_by_its_row(tmp_path: Path) -> None:
    vectors = np.ones((9_000, 1), np.float32)
    vectors[8_765] = 0
    many = Embeddings(("x",) * 9_000, vectors, "m", "local")
    path = save_embeddings(many, tmp_path / "e.parquet")
    assert refusal(load_embeddings, path).endswith("zero or not finite, in row 8,765")


@pytest.mark.parametrize(("claim", "words"), [(1, "another number of rows"), (3, "damaged")])
def test_a_file_with_another_number_of_rows_than_it_says_is_refused(
    tmp_path: Path, claim: int, words: str
) -> None:
    path = save_embeddings(PLAIN, tmp_path / "e.parquet")
    whole, count = path.read_bytes(), b"\x16%c\x19\x1c"  # num_rows in Thrift, then row_groups
    assert whole.count(count % 4) == 1
    path.write_bytes(whole.replace(count % 4, count % (2 * claim)))
    assert words in refusal(load_embeddings, path)


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    table = parquet.read_table(save_embeddings(PLAIN, tmp_path / "e.parquet"))
    path = write(tmp_path / "e.parquet", table[:0], table.schema.metadata[b"glm_magic"])
    assert refusal(load_embeddings, path) == f"{path} holds no vectors"


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = parquet.read_table(save_embeddings(PLAIN, tmp_path / "e.parquet"))
    twice = table.append_column("text", table.column("text"))
    path = write(tmp_path / "e.parquet", twice, table.schema.metadata[b"glm_magic"])
    assert "has two columns of one name" in refusal(load_embeddings, path)


def test_a_column_of_the_users_own_is_passed_over(tmp_path: Path) -> None:
    table = parquet.read_table(save_embeddings(PLAIN, tmp_path / "e.parquet"))
    more = table.append_column("rating", pa.array([1, 2]))
    path = write(tmp_path / "e.parquet", more, table.schema.metadata[b"glm_magic"])
    assert load_embeddings(path).texts == ("cat", "dog")


def test_vectors_get_length_1_only_where_rounding_does_not_explain_it(tmp_path: Path) -> None:
    column = vector_column([[3, 4], [0.6, np.float32(0.8000001)]])
    loaded = load_embeddings(write_column(tmp_path / "e.parquet", "vector", column))
    assert loaded.vectors[0].tolist() == pytest.approx([0.6, 0.8])
    assert loaded.vectors[1].tolist() == [np.float32(0.6), np.float32(0.8000001)]


def test_a_small_file_that_claims_much_is_refused(tmp_path: Path) -> None:
    path = save_embeddings(PLAIN, tmp_path / "e.parquet")
    facts = parquet.read_schema(path).metadata[b"glm_magic"]
    bomb = pa.table({"text": [""] * 100_000, "vector": vector_column([[1, 0]] * 100_000)})
    write(path, bomb, facts)
    assert "is too small for the 100,000 vectors that it claims" in refusal(load_embeddings, path)


class _Attack:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["text", "extra"])
def test_nothing_in_a_file_is_run(tmp_path: Path, name: str) -> None:
    attack = pickle.dumps(_Attack(tmp_path / "pwned"))
    pickle.loads(attack)
    (tmp_path / "pwned").rmdir()  # it would work
    table = parquet.read_table(save_embeddings(PLAIN, tmp_path / "e.parquet"))
    field = pa.field(
        name,
        pa.string(),
        metadata={
            "ARROW:extension:name": "arrow.py_extension_type",
            "ARROW:extension:metadata": attack,
        },
    )
    column = pa.array(["cat", "dog"])
    others = table if name == "extra" else table.drop_columns([name])
    path = tmp_path / "e.parquet"
    write(path, others.append_column(field, column), table.schema.metadata[b"glm_magic"])
    assert b"py_extension_type" in str(parquet.read_schema(path).field(name).metadata).encode()
    assert load_embeddings(path).texts == ("cat", "dog")
    assert not (tmp_path / "pwned").exists()
