"""Text that grows: bounded work at a step, nothing lost, the whole as if it came at once."""

import time
from collections.abc import Iterator

import html5lib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glm_magic.render.growth import Growth, MarkdownGrowth, PlainGrowth, Step
from glm_magic.render.markdown import TEXT_LIMIT, render_markdown, render_plain

# A step takes in 4,000 characters, and what stayed open before it has at most as many.
MOST_AT_A_STEP = 9_000
LINKS = {1: "https://one.example.org/a"}


def steps_of(growth: Growth, text: str, size: int) -> Iterator[Step]:
    """Feed `text` in pieces of `size`, a step for each, then step until nothing waits."""
    for start in range(0, len(text), size):
        growth.add(text[start : start + size])
        yield growth.step()
    while growth.is_waiting:
        yield growth.step()


def text_of(html: str) -> str:
    return "".join(html5lib.parseFragment(html, namespaceHTMLElements=False).itertext())


def words_of(html: str) -> list[str]:
    return text_of(html).split()


FENCE = "```python\n" + "".join(f"word{n} = {n}\n" for n in range(2_500))
TABLE = "| a | b |\n|---|---|\n" + "".join(f"| word{n} | x |\n" for n in range(1_200))
LIST = "".join(f"- word{n}\n  - nested\n" for n in range(1_200))
ONE_ITEM = "- start\n" + "".join(f"  word{n}\n" for n in range(1_200))
QUOTE = "".join(f"> word{n}\n" for n in range(1_200))
PARAGRAPH = "".join(f"word{n}\n" for n in range(1_200))
ONE_LINE = "".join(f"word{n} " for n in range(3_500))
LONG = {
    "a fence": FENCE,
    "a closed fence": FENCE + "```\n",
    "a table": TABLE,
    "a list": LIST,
    "one item": ONE_ITEM,
    "a quotation": QUOTE,
    "a paragraph": PARAGRAPH,
    "a line": ONE_LINE,
    "a formula": "$$\n" + PARAGRAPH,
    "a fence in a list": "- x\n\n  ```\n" + "".join(f"  word{n}\n" for n in range(1_200)),
}
SHAPES = pytest.mark.parametrize("text", LONG.values(), ids=LONG)


@SHAPES
@pytest.mark.parametrize("size", [1_500, 2_000_000], ids=["in pieces", "at once"])
def test_a_block_that_stays_open_is_shown_in_bounded_pieces_that_lose_nothing(
    text: str, size: int
) -> None:
    steps = list(steps_of(MarkdownGrowth(), text, size))
    for step in steps:
        assert len(text_of(step.finished)) < MOST_AT_A_STEP
        assert len(text_of(step.tail)) < MOST_AT_A_STEP
    shown = "".join(step.finished for step in steps) + steps[-1].tail
    seen = set(words_of(shown))
    assert {word for word in text.split() if word.startswith("word")} <= seen


@SHAPES
def test_the_whole_is_that_of_the_text_however_it_was_shown(text: str) -> None:
    growth = MarkdownGrowth()
    list(steps_of(growth, text, 3_000))
    assert growth.whole(text) == render_markdown(text)


def test_a_long_fence_stays_a_fence_and_a_long_table_keeps_its_head() -> None:
    for step in steps_of(MarkdownGrowth(), FENCE, 900):
        assert "<p>" not in step.finished + step.tail
        assert "```" not in step.finished + step.tail
    *steps, last = steps_of(MarkdownGrowth(), TABLE, 900)
    tables = [step.finished for step in steps if step.finished]
    assert len(tables) > 3
    for table in (*tables, last.tail):
        assert words_of(table)[:2] == ["a", "b"]


@pytest.mark.parametrize("head", ["```json\n", "| a | b |\n|---|---|\n| ", "> a\n> ", "- a\n  "])
def test_a_single_line_without_end_is_shown_in_bounded_pieces_none_of_them_empty(
    head: str,
) -> None:
    text = head + "x" * 40_000
    steps = list(steps_of(MarkdownGrowth(), text, 500))
    pieces = [text_of(step.finished) for step in steps if step.finished]
    assert max(len(step.tail) for step in steps) < MOST_AT_A_STEP
    assert all(piece.strip() for piece in pieces)
    assert "".join((*pieces, text_of(steps[-1].tail))).count("x") == 40_000


