"""The rooms of the package: who may know whom, and what loading may cost."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import glm_magic

ROOT = Path(glm_magic.__file__).parent
PATHS = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
MODULES = sorted(PATHS)
# What each room may import of the package besides itself; `jupyter` and `cli` are the edge.
MAY_IMPORT = {
    "errors": (),
    "secret": (),
    "api": ("errors", "secret"),
    "session": ("errors", "secret", "api"),
    "study": ("errors", "api", "session"),
    "render": (
        "errors",
        "api.code",
        "api.endpoints",
        "api.reply",
        "api.events",
        "api.rounds",
        "api.schema",
        "api.catalog",
        "api.tables",
        "api.cost",
        "api.check",
        "api.limiter",
        "api.tiers",
        "session.doctor",
        "session.settings",
        "session.tasks",
        "session.templates",
        "session.ledger",
        "session.usage",
        "session.store",
        "study.comparison",
        "study.embeddings",
        "study.pairs",
        "study.projection",
    ),
    "local": ("api.http", "errors"),
}
# The imports against the direction: a value's own method names its view. A viewer asks the value
# itself for its HTML, and a person asks it for a picture.
VIEWS = {
    "glm_magic.api.reply": {"_repr_html_": "glm_magic.render.reply.render_reply"},
    "glm_magic.study.comparison": {
        "_repr_html_": "glm_magic.render.study.comparison.render_comparison"
    },
    "glm_magic.study.embeddings": {
        "_repr_html_": "glm_magic.render.study.similarity.render_embeddings",
        "plot": "glm_magic.render.study.figure.draw_figure",
    },
    "glm_magic.study.projection": {"_repr_html_": "glm_magic.render.study.plane.render_plane"},
}


def imports(module: str, *, for_types: bool = False) -> Iterator[str]:
    """Every module that `module` imports, inside functions too."""
    yield from _imports_of(ast.parse(PATHS[module].read_text("utf-8")), for_types)


def _imports_of(node: ast.AST, for_types: bool) -> Iterator[str]:
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not for_types:
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0 and node.module, "imports are absolute"
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from _imports_of(child, for_types)


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def is_in(module: str, room: str) -> bool:
    return module == f"glm_magic.{room}" or module.startswith(f"glm_magic.{room}.")


@pytest.mark.parametrize("module", [m for m in MODULES if room_of(m) in MAY_IMPORT])
def test_imports_go_one_way(module: str) -> None:
    room = room_of(module)
    allowed = (room, *MAY_IMPORT[room])
    named = {name for name in imports(module) if name in PATHS and room_of(name)}
    rooms = {f"glm_magic.{room}" for room in MAY_IMPORT} & named
    strange = [n for n in named - rooms if not any(is_in(n, room) for room in allowed)]
    views = (view.rpartition(".")[0] for view in VIEWS.get(module, {}).values())
    assert sorted(strange) == sorted(views)


@pytest.mark.parametrize("module", VIEWS)
def test_a_value_names_its_view_in_the_method_that_shows_it_only(module: str) -> None:
    tree = ast.parse(PATHS[module].read_text("utf-8"))
    functions = {f.name: f for f in ast.walk(tree) if isinstance(f, ast.FunctionDef)}
    inside = [name for method in VIEWS[module] for name in _imports_of(functions[method], True)]
    views = [(view.rpartition(".")[0], view) for view in VIEWS[module].values()]
    there = [name for name in imports(module, for_types=True) if is_in(name, "render")]
    assert there == inside == [name for view in views for name in view]


def test_every_room_has_its_rule() -> None:
    rooms = {room_of(module) for module in MODULES} - {""}
    assert rooms - set(MAY_IMPORT) <= {"jupyter", "cli", "__main__"}


@pytest.mark.parametrize("module", [m for m in MODULES if room_of(m) not in ("jupyter", "cli")])
def test_nothing_but_the_edge_knows_the_notebook(module: str) -> None:
    edge = {"IPython", "ipywidgets", "ipykernel", "comm"}
    assert {name.split(".")[0] for name in imports(module)} & edge == set()


def test_httpx_has_one_door() -> None:
    doors = [m for m in MODULES if "httpx" in {n.split(".")[0] for n in imports(m, for_types=True)}]
    assert doors == ["glm_magic.api.http"]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_lives_there(module: str) -> None:
    tree = ast.parse(PATHS[module].read_text("utf-8"))
    assert not tree.body or ast.get_docstring(tree)


def test_a_file_is_a_noun_of_the_domain() -> None:
    names = {path.stem for path in PATHS.values()}
    assert (
        names & {"utils", "util", "helpers", "helper", "common", "misc", "base", "tools"} == set()
    )


HEAVY = ("httpx", "pandas", "numpy", "matplotlib", "ipywidgets", "markdown_it", "nh3")


@pytest.mark.parametrize("module", ["glm_magic", "glm_magic.jupyter.magics"])
def test_loading_imports_nothing_heavy(module: str) -> None:
    script = (
        "import sys, IPython\n"
        "before = set(sys.modules)\n"
        f"import {module}\n"
        f"print(*(set(sys.modules) - before) & set({HEAVY}))\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert done.stdout.split() == []
