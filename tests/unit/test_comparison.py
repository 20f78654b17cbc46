"""The same texts embedded in several ways: what agrees, and what moved."""

from dataclasses import replace

import numpy as np
import pytest

from glm_magic.api.events import Usage
from glm_magic.errors import SettingsError
from glm_magic.study.comparison import Comparison, compare, with_cuts
from glm_magic.study.embeddings import Embeddings


def embedded(vectors: np.ndarray, model: str = "m", **more: object) -> Embeddings:
    vectors = np.asarray(vectors, dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    texts = tuple(f"text {i}" for i in range(len(vectors)))
    return replace(Embeddings(texts, vectors, model, "local", Usage(7, 0, 7)), **more)


def scattered(count: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width))


# On a half circle, by angle: the fourth stands last in A, and among the others in B.
A = embedded(np.array([[np.cos(x), np.sin(x)] for x in (0.0, 0.2, 0.5, 2.9)]))
B = embedded(np.array([[np.cos(x), np.sin(x)] for x in (0.0, 0.2, 0.5, 0.26)]))


def test_members_are_called_by_what_they_differ_in() -> None:
    wide, narrow = embedded(scattered(4, 6)), embedded(scattered(4, 3))
    other = embedded(scattered(4, 3), "n")
    assert [m.name for m in compare([wide, narrow])] == ["6", "3"]
    assert [m.name for m in compare([wide, other])] == ["m", "n"]
    assert [m.name for m in compare([wide, narrow, other])] == ["m · 6", "m · 3", "n · 3"]
    assert [m.name for m in compare([narrow, narrow])] == ["3", "3 (2)"]
    assert [m.name for m in compare([wide, wide.shortened(2)])] == ["6", "6 cut to 2"]
    assert [m.name for m in compare([wide, narrow], ["a", "b"])] == ["a", "b"]


def test_a_member_is_found_by_name_or_position() -> None:
    both = compare([A, B], ["a", "b"])
    assert both["b"] is both[1] is B
    with pytest.raises(KeyError):
        both["c"]
    assert both[np.int64(1)] is both[-1] is B


def test_the_reference_is_the_widest_that_a_model_made() -> None:
    wide, narrow = embedded(scattered(4, 6)), embedded(scattered(4, 3))
    assert compare([narrow, wide, narrow]).reference.name == "6"
    assert compare([wide.shortened(4), narrow]).reference.name == "3"


def test_what_orders_all_pairs_the_same_way_correlates_fully() -> None:
    assert compare([A, A]).correlation.to_numpy().tolist() == [
        pytest.approx([1.0, 1.0]),
        pytest.approx([1.0, 1.0]),
    ]


def test_the_correlation_is_of_the_ranks_of_the_pairs() -> None:
    # Angles of the pairs 01 02 03 12 13 23: in A .2 .5 2.9 .3 2.7 2.4, in B .2 .5 .26 .3 .06 .24.
    ranks_a, ranks_b = [6, 4, 1, 5, 2, 3], [5, 1, 3, 2, 6, 4]
    expected = np.corrcoef(ranks_a, ranks_b)[0, 1]
    assert compare([A, B]).correlation.iat[0, 1] == pytest.approx(expected)


def test_similarities_that_are_all_equal_have_no_correlation() -> None:
    same = embedded(np.ones((4, 2)))
    assert np.isnan(compare([A, same]).correlation.iat[0, 1])


def test_what_rounding_alone_sets_apart_is_equal() -> None:
    nearly = replace(A, vectors=np.float32([[1.0], [0.99999994], [0.9999999], [1.0]]))
    assert np.isnan(compare([A, nearly]).correlation.iat[0, 1])


def test_the_overlap_is_the_share_of_the_nearest_that_agree() -> None:
    both = compare([A, B])
    assert both.k == 1
    # The nearest of 0 1 2 3: in A 1 0 1 2, in B 1 3 3 1.
    assert both.overlap().to_numpy().tolist() == [[1.0, 0.25], [0.25, 1.0]]
    assert both.overlap(3).iat[0, 1] == 1.0
    with pytest.raises(SettingsError, match="k=0: at least 1"):
        both.overlap(0)


def test_the_pair_that_moved_most_comes_first() -> None:
    move = compare([A, B], ["a", "b"]).moved(1)[0]
    assert (move.i, move.j, move.name) == (1, 3, "b")
    assert (move.rank_before, move.rank_after) == (5, 1)
    assert move.before == pytest.approx(np.cos(2.7), abs=1e-6)
    assert move.after == pytest.approx(np.cos(0.06), abs=1e-6)


def test_where_nothing_moved_there_is_no_move() -> None:
    assert compare([A, A]).moved() == []


def test_of_two_sets_pairs_go_across() -> None:
    a, b = (replace(each, split=1) for each in (A, B))
    both = compare([a, b])
    assert both.k == 1
    # The nearest of 0 among 1 2 3 is 1 in both.
    assert both.overlap().iat[0, 1] == 1.0
    assert {(move.i, move.j) for move in both.moved()} == {(0, 2), (0, 3)}


