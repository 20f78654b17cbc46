"""How much of a chat a model can read: the oldest turns are left out where it is too long."""

from __future__ import annotations

from collections.abc import Sequence

from glm_magic.api.catalog import find_model
from glm_magic.session.chats import Turn

__all__ = ["fit_turns", "window_of"]

# Kept free for the answer where no limit was asked for, but never more than a quarter.
_ANSWER_TOKENS = 8192
# Counts are rough: a token of English has three to five characters, one of Chinese one or two.
_MARGIN = 0.9


def window_of(model: str) -> int | None:
    """Return how many tokens a model reads and writes; None where that is not known."""
    known = find_model(model)
    return known.context_tokens if known else None


def fit_turns(
    turns: Sequence[Turn], *, window: int | None, taken: int, max_tokens: int | None
) -> Sequence[Turn]:
    """Return the newest turns that fit into the window with the prompt and the answer.

    Args:
        window: in tokens; None leaves nothing out.
        taken: tokens of the prompt and the system message.
        max_tokens: the longest answer that was asked for; None if none was.
    """
    if window is None:
        return turns
    answer = min(max_tokens or _ANSWER_TOKENS, window // 4)
    free = window * _MARGIN - answer - taken
    for count, turn in enumerate(reversed(turns)):
        free -= turn.tokens
        if free < 0:
            return turns[len(turns) - count :]
    return turns
