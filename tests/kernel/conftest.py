"""One kernel for each module; each test finds it as new, with a GLM API of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from glm_server import GlmServer
from kernels import Kernel, start_kernel

# What a test may have left in the kernel. `%config` writes into the shell's own configuration.
_RESET = """
import os
os.environ |= {{"ZAI_API_KEY": {key!r}, "ZAI_BASE_URL": {url!r}}}
get_ipython().config.pop("GlmMagic", None)
%reload_ext glm_magic
"""


@pytest.fixture(scope="module")
def module_kernel() -> Iterator[Kernel]:
    """The kernel of all tests of a module."""
    with start_kernel({}) as kernel:
        yield kernel


@pytest.fixture
def kernel(module_kernel: Kernel, server: GlmServer) -> Kernel:
    """The kernel with the extension as just loaded, the server in its environment."""
    cell = module_kernel.run(_RESET.format(key=server.key, url=server.url))
    assert cell.status == "ok", cell.contents("error")
    return module_kernel
