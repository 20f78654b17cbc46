"""Answers that no view is made for, and every view meets one day."""

from __future__ import annotations

from bench.live_document import Answer, build_answer, cut

BAD_NAMES = {
    "fence": "code of 10,000 lines, never closed",
    "table": "table of 1,000 columns",
    "one delta": "2 MB in one delta, then more",
    "one line": "2 MB of one line in one delta, then more",
    "long": "200,000 tokens at full speed",
    "lists": "lists nested 200 deep",
}

_END = "That is the end."
# A second and a half of it: what is large stays on the screen, and is added to.
_MORE = cut(" And a little more comes after it." * 150 + " " + _END)


def build_bad(name: str) -> Answer:
    """Return the bad answer of that name; see `BAD_NAMES`."""
    match name:
        case "fence":
            return _build_fence(lines=10_000)
        case "table":
            return _build_wide_table(columns=1000, rows=5)
        case "one delta":
            whole = build_answer(465_000)
            return Answer((whole.text, *_MORE), (*whole.needles, _END))
        case "one line":
            words = [f"word{n}" for n in range(200_000)]
            return Answer((" ".join(words), *_MORE), (*words, _END))
        case "long":
            return build_answer(200_000, deltas_a_second=None)
        case "lists":
            lines = [f"level {n}" for n in range(200)]
            return Answer(tuple(f"{'  ' * n}- {x}\n" for n, x in enumerate(lines)), tuple(lines))
    raise ValueError(f"no bad answer named {name!r}")


def _build_fence(*, lines: int) -> Answer:
    """A line a delta."""
    code = [f"value_{n} = transform(value_{n - 1}, rate={n % 10})" for n in range(lines - 1)]
    code.append(f"# {_END}")
    indented = (f"{'    ' * (n % 3)}{line}\n" for n, line in enumerate(code))
    return Answer(("```python\n", *indented), tuple(code))


def _build_wide_table(*, columns: int, rows: int) -> Answer:
    """A cell a delta, so that the head alone takes more than a second."""
    cells = [[f"c{row}-{column}" for column in range(columns)] for row in range(rows)]
    head, *body = [[*(f"| {cell} " for cell in row), "|\n"] for row in cells]
    pieces = [*head, "|---" * columns + "|\n", *(piece for row in body for piece in row)]
    return Answer(tuple(pieces), tuple(cell for row in cells for cell in row))
