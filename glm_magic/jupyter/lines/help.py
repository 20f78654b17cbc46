"""`%glm help`: all options and words, or those of one word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glm_magic.jupyter.commands import general_help, help_of

if TYPE_CHECKING:
    from glm_magic.jupyter.magics import Glm


def show_help(glm: Glm, word: str | None) -> None:
    """Print the help of all, or of one word."""
    print(help_of(word.lstrip("%")) if word else general_help())
