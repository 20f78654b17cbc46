"""A question to whoever sits at the notebook."""

from __future__ import annotations

__all__ = ["says_yes"]


def says_yes(question: str) -> bool:
    """Ask; return whether the answer is yes.

    Args:
        question: clean text.

    Raises:
        EOFError: the person ended the input in place of an answer.
        StdinNotImplementedError: nobody can type here; IPython's.
    """
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
