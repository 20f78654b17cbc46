"""The chats of a session: turns that belong to cells, so that running a cell again is safe.

A turn is keyed by the cell that made it. Running the cell again replaces the turn and makes what
came after it stale. What is stale is not sent; it is fresh again once its own cell has run. A turn
goes right behind the last fresh one. So Run All ends in the chat that a new kernel would have,
also after cells were added, moved or deleted.

A cell that goes on with nothing starts a chat without a name, which `-c` can go on with.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from glm_magic.api.reply import Reply
from glm_magic.api.requests import Message
from glm_magic.api.rounds import messages_of_rounds
from glm_magic.api.tokens import estimate_messages, estimate_tokens
from glm_magic.errors import SettingsError
from glm_magic.session.names import did_you_mean

__all__ = ["Chat", "Chats", "Place", "Turn", "TurnKey", "messages_of"]

# So many chats are remembered in the order of their use, for `-c`.
_RECENT = 100


@dataclass(frozen=True, slots=True)
class TurnKey:
    """What a turn belongs to.

    Attributes:
        cell: the notebook's id of the cell; "" where the front end names none, as in a terminal.
        number: the how manieth question of one run of the cell, from 0; without ids, of all.
    """

    cell: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """A prompt with its answer.

    Attributes:
        key: None for a turn that no cell can replace.
        system: the system message of its own line; None for none.
        model: the model of its own line; None for none.
        tokens: a rough count of both texts.
        serial: tells which of two turns of a cell was asked for later.
        is_stale: a turn before it is not what it was built on.
    """

    key: TurnKey | None
    prompt: str
    reply: Reply
    system: str | None = None
    model: str | None = None
    tokens: int = 0
    serial: int = 0
    is_stale: bool = False

    def __post_init__(self) -> None:
        if not self.tokens:
            count = estimate_tokens(self.prompt) + estimate_tokens(self.reply.text)
            between = _messages_between(self, keep_reasoning=False)
            count += estimate_messages(between)
            object.__setattr__(self, "tokens", count)


def _as_stale(turns: Iterable[Turn]) -> list[Turn]:
    return [replace(turn, is_stale=True) for turn in turns]


class Chat:
    """One chat: fresh turns, the oldest first, then stale ones.

    Attributes:
        name: "" for a chat that a single question started.
        maker: the cell that made it as a copy of another, or read it from a file.
        made_of: the cells whose turns it began with then.
        is_forgotten: whether it is in no list any more.
    """

    def __init__(
        self, name: str = "", turns: Iterable[Turn] = (), *, maker: TurnKey | None = None
    ) -> None:
        self.name = name
        self.maker = maker
        self.is_forgotten = False
        self.turns: list[Turn] = sorted(turns, key=lambda turn: turn.is_stale)
        self.made_of = frozenset(turn.key for turn in self.turns)

    @property
    def fresh(self) -> list[Turn]:
        """The turns that are sent."""
        return [turn for turn in self.turns if not turn.is_stale]

    def before(self, key: TurnKey | None) -> list[Turn]:
        """Return the turns that the next run of a cell goes on with."""
        return self._parts(key)[0]

    def _parts(self, key: TurnKey | None) -> tuple[list[Turn], list[Turn]]:
        """What stands before the turn of a cell, and what behind it."""
        fresh = self.fresh
        place = next((at for at, t in enumerate(fresh) if key and t.key == key), len(fresh))
        behind = [turn for turn in self.turns if turn.is_stale and turn.key != key]
        return fresh[:place], [*fresh[place + 1 :], *behind]

    def find(self, key: TurnKey | None) -> Turn | None:
        """Return the turn of a cell, stale or not."""
        return next((turn for turn in self.turns if key and turn.key == key), None)

    def put(self, turn: Turn) -> None:
        """Put a turn where the fresh turn of its cell stood, or behind the last fresh one."""
        old = self.find(turn.key)
        if old is not None and old.serial > turn.serial:
            return  # the cell has asked anew since then
        before, behind = self._parts(turn.key)
        self.turns = [*before, replace(turn, is_stale=False), *_as_stale(behind)]

    def drop(self, key: TurnKey) -> None:
        """Take away the turn of a cell; what follows is stale then."""
        if self.find(key) is not None:
            before, behind = self._parts(key)
            self.turns = [*before, *_as_stale(behind)]

    def make_stale(self, key: TurnKey | None) -> None:
        """Mark the turn of a cell, which shows another one now, and what follows."""
        if (own := self.find(key)) is not None:
            before, behind = self._parts(key)
            self.turns = [*before, *_as_stale((own, *behind))]

    def stale_before(self, key: TurnKey | None) -> int:
        """Return how many stale turns stand before that of a cell; all, where it has none yet."""
        place = next((at for at, t in enumerate(self.turns) if key and t.key == key), None)
        return sum(turn.is_stale for turn in self.turns[:place])

    @property
    def stale(self) -> int:
        """How many turns are stale."""
        return sum(turn.is_stale for turn in self.turns)

    @property
    def tokens(self) -> int:
        """A rough count of the texts that are sent."""
        return sum(turn.tokens for turn in self.fresh)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in which chat the turn of a cell goes.

    Attributes:
        before: the turns that it goes on with.
        stale: how many turns that stood before it are not sent, because they are stale.
        goes_on: whether it went on with whatever chat was used last.
        serial: tells which of two questions of a cell is the later one.
    """

    chat: Chat
    key: TurnKey | None
    before: tuple[Turn, ...] = ()
    stale: int = 0
    goes_on: bool = False
    serial: int = 0

    @property
    def number(self) -> int:
        """The number of the turn in its chat, from 1."""
        return len(self.before) + 1

    @property
    def system(self) -> str | None:
        """The system message that the chat had last; None if none was asked for."""
        return next((t.system for t in reversed(self.before) if t.system is not None), None)

    @property
    def model(self) -> str | None:
        """The model that the chat had last; None if none was asked for."""
        return next((t.model for t in reversed(self.before) if t.model is not None), None)


