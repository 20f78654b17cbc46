"""Several ways to embed the same texts, side by side."""

import json
from dataclasses import replace

import html5lib
import numpy as np
import pytest

from glm_magic.api.embedding import unit_vectors
from glm_magic.api.events import Usage
from glm_magic.render.study.comparison import render_comparison, render_comparison_plain
from glm_magic.study.comparison import Comparison, compare, with_cuts
from glm_magic.study.embeddings import Embeddings


def at_angles(*degrees: float) -> np.ndarray:
    """Vectors in a plane, but for the last, which stands up from it."""
    angles = np.radians(degrees)
    vectors = np.zeros((len(degrees), 4), np.float32)
    vectors[:, 0], vectors[:, 1], vectors[-1, 2] = np.cos(angles), np.sin(angles), 3
    return vectors


WIDE = Embeddings(
    ("a cat", "一只猫", "not at all", "dog"),
    unit_vectors(at_angles(0, 40, 50, 75)),
    "embedding-3",
    "api.z.ai",
    Usage(2_000, 0, 2_000),
    0.5,
    billed_in="CNY",
)
NARROW = replace(WIDE, vectors=unit_vectors(at_angles(0, 10, 30, 70)[:, :2]), requests=0)
TWO = compare([WIDE, NARROW])
THREE = with_cuts(TWO)


def table(html: str, caption: str) -> list[list[str]]:
    tree = html5lib.parse(html, namespaceHTMLElements=False)
    (found,) = [t for t in tree.iter("table") if t.findtext("caption") == caption]
    return [["".join(cell.itertext()) for cell in row] for row in found.iter("tr")]


def text_of(html: str) -> str:
    return "".join(html5lib.parse(html, namespaceHTMLElements=False).itertext())


def test_the_header_says_what_is_compared_with_what() -> None:
    header = "embedding-3 · api.z.ai · 4 texts · compared with 4"
    assert text_of(render_comparison(TWO)).startswith(header)
    assert render_comparison_plain(TWO).splitlines()[0] == header


def test_each_way_to_embed_is_a_row_with_what_it_keeps_and_costs() -> None:
    assert table(render_comparison(THREE), "Ways to embed") == [
        [
            *("Name", "Made by", "Dimensions", "Bytes a text", "Spearman"),
            *("Nearest 1 in common", "Tokens", "Cost"),
        ],
        ["4", "the model", "4", "16", "1.000", "100 %", "2,000", "¥0.0010"],
        ["2", "the model", "2", "8", "0.943", "75 %", "2,000", ""],
        ["4 cut to 2", "cut from 4", "2", "8", "0.543", "100 %", "", ""],
    ]


def test_each_way_to_embed_has_a_heat_map_and_the_texts_are_listed() -> None:
    tree = html5lib.parse(render_comparison(THREE), namespaceHTMLElements=False)
    assert [image.get("alt", "").split(":")[0] for image in tree.iter("img")] == [
        "Heat map, 4",
        "Heat map, 2",
        "Heat map, 4 cut to 2",
    ]
    assert [item.text for item in tree.iter("li")] == ["a cat", "一只猫", "not at all", "dog"]


def test_the_pairs_that_moved_most_tell_from_where_to_where() -> None:
    rows = table(render_comparison(TWO), "Pairs that moved most")
    assert rows[0] == ["a", "b", "In", "Similarity", "Rank among pairs"]
    assert rows[1:] == [
        ["a cat", "一只猫", "2", "0.77 → 0.98", "2 → 1"],
        ["一只猫", "not at all", "2", "0.98 → 0.94", "1 → 2"],
    ]


def test_of_two_ways_that_agree_no_pair_moved() -> None:
    same = render_comparison(compare([WIDE, replace(WIDE, model="other")]))
    assert "Pairs that moved most" not in same


def test_more_than_two_are_compared_each_with_each() -> None:
    html = render_comparison(THREE)
    assert table(html, "Spearman")[0] == ["", "4", "2", "4 cut to 2"]
    assert table(html, "Nearest 1 in common")[3] == ["4 cut to 2", "100 %", "75 %", "100 %"]
    assert "<details>" in html
    assert "<details>" not in render_comparison(TWO)


def test_where_all_pairs_are_equally_alike_there_is_no_correlation() -> None:
    flat = replace(WIDE, vectors=np.ones((4, 1), np.float32))
    assert table(render_comparison(compare([WIDE, flat])), "Ways to embed")[2][4] == "none"


def many(count: int) -> Comparison:
    vectors = np.random.default_rng(2).normal(size=(count, 16)).astype(np.float32)
    texts = tuple(f"人工智能{i}" for i in range(count))
    wide = Embeddings(texts, unit_vectors(vectors), "m", "local")
    return with_cuts(compare([wide, wide.shortened(8), wide.shortened(4)]))


def test_more_than_forty_texts_are_not_listed() -> None:
    assert "<li>" in render_comparison(many(40))
    assert "<li>" not in render_comparison(many(41))


def test_twenty_texts_in_five_ways_take_150_kb_of_a_notebook() -> None:
    assert len(json.dumps(render_comparison(many(20)))) <= 150_000


def test_of_very_many_texts_it_says_that_some_stand_for_all() -> None:
    line = np.eye(2, dtype=np.float32)[np.arange(2_001) % 2]
    wide = Embeddings(tuple(map(str, range(2_001))), line, "m", "local")
    assert "stand for all" in render_comparison(compare([wide, wide.shortened(2)]))
    assert "stand for all" not in render_comparison(TWO)


def test_as_text_it_is_the_table_and_the_pairs() -> None:
    assert render_comparison_plain(TWO).splitlines()[1:4] == [
        "Ways to embed",
        "Name  Made by    Dimensions  Bytes a text  Spearman  Nearest 1 in common  Tokens     Cost",
        "4     the model           4            16     1.000                100 %   2,000  ¥0.0010",
    ]
    assert "Pairs that moved most" in render_comparison_plain(TWO)


@pytest.mark.parametrize(
    "text",
    ["<script>x</script>", '"><img src=x onerror=x>', "</details>", "$$\\href{x}{y}$$", "\u202e"],
)
def test_a_hostile_name_or_text_is_text(text: str) -> None:
    texts = (text, "b", "c", "d")
    wide, narrow = replace(WIDE, texts=texts, model=text), replace(NARROW, texts=texts)
    html = render_comparison(with_cuts(compare([wide, narrow], [text, text * 2])))
    tree = html5lib.parse(html, namespaceHTMLElements=False)
    tables = {"table", "caption", "thead", "tbody", "tr", "th", "td", "ol", "li"}
    words = {"div", "p", "br", "span", "code", "img", "details", "summary"}
    assert {node.tag for node in tree.iter()} <= {"html", "head", "body", *tables, *words}
    assert not any(name.startswith("on") for node in tree.iter() for name in node.attrib)
    assert "\u202e" not in html
