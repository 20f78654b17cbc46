"""Embeddings as a figure of matplotlib."""

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from glm_magic.api.embedding import unit_vectors
from glm_magic.errors import SettingsError
from glm_magic.render.study.fonts import choose_families, drawable
from glm_magic.study.embeddings import Embeddings

VECTORS = np.float32([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [-1.0, 0.0]])
FOUR = Embeddings(("cat", "cow", "dog", "tax"), VECTORS, "embedding-3", "api.z.ai")


def some(count: int) -> Embeddings:
    vectors = np.random.default_rng(3).normal(size=(count, 8)).astype(np.float32)
    return Embeddings(tuple(map(str, range(count))), unit_vectors(vectors), "m", "local")


def notes(figure: Figure) -> list[str]:
    return sorted(text.get_text() for text in figure.axes[0].texts)


def test_a_map_has_a_point_and_a_name_for_each_text() -> None:
    figure = FOUR.plot()
    assert notes(figure) == ["cat", "cow", "dog", "tax"]
    assert figure.axes[0].collections[0].get_offsets().shape == (4, 2)
    assert figure.axes[0].get_title() == "embedding-3, 2 dimensions"
    assert figure.axes[0].get_ylabel().startswith("2nd component, ")


def test_two_sets_have_a_legend() -> None:
    figure = replace(FOUR, split=1).plot("map")
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["first set", "second set"]


def test_a_heat_map_has_the_similarities_and_the_names() -> None:
    axes = replace(FOUR, split=1).plot("heatmap").axes[0]
    assert np.asarray(axes.images[0].get_array()).tolist() == [pytest.approx([0.6, 0.0, -1.0])]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["cow", "dog", "tax"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat"]


def test_many_texts_have_no_names() -> None:
    assert notes(some(41).plot()) == []
    assert len(some(41).plot("heatmap").axes[0].get_yticklabels()) < 41


def test_labels_stand_for_their_texts() -> None:
    assert notes(replace(FOUR, labels=("a", "b", "c", "d")).plot()) == ["a", "b", "c", "d"]


def test_another_kind_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(SettingsError, match="'map' or 'heatmap' is expected; did you mean 'heatm"):
        FOUR.plot("heat map")
    with pytest.raises(SettingsError, match=r"is expected$"):
        FOUR.plot("pie")


def test_a_map_of_two_texts_is_refused() -> None:
    with pytest.raises(SettingsError, match="three texts or more"):
        replace(FOUR, texts=("a", "b"), vectors=VECTORS[:2]).plot()


def test_a_notebook_shows_it_and_pyplot_is_not_touched() -> None:
    figure = FOUR.plot()
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    assert "matplotlib.pyplot" not in sys.modules or not _open_figures()


def _open_figures() -> list[int]:
    numbers: Callable[[], list[int]] = sys.modules["matplotlib.pyplot"].get_fignums
    return numbers()


def test_chinese_names_are_drawn() -> None:
    if len(choose_families()) == 1:
        pytest.skip("no font with Chinese is installed here")
    figure = replace(FOUR, texts=("一只猫", "狗", "牛", "税")).plot()
    figure.draw_without_rendering()  # a character without a glyph is a warning
    assert notes(figure) == ["一只猫", "牛", "狗", "税"]


@pytest.mark.parametrize("kind", ["map", "heatmap"])
def test_a_hostile_name_is_drawn_as_it_is(kind: str) -> None:
    texts = ("$\\frac{$", "$$x$$", "a\nb\x1b[31m\u202e", "\x00\ufffe\U0001f9ff" + "x" * 10_000)
    figure = replace(FOUR, texts=texts, model="$\\alpha{$").plot(kind)
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_characters_that_no_font_has_are_boxes_and_chinese_ones_are_told_of_once() -> None:
    with pytest.warns(UserWarning, match="Noto Sans CJK") as told:
        assert drawable(["猫 cat", "狗"], ["DejaVu Sans"]) == ["□ cat", "□"]
    assert len(told) == 1
    assert drawable(["\U0001f9ff"], ["DejaVu Sans"]) == ["□"]
