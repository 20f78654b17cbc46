"""What is told of an exception: its traceback, its cells and the prompt they make."""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from glm_magic.render.failure import Preview, render_preview, render_preview_plain
from glm_magic.session.failure import (
    Cell,
    Failure,
    build_cell,
    build_error_prompt,
    describe_failure,
)

CELLS: dict[str, Cell] = {}
KEY = "0123456789abcdef0123456789abcdef.AbCdEfGh12345678"


@pytest.fixture(autouse=True)
def _no_cells() -> Iterator[None]:
    CELLS.clear()
    yield
    for name in CELLS:
        linecache.cache.pop(name, None)


def run(*sources: str) -> Failure:
    """Run cells, In[1] and on; tell of the exception of the last, as it would be told."""
    return describe_failure(error_of(*sources), CELLS.get, hidden=(__file__,))


def error_of(*sources: str) -> BaseException:
    """The exception of the last cell."""
    scope: dict[str, object] = {"__name__": "__main__"}
    for source in sources:
        name = add_cell(source)
        try:
            exec(compile(source, name, "exec"), scope)
        except BaseException as error:
            return error
    raise AssertionError("no cell failed")


def add_cell(source: str) -> str:
    """Remember a cell as IPython does; return the name that it is compiled under."""
    name = f"/tmp/cells/{len(CELLS) + 1}.py"
    lines = [f"{line}\n" for line in source.split("\n")]
    linecache.cache[name] = (len(source), None, lines, name)
    CELLS[name] = Cell(f"In[{len(CELLS) + 1}]", source)
    return name


# -- the traceback -----------------------------------------------------------------------------


def test_the_traceback_names_the_cells_and_not_the_machinery() -> None:
    lines = run("def half(x):\n    return x / 0", "\nhalf(1)").traceback.split("\n")
    assert [line for line in lines if set(line) - set(" ~^")] == [
        "Traceback (most recent call last):",
        "  Cell In[2], line 2, in <module>",
        "    half(1)",
        "  Cell In[1], line 2, in half",
        "    return x / 0",
        "ZeroDivisionError: division by zero",
    ]


def test_a_cause_is_told_before_what_came_of_it() -> None:
    text = run(
        "try:\n    1 / 0\nexcept Exception as e:\n    raise ValueError('no') from e"
    ).traceback
    assert re.search(r"division by zero\n\nThe above exception was the direct cause", text)
    assert text.endswith("ValueError: no")
    assert __file__ not in text


def test_every_exception_of_a_group_is_told() -> None:
    text = run("raise ExceptionGroup('two', [ValueError(1), TypeError(2)])").traceback
    assert "Exception Group Traceback" in text
    assert "ValueError: 1" in text
    assert "TypeError: 2" in text
    assert __file__ not in text


def test_frames_that_repeat_are_told_once() -> None:
    text = run("def f(n):\n    return f(n + 1)\nf(0)").traceback
    assert re.search(r"\[Previous line repeated \d+ more times\]", text)
    assert text.count("return f(n + 1)") == 3


def test_of_two_that_call_each_other_both_ends_are_told() -> None:
    text = run("def f():\n    g()\ndef g():\n    f()\nf()").traceback
    assert "line 5, in <module>" in text
    assert re.search(r"\n  \[\d+ frames left out\]\n", text)
    assert len(text) < 2_000


@pytest.mark.parametrize(
    "message",
    ["'x' * 10_000_000", "'x\\n' * 100_000", "'\\x1b[31m' * 50_000"],
    ids=["one line", "lines", "colours"],
)
def test_a_long_message_leaves_the_traceback_short(message: str) -> None:
    failure = run(f"raise ValueError({message})")
    assert len(failure.traceback) < 6_100
    assert "ValueError: " in failure.traceback


def test_a_hundred_causes_leave_the_traceback_short() -> None:
    source = (
        "def f(n):\n    try:\n        f(n - 1) if n else 1 / 0\n"
        "    except Exception as e:\n        raise ValueError(n) from e\nf(150)"
    )
    text = run(source).traceback
    assert len(text) < 6_100
    assert "division by zero" in text
    assert "lines left out" in text
    assert text.endswith("ValueError: 150")


