"""The words of a magic line: read as meant, or refused in one line with the way out."""

import pytest

from glm_magic.errors import SettingsError
from glm_magic.jupyter.commands import COMMANDS, general_help, help_of, parser_of
from glm_magic.jupyter.options import (
    chat_parser,
    embed_parser,
    parse_chat_options,
    parse_embed_options,
)
from glm_magic.jupyter.parser import parse_words, split_words
from glm_magic.session.options import ChatOptions, EmbedOptions


def parse(line: str) -> ChatOptions | None:
    return parse_chat_options(split_words(line))


def refusal(line: str) -> str:
    with pytest.raises(SettingsError) as caught:
        parse(line)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_bare_line_leaves_all_to_the_settings() -> None:
    assert parse("") == ChatOptions()
    assert parse_embed_options([]) == EmbedOptions()


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("-m glm-4.7", ChatOptions({"model": "glm-4.7"})),
        ("--model=glm-4.7", ChatOptions({"model": "glm-4.7"})),
        ("-s 'You are a pirate.'", ChatOptions({"system": "You are a pirate."})),
        ("--system \"say 'hi'\"", ChatOptions({"system": "say 'hi'"})),
        ('-s ""', ChatOptions({"system": ""})),
        ("-t 0", ChatOptions({"temperature": 0.0})),
        ("-t0.5", ChatOptions({"temperature": 0.5})),
        ("--temperature 2", ChatOptions({"temperature": 2.0})),
        ("--top-p 0.01", ChatOptions({"top_p": 0.01})),
        ("--max-tokens 1", ChatOptions({"max_tokens": 1})),
        ("--thinking off", ChatOptions({"thinking": "off"})),
        ("--web-search", ChatOptions({"web_search": True})),
        ("--no-web-search", ChatOptions({"web_search": False})),
        ('--search-query "GDP China"', ChatOptions(search_query="GDP China")),
        ("-o answer", ChatOptions(out="answer")),
        ("-o 答案", ChatOptions(out="答案")),
        ("--no-stream", ChatOptions(no_stream=True)),
        ("-t None", ChatOptions({"temperature": None})),
        ("--stop END --stop '###'", ChatOptions({"stop": ["END", "###"]})),
        ("--effort none", ChatOptions({"effort": "none"})),
        ("--endpoint zai", ChatOptions({"endpoint": "zai"})),
        ("--search-count 20", ChatOptions({"search_count": 20})),
        ("--search-recency oneWeek", ChatOptions({"search_recency": "oneWeek"})),
        ("--chat story", ChatOptions({"chat": "story"})),
        ("--chat ''", ChatOptions({"chat": ""})),
        ("--reasoning hide --no-footer", ChatOptions({"reasoning": "hide", "footer": False})),
        ("--idle-timeout-s 5", ChatOptions({"idle_timeout_s": 5.0})),
        ("-c", ChatOptions(goes_on=True)),
        ("--raw --dry-run", ChatOptions(raw=True, dry_run=True)),
        ("--save poem", ChatOptions(save="poem")),
        ("--use poem", ChatOptions(use="poem")),
        ("--def poem", ChatOptions(define="poem")),
        (" -m  glm-5\t-o a ", ChatOptions({"model": "glm-5"}, out="a")),
    ],
)
def test_each_option_is_read(line: str, options: ChatOptions) -> None:
    assert parse(line) == options


def test_embed_has_options_of_its_own() -> None:
    line = "-m embedding-2 --dimensions 256 --in df.title --labels a,b -o e --truncate --no-store"
    assert parse_embed_options(split_words(line)) == EmbedOptions(
        ("embedding-2",), (256,), "df.title", "a,b", "e", truncate=True, no_store=True
    )


def test_several_models_and_widths_are_each_there_once() -> None:
    line = "-m b -m a -m B --dimensions 512,256 --dimensions 512"
    assert parse_embed_options(split_words(line)) == EmbedOptions(("b", "a"), (512, 256))


@pytest.mark.parametrize("widths", ["256,", "x", "0", "256;512"])
def test_widths_are_whole_numbers(widths: str) -> None:
    with pytest.raises(SettingsError, match="--dimensions"):
        parse_embed_options(["--dimensions", widths])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("a 'b c' \"d e\"", ["a", "b c", "d e"]),
        ("system='be brief'", ["system=be brief"]),
        ("a# b", ["a#", "b"]),
        ("$HOME {x}", ["$HOME", "{x}"]),
        (r"C:\models\tiny.gguf", [r"C:\models\tiny.gguf"]),
        (r'"\alpha and \"', ["\\alpha and \\"]),
        ("'你好 世界'", ["你好 世界"]),
    ],
)
def test_quotes_group_words_and_nothing_else_is_special(line: str, words: list[str]) -> None:
    assert split_words(line) == words


@pytest.mark.parametrize("line", ["-s 'a", '-s "a', "-s You're", "'"])
def test_a_quote_that_is_not_closed_is_said_to_be(line: str) -> None:
    assert refusal(line) == "a quote is not closed on the %glm line"


