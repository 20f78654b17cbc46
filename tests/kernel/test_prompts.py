"""Values of the notebook in prompts and options; templates and functions made of prompts."""

from __future__ import annotations

import pytest
from glm_server import GlmServer, Script
from kernels import Kernel

COUNT = "calls = []\ndef once():\n    calls.append(1)\n    return f'N{len(calls)}'"


def sent(server: GlmServer) -> list[str]:
    """The texts of the messages of the last request."""
    return [message["content"] for message in server.requests[-1].json["messages"]]


def fail(kernel: Kernel, code: str) -> str:
    cell = kernel.run(code)
    assert cell.status == "error"
    assert "\n" not in cell.error_line
    return cell.error_line.removeprefix("glm: ")


# -- values ------------------------------------------------------------------------------------


def test_values_stand_in_the_prompt_and_in_options(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("who, mode, heat = 'a \"pirate\" --raw', 'off', 0.25")
    kernel.run('%%glm -s "You are {{ who }}." --thinking {{ mode }} -t {{ heat }}\nHi {{ 1 + 1 }}')
    assert sent(server) == ['You are a "pirate" --raw.', "Hi 2"]
    body = server.requests[-1].json
    assert (body["temperature"], body["thinking"]) == (0.25, {"type": "disabled"})


def test_a_value_is_asked_for_once(kernel: Kernel, server: GlmServer) -> None:
    kernel.run(COUNT)
    kernel.run('%%glm -s "{{ once() }}"\n{{ once() }}')
    assert sent(server) == ["N1", "N2"]
    kernel.run('%%glm --save asked -s "{{ once() }}"\nGo')
    kernel.run("%glm --use asked")
    assert sent(server) == ["N3", "Go"]
    assert kernel.value("len(calls)") == 3


def test_raw_sends_all_as_it_stands(kernel: Kernel, server: GlmServer) -> None:
    kernel.run('%%glm --raw -s "Reply with {{ only"\n{{ x }} {{ y')
    assert sent(server) == ["Reply with {{ only", "{{ x }} {{ y"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("df.describe", "it is a function; call it with ()"),
        ("dict", "it is a class"),
        ("pd", "it is a module"),
        ("(x for x in 'ab')", None),
        ("made", "it is a generator; make it a list"),
    ],
)
def test_what_says_nothing_to_a_model_is_not_sent(
    kernel: Kernel, server: GlmServer, value: str, reason: str | None
) -> None:
    kernel.run("import pandas as pd\ndf = pd.DataFrame({'a': [1]})\nmade = (x for x in 'ab')")
    line = fail(kernel, f"%%glm\nLook: {{{{ {value} }}}}")
    assert reason is None or reason in line
    assert server.requests == []


def test_the_key_of_the_session_is_not_sent_as_a_value(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("import os\nk = os.environ['ZAI_API_KEY']")
    line = "the prompt holds this session's API key; nothing was sent"
    for code in ("%%glm\nMy key: {{ k }}", '%%glm -s "{{ k }}"\nHi', '%%glm --stop "{{ k }}"\nHi'):
        assert fail(kernel, code) == line
    assert server.key not in fail(kernel, '%%glm -t "{{ k }}"\nHi')
    assert server.requests == []


def test_a_refusal_is_one_line_whatever_the_value(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("odd = 'a\\nb\\x1b[31m\\u202e' * 200")
    for option in ("-t", "-m", "--chat", "--max-tokens"):
        line = fail(kernel, f'%%glm {option} "{{{{ odd }}}}"\nHi') if option != "-m" else ""
        assert line.isprintable()
        assert len(line) <= 500


# -- templates and functions -------------------------------------------------------------------


def test_variables_in_options_are_variables_of_the_template(
    kernel: Kernel, server: GlmServer
) -> None:
    cell = kernel.run('%%glm --def say -s "You are {{ role }}." -t {{ heat }}\nSay {{ what }}')
    assert cell.stdout == "say(*, what, role, heat) is defined; nothing was sent\n"
    kernel.run("said = say(role='a cat', heat=0.5, what='{{ x }}')")
    assert sent(server) == ["You are a cat.", "Say {{ x }}"]
    assert kernel.value("(said.text, said.asked.temperature)")[1] == 0.5
    kernel.run('%%glm --save poem -s "{{ role }}"\nA poem on {{ topic }}')
    kernel.run("role, topic = 'a poet', 'rain'")
    kernel.run("%%glm --use poem\nIn {{ 2 }} lines")
    assert sent(server) == ["a poet", "A poem on rain\n\nIn 2 lines"]


def test_a_raw_template_has_no_variables(kernel: Kernel, server: GlmServer) -> None:
    assert kernel.run("%%glm --def jinja --raw\nExplain {{ x }}").stdout.startswith("jinja() is")
    kernel.run("_ = jinja()")
    assert sent(server) == ["Explain {{ x }}"]


@pytest.mark.parametrize("option", ["--dry-run", "--task", "--chat story", "-c", "-o answer", "-x"])
def test_a_function_takes_no_option_of_one_cell(
    kernel: Kernel, server: GlmServer, option: str
) -> None:
    line = fail(kernel, f"%%glm --def f {option}\nHi")
    assert line.startswith("a function belongs to no chat and shows nothing; leave out --")
    assert server.requests == []


def test_a_function_asks_by_the_magics_that_are_loaded(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("%%glm --def ask\nAsk {{ what }}")
    kernel.run("%reload_ext glm_magic")
    kernel.run("_ = ask(what=1)")
    assert "1 " in kernel.run("%glm usage").output["data"]["text/plain"].splitlines()[2]
    kernel.run("%unload_ext glm_magic")
    assert fail(kernel, "ask(what=1)") == "glm_magic is not loaded; run `%load_ext glm_magic`"


def test_many_functions_at_once_keep_within_their_limit(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(pace_s=0.01)
    kernel.run("%glm config concurrency=2")
    kernel.run("%%glm --def ask\nAsk {{ n }}")
    cell = kernel.run(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(6) as pool:\n"
        "    texts = list(pool.map(lambda n: ask(n=n).asked.messages[-1].content, range(12)))"
    )
    assert cell.status == "ok", cell.contents("error")
    assert kernel.value("texts") == [f"Ask {n}" for n in range(12)]
    assert len(server.requests) == 12
