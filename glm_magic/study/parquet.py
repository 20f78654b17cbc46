"""Embeddings in a parquet file, with their texts and where they are from.

Other programs read plain columns: `text`, `label` where there are labels, and `vector`. The rest
is JSON in the file's metadata; its format has a number, and a newer one is not guessed at.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, get_args

import numpy as np

from glm_magic.api.embedding import unit_vectors
from glm_magic.api.events import Usage
from glm_magic.api.tables import Currency
from glm_magic.errors import SettingsError
from glm_magic.study.embeddings import Embeddings, FloatArray

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

__all__ = ["build_table", "load_embeddings", "save_embeddings"]

_KEY, _FORMAT = b"glm_magic", 1
_SUFFIX = ".parquet"
# Rows that are read or written at once: 32 MB of 1,024 dimensions.
_BATCH_ROWS = 8_192
# Vectors hardly get smaller: zstd saved 7 % of 100,000 x 1,024, and 16 % with the bytes of a number
# apart, and took twice as long to write (pyarrow 26.0.1). Texts do.
_COMPRESSION = {"text": "zstd", "label": "zstd", "vector.list.element": "none"}
# How many times its size a file may claim to hold in vectors: ours hold no more than their size.
_LIMIT_RATIO = 64
# What the length of a vector is off by that was 1 before it was rounded to float32.
_ROUNDING = 1e-6
_LIMIT_COUNT = 2**63
_SURROGATE = re.compile("[\ud800-\udfff]")


class _Unfit(Exception):
    """What is wrong with a file, as the words that follow its name."""


# -- writing ---------------------------------------------------------------------------------


def save_embeddings(embeddings: Embeddings, path: Path) -> Path:
    """Write them to a parquet file, whole or not at all; return its path.

    Args:
        path: `.parquet` is added where its name has no ending. An embeddings file that is there
            already is replaced.

    Raises:
        SettingsError: there is nothing to write, another file has the name, or it cannot be
            written.
    """
    path = _with_suffix(_checked_path(path))
    try:
        if path.exists() and not _is_ours(path):
            raise SettingsError(
                f"{path} is no embeddings file of ours; choose another name, or delete it first"
            )
        _replace(path.resolve(), build_table(embeddings))
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def build_table(embeddings: Embeddings) -> pa.Table:
    """Return them as an Arrow table, the vectors without a copy.

    Columns `text`, `label` where there are labels, and `vector`; the metadata as in the file.
    Arrow's text is UTF-8: halves of surrogate pairs are U+FFFD in it.

    Raises:
        SettingsError: there are no vectors.
    """
    import pyarrow as pa

    if not embeddings.vectors.size:  # lists of no numbers end the process (pyarrow 26.0.1)
        raise SettingsError("there are no vectors to write")
    vectors = np.ascontiguousarray(embeddings.vectors, dtype=np.float32)
    item = pa.field("element", pa.float32(), nullable=False)
    columns = {name: _string_array(texts) for name, texts in _text_columns(embeddings).items()}
    columns["vector"] = pa.FixedSizeListArray.from_arrays(
        pa.array(vectors.reshape(-1)), type=pa.list_(item, vectors.shape[1])
    )
    fields = [pa.field(name, column.type, nullable=False) for name, column in columns.items()]
    schema = pa.schema(fields, metadata={_KEY: json.dumps(_build_facts(embeddings)).encode()})
    return pa.table(columns, schema=schema)


def _text_columns(embeddings: Embeddings) -> dict[str, tuple[str, ...]]:
    labels = {"label": embeddings.labels} if embeddings.labels else {}
    return {"text": embeddings.texts, **labels}


def _string_array(texts: Sequence[str]) -> pa.Array:
    import pyarrow as pa

    return pa.array([_replace_surrogates(text) for text in texts], pa.string())


def _replace_surrogates(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)


def _build_facts(embeddings: Embeddings) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "model": embeddings.model,
        "endpoint": embeddings.endpoint,
        "dimensions": embeddings.dimensions,
        "date": embeddings.date,
        "usage": asdict(embeddings.usage),
        "seconds": embeddings.seconds,
        "split": embeddings.split,
        "requests": embeddings.requests,
        "recalled": embeddings.recalled,
        "cut": [int(position) for position in embeddings.cut],
        "missing": embeddings.missing,
        "asked": embeddings.asked,
        "cut_from": embeddings.cut_from,
        "billed_in": embeddings.billed_in,
        "surrogates": {
            name: _build_surrogates(texts) for name, texts in _text_columns(embeddings).items()
        },
    }


def _build_surrogates(texts: Sequence[str]) -> dict[str, str]:
    """The texts that UTF-8 cannot hold, by position, as the hexadecimal of what it would be."""
    return {
        str(position): text.encode("utf-8", "surrogatepass").hex()
        for position, text in enumerate(texts)
        if _SURROGATE.search(text)
    }


def _replace(path: Path, table: pa.Table) -> None:
    # In the same folder, for only within one file system is a file moved in one step.
    with tempfile.TemporaryDirectory(
        dir=path.parent, prefix=".saving-", ignore_cleanup_errors=True
    ) as folder:
        part = Path(folder) / path.name
        with part.open("xb") as file:
            _write(table, file)
        if path.exists():
            shutil.copymode(path, part)
        part.replace(path)


def _write(table: pa.Table, file: BinaryIO) -> None:
    from pyarrow import parquet

    names = [name for name in table.column_names if name != "vector"]
    columns = [*names, "vector.list.element"]
    parquet.write_table(
        table,
        file,
        row_group_size=_BATCH_ROWS,
        use_dictionary=names,
        write_statistics=False,
        write_page_checksum=True,
        compression={column: _COMPRESSION[column] for column in columns},
    )


def _is_ours(path: Path) -> bool:
    """Whether it has our metadata, or nothing in it."""
    import pyarrow as pa
    from pyarrow import parquet

    if not path.is_file():
        return False
    with path.open("rb") as file:
        try:
            return not path.stat().st_size or _KEY in (parquet.read_metadata(file).metadata or {})
        except (pa.ArrowException, OSError):
            return False


# -- reading ---------------------------------------------------------------------------------


def load_embeddings(path: str | Path) -> Embeddings:
    """Return what `Embeddings.save` wrote.

    Args:
        path: `.parquet` is added where its name has no ending and there is no such file.

    Raises:
        SettingsError: the file cannot be read, holds no embeddings, is of a newer format, or is
            damaged.
    """
    path = _checked_path(path)
    path = path if path.exists() else _with_suffix(path)
    with _failures(path), path.open("rb") as file:
        return _read(file)


def _checked_path(path: str | Path) -> Path:
    """Return it with the user's home in place of `~`."""
    try:
        path = Path(path).expanduser()
        path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # no home, links in a circle, a NUL
        raise SettingsError(f"{str(path)!r} is no path of a file: {error}") from error
    return path


