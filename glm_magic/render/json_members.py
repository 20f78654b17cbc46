"""JSON (RFC 8259) that comes in pieces, cut into the members of the array or object it is about."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Member", "MemberScanner"]

# So much of a member is kept from its start on, and of a longer one so much from its end: 500
# letters, each of which may be written as an escape of six.
_TEXT_CHARACTERS = 4_000
_END_CHARACTERS = 3_000

# What an answer may begin with; whatever stands before it is no JSON.
_ROWS = re.compile(r"[{\[]")
_FIELDS = re.compile(r"\{")
# The array of rows, where it is wrapped in an object.
_ITEMS = re.compile(r'"items"\s*+:\s*+')

# Up to what decides something: each jumps over whole strings. Possessive, hence linear.
_IN_STRING = re.compile(r'(?:[^"\\]++|\\.)*+', re.DOTALL)
_AMONG_MEMBERS = re.compile(r'(?:[^"{}\[\],]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_IN_MEMBER = re.compile(r'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Member:
    """An item of an array, or a key and its value: JSON as it came, which need not be valid.

    Attributes:
        text: its first 4,000 characters.
        end: its last 3,000 characters if it is longer than that, else "".
    """

    text: str
    end: str = ""


class MemberScanner:
    """Finds members as they come; each character is looked at once or twice, and never again.

    Args:
        is_rows: the members are the items of the first array if the answer is an array, of its
            "items" if it is an object; else they are the pairs of the first object.
    """

    def __init__(self, *, is_rows: bool) -> None:
        self._opening = _ROWS if is_rows else _FIELDS
        self._is_rows = is_rows
        self._depth = 0
        # How deep the members stand.
        self._level = 1
        self._is_seeking = False
        self._is_in_string = self._is_after_backslash = False
        self._text = self._end = ""
        self.is_finished = False

    @property
    def has_started(self) -> bool:
        """Whether there was a bracket: what came before is no JSON."""
        return self._depth > 0

    @property
    def open(self) -> Member | None:
        """The member that has begun and not ended."""
        is_open = self._text and not self._is_seeking and not self.is_finished
        return Member(self._text, self._end) if is_open else None

    def feed(self, text: str) -> list[Member]:
        """Take text, and return the members that it finished."""
        found: list[Member] = []
        at = 0 if self.has_started else self._start(text)
        while at < len(text) and not self.is_finished:
            at = self._scan(text, at, found)
        return found

    def _start(self, text: str) -> int:
        opening = self._opening.search(text)
        if opening is None:
            return len(text)
        self._depth = 1
        self._is_seeking = self._is_rows and opening[0] == "{"
        return opening.end()

    def _scan(self, text: str, at: int, found: list[Member]) -> int:
        """Take in the text up to the next bracket or comma that counts, and that too."""
        end = self._run_end(text, at)
        self._keep(text[at:end])
        if end == len(text):
            return end
        mark = text[end]
        if mark == "," or (mark in "]}" and self._depth == self._level):
            found += self._finish()
            self.is_finished = mark != ","
        elif mark == "[" and self._is_items():
            self._depth = self._level = 2
            self._is_seeking, self._text = False, ""
        else:
            self._depth += 1 if mark in "[{" else -1
            self._keep(mark)
        return end + 1

    def _run_end(self, text: str, at: int) -> int:
        if self._is_in_string:
            at = self._string_end(text, at)
        run = _IN_MEMBER if self._depth > self._level else _AMONG_MEMBERS
        match = run.match(text, at)
        end = match.end() if match else at
        if text[end : end + 1] == '"':  # it ends in text to come
            self._is_in_string = True
            end = self._string_end(text, end + 1)
        return end

    def _string_end(self, text: str, at: int) -> int:
        if self._is_after_backslash:
            at, self._is_after_backslash = at + 1, False
        match = _IN_STRING.match(text, at)
        end = match.end() if match else at
        if end == len(text):
            return end
        # Of a backslash that is last, the letter is still to come.
        self._is_in_string = self._is_after_backslash = text[end] == "\\"
        return end + 1

    def _keep(self, piece: str) -> None:
        if not self._text:
            piece = piece.lstrip()
        room = _TEXT_CHARACTERS - len(self._text)
        if len(piece) > room:
            self._end = ((self._end or self._text) + piece)[-_END_CHARACTERS:]
        if room:
            self._text += piece[:room]

    def _finish(self) -> list[Member]:
        member = Member(self._text.rstrip(), self._end)
        self._text = self._end = ""
        return [member] if member.text and not self._is_seeking else []

    def _is_items(self) -> bool:
        is_value = self._is_seeking and self._depth == self._level
        return is_value and _ITEMS.fullmatch(self._text) is not None
