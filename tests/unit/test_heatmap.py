"""Similarities as a table of few texts, a picture of many, and a small drawing."""

import base64
from dataclasses import replace
from io import BytesIO
from xml.etree import ElementTree

import html5lib
import numpy as np
import pytest
from PIL import Image

from glm_magic.api.embedding import unit_vectors
from glm_magic.render.study.heatmap import draw_cells, render_heatmap, render_heatmap_plain
from glm_magic.render.study.shade import Shade
from glm_magic.study.embeddings import Embeddings

VECTORS = np.float32([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]])
THREE = Embeddings(("a cat", "一只猫", "not at all"), VECTORS, "m", "local")
TWO_SETS = replace(THREE, split=2)


def some(count: int, split: int | None = None) -> Embeddings:
    vectors = np.random.default_rng(5).normal(size=(count, 4)).astype(np.float32)
    texts = tuple(f"text {i}" for i in range(1, count + 1))
    return Embeddings(texts, unit_vectors(vectors), "m", "local", split=split)


def rows(html: str) -> list[list[str]]:
    tree = html5lib.parse(html, namespaceHTMLElements=False)
    return [["|".join(cell.itertext()) for cell in row] for row in tree.iter("tr")]


def styles(html: str, row: int) -> list[str | None]:
    tree = html5lib.parse(html, namespaceHTMLElements=False)
    return [cell.get("style") for cell in list(tree.iter("tr"))[row].iter("td")]


def data(html: str) -> bytes:
    (image,) = html5lib.parse(html, namespaceHTMLElements=False).iter("img")
    return base64.b64decode(image.get("src", "").partition(",")[2], validate=True)


def picture(html: str) -> Image.Image:
    return Image.open(BytesIO(data(html))).convert("RGBA")


def drawing(html: str) -> list[str | None]:
    return [node.text for node in ElementTree.fromstring(data(html)) if node.tag.endswith("}text")]


def test_each_text_is_a_row_and_a_column() -> None:
    assert rows(render_heatmap(THREE)) == [
        ["", "Text", "1", "2", "3"],
        ["1", "a cat", "1.00", "0.60", "-1.00"],
        ["2", "一只猫", "0.60", "1.00", "-0.60"],
        ["3", "not at all", "-1.00", "-0.60", "1.00"],
    ]


def test_of_two_sets_the_second_one_is_the_columns_and_the_numbers_go_on() -> None:
    assert rows(render_heatmap(TWO_SETS)) == [
        ["", "Text", "3|not at all"],
        ["1", "a cat", "-1.00"],
        ["2", "一只猫", "-0.60"],
    ]


def test_the_larger_of_two_sets_is_the_rows() -> None:
    assert rows(render_heatmap(replace(THREE, split=1))) == [
        ["", "Text", "1|a cat"],
        ["2", "一只猫", "0.60"],
        ["3", "not at all", "-1.00"],
    ]


def test_columns_that_are_too_many_for_their_names_are_listed_below() -> None:
    html = render_heatmap(some(14, split=7))
    assert rows(html)[0] == ["", "Text", "8", "9", "10", "11", "12", "13", "14"]
    (below,) = html5lib.parse(html, namespaceHTMLElements=False).iter("ol")
    assert below.get("start") == "8"
    assert [item.text for item in below] == [f"text {i}" for i in range(8, 15)]


def test_labels_name_the_rows_where_there_are_some() -> None:
    assert rows(render_heatmap(replace(THREE, labels=("a", "b", "c"))))[1][1] == "a"


def test_the_shade_runs_from_the_lowest_value_to_1() -> None:
    floor = replace(THREE, vectors=unit_vectors(np.float32([[1, 0], [4, 3], [3, 4]])))
    assert styles(render_heatmap(floor), 1) == [
        "opacity: 0.5",
        "background:#408cff53",
        "background:#408cff00",
    ]


def test_texts_that_are_all_the_same_are_all_shaded() -> None:
    assert Shade.of(np.ones((2, 2), np.float32)).styles(np.float32([1.0])) == [
        "background:#408cffa6"
    ]


def test_a_number_that_rounds_to_zero_has_no_sign() -> None:
    flat = replace(THREE, vectors=np.float32([[1, 0], [-0.001, 1], [0, 1]]))
    assert rows(render_heatmap(flat))[1] == ["1", "a cat", "1.00", "0.00", "0.00"]


