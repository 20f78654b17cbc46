"""The chats of a session: turns that belong to cells, so that running a cell again is safe.

A turn is keyed by the cell that made it. Running the cell again replaces the turn where it stands
and marks what was built on it as stale; Run All therefore ends in the same chat as the first time.
A cell that goes on with nothing starts a chat without a name, which `-c` can go on with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from glm_magic.api.reply import Reply
from glm_magic.api.requests import Message
from glm_magic.api.tokens import estimate_tokens
from glm_magic.errors import SettingsError
from glm_magic.session.names import did_you_mean

__all__ = ["Chat", "Chats", "Place", "Turn", "TurnKey", "messages_of"]


@dataclass(frozen=True, slots=True)
class TurnKey:
    """What a turn belongs to.

    Attributes:
        cell: the notebook's id of the cell; "" where the front end names none, as in a terminal.
        number: the how manieth question of one run of the cell, from 0.
    """

    cell: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """A prompt with its answer.

    Attributes:
        key: None for a turn that no cell can replace.
        system: the system message that was asked for on the line; None for none.
        model: the model that was asked for on the line; None for none.
        tokens: a rough count of both texts.
        is_stale: it was built on an older version of a turn before it.
    """

    key: TurnKey | None
    prompt: str
    reply: Reply
    system: str | None = None
    model: str | None = None
    tokens: int = 0
    is_stale: bool = False

    def __post_init__(self) -> None:
        if not self.tokens:
            count = estimate_tokens(self.prompt) + estimate_tokens(self.reply.text)
            object.__setattr__(self, "tokens", count)

    def says_the_same(self, other: Turn) -> bool:
        """Return whether whatever follows has the same to go on."""
        mine, theirs = (self.prompt, self.reply.text), (other.prompt, other.reply.text)
        return mine == theirs and self.system == other.system


class Chat:
    """One chat, the oldest turn first.

    Attributes:
        name: "" for a chat that a single question started.
        maker: the cell that made it as a copy of another, or read it from a file.
        made_of: the cells whose turns it began with then.
    """

    def __init__(
        self, name: str = "", turns: Iterable[Turn] = (), *, maker: TurnKey | None = None
    ) -> None:
        self.name = name
        self.maker = maker
        self.turns: list[Turn] = list(turns)
        self.made_of = frozenset(turn.key for turn in self.turns)
        self._places = {t.key: place for place, t in enumerate(self.turns) if t.key}

    def place_of(self, key: TurnKey | None) -> int:
        """Return where the turn of a cell stands; behind the last, if it has none here."""
        return len(self.turns) if key is None else self._places.get(key, len(self.turns))

    def has(self, key: TurnKey | None) -> bool:
        """Return whether a cell has a turn here."""
        return key in self._places

    def put(self, turn: Turn) -> None:
        """Put a turn where that of its cell stood, or behind the last.

        What follows is stale then, unless the turn says what the one before it in its place said.
        """
        place = self.place_of(turn.key)
        turn = replace(turn, is_stale=any(before.is_stale for before in self.turns[:place]))
        if place == len(self.turns):
            self.turns.append(turn)
            if turn.key:
                self._places[turn.key] = place
            return
        is_same = turn.says_the_same(self.turns[place])
        self.turns[place] = turn
        if not is_same:
            self._make_stale(place + 1)

    def drop(self, key: TurnKey) -> None:
        """Take away the turn of a cell; what follows is stale then."""
        if key in self._places:
            place = self._places[key]
            del self.turns[place]
            self._places = {t.key: at for at, t in enumerate(self.turns) if t.key}
            self._make_stale(place)

    def _make_stale(self, start: int) -> None:
        self.turns[start:] = [replace(turn, is_stale=True) for turn in self.turns[start:]]

    @property
    def stale(self) -> int:
        """How many turns are stale."""
        return sum(turn.is_stale for turn in self.turns)

    @property
    def tokens(self) -> int:
        """A rough count of all texts."""
        return sum(turn.tokens for turn in self.turns)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in which chat the turn of a cell goes.

    Attributes:
        before: the turns that it goes on with.
    """

    chat: Chat
    key: TurnKey | None
    before: tuple[Turn, ...] = ()

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
        self._parents: dict[TurnKey, TurnKey | None] = {}  # the turn that it goes on with
        self.current: Chat | None = None

    def place(self, key: TurnKey | None, *, name: str = "", goes_on: bool = False) -> Place:
        """Return where the turn of a cell goes; nothing is changed by that.

        Args:
            key: the cell; None where cells have no ids.
            name: the chat to go on with, which need not be there yet.
            goes_on: whether it goes on with the chat used last; a cell that ran before goes on
                with the turn that it went on with then, wherever that is now.
        """
        chat = self._chat_for(key, name, goes_on)
        return Place(chat, key, tuple(chat.turns[: chat.place_of(key)]))

    def _chat_for(self, key: TurnKey | None, name: str, goes_on: bool) -> Chat:
        if name:
            return self._named.get(name) or Chat(name)
        home = self._home.get(key) if key else None
        if goes_on:
            return self._parent_chat(key) or home or self.current or Chat()
        is_first = home is not None and not home.name and home.place_of(key) == 0
        return home if home and is_first else Chat()

    def _parent_chat(self, key: TurnKey | None) -> Chat | None:
        parent = self._parents.get(key) if key else None
        return self._home.get(parent) if parent else None

    def put(self, place: Place, turn: Turn) -> None:
        """Keep a turn in its place; that chat is the one used last now."""
        chat = place.chat
        if turn.key:
            home = self._home.get(turn.key)
            if home is not None and home is not chat:
                home.drop(turn.key)
            self._home[turn.key] = chat
            self._parents[turn.key] = place.before[-1].key if place.before else None
        chat.put(turn)
        if chat.name:
            self._named[chat.name] = chat
        self.current = chat

    def find(self, name: str | None) -> Chat:
        """Return a chat by its name, or the one used last.

        Raises:
            SettingsError: there is none.
        """
        if name:
            if name not in self._named:
                raise SettingsError(self._unknown(name))
            return self._named[name]
        if self.current is None:
            raise SettingsError("no chat yet in this session; a `%%glm` cell starts one")
        return self.current

    def _unknown(self, name: str) -> str:
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
        self._named = {name: each for name, each in self._named.items() if each is not chat}
        self._home = {key: each for key, each in self._home.items() if each is not chat}
        if self.current is chat:
            self.current = None

    def forget_all(self) -> int:
        """Forget every chat; return how many there were."""
        count = len(self.all())
        self.__init__()  # type: ignore[misc]
        return count

    def fork(self, source: Chat, name: str, maker: TurnKey | None) -> Chat:
        """Copy a chat under a new name.

        The same cell makes the same copy again: of the turns that it had copied before, as they
        are now. What the copy was gone on with since then stays, as stale.

        Raises:
            SettingsError: another cell has a chat of that name.
        """
        old = self._named.get(name)
        self._check_free(old, name, maker)
        turns: Sequence[Turn] = source.turns
        if old is not None:
            turns = [turn for turn in turns if turn.key in old.made_of]
        return self._add(Chat(name, turns, maker=maker), old)

    def add(self, name: str, turns: Iterable[Turn], maker: TurnKey | None) -> Chat:
        """Keep turns that come from elsewhere as a chat.

        Raises:
            SettingsError: another cell has a chat of that name.
        """
        old = self._named.get(name)
        self._check_free(old, name, maker)
        return self._add(Chat(name, turns, maker=maker), old)

    def _check_free(self, old: Chat | None, name: str, maker: TurnKey | None) -> None:
        if old is not None and (maker is None or old.maker != maker):
            raise SettingsError(f"there is a chat '{name}' already; `%glm reset {name}` forgets it")

    def _add(self, chat: Chat, old: Chat | None) -> Chat:
        for turn in old.turns if old else ():
            if turn.key not in chat.made_of and old and turn.key not in old.made_of:
                chat.put(turn)
                chat._make_stale(len(chat.turns) - 1)
                self._home |= {turn.key: chat} if turn.key else {}
        self._named[chat.name] = chat
        self.current = chat
        return chat


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
            Message("assistant", turn.reply.text, reasoning),
        )
    return messages
