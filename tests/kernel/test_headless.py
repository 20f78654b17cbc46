"""Notebooks that a program runs: what is left in the file, and what the program is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
from glm_server import Script, failure
from kernels import TIMEOUT_S
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from runners import RUNNERS, Place, build, open_place, run_with_nbclient

ANSWER = "Hello! 你好！I am GLM, 很高兴见到你。"
LOAD = "%load_ext glm_magic"
CELLS = (
    LOAD,
    "%%glm -o answer\nHello",
    "print(type(_).__name__, _ is answer is _glm is Out[2], _)",
    "%%glm embed\na cat\na kitten",
    "print(type(_).__name__)",
)
BROKEN = Script(text=("word0 ", "word1 ", "word2 "), cut_after=3)
STALLED = Script(text=("word0 ", "word1 ", "word2 "), stall_after=2)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The place where all notebooks of this module run."""
    with open_place(tmp_path_factory.mktemp("headless")) as place:
        yield place


@pytest.fixture(scope="module", params=RUNNERS)
def executed(request: pytest.FixtureRequest, place: Place) -> Any:
    """The notebook of `CELLS`, as a program with its own defaults leaves it."""
    place.server.script = Script()
    return RUNNERS[request.param](place, *CELLS)


def mime_types(notebook: Any) -> set[str]:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return {kind for output in outputs for kind in output.get("data", ())}


# -- what is left ------------------------------------------------------------------------------


def test_an_answer_is_one_output_of_html_and_plain_text(executed: Any) -> None:
    nbformat.validate(executed)
    (output,) = executed.cells[1].outputs
    assert output.output_type == "display_data"
    assert output.data.keys() == {"text/html", "text/plain"}
    assert f"<p>{ANSWER}</p>" in output.data["text/html"]
    assert output.data["text/plain"] == ANSWER
    assert output.metadata["glm_magic"]["model"] == "glm-4.7-flash"


def test_the_value_of_a_cell_is_there_for_the_next(executed: Any) -> None:
    assert executed.cells[2].outputs[0].text == f"Reply True {ANSWER}\n"
    assert executed.cells[4].outputs[0].text == "Embeddings\n"


def test_nothing_else_is_left_in_the_cells(executed: Any) -> None:
    assert mime_types(executed) == {"text/html", "text/plain"}
    assert [len(cell.outputs) for cell in executed.cells] == [0, 1, 1, 1, 1]


def test_no_widget_state_is_left_behind(executed: Any) -> None:
    assert "widgets" not in executed.metadata
    assert "widget" not in json.dumps(executed)


def test_a_runner_told_to_keep_no_widget_state_keeps_the_same_output(place: Place) -> None:
    place.server.script = Script()
    notebook = run_with_nbclient(place, *CELLS[:3], store_widget_state=False)
    (output,) = notebook.cells[1].outputs
    assert (output.output_type, output.data.keys()) == ("display_data", {"text/html", "text/plain"})
    assert notebook.cells[2].outputs[0].text == f"Reply True {ANSWER}\n"
    assert "widgets" not in notebook.metadata


# -- what goes wrong ---------------------------------------------------------------------------


def check_broken(cell: Any) -> None:
    """The cell has the part of the answer that came, marked, and the error in one line."""
    answer, error = cell.outputs
    assert answer.data.keys() == {"text/html", "text/plain"}
    assert "word2" in answer.data["text/html"]
    assert "[cut off: the answer is not complete]" in answer.data["text/plain"]
    (line,) = error.traceback
    assert line.startswith("glm: 127.0.0.1")
    assert "\n" not in line


def test_an_error_ends_the_run_with_its_one_line(place: Place) -> None:
    place.server.script = BROKEN
    notebook = build(LOAD, "%%glm\nHello", "ran = True")
    with pytest.raises(CellExecutionError) as raised:
        NotebookClient(notebook, timeout=TIMEOUT_S).execute()
    check_broken(notebook.cells[1])
    assert notebook.cells[1].outputs[1].traceback[0] in str(raised.value)
    assert "File" not in str(raised.value)
    assert notebook.cells[2].execution_count is None


def test_a_run_that_allows_errors_goes_on_after_one(place: Place) -> None:
    place.server.script = BROKEN
    place.server.queue(Script(error=failure("1113")))
    cells = (LOAD, "%%glm\nHello", "%%glm\nHello", "print(_glm.state)", "%%glm -t 9\nHello")
    notebook = run_with_nbclient(place, *cells, allow_errors=True)
    check_broken(notebook.cells[2])
    assert notebook.cells[3].outputs[0].text == "cut off\n"
    for cell, words in ((notebook.cells[1], "no balance"), (notebook.cells[4], "9 is not from 0")):
        (line,) = cell.outputs[-1].traceback
        assert words in line
    assert mime_types(notebook) == {"text/html", "text/plain"}


def test_papermill_keeps_what_came_and_says_the_one_line(place: Place) -> None:
    place.server.script = BROKEN
    place.write(LOAD, "%%glm\nHello", "ran = True")
    said = place.run("papermill", "--no-progress-bar", "notebook.ipynb", "executed.ipynb", status=1)
    notebook = place.read()
    (cell,) = (cell for cell in notebook.cells if cell.source == "%%glm\nHello")
    check_broken(cell)
    assert cell.outputs[1].traceback[0] in said
    assert mime_types(notebook) <= {"text/html", "text/plain"}


def test_an_interrupt_keeps_what_came_in_one_line(place: Place) -> None:
    place.server.script = STALLED
    notebook = build(LOAD, "%%glm\nHello", "print(_glm.state)")
    NotebookClient(notebook, timeout=2, interrupt_on_timeout=True, allow_errors=True).execute()
    place.server.wait_for_disconnect()
    answer, error = notebook.cells[1].outputs
    assert answer.data.keys() == {"text/html", "text/plain"}
    assert "word1" in answer.data["text/html"]
    assert "[stopped: the answer is not complete]" in answer.data["text/plain"]
    (line,) = error.traceback
    assert line.startswith("glm: stopped; the partial answer is in _glm")
    assert notebook.cells[2].outputs[0].text == "stopped\n"


def test_a_run_that_is_given_up_closes_the_connection(place: Place) -> None:
    place.server.script = STALLED
    with pytest.raises(CellTimeoutError):
        NotebookClient(build(LOAD, "%%glm\nHello"), timeout=1).execute()
    place.server.wait_for_disconnect()
