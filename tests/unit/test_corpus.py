"""The texts of a `%%glm embed` cell: its lines, those of a variable, or both."""

import subprocess
import sys
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glm_magic.api.batches import EmbeddingLimits
from glm_magic.api.reply import Reply
from glm_magic.errors import SettingsError
from glm_magic.session.corpus import (
    Corpus,
    find_variable,
    fit_texts,
    join,
    read_cell,
    read_labels,
    read_variable,
    with_labels,
)
from glm_magic.study.embeddings import Embeddings


def error_of(call: Callable[..., object], *args: Any, **options: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- the cell ----------------------------------------------------------------------------------


def test_a_line_is_a_text_without_the_blanks_around_it() -> None:
    corpus = read_cell("  the cat \n\n\t\nein Hund\r\n一只猫\n")
    assert corpus.texts == ("the cat", "ein Hund", "一只猫")
    assert list(corpus.places) == ["line 1", "line 4", "line 5"]
    assert (corpus.labels, corpus.split) == ((), None)


def test_only_what_the_editor_shows_as_a_line_is_one() -> None:
    assert read_cell("a\u2028b\x0cc\x85d\re").texts == ("a\u2028b\x0cc\x85d", "e")


def test_a_line_of_three_dashes_makes_two_sets() -> None:
    corpus = read_cell("cat\ndog\n\n --- \npet")
    assert (corpus.texts, corpus.split) == (("cat", "dog", "pet"), 2)
    assert list(corpus.places) == ["line 1", "line 2", "line 5"]


def test_dashes_within_a_line_or_more_of_them_are_text() -> None:
    assert read_cell("a --- b\n----\n--").split is None


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("", "the cell has no text; write one a line below %%glm embed"),
        (" \n---\n", "the cell has no text; write one a line below %%glm embed"),
        ("\n---\na", "there is no text above the --- of line 2; both sets need one"),
        ("a\nb\n---\n", "there is no text below the --- of line 3; both sets need one"),
        ("a\n---\nb\n---", "lines 2 and 4 are both ---; one such line makes two sets of texts"),
    ],
)
def test_a_cell_of_other_sets_is_refused(cell: str, message: str) -> None:
    assert error_of(read_cell, cell) == message


# -- a variable --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        ["cat", "dog"],
        ("cat", "dog"),
        deque(["cat", "dog"]),
        [np.str_("cat"), np.str_("dog")],
        ["cat", Reply("dog")],
        "cat\n\n dog ",
        Reply("cat\ndog"),
        np.array(["cat", "dog"]),
        np.array(["cat", "dog"], dtype=object),
        pd.Series(["cat", "dog"], index=[7, 7]),
        pd.Series(["cat", "dog"], dtype=object),
        pd.Series(["cat", "dog"], dtype="category"),
        pd.Series(["cat", "dog"], index=["a", 1]),
        pd.Series(["cat", Reply("dog")]),
        pd.Index(["cat", "dog"]),
        pd.Series(["cat", "dog", "cat"]).unique(),
        pd.DataFrame({"n": [1, 2], "body": ["cat", "dog"]}),
    ],
)
def test_texts_may_be_in_anything_with_an_order(value: object) -> None:
    corpus = read_variable(value, "docs")
    assert (corpus.texts, corpus.labels, corpus.split) == (("cat", "dog"), (), None)


def test_texts_are_plain_strings_whatever_their_class() -> None:
    class Animal(StrEnum):
        CAT = "cat"

    texts = read_variable([Animal.CAT, np.str_("dog"), "cow"], "docs").texts
    assert texts == ("cat", "dog", "cow")
    assert {type(text) for text in texts} == {str}


@pytest.mark.parametrize(
    "value",
    [
        {"a": "cat", "b": "dog"},
        pd.Series(["cat", "dog"], index=["a", "b"]),
        pd.Series(["cat", "dog"], index=pd.CategoricalIndex(["a", "b"])),
        pd.DataFrame({"body": ["cat", "dog"], "n": [1, 2]}, index=["a", "b"]),
        Embeddings(("cat", "dog"), np.eye(2, dtype=np.float32), "m", "local", labels=("a", "b")),
    ],
)
def test_keys_and_an_index_of_strings_are_labels(value: object) -> None:
    corpus = read_variable(value, "docs")
    assert (corpus.texts, corpus.labels) == (("cat", "dog"), ("a", "b"))


