"""`%glm models`, `%glm limits`, `%glm check`: each once in a real kernel, and their mistakes."""

from __future__ import annotations

import re

import pytest
from glm_server import GlmServer, Script, failure
from kernels import Cell, Kernel

# Two halves, as the platform's keys have: neither may be seen.
CANARY = "c4nary0123456789abcdef.Tw33tTw33tTw33t"
NO_KEY = "import os\nos.environ.pop('ZAI_API_KEY')"


def plain(cell: Cell) -> str:
    """The one output as text, and that the cell has no value, no stray text and no widget."""
    assert cell.status == "ok", cell.contents("error")
    assert cell.contents("execute_result") == []
    assert (cell.stderr, cell.open_comms) == ("", set())
    assert set(cell.output["data"]) == {"text/html", "text/plain"}
    text: str = cell.output["data"]["text/plain"]
    return text


def fail(kernel: Kernel, code: str) -> str:
    cell = kernel.run(code)
    assert cell.status == "error"
    assert len(cell.error_line.splitlines()) == 1
    return cell.error_line.removeprefix("glm: ")


def host_of(server: GlmServer) -> str:
    return server.url.split("/")[2]


# -- models --------------------------------------------------------------------------------


def test_models_shows_the_list_and_the_catalog(kernel: Kernel, server: GlmServer) -> None:
    server.models.add("my-own-model")
    cell = kernel.run("%glm models")
    text = plain(cell)
    assert text.startswith(f"40 models · {host_of(server)}\n")
    assert "glm-4.7-flash (not listed)" in text
    assert "my-own-model (not in the catalog)" in text
    assert [request.path.rpartition("v4")[2] for request in server.requests] == ["/models"]


def test_models_shows_those_with_a_part_of_the_id(kernel: Kernel) -> None:
    assert plain(kernel.run("%glm models -q LONG")).startswith("1 model · ")


def test_models_shows_the_catalog_where_there_is_no_list(kernel: Kernel, server: GlmServer) -> None:
    kernel.run(f"%glm config endpoint={server.url}/v1")
    host = host_of(server)
    assert f"this is the catalog alone: {host} has no list of models" in plain(
        kernel.run("%glm models")
    )


def test_models_shows_the_catalog_without_a_key(kernel: Kernel) -> None:
    kernel.run(f"{NO_KEY}\n%glm config endpoint=zai")
    text = plain(kernel.run("%glm models -q glm-5.3"))
    assert "USD for 1M tokens" in text
    assert "this is the catalog alone: no API key: register at" in text


def test_a_hostile_id_is_text(kernel: Kernel, server: GlmServer) -> None:
    server.models.add("<img src=x onerror=alert(1)>")
    cell = kernel.run("%glm models -q onerror")
    assert plain(cell)
    assert "<img" not in cell.html
    assert "&lt;img src=x onerror=alert(1)&gt;" in cell.html


# -- limits --------------------------------------------------------------------------------


def test_limits_shows_the_tiers_and_what_was_learned(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("%glm config tier=tier2")
    assert "no model was used at" in plain(kernel.run("%glm limits"))
    server.queue(Script(error=failure("1302")))
    kernel.run("%glm config max_retries=0\n")
    kernel.run("%%glm -m glm-4-plus\nHello")
    text = plain(kernel.run("%glm limits --this-month 20 --last-month 640"))
    assert "tier2 (yours)" in text
    assert "the higher of which counts: tier2, which is set" in text
    assert re.search(r"\nglm-4-plus +200 +1 +0\n", text)


# -- check ---------------------------------------------------------------------------------


def test_check_shows_each_step_as_it_goes(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(headers_delay_s=0.3)
    cell = kernel.run("%glm check")
    text = plain(cell)
    assert re.search(r"\nkey +✓ works +from ZAI_API_KEY: it was accepted\n", text)
    assert re.search(r"\n4 requests, \d+ tokens$", text)
    updates = [c["data"]["text/plain"] for c in cell.contents("update_display_data")]
    assert any("checking streaming …" in update for update in updates)
    assert server.key not in cell.text


def test_check_tells_what_fails_and_the_cell_does_not(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(error=failure("1113"))
    text = plain(kernel.run("%glm check"))
    assert re.search(r"\nmodel +✗ fails +.*no balance or resource package", text)
    assert re.search(r"\nstreaming +– skipped +the model does not answer\n", text)


def test_check_without_a_key_says_what_it_needs(kernel: Kernel) -> None:
    kernel.run(f"{NO_KEY}\nos.environ['ALL_PROXY'] = 'http://127.0.0.1:9'")
    kernel.run("%glm config endpoint=bigmodel max_retries=0")
    text = plain(kernel.run("%glm check"))
    kernel.run("os.environ.pop('ALL_PROXY')")
    assert re.search(r"\naddress +✗ fails ", text)
    assert re.search(r"\nmodel +– skipped +the address does not answer\n", text)


def test_an_interrupt_ends_a_check_with_what_was_found(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(headers_delay_s=30.0)
    request_id = kernel.send("%glm check")
    cell = kernel.read(request_id, lambda cell: "checking key" in cell.text)
    server.wait_for_requests(2)
    kernel.interrupt()
    cell = kernel.wait(request_id, cell)
    assert cell.error_line == "glm: stopped; what was found so far is shown"
    text = cell.output["data"]["text/plain"]
    assert text.endswith("stopped after 1 of 8 steps; 1 request, 0 tokens")
    server.wait_for_disconnect(2.0)


def test_the_local_engine_is_checked_too(kernel: Kernel) -> None:
    kernel.run("%glm config endpoint=local")
    text = plain(kernel.run("%glm check"))
    assert text.startswith("local · smollm2-135m · use-multilingual-v3\n")
    assert re.search(r"\nkey +✓ works +none was sent and none is needed\n", text)
    assert re.search(r"\nclock +✓ works ", text)


# -- mistakes and keys ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("models -q glm-9.7", "no model has 'glm-9.7' in its id; did you mean 'glm-4.7'?"),
        ("models -q zzz", "no model has 'zzz' in its id; `%glm models` shows all"),
        ("models flash", "unexpected word 'flash': only options go on the line"),
        ("models --qurey x", "unknown option '--qurey'; did you mean '--query'?"),
        ("limits --this-month -5", "--this-month: -5 is not 0 or more (see %glm limits --help)"),
        ("limits --last-moth 5", "unknown option '--last-moth'; did you mean '--last-month'?"),
        ("check now", "unexpected word 'now': only options go on the line"),
    ],
)
def test_a_mistake_is_one_line(kernel: Kernel, code: str, line: str) -> None:
    assert fail(kernel, f"%glm {code}") == line


@pytest.mark.parametrize("word", ["models", "limits", "check"])
def test_help_sends_nothing(kernel: Kernel, server: GlmServer, word: str) -> None:
    cell = kernel.run(f"%glm {word} -h")
    assert cell.stdout.startswith(f"usage: %glm {word} ")
    assert server.requests == []


def test_the_key_is_nowhere(kernel: Kernel, server: GlmServer) -> None:
    server.key = CANARY
    kernel.run_typing("%glm login", CANARY)
    codes = ("%glm models", "%glm limits", "%glm check")
    shown = "".join(kernel.run(code).text for code in codes)
    server.key = "another.key"
    shown += "".join(kernel.run(code).text for code in codes)
    assert "from %glm login: it was accepted" in shown
    assert "the key was not accepted" in shown
    assert not any(half in shown for half in CANARY.split("."))
