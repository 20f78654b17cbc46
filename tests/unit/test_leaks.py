"""Text that looks like a key is found and marked; text that does not is left alone."""

import base64
import random
import string
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import glm_magic
from glm_magic.secret import Secret
from glm_magic.session.leaks import Leak, find_keys, looks_like_key, redact

ROOT = Path(glm_magic.__file__).parent.parent
ID, SECRET = "3f2a9c1be07d4a58b6c2e91f04d7a83c", "Xk29fLq0ZbT7wPm4"
GLM = f"{ID}.{SECRET}"
# In halves, so that whoever scans this repository for keys finds none.
LONG = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6"
OPENAI = "sk-" + LONG
PROJECT = "sk-proj-" + LONG + "-x_Y" + LONG
GITHUB = "ghp_" + LONG
JWT = "eyJhbGciOiJIUzI1NiJ9" + ".eyJhcGlfa2V5IjoiYSJ9" + ".c2lnbmF0dXJlLW9mLWl0"


# -- what is found -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "marked"),
    [
        (GLM, "GLM key", "<key>"),
        (f"密钥{GLM}，请勿外传", "GLM key", "密钥<key>，请勿外传"),
        (f'api_key="{GLM}"', "GLM key", 'api_key="<key>"'),
        (f"Authorization: Bearer {GLM}", "GLM key", "Authorization: Bearer <key>"),
        (f"{ID.upper()}.{SECRET}", "GLM key", "<key>"),
        (f"https://example.com/?key={GLM}&q=1", "GLM key", "https://example.com/?key=<key>&q=1"),
        (f"{ID}.{SECRET}.", "GLM key", "<key>."),
        ("key: c4nary0123456789abcdef.Tw33tTw33tTw33t", "GLM key", "key: <key>"),
        ("My token is c4nary0123456789abcdef.Tw33tTw33tTw33t.", "GLM key", "My token is <key>."),
        (OPENAI, "OpenAI-style key", "<key>"),
        (f"({PROJECT})", "OpenAI-style key", "(<key>)"),
        (GITHUB, "GitHub token", "<key>"),
        ("github_pat_" + LONG, "GitHub token", "<key>"),
        (JWT, "JWT", "<key>"),
        (f"Bearer {JWT}", "JWT", "Bearer <key>"),
        (f"bearer {LONG}", "Bearer token", "bearer <key>"),
        ("AKIA" + "3F2A9C1BE07D4A58", "AWS key", "<key>"),
        ("AIza" + LONG[:35], "Google key", "<key>"),
        ("hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH", "Hugging Face token", "<key>"),
        ("xoxb" + "-123456789012-aB3dE6gH9jK2", "Slack token", "<key>"),
    ],
)
def test_a_key_is_found_by_its_shape(text: str, kind: str, marked: str) -> None:
    assert [leak.kind for leak in find_keys(text)] == [kind]
    assert redact(text) == marked


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('api_key = "', '"'),
        ("api_key='", "'"),
        ('api_key: str = "', '"'),
        ('"api_key": "', '"'),
        ('{\\"apiKey\\": \\"', '\\"}'),
        ("api_key=&quot;", "&quot;"),
        ('client = Client(secret_key="', '", timeout=3)'),
        ('os.environ["ZAI_API_KEY"] = "', '"'),
        ('os.environ.setdefault("ZAI_API_KEY", "', '")'),
        ("export ZAI_API_KEY=", ""),
        ("%env ZHIPUAI_API_KEY ", "\nprint(1)"),
        ("ZAI_API_KEY: ", "\n"),
        ("curl -H 'X-API-Key: ", "' https://example.com"),
        ("https://example.com/v1?api_key=", "&model=glm"),
        ('hf_token = "', '"'),
        ('PASSWORD = "', '"'),
    ],
)
@pytest.mark.parametrize("value", [ID, "k9Z72mLpW4vQ8sT1"])
def test_a_literal_is_found_by_the_name_it_has(before: str, after: str, value: str) -> None:
    text = f"{before}{value}{after}"
    assert find_keys(text) == [Leak("assigned key", len(before), len(before) + len(value))]
    assert redact(text) == f"{before}<key>{after}"