def test_a_text_of_a_variable_is_kept_as_it_is_and_as_often_as_it_is_there() -> None:
    assert read_variable([" cat\n", " cat\n"], "docs").texts == (" cat\n", " cat\n")


def test_blank_texts_are_left_out_with_their_labels() -> None:
    corpus = read_variable({"a": "", "b": "cat", "c": " \n", "d": "dog"}, "docs")
    assert (corpus.texts, corpus.labels) == (("cat", "dog"), ("b", "d"))
    assert list(corpus.places) == ["docs['b']", "docs['d']"]


def test_rows_are_named_as_iloc_takes_them() -> None:
    corpus = read_variable(pd.Series(["", "cat", "dog"], index=[9, 8, 7]), "docs")
    assert list(corpus.places) == ["docs row 1", "docs row 2"]


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({1: "cat"}, "docs[1]"),
        ({(1, 2): "cat"}, "docs['(1, 2)']"),
        ({"x" * 500: "cat"}, f"docs['{'x' * 59}…']"),
        ("\ncat", "docs line 2"),
        (pd.DataFrame({"the body": ["cat"]}), "docs.the body row 0"),
    ],
)
def test_a_place_tells_the_way_to_a_text(value: object, place: str) -> None:
    assert read_variable(value, "docs").places[0] == place


def test_places_are_a_sequence() -> None:
    places = join(read_cell("a\nb"), read_variable(["c"], "docs")).places
    assert list(places) == ["line 1", "line 2", "docs row 0"]
    assert places[1:] == ("line 2", "docs row 0")
    assert (places[-1], len(places)) == ("docs row 0", 3)
    with pytest.raises(IndexError):
        places[3]
    with pytest.raises(IndexError):
        places[-4]


TWO = pd.DataFrame({"title": ["a"], "n": [1], "body": ["b"]})
WIDE = pd.DataFrame({f"c{i}": [i] for i in range(13)})
EXPECTED = "a list, Series, DataFrame column, array, dict or Embeddings with texts is expected"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, f"docs is of type NoneType; {EXPECTED}"),
        (b"cat", f"docs is of type bytes; {EXPECTED}"),
        (pd.Timestamp(0), f"docs is of type pandas.Timestamp; {EXPECTED}"),
        ({"cat"}, "docs is of type set, which has no order; sorted(docs) is a list of it"),
        (
            iter(["a"]),
            "docs is of type list_iterator, to be read only once; list(docs) keeps its texts",
        ),
        (
            (x for x in "ab"),
            "docs is of type generator, to be read only once; list(docs) keeps its texts",
        ),
        (np.array([["cat"]]), "docs has shape (1, 1); one row of texts is expected"),
        (
            TWO,
            "docs has several columns of text: title and body; name the one to embed, as "
            "docs.COLUMN",
        ),
        (
            WIDE,
            "docs has no column of text: c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 and 3 more; "
            "name the one to embed, as docs.COLUMN",
        ),
        (
            pd.DataFrame(),
            "docs has no column of text: nothing; name the one to embed, as docs.COLUMN",
        ),
        ([], "docs has no text; a list with one or more is expected"),
        (["", " "], "docs has no text; a list with one or more is expected"),
    ],
)
def test_a_variable_of_another_kind_is_refused(value: object, message: str) -> None:
    assert error_of(read_variable, value, "docs") == message


ROWS = "(the first is 0)"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["a", None], f"docs: row 1 {ROWS} holds no text (None); drop or fill it"),
        (
            pd.Series(["a", None, 1.5, "b", float("nan")], dtype=object),
            f"docs: rows 1, 2 and 4 {ROWS} hold no text (None, float and NaN); drop or fill them",
        ),
        (
            pd.Series(["a", None], dtype="string"),
            f"docs: row 1 {ROWS} holds no text (<NA>); drop or fill it",
        ),
        (
            range(1234),
            f"docs: rows 0, 1, 2, 3, 4 and 1,229 more {ROWS} hold no text (int); drop or fill them",
        ),
        (
            [["a"], b"b"],
            f"docs: rows 0 and 1 {ROWS} hold no text (list and bytes); drop or fill them",
        ),
        ({"a": None, "b": "x"}, "docs: key 'a' holds no text (None); drop or fill it"),
    ],
)
def test_what_is_no_text_is_named_by_its_row(value: object, message: str) -> None:
    assert error_of(read_variable, value, "docs") == message


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: read_cell("a\nb\ud83d"), "line 2"),
        (lambda: read_variable(["\ud83d", "\ude00", "😀"], "docs"), "docs row 0 and 1 more"),
        (lambda: read_variable({"x": "\ud83d"}, "docs"), "docs['x']"),
    ],
)
def test_half_a_character_is_refused_with_its_place(
    call: Callable[[], object], message: str
) -> None:
    assert error_of(call) == (
        f"{message}: half a character (a lone surrogate) cannot be sent; take it out of the text"
    )