def test_text_after_a_long_fence_is_text_again() -> None:
    *_, last = steps_of(MarkdownGrowth(), FENCE + "```\n\nAfter *it*.\n", 700)
    assert last.tail == "<p>After <em>it</em>.</p>\n"


def test_the_number_of_an_item_goes_on_from_piece_to_piece() -> None:
    text = "".join(f"{n}. word{n}\n" for n in range(1, 1_000))
    pieces = [step.finished for step in steps_of(MarkdownGrowth(), text, 900) if step.finished]
    assert all('<ol start="' in piece for piece in pieces[1:])


def test_code_gets_its_colours_when_its_fence_is_closed() -> None:
    growth = MarkdownGrowth()
    open_fence, closed = steps_of(growth, "```python\nimport os\n" + "```\n", 20)
    assert "<span" not in open_fence.tail
    assert '<span class="kn">import</span>' in closed.finished


def test_marks_of_sources_become_links_when_the_sources_are_known() -> None:
    text = "One[ref_1].\n\nTwo.\n\nThree[ref_1].\n"
    growth = MarkdownGrowth()
    assert not any("<a " in step.finished + step.tail for step in steps_of(growth, text, 5))
    assert growth.whole(text, LINKS) == render_markdown(text, LINKS)
    assert growth.whole(text, LINKS).count("<a ") == 2


@pytest.mark.parametrize(
    "text",
    [
        "See [a].\n\nMore.\n\n[a]: https://example.org/\n\nLast.",
        "See[^1].\n\nMore.\n\n[^1]: A note.\n\nLast.",
        "[^1]: A note.\n\nSee[^1].",
        "[a]: https://example.org/",
    ],
)
def test_definitions_reach_back_and_forth_in_the_whole(text: str) -> None:
    growth = MarkdownGrowth()
    list(steps_of(growth, text, 4))
    assert growth.whole(text) == render_markdown(text)


def test_a_table_ends_where_the_parser_ends_it_also_after_a_paragraph() -> None:
    text = "|\n1|2\n-|-\n1.\n1||)"
    growth = MarkdownGrowth()
    list(steps_of(growth, text, 1))
    assert growth.whole(text) == render_markdown(text)


def test_another_text_than_what_came_is_rendered_for_itself() -> None:
    growth = MarkdownGrowth()
    list(steps_of(growth, "# One\n\ntwo", 3))
    assert growth.whole("") == ""
    assert growth.whole("# One") == "<h1>One</h1>\n"


def test_a_giant_is_plain_in_the_end_and_what_waits_is_not_taken_in_for_it() -> None:
    text = "**a**\n" * (TEXT_LIMIT // 6 + 1)
    growth = MarkdownGrowth()
    growth.add(text)
    growth.step()
    assert growth.whole(text) == render_plain(text)
    assert growth.is_waiting


@given(st.text(alphabet="ab \n\r\u2028<&你", max_size=60), st.integers(1, 9))
@settings(deadline=None, max_examples=100)
def test_plain_text_grows_by_its_lines_and_loses_nothing(text: str, size: int) -> None:
    steps = list(steps_of(PlainGrowth(), text, size))
    shown = "".join(step.finished for step in steps) + (steps[-1].tail if steps else "")
    assert text_of(shown).replace("\n", "") == text_of(render_plain(text)).replace("\n", "")


def test_a_plain_line_without_end_is_shown_in_bounded_pieces() -> None:
    steps = list(steps_of(PlainGrowth(), ONE_LINE, 10_000))
    assert max(len(step.finished) + len(step.tail) for step in steps) < MOST_AT_A_STEP
    assert words_of("".join(s.finished for s in steps) + steps[-1].tail) == ONE_LINE.split()


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_twice_as_much_takes_about_twice_the_time(text: str) -> None:
    half = text[: len(text) // 2]
    # Quadratic growth would take four times as long; the floor is for timers and caches.
    assert seconds(text) < 3.3 * max(seconds(half), 0.02)


def seconds(text: str) -> float:
    """Return the least CPU time of two runs in pieces of a frame's length."""
    times = []
    for _ in range(2):
        start = time.process_time()
        for _ in steps_of(MarkdownGrowth(), text, 1_500):
            pass
        times.append(time.process_time() - start)
    return min(times)
