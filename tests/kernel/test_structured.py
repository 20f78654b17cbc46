"""Answers that fit a schema: `--schema`, `--json` and `--param`, and the kinds of tools."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from glm_server import SOURCES, GlmServer, Script, failure
from kernels import Cell, Kernel

from glm_magic.local.engine import is_installed
from glm_magic.local.weights import DEFAULT_MODEL, find_weights

FORMS = """
from dataclasses import dataclass
from pydantic import BaseModel

class Person(BaseModel):
    name: str
    year: int

@dataclass
class Point:
    x: float
    y: float

book = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "pages": {"type": "integer"}},
    "required": ["title"],
}
never = {"type": "object", "not": {}}
secret = 7
"""
ADA = '{"name": "Ada", "year": 1815}'
PEOPLE = '{"items": [{"name": "Ada", "year": 1815}, {"name": "Grace", "year": 1906}]}'
# An answer that misses a field, and what is said of it.
SHORT = Script(text=('{"name": "Ada"}',))
MISSING = "year: Field required"
MISFIT = f"the answer does not fit Person: {MISSING}"
FIELDS = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "year": {"type": "integer"}},
    "required": ["name", "year"],
    "additionalProperties": False,
}
MEND = (
    "This does not fit. Send the whole JSON once more, mended, and nothing else. "
    f"The problem: {MISSING}"
)


@pytest.fixture(scope="module")
def module_kernel(module_kernel: Kernel) -> Kernel:
    """The kernel with forms of answers among its variables."""
    module_kernel.run(FORMS)
    return module_kernel


def says(text: str) -> Script:
    return Script(text=(text,))


def messages(server: GlmServer) -> list[tuple[str, str]]:
    """Role and text of each message of the last request."""
    return [(m["role"], m["content"]) for m in server.requests[-1].json["messages"]]


def fail(kernel: Kernel, code: str) -> str:
    """Run a cell that must fail well; return its one line without "glm: "."""
    return line_of(kernel.run(code))


def line_of(cell: Cell) -> str:
    assert cell.status == "error"
    assert "\n" not in cell.error_line
    assert cell.error_line.startswith("glm: ")
    assert cell.open_comms == set()
    return cell.error_line.removeprefix("glm: ")


def start(kernel: Kernel, code: str, when: Callable[[Cell], bool]) -> tuple[str, Cell]:
    """Run a cell until `when` is so; return its id and the cell."""
    request_id = kernel.send(code)
    cell = kernel.read(request_id, when)
    assert when(cell)
    return request_id, cell


def live_table(cell: Cell) -> str:
    """The last table that a widget has shown, its tags without their attributes."""
    tables = [html for _, html in cell.live_html if "<table" in html]
    return re.sub(r"<(\w+)\s[^>]*>", r"<\1>", re.sub(r"^<div[^>]*>|</div>$", "", tables[-1]))


def words(html: str) -> str:
    """What a reader sees of HTML."""
    return unescape(re.sub("<[^>]*>", "", html))


# -- forms -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "answer", "value", "columns"),
    [
        ("Person", ADA, "Person(name='Ada', year=1815)", {"name": ["Ada"], "year": [1815]}),
        ("Point", '{"x": 1, "y": 2.5}', "Point(x=1.0, y=2.5)", {"x": [1.0], "y": [2.5]}),
        (
            "book",
            '```json\n{"title": "Notes", "pages": 7}\n```',
            "{'title': 'Notes', 'pages': 7}",
            {"title": ["Notes"], "pages": [7]},
        ),
        ("name, year int", ADA, "{'name': 'Ada', 'year': 1815}", {"name": ["Ada"], "year": [1815]}),
        (
            "[name, year int]",
            PEOPLE,
            "[{'name': 'Ada', 'year': 1815}, {'name': 'Grace', 'year': 1906}]",
            {"name": ["Ada", "Grace"], "year": [1815, 1906]},
        ),
        (
            "list[Person]",
            PEOPLE,
            "[Person(name='Ada', year=1815), Person(name='Grace', year=1906)]",
            {"name": ["Ada", "Grace"], "year": [1815, 1906]},
        ),
    ],
)
def test_every_form_gives_a_value_and_a_table(
    kernel: Kernel, server: GlmServer, form: str, answer: str, value: str, columns: dict[str, Any]
) -> None:
    server.script = says(answer)
    cell = kernel.run(f'%%glm --schema "{form}" -o answer\nWho?')
    assert cell.status == "ok"
    assert kernel.value("(repr(answer.value), answer.df.to_dict('list'))") == (value, columns)
    assert len(server.requests) == 1


def test_fields_are_shown_as_a_table_with_the_json_folded(
    kernel: Kernel, server: GlmServer
) -> None:
    server.script = says(ADA)
    cell = kernel.run("%%glm --schema Person\nWho?")
    assert "<tr><th>name</th><td>Ada</td></tr><tr><th>year</th><td>1815</td></tr>" in cell.tags
    assert re.search(r"</table>.*<details><summary>The answer as JSON</summary>", cell.tags)
    assert '"year": 1815' in words(cell.html)
    assert cell.output["data"]["text/plain"] == ADA
    assert cell.output["data"].keys() == {"text/html", "text/plain"}
    assert cell.open_comms == set()


def test_a_list_is_a_table_of_its_items(kernel: Kernel, server: GlmServer) -> None:
    server.script = says(PEOPLE)
    cell = kernel.run('%%glm --schema "[name, year int]"\nWho?')
    assert "<th>name</th><th>year</th>" in cell.tags
    assert "<tr><td>Ada</td><td>1815</td></tr><tr><td>Grace</td><td>1906</td></tr>" in cell.tags


def test_the_format_of_the_line_wins(kernel: Kernel, server: GlmServer) -> None:
    server.script = says(ADA)
    cell = kernel.run("%%glm --schema Person --format json\nWho?")
    assert "<table" not in cell.html
    assert '"year": 1815' in words(cell.html)
    assert kernel.value("_glm.value.year") == 1815


@pytest.mark.parametrize("form", ["Person", "book", "name, year int"])
def test_a_reply_with_a_schema_can_be_pickled_and_copied(
    kernel: Kernel, server: GlmServer, form: str
) -> None:
    server.script = says('{"name": "Ada", "year": 1815, "title": "Notes"}')
    kernel.run(f'%%glm --schema "{form}" -o answer\nWho?')
    kernel.run("import copy, pickle")
    for code in ("pickle.loads(pickle.dumps(answer))", "copy.deepcopy(answer)"):
        assert kernel.value(f"[(c == answer, c.value == answer.value) for c in [{code}]]") == [
            (True, True)
        ]


# -- what is sent ------------------------------------------------------------------------------


def test_the_platform_is_told_in_the_system_message(kernel: Kernel, server: GlmServer) -> None:
    server.script = says(ADA)
    kernel.run('%%glm --schema "name, year int" -s "Be brief."\nWho?')
    body = server.requests[0].json
    assert body["response_format"] == {"type": "json_object"}
    (role, system), question = messages(server)
    assert (role, question) == ("system", ("user", "Who?"))
    assert system.startswith("Be brief.\n\nAnswer with one JSON value alone")
    assert json.loads(system.rpartition("\n")[2]) == FIELDS


def test_a_list_is_asked_for_inside_of_an_object(kernel: Kernel, server: GlmServer) -> None:
    server.script = says(PEOPLE)
    kernel.run('%%glm --schema "[name, year int]"\nWho?')
    schema = json.loads(messages(server)[0][1].rpartition("\n")[2])
    assert (schema["type"], schema["required"]) == ("object", ["items"])
    assert schema["properties"]["items"] == {"type": "array", "items": {"$ref": "#/$defs/Answer"}}
    assert schema["$defs"] == {"Answer": FIELDS}


def test_another_server_is_held_to_the_schema(kernel: Kernel, server: GlmServer) -> None:
    server.script = says(ADA)
    kernel.run(f"os.environ['ZAI_BASE_URL'] = {server.url.replace('/api/paas/v4', '/v1')!r}")
    cell = kernel.run('%%glm --schema "name, year int"\nWho?')
    assert cell.status == "ok"
    assert server.requests[0].path == "/v1/chat/completions"
    assert server.requests[0].json["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": FIELDS},
    }
    assert messages(server)[0][0] == "system"


def test_a_dry_run_shows_what_would_be_asked(kernel: Kernel, server: GlmServer) -> None:
    cell = kernel.run("%%glm --dry-run --schema Person\nWho?")
    shown = cell.output["data"]["text/plain"]
    assert cell.status == "ok"
    assert '"type": "json_object"' in shown
    assert "It must fit this JSON Schema" in shown
    assert "response_format" in words(cell.html)
    assert server.requests == []


def test_json_alone_is_a_line_and_a_mode(kernel: Kernel, server: GlmServer) -> None:
    server.script = says('{"b": [1, 2]}')
    cell = kernel.run('%%glm --json -s "Be brief."\nWhat?')
    assert server.requests[0].json["response_format"] == {"type": "json_object"}
    assert messages(server) == [
        (
            "system",
            "Be brief.\n\nAnswer with one JSON object and nothing else: no words around it, no "
            "fence.",
        ),
        ("user", "What?"),
    ]
    assert '{\n  "b": [\n    1,\n    2\n  ]\n}' in words(cell.html)
    assert kernel.value("_glm.value") == {"b": [1, 2]}


def test_json_alone_sends_nothing_back(kernel: Kernel, server: GlmServer) -> None:
    server.script = says("I would rather not.")
    cell = kernel.run("%%glm --json\nWhat?")
    assert (cell.status, len(server.requests)) == ("ok", 1)
    assert "I would rather not." in words(cell.html)


# -- while it streams --------------------------------------------------------------------------


def test_fields_fill_while_they_stream(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(text=('{"name": "Ad', 'a", "year": 18', "15}"), pauses=(1, 2))
    request_id, cell = start(kernel, "%%glm --schema Person\nWho?", lambda cell: cell.shows(">Ad<"))
    assert "<tr><th>name</th><td>Ad</td></tr><tr><th>year</th><td></td></tr>" in live_table(cell)
    server.go_on()
    kernel.read(request_id, lambda cell: cell.shows(">18<"), cell)
    assert "<tr><th>name</th><td>Ada</td></tr><tr><th>year</th><td>18</td></tr>" in live_table(cell)
    server.go_on()
    assert kernel.wait(request_id, cell).status == "ok"
    assert "<td>1815</td>" in cell.tags


def test_rows_come_one_by_one(kernel: Kernel, server: GlmServer) -> None:
    pieces = ('{"items": [{"name": "Ada", "year": 1815}, {"name": "Gr', "ac", 'e", "year": 1906}]}')
    server.script = Script(text=pieces, pauses=(1, 2))
    request_id, cell = start(
        kernel, '%%glm --schema "[name, year int]"\nWho?', lambda cell: cell.shows(">Gr<")
    )
    assert live_table(cell).endswith("<tr><td>Gr</td><td></td></tr></tbody></table >")
    assert cell.shows(">Ada<")
    server.go_on()
    kernel.read(request_id, lambda cell: cell.shows(">Grac<"), cell)
    server.go_on()
    assert kernel.wait(request_id, cell).status == "ok"
    assert "<tr><td>Grace</td><td>1906</td></tr>" in cell.tags


LURE = "<img src=x onerror=alert(1)>\u202e</td></table>"


def test_what_a_model_writes_is_text_in_every_table(kernel: Kernel, server: GlmServer) -> None:
    title, rest = json.dumps({"title": LURE, LURE: f"{LURE}\n<script>"}).split(", ", 1)
    server.script = Script(text=(title, f", {rest}"), pauses=(1,))
    request_id, cell = start(
        kernel, "%%glm --schema book\nWhich?", lambda cell: cell.shows("&lt;img")
    )
    server.go_on()
    assert kernel.wait(request_id, cell).status == "ok"
    for html in (cell.html, *(value for _, value in cell.live_html)):
        assert "<img" not in html
        assert "<script" not in html
        assert "\u202e" not in html
        assert html.count("</table") == html.count("<table")
    assert cell.html.count("&lt;img") > 3


def test_what_is_wrong_with_an_answer_is_told_as_text(kernel: Kernel, server: GlmServer) -> None:
    server.script = says(json.dumps({"name": "Ada", "year": f"{LURE}\x1b[31m\n"}))
    cell = kernel.run("%%glm --schema Person\nWho?")
    line = line_of(cell)
    assert line.startswith("the answer does not fit Person: year: Input should be a valid integer")
    assert line.isprintable()
    for html in (cell.html, *(value for _, value in cell.live_html)):
        assert "<img" not in html
        assert "\u202e" not in html


# -- an answer that does not fit ---------------------------------------------------------------


def test_an_answer_that_does_not_fit_is_sent_back_once(kernel: Kernel, server: GlmServer) -> None:
    server.queue(SHORT, says(ADA))
    cell = kernel.run("%%glm --schema Person -o answer\nWho?")
    assert cell.status == "ok"
    first, second = (request.json["messages"] for request in server.requests)
    assert second[:2] == first
    assert messages(server)[2:] == [("assistant", '{"name": "Ada"}'), ("user", MEND)]
    assert kernel.value("(answer.value.year, answer.requests, answer.text)") == (1815, 2, ADA)
    assert kernel.value("[(r.text, r.problem) for r in answer.rounds]") == [
        ('{"name": "Ada"}', MISSING)
    ]
    assert f"An answer that did not fit was sent back: {MISSING}" in words(cell.html)
    assert "2 requests ·" in words(cell.html)


def test_what_is_sent_back_changes_nothing_else(kernel: Kernel, server: GlmServer) -> None:
    server.queue(Script(reasoning=("hm",), text=SHORT.text), says(ADA))
    kernel.run("%%glm --schema Person -t 0.5 --max-tokens 99 --param seed=7\nWho?")
    first, second = (dict(request.json) for request in server.requests)
    assert first.pop("messages") == second.pop("messages")[:2]
    assert first == second


def test_what_is_sent_back_is_not_searched_for(kernel: Kernel, server: GlmServer) -> None:
    server.queue(Script(text=SHORT.text, sources=SOURCES), says(ADA))
    assert kernel.run("%%glm --schema Person --web-search\nWho?").status == "ok"
    first, second = (request.json for request in server.requests)
    assert [tool["type"] for tool in first["tools"]] == ["web_search"]
    assert "tools" not in second
    assert kernel.value("[source.number for source in _glm.found]") == [1, 2]


def test_both_requests_are_in_the_ledger(kernel: Kernel, server: GlmServer) -> None:
    server.queue(SHORT, says(ADA))
    kernel.run("%%glm --schema Person\nWho?")
    usage = kernel.run("%glm usage").output["data"]["text/plain"]
    assert re.search(r"^glm-4\.7-flash +\S+ +2 ", usage, re.MULTILINE)
    prompt, completion = kernel.value("(_glm.usage.prompt_tokens, _glm.usage.completion_tokens)")
    assert re.search(rf" 2 +{prompt} +0 +{completion} ", usage)


def test_the_answer_sent_back_stands_above_the_one_that_streams(
    kernel: Kernel, server: GlmServer
) -> None:
    server.queue(SHORT, Script(text=('{"name": "Ada L', '.", "year": 1815}'), pauses=(1,)))
    request_id, cell = start(
        kernel, "%%glm --schema Person\nWho?", lambda cell: cell.shows(">Ada L<")
    )
    assert cell.shows(f"An answer that did not fit was sent back: {MISSING}")
    server.go_on()
    assert kernel.wait(request_id, cell).status == "ok"
    assert cell.tags.count("<table>") == 1


def test_a_misfit_after_that_fails_the_cell_with_its_first_problem(
    kernel: Kernel, server: GlmServer
) -> None:
    server.queue(SHORT, says('{"name": 7}'))
    kernel.run("answer = 'old'")
    cell = kernel.run("%%glm --schema Person -o answer\nWho?")
    assert line_of(cell) == (
        "the answer does not fit Person: name: Input should be a valid string (got 7)"
    )
    assert len(server.requests) == 2
    assert '"name": 7' in words(cell.html)
    assert kernel.value("(answer, _glm.text, _glm.state, _glm.requests)") == (
        "old",
        '{"name": 7}',
        "complete",
        2,
    )
    assert fail(kernel, "_glm.value").startswith("the answer does not fit Person: name")


def test_a_chat_goes_on_after_a_misfit(kernel: Kernel, server: GlmServer) -> None:
    server.queue(SHORT, SHORT, says("So be it."))
    assert fail(kernel, '%%glm -s "Be brief." --schema Person\nWho?') == MISFIT
    assert kernel.run("%%glm -c\nAnd then?").status == "ok"
    assert messages(server) == [
        ("system", "Be brief."),
        ("user", "Who?"),
        ("assistant", '{"name": "Ada"}'),
        ("user", "And then?"),
    ]
    assert "response_format" not in server.requests[-1].json


def test_a_chat_forgets_what_had_to_be_mended(kernel: Kernel, server: GlmServer) -> None:
    server.queue(SHORT, says(ADA), says(ADA))
    kernel.run("%%glm --schema Person\nWho?")
    kernel.run("%%glm -c --schema Person\nWho else?")
    assert [role for role, _ in messages(server)] == ["system", "user", "assistant", "user"]
    assert messages(server)[1:] == [("user", "Who?"), ("assistant", ADA), ("user", "Who else?")]


@pytest.mark.parametrize("text", ["", "\n "])
def test_an_empty_answer_is_asked_for_again(kernel: Kernel, server: GlmServer, text: str) -> None:
    server.queue(says(text) if text else Script(text=()), says(ADA))
    cell = kernel.run("%%glm --schema Person\nWho?")
    assert cell.status == "ok", cell.error_line
    assert kernel.value("(_glm.value.year, _glm.requests)") == (1815, 2)


def test_what_no_answer_fits_is_one_line(kernel: Kernel, server: GlmServer) -> None:
    server.script = says("{}")
    line = fail(kernel, "%%glm --schema never\nWho?")
    assert line.startswith("the answer does not fit never: ")
    assert len(server.requests) == 2


def test_words_in_place_of_json_are_one_line(kernel: Kernel, server: GlmServer) -> None:
    server.script = says("I would rather not.")
    cell = kernel.run("%%glm --schema Person\nWho?")
    assert line_of(cell).startswith("the answer is no JSON: ")
    assert "I would rather not." in words(cell.html)
    assert len(server.requests) == 2


def test_a_mended_answer_that_is_refused_is_the_servers_line(
    kernel: Kernel, server: GlmServer
) -> None:
    server.queue(SHORT, Script(error=failure("1113")))
    assert "no balance or resource package" in fail(kernel, "%%glm --schema Person\nWho?")
    assert kernel.value("(_glm.state, _glm.text, _glm.rounds)") == (
        "complete",
        '{"name": "Ada"}',
        (),
    )
    server.script = says("Hello.")
    assert kernel.run("%%glm -c\nHello").status == "ok"
    assert messages(server) == [
        ("user", "Who?"),
        ("assistant", '{"name": "Ada"}'),
        ("user", "Hello"),
    ]


# -- an answer that is not whole ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "state", "said"),
    [
        (Script(text=('{"name": "A', "da"), cut_after=1), "cut off", ": cut off: "),
        (Script(text=('{"name": "A',), finish_reason="network_error"), "cut off", "mid-answer"),
        (
            Script(text=('{"name": "A',), finish_reason="length"),
            "complete",
            "the answer was cut at the token limit; raise --max-tokens",
        ),
        (Script(error=failure("1301")), "failed", "the safety review refused the content"),
    ],
    ids=["cut off", "platform", "length", "refused"],
)
def test_what_is_not_whole_is_not_sent_back(
    kernel: Kernel, server: GlmServer, script: Script, state: str, said: str
) -> None:
    server.script = script
    assert said in fail(kernel, "%%glm --schema Person\nWho?")
    assert len(server.requests) == 1
    assert kernel.value("_glm.state") == state


def test_what_the_safety_review_withdraws_is_not_sent_back(
    kernel: Kernel, server: GlmServer
) -> None:
    level = ({"role": "assistant", "level": 0},)
    server.script = Script(text=('{"name"',), finish_reason="sensitive", content_filter=level)
    cell = kernel.run("%%glm --schema Person\nWho?")
    assert "withdrawn by the safety review" in words(cell.html)
    assert '"name"' not in words(cell.html)
    assert len(server.requests) == 1


STALLED = Script(text=('{"name": "Ada', '"'), stall_after=1)


def test_an_interrupt_neither_checks_nor_sends_back(kernel: Kernel, server: GlmServer) -> None:
    server.script = STALLED
    request_id, cell = start(
        kernel, "%%glm --schema Person\nWho?", lambda cell: cell.shows(">Ada<")
    )
    kernel.interrupt()
    line = line_of(kernel.wait(request_id, cell))
    assert line == "stopped; the partial answer is in _glm, `%glm continue` goes on"
    assert len(server.requests) == 1
    assert kernel.value("(_glm.text, _glm.state)") == ('{"name": "Ada', "stopped")


def test_an_interrupt_of_the_mended_answer_keeps_both(kernel: Kernel, server: GlmServer) -> None:
    server.queue(SHORT, Script(text=('{"name": "Ada L', '"'), stall_after=1))
    request_id, cell = start(
        kernel, "%%glm --schema Person\nWho?", lambda cell: cell.shows(">Ada L<")
    )
    kernel.interrupt()
    assert line_of(kernel.wait(request_id, cell)).startswith("stopped; ")
    assert kernel.value("(_glm.text, _glm.rounds[0].text, _glm.state)") == (
        '{"name": "Ada L',
        '{"name": "Ada"}',
        "stopped",
    )
    server.script = says('ovelace", "year": 1815}')
    assert kernel.run("%glm continue").status == "ok"
    assert [role for role, _ in messages(server)] == [
        *("system", "user"),
        *("assistant", "user"),
        *("assistant", "user"),
    ]
    assert kernel.value("(_glm.value.name, _glm.rounds[0].problem)") == ("Ada Lovelace", MISSING)


def test_the_stop_button_neither_checks_nor_sends_back(kernel: Kernel, server: GlmServer) -> None:
    server.script = STALLED
    request_id, cell = start(
        kernel, "%%glm --schema Person -o answer\nWho?", lambda cell: cell.shows(">Ada<")
    )
    kernel.click(cell.comm_of("ButtonModel"))
    assert kernel.wait(request_id, cell).status == "ok"
    assert "[stopped: the answer is not complete]" in words(cell.html)
    assert len(server.requests) == 1
    assert kernel.value("(answer.text, answer.state)") == ('{"name": "Ada', "stopped")


# -- again, and on -----------------------------------------------------------------------------


def test_again_asks_for_the_same_schema(kernel: Kernel, server: GlmServer) -> None:
    server.queue(SHORT, SHORT, SHORT, says(ADA))
    assert fail(kernel, "%%glm --schema Person\nWho?") == MISFIT
    assert kernel.run("%glm again -o answer").status == "ok"
    assert server.requests[2].json == server.requests[0].json
    assert kernel.value("(answer.value.year, answer.requests)") == (1815, 2)


def test_a_cut_answer_goes_on_to_one_that_fits(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(text=('{"name": "A',), finish_reason="length")
    fail(kernel, "%%glm --schema Person\nWho?")
    server.script = says('da", "year": 1815}')
    cell = kernel.run("%glm continue -o answer")
    assert cell.status == "ok"
    assert "response_format" not in server.requests[1].json
    assert messages(server)[2] == ("assistant", '{"name": "A')
    assert kernel.value("(answer.text, answer.value.year)") == (ADA, 1815)
    assert "<tr><th>name</th><td>Ada</td></tr>" in cell.tags


def test_what_it_goes_on_to_is_checked_and_not_sent_back(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(text=('{"name": "A', "d"), cut_after=1)
    fail(kernel, "%%glm --schema Person\nWho?")
    server.script = says('da"}')
    assert fail(kernel, "%glm continue") == MISFIT
    assert len(server.requests) == 2
    assert kernel.value("_glm.text") == '{"name": "Ada"}'


# -- functions, tasks, templates, memory -------------------------------------------------------


def test_a_function_returns_a_reply_with_a_value(kernel: Kernel, server: GlmServer) -> None:
    server.queue(SHORT, says(ADA), SHORT, SHORT)
    kernel.run("%%glm --def born --schema Person\nWhen was {{ who }} born?")
    assert kernel.run("made = born(who='Ada')").outputs == []
    assert kernel.value("(made.value.year, made.requests, made.df.shape)") == (1815, 2, (1, 2))
    assert messages(server)[1:2] == [("user", "When was Ada born?")]
    assert fail(kernel, "born(who='Ada')") == MISFIT


def test_a_task_that_does_not_fit_is_one_line(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(text=('{"name": "Ada"}',), processing_polls=0)
    assert fail(kernel, "%%glm --task --schema Person\nWho?") == MISFIT
    assert [request.method for request in server.requests] == ["POST", "GET"]
    assert server.requests[0].json["response_format"] == {"type": "json_object"}
    assert kernel.value("_glm.text") == '{"name": "Ada"}'


def test_a_task_that_is_picked_up_has_a_value(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(text=(ADA,), processing_polls=1000)
    line = fail(kernel, "%%glm --task --schema Person --total-timeout-s 0.01\nWho?")
    server.finish_tasks()
    cell = kernel.run(f"answer = %glm task {line.rpartition(' ')[2]}")
    assert "<tr><th>name</th><td>Ada</td></tr>" in cell.tags
    assert kernel.value("(answer.value.year, _glm is answer)") == (1815, True)


def test_a_template_keeps_its_schema_until_a_line_has_another(
    kernel: Kernel, server: GlmServer
) -> None:
    server.script = says(ADA)
    kernel.run("%%glm --save who --schema Person\nWho is {{ x }}?")
    kernel.run("x = 'Ada'")
    kernel.run("%glm --use who")
    assert messages(server)[1] == ("user", "Who is Ada?")
    assert kernel.value("repr(_glm.value)") == "Person(name='Ada', year=1815)"
    kernel.run('%glm --use who --schema "name, year int"')
    assert kernel.value("_glm.value") == {"name": "Ada", "year": 1815}


def test_a_schema_may_be_a_value_of_the_notebook(kernel: Kernel, server: GlmServer) -> None:
    server.script = says(ADA)
    kernel.run("unit = 'of birth'")
    kernel.run('%%glm --schema "name, year int: {{ unit }}"\nWho?')
    schema = json.loads(messages(server)[0][1].rpartition("\n")[2])
    assert schema["properties"]["year"] == {"type": "integer", "description": "of birth"}
    defined = kernel.run('%%glm --def ask --schema "{{ form }}"\nWho?')
    assert defined.stdout == "ask(*, form) is defined; nothing was sent\n"
    kernel.run("made = ask(form='Person')")
    assert kernel.value("repr(made.value)") == "Person(name='Ada', year=1815)"


def test_memory_gives_the_value_too(kernel: Kernel, server: GlmServer) -> None:
    server.queue(SHORT, says(ADA))
    kernel.run("%glm config cache=on")
    kernel.run("%%glm --schema Person\nWho?")
    cell = kernel.run("%%glm --schema Person -o answer\nWho?")
    assert len(server.requests) == 2
    assert "from this session's memory" in words(cell.html)
    assert kernel.value("(answer.is_cached, answer.value.year)") == (True, 1815)


def test_memory_keeps_no_misfit(kernel: Kernel, server: GlmServer) -> None:
    server.queue(SHORT, SHORT, says(ADA))
    kernel.run("%glm config cache=on")
    assert fail(kernel, "%%glm --schema Person\nWho?") == MISFIT
    assert kernel.run("%%glm --schema Person\nWho?").status == "ok"
    assert kernel.value("(_glm.is_cached, _glm.text)") == (False, ADA)
    assert len(server.requests) == 3


def test_what_memory_has_must_fit_too(kernel: Kernel, server: GlmServer) -> None:
    """A validator is no part of what is sent: the request is the same."""
    strict = (
        "from pydantic import field_validator\n"
        "class Late(BaseModel):\n    year: int\n"
        "    @field_validator('year')\n    @classmethod\n"
        "    def check(cls, year):\n        assert year > {}, 'too early'\n        return year"
    )
    server.queue(says('{"year": 1815}'), says('{"year": 1906}'))
    kernel.run("%glm config cache=on")
    kernel.run(strict.format(1800))
    kernel.run("%%glm --schema Late\nWhen?")
    kernel.run(strict.format(1900))
    assert kernel.run("%%glm --schema Late\nWhen?").status == "ok"
    assert kernel.value("_glm.value.year") == 1906


# -- the engine on this machine ----------------------------------------------------------------


@pytest.mark.skipif(
    not is_installed() or find_weights(DEFAULT_MODEL) is None,
    reason="needs the extra `local` and fetched weights",
)
def test_the_local_engine_is_held_to_the_schema(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("%glm config endpoint=local")
    cell = kernel.run(
        '%%glm --schema "name, year int" -t 0 --max-tokens 60 --param seed=7\nWho wrote Hamlet?'
    )
    assert cell.status == "ok", cell.error_line
    assert kernel.value("{k: type(v).__name__ for k, v in _glm.value.items()}") == {
        "name": "str",
        "year": "int",
    }
    assert kernel.value("_glm.requests") == 1
    assert server.requests == []


# -- other fields and tools --------------------------------------------------------------------


def test_other_fields_are_sent_as_they_are(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("who = 'abcdef'")
    kernel.run(
        "%%glm --param seed=7 --param 'user_id=\"{{ who }}\"' --param 'x={\"a\": [1, null]}' "
        '--json --param \'response_format={"type": "text"}\'\nHi'
    )
    body = server.requests[0].json
    assert (body["seed"], body["user_id"], body["x"]) == (7, "abcdef", {"a": [1, None]})
    assert body["response_format"] == {"type": "text"}
    assert list(body)[-4:] == ["response_format", "seed", "user_id", "x"]


def test_a_knowledge_base_and_servers_are_tools(kernel: Kernel, server: GlmServer) -> None:
    prompt = "{{ knowledge }}, {{ question }}"
    kernel.run(f"%%glm --knowledge kb-1 --knowledge-prompt '{prompt}'\nHi {{{{ 1 + 1 }}}}")
    kernel.run("%%glm --mcp sogou --mcp mine=https://mcp.example.org/sse\nHi")
    first, second = (request.json for request in server.requests)
    assert first["messages"] == [{"role": "user", "content": "Hi 2"}]
    assert first["tools"] == [
        {"type": "retrieval", "retrieval": {"knowledge_id": "kb-1", "prompt_template": prompt}}
    ]
    assert second["tools"] == [
        {"type": "mcp", "mcp": {"server_label": "sogou"}},
        {
            "type": "mcp",
            "mcp": {"server_label": "mine", "server_url": "https://mcp.example.org/sse"},
        },
    ]


def test_what_the_platform_fills_in_is_no_variable_of_a_template(
    kernel: Kernel, server: GlmServer
) -> None:
    line = "--knowledge kb-1 --knowledge-prompt '{{ knowledge }}, {{ question }}'"
    kept = kernel.run(f"%%glm --save look {line}\nHi")
    assert kept.stdout == "template 'look' is kept, without variables; nothing was sent\n"
    made = kernel.run(f"%%glm --def look_up {line}\nFind {{{{ what }}}}")
    assert made.stdout == "look_up(*, what) is defined; nothing was sent\n"
    assert kernel.run("_ = look_up(what='it')").status == "ok"
    (tool,) = server.requests[0].json["tools"]
    assert tool["retrieval"]["prompt_template"] == "{{ knowledge }}, {{ question }}"


KIND = (
    "{} exclude each other: GLM serves one kind of tools a request, functions before knowledge "
    "before the web; leave one out"
)
WEB = "web search (--no-web-search leaves it out)"


SCHEMAS = {
    "--schema Persn": (
        "no 'Persn' in the notebook; did you mean 'Person'? a single field of text is written "
        "'Persn str'"
    ),
    '--schema "name, year itn"': "unknown type 'itn' of 'year'; did you mean 'int'?",
    '--schema "[name, name]"': "the field 'name' is there twice",
    "--schema secret": "'secret' is of type int; a model, dataclass, TypedDict",
    "--schema ''": "the schema has no text; a model, dataclass, TypedDict, JSON Schema",
    """--schema '{"type": "objekt"}'""": "is no valid JSON Schema: type: 'objekt'",
    """--schema '{"type": '""": """the JSON Schema '{"type":' is no JSON: """,
    "--schema {{nobody}}": "unknown variable 'nobody' in {{ nobody }}; `--raw` sends it as it is",
    "--schema": "--schema: expected one argument (see %%glm --help)",
}
PARAMS = {
    "--param seed": "--param: 'seed' is not NAME=JSON, such as seed=7 (see %%glm --help)",
    "--param user=ada": "--param: user=ada is no JSON; quotes stay where others stand around",
    "--param x=NaN": "--param: x=NaN is no JSON; ",
    "--param x=1e999": "--param: x=1e999 is no JSON; ",
    "--param model=1": "--param model: that has a way of its own: -m",
    "--param messages=[]": "--param messages: that has a way of its own: the cell is the prompt",
    "--param stream=false": "--param stream: that has a way of its own: --no-stream",
    "--param seed=1 --param seed=1": "--param seed is there twice; leave one out",
    "-t 0.5 --param temperature=1": (
        "--param temperature: an option or a setting sends that already; leave one out"
    ),
    "--endpoint local --param sead=7": (
        "the local engine knows no field 'sead'; did you mean 'seed'?"
    ),
}
TOOLS = {
    "--knowledge-prompt x": "--knowledge-prompt is for what --knowledge ID finds; give both",
    "--mcp =x": "--mcp: '=x' is not LABEL or LABEL=https://host/path (see %%glm --help)",
    "--mcp a=ftp://x": "--mcp: 'a=ftp://x' is not LABEL or LABEL=https://host/path",
    "--tool fetch --mcp a": KIND.format("functions (--tool) and MCP servers (--mcp)"),
    "--tool fetch --knowledge k": KIND.format(
        "functions (--tool) and a knowledge base (--knowledge)"
    ),
    "--tool fetch --web-search": KIND.format(f"functions (--tool) and {WEB}"),
    "--knowledge k --mcp a": KIND.format("a knowledge base (--knowledge) and MCP servers (--mcp)"),
    "--knowledge k --search-query q": KIND.format(f"a knowledge base (--knowledge) and {WEB}"),
    "--knowledge k --param tools=[]": KIND.format(
        "a knowledge base (--knowledge) and --param tools"
    ),
    "--mcp a --web-search": KIND.format(f"MCP servers (--mcp) and {WEB}"),
    "--endpoint local --knowledge k": (
        "knowledge bases are the platform's: local has none; it needs a GLM key"
    ),
    "--endpoint local --mcp a": "local calls no MCP servers; open.bigmodel.cn does",
}


@pytest.mark.parametrize("lines", [SCHEMAS, PARAMS, TOOLS], ids=["schemas", "params", "tools"])
def test_what_cannot_be_asked_is_one_line_and_nothing_is_sent(
    kernel: Kernel, server: GlmServer, lines: dict[str, str]
) -> None:
    said = {options: fail(kernel, f"%%glm {options}\nHi") for options in lines}
    assert {
        options: said[options] for options in lines if lines[options] not in said[options]
    } == {}
    assert server.requests == []


def test_a_setting_that_searches_is_a_kind_of_tools_too(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("%glm config web_search=on")
    line = fail(kernel, "%%glm --mcp sogou\nHi")
    assert line == KIND.format(f"MCP servers (--mcp) and {WEB}")
    assert server.requests == []
    assert kernel.run("%%glm --mcp sogou --no-web-search\nHi").status == "ok"
    assert [tool["type"] for tool in server.requests[0].json["tools"]] == ["mcp"]


@pytest.mark.parametrize(
    "option",
    [
        """--param 'x="{{ k }}"'""",
        "--knowledge {{k}}",
        '--schema "name: {{ k }}"',
    ],
)
def test_the_key_of_the_session_is_not_sent_as_a_value(
    kernel: Kernel, server: GlmServer, option: str
) -> None:
    kernel.run("k = os.environ['ZAI_API_KEY']")
    line = fail(kernel, f"%%glm {option}\nHi")
    assert line == "the prompt holds this session's API key; nothing was sent"
    assert server.requests == []


def test_a_check_that_takes_for_ever_is_interrupted_and_the_answer_kept(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run(
        "import time\n"
        "from pydantic import BaseModel, field_validator\n"
        "class Slow(BaseModel):\n"
        "    name: str\n"
        "    @field_validator('name')\n"
        "    @classmethod\n"
        "    def looks_up(cls, value):\n"
        "        print('looking up', flush=True)\n"
        "        time.sleep(600)"
    )
    server.script = says('{"name": "Ada"}')
    request_id, cell = start(
        kernel, "%%glm --schema Slow\nWho?", lambda cell: "looking up" in cell.stdout
    )
    kernel.interrupt()
    cell = kernel.wait(request_id, cell)
    assert line_of(cell) == "stopped; the answer is in _glm"
    assert kernel.value("(_glm.text, _glm.state)") == ('{"name": "Ada"}', "complete")
    assert len(server.requests) == 1
