"""Similarities as a table and as text."""

import html5lib
import numpy as np
import pytest

from glm_magic.api.events import Usage
from glm_magic.render.similarity import render_embeddings, render_embeddings_plain
from glm_magic.study.embeddings import Embeddings

VECTORS = np.float32([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]])
THREE = Embeddings(
    ("a cat", "一只猫", "not at all"), VECTORS, "embedding-3", "api.z.ai", Usage(7, 0, 7), 0.44
)
TABLE_TAGS = {"thead", "tbody", "tr", "th", "td"}


def alike(count: int, text: str = "text") -> Embeddings:
    vectors = np.tile(np.float32([[1.0, 0.0]]), (count, 1))
    return Embeddings((text,) * count, vectors, "m", "local", Usage())


def table(html: str) -> list[list[str]]:
    tree = html5lib.parse(html, namespaceHTMLElements=False)
    return [["".join(cell.itertext()) for cell in row] for row in tree.iter("tr")]


def text_of(html: str) -> str:
    return "".join(html5lib.parse(html, namespaceHTMLElements=False).itertext())


def test_the_table_has_a_row_and_a_column_for_each_text() -> None:
    assert table(render_embeddings(THREE)) == [
        ["", "Text", "1", "2", "3"],
        ["1", "a cat", "1.00", "0.60", "-1.00"],
        ["2", "一只猫", "0.60", "1.00", "-0.60"],
        ["3", "not at all", "-1.00", "-0.60", "1.00"],
    ]


def test_the_header_says_what_was_embedded_and_where() -> None:
    header = "embedding-3 · api.z.ai · 0.4 s · 3 texts · 2 dimensions · 7 tokens"
    assert header in text_of(render_embeddings(THREE))


def test_the_more_alike_the_stronger_the_shade() -> None:
    tree = html5lib.parse(render_embeddings(THREE), namespaceHTMLElements=False)
    shades = [cell.get("style") for cell in list(tree.iter("tr"))[1]]
    assert shades[2:] == [
        "background: rgba(64, 140, 255, 0.65)",
        "background: rgba(64, 140, 255, 0.23)",
        "background: rgba(64, 140, 255, 0.00)",
    ]


def test_only_the_first_40_texts_are_drawn_and_the_rest_is_counted() -> None:
    html = render_embeddings(alike(42))
    assert len(table(html)) == 41
    assert "and 2 more; all numbers are in .similarity" in text_of(html)
    assert ".similarity" not in text_of(render_embeddings(alike(40)))


def test_a_long_text_is_shortened() -> None:
    assert table(render_embeddings(alike(1, "x" * 61)))[1][1] == "x" * 59 + "…"


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=x>', "</td>"])
def test_a_hostile_text_is_text(text: str) -> None:
    tree = html5lib.parse(render_embeddings(alike(2, text)), namespaceHTMLElements=False)
    tags = {node.tag for node in tree.iter()}
    assert tags <= {"html", "head", "body", "div", "table", "caption", *TABLE_TAGS}
    assert table(render_embeddings(alike(2, text)))[1][1] == text


def test_as_text_each_line_is_one_text_and_its_similarities() -> None:
    assert render_embeddings_plain(THREE) == (
        "a cat       1.00  0.60 -1.00\n一只猫      0.60  1.00 -0.60\nnot at all -1.00 -0.60  1.00"
    )


def test_as_text_the_rest_is_counted_too() -> None:
    lines = render_embeddings_plain(alike(41)).splitlines()
    assert len(lines) == 41
    assert lines[-1] == "and 1 more; all numbers are in .similarity"


def test_wide_characters_keep_the_columns_of_plain_text_straight() -> None:
    vectors = np.eye(2, dtype=np.float32)
    embeddings = Embeddings(("一只猫", "a cat"), vectors, "m", "local", Usage())
    assert render_embeddings_plain(embeddings) == "一只猫  1.00  0.00\na cat   0.00  1.00"
