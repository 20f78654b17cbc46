"""Chats: turns that belong to cells, replaced where they stand, and what that makes stale."""

from dataclasses import replace

import pytest

from glm_magic.api.reply import Reply
from glm_magic.api.requests import Message
from glm_magic.errors import SettingsError
from glm_magic.session.chats import Chat, Chats, Turn, TurnKey, messages_of
from glm_magic.session.window import fit_turns, window_of


class Notebook:
    """Cells that ask; each answer is the prompt in capitals with what it was told before."""

    def __init__(self) -> None:
        self.chats = Chats()

    def run(self, cell: str | None, prompt: str, *, chat: str = "", c: bool = False) -> list[str]:
        """Run a cell; return the prompts that went along before it."""
        key = TurnKey(cell) if cell else None
        place = self.chats.place(key, name=chat, goes_on=c)
        reply = Reply(prompt.upper(), state="complete")
        self.chats.put(place, Turn(key, prompt, reply))
        return [turn.prompt for turn in place.before]

    def shown(self, name: str | None = None) -> str:
        """The prompts of a chat, stale ones in brackets."""
        turns = self.chats.find(name).turns
        return " ".join(f"[{t.prompt}]" if t.is_stale else t.prompt for t in turns)


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


# -- what goes along -----------------------------------------------------------------------


def test_a_cell_stands_alone(notebook: Notebook) -> None:
    assert notebook.run("A", "a") == []
    assert notebook.run("B", "b") == []


def test_a_cell_that_goes_on_has_the_last_answer(notebook: Notebook) -> None:
    notebook.run("A", "a")
    assert notebook.run("B", "b", c=True) == ["a"]
    assert notebook.run("C", "c", c=True) == ["a", "b"]


def test_going_on_with_nothing_begins(notebook: Notebook) -> None:
    assert notebook.run("A", "a", c=True) == []
    assert notebook.run("B", "b", c=True) == ["a"]


def test_a_named_chat_is_gone_on_with_from_anywhere(notebook: Notebook) -> None:
    notebook.run("A", "a", chat="story")
    notebook.run("B", "b")
    assert notebook.run("C", "c", chat="story") == ["a"]
    assert notebook.run("D", "d", c=True) == ["a", "c"]
    assert notebook.chats.names() == ("story",)


# -- run again -----------------------------------------------------------------------------


def story(notebook: Notebook, cells: str = "ABC", version: str = "") -> None:
    for cell in cells:
        notebook.run(cell, f"{cell.lower()}{version}", chat="story")


def test_a_cell_run_again_replaces_its_turn_and_what_follows_is_stale(notebook: Notebook) -> None:
    story(notebook)
    assert notebook.run("B", "b2", chat="story") == ["a"]
    assert notebook.shown("story") == "a b2 [c]"


def test_what_is_stale_is_not_sent_until_its_cell_has_run_again(notebook: Notebook) -> None:
    story(notebook)
    notebook.run("A", "a2", chat="story")
    assert notebook.run("C", "c2", chat="story") == ["a2"]
    assert notebook.shown("story") == "a2 c2 [b]"
    assert notebook.run("D", "d", chat="story") == ["a2", "c2"]


def test_a_cell_added_between_two_is_there_after_run_all(notebook: Notebook) -> None:
    story(notebook)
    story(notebook, "ANBC", "2")
    assert notebook.shown("story") == "a2 n2 b2 c2"


def test_a_cell_that_moved_is_there_after_run_all(notebook: Notebook) -> None:
    story(notebook)
    story(notebook, "ACB", "2")
    assert notebook.shown("story") == "a2 c2 b2"
    story(notebook, "ABC", "3")
    assert notebook.shown("story") == "a3 b3 c3"


def test_the_turn_of_a_deleted_cell_is_sent_no_more(notebook: Notebook) -> None:
    story(notebook)
    story(notebook, "AC", "2")
    assert notebook.shown("story") == "a2 c2 [b]"
    assert notebook.run("D", "d", chat="story") == ["a2", "c2"]


def test_only_stale_turns_that_stood_before_it_are_told(notebook: Notebook) -> None:
    story(notebook)
    notebook.run("A", "a2", chat="story")
    places = {cell: notebook.chats.place(TurnKey(cell), name="story") for cell in "BCD"}
    assert [places[cell].stale for cell in "BCD"] == [0, 1, 2]


def run_all(notebook: Notebook, version: str) -> None:
    notebook.run("A", f"a{version}")
    notebook.run("B", f"b{version}", c=True)
    notebook.run("C", f"c{version}", chat="story")
    notebook.run("D", f"d{version}")
    notebook.run("E", f"e{version}", c=True)
    notebook.run("F", f"f{version}", chat="story")
    notebook.run("G", f"g{version}", c=True)


def test_run_all_again_gives_the_same_chats_as_the_first_time(notebook: Notebook) -> None:
    run_all(notebook, "1")
    run_all(notebook, "2")
    assert notebook.shown("story") == "c2 f2 g2"
    assert notebook.shown() == "c2 f2 g2"
    assert notebook.run("H", "h", c=True) == ["c2", "f2", "g2"]