def test_an_exception_that_cannot_be_shown_is_told_all_the_same() -> None:
    failure = run("class E(Exception):\n    def __str__(self):\n        1 / 0\nraise E")
    assert failure.error_type == "E"
    assert "<exception str() failed>" in failure.traceback


def test_notes_are_told() -> None:
    text = run("error = ValueError('no')\nerror.add_note('but why')\nraise error").traceback
    assert text.endswith("ValueError: no\nbut why")


# -- the cells ---------------------------------------------------------------------------------


def test_the_cell_is_told_with_the_line_that_failed_and_types_but_no_values() -> None:
    (cell,) = run("rows = ['s3cret']\nlimit = 2\nrows + limit").cells
    assert (cell.name, cell.start, cell.total, cell.failed) == ("In[1]", 1, 3, 3)
    assert cell.line == "rows + limit"
    assert cell.types == (("rows", "list"), ("limit", "int"))
    assert cell.is_whole


def test_a_word_in_a_string_has_no_type() -> None:
    (cell,) = run("x = 1\nopen('x')").cells
    assert cell.types == ()


def test_the_cell_that_called_is_told_too() -> None:
    failure = run("def half(x):\n    return x / 0", "y = 1", "\nhalf(y)")
    call, place = failure.cells
    assert (call.name, call.failed, call.line) == ("In[3]", 2, "half(y)")
    assert (place.name, place.failed, place.types) == ("In[1]", 2, (("x", "int"),))


@pytest.mark.parametrize(
    ("source", "line"), [("x = 1\nif x\n    y", 2), ("x = 1\n  y = 2", 2)], ids=["syntax", "indent"]
)
def test_a_cell_that_was_never_run_is_told_by_its_syntax_error(source: str, line: int) -> None:
    failure = run(source)
    (cell,) = failure.cells
    assert (cell.text, cell.failed) == (source, line)
    assert f"Cell In[1], line {line}\n" in failure.traceback


def test_a_file_that_a_cell_imports_is_in_the_traceback(tmp_path: Path) -> None:
    module = tmp_path / "broken.py"
    module.write_text("def f():\n    return {}['x']\n")
    source = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport broken\nbroken.f()"
    failure = run(source)
    assert f"File \"{module}\", line 2, in f\n    return {{}}['x']" in failure.traceback
    assert [(cell.name, cell.failed) for cell in failure.cells] == [("In[1]", 4)]


def test_an_exception_that_nobody_raised_in_a_cell_has_none() -> None:
    assert describe_failure(ValueError("x"), CELLS.get) == Failure(
        "ValueError", "ValueError: x", ()
    )


def test_of_a_long_cell_the_part_around_the_line_is_told() -> None:
    source = "\n".join([*(f"x{n} = {n}" for n in range(500)), "boom", "y = 1\n" * 300])
    (cell,) = run(source).cells
    lines = cell.text.split("\n")
    assert len(lines) == 200
    assert lines[cell.failed - cell.start if cell.failed else 0] == "boom"
    assert 400 < cell.start < 420
    assert not cell.is_whole


def test_of_wide_lines_fewer_are_told() -> None:
    wide = f"'{'x' * 10_000}'"
    (cell,) = run("\n".join([*[wide] * 20, "boom"])).cells
    assert len(cell.text) < 10_000
    assert cell.text.endswith("\nboom")
    assert "[…]" in cell.text
    assert not cell.is_whole


def test_a_cut_leaves_no_half_of_what_is_cleaned_away() -> None:
    for width in range(380, 420):
        error = error_of(f"raise ValueError('{'x' * width} {KEY} {'y ' * 300}')")
        failure = describe_failure(error, CELLS.get, clean=lambda text: text.replace(KEY, "<key>"))
        assert "0123456789abcdef" not in failure.traceback
        CELLS.clear()


