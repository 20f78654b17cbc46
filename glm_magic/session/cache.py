"""Answers of this session by their requests, so that the same request need not be paid twice."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from glm_magic.api.endpoints import Endpoint
from glm_magic.api.reply import Reply
from glm_magic.api.requests import ChatRequest

__all__ = ["ReplyCache"]

# The one used longest ago goes first.
_LIMIT = 500

_Key = tuple[Endpoint, ChatRequest]


class ReplyCache:
    """The last 500 whole replies; in memory only."""

    def __init__(self) -> None:
        self._replies: OrderedDict[_Key, Reply] = OrderedDict()

    def find(self, request: ChatRequest, endpoint: Endpoint) -> Reply | None:
        """Return the reply to the same request at the same endpoint; None if there is none."""
        key = _key(request, endpoint)
        if (reply := self._replies.get(key)) is None:
            return None
        self._replies.move_to_end(key)
        return replace(reply, is_cached=True)

    def keep(self, request: ChatRequest, endpoint: Endpoint, reply: Reply) -> None:
        """Keep a reply, if it is whole and came from there."""
        if (
            reply.is_cached
            or reply.state != "complete"
            or reply.finish_reason not in (None, "stop")
        ):
            return
        key = _key(request, endpoint)
        self._replies[key] = reply
        self._replies.move_to_end(key)
        while len(self._replies) > _LIMIT:
            self._replies.popitem(last=False)


def _key(request: ChatRequest, endpoint: Endpoint) -> _Key:
    """How it is sent does not change what is asked."""
    return endpoint, replace(request, stream=True)
