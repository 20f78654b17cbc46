"""The map: points, their names, and what it says of itself."""

import base64
from dataclasses import replace
from xml.etree import ElementTree

import html5lib
import numpy as np
import pytest

from glm_magic.api.embedding import unit_vectors
from glm_magic.render.columns import width
from glm_magic.render.study.placement import Box, Label, place_labels
from glm_magic.render.study.plane import render_plane, render_plane_plain
from glm_magic.render.study.sample import sample_positions
from glm_magic.study.embeddings import Embeddings
from glm_magic.study.projection import Projection, build_projection

SQUARE = Projection(
    np.float32([[1, 1], [-1, 1], [-1, -1], [1, -1]]),
    np.array([0.43, 0.21]),
    ("north-east", "西北", "south-west", "东南"),
    ("a", "b", "c", "d"),
    None,
    "embedding-3",
)
SVG = "{http://www.w3.org/2000/svg}"


def cloud(count: int, split: int | None = None) -> Projection:
    vectors = np.random.default_rng(3).normal(size=(count, 8)).astype(np.float32)
    texts = tuple(f"text {i}" for i in range(1, count + 1))
    return build_projection(Embeddings(texts, unit_vectors(vectors), "m", "local", split=split))


def image(html: str) -> ElementTree.Element:
    (found,) = html5lib.parse(html, namespaceHTMLElements=False).iter("img")
    return found


def svg(html: str) -> ElementTree.Element:
    kind, data = image(html).get("src", "").split(",")
    assert kind == "data:image/svg+xml;base64"
    return ElementTree.fromstring(base64.b64decode(data, validate=True))


def texts(html: str) -> list[str | None]:
    return [text.text for text in svg(html).iter(SVG + "text")]


def circles(html: str) -> list[tuple[float, float]]:
    return [
        (float(c.get("cx", "")), float(c.get("cy", ""))) for c in svg(html).iter(SVG + "circle")
    ]


def test_each_text_is_a_point_with_its_name() -> None:
    html = render_plane(SQUARE)
    assert sorted(filter(None, texts(html)))[2:] == ["north-east", "south-west", "东南", "西北"]
    assert len(circles(html)) == 4


def test_right_is_right_and_up_is_up() -> None:
    (x, y), _, (left, low), _ = circles(render_plane(SQUARE))
    assert x > left
    assert y < low


def test_the_axes_tell_their_share_of_the_variance() -> None:
    assert {"1st component, 43 % of the variance", "2nd component, 21 %"} <= set(
        texts(render_plane(SQUARE))
    )


def test_the_description_says_who_stands_at_the_edges() -> None:
    spread = replace(SQUARE, points=np.float32([[3, 0], [0, 2], [-3, 0], [0, -2]]))
    assert image(render_plane(spread)).get("alt") == (
        "Map of 4 texts; across: 1st component, 43 % of the variance; up: 2nd component, 21 %. "
        "Farthest left: south-west; right: north-east; top: 西北; bottom: 东南"
    )


def test_two_sets_have_two_shapes_and_a_legend() -> None:
    html = render_plane(replace(SQUARE, split=3))
    assert len(circles(html)) == 4  # and one of the legend
    assert {"first set", "second set"} <= set(texts(html))
    assert "first set" not in texts(render_plane(SQUARE))


def test_it_has_the_colours_of_a_light_and_of_a_dark_page() -> None:
    (style,) = svg(render_plane(SQUARE)).iter(SVG + "style")
    assert "prefers-color-scheme:dark" in (style.text or "")


@pytest.mark.parametrize("points", [np.zeros((4, 2)), np.float32([[0, 0], [1, 0], [2, 0], [3, 0]])])
def test_texts_in_one_place_or_on_a_line_are_no_failure(points: np.ndarray) -> None:
    html = render_plane(replace(SQUARE, points=points.astype(np.float32)))
    assert all(0 < x < 560 and 0 < y < 380 for x, y in circles(html))


def test_more_than_forty_texts_have_no_names() -> None:
    assert len(texts(render_plane(cloud(41)))) == 2
    assert len(circles(render_plane(cloud(41)))) == 41


def test_a_text_that_is_compared_with_many_has_its_name() -> None:
    assert "text 1" in texts(render_plane(cloud(300, split=1)))


def test_of_many_texts_1000_are_drawn_and_it_says_so() -> None:
    html = render_plane(cloud(1_001))
    assert len(circles(html)) == 1_000
    assert "1,000 evenly chosen ones of 1,001 texts" in html


def test_names_that_find_no_place_are_numbers_and_it_says_so() -> None:
    crowd = replace(cloud(40), points=np.full((40, 2), 0.5, np.float32))
    html = render_plane(crowd)
    assert "where there is no room for a name its number stands, or nothing" in html
    assert "no room" not in render_plane(SQUARE)


def box_of(label: Label) -> Box:
    """What a label takes, by the widths that were reckoned with."""
    length = 6.5 * width(label.text)
    left = label.x - {"start": 0, "middle": length / 2, "end": length}[label.anchor]
    return Box(left, label.y - 10, left + length, label.y + 3)


@pytest.mark.parametrize("seed", range(5))
def test_no_label_covers_another_or_a_point_or_leaves_the_picture(seed: int) -> None:
    area = Box(0, 0, 500, 300)
    points = [tuple(p) for p in np.random.default_rng(seed).uniform((0, 0), (500, 300), (40, 2))]
    names = {i: ("人工智能" if i % 2 else "a name") for i in range(40)}
    labels = place_labels(points, names, area)
    boxes = [box_of(label) for label in labels.values()]
    dots = [Box(x, y, x, y) for x, y in points]
    assert len(boxes) > 20
    assert all(area.holds(box) for box in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in (*boxes[:i], *dots))


def test_of_very_many_texts_evenly_chosen_ones_are_drawn() -> None:
    assert sample_positions(3, None, 5).tolist() == [0, 1, 2]
    assert sample_positions(9, None, 5).tolist() == [0, 2, 4, 6, 8]


def test_of_two_sets_the_small_one_is_drawn_whole() -> None:
    assert sample_positions(102, 2, 6).tolist() == [0, 1, 2, 35, 68, 101]
    assert sample_positions(100, 50, 4).tolist() == [0, 49, 50, 99]


def test_as_text_it_is_the_coordinates() -> None:
    assert render_plane_plain(SQUARE).splitlines() == [
        "embedding-3 · 4 texts",
        "1st component, 43 % of the variance, 2nd component, 21 %",
        "  1st    2nd",
        " 1.00   1.00  north-east",
        "-1.00   1.00  西北",
        "-1.00  -1.00  south-west",
        " 1.00  -1.00  东南",
    ]
    assert render_plane_plain(cloud(45)).splitlines()[-1] == "and 5 more; all are in .points"
