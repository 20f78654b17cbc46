"""The bench of the live view streams what it says, and judges what it measured."""

from __future__ import annotations

import re

import pytest
from bench.live import Row, render_rows
from bench.live_bad import BAD_NAMES, build_bad
from bench.live_document import LAST_WORDS, Answer, build_answer, cut


@pytest.mark.parametrize("tokens", [1000, 4000, 32_000])
def test_an_answer_is_as_long_as_asked_for(tokens: int) -> None:
    answer = build_answer(tokens)
    assert 0.8 * tokens < len(answer.deltas) <= tokens
    assert len(answer.text) / len(answer.deltas) == pytest.approx(4.3, rel=0.01)
    assert answer.text.endswith(LAST_WORDS)


def test_a_short_answer_has_everything_that_a_long_one_has() -> None:
    text = build_answer(4000).text
    kinds = ("## ", "### ", "\n- ", "\n1. ", "\n  - ", "```python", "```bash", "```javascript")
    assert all(kind in text for kind in (*kinds, "\n|:--", "\n> ", "$$", "\\[", "](https:", "。"))


def test_code_in_an_answer_has_10_to_40_lines() -> None:
    code = re.findall(r"```\w+\n(.*?)\n```", build_answer(32_000).text, re.S)
    lengths = {len(lines.split("\n")) for lines in code}
    assert (min(lengths), max(lengths)) == (10, 40)


def test_a_shorter_answer_is_the_beginning_of_a_longer_one() -> None:
    short = build_answer(4000).text.removesuffix(LAST_WORDS)
    assert build_answer(32_000).text.startswith(short)


def test_pieces_join_to_what_was_cut() -> None:
    assert "".join(cut("")) == ""
    assert cut("a few words") == ("a fe", "w wor", "ds")


def test_what_is_left_out_is_missed() -> None:
    answer = Answer(("one two ", "three four"), ("one", "two", "three", "four"))
    assert answer.share_in("one two\n three   four") == 1.0
    assert answer.share_in("one two four") == 0.5
    assert answer.share_in("four three two one") == 0.25


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_answer_shows_all_that_it_says(name: str) -> None:
    answer = build_bad(name)
    assert answer.share_in(answer.text) == 1.0
    assert answer.text.count(answer.needles[-1]) == 1


def test_no_other_answer_is_known() -> None:
    with pytest.raises(ValueError, match="no bad answer named 'good'"):
        build_bad("good")


def test_a_table_judges_ours_alone() -> None:
    rows = [
        Row("seconds", {"ours": 1.0, "whole": 20.0}, 2),
        Row("frames", {"ours": 3.14, "whole": None}, 3, digits=2),
        Row("no wish", {"ours": 4.0, "whole": 1234.5}),
    ]
    lines = [
        " ".join(line.split())
        for line in render_rows("Title", ["ours", "whole"], rows).splitlines()
    ]
    assert lines == [
        "",
        "Title ours whole, 25 fps",
        "seconds 1.0 20.0 <= 2 met",
        "frames 3.14 - <= 3 MISSED",
        "no wish 4.0 1,234.5",
    ]
