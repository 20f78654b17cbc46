"""Fixtures for all tests: the loopback GLM server."""

from collections.abc import Iterator

import pytest
from glm_server import GlmServer


@pytest.fixture
def server() -> Iterator[GlmServer]:
    """A GLM API of this test's own, replying by `Script()` until told otherwise."""
    with GlmServer() as glm_server:
        yield glm_server
