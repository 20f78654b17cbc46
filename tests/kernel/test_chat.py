"""A chat cell: what is sent, what streams, what stays on screen and in variables."""

from __future__ import annotations

import re
from typing import Any

import nbformat
import pytest
from glm_server import SOURCES, GlmServer, Script
from kernels import Cell, Kernel
from nbclient import NotebookClient

ANSWER = "Hello! 你好！I am GLM, 很高兴见到你。"
SLOW = Script(text=tuple(f"word{i} " for i in range(12)), pace_s=0.05)


def sent(server: GlmServer) -> Any:
    """The JSON of the one request."""
    (request,) = server.requests
    return request.json


def settings(cell: Cell) -> dict[str, tuple[str, str]]:
    """Each setting of a `%glm config` table with its value and whence it comes."""
    row = re.compile(r"<th>(\w+)</th><td><code>(.*?)</code></td><td>(\w+)</td>")
    return {name: (value, origin) for name, value, origin in row.findall(cell.tags)}


# -- the output --------------------------------------------------------------------------------


def test_the_output_is_one_page_of_html_and_plain_text(kernel: Kernel) -> None:
    cell = kernel.run("%%glm\nHello")
    assert cell.status == "ok"
    assert cell.output["data"].keys() == {"text/html", "text/plain"}
    assert cell.output["data"]["text/plain"] == ANSWER
    assert f"<p>{ANSWER}</p>" in cell.html
    assert cell.stdout + cell.stderr == ""


def test_the_page_takes_the_place_of_the_widget(kernel: Kernel) -> None:
    cell = kernel.run("%%glm\nHello")
    (shown,) = cell.contents("display_data")
    (page,) = cell.contents("update_display_data")
    assert "application/vnd.jupyter.widget-view+json" in shown["data"]
    assert page["transient"]["display_id"] == shown["transient"]["display_id"]
    assert cell.contents("execute_result") == []


def test_every_widget_is_closed_at_the_end(kernel: Kernel) -> None:
    cell = kernel.run("%%glm\nHello")
    assert len(cell.contents("comm_open")) > 10
    assert cell.open_comms == set()
    assert kernel.value("len(__import__('comm').get_comm_manager().comms)") == 0


