"""The `%glm` and `%%glm` magics: a line and a cell in, a reply on the screen and in `_`."""

from __future__ import annotations

import time
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import no_var_expand

from glm_magic.errors import SettingsError, Stopped
from glm_magic.jupyter.completion import GlmMatcher
from glm_magic.jupyter.options import (
    chat_help,
    embed_help,
    parse_chat_options,
    parse_embed_options,
    split_words,
)
from glm_magic.session.settings import GlmMagic, did_you_mean

# Only what `%load_ext` needs is imported above; HTTP, rendering and widgets take longer than
# loading may, so the functions that need them import them.
if TYPE_CHECKING:
    from glm_magic.api.endpoints import Endpoint
    from glm_magic.api.loop import LoopThread
    from glm_magic.api.reply import Reply
    from glm_magic.session.exchange import Exchange
    from glm_magic.session.session import LocalEngine, Session
    from glm_magic.study.embeddings import Embeddings

T = TypeVar("T")
_LOCAL_ANSWERS = (
    "glm: no API key found, so the small demo model on this machine answers; "
    "`%glm login` takes a key"
)
# What `%glm WORD` runs: module and function, imported when first used.
LINE_COMMANDS = {
    "": ("commands", "show_status"),
    "config": ("commands", "configure"),
    "login": ("commands", "log_in"),
    "help": ("commands", "show_help"),
    "-h": ("commands", "show_help"),
    "--help": ("commands", "show_help"),
    "models": ("models", "show_models"),
    "limits": ("limits", "show_limits"),
    "check": ("check", "check_endpoint"),
    "task": ("tasks", "show_tasks"),
    "again": ("again", "ask_again"),
    "continue": ("again", "go_on"),
}
_CELL_WORDS = ("embed",)
HELP = f"""{chat_help()}
{embed_help()}
%glm continue [-o NAME]        go on from the text of the last answer, where it is not complete
%glm again [-o NAME]           send the last request again
%glm config                    every setting, its value and whence it comes
%glm config NAME=VALUE ...     set some, or none if one is wrong
%glm login [ENDPOINT]          type a key, unseen, for this session and this host only
%glm models [-q TEXT]          the endpoint's models: context, output, prices
%glm limits [--this-month N] [--last-month N]
                               how many requests at a time, by tier; the tier of a spend in CNY
%glm check                     whether key, model, streaming and embeddings work
%glm task [ID]                 the asynchronous tasks of this session, or one of them
%glm help                      this text
"""
# The values of a cell that are on screen by the time the cell ends.
_SHOWN_TYPES = (
    ("glm_magic.api.reply", "Reply"),
    ("glm_magic.study.embeddings", "Embeddings"),
)


class Glm:
    """The magics of one shell."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell: Any = shell  # half of what is used of it has no types, or wrong ones
        self.settings = GlmMagic(parent=shell)
        self.matcher = GlmMatcher(shell)
        self._session: Session | None = None
        self._thread: LoopThread | None = None
        self._just_shown: object = None
        self._said_local = False

    # -- loading ---------------------------------------------------------------------------

    def register(self) -> None:
        """Add the magics, the settings and the completer to the shell."""
        self.shell.register_magic_function(self.glm, "line_cell", "glm")
        self.shell.configurables.append(self.settings)
        self.shell.events.register("post_run_cell", self._forget_shown)
        self.matcher.register()

    def unregister(self) -> None:
        """Take away all that `register` and the magics since then have added."""
        for kind in ("line", "cell"):
            self.shell.magics_manager.magics[kind].pop("glm", None)
        if self.settings in self.shell.configurables:
            self.shell.configurables.remove(self.settings)
        self.shell.events.unregister("post_run_cell", self._forget_shown)
        self.matcher.unregister()
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

    def _run(self, line: str, cell: str | None) -> Any:
        word, _, rest = line.strip().partition(" ")
        if cell is not None:
            return self._cell(word, line, rest, cell)
        if word not in LINE_COMMANDS:
            raise SettingsError(_unknown_word(word))
        module, function = LINE_COMMANDS[word]
        command = getattr(import_module(f"glm_magic.jupyter.{module}"), function)
        return command(self, rest)

    def _cell(self, word: str, line: str, rest: str, cell: str) -> Any:
        if word == "embed":
            return self._embed(rest, cell)
        if word and not word.startswith("-"):
            raise SettingsError(_unknown_word(word))
        return self._chat(line, cell)

    def _chat(self, line: str, cell: str) -> Reply | None:
        options = parse_chat_options(split_words(line))
        if options is None:
            return print(HELP)
        from glm_magic.jupyter.chat import run_chat

        return run_chat(self, cell.strip("\n"), options)

    def keep(self, reply: Reply, exchange: Exchange | None) -> None:
        """Remember a reply as `_glm`, and what it answers, as far as that is known."""
        session, _ = self.open()
        session.last = replace(exchange, reply=reply) if exchange else None
        self.shell.push({"_glm": reply}, interactive=False)

    def hand_over(self, value: T, name: str | None = None) -> T:
        """Return a value that is on screen already, assigned to a variable too if one is named."""
        if name:
            self.shell.push({name: value})
        self._just_shown = value
        return value

    def _embed(self, rest: str, cell: str) -> Embeddings | None:
        from glm_magic.api.loop import Job
        from glm_magic.jupyter.runner import wait_for
        from glm_magic.jupyter.show import show_value
        from glm_magic.study.embeddings import build_embeddings

        options = parse_embed_options(split_words(rest))
        if options is None:
            return print(HELP)
        texts = tuple(text for line in cell.splitlines() if (text := line.strip()))
        if not texts:
            raise SettingsError("the cell is empty; write one text a line below %%glm embed")
        session, thread = self.open()
        endpoint = self.endpoint()
        request = session.embedding_request(texts, options, endpoint)
        client, started = session.client(endpoint), time.perf_counter()
        job = Job(thread, lambda _: client.embed(request))
        reply = wait_for(job, "no vectors were kept")
        embeddings = build_embeddings(
            texts, reply, endpoint=endpoint.host, seconds=time.perf_counter() - started
        )
        show_value(embeddings)
        return self.hand_over(embeddings, options.out)

    def endpoint(self) -> Endpoint:
        """Return where requests go; say once when it is the local engine for want of a key."""
        session, _ = self.open()
        endpoint = session.endpoint()
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
        from glm_magic.jupyter.show import show_value

        if value is self._just_shown:
            self._just_shown = None
        else:
            show_value(value)

    def _forget_shown(self, *_: object) -> None:
        self._just_shown = None


Glm.glm.__doc__ = HELP


def _local_engine() -> LocalEngine:
    from glm_magic.local.transport import LocalTransport, is_installed
    from glm_magic.local.weights import DEFAULT_MODEL, EMBEDDING_MODEL
    from glm_magic.session.session import LocalEngine

    return LocalEngine(is_installed, LocalTransport, DEFAULT_MODEL, EMBEDDING_MODEL)


def _unknown_word(word: str) -> str:
    known = [*filter(str.isalpha, LINE_COMMANDS), *_CELL_WORDS]
    hint = did_you_mean(word, known) or "; the line holds options, the prompt goes below it"
    return f"unknown word '{word}' after glm{hint}"
