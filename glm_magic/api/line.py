"""What is put in a message, which is one line: a text of anyone's, a name, an exception."""

from __future__ import annotations

from contextlib import suppress

from glm_magic.api.characters import valid_unicode

__all__ = [
    "REASON_CHARACTERS",
    "TOO_DEEP",
    "name_and_message",
    "one_line",
    "quoted",
    "reason",
    "short",
]

_SHOWN_CHARACTERS = 60
# Of what is wrong, for which other people's words stand.
REASON_CHARACTERS = 200
TOO_DEEP = "nested too deep to be read"


def short(text: str, limit: int = _SHOWN_CHARACTERS) -> str:
    """Return a text of anyone's as one printable line of at most `limit` characters."""
    # No more of it is read than is shown: the text may be megabytes.
    read = 4 * limit
    while len(line := one_line(text[:read])) <= limit and read < len(text):
        read *= 2
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def one_line(text: str) -> str:
    """Return all of a text as one printable line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def quoted(name: str) -> str:
    """Return a name as it stands in a message, of bounded length."""
    return f"'{short(name)}'"


def reason(error: BaseException) -> str:
    """Return the name and the message of an exception, as one line of at most 200 characters."""
    return short(name_and_message(error), REASON_CHARACTERS)


def name_and_message(error: BaseException) -> str:
    """Return the same in full, which may have many lines.

    Of an exception without a message, or whose message fails in turn, it is the name.
    """
    message = ""
    with suppress(Exception, SystemExit, GeneratorExit):
        message = valid_unicode(str(error)).strip()
    name = type(error).__name__
    return f"{name}: {message}" if message else name