def test_a_cell_in_the_middle_goes_on_with_what_it_went_on_with(notebook: Notebook) -> None:
    run_all(notebook, "1")
    assert notebook.run("B", "b2", c=True) == ["a1"]
    assert notebook.run("E", "e2", c=True) == ["d1"]


def test_a_cell_that_goes_on_follows_the_cell_before_it_into_another_chat(
    notebook: Notebook,
) -> None:
    notebook.run("A", "a")
    notebook.run("B", "b", c=True)
    notebook.run("A", "a2", chat="story")
    assert notebook.run("B", "b2", c=True) == ["a2"]
    assert notebook.shown("story") == "a2 b2"


def test_a_cell_that_stood_alone_and_goes_on_now_has_the_answer_before_it(
    notebook: Notebook,
) -> None:
    notebook.run("A", "a")
    notebook.run("B", "b")
    assert notebook.run("B", "b2", c=True) == ["a"]
    assert notebook.run("B", "b3", c=True) == ["a"]
    assert notebook.run("B", "b4") == []
    assert notebook.run("B", "b5", c=True) == ["a"]


def test_an_older_question_of_a_cell_does_not_replace_a_newer_one(notebook: Notebook) -> None:
    chats, key = notebook.chats, TurnKey("T")
    first, second = chats.place(key, name="story"), chats.place(key, name="story")
    chats.put(second, Turn(key, "new", Reply("new")))
    chats.put(first, Turn(key, "old", Reply("old")))
    assert notebook.shown("story") == "new"


def test_an_answer_that_comes_late_goes_into_the_chat_as_it_is_now(notebook: Notebook) -> None:
    place = notebook.chats.place(TurnKey("T"), name="story")
    story(notebook, "AB")
    notebook.chats.put(place, Turn(TurnKey("T"), "t", Reply("t")))
    assert notebook.shown("story") == "a b t"


@pytest.mark.parametrize("name", ["story", ""])
def test_a_forgotten_chat_does_not_come_back(notebook: Notebook, name: str) -> None:
    notebook.run("A", "a", chat=name)
    place = notebook.chats.place(TurnKey("B"), name=name, goes_on=not name)
    notebook.chats.forget(notebook.chats.find(name))
    notebook.chats.put(place, Turn(TurnKey("B"), "b", Reply("b")))
    assert notebook.shown(name) == "b"


def test_a_question_without_an_answer_makes_its_former_turn_stale(notebook: Notebook) -> None:
    story(notebook)
    notebook.chats.miss(notebook.chats.place(TurnKey("B"), name="story"), is_gone=False)
    assert notebook.shown("story") == "a [b] [c]"


def test_a_turn_whose_answer_was_withdrawn_is_gone(notebook: Notebook) -> None:
    story(notebook)
    notebook.chats.miss(notebook.chats.place(TurnKey("B"), name="story"), is_gone=True)
    assert notebook.shown("story") == "a [c]"


def test_after_a_question_without_an_answer_nothing_is_gone_on_with(notebook: Notebook) -> None:
    notebook.run("A", "a")
    notebook.chats.miss(notebook.chats.place(TurnKey("B")), is_gone=True)
    assert notebook.run("C", "c", c=True) == []


def test_a_cell_that_moves_to_another_chat_leaves_the_first_one(notebook: Notebook) -> None:
    for cell in "ABC":
        notebook.run(cell, cell.lower(), chat="story")
    notebook.run("B", "b2", chat="other")
    assert notebook.shown("story") == "a [c]"
    assert notebook.shown("other") == "b2"


def test_a_cell_with_many_questions_has_many_turns(notebook: Notebook) -> None:
    chats = notebook.chats
    for prompt in ("one", "two"):
        for number in range(2):
            key = TurnKey("A", number)
            place = chats.place(key, name="loop")
            chats.put(place, Turn(key, f"{prompt}{number}", Reply("x")))
    assert notebook.shown("loop") == "two0 two1"


def test_without_ids_every_run_is_a_turn(notebook: Notebook) -> None:
    for number in range(2):
        notebook.run(None, "a", c=number > 0)
    assert notebook.run(None, "a", c=True) == ["a", "a"]


# -- copies, names and files ---------------------------------------------------------------


def test_a_fork_goes_its_own_way(notebook: Notebook) -> None:
    notebook.run("A", "a", chat="story")
    notebook.run("B", "b", chat="story")
    notebook.chats.fork(notebook.chats.find("story"), "darker", TurnKey("F"))
    assert notebook.run("C", "c", chat="darker") == ["a", "b"]
    notebook.run("B", "b2", chat="story")
    assert notebook.shown("story") == "a b2"
    assert notebook.shown("darker") == "a b c"


