"""The bench of tool rounds and structured answers runs, at a size that is no measurement."""

from bench import rounds


def test_every_way_to_call_is_timed_beside_its_floor() -> None:
    measured = rounds.measure((0, 2), runs=1)
    assert list(measured) == [
        "a function",
        "an async function",
        "a function, nobody watches",
        "words before each call",
    ]
    pairs = [cells for ways in measured.values() for cells in ways.values()]
    assert [cells.rounds for cells in pairs] == [0, 2] * 4
    assert all(cells.ours_ms[0] > 0 and cells.floor_ms[0] > 0 for cells in pairs)


def test_a_round_costs_what_the_floor_does_not_take() -> None:
    none = rounds.Cells(0, ours_ms=(40.0,), floor_ms=(10.0,))
    one = rounds.Cells(1, ours_ms=(45.0,), floor_ms=(10.0,))
    five = rounds.Cells(5, ours_ms=(100.0, 110.0, 150.0), floor_ms=(50.0, 60.0, 50.0))
    assert five.overheads_ms == [10.0, 10.0, 20.0]
    cells = {"a call": {0: none, 1: one, 5: five}}
    lines = [line.split() for line in rounds.render_rounds(cells, (1, 5)).splitlines()]
    assert lines[-3][2:] == ["0", "1", "40.0", "10.0"]
    assert lines[-2][-7:] == ["5.0", "5.0", "5.0", "<=", "20", "met", "35.0"]
    assert lines[-1][-7:] == ["4.0", "14.0", "14.0", "<=", "20", "met", "10.0"]


def test_growth_is_a_multiple_of_the_fewest_rounds() -> None:
    five = rounds.Cells(5, ours_ms=(100.0,), floor_ms=(50.0,))
    ten = rounds.Cells(10, ours_ms=(400.0,), floor_ms=(100.0,))
    *_, line = rounds.render_linearity({"a call": {5: five, 10: ten}}, (5, 10)).splitlines()
    figures = ["10", "0.400", "40.0", "2.00", "10.0", "1.00", "30.0", "3.00"]
    assert line.split() == ["a", "call", *figures, "<=", "1.5", "MISSED"]


def test_answers_are_read_beside_json_alone() -> None:
    figures = rounds.time_reading(rows=3, runs=2)
    assert [(f.what, f.beside) for f in figures] == [
        ("the short form", "json.loads"),
        ("a pydantic model", "json.loads"),
        ("a dataclass", "json.loads"),
        ("a JSON Schema", "json.loads"),
        ("the short form, frame", "json.loads, DataFrame"),
        ("a pydantic model, frame", "json.loads, DataFrame"),
        ("a dataclass, frame", "json.loads, DataFrame"),
        ("a JSON Schema, frame", "json.loads, DataFrame"),
    ]
