"""Functions of the notebook that the model calls, in a real kernel."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from glm_server import GlmServer, Json, Script, call, failure
from kernels import Cell, Kernel

FUNCTIONS = '''
def weather(city: str, days: int = 1) -> str:
    """Tell the weather of a city.

    Args:
        city: its name.
    """
    print("asking", city)
    return f"sunny in {city} for {days}"

def divide(a: int, b: int) -> float:
    """Divide."""
    return a / b

def wait() -> None:
    """Wait for ever."""
    import time
    print("waiting", flush=True)
    while True:
        time.sleep(60)

def socket() -> object:
    """Open a socket."""
    import socket
    return socket.socket()
'''


@pytest.fixture(autouse=True)
def _functions(kernel: Kernel) -> None:
    assert kernel.run(FUNCTIONS).status == "ok"


def calling(*calls: Json, answer: tuple[str, ...] = ("So ", "it is.")) -> Callable[[Json], Script]:
    """A model that asks for these calls once, and answers when it has their results."""

    def reply(body: Json) -> Script:
        has_results = body["messages"][-1]["role"] == "tool"
        return Script(text=answer) if has_results else Script(text=(), tool_calls=calls)

    return reply


def asking_for_ever(body: Json) -> Script:
    return Script(text=(), tool_calls=(call("weather", city="北京"),))


def messages(server: GlmServer) -> list[Json]:
    """The messages of the last request."""
    found: list[Json] = server.requests[-1].json["messages"]
    return found


def results(server: GlmServer) -> list[str]:
    """The results that the model got last."""
    return [m["content"] for m in messages(server) if m["role"] == "tool"]


def calls(kernel: Kernel, what: str) -> list[Any]:
    """A field of each call of the last reply."""
    found: list[Any] = kernel.value(f"[c.{what} for c in _glm.calls]")
    return found


# -- what a call is ----------------------------------------------------------------------------


def test_a_function_is_called_and_its_result_goes_back(kernel: Kernel, server: GlmServer) -> None:
    server.script = calling(call("weather", city="北京", days=3))
    cell = kernel.run("%%glm --tool weather -o a\nHow is the weather?")
    assert cell.status == "ok"
    (tool,) = server.requests[0].json["tools"]
    assert tool == {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tell the weather of a city.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "its name."},
                    "days": {"type": "integer", "default": 1},
                },
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
    asked, result = messages(server)[1:]
    assert [c["function"]["name"] for c in asked["tool_calls"]] == ["weather"]
    assert result == {
        "role": "tool",
        "content": "sunny in 北京 for 3",
        "tool_call_id": asked["tool_calls"][0]["id"],
    }
    assert kernel.value("(a.text, a is _glm is _, a.requests, len(a.messages))") == (
        "So it is.",
        True,
        2,
        4,
    )


def test_a_call_stands_in_the_answer_with_what_it_printed(
    kernel: Kernel, server: GlmServer
) -> None:
    server.script = calling(call("weather", city="<b>北京</b>"))
    cell = kernel.run("%%glm --tool weather\nHow is the weather?")
    assert cell.stdout == ""
    assert "<caption>Calls</caption>" in cell.tags
    assert "<code>weather</code>" in cell.tags
    assert '<td>city="&lt;b&gt;北京&lt;/b&gt;"</td>' in cell.tags
    assert "<td>sunny in &lt;b&gt;北京&lt;/b&gt; for 1</td>" in cell.tags
    assert "<pre>\nasking &lt;b&gt;北京&lt;/b&gt;</pre>" in cell.tags
    assert cell.html.index("asking") < cell.html.index("So it is.")
    assert "2 requests" in cell.html
    assert cell.output["data"]["text/plain"].startswith('→ weather(city="<b>北京</b>"): sunny in')
    assert cell.open_comms == set()


def test_a_call_is_seen_while_it_runs(kernel: Kernel, server: GlmServer) -> None:
    server.script = calling(call("weather", city="北京"))
    cell = kernel.run("%%glm --tool weather\nHow is the weather?")
    assert cell.shows("calling weather")
    assert cell.shows("running …")
    assert cell.shows("sunny in 北京")


def test_text_before_a_call_stays_above_it(kernel: Kernel, server: GlmServer) -> None:
    ask = Script(
        reasoning=("I need ", "it."),
        text=("Let me ", "*see*."),
        tool_calls=(call("weather", city="北京"),),
    )
    server.queue(ask, Script(reasoning=("Good.",), text=("Sunny.",)))
    cell = kernel.run("%%glm --tool weather -o a\nHow is the weather?")
    assert "<p>Let me <em>see</em>.</p>" in cell.tags
    assert cell.html.index("Let me") < cell.html.index("sunny in") < cell.html.index("Sunny.")
    assert "I need it.\n\nGood." in cell.html
    assert kernel.value("(a.text, a.reasoning)") == ("Sunny.", "Good.")
    # What it thought goes back with its calls, as the platform asks for.
    assert messages(server)[1]["reasoning_content"] == "I need it."
    assert "thinking" not in server.requests[-1].json


def test_several_calls_are_made_in_their_order(kernel: Kernel, server: GlmServer) -> None:
    server.script = calling(call("divide", a=1, b=2), call("divide", a=3, b=2))
    kernel.run("%%glm --tool divide --tool weather\nDivide")
    assert results(server) == ["0.5", "1.5"]
    names = [tool["function"]["name"] for tool in server.requests[0].json["tools"]]
    assert names == ["divide", "weather"]


def test_what_all_requests_took_is_added_up(kernel: Kernel, server: GlmServer) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    server.queue(
        Script(text=(), tool_calls=(call("divide", a=1, b=2),), usage=usage),
        Script(text=("0.5",), usage={**usage, "prompt_tokens": 20, "total_tokens": 25}),
    )
    cell = kernel.run("%%glm --tool divide\nDivide")
    assert "30 tokens in" in cell.html
    assert "10 out" in cell.html
    lines = kernel.run("%glm usage").output["data"]["text/plain"].splitlines()
    (line,) = (line for line in lines if "glm-4.7-flash" in line)
    assert line.split()[2:6] == ["2", "30", "0", "10"]


def test_a_chat_goes_on_with_the_calls_in_it(kernel: Kernel, server: GlmServer) -> None:
    server.script = calling(call("divide", a=1, b=2))
    kernel.run("%%glm --chat x --tool divide\nDivide")
    server.script = Script(text=("Again.",))
    assert kernel.run("%%glm --chat x\nAnd now?").status == "ok"
    roles = [message["role"] for message in messages(server)]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]
    assert "tools" not in server.requests[-1].json
    text = kernel.run("%glm history x").output["data"]["text/plain"]
    assert 'divide({"a": 1, "b": 2})' in text
    assert "0.5" in text


def test_the_same_again_calls_again(kernel: Kernel, server: GlmServer) -> None:
    server.script = calling(call("divide", a=1, b=2))
    kernel.run("%config GlmMagic.cache = True")
    kernel.run("%%glm --tool divide\nDivide")
    kernel.run("%%glm --tool divide\nDivide")
    kernel.run("%glm again")
    assert len(server.requests) == 6
    assert calls(kernel, "result") == ["0.5"]


def test_a_function_of_a_prompt_calls_too(kernel: Kernel, server: GlmServer) -> None:
    server.script = calling(call("divide", a=1, b=2))
    kernel.run("%%glm --def ask --tool divide\nDivide {{ x }}")
    assert kernel.value("(ask(x=1).text, len(ask(x=2).calls))") == ("So it is.", 1)


def test_arguments_come_as_they_are_hinted(kernel: Kernel, server: GlmServer) -> None:
    kernel.run(
        "from datetime import date\n"
        "def later(day: date) -> date:\n"
        "    'The day after.'\n"
        "    return date.fromordinal(day.toordinal() + 1)"
    )
    server.script = calling(call("later", day="2026-11-30"))
    kernel.run("%%glm --tool later\nThe next day?")
    assert results(server) == ['"2026-12-01"']


def test_streamed_arguments_are_joined(kernel: Kernel, server: GlmServer) -> None:
    server.script = calling(call("divide", a=1, b=2))
    kernel.run("%%glm -m glm-4.7 --tool divide\nDivide")
    assert server.requests[0].json["tool_stream"] is True
    kernel.run("%%glm -m glm-4-plus --tool divide\nDivide")
    assert "tool_stream" not in server.requests[-1].json
    assert results(server) == ["0.5"]


def test_without_a_stream_functions_are_called_too(kernel: Kernel, server: GlmServer) -> None:
    server.script = calling(call("divide", a=1, b=2))
    assert kernel.run("%%glm --no-stream --tool divide\nDivide").status == "ok"
    assert results(server) == ["0.5"]


def test_where_nobody_watches_the_end_is_shown(kernel: Kernel, server: GlmServer) -> None:
    server.script = calling(call("weather", city="北京"))
    request_id = kernel.send("%%glm --tool weather\nHow is it?", allow_stdin=False)
    cell = kernel.wait(request_id)
    assert cell.contents("comm_open") == []
    assert "sunny in 北京" in cell.html


# -- what goes wrong in a call -----------------------------------------------------------------


def test_an_exception_goes_to_the_model_as_text_and_to_the_reader_folded(
    kernel: Kernel, server: GlmServer
) -> None:
    server.script = calling(call("divide", a=1, b=0))
    cell = kernel.run("%%glm --tool divide\nDivide")
    assert cell.status == "ok"
    assert results(server) == ["error: ZeroDivisionError: division by zero"]
    assert "<details><summary>Traceback</summary>" in cell.tags
    assert "return a / b" in cell.html
    assert "glm_magic" not in kernel.value("_glm.calls[0].traceback")


@pytest.mark.parametrize(
    ("asked", "result"),
    [
        (call("nope"), "error: there is no function 'nope'; there are: divide"),
        (call("divide", a=1), "error: b: Field required"),
        (
            call("divide", a="x", b=1),
            "error: a: Input should be a valid integer (got 'x')",
        ),
        (
            {"function": {"name": "divide", "arguments": '{"a": 1,'}},
            "error: the arguments are no JSON: Expecting property name enclosed in double quotes: "
            "line 1 column 9 (char 8)",
        ),
    ],
)
def test_what_cannot_be_called_is_told_to_the_model(
    kernel: Kernel, server: GlmServer, asked: Json, result: str
) -> None:
    server.script = calling(asked)
    cell = kernel.run("%%glm --chat x --tool divide\nDivide")
    assert cell.status == "ok"
    assert results(server) == [result]
    assert calls(kernel, "state") == ["refused"]
    # The server reads the arguments of earlier calls again: they are JSON, whatever came.
    assert kernel.run("%%glm --chat x\nGo on").status == "ok"


def test_a_result_that_is_no_text_is_told_in_one_line(kernel: Kernel, server: GlmServer) -> None:
    server.script = calling(call("socket"))
    assert kernel.run("%%glm --tool socket\nOpen").status == "ok"
    assert results(server) == [
        "error: it returned a socket.socket, which is neither text nor JSON nor a table; return "
        "one of these"
    ]


def test_a_key_in_a_result_is_not_sent(kernel: Kernel, server: GlmServer) -> None:
    kernel.run(
        "import os\n"
        "def leak() -> str:\n"
        "    'Leak.'\n"
        "    print(os.environ['ZAI_API_KEY'])\n"
        "    return os.environ['ZAI_API_KEY']"
    )
    server.script = calling(call("leak"))
    assert kernel.run("%%glm --tool leak\nLeak").status == "ok"
    assert server.key not in json.dumps(messages(server))


def test_a_key_in_what_a_validator_says_is_not_sent(kernel: Kernel, server: GlmServer) -> None:
    kernel.run(
        "import os\n"
        "from typing import Annotated\n"
        "from pydantic import AfterValidator\n"
        "def check(value):\n"
        "    raise ValueError('no such ' + os.environ['ZAI_API_KEY'])\n"
        "def leak(x: Annotated[int, AfterValidator(check)]) -> int:\n"
        "    'Leak.'\n"
        "    return x"
    )
    server.script = calling(call("leak", x=1))
    assert kernel.run("%%glm --tool leak\nLeak").status == "ok"
    assert server.key not in json.dumps(messages(server))


def test_an_answer_is_shown_again_where_a_function_clears_the_output(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run(
        "from IPython.display import clear_output\n"
        "def plot() -> str:\n"
        "    'Plot.'\n"
        "    clear_output(wait=True)\n"
        "    return 'drawn'"
    )
    server.script = calling(call("plot"))
    cell = kernel.run("%%glm --tool plot\nPlot")
    kinds = [message["msg_type"] for message in cell.messages]
    cleared, *_ = [place for place, kind in enumerate(kinds) if kind == "clear_output"]
    assert "display_data" in kinds[cleared:]
    shown = [o for o in cell.outputs if o["data"]["text/plain"].endswith("So it is.")]
    assert len({output["transient"]["display_id"] for output in shown}) == 1
    assert kernel.run("clear_output(wait=True)\nprint('on')").stdout == "on\n"


def test_the_same_again_calls_the_function_as_it_is_now(kernel: Kernel, server: GlmServer) -> None:
    server.script = calling(call("divide", a=1, b=0))
    kernel.run("%%glm --tool divide\nDivide")
    kernel.run("def divide(a: int, b: int) -> float:\n    'Divide.'\n    return 7.0")
    kernel.run("%glm again")
    assert results(server) == ["7.0"]
    kernel.run("del divide")
    assert "unknown function 'divide'" in kernel.run("%glm again").error_line


def test_an_interrupt_that_a_function_swallows_ends_the_cell(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run(
        "def deaf() -> str:\n"
        "    'Hear nothing.'\n"
        "    import time\n"
        "    try:\n"
        "        time.sleep(600)\n"
        "    except KeyboardInterrupt:\n"
        "        return 'went on'"
    )
    server.script = calling(call("deaf"))
    request_id = kernel.send("%%glm --tool deaf\nListen")
    cell = kernel.read(request_id, lambda cell: cell.shows("calling deaf"))
    kernel.interrupt()
    assert kernel.wait(request_id, cell).error_line.startswith("glm: stopped; ")
    assert len(server.requests) == 1
    assert kernel.value("(_glm.requests, [c.state for c in _glm.calls])") == (1, ["stopped"])


def test_what_is_drawn_of_many_calls_grows_with_their_number(
    kernel: Kernel, server: GlmServer
) -> None:
    def drawn(count: int) -> int:
        server.script = calling(*(call("weather", city=f"city {n}") for n in range(count)))
        return sum(len(html) for _, html in kernel.run("%%glm --tool weather\nAll").live_html)

    assert drawn(60) < 2.5 * drawn(30)


def test_a_model_that_asks_for_ever_is_ended_in_one_line(kernel: Kernel, server: GlmServer) -> None:
    server.script = asking_for_ever
    kernel.run("%config GlmMagic.max_tool_rounds = 3")
    cell = kernel.run("%%glm --chat x --tool weather\nHow is it?")
    assert cell.status == "error"
    assert cell.error_line == (
        "glm: the model still asks for 'weather' after 3 rounds of calls; `%glm config "
        "max_tool_rounds=6` lets it go on longer"
    )
    assert len(server.requests) == 4
    assert calls(kernel, "state") == ["done"] * 3
    server.script = Script()
    assert kernel.run("%%glm --chat x\nNever mind").status == "ok"
    assert [message["role"] for message in messages(server)] == ["user"]


def test_an_interrupt_ends_a_call_that_never_returns(kernel: Kernel, server: GlmServer) -> None:
    server.script = calling(call("weather", city="北京"), call("wait"))
    request_id = kernel.send("%%glm --chat x --tool wait --tool weather\nWait")
    cell = kernel.read(request_id, lambda cell: cell.shows("calling wait"))
    kernel.interrupt()
    cell = kernel.wait(request_id, cell)
    assert cell.error_line == (
        "glm: stopped; the calls so far are in _glm, `%glm again` sends it again"
    )
    assert calls(kernel, "state") == ["done", "stopped"]
    assert calls(kernel, "printed") == ["asking 北京\n", "waiting\n"]
    assert "<em>stopped</em>" in cell.tags
    assert cell.open_comms == set()
    server.script = Script()
    assert kernel.run("%%glm --chat x\nGo on").status == "ok"
    assert [message["role"] for message in messages(server)] == ["user"]


def test_the_stop_button_ends_a_call_that_never_returns(kernel: Kernel, server: GlmServer) -> None:
    server.script = calling(call("wait"))
    request_id = kernel.send("%%glm --tool wait -o a\nWait")
    cell = kernel.read(request_id, lambda cell: cell.shows("calling wait"))
    kernel.click(cell.comm_of("ButtonModel"))
    cell = kernel.wait(request_id, cell)
    assert cell.status == "ok", cell.contents("error")
    assert len(server.requests) == 1
    assert kernel.value("(a.state, [c.state for c in a.calls])") == ("stopped", ["stopped"])


def test_a_stop_in_the_answer_keeps_the_calls(kernel: Kernel, server: GlmServer) -> None:
    server.queue(
        Script(text=(), tool_calls=(call("divide", a=1, b=2),)),
        Script(text=("half ", "never"), stall_after=1),
    )
    request_id = kernel.send("%%glm --chat x --tool divide\nDivide")
    cell = kernel.read(request_id, lambda cell: cell.shows("half"))
    kernel.interrupt()
    cell = kernel.wait(request_id, cell)
    assert "the partial answer is in _glm" in cell.error_line
    assert kernel.value("(_glm.text, _glm.calls[0].result)") == ("half ", "0.5")
    server.script = Script(text=("and rest",))
    kernel.run("%glm continue")
    assert [m["role"] for m in messages(server)] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]
    assert kernel.value("(_glm.text, len(_glm.calls))") == ("half and rest", 1)


def test_a_refused_second_request_is_one_line_and_the_calls_stay(
    kernel: Kernel, server: GlmServer
) -> None:
    server.queue(
        Script(text=(), tool_calls=(call("divide", a=1, b=2),)), Script(error=failure("1113"))
    )
    cell = kernel.run("%%glm --tool divide\nDivide")
    assert cell.status == "error"
    assert "1113" in cell.error_line
    assert "\n" not in cell.error_line
    assert calls(kernel, "result") == ["0.5"]


def test_a_call_cut_at_the_token_limit_is_not_made(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(text=(), tool_calls=(call("divide", a=1, b=2),), finish_reason="length")
    cell = kernel.run("%%glm --tool divide\nDivide")
    assert cell.error_line == (
        "glm: the answer was cut in the middle of a call; raise --max-tokens"
    )
    assert len(server.requests) == 1


# -- asked before each call --------------------------------------------------------------------


def test_a_call_that_is_confirmed_is_made(kernel: Kernel, server: GlmServer) -> None:
    server.script = calling(call("divide", a=1, b=2))
    cell, asked = kernel.run_typing("%%glm --confirm --tool divide\nDivide", "y")
    assert asked["prompt"] == "Call divide(a=1, b=2)? [y/N] "
    assert cell.status == "ok"
    assert results(server) == ["0.5"]


def test_a_call_that_is_declined_is_told_to_the_model(kernel: Kernel, server: GlmServer) -> None:
    server.script = calling(call("divide", a=1, b=2))
    cell, _ = kernel.run_typing("%%glm --confirm --tool divide\nDivide", "")
    assert results(server) == ["error: the user declined this call"]
    assert "declined by you" in cell.html


def test_where_nobody_can_type_nothing_is_called(kernel: Kernel, server: GlmServer) -> None:
    server.script = calling(call("divide", a=1, b=2))
    cell = kernel.wait(kernel.send("%%glm --confirm --tool divide\nx", allow_stdin=False))
    assert cell.error_line == (
        "glm: --confirm asks before each call, and nobody can type here; leave it out"
    )
    assert server.requests == []


# -- what cannot be offered --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("--tool wether", "unknown function 'wether'; did you mean 'weather'?"),
        (
            "--tool bare",
            "tool 'bare' has no docstring; the model reads from it what the function does: write "
            "one",
        ),
        (
            "--tool unhinted",
            "parameter 'x' of tool 'unhinted' has no type hint; write one, such as x: str",
        ),
        ("--tool divide --tool divide", "tool 'divide' is named twice"),
        (
            "--tool divide --tool other.divide",
            "'divide' and 'other.divide' are both called 'divide' by the model; assign one of "
            "them to another name",
        ),
        (
            "--tool divide --web-search",
            "functions (--tool) and web search (--no-web-search leaves it out) exclude each "
            "other: GLM serves one kind of tools a request, functions before knowledge before "
            "the web; leave one out",
        ),
        (
            "--tool divide --task",
            "functions are called while a cell waits, which a task does not; leave out --task",
        ),
        ("--confirm", "--confirm asks before a function is called; --tool NAME offers one"),
    ],
)
def test_what_cannot_be_offered_is_one_line_and_nothing_is_sent(
    kernel: Kernel, server: GlmServer, line: str, error: str
) -> None:
    kernel.run(
        "import types\n"
        "def bare(x: int): ...\n"
        "def unhinted(x):\n    'Do.'\n"
        "other = types.SimpleNamespace(divide=divide)"
    )
    cell = kernel.run(f"%%glm {line}\nHello")
    assert cell.error_line == f"glm: {error}"
    assert server.requests == []


def test_web_search_of_the_settings_excludes_functions_too(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run("%config GlmMagic.web_search = True")
    cell = kernel.run("%%glm --tool divide\nDivide")
    assert "exclude each other" in cell.error_line
    server.script = calling(call("divide", a=1, b=2))
    assert kernel.run("%%glm --tool divide --no-web-search\nDivide").status == "ok"


def test_a_dry_run_shows_what_would_be_offered(kernel: Kernel, server: GlmServer) -> None:
    cell: Cell = kernel.run("%%glm --dry-run --tool weather\nHow is it?")
    assert "Tell the weather of a city." in cell.text
    assert server.requests == []