class Chats:
    """All chats of a session."""

    def __init__(self) -> None:
        self._named: dict[str, Chat] = {}
        self._home: dict[TurnKey, Chat] = {}  # where the turn of a cell is, copies aside
        self._parents: dict[TurnKey, TurnKey | None] = {}  # the turn that a `-c` went on with
        self._recent: list[Chat] = []
        self._serial = 0

    @property
    def current(self) -> Chat | None:
        """The chat that was used last."""
        return self._recent[-1] if self._recent else None

    def place(self, key: TurnKey | None, *, name: str = "", goes_on: bool = False) -> Place:
        """Return where the turn of a cell goes; no chat is changed by that.

        Args:
            key: the cell; None for a question that nothing can ask again.
            name: the chat to go on with, which need not be there yet.
            goes_on: whether it goes on with the chat used last; a cell that did so before goes
                on with the turn that it went on with then, wherever that is now.
        """
        chat = self._chat_for(key, name, goes_on)
        before = tuple(chat.before(key))
        self._serial += 1
        goes_on = goes_on and not name
        return Place(chat, key, before, chat.stale_before(key), goes_on, self._serial)

    def _chat_for(self, key: TurnKey | None, name: str, goes_on: bool) -> Chat:
        if name:
            return self._named.get(name) or Chat(name)
        home = self._home.get(key) if key else None
        if goes_on:
            return self._chat_to_go_on_with(key, home) or Chat()
        is_first = home is not None and not home.name and not home.before(key)
        return home if home and is_first and home.find(key) else Chat()

    def _chat_to_go_on_with(self, key: TurnKey | None, home: Chat | None) -> Chat | None:
        """The chat of the turn before it, if it went on before; or the one used last.

        Not the one that the cell itself began, when it stood alone.
        """
        if key is not None and key in self._parents:
            parent = self._parents[key]
            return (self._home.get(parent) if parent else None) or home
        own = home if home is not None and not home.before(key) and not home.name else None
        return next((chat for chat in reversed(self._recent) if chat is not own), None)

    def put(self, place: Place, turn: Turn) -> None:
        """Keep a turn in its place; that chat is the one used last now."""
        chat = self._living(place.chat)
        if turn.key and turn.key.cell:  # one without a cell is never asked for again by its key
            home = self._home.get(turn.key)
            if home is not None and home is not chat:
                home.drop(turn.key)
            self._home[turn.key] = chat
            self._note_parent(turn.key, place)
        chat.put(replace(turn, serial=place.serial))
        self._use(chat)

    def _note_parent(self, key: TurnKey, place: Place) -> None:
        if place.goes_on:
            self._parents[key] = place.before[-1].key if place.before else None
        else:
            self._parents.pop(key, None)

    def miss(self, place: Place, *, is_gone: bool) -> None:
        """Note that nothing came of a question that may be sent again.

        Args:
            is_gone: whether the former turn of its cell is no more than that; otherwise it stays,
                as stale.
        """
        chat = self._living(place.chat)
        if is_gone and place.key:
            chat.drop(place.key)
        else:
            chat.make_stale(place.key)
        self._use(chat)

    def _living(self, chat: Chat) -> Chat:
        """The chat of that name as it is now; a new one for one that was forgotten since."""
        if chat.name:
            return self._named.get(chat.name) or (Chat(chat.name) if chat.is_forgotten else chat)
        return Chat() if chat.is_forgotten else chat

    def _use(self, chat: Chat) -> None:
        if chat.name:
            self._named[chat.name] = chat
        others = [each for each in self._recent if each is not chat]
        self._recent = [*others[-_RECENT:], chat]

    def find(self, name: str | None) -> Chat:
        """Return a chat by its name, or the one used last.

        Raises:
            SettingsError: there is none.
        """
        if name:
            if name not in self._named:
                raise SettingsError(self.unknown(name))
            return self._named[name]
        if self.current is None:
            raise SettingsError("no chat yet in this session; a `%%glm` cell starts one")
        return self.current

    def unknown(self, name: str) -> str:
        """Return the line for a name that no chat has, with the nearest one."""
        near = did_you_mean(name, self._named)
        return f"no chat '{name}' in this session{near or '; `%glm chats` lists them'}"

    def names(self) -> tuple[str, ...]:
        """Return the names of all chats that have one."""
        return tuple(self._named)

    def all(self) -> tuple[Chat, ...]:
        """Return every chat with a name, and the one used last."""
        named = tuple(self._named.values())
        is_extra = self.current is not None and not self.current.name
        return (*named, self.current) if self.current and is_extra else named

    def forget(self, chat: Chat) -> None:
        """Forget a chat."""
        chat.is_forgotten = True
        self._named = {name: each for name, each in self._named.items() if each is not chat}
        self._home = {key: each for key, each in self._home.items() if each is not chat}
        self._recent = [each for each in self._recent if each is not chat]

    def forget_all(self) -> int:
        """Forget every chat; return how many there were."""
        every = self.all()
        for chat in {*every, *self._recent, *self._home.values()}:
            self.forget(chat)
        return len(every)

    def fork(self, source: Chat, name: str, maker: TurnKey | None) -> Chat:
        """Copy the fresh turns of a chat under a new name.

        The same cell makes its copy again; what that was gone on with since then stays, as stale.

        Raises:
            SettingsError: another cell has a chat of that name.
        """
        return self.add(name, source.fresh, maker)

    def add(self, name: str, turns: Iterable[Turn], maker: TurnKey | None) -> Chat:
        """Keep turns that come from elsewhere as a chat.

        Raises:
            SettingsError: another cell has a chat of that name.
        """
        old = self._named.get(name)
        if old is not None and (maker is None or old.maker != maker):
            raise SettingsError(f"there is a chat '{name}' already; `%glm reset {name}` forgets it")
        chat = Chat(name, turns, maker=maker)
        if old is not None:
            self._move_rest(old, chat)
        self._use(chat)
        return chat

    def _move_rest(self, old: Chat, chat: Chat) -> None:
        """Take over what an older copy was gone on with; it is stale there."""
        rest = [t for t in old.turns if t.key not in old.made_of and t.key not in chat.made_of]
        chat.turns += _as_stale(rest)
        self._home |= {turn.key: chat for turn in rest if turn.key and turn.key.cell}
        self._recent = [each for each in self._recent if each is not old]


def messages_of(turns: Iterable[Turn], *, keep_reasoning: bool = False) -> list[Message]:
    """Return the messages of some turns.

    Args:
        keep_reasoning: whether what the model thought goes along.
    """
    messages: list[Message] = []
    for turn in turns:
        reasoning = turn.reply.reasoning if keep_reasoning else ""
        messages += (
            Message("user", turn.prompt),
            *_messages_between(turn, keep_reasoning=keep_reasoning),
            Message("assistant", turn.reply.text, reasoning),
        )
    return messages


def _messages_between(turn: Turn, *, keep_reasoning: bool) -> list[Message]:
    """The calls of functions and their results; an answer that had to be mended is forgotten."""
    rounds = [each for each in turn.reply.rounds if each.calls]
    return messages_of_rounds(rounds, keep_reasoning=keep_reasoning)
