"""How a reply ended and what it took, in words: the lines around an answer."""

from __future__ import annotations

from collections.abc import Iterator

from glm_magic.api.events import Usage, in_words
from glm_magic.api.reply import Context, Reply
from glm_magic.render.clean import clean_line
from glm_magic.render.words import counted, timed

__all__ = ["context_notes", "context_words", "ending_line", "footer_line", "header_line"]

# Under this a speed says more of the network's buffers than of the model.
_LEAST_S = 0.2

_EARLY = {
    "length": "the token limit was reached",
    "sensitive": "the safety review ended it",
    "network_error": "the platform failed",
    "model_context_window_exceeded": "the model's context is full",
    "tool_calls": "it asks for a tool",
}


def header_line(reply: Reply, *, note: str = "") -> str:
    """Return the model, where it answered, and what of a chat went along.

    Args:
        note: what kind of model it is, plain text.
    """
    model = _substitution(reply) or reply.model
    model = f"{model} ({note})" if note else model
    context = context_words(reply.context) if reply.context else ""
    return " · ".join(filter(None, map(clean_line, (model, reply.endpoint, context))))


def context_words(context: Context) -> str:
    """Return which turn of which chat it is, and what is to be known of the turns before it."""
    chat = f"chat {clean_line(context.chat, 80)}, " if context.chat else ""
    turn = "" if context.is_single else f"{chat}turn {context.number}"
    return " · ".join(filter(None, (turn, context_notes(context))))


def context_notes(context: Context) -> str:
    """Return what of a chat did not go along, or is out of date; "" where all is well."""
    notes = []
    if context.left_out:
        many = context.left_out > 1
        what = f"{context.left_out} turns were" if many else "turn was"
        notes.append(f"the oldest {what} left out")
    if context.stale:
        notes.append(
            "1 stale turn is not sent"
            if context.stale == 1
            else f"{context.stale} stale turns are not sent"
        )
    return " · ".join(notes)


def _substitution(reply: Reply) -> str:
    asked = reply.asked_model
    return f"asked for {asked}, answered by {reply.model}" if asked else ""


def footer_line(reply: Reply) -> str:
    """Return counts, times, speed, cost and how it ended; what is not known is left out."""
    return " · ".join(_facts(reply))


def _facts(reply: Reply) -> Iterator[str]:
    if reply.requests > 1:
        yield counted(reply.requests, "request")
    if reply.usage is not None:
        yield from _counts(reply.usage)
    if reply.first_token_s is not None:
        yield f"first token {timed(reply.first_token_s)}"
    yield f"total {timed(reply.seconds)}"
    yield from _speed(reply)
    yield from _cost(reply)
    yield _reason(reply)


def _counts(usage: Usage) -> Iterator[str]:
    cached = f" ({usage.cached_tokens:,} cached)" if usage.cached_tokens else ""
    yield f"{usage.prompt_tokens:,} tokens in{cached}"
    reasoning = f" ({usage.reasoning_tokens:,} reasoning)" if usage.reasoning_tokens else ""
    yield f"{usage.completion_tokens:,} out{reasoning}"


def _speed(reply: Reply) -> Iterator[str]:
    """Tokens a second; nothing for a reply too short to tell."""
    lasted = reply.seconds - (reply.first_token_s or 0.0)
    if reply.requests > 1:  # the time of calls is in it
        return
    if reply.tokens_per_s and lasted > _LEAST_S:
        yield f"{reply.tokens_per_s:.0f} tokens/s"


def _cost(reply: Reply) -> Iterator[str]:
    """The estimate with the date of the price list, or why there is none."""
    if reply.is_cached:
        yield "from this session's memory, nothing was sent"
        return
    if reply.usage is None or reply.billed_in is None:
        return
    if reply.cost is None:
        yield "cost unknown"
        return
    is_partial = reply.found and reply.search_cost is None
    search = " without the search" if is_partial else ""
    yield f"{reply.cost.in_words}{search} (prices of {reply.cost.read})"


def _reason(reply: Reply) -> str:
    """The reason of the end in a few words; `ending_line` says more where it matters."""
    if reply.state != "complete":
        return reply.state
    if reply.finish_reason in (None, "stop"):
        return "finished"
    return _EARLY.get(reply.finish_reason, f"ended: {clean_line(reply.finish_reason)}")


def ending_line(reply: Reply) -> str:
    """Return in words how the reply ended; "" when it simply ended."""
    if reply.state == "failed":
        return "no answer came"
    if reply.state == "withdrawn":
        return f"withdrawn by the safety review: unsafe content{in_words(reply.filtered)}"
    if reply.state in ("stopped", "cut off"):
        return f"{reply.state}: the answer is not complete"
    if reply.finish_reason in (None, "stop"):
        return "" if reply.text.strip() or reply.state == "streaming" else "the answer is empty"
    words = _EARLY.get(reply.finish_reason, clean_line(reply.finish_reason))
    return f"ended early: {words}{_starved(reply)}"


def _starved(reply: Reply) -> str:
    if reply.finish_reason != "length" or reply.text.strip():
        return ""
    return "; reasoning used it up, raise --max-tokens or use --thinking off"
