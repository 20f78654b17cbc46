"""Mistakes with settings, chats, prompts, templates and money: one line, nothing sent or lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from glm_server import GlmServer, Script
from kernels import Kernel

KEY = "0123456789abcdef0123456789abcdef.ABCDEFGHIJKLMNOP"
PREPARE = (
    "persona = 'a pirate'",
    "%%glm --chat story\nBegin",
    "%%glm --save poem\nA poem on {{ topic }}",
    "%%glm --def ask\nAsk {{ what }}",
)


@pytest.fixture
def ready(kernel: Kernel, server: GlmServer) -> Kernel:
    """A session with a chat, a template and a function."""
    for code in PREPARE:
        assert kernel.run(code).status == "ok"
    server.requests.clear()
    return kernel


def fail(kernel: Kernel, code: str) -> str:
    cell = kernel.run(code)
    assert cell.status == "error"
    assert "\n" not in cell.error_line
    return cell.error_line.removeprefix("glm: ")


LINES = {
    # settings, of the session and of one line
    "%glm config budget=five": "budget=five is not allowed: five is no number",
    "%glm config budget=-1": "budget=-1 is not allowed: -1 is not 0 or more",
    "%glm config efort=low": "unknown setting 'efort'; did you mean 'effort'?",
    "%glm config effort=much": (
        "effort=much is not allowed: much is not max, xhigh, high, medium, low, minimal, none or "
        "None"
    ),
    "%glm config reset tempreature": ("unknown setting 'tempreature'; did you mean 'temperature'?"),
    "%glm config stop=[1]": "stop=[1] is not allowed: a list of texts is expected",
    "%glm config catalog=/nowhere": (
        "catalog=/nowhere is not allowed: '/nowhere' is no folder; one with models.csv, "
        "prices.csv or search_prices.csv is expected"
    ),
    "%%glm -t 1.5 -m glm-4.7\nHi": "temperature=1.5 is out of range for glm-4.7: from 0 to 1",
    "%%glm -m glm-4.6 --effort low\nHi": (
        "effort=low is not possible: glm-4.6 takes no effort; GLM-5.2 and later do"
    ),
    "%%glm -m glm-5.3 --thinking off\nHi": (
        "thinking=off is not possible: glm-5.3 always reasons; effort=low makes it short"
    ),
    "%%glm --max-tokens 999999 -m glm-4.7\nHi": (
        "max_tokens=999999 is out of range for glm-4.7: from 1 to 131,072"
    ),
    "%%glm --web-search --search-count 15\nHi": (
        "search_count=15 is out of range for search_pro_sogou: 10, 20, 30, 40 or 50"
    ),
    # names of variables
    "%%glm -o class\nHi": "-o/--out: 'class' cannot be the name of a variable (see %%glm --help)",
    "%%glm -o sum\nHi": "-o/--out: 'sum' cannot be the name of a variable (see %%glm --help)",
    "%%glm --def lambda\nHi": (
        "--def: 'lambda' cannot be the name of a variable (see %%glm --help)"
    ),
    # prompts
    "%%glm\nHi {{ persoma }}": (
        "unknown variable 'persoma' in {{ persoma }}; did you mean 'persona'?"
    ),
    "%%glm\nHi {{ persona": "no `}}` closes {{ persona; `--raw` sends it as it is",
    "%%glm\nHi {{ }}": "{{ }} holds no expression; `--raw` sends it as it is",
    "%%glm\n{{ 1 / 0 }}": "{{ 1 / 0 }} failed: ZeroDivisionError: division by zero",
    '%%glm -s "{{ persoma }}"\nHi': (
        "unknown variable 'persoma' in {{ persoma }}; did you mean 'persona'?"
    ),
    # templates
    "%%glm --use peom\nx": "no template 'peom' in this session; did you mean 'poem'?",
    "%glm --use poem": "unknown variable 'topic' in {{ topic }}; `--raw` sends it as it is",
    "%%glm --save x\n{{ broken": "no `}}` closes {{ broken; `--raw` sends it as it is",
    "%%glm --save a --use b\nx": "one of --save, --use and --def at a time",
    "%%glm --save 'a b'\nx": (
        "--save: 'a b' is no name: letters, digits, dots, dashes and underscores, at most 60 "
        "(see %%glm --help)"
    ),
    "ask()": "ask() needs what; nothing was sent",
    "ask(waht=1)": "ask() takes no 'waht'; did you mean 'what'?; nothing was sent",
    # chats
    "%%glm --chat 'my chat'\nHi": (
        "--chat: 'my chat' is no name: letters, digits, dots, dashes and underscores, at most 60 "
        "(see %%glm --help)"
    ),
    "%glm history stroy": "no chat 'stroy' in this session; did you mean 'story'?",
    "%glm fork nothing new": "no chat 'nothing' in this session; `%glm chats` lists them",
    "%glm fork story story": "chat 'story' cannot be its own copy; give it a new name",
    "%glm fork a b c": "`%glm fork NAME NEW`: two names and no more",
    "%glm fork": "the following arguments are required: NAME (see %glm fork --help)",
    "%glm export story": "'story' is no file for a chat: it ends in .md or .json",
    "%glm export story x.txt": "a chat is written to a .md or a .json file, not to 'x.txt'",
    "%glm import nowhere.json": "nowhere.json cannot be read: No such file or directory",
    # keys
    f"%%glm --api-key {KEY}\nHi": (
        "a key does not go on a magic line: notebooks and IPython's history keep it; run `%glm "
        "login` and type it when asked; this one is in the history now: revoke it on the "
        "platform's keys page"
    ),
    "%glm config key=abc": (
        "a key does not go on a magic line: notebooks and IPython's history keep it; run `%glm "
        "login` and type it when asked"
    ),
    "%glm doctor nowhere.ipynb": "cannot read 'nowhere.ipynb': No such file or directory",
    # words
    "%glm hepl": "unknown word 'hepl' after glm; did you mean 'help'?",
    "%glm help histroy": "unknown word 'histroy' after glm; did you mean 'history'?",
    "%glm -t 0": "a prompt goes below a %%glm line; `%glm --use NAME` needs none",
}


@pytest.mark.parametrize("code", list(LINES))
def test_a_mistake_is_one_line_and_nothing_is_sent_or_lost(
    ready: Kernel, server: GlmServer, code: str
) -> None:
    assert fail(ready, code).startswith(LINES[code])
    assert server.requests == []
    history = ready.run("%glm history story").output["data"]["text/plain"]
    assert "Begin" in history
    assert ready.run("%%glm\nHello").status == "ok"


def test_a_key_in_a_setting_is_refused_however_it_is_set(ready: Kernel) -> None:
    cell = ready.run(f"%config GlmMagic.system = '{KEY}'")
    assert "that looks like an API key" in cell.text
    assert KEY not in json.dumps(ready.run("%glm config").outputs)


def test_a_chat_file_of_another_version_is_refused(ready: Kernel, tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text('{"format": "glm_magic chat", "version": 7, "turns": []}', "utf-8")
    assert fail(ready, f"%glm import {path}") == (
        f"{path} is a chat of version 7; this glm_magic reads version 1"
    )


def test_forgetting_a_chat_that_is_not_there_does_not_halt_run_all(ready: Kernel) -> None:
    cell = ready.run("%glm reset nothing")
    assert (cell.status, cell.stdout) == (
        "ok",
        "no chat 'nothing' in this session; `%glm chats` lists them\n",
    )


def test_a_name_that_another_cell_gave_to_a_chat_is_not_taken(ready: Kernel) -> None:
    ready.run("%%glm --chat other\nHi")
    assert fail(ready, "%glm fork story other") == (
        "there is a chat 'other' already; `%glm reset other` forgets it"
    )


# -- money -------------------------------------------------------------------------------------

PRICES = "model,currency,input,output,cached,note,read\nmine,CNY,1000,2000,,,2026-11\n"


@pytest.fixture
def priced(ready: Kernel, server: GlmServer, tmp_path: Path) -> Kernel:
    """A session that knows a price of a model of its own server: ¥2 for a thousand tokens out."""
    server.models.add("mine")
    (tmp_path / "prices.csv").write_text(PRICES, "utf-8")
    cell = ready.run(f"%glm config catalog={tmp_path} model=mine")
    assert cell.status == "ok", cell.contents("error")
    return ready


def test_a_request_that_would_pass_the_budget_is_not_sent(
    priced: Kernel, server: GlmServer
) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 2000}
    server.script = Script(usage=usage)
    priced.run("%glm config budget=5")
    cell = priced.run("%%glm --max-tokens 1000\nHi")
    assert cell.status == "ok", cell.contents("error")
    assert "about ¥3.00 (prices of 2026-11)" in cell.html
    assert len(server.requests) == 1
    assert fail(priced, "%%glm --max-tokens 1000\nHi") == (
        "the budget of ¥5.00 would be passed: ¥3.00 spent, this request is about ¥2.01; "
        "`%glm config budget=10` raises it, `budget=None` lifts it"
    )
    assert fail(priced, "ask(what='x')").startswith("the budget of ¥5.00 would be passed")
    assert len(server.requests) == 1
    text = priced.run("%glm usage").output["data"]["text/plain"]
    assert "¥2.00 of the budget of ¥5.00 is left" in text
    assert "prices are those of 2026-11" in text
    priced.run("%glm config budget=10")
    assert priced.run("%%glm --max-tokens 1000\nHi").status == "ok"
    priced.run("%glm config reset catalog")


def test_an_answer_from_memory_costs_nothing(priced: Kernel, server: GlmServer) -> None:
    priced.run("%glm config cache=on")
    first = priced.run("%%glm\nHi")
    again = priced.run("%%glm\nHi")
    assert len(server.requests) == 1
    assert "from this session's memory" in again.html
    assert "from this session's memory" not in first.html
    assert priced.run("%%glm --no-cache\nHi").status == "ok"
    assert priced.run("%glm again").status == "ok"
    assert len(server.requests) == 3
    priced.run("%glm config reset catalog")


def test_a_check_is_paid_too(priced: Kernel, server: GlmServer) -> None:
    server.script = Script(
        usage={"prompt_tokens": 500, "completion_tokens": 0, "total_tokens": 500}
    )
    priced.run("%glm check")
    text = priced.run("%glm usage").output["data"]["text/plain"]
    (row,) = (line.split() for line in text.splitlines() if line.startswith("mine"))
    assert (row[2], row[-1]) == ("2", "¥1.00")
    priced.run("%glm config reset catalog")


def test_a_task_whose_wait_was_stopped_still_counts(priced: Kernel, server: GlmServer) -> None:
    server.script = Script(processing_polls=1000)
    priced.run("%glm config budget=3")
    request_id = priced.send("%%glm --task --max-tokens 1000\nHi")
    cell = priced.read(request_id, lambda cell: cell.shows("polls"))
    priced.interrupt()
    priced.wait(request_id, cell)
    assert fail(priced, "%%glm --max-tokens 1000\nHi").startswith(
        "the budget of ¥3.00 would be passed: ¥0.00 spent, ¥2.01 in flight"
    )
    priced.run("%glm config reset catalog")


def test_a_budget_is_not_trusted_where_nobody_knows_the_price(
    ready: Kernel, server: GlmServer
) -> None:
    ready.run("%glm config budget=1 endpoint=https://llm.example.org/v1")
    assert fail(ready, "%%glm\nHi") == (
        "nobody knows what llm.example.org costs, so the budget cannot hold; `%glm config "
        "catalog=FOLDER` with a prices.csv tells it, `budget=None` lifts the budget"
    )


def test_prices_that_have_changed_are_read_again(
    priced: Kernel, server: GlmServer, tmp_path: Path
) -> None:
    (tmp_path / "prices.csv").write_text(PRICES.replace("2000", "4000"), "utf-8")
    priced.run(f"%glm config catalog={tmp_path}")
    text = priced.run("%%glm --dry-run --max-tokens 1000\nHi").output["data"]["text/plain"]
    assert "cost about ¥4.01 with the answer at most 1,000 tokens (prices of 2026-11)" in text
    priced.run("%glm config reset catalog")