def test_a_long_text_is_cut_to_the_room_it_has() -> None:
    long = replace(THREE, texts=("x" * 49, "猫" * 25, "c"))
    assert [row[1] for row in rows(render_heatmap(long))[1:3]] == ["x" * 47 + "…", "猫" * 23 + "…"]


def test_forty_texts_are_a_table_and_more_are_a_picture() -> None:
    assert len(rows(render_heatmap(some(40)))) == 41
    assert rows(render_heatmap(some(41))) == []


def test_a_picture_has_a_square_for_each_pair_and_follows_the_theme_by_being_half_clear() -> None:
    image = picture(render_heatmap(some(60)))
    assert image.size == (480, 480)
    red, green, blue, alpha = image.split()
    assert [band.getextrema() for band in (red, green, blue)] == [(64, 64), (140, 140), (255, 255)]
    assert alpha.getextrema() == (0, 255)
    assert alpha.getpixel((4, 4)) == alpha.getpixel((475, 475)) == 255


def test_a_picture_of_few_with_many_is_no_thin_line() -> None:
    assert picture(render_heatmap(some(103, split=3))).size == (480, 72)


def test_a_picture_says_what_it_shows() -> None:
    html = render_heatmap(some(60))
    assert 'alt="Heat map: 60 texts with each other, from the upper left on in their order"' in html
    assert "and less is clear" in html
    assert "average" not in html


def test_more_texts_than_points_are_averaged() -> None:
    vectors = np.repeat(np.eye(2, dtype=np.float32), 480, axis=0)
    html = render_heatmap(Embeddings(("x",) * 960, vectors, "m", "local"))
    alpha = picture(html).getchannel("A")
    corners = [alpha.getpixel(at) for at in ((0, 0), (239, 239), (240, 239), (479, 0), (479, 479))]
    assert corners == [255, 255, 0, 0, 255]
    assert "a point is the average of its neighbourhood" in html


def test_of_very_many_texts_2000_are_drawn_and_it_says_so() -> None:
    vectors = np.tile(np.eye(2, dtype=np.float32), (1_500, 1))
    html = render_heatmap(Embeddings(("x",) * 3_000, vectors, "m", "local"))
    assert "2,000 evenly chosen ones of 3,000" in html


def test_a_small_drawing_has_the_numbers_of_the_texts_and_the_values_of_few() -> None:
    cells = ["1.00", "0.60", "-1.00", "0.60", "1.00", "-0.60", "-1.00", "-0.60", "1.00"]
    assert drawing(draw_cells(THREE, "256")) == [*cells, "1", "2", "3", "1", "2", "3"]
    assert drawing(draw_cells(some(9), "256")) == [*"123456789", *"123456789"]


@pytest.mark.parametrize(("count", "kind"), [(20, b"<svg"), (21, b"\x89PNG")])
def test_a_drawing_of_many_is_a_picture(count: int, kind: bytes) -> None:
    assert data(draw_cells(some(count), "256")).startswith(kind)


def test_a_drawing_says_whose_it_is_whatever_the_name() -> None:
    html = draw_cells(THREE, '"><script>')
    (image,) = html5lib.parse(html, namespaceHTMLElements=False).iter("img")
    assert image.get("alt", "").startswith('Heat map, "><script>: 3 texts with each other')


def test_as_text_wide_characters_keep_the_columns_straight() -> None:
    assert render_heatmap_plain(replace(THREE, texts=("一只猫", "a cat", "x"))) == [
        "Cosine similarity",
        "               1      2      3",
        "1  一只猫   1.00   0.60  -1.00",
        "2  a cat    0.60   1.00  -0.60",
        "3  x       -1.00  -0.60   1.00",
    ]


def test_as_text_the_columns_of_two_sets_are_named_below() -> None:
    assert render_heatmap_plain(TWO_SETS)[1:] == [
        "               3",
        "1  a cat   -1.00",
        "2  一只猫  -0.60",
        "3  not at all",
    ]


def test_as_text_a_table_that_is_wider_than_a_terminal_is_left_out() -> None:
    assert len(render_heatmap_plain(some(12))) == 14
    assert render_heatmap_plain(some(13)) == []
