"""A session of twenty cells as people have them: run, run again, forked, interrupted, restarted.

Each cell has an id as in a notebook. The server answers each prompt by its own words, so that
every chat tells which version of which cell it was made of.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from glm_server import GlmServer, Script
from kernels import Cell, Kernel

LOAD = "%load_ext glm_magic"
KEY = "import os\nos.environ |= {{'ZAI_BASE_URL': {!r}, 'ZAI_API_KEY': {!r}}}"
DATA = "import pandas as pd\ndf = pd.DataFrame({'city': ['Bern', 'Rome'], 'people': [134, 2749]})"
CELLS = {
    "load": LOAD,
    "config": "%glm config model=glm-4.7 temperature=0.2",
    "data": f"{DATA}\npersona = 'You are {{{{ brief }}}}, $x and 50 %.'",
    "describe": "%%glm\nDescribe:\n\n{{ df }}",
    "largest": "%%glm -c\nWhich is the largest?",
    "begin": '%%glm --chat story -s "{{ persona }}"\nBegin',
    "go-on": "%%glm --chat story\nGo on",
    "fork": "%glm fork story darker",
    "dark": "%%glm --chat darker\nMake it dark",
    "save": "%%glm --save review -t 0.9\nReview {{ code }}",
    "code": "code = 'if (x) { y = \"{{ z }}\"; }'",
    "use": "%glm --use review",
    "def": "%%glm --def shorten\nShorten {{ text }} to {{ n }} words",
    "call": "short = shorten(text=df.city[0], n=3)",
    "dry": "%%glm --dry-run --chat story\nNot sent",
    "long": "%%glm --chat story\nTell it at length",
    "json": "%%glm -o counts --format json\nCount",
    "rows": "counts.json()",
    "end": "%%glm -c\nAnd now?",
    "usage": "%glm usage",
}
COUNTS = '```json\n[{"city": "Bern", "n": 1}]\n```'


class Notebook:
    """The cells of a notebook, a kernel that runs them, and a server that answers."""

    def __init__(self, kernel: Kernel, server: GlmServer, folder: Path) -> None:
        self.kernel, self.server, self.folder = kernel, server, folder
        self.cells = dict(CELLS)

    def run(self, name: str) -> Cell:
        """Run one cell."""
        source = self.cells[name]
        prompt = source.partition("\n")[2] or source
        text = COUNTS if name == "json" else f"<{prompt.splitlines()[0]}>"
        self.server.script = Script(text=(text,))
        return self.kernel.run(source, cell_id=name)

    def run_all(self) -> None:
        """Run every cell from the first to the last."""
        for name in self.cells:
            cell = self.run(name)
            assert cell.status == "ok", (name, cell.contents("error"))

    def chat(self, name: str = "") -> str:
        """The prompts and answers of a chat, stale ones in brackets."""
        path = self.folder / "chat.json"
        assert self.kernel.run(f"%glm export {name} {path}").status == "ok"
        turns = json.loads(path.read_text("utf-8"))["turns"]
        words = [f"{turn['prompt'].splitlines()[0]} {turn['answer']}" for turn in turns]
        marked = [f"[{w}]" if t["is_stale"] else w for t, w in zip(turns, words, strict=True)]
        return " | ".join(marked)

    def restart(self) -> None:
        """Start the kernel anew, with the same server in its environment."""
        self.kernel.restart()
        self.kernel.run(KEY.format(self.server.url, self.server.key))
        self.kernel.run(LOAD)

    @property
    def sent(self) -> dict[str, Any]:
        """The last request."""
        body: dict[str, Any] = self.server.requests[-1].json
        return body

    def contents(self) -> list[str]:
        """The texts of the messages of the last request."""
        return [message["content"] for message in self.sent["messages"]]


@pytest.fixture
def notebook(kernel: Kernel, server: GlmServer, tmp_path: Path) -> Notebook:
    """A notebook that was run from the first cell to the last."""
    notebook = Notebook(kernel, server, tmp_path)
    notebook.run_all()
    return notebook


STORY = "Begin <Begin> | Go on <Go on> | Tell it at length <Tell it at length>"
DARKER = "Begin <Begin> | Go on <Go on> | Make it dark <Make it dark>"
LAST = "Count " + COUNTS + " | And now? <And now?>"


def prompts_sent(server: GlmServer) -> list[str]:
    return [request.json["messages"][-1]["content"].splitlines()[0] for request in server.requests]


def test_the_first_run(notebook: Notebook) -> None:
    assert prompts_sent(notebook.server) == [
        "Describe:",
        "Which is the largest?",
        "Begin",
        "Go on",
        "Make it dark",
        'Review if (x) { y = "{{ z }}"; }',
        "Shorten Bern to 3 words",
        "Tell it at length",
        "Count",
        "And now?",
    ]
    requests = [request.json for request in notebook.server.requests]
    assert requests[0]["messages"] == [
        {
            "role": "user",
            "content": "Describe:\n\n| city | people |\n| --- | --- |\n| Bern | 134 |\n"
            "| Rome | 2749 |",
        }
    ]
    assert [m["role"] for m in requests[1]["messages"]] == ["user", "assistant", "user"]
    persona = {"role": "system", "content": "You are {{ brief }}, $x and 50 %."}
    assert [request["messages"][0] == persona for request in requests] == [
        *(False, False, True, True, True, False, False, True, False, False)
    ]
    assert [request["temperature"] for request in requests] == [
        *(0.2, 0.2, 0.2, 0.2, 0.2, 0.9, 0.2, 0.2, 0.2, 0.2)
    ]
    assert {request["model"] for request in requests} == {"glm-4.7"}
    assert notebook.kernel.value("(short.text, str(short), len(short), short[:3])") == (
        "<short = shorten(text=df.city[0], n=3)>",
        "<short = shorten(text=df.city[0], n=3)>",
        39,
        "<sh",
    )
    assert notebook.kernel.value("counts.json()") == [{"city": "Bern", "n": 1}]
    assert (notebook.chat("story"), notebook.chat("darker")) == (STORY, DARKER)
    assert notebook.chat() == LAST


def test_run_all_again_ends_in_the_same_chats(notebook: Notebook) -> None:
    notebook.run_all()
    notebook.run_all()
    assert (notebook.chat("story"), notebook.chat("darker")) == (STORY, DARKER)
    assert notebook.chat() == LAST
    assert len(notebook.server.requests) == 30


def test_a_cell_run_again_replaces_its_turn_and_marks_what_was_built_on_it(
    notebook: Notebook,
) -> None:
    notebook.cells["go-on"] = "%%glm --chat story\nGo on, slowly"
    cell = notebook.run("go-on")
    assert notebook.contents()[1:] == ["Begin", "<Begin>", "Go on, slowly"]
    assert "chat story, turn 2" in cell.html
    assert notebook.chat("story") == (
        "Begin <Begin> | Go on, slowly <Go on, slowly> | [Tell it at length <Tell it at length>]"
    )
    assert notebook.chat("darker") == DARKER
    history = notebook.kernel.run("%glm history story").output["data"]["text/plain"]
    assert [line.split()[-3:] for line in history.splitlines()[-3:-1]] == [
        ["stale,", "not", "sent"]
    ] * 2
    cell = notebook.kernel.run("%%glm --chat story\nMore", cell_id="more")
    assert "chat story, turn 3 · 1 stale turn is not sent" in cell.html
    assert notebook.contents()[-3:] == ["Go on, slowly", "<Go on, slowly>", "More"]
    notebook.run("long")
    assert notebook.chat("story") == (
        "Begin <Begin> | Go on, slowly <Go on, slowly> | More <Go on, slowly> "
        "| Tell it at length <Tell it at length>"
    )


def test_what_a_cell_went_on_with_is_what_it_goes_on_with(notebook: Notebook) -> None:
    notebook.run("largest")
    assert len(notebook.contents()) == 3
    assert notebook.contents()[0].startswith("Describe:")


def test_a_fork_run_again_takes_the_new_beginning(notebook: Notebook) -> None:
    notebook.cells["begin"] = '%%glm --chat story -s "{{ persona }}"\nBegin anew'
    for name in ("begin", "go-on", "fork"):
        notebook.run(name)
    assert notebook.chat("darker") == (
        "Begin anew <Begin anew> | Go on <Go on> | [Make it dark <Make it dark>]"
    )
    notebook.run("dark")
    assert notebook.chat("darker").endswith("| Make it dark <Make it dark>")


def test_an_interrupted_turn_is_kept_gone_on_with_and_replaced(notebook: Notebook) -> None:
    notebook.server.script = Script(text=("Once ", "upon ") * 200, pace_s=0.02)
    request_id = notebook.kernel.send(notebook.cells["long"], cell_id="long")
    cell = notebook.kernel.read(request_id, lambda cell: cell.shows("Once upon"))
    notebook.kernel.interrupt()
    assert notebook.kernel.wait(request_id, cell).status == "error"
    assert "Tell it at length Once upon" in notebook.chat("story")
    history = notebook.kernel.run("%glm history story").output["data"]["text/plain"]
    assert history.count("stopped") == 2
    notebook.server.script = Script(text=("THE END",))
    assert notebook.kernel.run("%glm continue", cell_id="extra").status == "ok"
    assert notebook.chat("story").endswith("THE END")
    assert notebook.kernel.value("_glm.messages[-2:]")[0]["content"] == "Tell it at length"
    notebook.run("long")
    assert notebook.chat("story") == STORY


def test_a_cell_that_fails_before_anything_came_keeps_its_turn(notebook: Notebook) -> None:
    notebook.server.script = Script(cut_after=0, text=())
    notebook.kernel.run("%glm config max_retries=0")
    assert notebook.kernel.run(notebook.cells["go-on"], cell_id="go-on").status == "error"
    assert notebook.chat("story") == (
        "Begin <Begin> | [Go on <Go on>] | [Tell it at length <Tell it at length>]"
    )
    for name in ("go-on", "long"):
        notebook.run(name)
    assert notebook.chat("story") == STORY


def test_a_turn_that_the_safety_review_withdraws_is_gone(notebook: Notebook) -> None:
    notebook.server.script = Script(text=("bad",), finish_reason="sensitive")
    notebook.kernel.run(notebook.cells["go-on"], cell_id="go-on")
    assert notebook.chat("story") == ("Begin <Begin> | [Tell it at length <Tell it at length>]")


def test_a_cell_added_in_the_middle_is_there_after_run_all(notebook: Notebook) -> None:
    cells = list(notebook.cells.items())
    at = list(notebook.cells).index("go-on")
    notebook.cells = dict([*cells[:at], ("new", "%%glm --chat story\nNew"), *cells[at:]])
    notebook.run_all()
    assert notebook.chat("story") == (
        "Begin <Begin> | New <New> | Go on <Go on> | Tell it at length <Tell it at length>"
    )
    assert notebook.chat("darker") == (
        "Begin <Begin> | New <New> | Go on <Go on> | Make it dark <Make it dark>"
    )


def test_a_restart_forgets_all_and_run_all_brings_it_back(notebook: Notebook) -> None:
    notebook.kernel.run(f"%glm export story {notebook.folder / 'story.json'}")
    notebook.restart()
    assert notebook.kernel.run("%glm history").error_line == (
        "glm: no chat yet in this session; a `%%glm` cell starts one"
    )
    assert notebook.kernel.run("%glm chats").stdout.startswith("no chats yet")
    notebook.run_all()
    assert (notebook.chat("story"), notebook.chat("darker")) == (STORY, DARKER)
    assert notebook.chat() == LAST


def test_a_chat_survives_a_restart_as_a_file(notebook: Notebook) -> None:
    path = notebook.folder / "story.json"
    notebook.kernel.run(f"%glm export story {path}")
    notebook.restart()
    cell = notebook.kernel.run(f"%glm import {path}", cell_id="import")
    assert cell.stdout == f"chat 'story' is read from {path}: 3 turns\n"
    assert notebook.chat("story") == STORY
    notebook.kernel.run("%%glm -c\nStill there?", cell_id="still")
    assert notebook.contents()[0] == "You are {{ brief }}, $x and 50 %."
    assert len(notebook.contents()) == 8
    notebook.kernel.run(f"%glm import {path}", cell_id="import")
    assert notebook.chat("story").endswith("| [Still there? <%glm usage>]")


def test_usage_is_what_was_asked(notebook: Notebook) -> None:
    (row,) = notebook.run("usage").output["data"]["text/plain"].splitlines()[2:3]
    assert row.split()[:3] == ["glm-4.7", notebook.server.url.split("/")[2], "10"]


def test_a_dry_run_is_the_request_and_nothing_is_sent(notebook: Notebook) -> None:
    count = len(notebook.server.requests)
    text = notebook.run("dry").output["data"]["text/plain"]
    assert len(notebook.server.requests) == count
    start, _, rest = text.partition("\n")
    body = json.loads(rest[: rest.rindex("}") + 1])
    assert start == f"POST {notebook.server.url}/chat/completions"
    assert [m["content"] for m in body["messages"]][1:5] == ["Begin", "<Begin>", "Go on", "<Go on>"]
    assert body["messages"][-1] == {"role": "user", "content": "Not sent"}
    assert "Authorization: the key from ZAI_API_KEY; nothing was sent" in rest
    assert notebook.chat("story") == STORY