def test_the_same_text_twice_counts_once() -> None:
    def twice(embeddings: Embeddings) -> Embeddings:
        vectors = np.concatenate([embeddings.vectors, embeddings.vectors[[0] * 30]])
        return replace(embeddings, vectors=vectors, texts=(*A.texts, *[A.texts[0]] * 30))

    once, more = compare([A, B]), compare([twice(A), twice(B)])
    assert more.correlation.equals(once.correlation)
    assert more.overlap(1).equals(once.overlap(1))
    assert (more.k, once.k) == (1, 1)


def test_the_table_has_a_row_for_each_member() -> None:
    table = with_cuts(compare([embedded(scattered(5, 8)), embedded(scattered(5, 4))])).df
    assert table.index.tolist() == ["8", "4", "8 cut to 4"]
    assert table.columns.tolist() == [
        "model",
        "dimensions",
        "cut_from",
        "correlation",
        "overlap",
        "bytes_per_text",
        "prompt_tokens",
        "cost",
    ]
    assert table.bytes_per_text.tolist() == [32, 16, 16]
    assert table.cut_from.dropna().to_dict() == {"8 cut to 4": 8}


def test_a_twin_costs_nothing() -> None:
    wide, narrow = (
        embedded(scattered(5, width), "embedding-3", billed_in="CNY", usage=Usage(2000, 0, 2000))
        for width in (8, 4)
    )
    table = with_cuts(compare([wide, narrow])).df
    assert table.prompt_tokens.tolist() == [2000, 2000, 0]
    assert table.cost.tolist() == [0.001, 0.001, 0.0]


def test_beside_each_narrower_one_stands_the_widest_cut() -> None:
    wide = embedded(scattered(4, 8))
    cut = with_cuts(compare([embedded(scattered(4, 2)), wide, embedded(scattered(4, 4))]))
    assert [m.name for m in cut] == ["2", "8", "4", "8 cut to 2", "8 cut to 4"]
    assert [m.cut_from for m in cut] == [None, None, None, 8, 8]
    assert cut["8 cut to 4"].vectors.tolist() == wide.shortened(4).vectors.tolist()


def test_a_twin_comes_once() -> None:
    wide, narrow = embedded(scattered(4, 8)), embedded(scattered(4, 2))
    twice = with_cuts(compare([wide, narrow, narrow]))
    assert [m.name for m in twice] == ["8", "2", "2 (2)", "8 cut to 2"]
    assert twice.correlation.shape == (4, 4)
    assert len(with_cuts(twice)) == 4
    named = with_cuts(compare([wide, narrow, wide.shortened(2)], ["a", "b", "c"]))
    assert [m.name for m in named] == ["a", "b", "c"]


def test_a_name_that_is_taken_gets_a_number() -> None:
    cut = with_cuts(compare([embedded(scattered(4, 8)), B], ["a", "8 cut to 2"]))
    assert [m.name for m in cut] == ["a", "8 cut to 2", "8 cut to 2 (2)"]


def test_models_are_cut_each_for_itself() -> None:
    parts = [embedded(scattered(4, w), m) for m, w in (("m", 4), ("m", 2), ("n", 2))]
    assert [m.name for m in with_cuts(compare(parts))][3:] == ["m · 4 cut to 2"]


def test_of_many_texts_some_pairs_stand_for_all() -> None:
    many = embedded(scattered(1_200, 8))
    both = compare([many, many.shortened(4)])
    assert both.is_sampled
    assert not compare([replace(each.embeddings, split=600) for each in both]).is_sampled
    exact = np.corrcoef(
        *(
            np.argsort(np.argsort((v @ v.T)[np.triu_indices(1_200, 1)]))
            for v in (many.vectors, many.shortened(4).vectors)
        )
    )[0, 1]
    assert both.correlation.iat[0, 1] == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize(
    ("embeddings", "line"),
    [
        ([A], "two embeddings or more"),
        (
            [A, replace(B, texts=("text 0", "text 1", "c", "text 3"))],
            "texts of number 2 are not those of number 1: the one at position 2 is another",
        ),
        ([A, embedded(scattered(5, 3))], "of number 2 are not those of number 1: 5, not 4"),
        ([A, replace(A, split=2)], "not those of number 1: they are divided otherwise"),
        ([replace(A, split=4)] * 2, "one of the two sets has no texts"),
        ([embedded(scattered(2, 2))] * 2, "three different texts or more; here is 2"),
    ],
)
def test_what_cannot_be_compared_is_refused(embeddings: list[Embeddings], line: str) -> None:
    with pytest.raises(SettingsError, match=line):
        compare(embeddings)


def test_it_says_what_it_is() -> None:
    assert repr(compare([A, B], ["a", "b"])) == "<Comparison of a, b on 4 texts>"
    assert isinstance(compare([A, B]), Comparison)
