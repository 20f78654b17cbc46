"""Hostile text to text that is safe to show: no controls, no escape sequences, no bidi tricks.

Sources: ECMA-48 for the escape sequences; Unicode TR 36 and "Trojan Source" (CVE-2021-42574)
for bidi; UTS 51 for flag sequences; Unicode 16 for variation selectors.
"""

import html
import re

__all__ = ["LINE_END", "clean_line", "clean_text", "escape", "escape_tags"]

# All that ends a line for us. U+2028 and U+2029 count, as browsers and editors show them as ends.
LINE_END = re.compile(r"\r\n|[\n\r\u2028\u2029]")

_SURROGATE = re.compile(r"[\ud800-\udfff]")

# Everything below stays inside its line: a sequence that is never ended takes the rest of its
# line and no more, so text may be cleaned line by line while it streams in.
# No part of it can match twice in different ways, hence linear time.
_CONTROL = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor
    r"|(?:\x1b\]|\x9d)[^\n\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC: title, links (8), clipboard
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\n\x1b\x9c]*(?:\x1b\\|\x9c)?"  # DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]?"  # ESC alone, or with its one letter
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)

# Embeddings, overrides and isolates. The marks U+200E, U+200F and U+061C stay: they move
# nothing but themselves, and Arabic, Persian and Hebrew texts use them.
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")

# Tags spell a region (gbeng, usca) after a black flag; anywhere else they are invisible text.
_TAGS = re.compile(
    "(\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f)"
    "|[\U000e0000-\U000e007f]"
)

# One selector chooses the form of the character before it. A run carries hidden bytes.
_SELECTOR = "[\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]"
_SELECTORS = re.compile(f"({_SELECTOR}){_SELECTOR}+")


def clean_text(text: str) -> str:
    """Return `text` with nothing left in it that could act instead of being read.

    Every way to end a line becomes LF; of the controls only tab and LF remain; halves of a
    surrogate pair are joined, lone ones become U+FFFD. Joiners (ZWJ, ZWNJ), emoji and all
    scripts come through unharmed. Takes linear time.

    Cleaning works line by line: `clean_text(a + b) == clean_text(a) + clean_text(b)` when `a`
    ends where a line ends, and each line of `text` (see `LINE_END`) gives exactly one line.
    """
    text = _join_surrogates(LINE_END.sub("\n", text))
    text = _BIDI.sub("", _CONTROL.sub("", text))
    return _SELECTORS.sub(r"\1", _TAGS.sub(r"\1", text))


def clean_line(text: str, limit: int = 300) -> str:
    """Return `text` cleaned and in one line, runs of white space as one space.

    Args:
        limit: most characters to return, at least 1; a longer line ends in "…".
    """
    line = " ".join(clean_text(text).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def escape(text: str) -> str:
    """Return `text` cleaned, then with `& < > " '` escaped: fit for HTML text and attributes."""
    return html.escape(clean_text(text), quote=True)


def escape_tags(text: str) -> str:
    """Return cleaned text with `& < >` escaped: for text only, never for attributes.

    Quotes stay, as in what the sanitizer writes.
    """
    return html.escape(text, quote=False)


def _join_surrogates(text: str) -> str:
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
