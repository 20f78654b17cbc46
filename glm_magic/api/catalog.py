"""What is known of the platform's models: data/models.csv, from its documents (October 2026).

Never an allow-list: fine-tuned and private ids exist, and the platform's own list of models
leaves out ids that it accepts.
"""

from __future__ import annotations

import csv
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

DEFAULT_MODEL = "glm-4.7-flash"
DEFAULT_EMBEDDING_MODEL = "embedding-3"


def read_table(name: str) -> list[dict[str, str]]:
    """Return the rows of `data/NAME.csv`."""
    text = files("glm_magic.api").joinpath("data", f"{name}.csv").read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))


@cache
def model_ids() -> tuple[str, ...]:
    """Return the ids of all known models, chat and embedding."""
    return tuple(row["id"] for row in read_table("models"))


def nearest_model(model: str) -> str | None:
    """Return the known id nearest to `model`, or None when none is near."""
    near = get_close_matches(model.lower(), model_ids(), n=1, cutoff=0.6)
    return near[0] if near else None
