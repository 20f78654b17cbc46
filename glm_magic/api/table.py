"""The table in an answer as a DataFrame: rows of JSON, or a table of Markdown.

JSON that is a table: a list of objects, one a row; an object of lists of one length, one a
column; an object that holds one list of objects, whatever else it holds; a list of single values,
as the column "value"; an object of single values, as one row.

In Markdown all is text, so a column becomes numbers if every cell in it is one or empty (then
NaN). `1,234.5` counts as a number, its commas between groups of three. `5%`, `$5`, `0.5 kg` and
codes with leading zeros (`000001`) or of more than 15 digits stay text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from glm_magic.api.code import parse_code_blocks, parse_json
from glm_magic.errors import ReplyError

if TYPE_CHECKING:
    import pandas as pd
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

__all__ = ["parse_frame", "parse_table"]

Cells = tuple[str, ...]
Table = tuple[Cells, tuple[Cells, ...]]

# A float holds 15 digits exactly; longer ones are mostly codes. A comma is read as English and
# Chinese texts have it, so a German 1,234 would be misread; 0,5 and 1,23 stay text.
_NUMBER = re.compile(
    r"[-+−]?(?:0|[1-9][0-9]{0,14}|[1-9][0-9]{0,2}(?:,[0-9]{3}){1,4})"
    r"(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,2})?"
)
_LINE_BREAK = re.compile(r"<br ?/?>", re.IGNORECASE)
# Rows with a name of their own each would make a short answer gigabytes of empty cells.
_CELL_LIMIT = 1_000_000


def parse_frame(text: str) -> pd.DataFrame | None:
    """Return the table of an answer; None if it has none.

    Raises:
        ReplyError: its rows have so little in common that the table would be nearly empty, and
            of more than a million cells.
    """
    # Not at the top: it takes a third of a second, and few replies are tables.
    import pandas as pd

    if (rows := _parse_rows(text)) is not None:
        return pd.DataFrame(rows)
    if (table := parse_table(text)) is None:
        return None
    header, lines = table
    columns = zip(*lines, strict=True) if lines else [()] * len(header)
    frame = pd.DataFrame(dict(enumerate(map(_with_numbers, columns))))
    return frame.set_axis(list(header), axis="columns")


# -- JSON --------------------------------------------------------------------------------------


def _parse_rows(text: str) -> Any:
    """The JSON of an answer as pandas takes it: a list of rows, or columns by name; or None."""
    try:
        rows = _rows_of(parse_json(text))
    except (ValueError, RecursionError):
        return None
    if isinstance(rows, list):
        _check_size(rows)
    return rows


def _rows_of(value: Any) -> Any:
    if isinstance(value, list):
        return _rows_of_list(value)
    return _rows_of_object(value) if isinstance(value, dict) and value else None


def _rows_of_list(values: list[Any]) -> Any:
    if _are_objects(values):
        return values
    return None if any(map(_is_nested, values)) else {"value": values}


def _rows_of_object(fields: dict[str, Any]) -> Any:
    if not any(map(_is_nested, fields.values())):
        return [fields]
    lists = [value for value in fields.values() if isinstance(value, list)]
    tables = [values for values in lists if _are_objects(values) and (values or len(lists) == 1)]
    if len(tables) == 1:
        return tables[0]
    are_columns = len(lists) == len(fields) and len(set(map(len, lists))) == 1
    return fields if are_columns and not tables else None


def _are_objects(values: list[Any]) -> bool:
    return all(isinstance(value, dict) for value in values)


def _is_nested(value: Any) -> bool:
    return isinstance(value, list | dict)


def _check_size(rows: list[dict[str, Any]]) -> None:
    names = len({name for row in rows for name in row})
    cells = names * len(rows)
    if cells > _CELL_LIMIT and cells > 10 * sum(map(len, rows)):
        raise ReplyError(
            f"the answer is no table: {len(rows):,} rows of JSON have {names:,} different names; "
            "reply.json() has them as they came"
        )


# -- Markdown ----------------------------------------------------------------------------------


def parse_table(text: str) -> Table | None:
    """Return header and rows of the first table in Markdown, each cell as plain text.

    A table outside of fences comes before one inside. As GFM has it, each row has as many cells
    as the header: short rows are filled with "", what is too much is dropped.
    """
    for source in (text, *(block.code for block in parse_code_blocks(text))):
        if rows := tuple(_rows_in(_block_parser().parse(source))):
            return rows[0], rows[1:]
    return None


def _rows_in(tokens: Sequence[Token]) -> Iterator[Cells]:
    """The rows of the first table."""
    cells: list[str] = []
    for token in _first_table(tokens):
        if token.type == "inline":
            cells.append(_plain(token.content))
        elif token.type == "tr_close":
            yield tuple(cells)
            cells = []


def _first_table(tokens: Sequence[Token]) -> Sequence[Token]:
    types = [token.type for token in tokens]
    if "table_open" not in types:
        return ()
    start = types.index("table_open")
    return tokens[start : types.index("table_close", start)]


def _plain(content: str) -> str:
    """A cell without its markup; a `<br>` is a line break."""
    (token,) = _cell_parser().parseInline(content)
    lines = "".join(map(_text_of, token.children or ())).split("\n")
    return "\n".join(line.strip() for line in lines).strip()


def _text_of(token: Token) -> str:
    return _LINE_BREAK.sub("\n", token.content) if token.type == "text" else token.content


@cache
def _cell_parser() -> MarkdownIt:
    # Not at the top: few replies are tables, and the parser takes a while to load.
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False})
    return parser.enable(["table", "strikethrough"])


@cache
def _block_parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("inline")


def _with_numbers(cells: Sequence[str]) -> list[Any]:
    """A column as numbers if it is one of numbers, None where it is empty."""
    filled = [cell for cell in cells if cell]
    if not filled or not all(map(_NUMBER.fullmatch, filled)):
        return list(cells)
    return [_number(cell) if cell else None for cell in cells]


def _number(cell: str) -> float:
    digits = cell.replace(",", "").replace("−", "-")
    return int(digits) if digits.lstrip("+-").isdigit() else float(digits)