@pytest.mark.parametrize(
    ("typed", "compiled", "source", "is_numbered"),
    [
        ("\n\nx = 1\ny\n", ["x = 1\n", "y\n"], "x = 1\ny", True),
        ("%time\ny", ["get_ipython().run_line_magic('time', '')\n", "y\n"], "%time\ny", True),
        ("%%time\nx = 1\ny", ["get_ipython()...\n"], "%%time\nx = 1\ny", False),
    ],
    ids=["empty lines", "line magic", "cell magic"],
)
def test_a_cell_is_told_as_it_was_typed(
    typed: str, compiled: list[str], source: str, is_numbered: bool
) -> None:
    assert build_cell("In[1]", typed, compiled) == Cell("In[1]", source, is_numbered)


def test_of_a_cell_magic_no_line_is_said_to_have_failed() -> None:
    value = error_of("x = 1\ny")
    cells = {name: Cell("In[1]", "%%time\ny", is_numbered=False) for name in CELLS}
    failure = describe_failure(value, cells.get)
    assert failure.cells[-1].failed is None
    assert "Cell In[1], which failed:" in build_error_prompt(failure, mend=False)


# -- the prompt --------------------------------------------------------------------------------


def test_the_prompt_is_the_task_then_the_traceback_then_the_cell() -> None:
    prompt = build_error_prompt(run("x = []\nx / 2"), mend=False)
    assert prompt == (
        "A cell of a notebook failed with TypeError. Explain in a few plain sentences why, and say "
        "what to change. Answer in the language of the comments in the cell, in English if it has "
        "none.\n\n"
        "Traceback:\n\n```\nTraceback (most recent call last):\n"
        "  Cell In[1], line 2, in <module>\n    x / 2\n    ~~^~~\n"
        "TypeError: unsupported operand type(s) for /: 'list' and 'int'\n```\n\n"
        "Cell In[1], which failed in line 2, `x / 2`:\n\n```python\nx = []\nx / 2\n```\n\n"
        "Types there: x: list"
    )


def test_a_fence_is_longer_than_any_within() -> None:
    source = "text = '''\n`````\n'''\nraise ValueError('````')"
    prompt = build_error_prompt(run(source), mend=False)
    assert f"\n``````python\n{source}\n``````" in prompt
    assert "\n`````\nTraceback (most" in prompt


def test_to_mend_it_asks_for_the_whole_cell_in_one_block() -> None:
    prompt = build_error_prompt(run("boom"), mend=True)
    assert "the whole corrected cell in one Python code block" in prompt
    assert "only a part" not in prompt


def test_to_mend_one_of_two_cells_it_says_so() -> None:
    failure = run("def f():\n    boom", "f()")
    assert "correct the one that is to blame" in build_error_prompt(failure, mend=True)
    assert "to blame" not in build_error_prompt(failure, mend=False)


def test_to_mend_a_part_of_a_cell_it_says_which() -> None:
    failure = run("x = 1\n" * 500 + "boom")
    prompt = build_error_prompt(failure, mend=True)
    assert "only a part is given" in prompt
    assert "which failed in line 501, `boom` (lines 302 to 501 of 501):" in prompt


# -- what is shown before it is sent -----------------------------------------------------------

PREVIEW = Preview("glm-4.7", "api.z.ai", 1234, (("user", "a <b>\n```\x1b[31m\n"),))


def test_the_preview_has_the_very_words_and_no_tags_of_theirs() -> None:
    html = render_preview(PREVIEW, is_open=True)
    assert "<details open><summary>To glm-4.7 at api.z.ai, about 1,234 tokens</summary>" in html
    assert "a &lt;b&gt;\n```\n" in html
    assert "<details><summary>" in render_preview(PREVIEW, is_open=False)
    plain = "To glm-4.7 at api.z.ai, about 1,234 tokens:\n\na <b>\n```\n"
    assert render_preview_plain(PREVIEW) == plain


def test_the_preview_has_the_system_message_too() -> None:
    preview = Preview("m", "local", 3, (("system", "Be brief."), ("user", "Why?")))
    plain = "To m on this machine, about 3 tokens:\n\n[system]\nBe brief.\n\n[user]\nWhy?"
    assert render_preview_plain(preview) == plain
    html = render_preview(preview, is_open=False)
    assert re.search(r"<p>system</p><pre.*>Be brief\.<.*<p>user</p><pre.*>Why\?<", html, re.S)