def _with_suffix(path: Path) -> Path:
    is_folder = path.name in ("", "..")
    return path if path.suffix or is_folder else path.with_suffix(_SUFFIX)


@contextmanager
def _failures(path: Path) -> Iterator[None]:
    """Tell in one line what fails inside."""
    import pyarrow as pa

    try:
        yield
    except _Unfit as error:
        raise SettingsError(f"{path} {error}") from error
    except MemoryError as error:
        raise SettingsError(f"{path} cannot be read: there is not enough memory") from error
    except (pa.ArrowException, UnicodeError, OSError) as error:
        # Arrow has errors of the system's kind, too, without their words.
        if isinstance(error, OSError) and error.strerror:
            raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
        raise SettingsError(f"{path} is no parquet file, or a damaged one") from error


def _read(file: BinaryIO) -> Embeddings:
    from pyarrow.parquet import ParquetFile

    # Buffering ahead would read the whole file before the first row.
    with ParquetFile(file, pre_buffer=False, page_checksum_verification=True) as content:
        facts = _parse_facts(content)
        _check_columns(content, facts["dimensions"])
        _check_claim(content, facts["dimensions"], size_bytes=file.seek(0, 2))
        columns, vectors = _read_rows(content, facts["dimensions"])
    for name, texts in columns.items():
        _restore_surrogates(texts, facts["surrogates"].get(name, {}))
    return Embeddings(
        texts=tuple(columns["text"]),
        labels=tuple(columns.get("label", ())),
        vectors=vectors,
        usage=Usage(**{n: facts["usage"].get(n, 0) for n in Usage.__slots__}),
        cut=tuple(facts["cut"]),
        **{name: facts[name] for name in _PLAIN_FACTS},
    )


def _parse_facts(content: ParquetFile) -> dict[str, Any]:
    metadata = content.metadata.metadata or {}
    if _KEY not in metadata:
        names = ", ".join(f"{name!r:.40}" for name in content.schema_arrow.names[:10])
        raise _Unfit(f"holds no embeddings; its columns are {names}")
    try:
        facts = json.loads(metadata[_KEY])
    except (ValueError, RecursionError) as error:
        raise _Unfit("has metadata that is no JSON; it is damaged") from error
    facts = facts if isinstance(facts, dict) else {}
    _check_format(facts.get("format"))
    _check_facts(facts, content.metadata.num_rows)
    return facts


def _check_format(number: object) -> None:
    if type(number) is not int or number < 1:
        raise _Unfit("does not say the number of its format; it is damaged")
    if number != _FORMAT:
        raise _Unfit(
            f"is of format {number!r:.20}, and this glm_magic reads format {_FORMAT}; a newer one "
            "reads it: `pip install --upgrade glm-magic`"
        )