def test_a_fork_made_again_by_its_cell_copies_what_a_new_kernel_would(notebook: Notebook) -> None:
    def play(version: str) -> None:
        notebook.run("A", f"a{version}", chat="story")
        notebook.chats.fork(notebook.chats.find("story"), "darker", TurnKey("F"))
        notebook.run("B", f"b{version}", chat="story")
        notebook.run("C", f"c{version}", chat="darker")

    play("1")
    play("2")
    assert notebook.shown("story") == "a2 b2"
    assert notebook.shown("darker") == "a2 c2"


def test_a_fork_made_again_keeps_what_was_built_on_it_as_stale(notebook: Notebook) -> None:
    notebook.run("A", "a", chat="story")
    notebook.chats.fork(notebook.chats.find("story"), "darker", TurnKey("F"))
    notebook.run("C", "c", chat="darker")
    notebook.run("A", "a2", chat="story")
    notebook.chats.fork(notebook.chats.find("story"), "darker", TurnKey("F"))
    assert notebook.shown("darker") == "a2 [c]"


@pytest.mark.parametrize("maker", [TurnKey("other"), None])
def test_another_cell_does_not_take_a_name_that_is_taken(
    notebook: Notebook, maker: TurnKey | None
) -> None:
    notebook.run("A", "a", chat="story")
    notebook.run("B", "b", chat="other")
    with pytest.raises(SettingsError) as caught:
        notebook.chats.fork(notebook.chats.find("story"), "other", maker)
    assert str(caught.value) == ("there is a chat 'other' already; `%glm reset other` forgets it")
    assert notebook.shown("other") == "b"


def test_an_unknown_chat_names_the_nearest(notebook: Notebook) -> None:
    notebook.run("A", "a", chat="story")
    with pytest.raises(
        SettingsError, match="no chat 'stroy' in this session; did you mean 'story'"
    ):
        notebook.chats.find("stroy")


def test_without_a_chat_the_line_says_how_to_start_one(notebook: Notebook) -> None:
    with pytest.raises(SettingsError, match="no chat yet in this session"):
        notebook.chats.find(None)


def test_a_forgotten_chat_is_gone_and_its_cells_begin_anew(notebook: Notebook) -> None:
    notebook.run("A", "a", chat="story")
    notebook.run("B", "b", chat="story")
    notebook.chats.forget(notebook.chats.find("story"))
    assert notebook.chats.names() == ()
    assert notebook.chats.current is None
    assert notebook.run("B", "b", chat="story") == []


def test_all_chats_are_forgotten_at_once(notebook: Notebook) -> None:
    notebook.run("A", "a", chat="one")
    notebook.run("B", "b", chat="two")
    notebook.run("C", "c")
    assert notebook.chats.forget_all() == 3
    assert notebook.chats.all() == ()


# -- what is sent --------------------------------------------------------------------------


def test_the_reasoning_stays_behind_unless_asked_for() -> None:
    turn = Turn(None, "why", Reply("so", reasoning="hm"))
    assert messages_of([turn]) == [Message("user", "why"), Message("assistant", "so")]
    assert messages_of([turn], keep_reasoning=True)[1] == Message("assistant", "so", "hm")


def test_a_chat_keeps_the_system_message_and_model_of_its_lines(notebook: Notebook) -> None:
    chats = notebook.chats
    first = Turn(TurnKey("A"), "a", Reply("A"), system="pirate", model="glm-5")
    chats.put(chats.place(first.key, name="story"), first)
    chats.put(chats.place(TurnKey("B"), name="story"), Turn(TurnKey("B"), "b", Reply("B")))
    place = chats.place(TurnKey("C"), name="story")
    assert (place.system, place.model) == ("pirate", "glm-5")
    assert chats.place(TurnKey("A"), name="story").system is None


TURNS = [replace(Turn(None, str(n), Reply(str(n))), tokens=100) for n in range(10)]


@pytest.mark.parametrize(
    ("window", "taken", "max_tokens", "first"),
    [
        (None, 10**9, None, 0),
        (10_000, 100, None, 0),
        (1000, 0, 100, 2),
        (1000, 150, 100, 4),
        (1000, 0, 10_000, 4),
        (1000, 900, 100, 10),
        (100, 0, None, 10),
    ],
)
def test_the_oldest_turns_are_left_out_where_the_window_is_full(
    window: int | None, taken: int, max_tokens: int | None, first: int
) -> None:
    kept = fit_turns(TURNS, window=window, taken=taken, max_tokens=max_tokens)
    assert [turn.prompt for turn in kept] == [str(n) for n in range(first, 10)]


def test_the_window_is_that_of_the_model() -> None:
    assert window_of("glm-4.7") == 200_000
    assert window_of("somebody/model") is None


def test_a_thousand_turns_have_a_place_each() -> None:
    keys = [TurnKey(str(n)) for n in range(1000)]
    chat = Chat("long", [Turn(key, "p", Reply("r")) for key in keys])
    assert [len(chat.before(key)) for key in keys[::100]] == list(range(0, 1000, 100))
    assert len(chat.before(TurnKey("new"))) == 1000
