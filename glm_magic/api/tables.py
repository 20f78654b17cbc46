"""The tables of the catalog as files: models, their prices, and prices of searches.

data/models.csv is from the platform's documents (October 2026), data/prices.csv and
data/search_prices.csv are from its price lists; each price has the month it was read in, since
prices change monthly. A folder of the user's own may have newer ones: see `use_tables`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal, NoReturn, cast, get_args

from glm_magic.errors import SettingsError

Currency = Literal["CNY", "USD"]
# "auto": the model decides, unless a request switches it off; "on": it thinks, unless a request
# switches it off; "forced": it thinks, and a request that switches it off is refused, or nobody
# has told that it can be.
Thinking = Literal["no", "auto", "on", "forced"]


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens cost; a model has several where the price depends on the request.

    Attributes:
        input: of the prompt.
        output: of the answer, reasoning included; None where there is none or no price is known.
        cached: of the part of a prompt that was sent before; None as `output`.
        note: when it applies, or where it is from; "" for always.
        read: when the price list was read, "2026-08" or "2026".
    """

    currency: Currency
    input: float
    output: float | None
    cached: float | None
    note: str
    read: str

    @property
    def is_free(self) -> bool:
        """Whether it costs nothing."""
        return not (self.input or self.output or self.cached)


@dataclass(frozen=True, slots=True)
class SearchPrice:
    """What one search of the web costs; `note` and `read` as in `Price`."""

    currency: Currency
    amount: float
    note: str
    read: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model; None is what nobody has told.

    Attributes:
        is_known: whether the catalog has it.
        is_listed: whether the endpoint's own list has it; None without such a list.
    """

    id: str
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    vision: bool | None = None
    thinking: Thinking | None = None
    free: bool | None = None
    prices: tuple[Price, ...] = ()
    is_known: bool = True
    is_listed: bool | None = None


def read_table(name: str) -> list[dict[str, str]]:
    """Return the rows of our own `data/NAME.csv`."""
    return list(csv.DictReader(_own_text(name).splitlines()))


def _own_text(name: str) -> str:
    return files("glm_magic.api").joinpath("data", f"{name}.csv").read_text("utf-8")


_COLUMNS = {
    "models": ("id", "kind", "context_tokens", "max_output_tokens", "vision", "thinking", "free"),
    "prices": ("model", "currency", "input", "output", "cached", "note", "read"),
    "search_prices": ("engine", "currency", "price", "note", "read"),
}
_FILES = "models.csv, prices.csv or search_prices.csv"
# Ids have at most some forty; paths of models on a server of one's own are longer.
_LIMIT_ID_CHARACTERS = 256
_DATE = re.compile(r"\d{4}(-\d\d){0,2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tables:
    """The catalog by id and engine in lower case; the models are without their prices."""

    models: Mapping[str, Model]
    prices: Mapping[str, tuple[Price, ...]]
    searches: Mapping[tuple[str, Currency], SearchPrice]

    def under(self, other: Tables) -> Tables:
        """Return these tables with what the other ones have in place of it."""
        return Tables(
            {**self.models, **other.models},
            {**self.prices, **{name: self._prices_under(other, name) for name in other.prices}},
            {**self.searches, **other.searches},
        )

    def _prices_under(self, other: Tables, model: str) -> tuple[Price, ...]:
        replaced = {price.currency for price in other.prices[model]}
        kept = (price for price in self.prices.get(model, ()) if price.currency not in replaced)
        return (*kept, *other.prices[model])


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The tables of a folder, alone and over our own."""

    own: Tables
    all: Tables


_chosen: _Chosen | None = None


def use_tables(folder: Path | None) -> None:
    """Put the tables of a folder before our own, for the whole process; None goes back to ours.

    The folder has models.csv, prices.csv, search_prices.csv or some of them, in UTF-8, with the
    columns of ours. A model's row takes the place of ours or is new; the prices of a model take
    the place of all of ours in their currency, and a search's price that of its engine's. In a
    price's note "in < 32K, out >= 0.2K" means when it holds, in thousands of tokens.

    The files are read now and not again. As with `mimetypes.init`, whoever asks the catalog in
    this process gets the same answer.

    Raises:
        SettingsError: the folder has none of the files, or one that cannot be read or has
            something wrong in it; the line of it is named, and nothing was changed.
    """
    global _chosen
    _chosen = None if folder is None else read_tables(folder)


def read_tables(folder: Path) -> _Chosen:
    """Read the tables of a folder and put them before our own, without using them.

    Raises:
        SettingsError: as `use_tables`.
    """
    own = _folder_tables(folder)
    return _Chosen(own, _own_tables().under(own))


def currency_of_own(model: str) -> Currency | None:
    """Return the currency in which the user's own prices have a model; None if they have none."""
    prices = _chosen.own.prices.get(model.lower(), ()) if _chosen else ()
    return prices[0].currency if prices else None


def tables_in_use() -> Tables:
    """Return the tables that hold now."""
    return _chosen.all if _chosen else _own_tables()