def _check_facts(facts: Mapping[str, Any], rows: int) -> None:
    for name, is_right in _CHECKS.items():
        if name not in facts:
            raise _Unfit(f"does not say its {name!r}; it is damaged")
        if not is_right(facts[name]):
            raise _Unfit(f"has a value of {name!r} that cannot be; it is damaged")
    if not facts["dimensions"] or rows < 1:
        raise _Unfit("holds no vectors")
    if any(position >= rows for position in facts["cut"]) or (facts["split"] or 0) > rows:
        raise _Unfit(f"speaks of more texts than its {rows:,}; it is damaged")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < _LIMIT_COUNT


def _is_duration(value: object) -> bool:
    return _is_count(value) or (type(value) is float and 0 <= value < _LIMIT_COUNT)


def _are_counts(values: object) -> bool:
    return isinstance(values, list) and all(_is_count(value) for value in values)


def _is_usage(value: object) -> bool:
    return isinstance(value, dict) and _are_counts(list(value.values()))


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


_PLAIN_FACTS: dict[str, Callable[[object], bool]] = {
    "model": _is_text,
    "endpoint": _is_text,
    "date": _is_text,
    "seconds": _is_duration,
    "split": lambda value: value is None or _is_count(value),
    "requests": _is_count,
    "recalled": _is_count,
    "missing": _is_count,
    "asked": lambda value: value is None or _is_count(value),
    "cut_from": lambda value: value is None or _is_count(value),
    "billed_in": lambda value: value is None or value in get_args(Currency),
}
_CHECKS: dict[str, Callable[[object], bool]] = {
    **_PLAIN_FACTS,
    "dimensions": _is_count,
    "usage": _is_usage,
    "cut": _are_counts,
    "surrogates": _is_object,
}


def _check_columns(content: ParquetFile, dimensions: int) -> None:
    """Refuse all types but those that are written: an extension type is none of them."""
    import pyarrow as pa

    schema = content.schema_arrow
    types = dict(zip(schema.names, schema.types, strict=True))
    if len(types) != len(schema.names):
        raise _Unfit("has two columns of one name; it is damaged")
    for name in {"text", "label"} & {"text", *types}:
        if types.get(name) not in (pa.string(), pa.large_string()):
            raise _Unfit(f"has no strings as its column {name!r}; it is damaged")
    kind = types.get("vector")
    if not isinstance(kind, pa.FixedSizeListType) or kind.value_type != pa.float32():
        raise _Unfit("has no lists of float32, all of one size, as its column 'vector'")
    if kind.list_size != dimensions:
        raise _Unfit(
            f"has vectors of {kind.list_size} numbers, and says {dimensions}; it is damaged"
        )


def _check_claim(content: ParquetFile, dimensions: int, *, size_bytes: int) -> None:
    if content.metadata.num_rows * dimensions * 4 > _LIMIT_RATIO * size_bytes:
        raise _Unfit(f"is too small for the {content.metadata.num_rows:,} vectors that it claims")


def _read_rows(content: ParquetFile, dimensions: int) -> tuple[dict[str, list[str]], FloatArray]:
    names = [name for name in ("text", "label") if name in content.schema_arrow.names]
    columns: dict[str, list[str]] = {name: [] for name in names}
    vectors = np.empty((content.metadata.num_rows, dimensions), dtype=np.float32)
    end = 0
    for batch in content.iter_batches(_BATCH_ROWS, columns=[*names, "vector"]):
        for name in names:
            columns[name] += _parse_strings(batch.column(name))
        start, end = end, end + batch.num_rows
        if end > len(vectors):
            break
        vectors[start:end] = _parse_vectors(batch.column("vector"), start, dimensions)
    if end != len(vectors):
        raise _Unfit("has another number of rows than it says; it is damaged")
    return columns, vectors


def _parse_strings(column: pa.Array) -> list[str]:
    if column.null_count:
        raise _Unfit("has a row without a text; it is damaged")
    texts: list[str] = column.to_pylist()
    return texts


def _parse_vectors(column: pa.Array, start: int, dimensions: int) -> FloatArray:
    numbers = column.flatten()
    if column.null_count or numbers.null_count:
        raise _Unfit("has a vector with a number missing; it is damaged")
    vectors: FloatArray = numbers.to_numpy().reshape(-1, dimensions)
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    wrong = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if wrong.size:
        raise _Unfit(f"has a vector that is zero or not finite, in row {start + wrong[0]:,}")
    off = np.abs(lengths - 1) > _ROUNDING
    if off.any():
        vectors = vectors.copy()
        vectors[off] = unit_vectors(vectors[off])
    return vectors


def _restore_surrogates(texts: list[str], packed: Mapping[str, str]) -> None:
    try:
        for position, code in packed.items():
            text = bytes.fromhex(code).decode("utf-8", "surrogatepass")
            if _replace_surrogates(text) != texts[int(position)]:
                raise ValueError(position)
            texts[int(position)] = text
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        raise _Unfit("has surrogates that do not fit its texts; it is damaged") from error
