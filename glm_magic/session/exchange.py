"""The last question of a session and what came of it: asked again, or gone on with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from glm_magic.api.endpoints import Endpoint
from glm_magic.api.reply import Reply, merge_sources
from glm_magic.api.requests import ChatRequest, Message
from glm_magic.api.rounds import messages_of_rounds
from glm_magic.errors import SettingsError
from glm_magic.session.chats import Place, Turn
from glm_magic.session.settings import GlmMagic

if TYPE_CHECKING:
    from glm_magic.session.functions import Function

__all__ = ["Exchange", "build_continuation", "join_replies"]

_GO_ON = (
    "Continue your last message exactly where it broke off. Begin with the very next character; "
    "repeat nothing and add no introduction."
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request with its reply.

    Attributes:
        request: as it was first sent; going on with a reply does not change it.
        endpoint: where it was sent.
        reply: all that came of it by now, whole or not.
        is_task: whether it was submitted as an asynchronous task.
        place: where in which chat it goes; None where it belongs to no chat.
        settings: those that it was asked with.
        line: the settings of its own line alone.
        functions: what the model may have called; the request offers them by their names.
        confirms: whether the user is asked before each call.
    """

    request: ChatRequest
    endpoint: Endpoint
    reply: Reply
    is_task: bool = False
    place: Place | None = None
    settings: GlmMagic | None = None
    line: Mapping[str, Any] = field(default_factory=dict)
    functions: tuple[Function, ...] = ()
    confirms: bool = False

    def with_reply(self, reply: Reply) -> Exchange:
        """Return the exchange with what came of it, which looks as it was asked to look."""
        look = self.reply
        reply = replace(
            reply,
            format=look.format,
            schema=look.schema,
            context=look.context,
            shows_reasoning=look.shows_reasoning,
            has_footer=look.has_footer,
        )
        return replace(self, reply=reply)

    @property
    def turn(self) -> Turn | None:
        """The turn of a chat that came of it; None where nothing came that may be sent again."""
        reply = self.reply
        if self.place is None or reply.state == "withdrawn" or not reply.text.strip():
            return None
        prompt = self.request.messages[-1].content
        return Turn(self.place.key, prompt, reply, self.line.get("system"), self.line.get("model"))


def build_continuation(exchange: Exchange) -> ChatRequest:
    """Return the request that asks the model to go on from the text of a partial reply.

    Raises:
        SettingsError: there is nothing to go on from, or nothing to go on with.
    """
    reply = exchange.reply
    if reply.state == "withdrawn":
        raise SettingsError("the safety review withdrew the last answer; rephrase the prompt")
    if not reply.text.strip():
        raise SettingsError(
            "the last answer has no text to go on from; `%glm again` sends the request again"
        )
    if reply.state == "complete" and reply.finish_reason in (None, "stop"):
        raise SettingsError("the last answer is complete; `%glm again` sends the request again")
    if reply.state == "complete" and reply.finish_reason != "length":
        raise SettingsError(
            f"the last answer cannot go on: it ended with '{reply.finish_reason}'; "
            "`%glm again` sends the request again"
        )
    # llama.cpp, which the local engine is, goes on with a last message of the assistant's own;
    # of no other endpoint is that documented.
    asked = () if exchange.endpoint.is_local else (Message("user", _GO_ON),)
    said = (*messages_of_rounds(reply.rounds), Message("assistant", reply.text))
    # A new search would number its sources anew, and search for the request to go on; what is
    # held to a form begins anew.
    return replace(
        exchange.request,
        messages=(*exchange.request.messages, *said, *asked),
        web_search=None,
        functions=(),
        is_json=False,
        schema="",
    )


def join_replies(before: Reply, after: Reply) -> Reply:
    """Return one reply of a partial one and what the model went on with.

    Counts and times are those of the second request alone. Where both have a source of the same
    number, the first holds: the text that refers to it came first. A withdrawn second reply
    takes the first one with it.
    """
    if after.state == "withdrawn":
        return after
    failed = after.state == "failed" and before.text
    return replace(
        after,
        state="cut off" if failed else after.state,
        text=before.text + after.text,
        reasoning="\n\n".join(filter(None, (before.reasoning, after.reasoning))),
        found=merge_sources(after.found, before.found),
        rounds=before.rounds,
        served=(*before.served, *after.served),
        asked=before.asked or after.asked,
    )
