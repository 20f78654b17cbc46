"""A chat as a file: JSON that a session reads again, or Markdown for people to read.

The JSON has a version of its own; a file of another version is refused and not guessed at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast, get_args

from glm_magic.api.characters import valid_unicode
from glm_magic.api.events import Usage
from glm_magic.api.line import short
from glm_magic.api.reply import Reply, State
from glm_magic.api.rounds import Call, CallState, Round
from glm_magic.errors import SettingsError
from glm_magic.session.chats import Chat, Turn

__all__ = ["SUFFIXES", "read_chat", "write_chat"]

_FORMAT, _VERSION = "glm_magic chat", 1
_COMMENT = "<!-- glm_magic chat -->"
# Larger than any window of any model, in bytes.
_LIMIT_BYTES = 256 * 2**20
_CALL_CHARACTERS = 200
SUFFIXES = (".md", ".json")
_STATES = ("complete", "stopped", "cut off")


def write_chat(chat: Chat, path: Path, *, force: bool = False) -> None:
    """Write a chat to a file, as JSON or Markdown by the ending of its name.

    Args:
        force: whether a file that is no chat of ours may be replaced.

    Raises:
        SettingsError: the ending is another one, the file is not ours, or it cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise SettingsError(f"a chat is written to a .md or a .json file, not to '{path.name}'")
    is_json = path.suffix.lower() == ".json"
    text = _build_json(chat) if is_json else _build_markdown(chat)
    try:
        if path.exists() and not force and not _is_ours(path):
            raise SettingsError(f"{path} is no chat of ours; --force replaces it all the same")
        path.write_bytes(valid_unicode(text).encode())
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror or error}") from error


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(200)
    return not start or start.startswith(_COMMENT.encode()) or _FORMAT.encode() in start


def _build_json(chat: Chat) -> str:
    turns = [_build_turn(turn) for turn in chat.turns]
    content = {"format": _FORMAT, "version": _VERSION, "name": chat.name, "turns": turns}
    return json.dumps(content, ensure_ascii=False, indent=1, default=str) + "\n"


def _build_turn(turn: Turn) -> dict[str, Any]:
    reply = turn.reply
    return {
        "prompt": turn.prompt,
        "answer": reply.text,
        "reasoning": reply.reasoning,
        "rounds": [asdict(each) for each in reply.rounds if each.calls],
        "system": turn.system,
        "asked_model": turn.model,
        "model": reply.model,
        "endpoint": reply.endpoint,
        "state": reply.state,
        "finish_reason": reply.finish_reason,
        "usage": asdict(reply.usage) if reply.usage else None,
        "is_stale": turn.is_stale,
    }


def _build_markdown(chat: Chat) -> str:
    title = chat.name or "A chat"
    parts = [_COMMENT, f"# {title}", *(_turn_markdown(turn) for turn in chat.turns)]
    return "\n\n".join(parts) + "\n"


def _turn_markdown(turn: Turn) -> str:
    marks = [mark for mark, is_so in (("stale", turn.is_stale),) if is_so]
    if turn.reply.state != "complete":
        marks.append(turn.reply.state)
    note = f" ({', '.join(marks)})" if marks else ""
    system = f"*System:* {turn.system}\n\n" if turn.system else ""
    calls = "".join(map(_call_markdown, turn.reply.calls))
    answer = f"{calls}\n{turn.reply.text}" if calls else turn.reply.text
    return f"{system}## You\n\n{turn.prompt}\n\n## {turn.reply.model}{note}\n\n{answer}"


def _call_markdown(call: Call) -> str:
    words = f"{call.name}({call.arguments})".replace("`", "'")
    return f"- `{short(words, _CALL_CHARACTERS)}`: {short(call.result, _CALL_CHARACTERS)}\n"


def read_chat(path: Path) -> tuple[str, list[Turn]]:
    """Return the name and the turns of a chat that was written as JSON.

    No cell of this session can replace these turns.

    Raises:
        SettingsError: the file cannot be read, is no chat, or is of another version.
    """
    content = _read_json(path)
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise SettingsError(f"{path} is no chat: `%glm export NAME FILE.json` writes one")
    if content.get("version") != _VERSION:
        raise SettingsError(
            f"{path} is a chat of version {content.get('version')!r:.20}; this glm_magic reads "
            f"version {_VERSION}"
        )
    turns = content.get("turns")
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise SettingsError(f"{path} has no list of turns; it is damaged")
    return str(content.get("name") or ""), [_parse_turn(turn, path) for turn in turns]


def _read_json(path: Path) -> object:
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise SettingsError(f"{path} is too large for a chat")
        content: object = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path} is no JSON: a chat for `%glm import` is") from error
    return content


def _parse_turn(turn: Mapping[str, Any], path: Path) -> Turn:
    prompt, answer = turn.get("prompt"), turn.get("answer")
    if not isinstance(prompt, str) or not isinstance(answer, str):
        raise SettingsError(f"{path} has a turn without a prompt or an answer; it is damaged")
    state = turn.get("state")
    reply = Reply(
        text=answer,
        reasoning=_text(turn, "reasoning"),
        rounds=tuple(map(_parse_round, _objects(turn, "rounds"))),
        model=_text(turn, "model"),
        endpoint=_text(turn, "endpoint"),
        state=cast(State, state) if state in _STATES else "complete",
        finish_reason=_text(turn, "finish_reason") or None,
        usage=_parse_usage(turn.get("usage")),
    )
    system, model = _text(turn, "system") or None, _text(turn, "asked_model") or None
    return Turn(None, prompt, reply, system, model, is_stale=turn.get("is_stale") is True)


def _parse_round(content: Mapping[str, Any]) -> Round:
    calls = tuple(_parse_call(n, each) for n, each in enumerate(_objects(content, "calls")))
    usage = _parse_usage(content.get("usage"))
    return Round(_text(content, "text"), _text(content, "reasoning"), calls, usage=usage)


def _parse_call(number: int, content: Mapping[str, Any]) -> Call:
    state, seconds = content.get("state"), content.get("seconds")
    return Call(
        _text(content, "id") or f"call_{number}",
        _text(content, "name"),
        _text(content, "arguments"),
        cast(CallState, state) if state in get_args(CallState) else "done",
        _text(content, "result"),
        _text(content, "printed"),
        _text(content, "traceback"),
        seconds if isinstance(seconds, int | float) else None,
    )


def _objects(content: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    values = content.get(name)
    return [v for v in values if isinstance(v, dict)] if isinstance(values, list) else []


def _text(turn: Mapping[str, Any], name: str) -> str:
    value = turn.get(name)
    return value if isinstance(value, str) else ""


def _parse_usage(content: object) -> Usage | None:
    names = Usage.__dataclass_fields__
    if not isinstance(content, dict):
        return None
    return Usage(**{n: v for n, v in content.items() if n in names and type(v) is int})
