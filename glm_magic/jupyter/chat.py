"""A `%%glm` cell: its prompt asked, its reply on the screen, in `_`, `_glm` and a variable."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from glm_magic.api.reply import Reply
from glm_magic.errors import SettingsError, Stopped
from glm_magic.jupyter.commands import general_help
from glm_magic.jupyter.options import Fill, parse_chat_options
from glm_magic.jupyter.parser import split_words
from glm_magic.jupyter.rounds import Making, Stop
from glm_magic.jupyter.runner import uninterrupted
from glm_magic.jupyter.views.show import Look, ReplyView, is_watched, new_view, show_value
from glm_magic.render.clean import clean_text
from glm_magic.render.footer import context_words, ending_line
from glm_magic.session.asking import build_exchange, choose, place_for
from glm_magic.session.exchange import Exchange
from glm_magic.session.prompts import fill_prompt, protect
from glm_magic.session.templates import PromptTemplate

if TYPE_CHECKING:
    from glm_magic.api.requests import ChatRequest
    from glm_magic.jupyter.magics import Glm
    from glm_magic.session.options import ChatOptions


def run_cell(glm: Glm, line: str, cell: str) -> Reply | None:
    """Do what a line with its cell asks for; None where that gives no reply.

    Raises:
        SettingsError: something is wrong with the line or the cell; nothing was sent.
    """
    words = _split(line)
    as_typed = parse_chat_options(words, glm.settings, fill=None)
    if as_typed is None:
        return print(general_help())
    if as_typed.save or as_typed.define:
        _keep_template(glm, as_typed, words, cell)
        return None
    session, _ = glm.open()
    template = session.templates.find(as_typed.use) if as_typed.use else None
    words = [*template.words, *words] if template else words
    fill = _filler(glm, words)
    options = parse_chat_options(words, glm.settings, fill)
    assert options is not None
    if template is None:
        return run_prompt(glm, fill(cell), options)
    body, values = fill(cell), glm.shell.user_ns
    return run_prompt(
        glm, template.join(body) if options.raw else template.fill(values, body), options
    )


def _split(line: str) -> list[str]:
    """The words of a line; a `{{ }}` is one word or a part of one, whatever is in it."""
    if "--raw" in line.split():
        return split_words(line)
    protected, restore = protect(line)
    return [restore(word) for word in split_words(protected)]


def _filler(glm: Glm, words: list[str]) -> Fill:
    """What fills in the `{{ }}` of a text with values of the notebook."""
    return str if "--raw" in words else partial(fill_prompt, namespace=glm.shell.user_ns)


def _keep_template(glm: Glm, options: ChatOptions, words: list[str], cell: str) -> None:
    if options.use or (options.save and options.define):
        raise SettingsError("one of --save, --use and --def at a time")
    from glm_magic.jupyter.lines.templates import define_function, keep_template

    name = options.save or options.define or ""
    template = PromptTemplate(name, cell, tuple(_without(words, "--save", "--def")))
    if options.save:
        keep_template(glm, template)
    else:
        define_function(glm, template, options)


def _without(words: list[str], *options: str) -> list[str]:
    """The words without some options and the values of these."""
    kept: list[str] = []
    is_value = False
    for word in words:
        name, equals, _ = word.partition("=")
        if not is_value and name not in options:
            kept.append(word)
        is_value = name in options and not equals
    return kept


def run_prompt(glm: Glm, prompt: str, options: ChatOptions) -> Reply | None:
    """Ask what a prompt asks; None for a dry run, or when the wait for a task was stopped."""
    session, _ = glm.open()
    place = place_for(session, options, glm.turn_key(is_dry=options.dry_run))
    settings = choose(session, options, place)
    endpoint = glm.endpoint(settings, is_dry=options.dry_run)
    exchange = build_exchange(
        session,
        prompt,
        options,
        settings=settings,
        endpoint=endpoint,
        place=place,
        namespace=glm.shell.user_ns,
    )
    if options.dry_run:
        from glm_magic.jupyter.dry_run import show_request

        show_request(glm, exchange)
        return None
    reply = ask_in_its_way(glm, exchange, out=options.out)
    if options.extract and reply is not None:
        extract(glm, reply)
    return reply


def ask_in_its_way(glm: Glm, exchange: Exchange, *, out: str | None = None) -> Reply | None:
    """Answer a request from memory where that has it, or send it."""
    session, _ = glm.open()
    if answered := session.recall(exchange):
        return _show_cached(glm, answered, out)
    return send(glm, exchange, out=out)


def send(glm: Glm, exchange: Exchange, *, out: str | None = None) -> Reply | None:
    """Send a request as it is to be sent: as a stream, or as a task."""
    if not exchange.is_task:
        return ask(glm, exchange, out=out)
    from glm_magic.jupyter.lines.tasks import run_task

    return run_task(glm, exchange, out=out)


def _show_cached(glm: Glm, exchange: Exchange, out: str | None) -> Reply:
    glm.keep(exchange)
    show_value(exchange.reply)
    return glm.hand_over(exchange.reply, out)


def ask(
    glm: Glm, exchange: Exchange, *, out: str | None = None, goes_on: ChatRequest | None = None
) -> Reply:
    """Send a request, show the reply as it comes, and hand it over.

    Args:
        exchange: its reply tells how the answer is to look, and has what came of it before.
        out: a variable to assign it to.
        goes_on: the request to send in place of that of the exchange; the reply that came
            before and the new one become one.

    Raises:
        SettingsError: the budget would be passed; nothing was sent.
        ReplyError: the answer is whole, and not what was asked for; it is kept all the same.
        Stopped: the kernel was interrupted; what came is kept all the same.
    """
    if exchange.confirms and not is_watched(glm.shell):
        from glm_magic.jupyter.calling.caller import NOBODY_TYPES

        raise SettingsError(NOBODY_TYPES)
    making = Making(glm, exchange, partial(_view_of, glm, exchange), goes_on=goes_on)
    try:
        making.run()
    except KeyboardInterrupt:
        raise Stopped(_parting(making.reply)) from None
    finally:
        with uninterrupted():
            reply = _keep(glm, exchange, making)
    making.check()
    assert reply is not None
    return glm.hand_over(reply, out)


def _view_of(glm: Glm, exchange: Exchange, stop: Stop) -> ReplyView:
    return new_view(glm.shell, look_of(exchange), stop)


def _keep(glm: Glm, exchange: Exchange, making: Making[ReplyView]) -> Reply | None:
    """Keep what came and show it as it stays; nothing where nothing was sent."""
    if making.reply is None:
        return None
    ended = exchange.with_reply(making.reply)
    glm.keep(ended)
    making.view.finish(ended.reply) if making.view else show_value(ended.reply)
    return ended.reply


def _parting(reply: Reply | None) -> str:
    if reply is not None and reply.text.strip() and reply.state == "complete":
        return "stopped; the answer is in _glm"
    if reply is not None and reply.text.strip():
        return "stopped; the partial answer is in _glm, `%glm continue` goes on"
    if reply is not None and reply.calls:
        return "stopped; the calls so far are in _glm, `%glm again` sends it again"
    return "stopped before the answer began; `%glm again` sends it again"


def look_of(exchange: Exchange, **more: str) -> Look:
    """Return how the view of an exchange begins."""
    reply = exchange.reply
    words = context_words(reply.context) if reply.context else ""
    return Look(
        exchange.request.model,
        exchange.endpoint.host,
        reply.format,
        start=reply.text,
        reasoning=reply.shows_reasoning,
        context=words,
        schema=reply.schema,
        **more,
    )


def extract(glm: Glm, reply: Reply) -> None:
    """Put the first code block into the next cell, cleaned; nothing runs it."""
    if ending_line(reply):
        print("glm: the answer is not complete; no cell was made of its code")
    elif code := reply.code:
        glm.shell.set_next_input(clean_text(code).rstrip("\n"))
    else:
        print("glm: no code block in the answer; no cell was made")