@given(st.lists(st.text(max_size=5)))
def test_each_text_that_is_not_blank_has_its_row(texts: list[str]) -> None:
    expected = {f"docs row {i}": text for i, text in enumerate(texts) if text.strip()}
    if expected:
        corpus = read_variable(texts, "docs")
        assert dict(zip(corpus.places, corpus.texts, strict=True)) == expected


def test_pandas_and_numpy_are_not_imported_for_a_list() -> None:
    script = (
        "import sys\n"
        "from glm_magic.session.corpus import read_variable\n"
        "read_variable(['cat'], 'docs')\n"
        "print(*{'pandas', 'numpy'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout.split(), done.returncode) == ([], 0)


# -- its name ----------------------------------------------------------------------------------

NAMES: dict[str, Any] = {
    "docs": ["cat", "dog"],
    "文档": ["猫"],
    "df": pd.DataFrame({"body": ["a"], "the title": ["b"], "x.y": ["c"], "正文": ["d"], 0: ["e"]}),
    "parts": {"train": ["cat"], "test set": "dog\ncow"},
    "twice": pd.DataFrame([["a", "b"]], columns=["body", "body"]),
}


@pytest.mark.parametrize(
    ("expression", "texts"),
    [
        ("docs", ("cat", "dog")),
        (" docs ", ("cat", "dog")),
        ("文档", ("猫",)),
        ("df.body", ("a",)),
        ("df.the title", ("b",)),
        ("df.x.y", ("c",)),
        ("df.正文", ("d",)),
        ("df.0", ("e",)),
        ("df['body']", ("a",)),
        ('df["the title"]', ("b",)),
        ("df[body]", ("a",)),
        ("parts.train", ("cat",)),
        ("parts.test set", ("dog", "cow")),
    ],
)
def test_a_variable_or_a_column_is_found(expression: str, texts: tuple[str, ...]) -> None:
    assert find_variable(expression, NAMES).texts == texts


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("doc", "unknown variable 'doc'; did you mean 'docs'?"),
        ("zebra", "unknown variable 'zebra'; run the cell that assigns it first"),
        ("df.boddy", "df has no column 'boddy'; did you mean 'body'?"),
        ("df.zzz", "df has no column 'zzz'; it has body, the title, x.y, 正文 and 0"),
        ("df.body.lower()", "df has no column 'body.lower()'; did you mean 'body'?"),
        ("parts.trian", "parts has no key 'trian'; did you mean 'train'?"),
        ("twice.body", "twice has 2 columns 'body'; rename one"),
        (
            "docs[:3]",
            "docs is of type list, which has no columns; assign the texts to a variable of their "
            "own",
        ),
        (
            "f(x)",
            "'f(x)' is no variable; VAR or VAR.column is expected, so assign it to a variable "
            "first",
        ),
        (
            "df.",
            "'df.' is no variable; VAR or VAR.column is expected, so assign it to a variable first",
        ),
    ],
)
def test_a_name_that_is_not_there_is_told(expression: str, message: str) -> None:
    assert error_of(find_variable, expression, NAMES) == message


def test_no_attribute_of_an_object_is_asked_for() -> None:
    class Trap:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(name)

    assert "Trap, which has no columns" in error_of(find_variable, "x.texts", {"x": Trap()})
    assert "Trap; a list" in error_of(find_variable, "x", {"x": Trap()})


# -- two sets, labels, limits ------------------------------------------------------------------


def test_lines_and_a_variable_are_two_sets() -> None:
    corpus = join(read_cell("pet\nfarm"), read_variable(["cat", "cow"], "docs"))
    assert (corpus.texts, corpus.split) == (("pet", "farm", "cat", "cow"), 2)
    assert corpus.labels == ()


