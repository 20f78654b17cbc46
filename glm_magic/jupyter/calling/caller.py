"""One call that the model asks for: checked, asked about, made, and put into words for it."""

from __future__ import annotations

import inspect
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from IPython.core.error import StdinNotImplementedError

from glm_magic.api.characters import valid_unicode
from glm_magic.api.rounds import Call
from glm_magic.errors import SettingsError
from glm_magic.jupyter.calling.own_loop import run_on_own_loop
from glm_magic.jupyter.calling.printed import Printed, printed
from glm_magic.jupyter.interrupts import heeded_interrupts
from glm_magic.jupyter.question import says_yes
from glm_magic.render.calls import exact_line
from glm_magic.session.functions import ArgumentsError, Function
from glm_magic.session.results import ResultError, error_text, result_text

__all__ = ["NOBODY_TYPES", "Caller"]

# Of a traceback that is longer only the start and the end say anything.
_TRACEBACK_CHARACTERS = 10_000
# Between the function's own frames and the cell there is nothing that a reader looks for.
_MACHINERY = ("glm_magic.", "asyncio", "nest_asyncio2", "contextlib")


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls functions of the notebook for the model, on the thread that calls this.

    Attributes:
        functions: by the names that the model was told; no other can be called.
        confirms: whether the user is asked first.
        redact: takes keys out of a text.
    """

    functions: Mapping[str, Function]
    confirms: bool
    redact: Callable[[str], str]

    def make(self, call: Call, note: Callable[[Call], None]) -> None:
        """Make one call; whatever goes wrong in it becomes its result.

        Args:
            note: told that it runs, and then what came of it, also when it is interrupted.

        Raises:
            KeyboardInterrupt: the kernel was interrupted.
            SettingsError: nobody can be asked.
        """
        try:
            function = self._find(call)
            args, named = function.bind(call.arguments)
        except ArgumentsError as error:  # a validator of the user's own may have said it
            told = self.redact(f"error: {error}")
            return note(replace(call, state="refused", result=told))
        if self.confirms and not _is_wanted(call):
            return note(replace(call, state="declined", result=_DECLINED))
        note(replace(call, state="running"))
        note(self._run(call, function, args, named, note))
        return None

    def _find(self, call: Call) -> Function:
        if call.name not in self.functions:
            there = ", ".join(self.functions)
            raise ArgumentsError(f"there is no function '{call.name[:80]}'; there are: {there}")
        return self.functions[call.name]

    def _run(
        self,
        call: Call,
        function: Function,
        args: tuple[Any, ...],
        named: dict[str, Any],
        note: Callable[[Call], None],
    ) -> Call:
        started = time.perf_counter()
        with printed() as taken:
            ended = _Ended(call, started, taken, self.redact)
            try:
                with heeded_interrupts():
                    value = function.call(*args, **named)
                    if inspect.isawaitable(value):
                        value = run_on_own_loop(value)
                return ended.with_value(value)
            except KeyboardInterrupt:
                note(ended.stopped())
                raise
            # All of them: an exit or a cancelled task within is the function's affair too.
            except BaseException as error:
                return ended.with_error(error)


NOBODY_TYPES = "--confirm asks before each call, and nobody can type here; leave it out"
_DECLINED = "error: the user declined this call"


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a call ended, in each of its ways."""

    call: Call
    started: float
    printed: Printed
    redact: Callable[[str], str]

    def _with(self, **more: Any) -> Call:
        seconds = time.perf_counter() - self.started
        taken = valid_unicode(self.printed.text(self.redact))
        return replace(self.call, printed=taken, seconds=seconds, **more)

    def with_value(self, value: object) -> Call:
        try:
            return self._with(state="done", result=result_text(value, self.redact))
        except ResultError as error:
            return self._with(state="failed", result=self.redact(f"error: {error}"))

    def with_error(self, error: BaseException) -> Call:
        told = _cut(self.redact(valid_unicode(_format(error))))
        return self._with(state="failed", result=error_text(error, self.redact), traceback=told)

    def stopped(self) -> Call:
        return self._with(state="stopped", result="error: the user stopped this call")


def _format(error: BaseException) -> str:
    """The traceback as Python prints it, from the function's own frame on."""
    try:
        lines = traceback.format_exception(type(error), error, _own_frames(error.__traceback__))
        return "".join(lines)
    except (Exception, SystemExit) as broken:  # an exception whose own text raises
        return f"{type(error).__name__} (no traceback: {type(broken).__name__})"


def _cut(text: str) -> str:
    if len(text) <= _TRACEBACK_CHARACTERS:
        return text
    half = _TRACEBACK_CHARACTERS // 2
    return f"{text[:half]}\n…\n{text[-half:]}"


def _own_frames(frames: TracebackType | None) -> TracebackType | None:
    while frames is not None and _is_machinery(frames):
        frames = frames.tb_next
    return frames


def _is_machinery(frames: TracebackType) -> bool:
    module = str(frames.tb_frame.f_globals.get("__name__", ""))
    return module.startswith(_MACHINERY)


def _is_wanted(call: Call) -> bool:
    try:
        return says_yes(f"Call {exact_line(call)}?")
    except EOFError:  # Ctrl-D
        return False
    except StdinNotImplementedError:
        raise SettingsError(NOBODY_TYPES) from None
