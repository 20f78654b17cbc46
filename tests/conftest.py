"""Fixtures for all tests: the loopback GLM server; no test reads the developer's keyring
or their vectors."""

import os
from collections.abc import Iterator

import pytest
from glm_server import GlmServer

# For this process and for every kernel, server and terminal that a test starts.
os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
# A port is used again by another server, whose vectors are not those of the one before.
os.environ["GLM_MAGIC_STORE"] = "off"


@pytest.fixture
def server() -> Iterator[GlmServer]:
    """A GLM API of this test's own, replying by `Script()` until told otherwise."""
    with GlmServer() as glm_server:
        yield glm_server
