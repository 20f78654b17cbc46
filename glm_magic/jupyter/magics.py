"""The `%glm` and `%%glm` magics: a line and a cell in, a reply on the screen and in `_`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import no_var_expand
from traitlets import TraitError

from glm_magic.errors import GlmError, SettingsError, Stopped
from glm_magic.jupyter.commands import general_help, help_of, run_line, unknown_word
from glm_magic.jupyter.completion.matcher import GlmMatcher
from glm_magic.jupyter.lines.keys import refuse_keys
from glm_magic.jupyter.options import parse_embed_options
from glm_magic.jupyter.parser import split_words
from glm_magic.session.leaks import find_keys, redact
from glm_magic.session.settings import GlmMagic

# Only what `%load_ext` needs is imported above; HTTP, rendering and widgets take longer than
# loading may, so the functions that need them import them.
if TYPE_CHECKING:
    from glm_magic.api.endpoints import Endpoint
    from glm_magic.api.loop import LoopThread
    from glm_magic.session.chats import TurnKey
    from glm_magic.session.exchange import Exchange
    from glm_magic.session.session import LocalEngine, Session
    from glm_magic.study.comparison import Comparison
    from glm_magic.study.embeddings import Embeddings

T = TypeVar("T")
_LOCAL_ANSWERS = (
    "glm: no API key found, so the small demo model on this machine answers; "
    "`%glm login` takes a key"
)
# The values of a cell that are on screen by the time the cell ends.
_SHOWN_TYPES = (
    ("glm_magic.api.reply", "Reply"),
    ("glm_magic.study.embeddings", "Embeddings"),
    ("glm_magic.study.comparison", "Comparison"),
    ("glm_magic.study.projection", "Projection"),
)


class Glm:
    """The magics of one shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell: Any = shell  # half of what is used of it has no types, or wrong ones
        self.settings = _read_settings(shell)
        self.matcher = GlmMatcher(shell, lambda: self._session)
        self._session: Session | None = None
        self._thread: LoopThread | None = None
        self._just_shown: object = None
        self._said_local = False
        self.last_error: BaseException | None = None
        self._request_id: str | None = None
        self._turns = self._keyless = 0

    # -- loading ---------------------------------------------------------------------------

    def register(self) -> None:
        """Add the magics, the settings and the completer to the shell."""
        self.shell.register_magic_function(self.glm, "line_cell", "glm")
        self.shell.configurables.append(self.settings)
        self.shell.events.register("post_run_cell", self._after_cell)
        self.matcher.register()

    def unregister(self) -> None:
        """Take away all that `register` and the magics since then have added."""
        for kind in ("line", "cell"):
            self.shell.magics_manager.magics[kind].pop("glm", None)
        if self.settings in self.shell.configurables:
            self.shell.configurables.remove(self.settings)
        self.shell.events.unregister("post_run_cell", self._after_cell)
        self.matcher.unregister()
        # Not imported for that: widgets take longer to load than the rest.
        if panel := sys.modules.get("glm_magic.jupyter.views.panel"):
            panel.close_panel(self)
        self._forget_printers()
        if self._thread is not None and self._session is not None:
            self._thread.close(self._session.aclose)

    def open(self) -> tuple[Session, LoopThread]:
        """Return the session and the loop thread, made at the first request."""
        if self._session is None or self._thread is None:
            from glm_magic.api.loop import LoopThread
            from glm_magic.session.secrets import KeyRing
            from glm_magic.session.session import Session

            self._session = Session(self.settings, KeyRing(), _local_engine())
            self._thread = LoopThread()
            self._register_printers()
        return self._session, self._thread

    # -- the magics ------------------------------------------------------------------------

    @no_var_expand
    def glm(self, line: str, cell: str | None = None) -> Any:
        """Talk to a GLM model; the module sets this text to the full help."""
        try:
            return self._run(line, cell)
        except Stopped:
            raise
        except KeyboardInterrupt:  # before there was anything to keep
            raise Stopped("stopped; nothing came") from None
        except GlmError as error:
            self._redact(error)
            raise

    def _redact(self, error: GlmError) -> None:
        """Take keys out of a message: it may repeat a value that a line has named."""
        known = self._session.keys.known() if self._session else ()
        if find_keys(str(error), known):
            error.args = (redact(str(error), known),)
            error.__cause__ = error.__context__ = None  # which say the same

    def _run(self, line: str, cell: str | None) -> Any:
        refuse_keys(line)
        word = (line.split() or [""])[0]
        if word == "embed":
            return self._embed(line.split(None, 1)[1:], cell or "")
        is_chat = word.startswith("-") and word not in ("-h", "--help")
        if cell is None and not is_chat:
            return run_line(self, line)
        if word and not word.startswith("-"):
            raise SettingsError(unknown_word(word))
        if cell is None and "--use" not in line:
            raise SettingsError("a prompt goes below a %%glm line; `%glm --use NAME` needs none")
        from glm_magic.jupyter.chat import run_cell

        return run_cell(self, line, (cell or "").strip("\n"))

    def keep(self, exchange: Exchange) -> None:
        """Remember a reply as `_glm` and in its chat, and what it answers."""
        session, _ = self.open()
        session.keep(exchange)
        self.shell.push({"_glm": exchange.reply}, interactive=False)

    def hand_over(self, value: T, name: str | None = None) -> T:
        """Return a value that is on screen already, assigned to a variable too if one is named."""
        if name:
            self.shell.push({name: value})
        self._just_shown = value
        return value

    def _embed(self, rest: list[str], cell: str) -> Embeddings | Comparison | None:
        options = parse_embed_options(split_words(" ".join(rest)))
        if options is None:
            return print(help_of("embed"))
        from glm_magic.jupyter.embed import run_embed

        return run_embed(self, cell, options)

    def turn_key(self, *, is_dry: bool = False) -> TurnKey:
        """Return what the next turn belongs to; where cells have no ids, to itself alone.

        Args:
            is_dry: whether there will be no turn.
        """
        from glm_magic.session.chats import TurnKey

        parent = self._parent()
        cell = parent.get("metadata", {}).get("cellId")
        request = parent.get("header", {}).get("msg_id")
        if cell and request != self._request_id:
            self._request_id, self._turns = request, 0
        key = TurnKey(str(cell or ""), self._turns if cell else self._keyless)
        if not is_dry:
            self._turns += 1
            self._keyless += 1
        return key

    def _parent(self) -> dict[str, Any]:
        """The front end's request that is being executed."""
        kernel: Any = getattr(self.shell, "kernel", None)
        return (kernel.get_parent("shell") if hasattr(kernel, "get_parent") else None) or {}

    def endpoint(self, settings: GlmMagic | None = None, *, is_dry: bool = False) -> Endpoint:
        """Return where requests go; say once when it is the local engine for want of a key.

        Args:
            settings: those of one line, where it has its own.
            is_dry: whether nothing will be sent, so that no key is needed.
        """
        session, _ = self.open()
        if is_dry and (settings or self.settings).endpoint == "auto" and not session.has_answer():
            from glm_magic.api.endpoints import parse_endpoint

            return parse_endpoint("bigmodel")
        endpoint = session.endpoint(settings)
        if settings and settings.endpoint != self.settings.endpoint:
            return endpoint
        if session.fell_back_to_local() and not self._said_local:
            self._said_local = True
            print(_LOCAL_ANSWERS)
        return endpoint

    # -- shown once ------------------------------------------------------------------------

    def _register_printers(self) -> None:
        """Show replies as they were streamed; the first time they are on screen already."""
        formatter = self._printers()
        # By name: numpy, which embeddings need, is no concern of a chat.
        for module, name in _SHOWN_TYPES:
            formatter.for_type_by_name(module, name, self._print)

    def _forget_printers(self) -> None:
        if self._session is None:
            return
        for module, name in _SHOWN_TYPES:
            self._printers().pop(f"{module}.{name}", None)

    def _printers(self) -> Any:
        return self.shell.display_formatter.ipython_display_formatter

    def _print(self, value: Any) -> None:
        from glm_magic.jupyter.views.show import show_value

        if value is self._just_shown:
            self._just_shown = None
        else:
            show_value(value)

    def _after_cell(self, result: Any) -> None:
        """Forget what the cell has shown; note the exception that `%glm error` may be asked of."""
        self._just_shown = None
        error = result.error_in_exec or result.error_before_exec
        if error is not None and not isinstance(error, (GlmError, KeyboardInterrupt)):
            self.last_error = error


Glm.glm.__doc__ = general_help()


def _read_settings(shell: InteractiveShell) -> GlmMagic:
    """The settings with what IPython's configuration has for them, if that is right."""
    try:
        return GlmMagic(parent=shell)
    except TraitError as error:
        print(f"glm: c.GlmMagic in IPython's configuration is not used: {error}")
        return GlmMagic()


def _local_engine() -> LocalEngine:
    from glm_magic.local.transport import LocalTransport, is_installed
    from glm_magic.local.weights import DEFAULT_MODEL, EMBEDDING_MODEL
    from glm_magic.local.wire import SHARED_FIELDS
    from glm_magic.session.session import LocalEngine

    return LocalEngine(is_installed, LocalTransport, DEFAULT_MODEL, EMBEDDING_MODEL, SHARED_FIELDS)
