"""A rough count of tokens without a tokenizer: before a request is sent, or where no count came.

Source: docs.bigmodel.cn (2026) counts 1.5 Chinese characters a token on its page of the API, and
0.75 English words, which is about 4 characters with the blank.
"""

from __future__ import annotations

from collections.abc import Iterable

from glm_magic.api.requests import ChatRequest, Message

__all__ = ["estimate_messages", "estimate_prompt", "estimate_tokens"]

# The chat template of the open models: "[gMASK]<sop>" in front, "<|user|>" and a line feed before
# each message, "<|assistant|>" and a line feed at the end.
_TOKENS_OF_MESSAGE = 2
_TOKENS_AROUND = 4


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a text has: at least 1, and 0 for an empty one."""
    # A Chinese character has two bytes more in UTF-8 than an ASCII one. So `wide` characters are
    # half of bytes - characters, and wide / 1.5 + (characters - wide) / 4 is this.
    # Lone surrogates, which Python's text may have, count as three bytes.
    total = len(text) + 5 * len(text.encode("utf-8", "surrogatepass"))
    return -(-total // 24)


def estimate_messages(messages: Iterable[Message]) -> int:
    """Return about how many prompt tokens messages have: texts, reasoning, calls of functions."""
    counts = [sum(map(estimate_tokens, _texts(m))) + _TOKENS_OF_MESSAGE for m in messages]
    return sum(counts) + _TOKENS_AROUND if counts else 0


def _texts(message: Message) -> list[str]:
    calls = (text for call in message.calls for text in (call.name, call.arguments))
    return [message.content, message.reasoning, *calls]


def estimate_prompt(request: ChatRequest) -> int:
    """Return about how many prompt tokens a request has, the functions it offers included."""
    offered = (text for f in request.functions for text in (f.name, f.description, f.parameters))
    return estimate_messages(request.messages) + sum(map(estimate_tokens, offered))
