"""One kernel for each module; each test finds it as new, with a GLM API of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture(scope="session")
def ipykernel_6(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the last line of ipykernel before subshells and shared contexts."""
    folder = tmp_path_factory.mktemp("ipykernel6")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder))
    subprocess.run((*pip, "ipykernel>=6.31,<7", "nest-asyncio"), check=True)
    return folder


@pytest.fixture(scope="module", params=["7", "6"], ids=["ipykernel 7", "ipykernel 6"])
def kernel_of_each_line(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """A kernel of each line of ipykernel."""
    env: dict[str, str] = {}
    if request.param == "6":
        path = (str(request.getfixturevalue("ipykernel_6")), os.environ.get("PYTHONPATH", ""))
        env["PYTHONPATH"] = os.pathsep.join(path)
    with start_kernel(env) as kernel:
        assert kernel.value("__import__('ipykernel').__version__")[0] == request.param
        yield kernel


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
