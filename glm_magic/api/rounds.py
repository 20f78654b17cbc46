"""What came before the last request of a reply: calls of functions, or an answer to be mended.

The order of messages that servers expect: the assistant's message with its calls, then one
message of role "tool" for each of them (docs.bigmodel.cn, function calling, read May 2026).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from glm_magic.api.events import Usage
from glm_magic.api.requests import Message
from glm_magic.api.tool import ToolCall

__all__ = ["Call", "CallState", "Round", "messages_of_rounds"]

CallState = Literal["asked", "running", "done", "failed", "refused", "declined", "stopped"]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a function, and what came of it.

    Attributes:
        name, arguments: as the model wrote them; the arguments are to be JSON.
        id: tells which call a result belongs to.
        state: "asked" before anybody looked at it, "running", "done"; "failed" in the function,
            "refused" for what cannot be called so, "declined" by the user, "stopped".
        result: what the model gets of it, also of one that failed.
        printed: what the function printed.
        traceback: of the exception that it raised.
        seconds: how long the function took; None before it ended, or where nobody knows.
    """

    id: str
    name: str
    arguments: str
    state: CallState = "asked"
    result: str = ""
    printed: str = ""
    traceback: str = ""
    seconds: float | None = None

    @property
    def asked(self) -> ToolCall:
        """The call as the model asked for it."""
        return ToolCall(self.id, self.name, self.arguments)


@dataclass(frozen=True, slots=True)
class Round:
    """One request whose reply was not the last word.

    Attributes:
        text, reasoning: what the model wrote.
        calls: what it asked for.
        problem: why its text was no answer, in a few words; "" where it asked for calls.
        usage: its token counts; None when the server sent none.
    """

    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    problem: str = ""
    usage: Usage | None = None

    @property
    def is_open(self) -> bool:
        """Whether some of its calls were never made to their end."""
        return any(call.state in ("asked", "running", "stopped") for call in self.calls)

    def messages(self, *, keep_reasoning: bool = True) -> list[Message]:
        """Return the messages that the next request has of it.

        Args:
            keep_reasoning: whether the model's thoughts before its calls go along, as they are
                to within a reply.
        """
        reasoning = self.reasoning if keep_reasoning and self.calls else ""
        asked = tuple(call.asked for call in self.calls)
        own = Message("assistant", self.text, reasoning, asked)
        if self.problem:
            # Servers refuse a message without a text.
            said = [own] if self.text.strip() else []
            return [*said, Message("user", f"{_MEND} {self.problem}")]
        results = (Message("tool", call.result, call_id=call.id) for call in self.calls)
        return [own, *results]


_MEND = "This does not fit. Send the whole JSON once more, mended, and nothing else. The problem:"


def messages_of_rounds(rounds: Iterable[Round], *, keep_reasoning: bool = True) -> list[Message]:
    """Return the messages of all rounds in their order."""
    return [message for each in rounds for message in each.messages(keep_reasoning=keep_reasoning)]
