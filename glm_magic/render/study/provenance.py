"""Where embeddings are from and what they took, in words: the line above them."""

from __future__ import annotations

from collections.abc import Iterator

from glm_magic.render.clean import clean_line
from glm_magic.render.words import counted, timed
from glm_magic.study.embeddings import Embeddings

__all__ = ["cost_words", "count_words", "cut_words", "header_line", "joined"]

_LIMIT_CUT = 10


def header_line(embeddings: Embeddings) -> str:
    """Return model, host, counts, cost, and what is special: plain text in one line."""
    e = embeddings
    return joined(
        e.model,
        e.endpoint,
        timed(e.seconds) if e.requests else "",
        count_words(e),
        counted(e.dimensions, "dimension"),
        *_took(e),
        *_notes(e),
    )


def joined(*facts: str) -> str:
    """Return those of the facts that there are, cleaned, in one line."""
    return " · ".join(filter(None, (clean_line(fact, 200) for fact in facts)))


def count_words(embeddings: Embeddings) -> str:
    """Return "5 texts", or "3 × 2 texts" of two sets."""
    count, split = len(embeddings), embeddings.split
    return counted(count, "text") if split is None else f"{split:,} × {count - split:,} texts"


def cost_words(embeddings: Embeddings) -> str:
    """Return "about ¥0.012 (prices of 2026)"; "" where nothing was sent or nobody is billed."""
    if not (embeddings.requests and embeddings.billed_in):
        return ""
    cost = embeddings.cost
    return f"{cost.in_words} (prices of {cost.read})" if cost else "cost unknown"


def cut_words(embeddings: Embeddings) -> str:
    """Return how many texts were cut, and which; "" if none was."""
    cut = embeddings.cut
    if not cut:
        return ""
    named = ", ".join(f"{position + 1:,}" for position in cut[:_LIMIT_CUT])
    rest = f" and {len(cut) - _LIMIT_CUT:,} more" if len(cut) > _LIMIT_CUT else ""
    return f"{counted(len(cut), 'text')} {_was(len(cut))} cut to the model's limit: {named}{rest}"


def _took(embeddings: Embeddings) -> Iterator[str]:
    if not embeddings.requests:
        yield "nothing was sent"
    elif tokens := embeddings.usage.prompt_tokens:
        yield counted(tokens, "token")
    yield cost_words(embeddings)


def _notes(embeddings: Embeddings) -> Iterator[str]:
    if recalled := embeddings.recalled:
        different = len(set(embeddings.texts)) + embeddings.missing
        yield f"{recalled:,} of {counted(different, 'text')} {_was(recalled)} kept already"
    if missing := embeddings.missing:
        yield f"{counted(missing, 'text')} {'has' if missing == 1 else 'have'} no vector yet"
    yield cut_words(embeddings)


def _was(count: int) -> str:
    return "was" if count == 1 else "were"
