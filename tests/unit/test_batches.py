"""What one embedding request may hold, and texts divided by it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glm_magic.api.batches import (
    EmbeddingLimits,
    cut_text,
    describe_too_long,
    find_limits,
    split_batches,
    too_long,
)
from glm_magic.api.tokens import estimate_tokens
from glm_magic.errors import SettingsError

EMBEDDING_2, EMBEDDING_3 = find_limits("embedding-2"), find_limits("embedding-3")
TEXTS = st.lists(st.text(st.sampled_from("a é一😀"), max_size=30), max_size=40)


# -- limits ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "limits"),
    [
        ("embedding-3", EmbeddingLimits("embedding-3", (256, 512, 1024, 2048), 2048, 3072)),
        ("embedding-2", EmbeddingLimits("embedding-2", (1024,), 1024, 512, 8000)),
        ("use-multilingual-v3", EmbeddingLimits("use-multilingual-v3", (512,), 512)),
        ("Embedding-3", EmbeddingLimits("embedding-3", (256, 512, 1024, 2048), 2048, 3072)),
    ],
)
def test_a_model_is_as_it_was_published_whatever_the_case(
    model: str, limits: EmbeddingLimits
) -> None:
    assert find_limits(model) == limits
    assert limits.texts_per_request == 64


def test_of_an_unknown_model_only_64_texts_a_request_are_assumed() -> None:
    assert find_limits("BGE-m3") == EmbeddingLimits("BGE-m3", texts_per_request=64)


@pytest.mark.parametrize(
    ("model", "dimensions"),
    [
        ("embedding-3", None),
        ("embedding-3", 256),
        ("embedding-3", 2048),
        ("embedding-2", 1024),
        ("use-multilingual-v3", 512),
        ("bge-m3", 1),
        ("bge-m3", 100_000),
    ],
)
def test_a_width_that_the_model_has_may_be_asked_for(model: str, dimensions: int | None) -> None:
    find_limits(model).check_dimensions(dimensions)


@pytest.mark.parametrize(
    ("model", "dimensions", "message"),
    [
        ("embedding-3", 300, "embedding-3 has 256, 512, 1024 or 2048 dimensions, not 300"),
        ("embedding-2", 512, "embedding-2 always has 1024 dimensions, so leave --dimensions away"),
        ("bge-m3", 0, "dimensions are from 1 to 100,000, not 0"),
        ("bge-m3", 100_001, "dimensions are from 1 to 100,000, not 100001"),
    ],
)
def test_a_width_that_it_has_not_is_refused(model: str, dimensions: int, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        find_limits(model).check_dimensions(dimensions)
    assert str(caught.value) == message


# -- a text that is too long -------------------------------------------------------------------


def test_texts_over_the_limit_are_found_with_their_tokens() -> None:
    texts = ["short", "a" * 2048, "a" * 2049, "一" * 768, "一" * 769, ""]
    assert too_long(texts, EMBEDDING_2) == [(2, 513), (4, 513)]
    assert too_long(texts, EMBEDDING_3) == []


def test_without_a_known_limit_no_text_is_too_long() -> None:
    assert too_long(["a" * 100_000], find_limits("bge-m3")) == []


@given(TEXTS, st.integers(1, 20))
def test_every_text_over_the_limit_is_found(texts: list[str], limit: int) -> None:
    limits = EmbeddingLimits("x", tokens_per_text=limit)
    found = [(i, n) for i, n in enumerate(map(estimate_tokens, texts)) if n > limit]
    assert too_long(texts, limits) == found


PLACES = [f"line {number}" for number in range(1, 20)]


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (
            [(2, 4100)],
            "line 3 has about 4,100 tokens; embedding-3 takes 3,072 a text; "
            "shorten it or add --truncate",
        ),
        (
            [(2, 4100), (8, 3500)],
            "line 3 has about 4,100 tokens and line 9 about 3,500; embedding-3 takes 3,072 a text; "
            "shorten them or add --truncate",
        ),
        (
            [(2, 4100), (8, 3500), (9, 3100), (10, 3100)],
            "line 3 has about 4,100 tokens, line 9 about 3,500, line 10 about 3,100 and 1 more is "
            "too long; embedding-3 takes 3,072 a text; shorten them or add --truncate",
        ),
        (
            [(i, 4000) for i in range(9)],
            "line 1 has about 4,000 tokens, line 2 about 4,000, line 3 about 4,000 and 6 more are "
            "too long; embedding-3 takes 3,072 a text; shorten them or add --truncate",
        ),
    ],
)
def test_at_most_three_long_texts_are_named(found: list[tuple[int, int]], line: str) -> None:
    assert describe_too_long(found, PLACES, EMBEDDING_3) == line


@pytest.mark.parametrize(
    ("text", "limit", "cut"),
    [
        ("abcdefghi", 2, "abcdefgh"),
        ("abcdefgh", 2, "abcdefgh"),
        ("一季度国内", 2, "一季度"),
        ("abcdé" * 3, 1, "abcd"),
        ("abc", 0, ""),
        ("", 5, ""),
    ],
)
def test_a_text_is_cut_to_its_tokens(text: str, limit: int, cut: str) -> None:
    assert cut_text(text, limit) == cut


@given(st.text(st.sampled_from("a é一😀"), max_size=200), st.integers(0, 60))
def test_what_is_left_is_the_longest_start_within_the_limit(text: str, limit: int) -> None:
    cut = cut_text(text, limit)
    assert text.startswith(cut)
    assert estimate_tokens(cut) <= limit
    assert cut == text or estimate_tokens(text[: len(cut) + 1]) > limit


@pytest.mark.parametrize(
    ("text", "cut"), [("abe\u0301" * 2, "ab"), ("abe\u0301\u0323z", "ab"), ("ab👍\ufe0f", "ab")]
)
def test_no_character_is_parted_from_its_marks(text: str, cut: str) -> None:
    assert cut_text(text, 1) == cut


def test_one_character_with_more_marks_than_fit_is_cut_all_the_same() -> None:
    assert cut_text("e" + "\u0301" * 100, 2) == "e" + "\u0301" * 3


@given(st.text(max_size=60), st.integers(1, 20))
def test_a_text_with_marks_keeps_its_start_within_the_limit(text: str, limit: int) -> None:
    cut = cut_text(text, limit)
    assert text.startswith(cut) and estimate_tokens(cut) <= limit
    assert bool(cut) == bool(text)
    if unicodedata.category(text[len(cut) : len(cut) + 1] or "a")[0] == "M":
        assert all(unicodedata.category(mark)[0] == "M" for mark in cut[1:])


# -- many texts --------------------------------------------------------------------------------


def test_a_request_has_64_texts() -> None:
    assert split_batches(["a"] * 130, EMBEDDING_3) == [range(64), range(64, 128), range(128, 130)]
    assert split_batches(["a"] * 64, EMBEDDING_3) == [range(64)]
    assert split_batches(["a"] * 130, EMBEDDING_2) == [range(64), range(64, 128), range(128, 130)]


def test_no_texts_are_no_request() -> None:
    assert split_batches([], EMBEDDING_3) == split_batches([], EMBEDDING_2) == []


def test_the_texts_of_a_request_share_its_tokens() -> None:
    assert split_batches(["a" * 2000] * 20, EMBEDDING_2) == [range(16), range(16, 20)]


def test_a_text_over_the_tokens_of_a_request_stands_alone() -> None:
    texts = ["a", "a" * 40_000, "b", "c"]
    assert split_batches(texts, EMBEDDING_2) == [range(1), range(1, 2), range(2, 4)]


@given(TEXTS, st.integers(1, 12), st.none() | st.integers(1, 30))
def test_every_text_is_sent_once_in_order_within_the_limits(
    texts: list[str], count: int, limit: int | None
) -> None:
    limits = EmbeddingLimits("x", tokens_per_request=limit, texts_per_request=count)
    batches = split_batches(texts, limits)
    assert [position for batch in batches for position in batch] == list(range(len(texts)))
    for batch in batches:
        tokens = sum(estimate_tokens(texts[position]) for position in batch)
        assert 1 <= len(batch) <= count
        assert limit is None or tokens <= limit or len(batch) == 1


@given(TEXTS, st.integers(1, 12), st.integers(1, 30))
def test_no_request_has_room_for_the_next_text(texts: list[str], count: int, limit: int) -> None:
    limits = EmbeddingLimits("x", tokens_per_request=limit, texts_per_request=count)
    for batch in split_batches(texts, limits)[:-1]:
        tokens = sum(estimate_tokens(text) for text in texts[batch.start : batch.stop + 1])
        assert len(batch) == count or tokens > limit
