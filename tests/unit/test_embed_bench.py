"""The benches of embeddings run, at a size that is no measurement."""

from bench import embed, neighbours


def test_the_clients_are_timed_side_by_side() -> None:
    times = embed.measure(count=70, dimensions=8, rounds=1)
    assert {"ours, into the store", "ours again, from the store"} <= times.keys()
    table = embed.render(70, 8, times)
    assert "from the store" in table and "x ideal" in table


def test_nearest_texts_are_timed_beside_bare_numpy() -> None:
    lines = neighbours.run(some=60, many=400, width=8, rounds=1)
    assert len(lines) == 7
    assert "top 10 of each" in lines[2]
