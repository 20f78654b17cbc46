"""Tab completion: the words of the magics, and peace in prompts and Python cells."""

from pathlib import Path
from typing import cast

import pytest
from IPython.core.completer import CompletionContext, SimpleMatcherResult
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from glm_magic.jupyter.completion import GlmMatcher


@pytest.fixture
def shell(tmp_path: Path) -> InteractiveShell:
    """A shell that keeps no history and touches no file of the user."""
    config = Config({"HistoryManager": {"enabled": False}})
    return InteractiveShell(config=config, ipython_dir=str(tmp_path))


def context(text: str) -> CompletionContext:
    """The context IPython makes; `|` in the text is the cursor."""
    before, _, after = text.partition("|")
    line = before.count("\n")
    until = before.split("\n")[-1]
    return CompletionContext(
        token=until.split(" ")[-1],
        full_text=before + after,
        cursor_position=len(until),
        cursor_line=line,
        limit=None,
    )


def match(text: str) -> SimpleMatcherResult:
    # Only adding and taking away the matcher needs a shell.
    return GlmMatcher(cast("InteractiveShell", None))(context(text))


def complete(text: str) -> list[str]:
    return [found.text for found in match(text)["completions"]]


def test_options_are_completed() -> None:
    assert complete("%%glm --t|") == ["--temperature", "--top-p", "--thinking", "--task"]
    assert complete("%%glm -m glm-5 --web|") == ["--web-search"]


def test_the_first_word_may_be_a_subcommand() -> None:
    assert complete("%%glm e|") == ["embed"]
    words = "again check config continue help limits login models task"
    assert complete("%glm |") == words.split()
    assert "embed" not in complete("%%glm -m glm-5 |")


def test_embed_completes_its_own_options() -> None:
    assert complete("%%glm embed --d|") == ["--dimensions"]
    assert complete("%%glm embed --th|") == []


@pytest.mark.parametrize(
    "text", ["%%glm -m glm-4.7-|", "%%glm --model=glm-4.7-|", "%glm config model=glm-4.7-|"]
)
def test_models_are_completed_after_their_option(text: str) -> None:
    assert complete(text) == ["glm-4.7-flash", "glm-4.7-flashx"]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("%%glm --thinking |", ["on", "off"]),
        ("%%glm --thinking of|", ["off"]),
        ("%%glm --format |", ["md", "text", "code", "json"]),
        ("%glm again --o|", ["--out"]),
        ("%glm continue -|", ["-o", "--out", "-h", "--help"]),
        ("%glm config thinking=|", ["on", "off"]),
        ("%glm config web_search=|", ["True", "False"]),
        ("%glm config endpoint=cod|", ["coding", "coding-zai"]),
        ("%glm login z|", ["zai"]),
        ("%glm config temperature=|", []),
        ("%glm config system=|", []),
    ],
)
def test_values_are_completed_where_they_are_known(text: str, values: list[str]) -> None:
    assert complete(text) == values


def test_the_names_of_settings_are_completed_with_their_equals_sign() -> None:
    assert complete("%glm config te|") == ["temperature="]
    assert complete("%glm config model=x sy|") == ["system="]
    assert len(complete("%glm config |")) == 20


def test_only_the_started_word_is_replaced() -> None:
    assert match("%%glm --model=glm-4.6|")["matched_fragment"] == "glm-4.6"


def test_on_a_line_of_ours_nothing_else_is_offered() -> None:
    assert match("%%glm --t|")["suppress"] is True
    assert match("%%glm --nothing-like-this|")["suppress"] is True


@pytest.mark.parametrize("text", ["%%glm\npri|", "%%glm -m x\n\nimport o|", "%%glm embed\na|b"])
def test_a_prompt_is_prose_and_gets_no_python_names(text: str) -> None:
    result = match(text)
    assert result["completions"] == []
    assert result["suppress"] is True


@pytest.mark.parametrize(
    "text", ["pri|", "import o|\n", "x = 1\npri|", "%time x|", "%%glm|", "%glmx a|", "'%%glm' -|"]
)
def test_other_cells_are_left_to_python(text: str) -> None:
    result = match(text)
    assert result["completions"] == []
    assert not result.get("suppress")


def test_a_line_magic_in_a_python_cell_is_completed() -> None:
    assert complete("x = 1\n%glm conf|") == ["config"]


def test_a_matcher_is_added_and_taken_away(shell: InteractiveShell) -> None:
    matcher = GlmMatcher(shell)
    matcher.register()
    assert shell.Completer.custom_matchers == [matcher]
    matcher.unregister()
    matcher.unregister()
    assert shell.Completer.custom_matchers == []
