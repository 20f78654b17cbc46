"""What one embedding request may hold, data/embedding_limits.csv, and texts divided by it.

From docs.bigmodel.cn, September 2026. It gives embedding-2 "8K" tokens for all texts of a request:
8,000 keeps it whichever thousand is meant. use-multilingual-v3 is the small model of this machine.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from glm_magic.api.tables import read_table
from glm_magic.api.tokens import estimate_tokens
from glm_magic.errors import SettingsError

__all__ = [
    "EmbeddingLimits",
    "cut_text",
    "describe_too_long",
    "find_limits",
    "split_batches",
    "too_long",
]

# Wider than any model is; a number that is mistyped is past it.
_LIMIT_DIMENSIONS = 100_000
_NAMED = 3
# By the estimate of tokens no character counts less than one of ASCII, of which 4 are a token.
_CHARACTERS_OF_TOKEN = 4


@dataclass(frozen=True, slots=True)
class EmbeddingLimits:
    """What a model makes of a text and takes in a request; None and () are not known.

    Attributes:
        dimensions: the widths of a vector to choose from; one alone is fixed.
        default_dimensions: the width where none is asked for.
        tokens_per_request: of all texts together.
    """

    model: str
    dimensions: tuple[int, ...] = ()
    default_dimensions: int | None = None
    tokens_per_text: int | None = None
    tokens_per_request: int | None = None
    texts_per_request: int = 64

    def check_dimensions(self, dimensions: int | None) -> None:
        """Let pass a width that the model has, and None for its own.

        Raises:
            SettingsError: it has others; of an unknown model, it is not from 1 to 100,000.
        """
        if dimensions is None or dimensions in self.dimensions:
            return
        if self.dimensions:
            raise SettingsError(self._other_dimensions(dimensions))
        if not 1 <= dimensions <= _LIMIT_DIMENSIONS:
            raise SettingsError(f"dimensions are from 1 to {_LIMIT_DIMENSIONS:,}, not {dimensions}")

    def _other_dimensions(self, dimensions: int) -> str:
        *others, last = map(str, self.dimensions)
        if not others:
            return f"{self.model} always has {last} dimensions, so leave --dimensions away"
        return f"{self.model} has {', '.join(others)} or {last} dimensions, not {dimensions}"


def find_limits(model: str) -> EmbeddingLimits:
    """Return what is known of a model, whatever its case; of an unknown one 64 texts a request."""
    return _limits_table().get(model.lower()) or EmbeddingLimits(model)


@cache
def _limits_table() -> dict[str, EmbeddingLimits]:
    return {row["model"]: _parse_limits(row) for row in read_table("embedding_limits")}


def _parse_limits(row: dict[str, str]) -> EmbeddingLimits:
    return EmbeddingLimits(
        model=row["model"],
        dimensions=tuple(map(int, row["dimensions"].split())),
        default_dimensions=_count(row["default_dimensions"]),
        tokens_per_text=_count(row["tokens_per_text"]),
        tokens_per_request=_count(row["tokens_per_request"]),
        texts_per_request=int(row["texts_per_request"]),
    )


def _count(text: str) -> int | None:
    return int(text) if text else None


# -- a text that is too long -------------------------------------------------------------------


def too_long(texts: Sequence[str], limits: EmbeddingLimits) -> list[tuple[int, int]]:
    """Return position and tokens, an estimate, of each text over what the model reads of one."""
    limit = limits.tokens_per_text
    if limit is None:
        return []
    # No text has more tokens than characters, so that the others need no count.
    long = [position for position, text in enumerate(texts) if len(text) > limit]
    counts = ((position, estimate_tokens(texts[position])) for position in long)
    return [(position, tokens) for position, tokens in counts if tokens > limit]


def describe_too_long(
    found: Sequence[tuple[int, int]], places: Sequence[str], limits: EmbeddingLimits
) -> str:
    """Return one line on the texts that `too_long` found, at least one; three are named.

    Args:
        places: where each text stands, "line 3", by the positions that were found.
    """
    (first, tokens), *others = found[:_NAMED]
    parts = [f"{places[first]} has about {tokens:,} tokens"]
    parts += [f"{places[position]} about {tokens:,}" for position, tokens in others]
    if more := max(0, len(found) - _NAMED):
        parts.append(f"{more:,} more {'is' if more == 1 else 'are'} too long")
    *head, last = parts
    texts = f"{', '.join(head)} and {last}" if head else last
    return (
        f"{texts}; {limits.model} takes {limits.tokens_per_text or 0:,} a text; shorten "
        f"{'it' if len(found) == 1 else 'them'} or add --truncate"
    )


def cut_text(text: str, limit_tokens: int) -> str:
    """Return the longest start of a text within so many tokens, an estimate.

    It does not end before a combining mark, unless it had nothing but marks.
    """
    if len(text) <= limit_tokens:
        return text
    text = text[: _CHARACTERS_OF_TOKEN * limit_tokens + 1]
    lengths = range(1, len(text) + 1)
    end = bisect_right(lengths, limit_tokens, key=lambda length: estimate_tokens(text[:length]))
    return text[: _before_marks(text, end)]


def _before_marks(text: str, end: int) -> int:
    """Where the character begins that an end would part from its marks."""
    start = end
    while start < len(text) and unicodedata.category(text[start])[0] == "M":
        start -= 1
        if start <= 0:
            return end
    return start


# -- many texts --------------------------------------------------------------------------------


def split_batches(texts: Sequence[str], limits: EmbeddingLimits) -> list[range]:
    """Return the texts of each request as their positions, in order.

    A request has at most as many texts and, by estimate, tokens as the model takes in one; a
    text with more tokens than that has a request of its own.
    """
    count = limits.texts_per_request
    if limits.tokens_per_request is None:
        return [
            range(start, min(start + count, len(texts))) for start in range(0, len(texts), count)
        ]
    return list(_batches(texts, count, limits.tokens_per_request))


def _batches(texts: Sequence[str], count: int, limit_tokens: int) -> Iterator[range]:
    start = total = 0
    for position, text in enumerate(texts):
        tokens = estimate_tokens(text)
        if position > start and (position - start == count or total + tokens > limit_tokens):
            yield range(start, position)
            start, total = position, 0
        total += tokens
    if start < len(texts):
        yield range(start, len(texts))