def test_a_leak_says_where_the_key_stands() -> None:
    assert find_keys(f"a\nb = {GLM}\n{OPENAI}") == [
        Leak("GLM key", 6, 55),
        Leak("OpenAI-style key", 56, 95),
    ]


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("typed.as-it-is", "<key>"),
        ("id 'typed-00', secret 'secret-0'", "id '<key>', secret '<key>'"),
        ("xtyped-00.secret-0x", "x<key>x"),
        ("half of it: secret-0", "half of it: <key>"),
        ("EMPTY", "EMPTY"),
        ("a short half: id", "a short half: id"),
    ],
)
def test_keys_of_the_session_are_found_whatever_they_look_like(text: str, marked: str) -> None:
    known = ("typed.as-it-is", "typed-00.secret-0", "EMPTY", "id.secret-1")
    assert redact(text, map(Secret, known)) == marked


def test_a_key_of_the_session_is_called_so() -> None:
    assert find_keys(f"Bearer {GLM}", [Secret(GLM)]) == [Leak("this session's key", 7, 56)]


def test_keys_that_overlap_are_one() -> None:
    text = f'api_key = "{ID}{SECRET}"'
    assert find_keys(text, [Secret(SECRET)]) == [Leak("this session's key", 11, 59)]


def test_nothing_of_a_key_stays_in_a_redacted_text() -> None:
    text = f"{GLM} {ID} {SECRET} {GLM}{GLM}"
    assert redact(text, [Secret(GLM)]) == "<key> <key> <key> <key><key>"


# -- what is not ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "commit 3f2a9c1be07d4a58b6c2e91f04d7a83c5e6b4b0d\nAuthor: A <a@example.com>",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "d41d8cd98f00b204e9800998ecf8427e.tar.gz",
        "d41d8cd98f00b204e9800998ecf8427e.parquet",
        "123e4567-e89b-12d3-a456-426614174000",
        '"id": "123e4567-e89b-12d3-a456-426614174000"',
        "2.31.0rc1+cu124.post20261120",
        "xllamacpp==2026.10.11549",
        "keyring 25.7.0, tokenizers 0.21.4",
        "https://open.bigmodel.cn/api/paas/v4/chat/completions",
        "https://cdn.example.com/a/3f2a9c1be07d4a58b6c2e91f04d7a83c/index.html?v=20261120",
        "https://user.github.io/a-very-long-path-with-0123456789-in-it/page.html",
        "¥0.0001 / 1K tokens, ¥1234567890123456.1234567890123456",
        "0.12345678901234567890123456789012345678",
        "token: 0.123456789012 and 12345678901234567890.123456789012",
        "大模型的密钥不应该写在笔记本里：运行 `%glm login`，然后输入。",
        r"\frac{\partial^2 u}{\partial x^2} = \sum_{i=1}^{1234567890123456} \alpha_i",
        "sk-learn-is-a-library-with-a-long-name-of-words",
        '<div id="sk-container-id-12" class="sk-top-container sk-toggleable__label-arrow">',
        "sk-estimator-doc-link-fitted-and-more sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "from hf_hub_download_something_with_a_long_name import x2",
        "the bearer of this letter, which is of 2026; Bearer authentication-is-described-there",
        "Authorization: Bearer $ZAI_API_KEY",
        "Authorization: Bearer YOUR_API_KEY_GOES_HERE_123456789012",
        'api_key = os.environ["ZAI_API_KEY"]',
        'api_key = os.getenv("ZAI_API_KEY_NUMBER_2")',
        'api_key = getpass.getpass("API key: ")',
        "client = ZaiClient(api_key=settings.my_api_key_number2)",
        'api_key = "your-api-key"',
        'api_key = "your-api-key-1234567890ab"',
        'api_key = "<your key of 2026 goes in here>"',
        'api_key = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.xxxxxxxxxxxxxxxx"',
        'api_key = "..."',
        'api_key = "00000000000000000000000000000000.0000000000000000"',
        'ZAI_API_KEY="$(cat ~/.config/key)"',
        "ZAI_API_KEY=${OTHER_KEY_OF_THE_YEAR_2026}",
        'api_key_file = "/home/user1/keys/of/the/platform.txt"',
        'token_type = "authorization_code"',
        'pad_token="<|endoftext|>", eos_token_id=151643, max_tokens=4096',
        "tokenizer = AutoTokenizer.from_pretrained('bert-base-uncased-2026-11-20')",
        '{"usage": {"prompt_tokens": 1234567890123456, "completion_tokens": 12}}',
        '{"cell_type": "code", "id": "3f2a9c1b-e07d", "execution_count": 12}',
        "getattr(sys.modules['numpy.core.multiarray'], 'scalar1234567890')",
        "AKIAIOSFODNN7" + "EXAMPLE",
        "%glm config max_tokens=4096 model=glm-4.7 endpoint=https://llm.example.org/v1",
        "/home/user/models/Qwen2.5-0.5B-Instruct-Q4_K_M.gguf",
        "",
    ],
)
def test_what_is_no_key_is_left_alone(text: str) -> None:
    assert find_keys(text) == []
    assert redact(text) == text