def test_a_line_stands_for_itself_among_labels() -> None:
    corpus = join(read_cell("pet"), read_variable({"a": "cat", "b": "cow"}, "docs"))
    assert corpus.labels == ("pet", "a", "b")


def test_a_cell_of_two_sets_takes_no_variable() -> None:
    assert error_of(join, read_cell("a\n---\nb"), read_cell("c")) == (
        "the --- of the cell makes two sets of texts, and --in would be a third; leave one away"
    )


@pytest.mark.parametrize(
    ("words", "labels"),
    [
        ("a, b,c", ["a", "b", "c"]),
        ("甲，乙", ["甲", "乙"]),
        ("docs, b", ["docs", "b"]),
        ("docs", ["cat", "dog"]),
        ("df.the title", ["b"]),
        ("numbers", [1, 2.5, None]),
    ],
)
def test_labels_are_a_list_or_a_variable(words: str, labels: list[object]) -> None:
    assert read_labels(words, NAMES | {"numbers": [1, 2.5, None]}) == labels


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("a,,c", "label 2 of 'a,,c' is empty"),
        ("dcos", "unknown variable 'dcos'; did you mean 'docs'?"),
    ],
)
def test_labels_that_say_nothing_are_refused(words: str, message: str) -> None:
    assert error_of(read_labels, words, NAMES) == message


def labelled(corpus: Corpus, *labels: object) -> tuple[str, ...]:
    return with_labels(corpus, labels).labels


def test_each_text_gets_its_label() -> None:
    assert labelled(read_cell("cat\n\ndog"), "a", 2) == ("a", "2")
    assert labelled(read_variable({"x": "cat"}, "docs"), "a") == ("a",)


def test_labels_of_blank_rows_are_left_out_too() -> None:
    corpus = read_variable(["cat", "", "dog"], "docs")
    assert labelled(corpus, "a", "b", "c") == ("a", "c")
    assert labelled(corpus, "a", "c") == ("a", "c")


def test_of_two_sets_all_or_only_the_variable_may_be_labelled() -> None:
    corpus = join(read_cell("pet"), read_variable(["cat", "", "dog", "cow"], "docs"))
    assert labelled(corpus, "a", "c", "d") == ("pet", "a", "c", "d")
    whole = join(read_cell("pet"), read_variable(["cat", "dog"], "docs"))
    assert labelled(whole, "p", "c", "d") == ("p", "c", "d")


def test_as_many_labels_as_rows_are_those_of_the_rows() -> None:
    corpus = join(read_cell("pet"), read_variable(["cat", "", "dog", "cow"], "docs"))
    assert labelled(corpus, "a", "b", "c", "d") == ("pet", "a", "c", "d")


def test_a_text_without_a_label_stands_for_itself() -> None:
    corpus = read_variable(["cat", "dog", "cow", "hen"], "docs")
    labels = with_labels(corpus, [None, float("nan"), " ", 7]).labels
    assert labels == ("cat", "dog", "cow", "7")


@pytest.mark.parametrize("labels", [("a",), ("a", "b", "c", "d")])
def test_more_or_fewer_labels_than_texts_are_refused(labels: tuple[str, ...]) -> None:
    corpus = read_variable(["cat", "", "dog"], "docs")
    assert error_of(with_labels, corpus, labels) == (
        f"{len(labels)} labels for 2 texts; one for each is expected"
    )


LIMITS = EmbeddingLimits("small", tokens_per_text=2)


def test_texts_within_the_limit_stay_as_they_are() -> None:
    corpus = read_cell("abcdefgh\n---\ncat")
    assert fit_texts(corpus, LIMITS, truncate=False) == (corpus, ())


def test_a_long_text_is_refused_by_its_place_or_cut() -> None:
    corpus = read_variable({"a": "cat", "b": "abcdefghijkl"}, "docs")
    assert error_of(fit_texts, corpus, LIMITS, truncate=False) == (
        "docs['b'] has about 3 tokens; small takes 2 a text; shorten it or add --truncate"
    )
    fitted, cut = fit_texts(corpus, LIMITS, truncate=True)
    assert (fitted.texts, fitted.labels, cut) == (("cat", "abcdefgh"), ("a", "b"), (1,))
