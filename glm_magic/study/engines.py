"""Embeddings in other programs: LanceDB for millions of texts, embedding-atlas for a map to zoom.

Both are extras: they are imported when asked for.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from glm_magic.errors import SettingsError
from glm_magic.study.embeddings import Embeddings
from glm_magic.study.neighbours import nearest
from glm_magic.study.parquet import build_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["open_atlas", "write_lance"]

# How many neighbours of a text the map shows, and of how many texts at most: 5,000 of 1,024
# dimensions take 3 s, and 20,000 half a minute.
_NEIGHBOURS, _LIMIT_TEXTS = 10, 5_000


def write_lance(embeddings: Embeddings, path: Path, table: str) -> Any:
    """Write them into a new table of a LanceDB database; return the table, opened.

    It has the columns of `Embeddings.save`: `text`, `label` where there are labels, and
    `vector`; the schema's metadata tells the model and the endpoint.

    Args:
        path: a folder; it is made where there is none.

    Raises:
        SettingsError: LanceDB is not installed, there are no vectors, the table is there already,
            or it cannot be written.
    """
    lancedb = _import_extra("lancedb", "LanceDB", extra="lance")
    content = build_table(embeddings)
    try:
        database = lancedb.connect(str(path.expanduser()))
        return database.create_table(table, content)
    except (ValueError, RuntimeError, OSError) as error:
        reason = str(error).partition("\n")[0]
        if reason.endswith("already exists"):
            raise SettingsError(
                f'{path} has a table {table!r} already; .to_lance(path, "OTHER") writes another'
            ) from error
        raise SettingsError(f"LanceDB does not write {table!r} to {path}: {reason}") from error


def open_atlas(embeddings: Embeddings, **options: Any) -> Any:
    """Return the widget of embedding-atlas with the texts where `Embeddings.map` puts them.

    It gets the nearest neighbours of each text, too, of 5,000 texts at most.

    Args:
        options: of `EmbeddingAtlasWidget`, in place of ours.

    Raises:
        SettingsError: embedding-atlas is not installed or has no such option, or there are fewer
            than three texts.
    """
    atlas = _import_extra("embedding_atlas.widget", "embedding-atlas", extra="atlas")
    has_neighbours = len(embeddings) <= _LIMIT_TEXTS and "neighbors" not in options
    frame = _build_frame(embeddings, has_neighbours=has_neighbours)
    columns = {name: name for name in ("text", "x", "y", "neighbors") if name in frame}
    try:
        return atlas.EmbeddingAtlasWidget(frame, **{**columns, **options})
    except ValueError as error:
        raise SettingsError(f"embedding-atlas refuses: {error}") from error


def _build_frame(embeddings: Embeddings, *, has_neighbours: bool) -> pd.DataFrame:
    frame: pd.DataFrame = build_table(embeddings).drop_columns(["vector"]).to_pandas()
    points = embeddings.map().points
    columns: dict[str, Any] = {"x": points[:, 0], "y": points[:, 1]}
    if has_neighbours:
        columns["neighbors"] = _find_neighbours(embeddings)
    return frame.assign(**columns)


def _find_neighbours(embeddings: Embeddings) -> list[dict[str, list[Any]]]:
    """What is near each text, in the form of embedding-atlas: positions and distances."""
    vectors = embeddings.vectors
    positions, cosines = nearest(vectors, vectors, _NEIGHBOURS, skip=np.arange(len(vectors)))
    return [
        {"ids": near, "distances": distances}
        for near, distances in zip(positions.tolist(), (1 - cosines).tolist(), strict=True)
    ]


def _import_extra(module: str, name: str, *, extra: str) -> Any:
    install = f"pip install 'glm-magic[{extra}]'"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == module.partition(".")[0]:
            raise SettingsError(f"{name} is not installed; {install}") from error
        raise SettingsError(f"{name} needs {error.name}, which is missing; {install}") from error
    except ImportError as error:
        raise SettingsError(f"{name} does not load here ({error}); {install}") from error
