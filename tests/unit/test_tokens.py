"""The rough count of tokens, by which a request is estimated before it is sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glm_magic.api.requests import Message
from glm_magic.api.tokens import estimate_messages, estimate_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("a" * 400, 100),
        ("一季度国内生产总值", 6),
        ("一" * 300, 200),
        ("a" * 200 + "一" * 150, 150),
        ("é" * 24, 11),
        ("😀" * 8, 7),
        ("\ud83d", 1),
        ("\x00\n ", 1),
    ],
)
def test_four_ascii_characters_are_a_token_and_one_and_a_half_chinese_ones(
    text: str, tokens: int
) -> None:
    assert estimate_tokens(text) == tokens


@given(st.text(alphabet=st.characters(), min_size=1))
def test_any_text_has_a_token_and_at_most_one_for_each_character(text: str) -> None:
    assert 1 <= estimate_tokens(text) <= len(text)


@given(st.text(), st.text())
def test_a_longer_text_has_no_fewer_tokens(text: str, more: str) -> None:
    assert estimate_tokens(text) <= estimate_tokens(text + more)


def test_each_message_has_the_marks_of_its_role() -> None:
    question = Message("user", "a" * 40)
    assert estimate_messages([question]) == 16
    assert estimate_messages([Message("system", "b" * 8), question]) == 20


def test_reasoning_that_is_sent_along_counts() -> None:
    assert estimate_messages([Message("assistant", "a" * 40, reasoning="b" * 40)]) == 26


def test_no_messages_have_no_tokens() -> None:
    assert estimate_messages([]) == 0
