"""`%glm doctor` finds keys in notebooks and says where, not which; no key goes on a magic line."""

import json
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import html5lib
import pytest
from keyrings.alt.file import PlaintextKeyring

from glm_magic.api import http
from glm_magic.api.endpoints import parse_endpoint
from glm_magic.errors import SettingsError
from glm_magic.jupyter.lines.keys import examination_of, log_in, log_out, refuse_keys
from glm_magic.jupyter.magics import Glm
from glm_magic.render.doctor import render_doctor, render_doctor_plain
from glm_magic.secret import Secret
from glm_magic.session.doctor import Examination, Finding, examine_inputs, examine_notebook
from glm_magic.session.keystore import Keyring
from glm_magic.session.secrets import KeyRing
from glm_magic.session.session import LocalEngine, Session
from glm_magic.session.settings import GlmMagic

ID, SECRET = "3f2a9c1be07d4a58b6c2e91f04d7a83c", "Xk29fLq0ZbT7wPm4"
KEY = f"{ID}.{SECRET}"


def code(source: str | list[str], *outputs: object, count: int | None = None) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": count,
        "metadata": {},
        "outputs": list(outputs),
        "source": source,
    }


def notebook(*cells: object, **metadata: object) -> dict[str, Any]:
    return {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), "utf-8")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a test may write its notebook."""
    return tmp_path / "lesson.ipynb"


def found(file: Path, content: object, *known: str) -> tuple[Finding, ...]:
    return examine_notebook(write(file, content), map(Secret, known)).findings


# -- where keys are found ------------------------------------------------------------------


@pytest.mark.parametrize("source", [f"a = 1\nk = '{KEY}'\n", ["a = 1\n", f"k = '{KEY}'\n"]])
def test_a_key_in_a_cell_is_found_in_its_line(file: Path, source: str | list[str]) -> None:
    cells = (code("1 + 1"), code(source, count=7))
    assert found(file, notebook(*cells)) == (Finding(2, "code", 7, "input", "GLM key", 2),)


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ({"output_type": "stream", "name": "stdout", "text": ["one\n", f"two {KEY}\n"]}, 2),
        ({"output_type": "stream", "name": "stderr", "text": f"\n\n{KEY}"}, 3),
        ({"output_type": "execute_result", "data": {"text/plain": f"'{KEY}'"}}, 1),
        ({"output_type": "display_data", "data": {"text/html": ["<p>\n", f"<b>{KEY}</b>"]}}, 2),
        ({"output_type": "display_data", "data": {"application/json": {"a": [1, {"b": KEY}]}}}, 1),
        ({"output_type": "display_data", "data": {"application/json": {KEY: 1}}}, 1),
        ({"output_type": "display_data", "data": {}, "metadata": {"glm": {"k": KEY}}}, 1),
        ({"output_type": "error", "ename": "E", "evalue": KEY, "traceback": []}, 1),
        ({"output_type": "error", "ename": "E", "evalue": "", "traceback": ["a", KEY]}, 2),
    ],
)
def test_a_key_in_an_output_is_found(file: Path, output: object, line: int) -> None:
    expected = (Finding(1, "code", 3, "output", "GLM key", line),)
    assert found(file, notebook(code("1", output, count=3))) == expected


def test_a_key_in_a_coloured_traceback_is_found(file: Path) -> None:
    line = f"api_key \x1b[38;5;241m=\x1b[39m \x1b[33m'{ID}'\x1b[39m"
    output = {"output_type": "error", "traceback": ["Traceback", f"\x1b[32m1\x1b[39m {line}"]}
    assert found(file, notebook(code("", output))) == (
        Finding(1, "code", None, "output", "assigned key", 2),
    )


def test_a_key_in_metadata_is_found(file: Path) -> None:
    cell = {**code("", count=1), "metadata": {"papermill": {"parameters": {"api_key": ID}}}}
    markdown = {"cell_type": "markdown", "metadata": {"note": KEY}, "source": "# 1"}
    state = {"state": {"abc": {"model_name": "TextModel", "state": {"value": KEY}}}}
    widgets = {"application/vnd.jupyter.widget-state+json": state}
    assert found(file, notebook(cell, markdown, widgets=widgets)) == (
        Finding(1, "code", 1, "metadata", "assigned key", 1),
        Finding(2, "markdown", None, "metadata", "GLM key", 1),
        Finding(0, "notebook", None, "metadata", "GLM key", 1),
    )


def test_a_key_of_the_session_is_found_whatever_it_looks_like(file: Path) -> None:
    content = notebook(code("print('of-my-own')"), code("print('a-key')"))
    assert found(file, content, "a-key.of-my-own") == (
        Finding(1, "code", None, "input", "this session's key", 1),
    )


def test_a_notebook_that_asks_for_its_key_has_none(file: Path) -> None:
    picture = (
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5"
    )
    image = {"output_type": "display_data", "data": {"image/png": picture}}
    cells = (code("%load_ext glm_magic"), code("%glm login"), code("%%glm\nHello", image))
    assert examine_notebook(write(file, notebook(*cells)), ()) == Examination("lesson.ipynb", 3, ())


def test_a_finding_holds_nothing_of_the_key(file: Path) -> None:
    examination = examine_notebook(write(file, notebook(code(KEY), code(ID))), [Secret(KEY)])
    shown = repr(examination) + render_doctor(examination) + render_doctor_plain(examination)
    assert len(examination.findings) == 2
    assert not [n for n in range(0, len(KEY) - 5) if KEY[n : n + 6] in shown]


def test_inputs_of_the_session_are_examined_by_their_numbers() -> None:
    assert examine_inputs(["", "1", f"a\nprint('{KEY}')"], ()) == (
        Finding(2, "session", 2, "history", "GLM key", 2),
    )


# -- what is no notebook -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "'lesson.ipynb' is no notebook: it is not JSON"),
        (b"{", "'lesson.ipynb' is no notebook: it is not JSON"),
        (b"\xff\xfe\x00", "'lesson.ipynb' is no notebook: it is not JSON"),
        (b"[" * 100_000, "'lesson.ipynb' is no notebook: it is nested too deeply"),
        (b"[]", "'lesson.ipynb' is no notebook: it does not say its format"),
        (b'{"cells": []}', "'lesson.ipynb' is no notebook: it does not say its format"),
        (b'{"nbformat": 4}', "'lesson.ipynb' is no notebook: it has no cells"),
        (
            b'{"nbformat": 3, "worksheets": []}',
            "'lesson.ipynb' is a notebook of the old format 3; open it in Jupyter and save it, "
            "then examine it",
        ),
    ],
)
def test_what_is_no_notebook_is_refused_in_one_line(file: Path, content: bytes, line: str) -> None:
    file.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        examine_notebook(file, ())
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("none.ipynb", "cannot read 'none.ipynb': No such file or directory"),
        (".", "cannot read "),
        ("a\x00b.ipynb", "'a\\x00b.ipynb' is not the name of a file"),
        ("a\x1b[2J\n.ipynb", "cannot read 'a\\x1b[2J\\n.ipynb': No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, line: str) -> None:
    with pytest.raises(SettingsError) as caught:
        examine_notebook(tmp_path / name, ())
    assert str(caught.value).startswith(line)


def test_a_file_that_is_too_large_is_refused(file: Path) -> None:
    write(file, notebook(code("x" * 2**20)))
    with pytest.raises(SettingsError) as caught:
        examine_notebook(file, (), limit_bytes=2**20)
    assert str(caught.value) == "'lesson.ipynb' is larger than 1 MB, the most that is examined"


def test_an_error_holds_nothing_of_the_file(file: Path) -> None:
    file.write_text(f'{{"cells": "{KEY}",')
    with pytest.raises(SettingsError) as caught:
        examine_notebook(file, ())
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "cells",
    [
        [None, 1, "text", [], {}],
        [{"source": None, "outputs": 1, "metadata": [[[]]]}],
        [{"cell_type": {"a": 1}, "execution_count": "x", "source": [1, ["a"]], "outputs": {}}],
    ],
)
def test_a_broken_notebook_is_examined_as_far_as_it_goes(file: Path, cells: list[object]) -> None:
    content = notebook(*cells, code(KEY))
    assert [finding.kind for finding in found(file, content)] == ["GLM key"]


def test_a_deep_output_is_examined_to_its_end(file: Path) -> None:
    deep: object = KEY
    for _ in range(300):
        deep = {"a": [deep]}
    output = {"output_type": "display_data", "data": {"application/json": deep}}
    assert len(found(file, notebook(code("", output)))) == 1


# -- how it is shown -----------------------------------------------------------------------

FINDINGS = (
    Finding(2, "code", 7, "input", "GLM key", 12),
    Finding(3, "markdown", None, "metadata", "JWT", 1),
    Finding(0, "notebook", None, "metadata", "assigned key", 1),
    Finding(4, "session", 4, "history", "GLM key", 1),
)


def test_nothing_found_is_one_line() -> None:
    assert render_doctor_plain(Examination("a.ipynb", 12, ())) == (
        "no key-like text in 12 cells of a.ipynb"
    )
    assert render_doctor_plain(Examination("a.ipynb", 1, (), inputs=1)) == (
        "no key-like text in 1 cell of a.ipynb or 1 input of this session"
    )
    assert "<p>no key-like text in 12 cells of a.ipynb</p>" in render_doctor(
        Examination("a.ipynb", 12, ())
    )


def test_what_is_found_is_a_row_with_its_place() -> None:
    assert render_doctor_plain(Examination("a.ipynb", 12, FINDINGS, inputs=4)).splitlines() == [
        "key-like text in 4 places, of 12 cells of a.ipynb and 4 inputs of this session",
        "Cell          Where                  Line  Looks like",
        "2 code [7]    input                  12    GLM key",
        "3 markdown    metadata               1     JWT",
        "the notebook  metadata               1     assigned key",
        "In[4]         input of this session  1     GLM key",
        "Revoke the key on the platform's API keys page and make a new one: who has the file has "
        "it.",
        "Then delete the line, or clear the output, and save the notebook.",
        "IPython's history keeps inputs too, and saved copies and commits keep the file as it was.",
    ]


def test_the_table_has_a_row_for_each_finding() -> None:
    page = html5lib.parse(
        render_doctor(Examination("a.ipynb", 12, FINDINGS)), namespaceHTMLElements=False
    )
    rows = [["".join(cell.itertext()) for cell in row] for row in page.iter("tr")]
    assert rows == [
        ["Cell", "Where", "Line", "Looks like"],
        ["2 code [7]", "input", "12", "GLM key"],
        ["3 markdown", "metadata", "1", "JWT"],
        ["the notebook", "metadata", "1", "assigned key"],
        ["In[4]", "input of this session", "1", "GLM key"],
    ]


def test_names_of_files_and_cells_are_text() -> None:
    hostile = "<img src=x>\x1b[2J\u202e$\\href{x}{y}$\n"
    finding = Finding(1, hostile, None, "input", "GLM key", 1)
    examination = Examination(f"{hostile}.ipynb", 1, (finding,))
    html, plain = render_doctor(examination), render_doctor_plain(examination)
    assert "<img" not in html and "&lt;img" in html
    assert not [text for text in (html, plain) if "\x1b" in text or "\u202e" in text]
    assert len(plain.splitlines()) == 6


# -- the line magics -----------------------------------------------------------------------


class Shell:
    """As much of the magics as those of this page use: a session, a shell, what was shown."""

    def __init__(self, keys: KeyRing, **variables: object) -> None:
        local = LocalEngine(
            lambda: False, lambda: http.MockTransport(lambda _: http.Response(200)), "", ""
        )
        self.session = Session(GlmMagic(), keys, local)
        self.shell = SimpleNamespace(user_ns=variables)

    def open(self) -> tuple[Session, None]:
        return self.session, None


@pytest.fixture
def keys(tmp_path: Path) -> KeyRing:
    """Keys with a keyring of this test's own."""
    backend = PlaintextKeyring()
    backend.file_path = str(tmp_path / "keyring.cfg")
    return KeyRing({}, Keyring(backend))


