"""Text that looks like an API key: where it stands, and the same text without it.

Sources: keys of the platform are `id.secret`, 32 hexadecimal digits and 16 letters and digits
(docs.bigmodel.cn, read September 2026); the shapes of other keys as their makers publish them
for secret scanning (docs.github.com, "Supported secret scanning patterns", September 2026);
RFC 6750 for Bearer tokens; RFC 7519 for JWT.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from glm_magic.secret import Secret

__all__ = ["Leak", "find_keys", "looks_like_key", "redact"]

_MARK = "<key>"
_OF_THIS_SESSION = "this session's key"
# Half of a key, or a word such as "EMPTY" that a server of one's own takes for one: what is
# shorter stands in many a text that is no leak.
_LEAST_KNOWN = 8


@dataclass(frozen=True, slots=True)
class Leak:
    """A piece of text that looks like a key: `text[start:end]`, which is never kept.

    Attributes:
        kind: in words, such as "GLM key" or "JWT".
    """

    kind: str
    start: int
    end: int


def find_keys(text: str, known: Iterable[Secret] = ()) -> list[Leak]:
    """Return all that looks like a key, in the order of the text; none overlaps another.

    Takes linear time, whatever the text.

    Args:
        known: keys to find whatever they look like, and each half of those that are
            `id.secret`; what is shorter than 8 characters is not looked for.
    """
    leaks = [*_known_keys(text, known), *_shaped_keys(text), *_keys_by_their_names(text)]
    return _apart(leaks)


def holds_own_key(text: str, known: Iterable[Secret]) -> bool:
    """Return whether a text holds one of the known keys, or a half of one."""
    return next(_known_keys(text, known), None) is not None


def redact(text: str, known: Iterable[Secret] = ()) -> str:
    """Return the text with `<key>` in place of all that looks like a key."""
    pieces, end = [], 0
    for leak in find_keys(text, known):
        pieces += [text[end : leak.start], _MARK]
        end = leak.end
    return "".join([*pieces, text[end:]])


def looks_like_key(text: str) -> bool:
    """Return whether a word of a magic line, or the value of a setting, holds or is a key."""
    word = text.strip()
    return bool(_HALVES.fullmatch(word) and _is_random(word)) or bool(find_keys(text))


def _known_keys(text: str, known: Iterable[Secret]) -> Iterator[Leak]:
    for value in _with_halves(known):
        start = text.find(value)
        while start >= 0:
            yield Leak(_OF_THIS_SESSION, start, start + len(value))
            start = text.find(value, start + len(value))


def _with_halves(known: Iterable[Secret]) -> set[str]:
    values = {secret.reveal() for secret in known}
    values |= {half for value in values for half in value.split(".")}
    return {value for value in values if len(value) >= _LEAST_KNOWN}


# -- keys with a shape of their own ----------------------------------------------------------

# Each pattern begins with a letter or two that any key of its kind has, and looks back from
# there: `re` skips fast to a literal. What repeats without end never gives back (`++`), and
# begins only where a word does, hence linear time.
_PATTERNS = (
    ("GLM key", r"\.(?<=[0-9a-fA-F]{32}\.)(?<![0-9a-zA-Z][0-9a-fA-F]{32}\.)[0-9a-zA-Z]{16}(?!\w)"),
    ("JWT", r"eyJ(?<![\w-]eyJ)[\w-]{8,}+\.[\w-]{8,}+\.[\w-]{8,}+"),
    ("GitHub token", r"gh[opsur]_(?<!\wgh._)[0-9a-zA-Z]{36,}+"),
    ("GitHub token", r"github_pat_(?<!\wgithub_pat_)\w{22,}+"),
    ("AWS key", r"AKIA(?<![\w/+=]AKIA)[0-9A-Z]{16}(?![\w/+=])"),
    ("Google key", r"AIza(?<![\w/+=-]AIza)[\w-]{35}(?![\w/+=-])"),
    ("Hugging Face token", r"hf_(?<!\whf_)[0-9a-zA-Z]{30,}+(?!\w)"),
    ("Slack token", r"xox[abeoprs]-(?<!\wxox.-)[0-9a-zA-Z-]{10,}+"),
    ("OpenAI-style key", r"sk-(?<![\w-]sk-)[\w-]{20,}+"),
    ("Bearer token", r"[Bb]earer[ \t]{1,4}(?P<key>[\w.~+/=-]{20,}+)"),
)
_SHAPES = tuple((kind, re.compile(pattern, re.ASCII)) for kind, pattern in _PATTERNS)
_ID_DIGITS = 32


def _shaped_keys(text: str) -> Iterator[Leak]:
    for kind, shape in _SHAPES:
        for match in shape.finditer(text):
            start, end = match.span(match.lastgroup or 0)
            start -= _ID_DIGITS if kind == "GLM key" else 0
            if _is_likely(kind, text[start:end]):
                yield Leak(kind, start, end)


def _is_likely(kind: str, value: str) -> bool:
    if kind == "Hugging Face token":  # most of them have no digit
        return value.lower() != value and not _is_placeholder(value)
    if kind in ("OpenAI-style key", "Bearer token"):  # class names and paths look alike
        return _is_random(value)
    return _has_digit(value) and not _is_placeholder(value)


# -- keys that something around them names ---------------------------------------------------

_QUOTE = r"(?:\\{0,3}[\"'`]|&quot;|&\#39;|&\#x27;)"
_VALUE = r"(?P<key>[\w.~+/=-]{16,256}+)"
_WORD = r"(?:api[_-]?key|access[_-]?key|secret(?:[_-]?key)?|token|passw(?:or)?d)"
# api_key = "...", "api_key": "...", os.environ["ZAI_API_KEY"] = "...", setdefault("...", "...")
_QUOTED = re.compile(rf"[=:,][ \t]{{0,8}}{_QUOTE}{_VALUE}{_QUOTE}", re.ASCII)
_NAME = re.compile(rf"{_WORD}(?:_\d)?{_QUOTE}?\]?(?:\s*:\s*str)?\s*\Z", re.ASCII | re.IGNORECASE)
_NAME_LENGTH = 60
# ZAI_API_KEY=..., %env ZAI_API_KEY ..., X-API-Key: ..., ?api_key=...&
_BARE = re.compile(
    r"(?:_(?:KEY|TOKEN|SECRET|PASSWORD)|[Aa][Pp][Ii][-_]?[Kk][Ee][Yy])"
    rf"[=: ]{{1,3}}{_VALUE}(?=[\s\"'`&;\\]|\Z)",
    re.ASCII,
)
# Near the shape of a GLM key; a file or a host may look so too.
_HALVES = re.compile(r"[0-9a-zA-Z]{20,64}\.[0-9a-zA-Z]{12,64}")
_SECOND_HALF = re.compile(r"\.(?<=[0-9a-zA-Z]{20}\.)[0-9a-zA-Z]{12,64}(?![\w-])", re.ASCII)
_FIRST_HALF = re.compile(
    rf"(?:key|token|secret|authorization|bearer)(?:[\s:=\]]|{_QUOTE}|\bis\b){{0,8}}"
    r"(?P<key>(?<![0-9a-zA-Z])[0-9a-zA-Z]{20,64})\Z",
    re.ASCII | re.IGNORECASE,
)
_FIRST_HALF_LENGTH = 100


def _keys_by_their_names(text: str) -> Iterator[Leak]:
    for match in _QUOTED.finditer(text):
        named = _NAME.search(text, max(0, match.start() - _NAME_LENGTH), match.start())
        if named and (_is_random(match["key"]) or _is_mixed(match["key"])):
            yield Leak("assigned key", *match.span("key"))
    for match in _BARE.finditer(text):
        if _is_random(match["key"]):
            yield Leak("assigned key", *match.span("key"))
    for match in _SECOND_HALF.finditer(text):
        dot, end = match.span()
        first = _FIRST_HALF.search(text, max(0, dot - _FIRST_HALF_LENGTH), dot)
        if first and _is_random(text[first.start("key") : end]):
            yield Leak("GLM key", first.start("key"), end)


# -- what a key looks like -------------------------------------------------------------------

_RUN = re.compile(r"[0-9a-zA-Z]{12,}+")
_REPEATED = re.compile(r"(.)\1{5}")
_STAND_IN = re.compile(
    r"(?<![a-z])(?:changeme|dummy|example|fake|here|insert|my|placeholder|replace|sample|todo|your)"
    r"(?![a-z])"
)
_LEAST_VARIETY = 8


def _is_random(value: str) -> bool:
    """Whether letters, and digits amid many of them, follow each other as in no name."""
    has_run = any(_has_digit(run) for run in _RUN.findall(value))
    return has_run and _has_letter(value) and not _is_placeholder(value)


def _is_mixed(value: str) -> bool:
    """Whether small and capital letters and digits mix, as between the + and / of base64."""
    mixed = value.lower() != value and value.upper() != value and _has_digit(value)
    return mixed and len(value) >= 20 and value[0] not in "./" and not _is_placeholder(value)


def _has_digit(value: str) -> bool:
    return any(map(str.isdigit, value))


def _has_letter(value: str) -> bool:
    return any(map(str.isalpha, value))


def _is_placeholder(value: str) -> bool:
    """Whether it stands for a key: "your-api-key", "xxxx", a run of zeros."""
    words = value.lower()
    return (
        len(set(words)) < _LEAST_VARIETY
        or _REPEATED.search(words) is not None
        or words.endswith("example")
        or _STAND_IN.search(words) is not None
    )


# -- one after the other ---------------------------------------------------------------------


def _apart(leaks: list[Leak]) -> list[Leak]:
    """Join those that overlap; the one named first in `leaks` gives its kind."""
    apart: list[tuple[int, Leak]] = []
    for rank, leak in sorted(enumerate(leaks), key=lambda pair: (pair[1].start, pair[0])):
        if apart and leak.start < apart[-1][1].end:
            apart[-1] = _joined(apart[-1], (rank, leak))
        else:
            apart.append((rank, leak))
    return [leak for _, leak in apart]


def _joined(one: tuple[int, Leak], other: tuple[int, Leak]) -> tuple[int, Leak]:
    rank, leak = min(one, other, key=lambda pair: pair[0])
    return rank, Leak(leak.kind, one[1].start, max(one[1].end, other[1].end))