def test_pictures_hashes_and_ids_are_no_keys() -> None:
    chance = random.Random(7)
    for _ in range(2000):
        data = chance.randbytes(300)
        picture = base64.b64encode(data).decode()
        name = str(uuid.UUID(bytes=data[:16]))
        lines = f"{picture}\n{data.hex()}\n{data[:20].hex()}\n{name}\n{chance.random()!r}"
        assert find_keys(lines) == []
        assert find_keys(f'{{"image/png": "{picture}", "token": 1, "key": "{name}"}}') == []


def test_nothing_in_this_package_is_taken_for_a_key() -> None:
    files = [*ROOT.glob("glm_magic/**/*.py"), *ROOT.glob("*.md"), *ROOT.glob("*.toml")]
    files += [*ROOT.glob("notebooks/**/*.ipynb"), *ROOT.glob("glm_magic/**/*.csv")]
    texts = {path.name: path.read_text("utf-8") for path in files}
    assert len(texts) > 50
    assert {name: found for name, text in texts.items() if (found := find_keys(text))} == {}


@given(st.text())
def test_no_text_is_too_strange_to_be_searched(text: str) -> None:
    assert isinstance(redact(text, [Secret(GLM)]), str)


@given(st.text(), st.text())
def test_a_key_is_found_amid_any_text(before: str, after: str) -> None:
    assert GLM not in redact(f"{before} {GLM} {after}")


# -- how long it takes ---------------------------------------------------------------------

# Each would take hours if the time grew with the square of the length.
HOSTILE = (
    "a",
    ".",
    " ",
    "\\",
    "=",
    '="',
    "key=",
    "_KEY=",
    "api_key = ",
    'api_key = "',
    "eyJ",
    "eyJaaaaaaaa.",
    "eyJ-",
    "sk-",
    "sk-a1",
    "Bearer ",
    "Bearer\t",
    "ghp_",
    "github_pat_",
    "AKIA",
    "AIza",
    "hf_",
    "xoxb-",
    "key a0a0a0a0a0a0a0a0a0a0.",
    "a0a0a0a0a0a0a0a0a0a0.a0a0a0a0a0a0",
    "0123456789abcdef",
    "&quot;",
    "token'\":",
)


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_text_takes_linear_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    find_keys(text)
    find_keys(f"{text}\n{text[:-1]}!", [Secret(GLM)])


def test_a_text_of_nothing_but_keys_is_redacted() -> None:
    assert redact(f"{GLM} " * 10_000) == "<key> " * 10_000


# -- a word --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "word",
    [
        GLM,
        f" {GLM}\n",
        f"model={GLM}",
        "c4nary0123456789abcdef.Tw33tTw33tTw33t",
        OPENAI,
        JWT,
        f"Bearer {LONG}",
        f'ZAI_API_KEY="{ID}"',
    ],
)
def test_a_word_that_is_a_key_looks_like_one(word: str) -> None:
    assert looks_like_key(word)


@pytest.mark.parametrize(
    "word",
    [
        "",
        "glm-4.7",
        "glm-4.7-flash-250414",
        "embedding-3",
        "temperature=0.7",
        "local",
        "https://llm.example.org/v1",
        "www.internationalorganisation.example.org",
        "You are an expert on API keys and tokens.",
        "search_pro_quark",
        "sk-something",
        "SmolLM2-135M-Instruct-Q4_K_M.gguf",
        ID,
        "abc123.def456",
    ],
)
def test_a_word_that_is_none_does_not(word: str) -> None:
    assert not looks_like_key(word)


def test_ten_thousand_names_of_models_are_no_keys() -> None:
    chance = random.Random(7)
    letters = string.ascii_lowercase + string.digits
    words = ("".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(40_000))
    names = ["-".join(four) for four in zip(words, words, words, words, strict=False)]
    assert not [name for name in names if looks_like_key(f"org/{name}-q4.gguf")]
