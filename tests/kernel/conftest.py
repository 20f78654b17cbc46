"""One kernel for each module; each test finds it as new, with a GLM API of the test's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import distributions, version
from pathlib import Path

import pytest
from environments import install_ipykernel, make_environment
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
def ipykernels(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives a folder with the ipykernel of a line such as "7.3", installed when first asked for."""

    @cache
    def install(line: str) -> Path:
        return install_ipykernel(line, tmp_path_factory.mktemp(f"ipykernel-{line}"))

    return install


@pytest.fixture(scope="session")
def pythons(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the Python of an environment of a line such as "3.13", made when first asked for."""

    @cache
    def make(line: str) -> Path:
        return make_environment(line, tmp_path_factory.mktemp(f"python-{line}"))

    return make


@pytest.fixture(scope="module", params=["7.4", "7.3", "6.31"], ids="ipykernel {}".format)
def ipykernel_line(request: pytest.FixtureRequest) -> str:
    """The lines of ipykernel between which clicks and interrupts came to go other ways.

    6.31 is the last line before subshells and shared contexts; 7.3 takes a click on a subshell;
    7.4 on the shell that made the widget, which is busy.
    """
    line: str = request.param
    return line


@pytest.fixture(scope="module")
def kernel_of_each_line(ipykernel_line: str, ipykernels: Callable[[str], Path]) -> Iterator[Kernel]:
    """A kernel of each line of ipykernel."""
    env: dict[str, str] = {}
    expected = version("ipykernel")
    if not is_of_line(expected, ipykernel_line):
        folder = str(ipykernels(ipykernel_line))
        (installed,) = distributions(name="ipykernel", path=[folder])
        expected = installed.version
        env["PYTHONPATH"] = os.pathsep.join((folder, os.environ.get("PYTHONPATH", "")))
    assert is_of_line(expected, ipykernel_line)
    with start_kernel(env) as kernel:
        assert kernel.value("__import__('ipykernel').__version__") == expected
        yield kernel


def is_of_line(version: str, line: str) -> bool:
    return version.startswith(f"{line}.")


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
