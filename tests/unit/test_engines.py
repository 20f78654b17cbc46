"""Embeddings in LanceDB and embedding-atlas, where these are installed."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from glm_magic.errors import SettingsError
from glm_magic.study.embeddings import Embeddings

VECTORS = np.float32([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [-1.0, 0.0]])
FOUR = Embeddings(("cat", "猫", "dog", "tax"), VECTORS, "embedding-3", "api.z.ai")


def refusal(act: object, *arguments: object, **options: object) -> str:
    with pytest.raises(SettingsError) as caught:
        act(*arguments, **options)  # type: ignore[operator]
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.skipif(find_spec("lancedb") is not None, reason="LanceDB is installed")
def test_without_lancedb_its_extra_is_named(tmp_path: Path) -> None:
    told = "LanceDB is not installed; pip install 'glm-magic[lance]'"
    assert refusal(FOUR.to_lance, tmp_path) == told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(find_spec("embedding_atlas") is not None, reason="embedding-atlas is installed")
def test_without_embedding_atlas_its_extra_is_named() -> None:
    told = "embedding-atlas is not installed; pip install 'glm-magic[atlas]'"
    assert refusal(FOUR.atlas) == told


# -- LanceDB -----------------------------------------------------------------------------------


def test_lance_finds_the_same_as_nearest(tmp_path: Path) -> None:
    pytest.importorskip("lancedb")
    numbers = np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32)
    vectors = numbers / np.linalg.norm(numbers, axis=1, keepdims=True)
    many = Embeddings(tuple(f"text {i}" for i in range(200)), vectors, "m", "local")
    table = many.to_lance(tmp_path / "db")
    found = table.search(many.vectors[0]).metric("cosine").limit(6).to_pandas()
    near = many.nearest(0, 5)
    assert found.text.tolist() == ["text 0", *near.text]
    assert (1 - found._distance).tolist() == pytest.approx([1.0, *near.similarity], abs=1e-5)


def test_lance_has_the_columns_of_a_saved_file_and_where_they_are_from(tmp_path: Path) -> None:
    pytest.importorskip("lancedb")
    table = replace(FOUR, labels=("a", "b", "c", "d\ud83d")).to_lance(tmp_path, "animals")
    assert table.name == "animals"
    frame = table.to_pandas()
    assert list(frame.columns) == ["text", "label", "vector"]
    assert frame.label.tolist() == ["a", "b", "c", "d\ufffd"]
    assert np.stack(frame.vector).tolist() == VECTORS.tolist()
    assert str(table.schema.field("vector").type) == "fixed_size_list<item: float>[2]"
    assert b'"model": "embedding-3", "endpoint": "api.z.ai"' in table.schema.metadata[b"glm_magic"]


def test_a_table_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    pytest.importorskip("lancedb")
    table = FOUR.to_lance(tmp_path)
    told = refusal(replace(FOUR, texts=("1", "2", "3", "4")).to_lance, tmp_path)
    assert told.endswith(
        "has a table 'embeddings' already; .to_lance(path, \"OTHER\") writes another"
    )
    assert table.to_pandas().text.tolist() == ["cat", "猫", "dog", "tax"]


def test_what_lance_refuses_is_told_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("lancedb")
    assert "Invalid table name" in refusal(FOUR.to_lance, tmp_path, "two\nlines")
    (tmp_path / "file").touch()
    assert "File exists" in refusal(FOUR.to_lance, tmp_path / "file")
    assert "null byte" in refusal(FOUR.to_lance, tmp_path / "a\0b")
    none = replace(FOUR, texts=(), vectors=VECTORS[:0])
    assert refusal(none.to_lance, tmp_path) == "there are no vectors to write"


# -- embedding-atlas ---------------------------------------------------------------------------

# embedding-atlas 0.26 calls a method that DuckDB 2 has another name for.
asks_duckdb = pytest.mark.filterwarnings("ignore:fetch_arrow_reader:DeprecationWarning")


@asks_duckdb
def test_the_atlas_has_the_texts_on_the_map_and_what_is_near_them() -> None:
    pytest.importorskip("embedding_atlas.widget")
    labelled = replace(FOUR, labels=("a", "b", "c", "d"))
    frame = labelled.atlas().selection()
    assert frame.text.tolist() == ["cat", "猫", "dog", "tax"]
    assert frame.label.tolist() == ["a", "b", "c", "d"]
    assert frame[["x", "y"]].to_numpy().tolist() == labelled.map().points.tolist()
    near = frame.neighbors[0]
    assert list(near["ids"]) == [1, 2, 3]
    assert [float(x) for x in near["distances"]] == pytest.approx([0.4, 1.0, 2.0])


@asks_duckdb
def test_the_atlas_is_told_its_columns_and_takes_options() -> None:
    pytest.importorskip("embedding_atlas.widget")
    assert FOUR.atlas(point_size=3.0)._props == {
        "data": {
            "table": "embedding_atlas",
            "id": "__row_index__",
            "projection": {"x": "x", "y": "y"},
            "text": "text",
            "neighbors": "neighbors",
        },
        "embeddingViewConfig": {"pointSize": 3.0},
    }
    assert "neighbors" not in FOUR.atlas(neighbors=None).selection()


def test_of_very_many_texts_the_atlas_shows_no_neighbours() -> None:
    pytest.importorskip("embedding_atlas.widget")
    many = Embeddings(("x",) * 5_001, np.tile(VECTORS, (1251, 1))[:5_001], "m", "local")
    assert "neighbors" not in many.atlas()._props["data"]


def test_an_option_that_the_atlas_does_not_have_is_refused() -> None:
    pytest.importorskip("embedding_atlas.widget")
    told = refusal(FOUR.atlas, colour="red")
    assert told.startswith("embedding-atlas refuses: ") and "colour" in told


@asks_duckdb
def test_halves_of_characters_do_not_stop_the_atlas() -> None:
    pytest.importorskip("embedding_atlas.widget")
    odd = replace(FOUR, texts=("cat\ud83d", "nul\0", "", "<b>tax</b>"))
    assert odd.atlas().selection().text.tolist() == ["cat\ufffd", "nul\0", "", "<b>tax</b>"]
