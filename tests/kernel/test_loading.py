"""Loading the extension adds what it must, and unloading leaves nothing of it."""

from __future__ import annotations

import pytest
from glm_server import GlmServer
from kernels import Cell, Kernel, start_kernel

MAGICS = "[kind for kind, named in get_ipython().magics_manager.magics.items() if 'glm' in named]"
CONFIGURABLES = "[type(c).__name__ for c in get_ipython().configurables].count('GlmMagic')"
MATCHERS = "[type(m).__name__ for m in get_ipython().Completer.custom_matchers]"
CALLBACKS = (
    "[f.__qualname__ for f in get_ipython().events.callbacks['post_run_cell'] "
    "if 'Glm' in f.__qualname__]"
)
PRINTERS = (
    "[kind.__name__ for kind in "
    "get_ipython().display_formatter.ipython_display_formatter.type_printers]"
)
THREADS = "[t.name for t in __import__('threading').enumerate() if 'glm' in t.name]"


@pytest.fixture
def bare(kernel: Kernel) -> Kernel:
    """The kernel without the extension."""
    kernel.run("%unload_ext glm_magic")
    return kernel


def kinds(cell: Cell) -> list[str]:
    return [message["msg_type"] for message in cell.messages]


def test_loading_prints_nothing_and_sends_nothing(bare: Kernel, server: GlmServer) -> None:
    cell = bare.run("%load_ext glm_magic")
    assert cell.status == "ok"
    assert kinds(cell) == ["status", "execute_input"]
    assert server.requests == []


def test_loading_registers_a_line_magic_and_a_cell_magic(bare: Kernel) -> None:
    assert bare.value(MAGICS) == []
    bare.run("%load_ext glm_magic")
    assert bare.value(MAGICS) == ["line", "cell"]


def test_loading_imports_nothing_heavy() -> None:
    heavy = ("httpx", "pandas", "numpy", "matplotlib", "ipywidgets", "markdown_it", "xllamacpp")
    with start_kernel({}) as fresh:
        before = set(fresh.value(f"[m for m in {heavy} if m in __import__('sys').modules]"))
        fresh.run("%load_ext glm_magic")
        after = set(fresh.value(f"[m for m in {heavy} if m in __import__('sys').modules]"))
    assert after == before
    assert before.isdisjoint({"httpx", "pandas", "ipywidgets"})


def test_loading_twice_is_loading_once(bare: Kernel) -> None:
    bare.run("%load_ext glm_magic")
    again = bare.run("%load_ext glm_magic\nimport glm_magic")
    called = bare.run("glm_magic.load_ipython_extension(get_ipython())")
    assert (again.status, called.status) == ("ok", "ok")
    assert bare.value(CONFIGURABLES) == 1
    assert bare.value(MATCHERS) == ["GlmMatcher"]
    assert len(bare.value(CALLBACKS)) == 1


def test_unloading_what_was_never_loaded_is_fine(bare: Kernel) -> None:
    cell = bare.run("import glm_magic; glm_magic.unload_ipython_extension(get_ipython())")
    assert cell.status == "ok"


@pytest.mark.parametrize("used", [False, True], ids=["unused", "after a chat cell"])
def test_unloading_leaves_nothing(bare: Kernel, used: bool) -> None:
    printers = bare.value(PRINTERS)
    bare.run("%load_ext glm_magic")
    if used:
        assert bare.run("%%glm\nHello").status == "ok"
        assert bare.value(THREADS) == ["glm_magic"]
        assert "Reply" in bare.value(PRINTERS)
    cell = bare.run("%unload_ext glm_magic")
    assert kinds(cell) == ["status", "execute_input"]
    assert bare.value(MAGICS) == []
    assert bare.value(CONFIGURABLES) == 0
    assert bare.value(MATCHERS) == []
    assert bare.value(CALLBACKS) == []
    assert bare.value(PRINTERS) == printers
    assert bare.value(THREADS) == []
    assert "GlmMagic" not in bare.run("%config").stdout


def test_unloading_closes_the_connections(bare: Kernel, server: GlmServer) -> None:
    bare.run("%load_ext glm_magic")
    bare.run("%%glm embed\nHello")
    opened = bare.value("len(__import__('psutil').Process().net_connections('tcp'))")
    bare.run("%unload_ext glm_magic")
    closed = bare.value("len(__import__('psutil').Process().net_connections('tcp'))")
    assert closed == opened - 1


def test_config_lists_the_settings_once_loaded(bare: Kernel) -> None:
    bare.run("%load_ext glm_magic")
    assert "GlmMagic" in bare.run("%config").stdout
    listed = bare.run("%config GlmMagic").stdout
    assert "GlmMagic.temperature=<Float>" in listed


def test_load_unload_load_works_and_answers(bare: Kernel, server: GlmServer) -> None:
    for code in ("%load_ext glm_magic", "%unload_ext glm_magic", "%load_ext glm_magic"):
        assert bare.run(code).status == "ok"
    cell = bare.run("%%glm\nHello")
    assert cell.status == "ok"
    assert "很高兴见到你" in cell.html


def test_after_unloading_the_magic_is_unknown(bare: Kernel) -> None:
    cell = bare.run("%%glm\nHello")
    assert "Cell magic `%%glm` not found" in cell.stderr


def test_a_reply_outlives_the_extension(bare: Kernel) -> None:
    bare.run("%load_ext glm_magic")
    bare.run("%%glm -o answer\nHello")
    bare.run("%unload_ext glm_magic")
    assert bare.value("answer.text") == "Hello! 你好！I am GLM, 很高兴见到你。"
    assert bare.run("answer").output["data"].keys() == {"text/plain", "text/html"}


@pytest.mark.parametrize("code", ["%%glm?", "%glm?", "%glm help", "%glm --help", "%%glm -h\nHi"])
def test_help_is_shown_and_nothing_is_sent(kernel: Kernel, server: GlmServer, code: str) -> None:
    cell = kernel.run(code)
    shown = cell.payload + cell.stdout
    assert cell.status == "ok"
    assert "--search-query TEXT" in shown
    assert "%%glm embed" in shown
    assert "%glm config [NAME=VALUE" in shown
    assert server.requests == []


def test_a_wrong_value_in_the_configuration_is_one_line_and_the_magics_are_there(
    bare: Kernel,
) -> None:
    bare.run("c = get_ipython().config\nc.GlmMagic.temperature = 9.0")
    cell = bare.run("%load_ext glm_magic")
    assert cell.status == "ok"
    assert cell.stdout.startswith("glm: c.GlmMagic in IPython's configuration is not used: ")
    assert cell.stdout.count("\n") == 1
    assert bare.run("%glm config temperature=0.5").status == "ok"