@pytest.mark.parametrize("line", ["-h", "--help", "-m glm-4.7 --help"])
def test_a_line_that_asks_for_help_has_no_options(line: str) -> None:
    assert parse(line) is None
    assert parse_embed_options(split_words(line)) is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--temprature 1", "unknown option '--temprature'; did you mean '--temperature'?"),
        ("--web-serch", "unknown option '--web-serch'; did you mean '--web-search'?"),
        ("--temperatur=1", "unknown option '--temperatur'; did you mean '--temperature'?"),
        ("--temp 1", "unknown option '--temp'; did you mean '--temperature'?"),
        ("--zzzzzzzz", "unknown option '--zzzzzzzz'; see %%glm --help"),
        (
            "tell me a joke",
            "unexpected word 'tell': the line holds options, the prompt goes below it",
        ),
        ("-t 3", "-t/--temperature: 3 is not from 0 to 2 (see %%glm --help)"),
        ("-t -1", "-t/--temperature: -1 is not from 0 to 2 (see %%glm --help)"),
        ("-t nan", "-t/--temperature: nan is not from 0 to 2 (see %%glm --help)"),
        ("-t warm", "-t/--temperature: warm is no number (see %%glm --help)"),
        ("--top-p 1.1", "--top-p: 1.1 is not from 0 to 1 (see %%glm --help)"),
        ("--max-tokens 0", "--max-tokens: 0 is not 1 or more (see %%glm --help)"),
        ("--max-tokens 1.5", "--max-tokens: 1.5 is no whole number (see %%glm --help)"),
        ("--search-count 51", "--search-count: 51 is not from 1 to 50 (see %%glm --help)"),
        (
            "--chat 'a b'",
            "--chat: 'a b' is no name: letters, digits, dots, dashes and underscores, at most 60 "
            "(see %%glm --help)",
        ),
        ("-m", "-m/--model: expected one argument (see %%glm --help)"),
        ("-o", "-o/--out: expected one argument (see %%glm --help)"),
    ],
)
def test_a_mistake_is_one_line_with_the_way_out(line: str, message: str) -> None:
    assert refusal(line) == message


def test_a_choice_names_the_choices() -> None:
    line = refusal("--thinking maybe")
    assert line.startswith("--thinking: invalid choice: 'maybe'")
    assert "on" in line and "off" in line


@pytest.mark.parametrize("name", ["for", "None", "print", "list", "1a", "a.b", "a-b", "", "a b"])
def test_a_reply_is_not_assigned_to_what_would_hide_python(name: str) -> None:
    assert refusal(f"-o '{name}'") == (
        f"-o/--out: '{name}' cannot be the name of a variable (see %%glm --help)"
    )


@pytest.mark.parametrize("line", ["--web-search=yes", "--no-stream=1", "-model glm-4.7", "--", "-"])
def test_every_other_mistake_is_one_line_too(line: str) -> None:
    assert refusal(line)


def test_an_embed_line_knows_its_own_options_only() -> None:
    with pytest.raises(SettingsError, match=r"^unknown option '--web-search'; see %%glm"):
        parse_embed_options(["--web-search"])


def test_help_names_every_option() -> None:
    text = chat_parser().format_help()
    for name in chat_parser().known_options():
        assert name in text
    assert "--dimensions" in embed_parser().format_help()
    assert max(map(len, text.splitlines())) <= 96


def test_what_fills_a_value_comes_before_it_is_read() -> None:
    values = {"{{ t }}": "0.25", "{{ mode }}": "off", "{{ who }}": "--raw"}
    words = ["-t", "{{ t }}", "--thinking", "{{ mode }}", "--stop", "{{ who }}"]
    options = parse_chat_options(words, fill=lambda text: values.get(text, text))
    assert options == ChatOptions({"temperature": 0.25, "thinking": "off", "stop": ["--raw"]})


# -- the words of %glm -------------------------------------------------------------------------


@pytest.mark.parametrize("word", list(COMMANDS))
def test_every_word_has_its_help_and_stands_in_the_list(word: str) -> None:
    text = help_of(word)
    assert text.startswith(f"usage: %glm {word}")
    assert f"\n%glm {word} " in general_help()
    assert f"Examples:\n  %glm {word}" in text
    for name in parser_of(word).known_options():
        assert name in text
    assert max(map(len, text.splitlines())) <= 96


@pytest.mark.parametrize("word", list(COMMANDS))
def test_an_unknown_option_of_a_word_is_one_line(word: str) -> None:
    required = ["x"] if word in ("fork", "export", "import") else []
    with pytest.raises(SettingsError, match=r"^unknown option '--wwwxxx'; see %glm"):
        parse_words(parser_of(word), [*required, "--wwwxxx"])


def test_a_word_that_needs_a_name_says_so() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_words(parser_of("import"), [])
    assert str(caught.value) == (
        "the following arguments are required: FILE (see %glm import --help)"
    )


def test_help_of_an_unknown_word_names_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"^unknown word 'histroy' after glm; did you mean"):
        help_of("histroy")