def glm(keys: KeyRing, **variables: object) -> Glm:
    return cast(Glm, Shell(keys, **variables))


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server has told these tests which notebook is open."""
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)


def test_doctor_examines_the_file_that_is_named(file: Path, keys: KeyRing) -> None:
    write(file, notebook(code("1")))
    found = examination_of(glm(keys, In=["", KEY]), str(file))
    assert found == Examination("lesson.ipynb", 1, ())


@pytest.mark.parametrize(
    "name", ["{folder}/lesson.ipynb", "lesson.ipynb", "course/lesson.ipynb", "RTC:a/lesson.ipynb"]
)
@pytest.mark.parametrize("variable", ["JPY_SESSION_NAME", "__vsc_ipynb_file__", "__session__"])
def test_doctor_examines_the_open_notebook_and_the_inputs(
    tmp_path: Path, keys: KeyRing, monkeypatch: pytest.MonkeyPatch, name: str, variable: str
) -> None:
    folder = tmp_path / "course"
    folder.mkdir()
    write(folder / "lesson.ipynb", notebook(code("1")))
    monkeypatch.chdir(folder)
    value = name.format(folder=folder)
    if variable.isupper():
        monkeypatch.setenv(variable, value)
    found = examination_of(glm(keys, In=["", "1", "2"], **{variable: value}), None)
    assert found == Examination("lesson.ipynb", 1, (), inputs=2)


def test_doctor_finds_the_key_that_was_typed_here(file: Path, keys: KeyRing) -> None:
    write(file, notebook(code("1")))
    keys.remember(parse_endpoint("zai"), "my-own-key")
    here = glm(keys, __session__=str(file), In=["", "x = 'my-own-key'"])
    assert examination_of(here, None).findings == (
        Finding(1, "session", 1, "history", "this session's key", 1),
    )


@pytest.mark.parametrize("name", ["", "console-1", "moved.ipynb", "/nowhere/moved.ipynb"])
def test_doctor_asks_for_the_file_when_it_knows_none(
    keys: KeyRing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JPY_SESSION_NAME", name)
    with pytest.raises(SettingsError) as caught:
        examination_of(glm(keys, __session__=7), None)
    assert str(caught.value) == (
        "which notebook? this kernel does not know; name it: %glm doctor FILE"
    )


def test_login_keeps_and_saves_and_logout_forgets(
    keys: KeyRing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("getpass.getpass", lambda prompt: KEY)
    here = glm(keys)
    log_in(here, ["zai"], save=False)
    log_in(here, [], save=True)
    log_out(here, None)
    log_out(here, "zai")
    log_out(here, "zai")
    assert capsys.readouterr().out.splitlines() == [
        "key kept for api.z.ai, in this session's memory only",
        "key kept for open.bigmodel.cn, in this session's memory and saved in: "
        "file PlaintextKeyring",
        "key for open.bigmodel.cn forgotten: the one typed and the one saved",
        "key for api.z.ai forgotten: the one typed",
        "no key kept for api.z.ai",
    ]


def test_logout_says_when_the_environment_still_has_a_key(
    capsys: pytest.CaptureFixture[str], keys: KeyRing
) -> None:
    environ = {"ZAI_API_KEY": KEY}
    log_out(glm(KeyRing(environ, keys._store)), "zai")
    assert capsys.readouterr().out.splitlines() == [
        "no key kept for api.z.ai",
        "ZAI_API_KEY in the environment is still a key for it",
    ]


@pytest.mark.parametrize("words", [["abc123.def456"], ["bigmodel", "abc123"], ["KEY=abc123"]])
def test_a_key_on_the_login_line_is_refused(keys: KeyRing, words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        log_in(glm(keys), words, save=False)
    assert str(caught.value) == NOT_HERE


# -- no key on a magic line ----------------------------------------------------------------

NOT_HERE = (
    "a key does not go on a magic line: notebooks and IPython's history keep it; run "
    "`%glm login` and type it when asked"
)
REVOKE = f"{NOT_HERE}; this one is in the history now: revoke it on the platform's keys page"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"login {KEY}", REVOKE),
        (f"-m glm-4.7 --api-key {KEY}", REVOKE),
        (f"config api_key={KEY}", REVOKE),
        (f"config model={KEY}", REVOKE),
        (f'-s "my key is {KEY}"', REVOKE),
        (f'-s "not closed {KEY}', REVOKE),
        ("login c4nary0123456789abcdef.Tw33tTw33tTw33t", REVOKE),
        ("login sk-" + "aB3dE6gH9jK2mN5pQ8sT1vW4", REVOKE),
        ("--api-key hunter2", NOT_HERE),
        ("--api-key=hunter2 -m glm-4.7", NOT_HERE),
        ("--key 'two words'", NOT_HERE),
        ("--API_KEY hunter2", NOT_HERE),
        ("--token hunter2", NOT_HERE),
        ("--secret hunter2", NOT_HERE),
        ("--password hunter2", NOT_HERE),
        ("-m glm-4.7 --apikey hunter2", NOT_HERE),
        ("config key=hunter2", NOT_HERE),
        ("config model=glm-4.7 api-key=hunter2", NOT_HERE),
        ("KEY=abc123", NOT_HERE),
        ("config token='not closed", NOT_HERE),
    ],
)
def test_a_key_does_not_go_on_a_magic_line(line: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        refuse_keys(line)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    "line",
    [
        "",
        "login zai --save",
        "login https://llm.example.org/v1",
        "-m glm-4.7 -t 0.2 --max-tokens 100 -o answer",
        'config stop=\'["END", "###"]\' max_tokens=4096',
        '-s "explain API keys and tokens"',
        '-s "password=hunter2 is a bad one"',
        "-s key=value",
        "-s token",
        '-s "a quote is not closed',
        "--search-query 'api_key: how to get one'",
        "--key",
        "--token --no-stream",
        "config key=",
        "models -q key",
        "help token",
        "-m /home/user/models/Qwen2.5-0.5B-Instruct-Q4_K_M.gguf",
        "task 8fe23c1e-07d4-4a58-b6c2-e91f04d7a83c",
        "doctor notebooks/keys.ipynb",
    ],
)
def test_a_line_without_a_key_goes_through(line: str) -> None:
    refuse_keys(line)
