"""Embeddings as one output and as text."""

import base64
import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import html5lib
import numpy as np
import pytest

from glm_magic.api.embedding import unit_vectors
from glm_magic.api.events import Usage
from glm_magic.render.study.similarity import render_embeddings, render_embeddings_plain
from glm_magic.study.embeddings import Embeddings

VECTORS = np.float32([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]])
THREE = Embeddings(
    ("a cat", "一只猫", "not at all"), VECTORS, "embedding-3", "api.z.ai", Usage(7, 0, 7), 0.44
)
TWO = replace(THREE, texts=THREE.texts[:2], vectors=VECTORS[:2])
ONE = Embeddings(("a cat",), np.float32([[0.6, -0.8, 0.0]]), "m", "local")
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</td></table></svg>",
    "$$\\href{javascript:alert(1)}{x}$$",
    "\u202eright to left\u2066",
    "two\nlines\r\nand\u2028three",
    "\x1b[31mred\x00\ufffe\uffff\ud800",
    "]]><!--<![CDATA[",
    "&lt;b&gt;&amp;",
    "猫" * 10_000,
)


def alike(count: int, text: str = "text") -> Embeddings:
    vectors = np.tile(np.float32([[1.0, 0.0]]), (count, 1))
    return Embeddings((text,) * count, vectors, "m", "local", Usage())


def various(count: int, text: str = "text") -> Embeddings:
    vectors = np.random.default_rng(7).normal(size=(count, 16)).astype(np.float32)
    texts = tuple(f"{text} {i}" for i in range(count))
    return Embeddings(texts, unit_vectors(vectors), "m", "local", Usage(count, 0, count), 1.25)


def parse(html: str) -> ElementTree.Element:
    return html5lib.parse(html, namespaceHTMLElements=False)


def text_of(html: str) -> str:
    return "".join(parse(html).itertext())


def captions(html: str) -> list[str | None]:
    return [caption.text for caption in parse(html).iter("caption")]


def test_the_header_says_what_was_embedded_where_and_what_it_took() -> None:
    header = "embedding-3 · api.z.ai · 0.44 s · 3 texts · 2 dimensions · 7 tokens"
    assert text_of(render_embeddings(THREE)).startswith(header + "Cosine")
    assert render_embeddings_plain(THREE).startswith(header + "\n")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"usage": Usage(20_000, 0, 20_000), "billed_in": "CNY"}, "20,000 tokens · about ¥0.01"),
        ({"model": "unheard-of", "billed_in": "CNY"}, "cost unknown"),
        ({"split": 1}, "1 × 2 texts"),
        ({"recalled": 2}, "2 of 3 texts were kept already"),
        ({"recalled": 3, "requests": 0}, "3 texts · 2 dimensions · nothing was sent · 3 of 3"),
        ({"missing": 2}, "2 texts have no vector yet"),
        ({"cut": (2,)}, "1 text was cut to the model's limit: 3"),
        ({"cut": tuple(range(12))}, "limit: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more"),
    ],
)
def test_the_header_says_what_is_special(changed: dict[str, object], words: str) -> None:
    assert words in text_of(render_embeddings(replace(THREE, **changed)))


def test_nothing_that_was_not_sent_took_time_or_money() -> None:
    kept = replace(THREE, requests=0, recalled=3, billed_in="CNY")
    header = render_embeddings_plain(kept).splitlines()[0]
    assert "0.44 s" not in header
    assert "¥" not in header


def test_texts_that_are_there_twice_count_once_among_those_kept() -> None:
    twice = replace(THREE, texts=("a", "a", "b"), recalled=1)
    assert "1 of 2 texts was kept already" in text_of(render_embeddings(twice))


def test_few_texts_have_a_table_their_pairs_and_a_map() -> None:
    html = render_embeddings(various(5))
    assert captions(html) == ["Cosine similarity", "Closest", "Farthest"]
    (image,) = parse(html).iter("img")
    assert image.get("alt", "").startswith("Map of 5 texts; across: 1st component")


def test_two_texts_are_one_number_and_no_map() -> None:
    html = render_embeddings(TWO)
    assert [[*row.itertext()] for row in parse(html).iter("tr")][1:] == [
        ["0.60", "a cat", "一只猫"]
    ]
    assert "<img" not in html


