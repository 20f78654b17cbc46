"""What is left of hostile text, and what of honest text in every script."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glm_magic.render.clean import clean_line, clean_text, escape

HOSTILE = st.text(
    alphabet=st.sampled_from(
        "a1;[]()m\\ \t\n\r\x00\x07\x08\x0c\x1b\x7f\x85\x90\x9b\x9c\x9d\u200c\u2028\u202e\u2066"
        "\ufe0f\ufe0e\U0001f3f4\U000e0067\U000e007f\ud83d\ude00é中"
    ),
    max_size=60,
)


@pytest.mark.parametrize(
    "text",
    [
        "Grüße, 你好，世界。\n\tこんにちは",
        "مرحبا بالعالم \u200e(GLM)\u200f",  # with direction marks
        "می\u200cخواهم",  # Persian, ZWNJ
        "क्\u200dष",  # Devanagari, ZWJ
        "👩\u200d👩\u200d👧 🏳\ufe0f\u200d🌈 ❤\ufe0f 1\ufe0f\u20e3 👍🏽 🇨🇳",
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",  # Scotland
        "葛\U000e0100城",  # an ideographic variant
        "a\u00a0b\u00adc",
    ],
)
def test_honest_text_comes_through_unharmed(text: str) -> None:
    assert clean_text(text) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\x1b[31;1mb\x1b[0m", "ab"),
        ("a\x9b2Jb", "ab"),
        ("\x1b]8;;https://evil.example\x1b\\label\x1b]8;;\x1b\\", "label"),
        ("a\x1b]52;c;cm0gLXJmIH4=\x07b", "ab"),
        ("a\x9d0;title\x9cb", "ab"),
        ("a\x1bPq#0;2;0\x1b\\b", "ab"),
        ("a\x90q\x9cb", "ab"),
        ("a\x1b_apc\x1b\\b\x1b^pm\x1b\\c\x1bXsos\x1b\\d", "abcd"),
        ("a\x1b(Bb\x1bcd\x1b", "abd"),
        ("a\x1b\x1b[31mb", "ab"),
        ("a\x1b]0;never ended\nnext", "a\nnext"),
        ("a\x1b]0;cut\x1b[1mb", "ab"),
    ],
)
def test_escape_sequences_are_removed_whole(text: str, cleaned: str) -> None:
    assert clean_text(text) == cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("pass\x08\x08\x08\x08word", "password"),
        ("a\x00b\x0b\x0c\x7f\x85c\td", "abc\td"),
        ("a\r\nb\rc\nd\u2028e\u2029f", "a\nb\nc\nd\ne\nf"),
        ("a\n\r\n\rb", "a\n\n\nb"),
    ],
)
def test_of_the_controls_only_tab_and_line_feed_remain(text: str, cleaned: str) -> None:
    assert clean_text(text) == cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\u202egpj.exe\u202c", "gpj.exe"),
        ("\u2066a\u2067b\u2068c\u2069\u202a\u202b\u202d", "abc"),
        ("a\U000e0001\U000e0069\U000e0067\U000e006e\U000e007fb", "ab"),
        ("🏴" + "\U000e0061" * 20 + "\U000e007f", "🏴"),  # a message, not a region
        ("🏴\U000e0067\U000e0062", "🏴"),
        ("a\ufe0f\ufe0e\U000e0100\ufe00b", "a\ufe0fb"),
    ],
)
def test_invisible_text_is_removed(text: str, cleaned: str) -> None:
    assert clean_text(text) == cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\ud83d\ude00", "😀"),
        ("a\ud83db", "a\ufffdb"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ud83d\n\ude00", "\ufffd\n\ufffd"),
    ],
)
def test_surrogate_halves_are_joined_and_lone_ones_are_marked(text: str, cleaned: str) -> None:
    assert clean_text(text) == cleaned


@given(HOSTILE)
def test_clean_text_stays_as_it_is(text: str) -> None:
    assert clean_text(clean_text(text)) == clean_text(text)


@given(HOSTILE)
def test_nothing_that_acts_is_left(text: str) -> None:
    assert not set("\r\x00\x07\x08\x1b\x85\x9b\x9d\u2028\u202e\u2066\ud83d") & set(clean_text(text))


@given(HOSTILE, HOSTILE, st.sampled_from(["\n", "\r\n", "\u2028"]))
def test_each_line_is_cleaned_by_itself(before: str, after: str, end: str) -> None:
    assert clean_text(before + end + after) == clean_text(before + end) + clean_text(after)


@pytest.mark.parametrize("part", ["\x1b]", "\x1b[", "\x1bP", "\x9d1", "\ufe0f", "🏴\U000e0067"])
def test_a_megabyte_of_unended_sequences_is_no_trouble(part: str) -> None:
    assert len(clean_text(part * 500_000)) <= 500_000


def test_a_line_is_one_line_with_single_spaces() -> None:
    assert clean_line("  a\r\n\tb \u2028 c\x1b[0m  ") == "a b c"


def test_a_long_line_ends_in_an_ellipsis() -> None:
    assert clean_line("abcdef", limit=6) == "abcdef"
    assert clean_line("abcdefg", limit=6) == "abcde…"
    assert clean_line("abcd efg", limit=6) == "abcd…"
    assert len(clean_line("x" * 1000)) == 300


def test_escaped_text_is_fit_for_elements_and_attributes() -> None:
    assert escape('<a b="c">&\'\x1b[0m') == "&lt;a b=&quot;c&quot;&gt;&amp;&#x27;"
