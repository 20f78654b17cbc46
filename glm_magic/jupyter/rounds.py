"""A reply in the making: requests sent, the calls between them made, all of it shown."""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from inspect import iscoroutinefunction, unwrap
from math import inf
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from glm_magic.api.events import Waiting
from glm_magic.api.loop import Job, pump
from glm_magic.jupyter.calling.cleared import clearing_noticed
from glm_magic.jupyter.runner import View, follow, uninterrupted
from glm_magic.session.leaks import redact
from glm_magic.session.rounds import Rounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glm_magic.api.reply import Reply
    from glm_magic.api.requests import ChatRequest
    from glm_magic.api.rounds import Call, Round
    from glm_magic.api.stream import ReplyStream
    from glm_magic.jupyter.calling.caller import Caller
    from glm_magic.jupyter.magics import Glm
    from glm_magic.session.exchange import Exchange

__all__ = ["Making", "RoundsView", "Stop"]


class RoundsView(View, Protocol):
    """What shows a reply of several rounds."""

    def show_rounds(self, rounds: Sequence[Round]) -> None:
        """Show all rounds so far; what comes next is not of them."""

    def show_again(self) -> None:
        """Show itself once more where the output of the cell has been cleared."""


class Stop:
    """What the Stop button does: it ends the stream, or the function, that is at work."""

    def __init__(self) -> None:
        self.is_asked = False
        self._lock = threading.Lock()
        self._end: Callable[[], None] | None = None

    def __call__(self) -> None:
        """Stop; safe from any thread."""
        with self._lock:
            self.is_asked = True
            if self._end is not None:
                self._end()

    @contextmanager
    def by(self, end: Callable[[], None]) -> Iterator[None]:
        """Let `end` be what ends the block."""
        with self._lock:
            self._end = end
            if self.is_asked:
                end()
        try:
            yield
        finally:
            with self._lock:
                self._end = None


def _interrupt_main() -> None:
    """Interrupt the main thread as the kernel would, also where it sleeps."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)
    else:
        _thread.interrupt_main()


V = TypeVar("V", bound=RoundsView)


class Making(Generic[V]):
    """The way from a request to its reply, on the main thread.

    Args:
        new_view: makes the view, given what its Stop button does, when the first request is
            on its way.
    """

    def __init__(
        self,
        glm: Glm,
        exchange: Exchange,
        new_view: Callable[[Stop], V],
        *,
        goes_on: ChatRequest | None = None,
    ) -> None:
        session, self._thread = glm.open()
        self._shell = glm.shell
        self._session, self._exchange = session, exchange
        settings = exchange.settings or session.settings
        self._redact = partial(redact, known=session.keys.known())
        self._rounds = Rounds(
            exchange, most=settings.max_tool_rounds, goes_on=goes_on, redact=self._redact
        )
        self._new_view = new_view
        self.view: V | None = None
        self._stop = Stop()
        self._caller = self._new_caller()

    def _new_caller(self) -> Caller | None:
        if not self._exchange.functions:
            return None
        from glm_magic.jupyter.calling.caller import Caller
        from glm_magic.jupyter.calling.own_loop import refuse_other_patch

        if any(iscoroutinefunction(unwrap(each.call)) for each in self._exchange.functions):
            refuse_other_patch()
        by_name = {each.tool.name: each for each in self._exchange.functions}
        return Caller(by_name, self._exchange.confirms, self._redact)

    @property
    def reply(self) -> Reply | None:
        """All that came so far; None where nothing was sent."""
        return self._rounds.reply if self._rounds.has_begun else None

    def run(self) -> None:
        """Go on until the reply has ended, or the Stop button was pressed.

        Raises:
            SettingsError: the budget would be passed, or nobody can be asked about a call.
            GlmError: whatever may go wrong with a request.
            KeyboardInterrupt: the kernel was interrupted.
        """
        while not self._stop.is_asked and (request := self._rounds.request):
            self._send(request)
            self._rounds.judge()
            # A call is shown when it begins; unless somebody is asked about it first.
            if not self._rounds.calls or self._exchange.confirms:
                self._show_rounds("asking you …" if self._rounds.calls else "")
            self._make_calls()

    def check(self) -> None:
        """Raise where the reply has ended and is not what was asked for; see `Rounds.check`."""
        self._rounds.check()

    def _send(self, request: ChatRequest) -> None:
        endpoint = self._exchange.endpoint
        with self._session.reserve(request, endpoint) as held:
            client = self._session.client(endpoint, self._exchange.settings)
            stream = client.stream(request)
            try:
                with Job(self._thread, lambda put: pump(stream, put)) as job:
                    with uninterrupted():
                        self.view = self.view or self._new_view(self._stop)
                    with self._stop.by(job.stop):
                        follow(job, self.view)
            finally:
                with uninterrupted():
                    own = _ended(stream)
                    self._session.note(own, request, held)
                    self._rounds.end(own)

    def _make_calls(self) -> None:
        for place, call in enumerate(self._rounds.calls):
            if self._stop.is_asked or self._caller is None:
                return
            try:
                with self._stop.by(_interrupt_main), clearing_noticed(self._shell) as cleared:
                    self._caller.make(call, partial(self._note, place))
            except KeyboardInterrupt:
                if not self._stop.is_asked:
                    raise
            finally:
                if cleared and self.view is not None:
                    self.view.show_again()

    def _note(self, place: int, call: Call) -> None:
        self._rounds.note(place, call)
        self._show_rounds(f"calling {call.name} …" if call.state == "running" else "")

    def _show_rounds(self, phase: str = "") -> None:
        if self.view is None or not (rounds := self._rounds.so_far):
            return
        self.view.show_rounds(rounds)
        if phase:
            self.view.feed([Waiting(inf, phase)])
        self.view.paint()


def _ended(stream: ReplyStream) -> Reply:
    """The reply as it ended; one stopped before its first step never told so."""
    reply = stream.reply
    return replace(reply, state="stopped") if reply.state == "streaming" else reply
