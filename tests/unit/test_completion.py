"""Tab completion: what the magics take, the notebook's variables, and peace everywhere else."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.completer import CompletionContext, SimpleMatcherResult, provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from glm_magic.api import http
from glm_magic.errors import SettingsError
from glm_magic.jupyter.commands import COMMANDS
from glm_magic.jupyter.completion.matcher import GlmMatcher
from glm_magic.session.prompts import open_expression, protect
from glm_magic.session.secrets import KeyRing
from glm_magic.session.session import LocalEngine, Session
from glm_magic.session.settings import GlmMagic
from glm_magic.session.templates import PromptTemplate


class Trap:
    """A value that does not bear to be looked at."""

    quiet = 1

    @property
    def loud(self) -> int:
        raise AssertionError("a property was evaluated")

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked for")


class Hostile:
    __class__ = property(lambda self: 1 / 0)

    def __dir__(self) -> list[str]:
        raise RuntimeError("no")


class CountingDict(dict[str, int]):
    seen = 0

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the user's own code was run")


IN: list[str] = []
VARIABLES: dict[str, object] = {
    "price": 3,
    "prices": [1, 2],
    "_private": 1,
    "math": math,
    "table": {"key one": 1, "key": 2, 3: 4, 'a"quote': 5},
    "frame": pd.DataFrame({"unit price": [1], "units": [2]}),
    "trap": Trap(),
    "hostile": Hostile(),
    "own": CountingDict(alpha=1),
    "In": IN,
}


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[InteractiveShell]:
    """A shell that keeps no history and touches no file of the user."""
    config = Config({"HistoryManager": {"enabled": False}})
    yield InteractiveShell(config=config, ipython_dir=str(tmp_path))


def some_session() -> Session:
    """A session with chats and a template."""
    local = LocalEngine(
        lambda: False, lambda: http.MockTransport(lambda _: http.Response(200)), "", ""
    )
    session = Session(GlmMagic(), KeyRing({}), local)
    for name in ("story", "stock.2", "poem"):
        session.chats.add(name, (), None)
    session.templates.keep(PromptTemplate("shorten", "{{ body }}"))
    return session


def context(text: str) -> CompletionContext:
    """The context IPython makes; the last `|` in the text is the cursor."""
    before, _, after = text.rpartition("|")
    until = before.split("\n")[-1]
    return CompletionContext(
        token=until.split(" ")[-1],
        full_text=before + after,
        cursor_position=len(until),
        cursor_line=before.count("\n"),
        limit=None,
    )


def match(text: str, session: Session | None = None, **variables: object) -> SimpleMatcherResult:
    shell: Any = SimpleNamespace(user_ns=VARIABLES | variables, user_ns_hidden={"In": IN})
    return GlmMatcher(shell, lambda: session)(context(text))


def complete(text: str, session: Session | None = None, **variables: object) -> list[str]:
    return [found.text for found in match(text, session, **variables)["completions"]]


def is_silent(text: str, session: Session | None = None) -> bool:
    """Whether there is nothing, and nobody else is asked either."""
    result = match(text, session)
    return list(result["completions"]) == [] and result["suppress"] is True


# -- words and options ---------------------------------------------------------------------


def test_options_are_completed() -> None:
    assert complete("%%glm --th|") == ["--thinking"]
    assert complete("%%glm -m glm-5 --web|") == ["--web-search"]
    assert complete("  %%glm --max-to|") == ["--max-tokens", "--max-tool-rounds"]
    assert complete("\n\n%%glm --max-tok|") == ["--max-tokens"]


def test_functions_and_schemas_are_completed() -> None:
    @dataclass
    class Person:
        name: str

    book = {"type": "object", "properties": {}}
    more: dict[str, object] = {"Person": Person, "book": book, "double": lambda x: 2 * x}
    assert complete("%%glm --tool |", **more) == ["double"]
    assert complete("%%glm --tool double --tool d|", **more) == ["double"]
    assert complete("%%glm --schema |", **more) == ["book", "Person"]
    assert complete("%%glm --schema P|", **more) == ["Person"]


def test_the_first_word_may_be_a_subcommand() -> None:
    assert complete("%%glm e|") == ["embed"]
    assert complete("%glm |") == [*COMMANDS, "embed"]
    assert complete("%glm e|") == ["export", "error", "embed"]
    assert "embed" not in complete("%%glm -m glm-5 |")


def test_a_line_without_a_cell_has_the_options_of_a_chat_too() -> None:
    assert complete("%glm --us|") == ["--use"]
    assert complete("%glm -m glm-5 --us|") == ["--use"]


def test_embed_completes_its_own_options() -> None:
    assert complete("%%glm embed --di|") == ["--dimensions"]
    assert complete("%%glm embed --th|") == []
    assert complete("%glm embed --no|") == ["--no-store"]


def test_texts_are_of_a_variable_or_a_column() -> None:
    assert complete("%glm embed --in |") == ["frame", "prices", "table"]
    assert complete("%glm embed --in frame.u|") == ["frame.units"]
    assert complete("%glm embed --in trap.|") == []
    assert complete("%glm similar cat --in f|") == ["frame"]


@pytest.mark.parametrize("word", COMMANDS)
def test_every_word_completes_its_options(word: str) -> None:
    assert complete(f"%glm {word} --he|") == ["--help"]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("%glm again --o|", ["--out"]),
        ("%glm continue -|", ["-o", "--out", "-h", "--help"]),
        ("%glm continue -o x -|", ["-h", "--help"]),
        ("%glm login zai --s|", ["--save"]),
        ("%glm error --|", ["--yes", "--dry-run", "--out", "--help"]),
    ],
)
def test_the_options_of_a_word_are_its_own(text: str, options: list[str]) -> None:
    assert complete(text) == options


def test_no_option_is_offered_twice_but_one_that_gathers_values() -> None:
    assert complete("%%glm -t 0.2 --te|") == []
    assert complete("%%glm --temperature=0.2 --te|") == []
    assert complete("%%glm --no-footer --foo|") == []
    assert complete("%%glm --stop END --sto|") == ["--stop"]


def test_the_rest_of_the_line_does_not_matter() -> None:
    assert complete("%%glm --th| -m glm-5\nprompt") == ["--thinking"]


def test_an_assigned_line_is_completed() -> None:
    assert complete("r = %glm conf|") == ["config"]
    assert complete("x = 1\na, b = %glm help em|") == ["embed"]
    assert complete("x = 1\n%glm conf|") == ["config"]


# -- values --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "%%glm -m glm-4.7-|",
        "%%glm --model=glm-4.7-|",
        "%glm config model=glm-4.7-|",
        '%%glm -m "glm-4.7-|',
        "%%glm --model='glm-4.7-|",
        "%%glm -s 'be brief' -m glm-4.7-|",
    ],
)
def test_models_are_completed_after_their_option(text: str) -> None:
    assert complete(text) == ["glm-4.7-flash", "glm-4.7-flashx"]
    assert match(text)["matched_fragment"] == "glm-4.7-"


def test_a_model_is_found_by_any_part_of_its_name() -> None:
    assert complete("%%glm -m turbo|") == ["glm-5-turbo", "glm-5v-turbo"]
    assert complete("%%glm -m GLM-5-T|") == ["glm-5-turbo"]
    assert match("%%glm -m turbo|")["matched_fragment"] == "turbo"


def test_chats_and_embeddings_have_models_of_their_own() -> None:
    assert complete("%%glm embed -m |") == ["embedding-3", "embedding-2"]
    assert complete("%glm config embedding_model=|") == ["embedding-3", "embedding-2"]
    assert complete("%%glm -m embed|") == []


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("%%glm --thinking |", ["on", "off"]),
        ("%%glm --thinking of|", ["off"]),
        ("%%glm --thinking=of|", ["off"]),
        ('%%glm --thinking "of|', ["off"]),
        ("%%glm --format |", ["md", "text", "code", "json"]),
        ("%%glm --endpoint cod|", ["coding", "coding-zai"]),
        ("%glm config thinking=|", ["on", "off", "None"]),
        ("%glm config web_search=|", ["on", "off"]),
        ("%glm config endpoint=cod|", ["coding", "coding-zai"]),
        ("%glm config model=x reasoning=|", ["fold", "show", "hide"]),
        ("%glm config search_engine=search_pro_s|", ["search_pro_sogou"]),
        ("%glm login z|", ["zai"]),
        ("%glm logout bi|", ["bigmodel"]),
        ("%glm help emb|", ["embed"]),
        ("%glm config temperature=|", []),
        ("%glm config system=|", []),
        ("%glm config nonsense=|", []),
        ("%%glm -t |", []),
        ("%%glm --footer=|", []),
        ("%%glm --nonsense=|", []),
        ("%glm models -q |", []),
    ],
)
def test_values_are_completed_where_they_are_known(text: str, values: list[str]) -> None:
    assert complete(text) == values


def test_the_names_of_settings_are_completed_with_their_equals_sign() -> None:
    assert complete("%glm config te|") == ["temperature="]
    assert complete("%glm config model=x sy|") == ["system="]
    assert complete("%glm config model=x mod|") == []
    names = [f"{name}=" for name in GlmMagic.setting_names()]
    assert complete("%glm config |") == ["panel", "reset", *names, "-h", "--help"]


def test_a_setting_to_take_back_is_named() -> None:
    assert complete("%glm config reset tem|") == ["temperature"]
    assert complete("%glm config pan|") == ["panel"]


def test_chats_are_completed_where_one_is_named() -> None:
    session = some_session()
    for line in ("%%glm --chat ", "%%glm --chat=", "%glm config chat=", "%glm reset "):
        assert complete(f"{line}sto|", session) == ["story", "stock.2"]
    for word in ("history", "reset", "fork", "export"):
        assert complete(f"%glm {word} po|", session) == ["poem"]
        assert complete(f"%glm {word} story po|", session) == []


def test_templates_are_completed_where_one_is_named() -> None:
    for option in ("--use", "--save"):
        assert complete(f"%%glm {option} sh|", some_session()) == ["shorten"]


def test_without_a_session_there_are_no_chats_and_none_is_opened() -> None:
    assert is_silent("%%glm --chat |")
    assert is_silent("%%glm --use |")


def test_variables_are_completed_where_one_is_assigned() -> None:
    for option in ("-o ", "--out ", "--out=", "--def "):
        assert complete(f"%%glm {option}p|") == ["price", "prices"]
    assert complete("%%glm embed -o fr|") == ["frame"]
    assert complete("%glm again -o fr|") == ["frame"]


def test_no_name_is_offered_that_would_hide_something() -> None:
    names = complete("%%glm -o |", sum=1)
    assert names == ["frame", "hostile", "own", "price", "prices", "table", "trap"]


def test_files_are_completed_by_their_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old").mkdir()
    for name in ("a.md", "b.JSON", "c.ipynb", "d.py", "e f.json", ".hidden.json", "old/g.json"):
        Path(name).touch()
    assert complete("%glm export |")[:4] == ["a.md", "b.JSON", '"e f.json"', "old/"]
    assert complete("%glm import |")[:3] == ["b.JSON", '"e f.json"', "old/"]
    assert complete('%glm import "e|') == ["e f.json"]
    assert complete("%glm import e|") == ['"e f.json"']
    assert complete("%glm import old/|") == ["old/g.json"]
    assert complete("%glm import .h|") == [".hidden.json"]
    assert complete("%glm doctor |")[:2] == ["c.ipynb", "old/"]
    assert complete("%glm export nowhere/|") == []


def test_of_a_full_folder_a_bounded_number_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(2100):
        Path(f"{number}.md").touch()
    assert len(complete("%glm export |")) == 200
    assert len(complete("%glm export 1|")) <= 200


# -- in {{ }} ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("%%glm\nIt costs {{ pric|", ["price", "prices"]),
        ("%%glm\nIt costs {{pric|}} now", ["price", "prices"]),
        ("%%glm\n\n{{ price }} and {{ 2 * pric|", ["price", "prices"]),
        ("%%glm\n{{ price if pric|", ["price", "prices"]),
        ("%%glm\n{{ round(price, pric|", ["price", "prices"]),
        ("%%glm\n{{ pri|", ["price", "prices", "print"]),
        ("%%glm\n{{ price | uppe|", ["upper"]),
        ("%%glm\n{{ math.sq|", ["sqrt"]),
        ("%%glm\n{{ math.|", [name for name in dir(math) if not name.startswith("_")]),
        ("%%glm\n{{ trap.|", ["loud", "quiet"]),
        ("%%glm\n{{ frame.unit|", ["units"]),
        ("%%glm\n{{ table.ke|", ["key", "keys"]),
        ('%%glm\n{{ table["ke|', ['key one"]', 'key"]']),
        ("%%glm\n{{ table['|']", ["key one", "key", 'a"quote']),
        ("%%glm\n{{ frame['uni|", ["unit price']", "units']"]),
        ("%%glm\n{{ own['|", ["alpha']"]),
        ('%%glm -s "You cost {{ pric|', ["price", "prices"]),
        ("%%glm -s {{ pric|", ["price", "prices"]),
        ("%%glm -t {{ price }} -s '{{ math.sq|", ["sqrt"]),
        ("%glm --use shorten -s {{ pric|", ["price", "prices"]),
    ],
)
def test_variables_are_completed_in_double_braces(text: str, names: list[str]) -> None:
    assert complete(text) == names


def test_private_names_are_offered_only_when_asked_for() -> None:
    names = complete("%%glm\n{{ |")
    assert names == ["frame", "hostile", "math", "own", "price", "prices", "table", "trap"]
    assert "__name__" in complete("%%glm\n{{ math.__na|")


@pytest.mark.parametrize(
    "text",
    [
        "%%glm\npri|",
        "%%glm -m x\n\nimport o|",
        "%%glm embed\na|b",
        "%%glm\n{{ price }} pri|",
        "%%glm\n{{ price |",
        "%%glm\n{{ price }|",
        "%%glm\n{{ 'pri|",
        "%%glm\n{{ 1pri|",
        "%%glm\n{{ trap.loud.|",
        "%%glm\n{{ a.table['|",
        "%%glm\n{{ f().|",
        "%%glm\n{{ f()['|",
        "%%glm\n{{ unknown.|",
        "%%glm\n{{ unknown['|",
        "%%glm\n{{ hostile.|",
        "%%glm\n{{ hostile['|",
        "%%glm --raw\n{{ pri|",
        "%%glm embed\n{{ pri|",
        "%%glm\n{{ " + "word " * 400 + "pri|",
        "%%glm --raw -s {{ pri|",
        "%%glm --nothing-like-this|",
        "%glm nonsense |",
        "%%glm nonsense |",
        "%%glm -s 'it is |",
    ],
)
def test_where_nothing_is_known_nothing_is_offered(text: str) -> None:
    assert is_silent(text)


def test_of_a_great_dict_a_bounded_number_of_keys_is_looked_at() -> None:
    great = {f"key{number:07}": number for number in range(200_000)}
    assert len(complete("%%glm\n{{ great['|", great=great)) == 200
    assert complete("%%glm\n{{ great['key0199999|", great=great) == []


def test_at_most_as_many_names_are_given_as_a_front_end_gets() -> None:
    many: dict[str, Any] = {f"name{number}": number for number in range(2000)}
    assert len(complete("%%glm\n{{ na|", **many)) == 200


# -- beside others -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "pri|",
        "import o|\n",
        "x = 1\npri|",
        "%time x|",
        "%%glm|",
        "%%gl|m",
        "%glmx a|",
        "'%%glm' -|",
        "x == 5 %glm a|",
        "x = '= %glm a|",
        "%%glmx\n{{ pri|",
    ],
)
def test_other_cells_are_left_to_python(text: str) -> None:
    result = match(text)
    assert result["completions"] == []
    assert not result.get("suppress")


def offered(shell: InteractiveShell, text: str) -> list[str]:
    """What IPython makes of all its matchers."""
    before, _, after = text.rpartition("|")
    with provisionalcompleter():
        return [found.text for found in shell.Completer.completions(before + after, len(before))]


class Rival:
    """Another matcher of the same shell."""

    matcher_api_version, matcher_identifier, matcher_priority = 2, "rival", 100.0
    __slots__ = ("__qualname__", "asked")

    def __init__(self) -> None:
        self.__qualname__, self.asked = "Rival", 0

    def __call__(self, context: CompletionContext) -> SimpleMatcherResult:
        self.asked += 1
        return {"completions": []}


@pytest.mark.parametrize("text", ["%%glm --t|", "%%glm\npri|", "%%glm\n{{ x|", "%glm conf|"])
def test_on_our_lines_no_other_matcher_is_even_asked(shell: InteractiveShell, text: str) -> None:
    matcher, rival = GlmMatcher(shell, lambda: None), Rival()
    shell.Completer.custom_matchers.append(rival)
    matcher.register()
    assert "print" not in offered(shell, text)
    assert rival.asked == 0
    offered(shell, "pri|")
    assert rival.asked == 1


def test_ipython_gives_what_we_find_in_our_order(shell: InteractiveShell) -> None:
    shell.user_ns["price"] = 3
    GlmMatcher(shell, lambda: None).register()
    assert offered(shell, "%%glm --thinking |") == ["on", "off"]
    assert offered(shell, "%%glm\ncosts {{ pric|") == ["price"]
    assert offered(shell, "%%glm\nprose pri|") == []


def test_a_matcher_is_added_and_taken_away(shell: InteractiveShell) -> None:
    matcher = GlmMatcher(shell, lambda: None)
    matcher.register()
    assert shell.Completer.custom_matchers == [matcher]
    matcher.unregister()
    matcher.unregister()
    assert shell.Completer.custom_matchers == []


# -- whatever is typed ---------------------------------------------------------------------

PIECES = (*"{}'\"[].|=- \n\\", "{{", "}}", "price", "table", "hostile", "--raw", "-s", "-m", "glm")
SCRIBBLE = st.lists(st.sampled_from(PIECES) | st.characters(), max_size=30).map("".join)


@given(st.sampled_from(("%%glm ", "%glm ", "x = %glm ", "%%glm\n", "%glm config ")), SCRIBBLE)
def test_whatever_is_typed_what_is_replaced_is_what_stands_there(start: str, text: str) -> None:
    result = match(f"{start}{text}|")
    assert (start + text).endswith(result.get("matched_fragment", ""))


@given(SCRIBBLE)
def test_an_expression_is_open_where_the_prompt_would_be_refused(text: str) -> None:
    try:
        protect(text)
    except SettingsError:
        assert open_expression(text) is not None
    else:
        assert open_expression(text) is None


def test_completing_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from types import SimpleNamespace\n"
        "from IPython.core.completer import CompletionContext\n"
        "before = set(sys.modules)\n"
        "from glm_magic.jupyter.completion.matcher import GlmMatcher\n"
        "shell = SimpleNamespace(user_ns={'x': {}}, user_ns_hidden={})\n"
        "for text in ('%%glm -m ', '%glm ', '%glm history ', '%%glm\\n{{ x.', '%%glm\\n{{ x[\"'):\n"
        "    *above, line = text.split('\\n')\n"
        "    place = CompletionContext('', text, len(line), len(above), None)\n"
        "    GlmMatcher(shell, lambda: None)(place)\n"
        "print(*set(sys.modules) - before)\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {name.split(".")[0] for name in done.stdout.split()}
    assert imported & {"httpx", "pandas", "numpy", "markdown_it", "matplotlib", "jedi"} == set()