def test_one_text_cannot_be_compared_and_its_vector_is_shown() -> None:
    words = text_of(render_embeddings(ONE))
    assert "two texts make a comparison; this is one" in words
    assert "First numbers0.600, -0.800, 0.000" in words
    assert "Largest-0.800 at 1, 0.600 at 0, 0.000 at 2" in words
    assert "Range-0.800 to 0.600" in words


def test_a_long_vector_says_what_a_shorter_one_would_keep() -> None:
    vector = np.zeros((1, 300), np.float32)
    vector[0, [0, 299]] = 0.8, 0.6
    long = replace(ONE, vectors=vector)
    assert "80 % in the first 64, 80 % in the first 256" in text_of(render_embeddings(long))


def test_no_text_at_all_is_no_failure() -> None:
    none = replace(ONE, texts=(), vectors=np.zeros((0, 3), np.float32), missing=2)
    assert "0 texts · 3 dimensions" in text_of(render_embeddings(none))
    assert render_embeddings_plain(none).endswith("2 texts have no vector yet")


@pytest.mark.parametrize("count", [2, 5, 60])
def test_a_set_of_which_nothing_came_is_no_failure(count: int) -> None:
    for split in (0, count):
        part = replace(various(count), split=split)
        assert "<table>" not in render_embeddings(part)
        assert render_embeddings_plain(part)


def test_forty_long_chinese_texts_take_150_kb_of_a_notebook() -> None:
    html = render_embeddings(various(40, "人工智能" * 15))
    assert len(json.dumps(html)) <= 150_000


def test_very_many_texts_are_drawn_in_part_and_it_says_so() -> None:
    vectors = np.eye(3, dtype=np.float32)[np.arange(5_100) % 3]
    words = text_of(render_embeddings(Embeddings(("x",) * 5_100, vectors, "m", "local")))
    assert "2,000 evenly chosen ones of 5,100" in words
    assert "1,000 evenly chosen ones of 5,100 texts" in words
    assert ".nearest(text, k) finds what is near one of them" in words


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_hostile_text_is_text(text: str, count: int) -> None:
    texts = (text, *("abcd"[: count - 1]))
    html = render_embeddings(replace(various(count), texts=texts, model=text, endpoint=text))
    tree = parse(html)
    assert {node.tag for node in tree.iter()} <= TAGS
    assert {name for node in tree.iter() for name in node.attrib} <= ATTRIBUTES
    assert not ACTIVE.search("".join(tree.itertext()))
    assert "$$" not in re.sub("<[^>]*>", "\0", html)
    for image in tree.iter("img"):
        kind, data = image.get("src", "").split(",")
        assert kind == "data:image/svg+xml;base64"
        drawn = {node.tag.partition("}")[2] for node in ElementTree.fromstring(decode(data)).iter()}
        assert drawn == {"svg", "style", "path", "g", "circle", "text"}


TAGS = {
    *("html", "head", "body", "div", "p", "ol", "li", "img", "strong", "span", "code", "br"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td"),
}
# Controls, and marks that turn the direction of what follows.
ACTIVE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
ATTRIBUTES = {"class", "style", "scope", "alt", "src", "width", "start"}


def decode(data: str) -> bytes:
    return base64.b64decode(data, validate=True)


def test_as_text_each_line_is_one_text_and_its_similarities() -> None:
    assert render_embeddings_plain(THREE).splitlines()[1:] == [
        "Cosine similarity",
        "                   1      2      3",
        "1  a cat        1.00   0.60  -1.00",
        "2  一只猫       0.60   1.00  -0.60",
        "3  not at all  -1.00  -0.60   1.00",
        "Pairs, the closest first",
        " 0.60  a cat   一只猫",
        "-0.60  一只猫  not at all",
        "-1.00  a cat   not at all",
    ]


def test_as_text_many_texts_are_their_pairs_at_both_ends() -> None:
    lines = render_embeddings_plain(various(13)).splitlines()
    assert lines[1] == "Closest"
    assert lines[7] == "Farthest"
    assert lines[-1] == "all numbers are in .similarity"
    assert len(lines) == 14
