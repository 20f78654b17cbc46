"""What unit tests share: the weights of the small local model, fetched once for good."""

from __future__ import annotations

from pathlib import Path

import pytest

from glm_magic.local.weights import DEFAULT_MODEL, fetch_weights


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The GGUF file of the default local model in the user's own cache (93 MB, once)."""
    return fetch_weights(DEFAULT_MODEL)
