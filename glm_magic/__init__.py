"""`%%glm`: talk to GLM models from a notebook.

    %load_ext glm_magic

Loading registers `%glm` and `%%glm`, prints nothing and sends nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from glm_magic.api.client import AsyncClient
    from glm_magic.api.reply import Reply
    from glm_magic.api.sync import Client
    from glm_magic.study.comparison import Comparison
    from glm_magic.study.comparison import compare as compare_embeddings
    from glm_magic.study.embeddings import Embeddings
    from glm_magic.study.parquet import load_embeddings

__version__ = "0.1.0"
__all__ = [
    "AsyncClient",
    "Client",
    "Comparison",
    "Embeddings",
    "Reply",
    "compare_embeddings",
    "load_embeddings",
    "load_ipython_extension",
    "unload_ipython_extension",
]

# The public values are imported when first asked for: `%load_ext` stays fast.
_PUBLIC = {
    "AsyncClient": ("glm_magic.api.client", "AsyncClient"),
    "Client": ("glm_magic.api.sync", "Client"),
    "Comparison": ("glm_magic.study.comparison", "Comparison"),
    "Embeddings": ("glm_magic.study.embeddings", "Embeddings"),
    "Reply": ("glm_magic.api.reply", "Reply"),
    "compare_embeddings": ("glm_magic.study.comparison", "compare"),
    "load_embeddings": ("glm_magic.study.parquet", "load_embeddings"),
}

_loaded: WeakKeyDictionary[InteractiveShell, Any] = WeakKeyDictionary()


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics; a second time does nothing."""
    from glm_magic.jupyter.magics import Glm

    if shell not in _loaded:
        _loaded[shell] = glm = Glm(shell)
        glm.register()


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take away magics, settings, completer and printers, and end the loop thread."""
    if (glm := _loaded.pop(shell, None)) is not None:
        glm.unregister()


def magics_of(shell: InteractiveShell) -> Any:
    """Return the magics that are loaded in a shell; None if none are."""
    return _loaded.get(shell)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, there = _PUBLIC[name]
    return getattr(import_module(module), there)