@cache
def _own_tables() -> Tables:
    return _parse_tables({name: _own_text(name) for name in _COLUMNS}, Path("data"))


def _folder_tables(folder: Path) -> Tables:
    try:
        if not folder.is_dir():
            raise SettingsError(f"{str(folder)!r} is no folder; one with {_FILES} is expected")
        present = [name for name in _COLUMNS if (folder / f"{name}.csv").exists()]
        texts = {name: _read_text(folder / f"{name}.csv") for name in present}
    except OSError as error:
        place = str(error.filename or folder)
        raise SettingsError(f"{place!r} cannot be read: {error.strerror}") from error
    if not texts:
        raise SettingsError(f"{str(folder)!r} has no file of the catalog; {_FILES} is expected")
    return _parse_tables(texts, folder)


def _read_text(path: Path) -> str:
    content = path.read_bytes()
    try:
        # Spreadsheets put a byte order mark in front.
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{str(path)!r}, line {line}: UTF-8 is expected") from error


def _parse_tables(texts: Mapping[str, str], folder: Path) -> Tables:
    rows = {name: list(_rows(name, text, folder)) for name, text in texts.items()}
    prices: dict[str, tuple[Price, ...]] = {}
    for row in rows.get("prices", ()):
        model = row.name("model").lower()
        prices[model] = (*prices.get(model, ()), _parse_price(row))
    models = {row.name("id").lower(): _parse_model(row) for row in rows.get("models", ())}
    searches = [(row.name("engine"), _parse_search(row)) for row in rows.get("search_prices", ())]
    by_engine = {(engine.lower(), price.currency): price for engine, price in searches}
    return Tables(models, prices, by_engine)


def _rows(name: str, text: str, folder: Path) -> Iterator[_Row]:
    columns, path = _COLUMNS[name], str(folder / f"{name}.csv")
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        if sorted(reader.fieldnames or ()) != sorted(columns):
            raise SettingsError(f"{path!r}, line 1: the columns {','.join(columns)} are expected")
        for cells in reader:
            place = f"{path!r}, line {reader.line_num}"
            if None in cells or None in cells.values():
                raise SettingsError(f"{place}: {len(columns)} columns are expected, as in line 1")
            yield _Row(cells, place)
    except csv.Error as error:
        raise SettingsError(f"{path!r}, line {reader.line_num}: no CSV: {error}") from error


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a table, read cell by cell: what is wrong in it is said with its place."""

    cells: Mapping[str, str]
    place: str

    def text(self, column: str) -> str:
        return self.cells[column].strip()

    def name(self, column: str) -> str:
        text = self.text(column)
        return text if is_id(text) else self._refuse(column, "a name")

    def date(self, column: str) -> str:
        text = self.text(column)
        return text if _DATE.fullmatch(text) else self._refuse(column, "a month such as 2026-08")

    def choice(self, column: str, allowed: Sequence[str]) -> str:
        text = self.text(column)
        return text if text in allowed else self._refuse(column, " or ".join(allowed))

    def choice_or_none(self, column: str, allowed: Sequence[str]) -> str | None:
        return self.choice(column, allowed) if self.text(column) else None

    def number(self, column: str) -> float:
        try:
            number = float(self.text(column))
        except ValueError:
            number = -1.0
        return number if 0 <= number < float("inf") else self._refuse(column, "a number from 0 on")

    def number_or_none(self, column: str) -> float | None:
        return self.number(column) if self.text(column) else None

    def count_or_none(self, column: str) -> int | None:
        text = self.text(column)
        if text and not (text.isascii() and text.isdigit() and len(text) < 10):
            self._refuse(column, "a whole number")
        return int(text) if text else None

    def flag(self, column: str) -> bool | None:
        word = self.choice_or_none(column, ("yes", "no"))
        return word == "yes" if word else None

    def _refuse(self, column: str, expected: str) -> NoReturn:
        shown = self.text(column)[:40]
        raise SettingsError(f"{self.place}: {column} is {shown!r}; {expected} is expected")


def _parse_model(row: _Row) -> Model:
    row.choice("kind", ("chat", "embedding"))
    return Model(
        id=row.name("id"),
        context_tokens=row.count_or_none("context_tokens"),
        max_output_tokens=row.count_or_none("max_output_tokens"),
        vision=row.flag("vision"),
        thinking=cast(Thinking | None, row.choice_or_none("thinking", get_args(Thinking))),
        free=row.flag("free"),
    )


def _parse_price(row: _Row) -> Price:
    amounts = row.number("input"), row.number_or_none("output"), row.number_or_none("cached")
    return Price(_currency(row), *amounts, row.text("note"), row.date("read"))


def _parse_search(row: _Row) -> SearchPrice:
    return SearchPrice(_currency(row), row.number("price"), row.text("note"), row.date("read"))


def _currency(row: _Row) -> Currency:
    return cast(Currency, row.choice("currency", get_args(Currency)))


def is_id(name: str) -> bool:
    """Return whether a text may be the id of a model."""
    return bool(name.strip()) and len(name) <= _LIMIT_ID_CHARACTERS
