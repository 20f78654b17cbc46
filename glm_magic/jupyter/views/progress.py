"""How far a long run of embeddings is: a bar while it runs, one static output in its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import DisplayHandle, display
from tqdm.auto import tqdm

from glm_magic.jupyter.views.bundles import Bundle
from glm_magic.jupyter.views.column import close_widgets
from glm_magic.jupyter.views.show import is_terminal, is_watched

__all__ = ["Progress"]


class _Bar(tqdm):  # type: ignore[type-arg]
    """A bar without tqdm's own thread, which would draw into whatever cell runs by then."""

    monitor_interval = 0


class Progress:
    """A view of texts that get their vectors.

    Args:
        total: how many are to come; 0 shows no bar.

    Attributes:
        take: takes what has come by now and returns how many texts it has; what it is fed only
            says that there is something.
    """

    dirty = False

    def __init__(self, shell: InteractiveShell, total: int) -> None:
        self.take: Callable[[], int] = lambda: 0
        self._handle: DisplayHandle | None = None
        self._bar: Any = None
        self._words = ""
        if total and is_terminal(shell):
            self._bar = _Bar(total=total, unit=" texts", leave=False)
        elif total and is_watched(shell):
            self._bar = _Bar(total=total, unit=" texts", leave=False, display=False)
            self._handle = display(self._bar.container, display_id=True)

    @property
    def is_shown(self) -> bool:
        """Whether there is a bar."""
        return self._bar is not None

    def feed(self, values: list[Any]) -> None:
        """Take what has come, and move the bar on."""
        count = self.take() if values else 0
        if self._bar is not None:
            self._bar.update(count)

    def say(self, words: str) -> None:
        """Put words behind the bar, or take them away."""
        if self._bar is not None and self._words != words:
            self._words = words
            self._bar.set_postfix_str(words)

    def paint(self) -> None:
        """Move the clock of the bar on."""
        if self._bar is not None:
            self._bar.refresh()

    def finish(self, bundle: Bundle, metadata: dict[str, Any] | None = None) -> None:
        """Put the static output in the place of the bar."""
        if self._handle is not None:
            self._handle.update(bundle, raw=True, metadata=metadata)
        self.close()
        if self._handle is None:
            display(bundle, raw=True, metadata=metadata)

    def close(self) -> None:
        """Take the bar away; a second time does nothing."""
        bar, self._bar = self._bar, None
        if bar is None:
            return
        container = getattr(bar, "container", None)
        bar.close()
        if container is not None:
            close_widgets((container, *container.children))
