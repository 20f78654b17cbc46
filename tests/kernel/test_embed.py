"""Embed cells in a real kernel: texts in, what is shown, what is sent, what a stop leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from glm_server import GlmServer, Script, failure
from kernels import Cell, Kernel

EMBED = "%%glm embed -o e\na cat\n\na kitten\n  a stock market  "
MANY = "texts = [f'text {i}' for i in range(320)]"
SHORT = "%glm config max_retries=0 concurrency=1"


def texts_sent(server: GlmServer) -> list[list[str]]:
    """The texts of each request."""
    return [request.json["input"] for request in server.requests]


def refusal(kernel: Kernel, code: str) -> str:
    """The one line that a cell ends with."""
    cell = kernel.run(code)
    assert cell.status == "error"
    return cell.plain_error


def use_store(kernel: Kernel, folder: Path) -> None:
    kernel.run(f"%glm config store={folder / 'vectors.sqlite'}")


# -- what is shown -----------------------------------------------------------------------------


def test_an_embed_cell_shows_how_alike_its_lines_are(kernel: Kernel, server: GlmServer) -> None:
    cell = kernel.run(EMBED)
    assert cell.status == "ok"
    assert cell.output["data"].keys() == {"text/html", "text/plain"}
    assert "<caption>Cosine similarity" in cell.tags
    assert cell.contents("execute_result") == []
    assert [r.json for r in server.requests] == [
        {"model": "embedding-3", "input": ["a cat", "a kitten", "a stock market"]}
    ]


def test_the_metadata_tell_what_the_embeddings_are(kernel: Kernel) -> None:
    facts = kernel.run(EMBED).output["metadata"]["glm_magic"]
    assert (facts["model"], facts["texts"], facts["dimensions"]) == ("embedding-3", 3, 8)
    assert facts["usage"]["prompt_tokens"] > 0


def test_embeddings_are_vectors_similarities_and_a_frame(kernel: Kernel) -> None:
    kernel.run(EMBED)
    assert kernel.value("_ is e")
    assert kernel.value("(e.vectors.shape, str(e.vectors.dtype))") == ((3, 8), "float32")
    assert kernel.value("[round(float(x), 5) for x in e.similarity.diagonal()]") == [1.0, 1.0, 1.0]
    assert kernel.value("list(e.df.columns)") == ["a cat", "a kitten", "a stock market"]


def test_embeddings_shown_again_are_the_same_page(kernel: Kernel) -> None:
    page = kernel.run(EMBED).output["data"]
    assert kernel.run("e").output["data"] == page


def test_one_text_says_that_two_make_a_comparison(kernel: Kernel) -> None:
    cell = kernel.run("%%glm embed\na cat")
    assert cell.status == "ok"
    assert "two texts make a comparison" in cell.html


def test_two_sets_are_compared_across(kernel: Kernel) -> None:
    kernel.run("%%glm embed -o e\na\nb\n---\nc\nd\ne")
    assert kernel.value("(e.similarity.shape, e.split)") == ((2, 3), 2)


def test_a_map_is_a_value_that_is_shown(kernel: Kernel) -> None:
    kernel.run(EMBED)
    cell = kernel.run("e.map()")
    assert 'src="data:image/svg+xml;base64,' in cell.html


# -- where texts come from ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "source", "labels"),
    [
        ("t = ['a', 'b']", "t", ()),
        ("t = {'x': 'a', 'y': 'b'}", "t", ("x", "y")),
        ("import pandas as pd; t = pd.DataFrame({'n': [1, 2], 'text': ['a', 'b']})", "t.text", ()),
    ],
    ids=["list", "dict", "DataFrame"],
)
def test_texts_of_a_variable_are_embedded(
    kernel: Kernel, server: GlmServer, code: str, source: str, labels: tuple[str, ...]
) -> None:
    kernel.run(code)
    assert kernel.run(f"%glm embed --in {source} -o e").status == "ok"
    assert texts_sent(server) == [["a", "b"]]
    assert kernel.value("e.labels") == labels


def test_a_text_that_is_there_twice_is_sent_once(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("%%glm embed -o e\na\nb\na")
    assert texts_sent(server) == [["a", "b"]]
    assert kernel.value("(e.texts, len(e.vectors), e.requests)") == (("a", "b", "a"), 3, 1)


def test_labels_name_the_texts(kernel: Kernel) -> None:
    kernel.run("t = ['first', 'second']")
    kernel.run("%glm embed --in t --labels one,two -o e")
    assert kernel.value("list(e.df.columns)") == ["one", "two"]


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("%glm embed", "there are no texts"),
        ("%glm embed --in nothing", "nothing"),
        ("%glm embed --in holes", "holes: row 1 (the first is 0) holds no text (NaN)"),
        ("%%glm embed -m embedding-2 --dimensions 256\na", "embedding-2 always has 1024"),
        ("%%glm embed --dimensions 300\na", "embedding-3 has 256, 512, 1024 or 2048"),
        ("%%glm embed -m embedding-2\nshort\n" + "word " * 600, "line 2 has about 750 tokens"),
        ("%%glm embed --labels one,two,three\na\nb", "3 labels for 2 texts"),
    ],
)
def test_what_cannot_be_embedded_is_one_line_and_nothing_is_sent(
    kernel: Kernel, server: GlmServer, code: str, line: str
) -> None:
    kernel.run("holes = ['a', float('nan')]")
    error = refusal(kernel, code)
    assert line in error
    assert len(error.splitlines()) == 1
    assert server.requests == []


def test_a_text_over_the_limit_is_cut_when_asked_to(kernel: Kernel, server: GlmServer) -> None:
    cell = kernel.run("%%glm embed -m embedding-2 --truncate -o e\nshort\n" + "word " * 600)
    assert len(texts_sent(server)[0][1]) == 512 * 4
    assert kernel.value("e.cut") == (1,)
    assert "cut to" in cell.html


# -- many --------------------------------------------------------------------------------------


def test_many_texts_go_in_requests_of_64_and_come_in_their_order(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run(MANY)
    cell = kernel.run("%glm embed --in texts -o e")
    assert cell.status == "ok"
    assert sorted(map(len, texts_sent(server))) == [64] * 5
    kernel.run("%%glm embed --no-store -o two\ntext 0\ntext 319")
    assert kernel.value("bool(abs(e.vectors[[0, 319]] - two.vectors).max() < 1e-6)")
    assert kernel.value("(len(e), e.requests, e.missing)") == (320, 5, 0)


def test_a_long_run_has_a_bar_that_gives_way_to_the_output(kernel: Kernel) -> None:
    kernel.run(MANY)
    cell = kernel.run("%glm embed --in texts -o e")
    (shown,) = cell.contents("display_data")
    assert "application/vnd.jupyter.widget-view+json" in shown["data"]
    assert cell.output["data"].keys() == {"text/html", "text/plain"}
    assert cell.open_comms == set()
    assert cell.stderr == ""


def test_a_wait_is_said_beside_the_bar(kernel: Kernel, server: GlmServer) -> None:
    kernel.run(MANY)
    kernel.run("%glm config concurrency=1 retry_base_s=0.3")
    server.queue(Script(), Script(error=failure("1302")))
    cell = kernel.run("%glm embed --in texts -o e")
    assert cell.status == "ok"
    assert cell.shows("waits\u20070.")


def test_a_short_run_has_no_bar(kernel: Kernel) -> None:
    assert kernel.run(EMBED).contents("comm_open") == []


def test_an_interrupt_keeps_what_came_and_the_same_cell_goes_on(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run(MANY)
    kernel.run(SHORT)
    server.queue(Script(), Script(), Script(stall_after=0))
    request = kernel.send("%glm embed --in texts --no-store -o e")
    cell = kernel.read(request, lambda _: len(server.requests) == 3 or None)
    kernel.interrupt()
    cell = kernel.wait(request, cell)
    assert cell.plain_error == (
        "glm: stopped; 128 of 320 texts have their vectors in e; run the cell again to go on"
    )
    assert kernel.value("(len(e), e.missing)") == (128, 192)
    server.requests.clear()
    assert kernel.run("%glm embed --in texts --no-store -o e").status == "ok"
    assert [texts[0] for texts in texts_sent(server)] == ["text 128", "text 192", "text 256"]
    assert kernel.value("(len(e), e.missing, e.recalled)") == (320, 0, 128)
    assert cell.open_comms == set()


def test_a_failure_in_the_middle_keeps_what_came(
    kernel: Kernel, server: GlmServer, tmp_path: Path
) -> None:
    use_store(kernel, tmp_path)
    kernel.run(MANY)
    kernel.run(SHORT)
    server.queue(Script(), Script(error=failure("1113")))
    error = refusal(kernel, "%glm embed --in texts")
    assert error.endswith("64 of 320 texts have their vectors; run the cell again to go on")
    server.requests.clear()
    assert kernel.run("%glm embed --in texts").status == "ok"
    assert texts_sent(server)[0][0] == "text 64"


def test_an_error_leaves_one_line_in_the_place_of_the_bar(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run(MANY)
    kernel.run(SHORT)
    server.queue(Script(), Script(error=failure("1113")))
    cell = kernel.run("%glm embed --in texts --no-store -o e")
    assert cell.output["data"]["text/plain"] == (
        "64 of 320 texts have their vectors in e; run the cell again to go on"
    )
    assert cell.open_comms == set()


def test_a_reply_of_another_width_does_not_lose_those_beside_it(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run(MANY)
    kernel.run("%glm config concurrency=5")
    odd = Script(embeddings_dims=4, headers_delay_s=0.3)
    server.queue(odd, *(Script(headers_delay_s=0.6) for _ in range(4)))
    error = refusal(kernel, "%glm embed --in texts --no-store -o e")
    assert "sent vectors of 8 numbers, and those before had 4" in error
    assert kernel.value("(len(e), e.requests)") == (64, 5)


def test_an_interrupt_of_the_drawing_loses_nothing(kernel: Kernel, server: GlmServer) -> None:
    kernel.run(MANY)
    kernel.run(
        "import signal, os, glm_magic.render.study.similarity as view\n"
        "drawn = view.render_embeddings\n"
        "view.render_embeddings = lambda e: (os.kill(os.getpid(), signal.SIGINT), drawn(e))[1]"
    )
    try:
        line = refusal(kernel, "%glm embed --in texts --no-store -o e")
    finally:
        kernel.run("view.render_embeddings = drawn")
    assert line == "glm: stopped; the vectors are in e"
    assert kernel.value("(len(e), e.missing)") == (320, 0)


def test_a_stopped_cell_goes_on_with_vectors_of_its_own_width_only(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run(MANY)
    kernel.run(SHORT)
    server.queue(Script(), Script(error=failure("1113")))
    refusal(kernel, "%glm embed --in texts --dimensions 256 --no-store -o e")
    assert kernel.run("%glm embed --in texts --no-store -o e").status == "ok"
    assert kernel.value("e.vectors.shape") == (320, 8)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda entries: entries[:-1],
        lambda entries: [*entries, entries[0]],
        lambda entries: entries[::-1],
        lambda entries: [entry | {"index": 0} for entry in entries],
        lambda entries: [entries[0], entries[1] | {"embedding": [1.0]}, *entries[2:]],
        lambda entries: [entry | {"embedding": [0.0] * 8} for entry in entries],
        lambda entries: [entry | {"embedding": [float("nan")] * 8} for entry in entries],
    ],
    ids=["fewer", "more", "shuffled", "of one place", "of other widths", "zero", "not a number"],
)
def test_vectors_that_do_not_fit_are_a_named_error_and_nothing_is_stored(
    kernel: Kernel, server: GlmServer, tmp_path: Path, spoil: Callable[[list[Any]], list[Any]]
) -> None:
    use_store(kernel, tmp_path)
    server.script = Script(spoil=spoil)
    assert "nothing was kept" in refusal(kernel, EMBED)
    server.script = Script()
    server.requests.clear()
    assert kernel.run(EMBED).status == "ok"
    assert len(server.requests) == 1


# -- the store ---------------------------------------------------------------------------------


def test_the_same_text_is_never_paid_twice(
    kernel: Kernel, server: GlmServer, tmp_path: Path
) -> None:
    use_store(kernel, tmp_path)
    kernel.run(EMBED)
    kernel.run("%reload_ext glm_magic")
    use_store(kernel, tmp_path)
    cell = kernel.run("%%glm embed -o again\na stock market\na cat\nsomething new")
    assert texts_sent(server)[1:] == [["something new"]]
    assert kernel.value("(again.requests, again.recalled)") == (1, 2)
    assert "2 of 3 texts" in cell.html
    assert kernel.value("bool((again.vectors[1] == e.vectors[0]).all())")


def test_without_the_store_it_is_sent_again(
    kernel: Kernel, server: GlmServer, tmp_path: Path
) -> None:
    use_store(kernel, tmp_path)
    kernel.run(EMBED)
    kernel.run("%%glm embed --no-store\na cat\na kitten")
    assert len(server.requests) == 2


def test_a_store_that_cannot_be_used_is_said_and_the_vectors_come_all_the_same(
    kernel: Kernel, tmp_path: Path
) -> None:
    (tmp_path / "vectors.sqlite").write_text("no database at all, but a letter to a friend")
    use_store(kernel, tmp_path)
    cell = kernel.run(EMBED)
    assert cell.status == "ok"
    assert "vectors.sqlite" in cell.stdout
    assert "not kept on disk" in cell.stdout


def test_the_store_says_what_it_holds_and_is_cleared(kernel: Kernel, tmp_path: Path) -> None:
    use_store(kernel, tmp_path)
    kernel.run(EMBED)
    assert "embedding-3" in kernel.run("%glm store").tags
    assert "3 texts were removed" in kernel.run("%glm store --clear").stdout
    assert "nothing in " in kernel.run("%glm store").html


# -- before it is sent -------------------------------------------------------------------------


def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run(MANY)
    cell = kernel.run("%glm embed --in texts --dry-run")
    assert server.requests == []
    row = ("embedding-3", "2048", "320", "0", "320", "5")
    assert "".join(f"<td>{value}</td>" for value in row) in cell.tags


def test_a_budget_holds_for_the_whole_run(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("%glm config endpoint=bigmodel budget=0.0000001")
    error = refusal(kernel, EMBED)
    assert "budget" in error
    assert server.requests == []


def test_what_it_took_is_in_the_usage(kernel: Kernel) -> None:
    kernel.run(EMBED)
    assert "<th>embedding-3" in kernel.run("%glm usage").tags


# -- what is near ------------------------------------------------------------------------------


def test_what_is_nearest_to_a_text_is_a_table(kernel: Kernel, server: GlmServer) -> None:
    kernel.run(EMBED)
    server.requests.clear()
    cell = kernel.run('%glm similar "a small cat" --in e -k 2 -o found')
    assert texts_sent(server) == [["a small cat"]]
    assert cell.tags.count("<tr>") == 3
    assert kernel.value("(len(found), list(found.columns))") == (2, ["text", "similarity"])


def test_a_text_that_has_its_vector_already_is_not_sent(kernel: Kernel, server: GlmServer) -> None:
    kernel.run(EMBED)
    server.requests.clear()
    assert "a kitten" in kernel.run("%glm similar a cat --in e").html
    assert server.requests == []


def test_a_vector_is_asked_for_in_the_width_of_the_others(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run("%%glm embed --dimensions 256 -o e\na\nb")
    kernel.run("%glm similar c --in e")
    assert server.requests[-1].json["dimensions"] == 256


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("%glm similar x", "a text and a variable are expected"),
        ("%glm similar --in e", "a text and a variable are expected"),
        ("%glm similar x --in nothing_here", "there is no variable 'nothing_here'"),
        ("%glm similar x --in words", "`%glm embed --in words -o e` makes them"),
    ],
)
def test_what_has_no_vectors_cannot_be_looked_through(
    kernel: Kernel, line: str, error: str
) -> None:
    kernel.run("words = ['a', 'b']")
    assert error in refusal(kernel, line)


# -- several at once ---------------------------------------------------------------------------


def compared(kernel: Kernel) -> Cell:
    return kernel.run("%%glm embed --dimensions 256,1024 -o c\na\nb\nc\nd")


def test_several_widths_are_compared_with_the_widest_cut(kernel: Kernel, server: GlmServer) -> None:
    cell = compared(kernel)
    assert cell.status == "ok"
    assert [r.json["dimensions"] for r in server.requests] == [256, 1024]
    assert kernel.value("[m.name for m in c]") == ["256", "1024", "1024 cut to 256"]
    assert kernel.value("c.correlation.shape") == (3, 3)


def test_several_models_are_compared(kernel: Kernel, server: GlmServer) -> None:
    assert kernel.run("%%glm embed -m embedding-2 -m embedding-3\na\nb\nc").status == "ok"
    assert [r.json["model"] for r in server.requests] == ["embedding-2", "embedding-3"]


def test_two_texts_are_nothing_to_compare_models_by_and_nothing_is_sent(
    kernel: Kernel, server: GlmServer
) -> None:
    error = refusal(kernel, "%%glm embed -m embedding-2 -m embedding-3\na\nb")
    assert "three different texts or more; here is 2" in error
    assert server.requests == []


def test_a_comparison_that_was_stopped_goes_on_with_all_that_came(
    kernel: Kernel, server: GlmServer
) -> None:
    line = "%glm embed --in texts --dimensions 256,512 --no-store -o c"
    kernel.run("texts = [f'text {i}' for i in range(100)]")
    kernel.run(SHORT)
    server.queue(Script(), Script(), Script(), Script(error=failure("1113")))
    assert refusal(kernel, line).endswith(
        "164 of 200 texts have their vectors in c; run the cell again to go on"
    )
    server.requests.clear()
    assert kernel.run(line).status == "ok"
    assert [(len(r.json["input"]), r.json["dimensions"]) for r in server.requests] == [(36, 512)]
    assert kernel.value("[len(m.embeddings) for m in c]") == [100, 100, 100]


def test_a_comparison_tells_the_facts_of_each(kernel: Kernel) -> None:
    facts = compared(kernel).output["metadata"]["glm_magic"]["compared"]
    assert [fact["dimensions"] for fact in facts] == [256, 1024]
    assert json.dumps(facts)
