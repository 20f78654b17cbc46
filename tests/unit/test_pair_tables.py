"""The closest and the farthest pairs, and what is nearest to one text."""

from dataclasses import replace

import html5lib
import numpy as np
import pytest

from glm_magic.api.embedding import unit_vectors
from glm_magic.render.study.neighbours import Near, render_nearest, render_nearest_plain
from glm_magic.render.study.pairs import render_pairs, render_pairs_plain
from glm_magic.study.embeddings import Embeddings

VECTORS = np.float32([[1.0, 0.0], [0.6, 0.8], [0.28, 0.96], [-1.0, 0.0]])
FOUR = Embeddings(("cat", "猫", "dog", "tax"), VECTORS, "m", "local")
NEAR = [Near(7, "refund", "I want my <b>money</b> back", 0.71), Near(2, "tax", "$5 $6", -0.001)]


def tables(html: str) -> list[list[list[str]]]:
    tree = html5lib.parse(html, namespaceHTMLElements=False)
    return [
        [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]
        for table in tree.iter("table")
    ]


def captions(html: str) -> list[str | None]:
    tree = html5lib.parse(html, namespaceHTMLElements=False)
    return [caption.text for caption in tree.iter("caption")]


def test_the_closest_and_the_farthest_pairs_are_two_tables() -> None:
    html = "".join(render_pairs(FOUR))
    assert captions(html) == ["Closest", "Farthest"]
    closest, farthest = tables(html)
    assert closest == [
        ["Similarity", "a", "b"],
        ["0.94", "猫", "dog"],
        ["0.60", "cat", "猫"],
        ["0.28", "cat", "dog"],
    ]
    assert farthest[1:] == [
        ["-1.00", "cat", "tax"],
        ["-0.60", "猫", "tax"],
        ["-0.28", "dog", "tax"],
    ]


def test_each_table_has_five_pairs_at_most() -> None:
    vectors = unit_vectors(np.random.default_rng(1).normal(size=(9, 3)).astype(np.float32))
    many = Embeddings(tuple("abcdefghi"), vectors, "m", "local")
    assert [len(table) for table in tables("".join(render_pairs(many)))] == [6, 6]


def test_few_pairs_are_one_table() -> None:
    html = "".join(render_pairs(replace(FOUR, split=1)))
    assert captions(html) == ["Pairs, the closest first"]
    values = [row[0] for row in tables(html)[0][1:]]
    assert values == ["0.60", "0.28", "-1.00"]


def test_texts_that_are_all_the_same_have_no_pairs() -> None:
    assert render_pairs(replace(FOUR, texts=("a",) * 4)) == []
    assert render_pairs_plain(replace(FOUR, texts=("a",) * 4)) == []


def test_two_texts_are_one_number_even_if_they_are_the_same() -> None:
    same = Embeddings(("a", "a"), np.float32([[1.0], [1.0]]), "m", "local")
    for two in (same, replace(same, split=1)):
        html = "".join(render_pairs(two))
        assert captions(html) == ["Cosine similarity"]
        assert tables(html)[0][1:] == [["1.00", "a", "a"]]


def test_the_higher_the_stronger_the_shade() -> None:
    tree = html5lib.parse("".join(render_pairs(FOUR)), namespaceHTMLElements=False)
    shades = [row[0].get("style") for row in tree.iter("tr")]
    assert shades[1:4] == ["background:#408cffa0", "background:#408cff85", "background:#408cff6a"]
    assert shades[5] == "background:#408cff00"


def test_of_too_many_texts_there_are_no_pairs() -> None:
    many = Embeddings(("x",) * 2_001, np.ones((2_001, 1), np.float32), "m", "local")
    assert render_pairs(many) == []


def test_what_is_near_is_ranked_with_label_and_text() -> None:
    html = render_nearest("my money", NEAR, "embedding-3 · local · 2 texts in docs")
    assert captions(html) == ["Nearest to my money"]
    assert tables(html) == [
        [
            ["", "Similarity", "Label", "Text"],
            ["1", "0.71", "refund", "I want my <b>money</b> back"],
            ["2", "0.00", "tax", "$5 $6"],
        ]
    ]
    assert "2 texts in docs" in html


def test_without_labels_there_is_no_column_for_them() -> None:
    html = render_nearest("x", [Near(0, "cat", "cat", 0.5)], "")
    assert tables(html)[0][0] == ["", "Similarity", "Text"]


def test_nothing_near_is_said() -> None:
    assert "There is nothing near &lt;x&gt;" in render_nearest("<x>", [], "m")
    assert render_nearest_plain("x", [], "m") == "There is nothing near x\nm"


def test_of_very_many_the_rest_is_counted() -> None:
    many = [Near(i, "cat", "cat", 0.5) for i in range(1_201)]
    assert len(tables(render_nearest("x", many, ""))[0]) == 201
    assert "and 1,001 more" in render_nearest("x", many, "")
    assert render_nearest_plain("x", many, "m").splitlines()[-2:] == ["and 1,001 more", "m"]


def test_as_text_what_is_near_is_a_line_each() -> None:
    assert render_nearest_plain("my money", NEAR, "embedding-3").splitlines() == [
        "Nearest to my money",
        "1  0.71  refund  I want my <b>money</b> back",
        "2  0.00  tax     $5 $6",
        "embedding-3",
    ]


@pytest.mark.parametrize(
    "text", ["<script>x</script>", '"><img src=x onerror=x>', "</table>", "\x1b[2J"]
)
def test_a_hostile_text_is_text(text: str) -> None:
    html = render_nearest(text, [Near(0, text, text * 2, 0.5)], text)
    html += "".join(render_pairs(replace(FOUR, labels=(text,) * 4)))
    tree = html5lib.parse(html, namespaceHTMLElements=False)
    allowed = {
        "html",
        "head",
        "body",
        "div",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert {node.tag for node in tree.iter()} <= allowed
    assert "\x1b" not in html
