"""`%%glm --save`, `--def` and `%glm templates`: prompts with variables, kept or made functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from glm_magic.api.reply import Reply
from glm_magic.errors import SettingsError, Stopped
from glm_magic.jupyter.options import parse_chat_options
from glm_magic.jupyter.rounds import Making
from glm_magic.jupyter.runner import Unseen
from glm_magic.jupyter.views.show import show_table
from glm_magic.render.templates import render_templates, render_templates_plain
from glm_magic.session.asking import build_exchange
from glm_magic.session.names import did_you_mean
from glm_magic.session.prompts import fill_prompt

if TYPE_CHECKING:
    from glm_magic.jupyter.magics import Glm
    from glm_magic.session.exchange import Exchange
    from glm_magic.session.options import ChatOptions
    from glm_magic.session.templates import PromptTemplate


def keep_template(glm: Glm, template: PromptTemplate) -> None:
    """Keep a prompt under a name."""
    session, _ = glm.open()
    session.templates.keep(template)
    print(f"template '{template.name}' is kept, {_needs(template)}; nothing was sent")


def _needs(template: PromptTemplate) -> str:
    names = ", ".join(template.variables)
    return f"with {names}" if names else "without variables"


def show_templates(glm: Glm) -> None:
    """List the templates of the session."""
    session, _ = glm.open()
    if kept := session.templates.all():
        show_table(render_templates(kept), render_templates_plain(kept))
    else:
        print("no templates yet in this session; `%%glm --save NAME` keeps the cell as one")


# How one cell is asked, shown or kept is nothing for a function.
_NOT_FOR_FUNCTIONS = {
    "goes_on": "--continue",
    "task": "--task",
    "dry_run": "--dry-run",
    "extract": "--extract",
    "out": "--out",
}


def define_function(glm: Glm, template: PromptTemplate, options: ChatOptions) -> None:
    """Assign a function of a prompt's variables to the name of the template.

    Raises:
        SettingsError: it is empty, or has an option that a function has no use for.
    """
    given = [flag for name, flag in _NOT_FOR_FUNCTIONS.items() if getattr(options, name)]
    given += ["--chat"] if options.settings.get("chat") else []
    if given:
        raise SettingsError(
            f"a function belongs to no chat and shows nothing; leave out {given[0]}"
        )
    if not template.text.strip():
        raise SettingsError("the cell is empty; write the prompt below the %%glm line")
    function = make_function(glm, template)
    glm.shell.push({template.name: function})
    print(f"{template.name}{inspect.signature(function)} is defined; nothing was sent")


def make_function(glm: Glm, template: PromptTemplate) -> Callable[..., Reply]:
    """Return a function that fills a prompt with its keyword arguments and returns the reply.

    It shows nothing while it works and belongs to no chat. It raises what a cell would.
    """
    names, shell = template.variables, glm.shell

    def ask(**values: Any) -> Reply:
        _check_arguments(template.name, names, values)
        now = _magics_of(shell)
        return ask_quietly(now, _build(now, template, values))

    ask.__name__ = ask.__qualname__ = template.name
    ask.__doc__ = f"Ask a model and return its Reply.\n\n{template.text}"
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter(name, kind) for name in names if name.isidentifier()]
    ask.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return ask


def _magics_of(shell: Any) -> Glm:
    """The magics as they are loaded now: the function may be older."""
    from glm_magic import magics_of

    glm: Glm | None = magics_of(shell)
    if glm is None:
        raise SettingsError("glm_magic is not loaded; run `%load_ext glm_magic`")
    return glm


def _check_arguments(name: str, wanted: tuple[str, ...], given: dict[str, Any]) -> None:
    missing = [each for each in wanted if each not in given]
    unknown = [each for each in given if each not in wanted]
    if unknown:
        near = did_you_mean(unknown[0], wanted)
        raise SettingsError(f"{name}() takes no '{unknown[0]}'{near}; nothing was sent")
    if missing:
        raise SettingsError(f"{name}() needs {', '.join(missing)}; nothing was sent")


def _build(glm: Glm, template: PromptTemplate, values: dict[str, Any]) -> Exchange:
    words = list(template.words)
    fill = str if template.is_raw else partial(fill_prompt, namespace=values)
    options = parse_chat_options(words, glm.settings, fill)
    assert options is not None
    session, _ = glm.open()
    settings = session.settings.over({"chat": "", **options.settings})
    endpoint = glm.endpoint(settings)
    prompt = fill(template.text)
    return build_exchange(
        session,
        prompt,
        options,
        settings=settings,
        endpoint=endpoint,
        namespace=glm.shell.user_ns,
    )


def ask_quietly(glm: Glm, exchange: Exchange) -> Reply:
    """Send a request, wait for its reply and return it; nothing is shown.

    Raises:
        SettingsError: the budget would be passed; nothing was sent.
        StreamError: the reply broke off; it rides on the error.
        ReplyError: the answer is whole, and not what was asked for.
        Stopped: the kernel was interrupted.
    """
    session, _ = glm.open()
    if answered := session.recall(exchange):
        return answered.reply
    making = Making(glm, exchange, lambda _: Unseen())
    try:
        making.run()
    except KeyboardInterrupt:
        raise Stopped("stopped; the answer was not kept") from None
    making.check()
    assert making.reply is not None
    reply = exchange.with_reply(making.reply).reply
    session.cache.keep(exchange.request, exchange.endpoint, reply)
    return reply
