"""Chats as files: read as they were written, and nothing else is read or written over."""

import json
from pathlib import Path

import pytest

from glm_magic.api.events import Usage
from glm_magic.api.reply import Reply
from glm_magic.api.rounds import Call, Round
from glm_magic.errors import SettingsError
from glm_magic.session.chatfile import read_chat, write_chat
from glm_magic.session.chats import Chat, Turn, TurnKey

FIRST = Reply(
    "Arr & 你好",
    reasoning="hm",
    usage=Usage(9, 4, 13),
    model="glm-4.7",
    endpoint="open.bigmodel.cn",
    finish_reason="stop",
    state="complete",
)
CHAT = Chat(
    "story",
    [
        Turn(TurnKey("A"), "Begin", FIRST, system="pirate", model="glm-4.7"),
        Turn(TurnKey("B"), "On\n## and on", Reply("Half", model="m", state="stopped")),
    ],
)


def refusal(path: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        read_chat(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_chat_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_chat(CHAT, tmp_path / "story.json")
    name, turns = read_chat(tmp_path / "story.json")
    assert name == "story"
    assert [(t.prompt, t.reply, t.system, t.model) for t in turns] == [
        (t.prompt, t.reply, t.system, t.model) for t in CHAT.turns
    ]
    assert [turn.key for turn in turns] == [None, None]


def test_what_was_stale_still_is(tmp_path: Path) -> None:
    chat = Chat("s", [Turn(None, "a", Reply("b", state="complete"), is_stale=True)])
    write_chat(chat, tmp_path / "s.json")
    assert read_chat(tmp_path / "s.json")[1][0].is_stale


def test_markdown_is_for_people(tmp_path: Path) -> None:
    write_chat(CHAT, tmp_path / "story.md")
    assert (tmp_path / "story.md").read_text("utf-8") == (
        "<!-- glm_magic chat -->\n\n# story\n\n*System:* pirate\n\n## You\n\nBegin\n\n"
        "## glm-4.7\n\nArr & 你好\n\n## You\n\nOn\n## and on\n\n## m (stopped)\n\nHalf\n"
    )


@pytest.mark.parametrize("name", ["story.md", "story.json"])
def test_a_chat_is_written_over_and_another_file_is_not(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_chat(CHAT, path)
    write_chat(CHAT, path)
    path.write_text("# my thesis", "utf-8")
    with pytest.raises(SettingsError, match="is no chat of ours; --force replaces it"):
        write_chat(CHAT, path)
    assert path.read_text("utf-8") == "# my thesis"
    write_chat(CHAT, path, force=True)
    assert "你好" in path.read_text("utf-8")


@pytest.mark.parametrize("name", ["story", "story.txt", "story.ipynb"])
def test_another_ending_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=r"to a \.md or a \.json file"):
        write_chat(CHAT, tmp_path / name)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot be written: No such file"):
        write_chat(CHAT, tmp_path / "no" / "story.json")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "is no chat: `%glm export NAME FILE.json` writes one"),
        ('{"cells": []}', "is no chat"),
        ('{"format": "glm_magic chat", "version": 2}', "is a chat of version 2; this glm_magic"),
        ('{"format": "glm_magic chat"}', "is a chat of version None"),
        ('{"format": "glm_magic chat", "version": 1}', "has no list of turns"),
        ('{"format": "glm_magic chat", "version": 1, "turns": [1]}', "has no list of turns"),
        (
            '{"format": "glm_magic chat", "version": 1, "turns": [{"prompt": 1}]}',
            "has a turn without a prompt or an answer",
        ),
    ],
)
def test_a_file_that_is_no_chat_of_this_version_is_refused(
    tmp_path: Path, content: str, words: str
) -> None:
    path = tmp_path / "x.json"
    path.write_text(content, "utf-8")
    assert words in refusal(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in refusal(tmp_path / "x.json")


def test_odd_values_of_a_turn_are_left_out(tmp_path: Path) -> None:
    turn = {"prompt": "a", "answer": "b", "usage": {"prompt_tokens": "9"}, "state": "evil"}
    content = {"format": "glm_magic chat", "version": 1, "name": 3, "turns": [turn]}
    path = tmp_path / "x.json"
    path.write_text(json.dumps(content), "utf-8")
    name, turns = read_chat(path)
    assert name == "3"
    assert (turns[0].reply.state, turns[0].reply.usage) == ("complete", Usage())


def test_the_calls_of_an_answer_are_in_the_file(tmp_path: Path) -> None:
    call = Call("1", "weather", '{"city": "北京"}', "done", "sunny\nday", "asking", "", 0.5)
    rounds = (Round("Let me see.", "Hm.", (call,), usage=Usage(1, 2, 3)),)
    chat = Chat("s", [Turn(None, "a", Reply("b", state="complete", model="m", rounds=rounds))])
    write_chat(chat, tmp_path / "s.json")
    (turn,) = read_chat(tmp_path / "s.json")[1]
    assert turn.reply.rounds == rounds
    write_chat(chat, tmp_path / "s.md")
    assert '- `weather({"city": "北京"})`: sunny day\n' in (tmp_path / "s.md").read_text("utf-8")


def test_calls_that_are_damaged_are_read_as_far_as_they_go(tmp_path: Path) -> None:
    turn = {"prompt": "a", "answer": "b", "rounds": [1, {"calls": [{"id": 1, "state": "x"}, 2]}]}
    content = {"format": "glm_magic chat", "version": 1, "name": "s", "turns": [turn]}
    (tmp_path / "s.json").write_text(json.dumps(content))
    (read,) = read_chat(tmp_path / "s.json")[1]
    assert read.reply.calls == (Call("call_0", "", "", "done"),)


def test_halves_of_characters_and_marks_of_markdown_do_no_harm(tmp_path: Path) -> None:
    call = Call("1", "f`\n# x", "{}", "done", "\ud800", "\udc80")
    rounds = (Round(calls=(call,)),)
    chat = Chat("s", [Turn(None, "a", Reply("b", state="complete", model="m", rounds=rounds))])
    for name in ("s.json", "s.md"):
        write_chat(chat, tmp_path / name)
    assert read_chat(tmp_path / "s.json")[1][0].reply.calls[0].printed == "\ufffd"
    assert "- `f' # x({})`: " in (tmp_path / "s.md").read_text("utf-8")