def test_the_metadata_tell_what_the_reply_was(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(
        usage={"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16},
        finish_reason="length",
    )
    facts = kernel.run("%%glm -m glm-4.6\nHello").output["metadata"]["glm_magic"]
    assert re.fullmatch(r"\d{14}[0-9a-f]{16}", facts.pop("request_id"))
    assert 0 < facts.pop("seconds") < 10
    usage = {"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16}
    assert facts == {
        "model": "glm-4.6",
        "endpoint": server.url.split("/")[2],
        "usage": {**usage, "cached_tokens": 0, "reasoning_tokens": 0},
        "finish_reason": "length",
    }


def test_the_answer_is_seen_while_it_streams(kernel: Kernel, server: GlmServer) -> None:
    server.script = SLOW
    cell = kernel.run("%%glm\nTell")
    last_chunk_at, _ = server.sent[-1]
    early = [html for at, html in cell.live_html if at < last_chunk_at and "word0" in html]
    assert len(early) >= 3
    assert "word11" in cell.html


def test_reasoning_is_folded_above_the_answer(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(reasoning=("17 × 20 ", "= 340"), text=("391",))
    cell = kernel.run("%%glm\n17 × 23?")
    folded = r"<details><summary>Reasoning</summary>.*17 × 20 = 340.*</details>.*<p>391</p>"
    assert re.search(folded, cell.html, re.DOTALL)
    assert cell.output["data"]["text/plain"] == "391"
    assert kernel.value("(_.text, _.reasoning)") == ("391", "17 × 20 = 340")


def test_markup_of_the_model_is_shown_and_does_nothing(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(text=("<img src=x onerror=alert(1)>", "<script>alert(1)</script>"))
    cell = kernel.run("%%glm\nHello")
    for html in (cell.html, *(value for _, value in cell.live_html)):
        assert "<img" not in html
        assert "<script" not in html
    assert "&lt;script&gt;" in cell.html


def test_an_empty_answer_says_so(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(text=())
    cell = kernel.run("%%glm\nHello")
    assert cell.status == "ok"
    assert "[the answer is empty]" in cell.html


# -- the value ---------------------------------------------------------------------------------


def test_the_reply_is_in_every_variable_that_should_have_it(kernel: Kernel) -> None:
    kernel.run("%%glm -o answer\nHello")
    # The very next cell, for `_` is what the cell before gave.
    same = "_ is answer and answer is _glm and answer is Out[max(Out)]"
    assert kernel.value(f"({same}, type(answer).__name__, str(answer))") == (True, "Reply", ANSWER)


@pytest.mark.parametrize("code", ["_", "answer", "display(answer)", "_glm"])
def test_a_reply_shown_again_is_the_same_page(kernel: Kernel, code: str) -> None:
    page = kernel.run("%%glm -o answer\nHello").output
    again = kernel.run(code)
    assert again.status == "ok"
    assert again.output["data"] == page["data"]
    assert again.output["metadata"] == page["metadata"]


def test_only_the_cell_that_streamed_a_reply_hides_its_value(kernel: Kernel) -> None:
    kernel.run("%%glm -o first\nHello")
    cell = kernel.run("display(first); first")
    assert len(cell.outputs) == 2


def test_a_reply_in_a_list_shows_its_one_line(kernel: Kernel) -> None:
    kernel.run("%%glm -o answer\nHello")
    shown = kernel.run("[answer]").output["data"]["text/plain"]
    assert shown == f"[<Reply '{ANSWER}' model='glm-4.7-flash' complete>]"


def test_a_reply_can_be_pickled_and_copied(kernel: Kernel) -> None:
    kernel.run("%%glm -o answer\nHello")
    kernel.run("import copy, pickle")
    assert kernel.value("pickle.loads(pickle.dumps(answer)) == answer == copy.deepcopy(answer)")


# -- what is sent ------------------------------------------------------------------------------


def test_a_plain_cell_sends_the_prompt_and_asks_for_a_stream(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run("%%glm\nHello\n\nthere")
    assert sent(server) == {
        "model": "glm-4.7-flash",
        "messages": [{"role": "user", "content": "Hello\n\nthere"}],
        "stream": True,
    }
    assert server.requests[0].headers["authorization"] == f"Bearer {server.key}"


def test_options_of_the_line_reach_the_request(kernel: Kernel, server: GlmServer) -> None:
    kernel.run(
        '%%glm -m glm-4.6 -s "You are a pirate." -t 0.2 --top-p 0.5 --max-tokens 99 '
        "--thinking off\nHello"
    )
    assert sent(server) == {
        "model": "glm-4.6",
        "messages": [
            {"role": "system", "content": "You are a pirate."},
            {"role": "user", "content": "Hello"},
        ],
        "stream": True,
        "temperature": 0.2,
        "top_p": 0.5,
        "max_tokens": 99,
        "thinking": {"type": "disabled"},
    }


def test_options_of_the_line_win_over_settings(kernel: Kernel, server: GlmServer) -> None:
    kernel.run('%glm config model=glm-4.5 temperature=0.9 system="Be brief." thinking=on')
    kernel.run('%%glm --model=glm-4.6 -t 0.1 -s "Be long." --thinking off\nHello')
    request = sent(server)
    assert (request["model"], request["temperature"]) == ("glm-4.6", 0.1)
    assert request["messages"][0]["content"] == "Be long."
    assert request["thinking"] == {"type": "disabled"}


def test_settings_reach_the_request(kernel: Kernel, server: GlmServer) -> None:
    kernel.run('%glm config model=glm-4.5 temperature=0.9 system="Be brief." max_tokens=5')
    kernel.run("%%glm\nHello")
    request = sent(server)
    assert (request["model"], request["temperature"], request["max_tokens"]) == ("glm-4.5", 0.9, 5)
    assert request["messages"][0] == {"role": "system", "content": "Be brief."}


AS_TYPED = (
    "$x {x} {x}} {x!r} {% x %} {# x #} %d %s %%time",
    r"C:\new\table \alpha \\ \n",
    'it\'s "quoted" and `ticked`',
    "!ls",
    "%matplotlib inline",
    "is this a question?",
    "?",
    "  indented\n\ttabbed",
    "line\n%%glm\nline",
    "emoji 👩‍🚀 and 中文",
)


@pytest.mark.parametrize("prompt", AS_TYPED)
def test_a_prompt_arrives_as_it_was_typed(kernel: Kernel, server: GlmServer, prompt: str) -> None:
    kernel.run("x = 'EXPANDED'")
    assert kernel.run(f"%%glm\n{prompt}").status == "ok"
    assert sent(server)["messages"][-1]["content"] == prompt


@pytest.mark.parametrize(
    ("typed", "system"),
    [
        ('"$x {x} {% x %} %d"', "$x {x} {% x %} %d"),
        (r'"\alpha \n C:\new"', r"\alpha \n C:\new"),
        ('"it\'s"', "it's"),
        ("'say \"hi\"'", 'say "hi"'),
        ('"why?"', "why?"),
        ('"# no comment"', "# no comment"),
        ("一二三", "一二三"),
    ],
)
def test_the_line_arrives_as_it_was_typed(
    kernel: Kernel, server: GlmServer, typed: str, system: str
) -> None:
    kernel.run("x = 'EXPANDED'")
    assert kernel.run(f"%%glm -s {typed}\nHello").status == "ok"
    assert sent(server)["messages"][0] == {"role": "system", "content": system}


def test_no_stream_asks_for_the_answer_in_one_piece(kernel: Kernel, server: GlmServer) -> None:
    cell = kernel.run("%%glm --no-stream\nHello")
    assert sent(server)["stream"] is False
    assert f"<p>{ANSWER}</p>" in cell.html


# -- web search --------------------------------------------------------------------------------


def test_web_search_asks_for_sources_that_have_links(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("%%glm --web-search\nGDP?")
    assert sent(server)["tools"] == [
        {
            "type": "web_search",
            "web_search": {
                "enable": True,
                "search_engine": "search_pro_sogou",
                "search_result": True,
            },
        }
    ]


def test_a_search_query_implies_the_search(kernel: Kernel, server: GlmServer) -> None:
    kernel.run('%%glm --search-query "GDP China 2024 Q1"\nGDP?')
    (tool,) = sent(server)["tools"]
    assert tool["web_search"]["search_query"] == "GDP China 2024 Q1"
    assert tool["web_search"]["enable"] is True


def test_a_line_can_switch_the_search_of_the_settings_off(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run("%glm config web_search=True")
    kernel.run("%%glm --no-web-search\nGDP?")
    assert "tools" not in sent(server)


def test_sources_are_a_table_and_marks_are_links(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(text=("It grew by 5.3%[ref_1].",), sources=SOURCES)
    cell = kernel.run("%%glm --web-search\nGDP?")
    assert "<caption>Sources (2)</caption>" in cell.tags
    assert "一季度国民经济开局良好" in cell.html
    assert re.search(r'5\.3%.{0,9}<a [^>]*href="https://example\.org/stats/2024q1"', cell.html)
    assert "[1] 一季度国民经济开局良好" in cell.output["data"]["text/plain"]


def test_sources_are_a_data_frame(kernel: Kernel, server: GlmServer) -> None:
    server.script = Script(text=("Yes[ref_1].",), sources=SOURCES)
    kernel.run("%%glm --web-search\nGDP?")
    kernel.run("frame = _.sources")
    assert kernel.value("type(frame).__name__") == "DataFrame"
    columns = ["title", "link", "site", "date", "snippet", "cited"]
    assert kernel.value("list(frame.columns)") == columns
    assert kernel.value("frame.index.tolist()") == [1, 2]
    assert kernel.value("frame.link[2]") == "https://example.com/news/gdp-2024q1"


def test_a_reply_without_a_search_has_no_sources(kernel: Kernel) -> None:
    cell = kernel.run("%%glm\nHello")
    assert "Sources" not in cell.html
    assert kernel.value("_.sources.shape") == (0, 6)


# -- settings ----------------------------------------------------------------------------------


def test_the_table_of_settings_tells_whence_each_value_comes(
    kernel: Kernel, server: GlmServer
) -> None:
    kernel.run("get_ipython().config.GlmMagic.top_p = 0.9")
    kernel.run("%reload_ext glm_magic")
    kernel.run("%glm config temperature=0.5")
    table = settings(kernel.run("%glm config"))
    assert table["model"] == ("glm-4.7-flash", "default")
    assert table["endpoint"] == (server.url, "environment")
    assert table["top_p"] == ("0.9", "config")
    assert table["temperature"] == ("0.5", "session")
    assert table["key"] == ("from ZAI_API_KEY", "environment")


def test_several_settings_are_set_at_once(kernel: Kernel, server: GlmServer) -> None:
    cell = kernel.run("%glm config model=glm-4.6 temperature=0.5")
    assert cell.stdout == "model = 'glm-4.6'\ntemperature = 0.5\n"


@pytest.mark.parametrize("wrong", ["temperature=9", "temprature=0.5", "thinking=maybe"])
def test_no_setting_is_set_when_one_is_wrong(kernel: Kernel, wrong: str) -> None:
    assert kernel.run(f"%glm config model=glm-4.6 {wrong}").status == "error"
    assert settings(kernel.run("%glm config"))["model"] == ("glm-4.7-flash", "default")


def test_ipythons_own_config_sets_the_same_settings(kernel: Kernel, server: GlmServer) -> None:
    assert kernel.run('%config GlmMagic.model = "glm-4.5"').status == "ok"
    assert settings(kernel.run("%glm config"))["model"] == ("glm-4.5", "session")
    kernel.run("%%glm\nHello")
    assert sent(server)["model"] == "glm-4.5"


def test_a_setting_can_be_none_again(kernel: Kernel, server: GlmServer) -> None:
    kernel.run("%glm config temperature=0.5")
    kernel.run("%glm config temperature=None")
    kernel.run("%%glm\nHello")
    assert "temperature" not in sent(server)


def test_the_bare_magic_tells_endpoint_model_and_key(kernel: Kernel, server: GlmServer) -> None:
    cell = kernel.run("%glm")
    host = server.url.split("/")[2]
    assert cell.output["data"]["text/plain"].splitlines() == [
        f"endpoint  {host}",
        "model     glm-4.7-flash",
        "key       from ZAI_API_KEY",
        "chat      each cell stands alone",
        "so far    nothing was asked yet",
        "%glm help shows all options, %glm config all settings",
    ]
    assert server.requests == []


# -- keys --------------------------------------------------------------------------------------


def test_a_key_is_typed_unseen_and_used(kernel: Kernel, server: GlmServer) -> None:
    server.key = "typed-key-id.typed-secret"
    cell, asked = kernel.run_typing("%glm login", server.key)
    answer = kernel.run("%%glm\nHello")
    server.key = "test-key-id.test-secret"
    host = server.url.split("/")[2]
    assert asked == {"prompt": f"API key for {host} (not shown): ", "password": True}
    assert cell.stdout == f"key kept for {host}, in this session's memory only\n"
    assert answer.status == "ok"
    assert server.requests[0].headers["authorization"] == "Bearer typed-key-id.typed-secret"


def test_the_key_of_the_environment_goes_to_no_other_host(kernel: Kernel) -> None:
    with GlmServer() as other:
        kernel.run(f"%glm config endpoint={other.url}")
        assert kernel.run("%%glm\nHello").status == "error"
        assert "authorization" not in other.requests[0].headers


# -- without a front end -----------------------------------------------------------------------


def test_a_notebook_run_without_a_browser_keeps_one_page_an_answer(
    server: GlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZAI_API_KEY", server.key)
    monkeypatch.setenv("ZAI_BASE_URL", server.url)
    code = ("%load_ext glm_magic", "%%glm -o answer\nHello", "print(answer)")
    cells = [nbformat.v4.new_code_cell(source) for source in code]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, store_widget_state=False).execute()
    nbformat.validate(notebook)
    loaded, answered, printed = notebook.cells
    (output,) = answered.outputs
    assert output.output_type == "display_data"
    assert output.data.keys() == {"text/html", "text/plain"}
    assert loaded.outputs == []
    assert printed.outputs[0].text == f"{ANSWER}\n"
    assert "widgets" not in notebook.metadata
