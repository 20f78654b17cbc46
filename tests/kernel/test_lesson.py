"""The lesson on embeddings, run as a reader would, on the local engine: no key, no server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import glm_magic

LESSON = Path(glm_magic.__file__).parents[1] / "notebooks" / "embeddings.ipynb"
# What a person would say, asked of the kernel when the lesson is over.
ASIDE = """
import json

pairs = [(e.texts[i], e.texts[j]) for i, j in zip(e.pairs.i, e.pairs.j)]
print(json.dumps({
    "closest": e.nearest("a cat sat on the mat", 2).text.tolist(),
    "stocks": sorted(e.nearest("今天股市大跌", 2).text),
    "last": [sorted(map(e.texts.index, pair)) for pair in pairs[6:]],
    "questions": matched.df.to_numpy().argmax(axis=1).tolist(),
    "late": sorted(r.labels[i] for i in late.index),
    "battery": sorted(r.labels[i] for i in battery.index),
    "groups": groups.groupby("cluster").label.agg(list).tolist(),
    "cuts": cuts.df.correlation.round(3).tolist(),
}))
"""


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook, executed."""
    notebook = nbformat.read(LESSON, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(ASIDE))
    folder = tmp_path_factory.mktemp("lesson")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ZAI_API_KEY", "ZHIPUAI_API_KEY", "ZAI_BASE_URL", "ZHIPUAI_BASE_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("GLM_MAGIC_STORE", str(folder / "vectors.sqlite"))
        resources = {"metadata": {"path": str(folder)}}
        NotebookClient(notebook, resources=resources, store_widget_state=False).execute()
    return notebook


@pytest.fixture(scope="module")
def said(lesson: Any) -> Any:
    """What the kernel answered in the end."""
    import json

    return json.loads(lesson.cells[-1].outputs[0].text)


def test_every_cell_shows_what_a_saved_notebook_can_show(lesson: Any) -> None:
    nbformat.validate(lesson)
    kinds = {
        kind for cell in lesson.cells for o in cell.get("outputs", ()) for kind in o.get("data", ())
    }
    assert kinds == {"text/html", "text/plain"}
    assert "widgets" not in lesson.metadata


def test_a_sentence_is_nearest_to_its_translation(said: Any) -> None:
    assert said["closest"] == ["一只猫坐在垫子上", "a kitten rests on the rug"]
    assert said["stocks"] == [
        "stock prices fell sharply today",
        "the market lost four percent this morning",
    ]


def test_no_cat_is_nearer_to_a_stock_than_to_a_cat(said: Any) -> None:
    """The six pairs within a subject come first; all the others are of a cat and a stock."""
    assert len(said["last"]) == 9
    assert all(first < 3 <= second for first, second in said["last"])


def test_questions_find_their_counterparts_in_another_language(said: Any) -> None:
    assert said["questions"] == [1, 0, 2]


def test_a_search_finds_what_is_meant_in_both_languages(said: Any) -> None:
    assert said["late"] == ["R1", "R2", "R4", "R5"]
    assert said["battery"] == ["R8", "R9"]


def test_groups_are_what_a_person_would_make(said: Any) -> None:
    groups = {tuple(group) for group in said["groups"]}
    pairs = {("R1", "R4"), ("R2", "R5"), ("R6", "R7"), ("R8", "R9")}
    assert groups == pairs | {("R10", "R11", "R12"), ("R3",)}


def test_shorter_vectors_agree_less(said: Any) -> None:
    assert said["cuts"][0] == 1.0
    assert said["cuts"] == sorted(said["cuts"], reverse=True)
