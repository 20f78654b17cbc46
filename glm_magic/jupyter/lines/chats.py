"""`%glm history`, `chats`, `reset`, `fork`, `export` and `import`: the chats of a session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from glm_magic.api.tokens import estimate_tokens
from glm_magic.errors import SettingsError
from glm_magic.jupyter.views.show import show_table
from glm_magic.render.chats import (
    ChatRow,
    History,
    MessageRow,
    render_chats,
    render_chats_plain,
    render_history,
    render_history_plain,
)
from glm_magic.session.chatfile import SUFFIXES, read_chat, write_chat
from glm_magic.session.chats import Chat, Place, Turn, messages_of
from glm_magic.session.names import NAME_RULE, is_name
from glm_magic.session.settings import GlmMagic
from glm_magic.session.window import fit_turns, window_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from glm_magic.api.requests import Message
    from glm_magic.jupyter.magics import Glm
    from glm_magic.session.session import Session


def show_chats(glm: Glm) -> None:
    """List the chats of the session."""
    session, _ = glm.open()
    rows = [_chat_row(chat, session) for chat in session.chats.all()]
    if rows:
        show_table(render_chats(rows), render_chats_plain(rows))
    else:
        print("no chats yet in this session; `%%glm --chat NAME` starts one")


def _chat_row(chat: Chat, session: Session) -> ChatRow:
    prompt = chat.turns[-1].prompt if chat.turns else ""
    is_current = chat is session.chats.current
    return ChatRow(chat.name, len(chat.turns), chat.stale, chat.tokens, prompt, is_current)


def show_history(glm: Glm, name: str | None) -> None:
    """Show what a chat would send with its next prompt."""
    session, _ = glm.open()
    history = _history(session, session.chats.find(name))
    show_table(render_history(history), render_history_plain(history))


def _history(session: Session, chat: Chat) -> History:
    place = Place(chat, None, tuple(chat.fresh))
    kept = {"system": place.system, "model": place.model}
    settings = session.settings.over({n: v for n, v in kept.items() if v is not None})
    window = window_of(settings.model)
    taken = estimate_tokens(settings.system)
    sent = fit_turns(place.before, window=window, taken=taken, max_tokens=settings.max_tokens)
    rows = tuple(_message_rows(chat.turns, len(place.before) - len(sent), settings))
    tokens = sum(row.tokens for row in rows if row.is_sent)
    return History(chat.name, settings.model, rows, tokens, window)


def _message_rows(turns: list[Turn], left_out: int, settings: GlmMagic) -> Iterator[MessageRow]:
    if settings.system:
        yield MessageRow(None, "system", settings.system, estimate_tokens(settings.system))
    for number, turn in enumerate(turns, 1):
        is_sent = number > left_out and not turn.is_stale
        note = _note(turn, is_left_out=number <= left_out)
        for message in messages_of([turn]):
            text = _text_of(message)
            tokens = estimate_tokens(text)
            yield MessageRow(number, message.role, text, tokens, note, is_sent=is_sent)


def _text_of(message: Message) -> str:
    """What a message says, and what it asks for."""
    calls = (f"{call.name}({call.arguments})" for call in message.calls)
    return "\n".join(filter(None, (message.content, *calls)))


def _note(turn: Turn, *, is_left_out: bool) -> str:
    state = turn.reply.state if turn.reply.state != "complete" else ""
    stale = "stale, not sent" if turn.is_stale else ""
    return ", ".join(filter(None, ("left out" if is_left_out else "", stale, state)))


def reset_chat(glm: Glm, name: str | None, *, all: bool) -> None:
    """Forget a chat, or all of them."""
    session, _ = glm.open()
    if all:
        count = session.chats.forget_all()
        print(f"{count} {'chat' if count == 1 else 'chats'} forgotten")
        return
    if name is None and session.chats.current is None:
        print("no chat to forget")
        return
    if name and name not in session.chats.names():
        print(session.chats.unknown(name))
        return
    chat = session.chats.find(name)
    session.chats.forget(chat)
    print(f"{_called(chat)} is forgotten: {_turns(chat)}")


def fork_chat(glm: Glm, names: list[str]) -> None:
    """Copy a chat under a new name."""
    if len(names) > 2:
        raise SettingsError("`%glm fork NAME NEW`: two names and no more")
    session, _ = glm.open()
    source = session.chats.find(names[0] if len(names) == 2 else None)
    new = _check_name(names[-1])
    if source.name == new:
        raise SettingsError(f"chat '{new}' cannot be its own copy; give it a new name")
    copy = session.chats.fork(source, new, glm.turn_key())
    print(f"chat '{new}' begins as {_called(source)}: {_turns(copy)}")


def _check_name(name: str) -> str:
    if not is_name(name):
        raise SettingsError(f"'{name}' is no name: {NAME_RULE}")
    return name


def _called(chat: Chat) -> str:
    return f"chat '{chat.name}'" if chat.name else "the chat used last"


def _turns(chat: Chat) -> str:
    return f"{len(chat.turns)} {'turn' if len(chat.turns) == 1 else 'turns'}"


def export_chat(glm: Glm, words: list[str], *, force: bool) -> None:
    """Write a chat to a file."""
    if len(words) > 2:
        raise SettingsError("`%glm export NAME FILE`: a name, a file and no more")
    path = Path(words[-1]).expanduser()
    if len(words) == 1 and path.suffix not in SUFFIXES:
        raise SettingsError(f"'{words[0]}' is no file for a chat: it ends in .md or .json")
    session, _ = glm.open()
    chat = session.chats.find(words[0] if len(words) == 2 else None)
    write_chat(chat, path, force=force)
    print(f"{_called(chat)} is in {path}: {_turns(chat)}")


def import_chat(glm: Glm, file: str, name: str | None) -> None:
    """Read a chat from a file; the next `-c` goes on with it."""
    session, _ = glm.open()
    path = Path(file).expanduser()
    own_name, turns = read_chat(path)
    new = _check_name(name or own_name or path.stem)
    chat = session.chats.add(new, turns, glm.turn_key())
    print(f"chat '{new}' is read from {path}: {_turns(chat)}")
