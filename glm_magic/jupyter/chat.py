"""A chat request out, its reply on the screen, in `_`, `_glm` and the variable that was named."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from glm_magic.api.loop import Job, pump
from glm_magic.api.reply import Format, Reply
from glm_magic.errors import Stopped
from glm_magic.jupyter.runner import follow, uninterrupted
from glm_magic.jupyter.show import Look, ReplyView, new_view, show_value
from glm_magic.render.clean import clean_text
from glm_magic.render.footer import ending_line
from glm_magic.session.exchange import Exchange, join_replies

if TYPE_CHECKING:
    from glm_magic.api.endpoints import Endpoint
    from glm_magic.api.requests import ChatRequest
    from glm_magic.api.stream import ReplyStream
    from glm_magic.jupyter.magics import Glm
    from glm_magic.session.options import ChatOptions


def run_chat(glm: Glm, prompt: str, options: ChatOptions) -> Reply | None:
    """Ask what a cell asks; None when the wait for a task was stopped."""
    session, _ = glm.open()
    endpoint = glm.endpoint()
    request = session.chat_request(prompt, options, endpoint)
    form = options.format or ("code" if options.extract else "md")
    ask_in_turn = ask_as_task if options.task else ask
    reply = ask_in_turn(glm, request, endpoint, form, out=options.out)
    if options.extract and reply is not None:
        _extract(glm, reply)
    return reply


def ask(
    glm: Glm,
    request: ChatRequest,
    endpoint: Endpoint,
    form: Format,
    *,
    out: str | None = None,
    before: Exchange | None = None,
) -> Reply:
    """Send a request, show the reply as it comes, and hand it over.

    Args:
        form: how it is shown.
        out: a variable to assign it to.
        before: the exchange that this request goes on with; the two replies become one.

    Raises:
        Stopped: the kernel was interrupted; what came is kept all the same.
    """
    session, thread = glm.open()
    stream = session.client(endpoint).stream(request)
    exchange = before or Exchange(request, endpoint, Reply())
    look = Look(request.model, endpoint.host, form, start=exchange.reply.text)
    view: ReplyView | None = None
    try:
        with Job(thread, lambda put: pump(stream, put)) as job:
            with uninterrupted():
                view = new_view(glm.shell, look, job.stop)
            follow(job, view)
    except KeyboardInterrupt:
        raise Stopped("stopped; the partial answer is in _glm, `%glm continue` goes on") from None
    finally:
        with uninterrupted():
            reply = replace(_whole(stream, before), format=form)
            glm.keep(reply, exchange)
            view.finish(reply) if view else show_value(reply)
    return glm.hand_over(reply, out)


def _whole(stream: ReplyStream, before: Exchange | None) -> Reply:
    """The reply as it ended; one stopped before its first step never told so."""
    reply = stream.reply
    if reply.state == "streaming":
        reply = replace(reply, state="stopped")
    return join_replies(before.reply, reply) if before else reply


def ask_as_task(
    glm: Glm, request: ChatRequest, endpoint: Endpoint, form: Format, *, out: str | None = None
) -> Reply | None:
    """Submit a request as a task and wait for its reply; None when told to stop waiting."""
    from glm_magic.jupyter.tasks import run_task

    exchange = Exchange(request, endpoint, Reply(format=form), is_task=True)
    return run_task(glm, exchange, out=out)


def _extract(glm: Glm, reply: Reply) -> None:
    """Put the first code block into the next cell, cleaned; nothing runs it."""
    if ending_line(reply):
        print("glm: the answer is not complete; no cell was made of its code")
    elif code := reply.code:
        glm.shell.set_next_input(clean_text(code).rstrip("\n"))
    else:
        print("glm: no code block in the answer; no cell was made")
