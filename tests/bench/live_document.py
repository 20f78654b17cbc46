"""The long and realistic answer that the bench of the live view streams.

It is built by counting, without chance, so that every run and every way of showing has the very
same text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, cycle, takewhile

# Counted on answers of the platform's models: English prose and code together.
CHARACTERS_A_TOKEN = 4.3
# Lengths of deltas, which together are 4.3 characters each.
_LENGTHS = (4, 5, 3, 6, 2, 5, 4, 7, 3, 4)
LAST_WORDS = "These are the last words of the answer."


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it streams in.

    Attributes:
        deltas: its text in the pieces in which it comes.
        needles: plain strings of it that whoever shows all of it shows, in this order.
        deltas_a_second: how fast they come; None is as fast as they are taken.
    """

    deltas: tuple[str, ...]
    needles: tuple[str, ...]
    deltas_a_second: float | None = 800

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(self.deltas)

    def share_in(self, shown: str) -> float:
        """Return how much `shown`, a page's text, has from the start on; 1.0 is all of it."""
        shown, at = _one_spaced(shown), 0
        for count, needle in enumerate(map(_one_spaced, self.needles)):
            if (found := shown.find(needle, at)) < 0:
                return count / len(self.needles)
            at = found + len(needle)
        return 1.0


def _one_spaced(text: str) -> str:
    return " ".join(text.split())


@dataclass(frozen=True, slots=True)
class _Block:
    """A block of Markdown and what of it is shown just as it is written."""

    source: str
    needles: tuple[str, ...] = ()


@cache
def build_answer(tokens: int, *, deltas_a_second: float | None = 800) -> Answer:
    """Return an answer of about `tokens` tokens, one a delta, that ends with `LAST_WORDS`.

    It has everything that long answers have: headings, paragraphs with inline code, links and
    formulas, nested lists, code of 10 to 40 lines, tables, quotes, display formulas and Chinese.
    A shorter one is the beginning of a longer one, but for its last words.
    """
    length = round(tokens * CHARACTERS_A_TOKEN) - len(LAST_WORDS)
    blocks = _blocks_within(length)
    last = _Block(LAST_WORDS, (LAST_WORDS,))
    text = "".join(f"{block.source}\n\n" for block in blocks) + LAST_WORDS
    needles = tuple(needle for block in (*blocks, last) for needle in block.needles)
    return Answer(cut(text), needles, deltas_a_second)


def _blocks_within(length: int) -> list[_Block]:
    """As many blocks, from the first one, as `length` characters hold."""
    blocks = list[_Block]()
    for block in _all_blocks():
        length -= len(block.source) + 2
        if length < 0:
            break
        blocks.append(block)
    return blocks


def cut(text: str) -> tuple[str, ...]:
    """Return `text` in pieces as long as tokens."""
    ends = accumulate(cycle(_LENGTHS))
    ends = [*takewhile(lambda end: end < len(text), ends), len(text)]
    return tuple(text[a:b] for a, b in zip((0, *ends), ends, strict=False))


def _all_blocks() -> Iterator[_Block]:
    number = 0
    while True:
        number += 1
        yield from _build_section(number)


def _build_section(number: int) -> Iterator[_Block]:
    level = "##" if number % 3 == 1 else "###"
    title = f"{number}. {_TITLES[number % len(_TITLES)]}"
    yield _Block(f"{level} {title}", (title,))
    yield _build_paragraph(number)
    yield _BUILDERS[number % len(_BUILDERS)](number)
    yield _build_paragraph(number + 3)
    yield _BUILDERS[(number + 4) % len(_BUILDERS)](number)


def _numbered(text: str, number: int) -> str:
    return text.replace("§", str(number))


def _pick(lines: Sequence[str], start: int, count: int) -> list[str]:
    """`count` lines from `start` on, over and over, with the number of the round in them."""
    numbers = range(start, start + count)
    return [_numbered(lines[n % len(lines)], n // len(lines) + 1) for n in numbers]


def _build_paragraph(number: int) -> _Block:
    plain = _pick(_PLAIN, number * 3, 3)
    rich = _pick(_RICH, number * 2, 2)
    return _Block(f"{plain[0]} {rich[0]} {plain[1]} {rich[1]} {plain[2]}", tuple(plain))


def _build_list(number: int) -> _Block:
    mark = "1." if number // 4 % 2 else "-"
    items = _pick(_PLAIN, number * 5, 9)
    depths = (0, 1, 1, 0, 1, 2, 2, 0, 0)
    indents = (" " * (len(mark) + 1) * depth for depth in depths)
    lines = (f"{indent}{mark} {item}" for indent, item in zip(indents, items, strict=True))
    return _Block("\n".join(lines), tuple(items))


def _build_code(number: int) -> _Block:
    language, bank = _CODE[number // 3 % len(_CODE)]
    lines = _pick(bank, number * 8, 10 + number * 7 % 31)
    needles = tuple(line.strip() for line in lines if line.strip())
    return _Block("\n".join((f"```{language}", *lines, "```")), needles)


def _build_table(number: int) -> _Block:
    rows = [(f"run {n}", f"{n * 37 % 900} ms", f"{n * 13 % 100} %") for n in _span(number, 6)]
    notes = _pick(_CELLS, number, 6)
    lines = [f"| {' | '.join(row)} | {note} |" for row, note in zip(rows, notes, strict=True)]
    head = ["| Run | Time | Share | Note |", "|:---|---:|:---:|---|"]
    return _Block("\n".join(head + lines), tuple(cell for row in rows for cell in row))


def _span(number: int, count: int) -> range:
    return range(number * count, (number + 1) * count)


def _build_quote(number: int) -> _Block:
    lines = _pick(_PLAIN, number * 7, 3)
    return _Block("\n".join(f"> {line}" for line in lines), tuple(lines))


def _build_formula(number: int) -> _Block:
    return _Block(_numbered(_FORMULAS[number % len(_FORMULAS)], number))


def _build_chinese(number: int) -> _Block:
    sentences = _pick(_CHINESE, number * 4, 4)
    return _Block("".join(sentences), tuple(sentences))


def _build_links(number: int) -> _Block:
    names = [f"reference {n}" for n in _span(number, 4)]
    lines = (f"- [{name}](https://example.org/{name.split()[1]}/page?a=1&b=2)" for name in names)
    return _Block("Further reading:\n\n" + "\n".join(lines), tuple(names))


_BUILDERS = (
    _build_list,
    _build_code,
    _build_table,
    _build_quote,
    _build_code,
    _build_formula,
    _build_chinese,
    _build_code,
    _build_links,
)
_TITLES = (
    "What the data says",
    "How the method works",
    "A first implementation",
    "Where it goes wrong",
    "Measuring the effect",
    "Putting it together",
    "Alternatives",
)
_PLAIN = (
    "The first thing to notice is that case § behaves just like the one before it.",
    "Short wavelengths are scattered far more strongly, which is why the sky is blue.",
    "In practice a batch of § items is large enough to hide the cost of a round trip.",
    "None of this depends on the order in which the § parts arrive.",
    "A cache in front of step § makes the second request much faster than the first.",
    "Keep the old value until the new one is known to be complete, then swap them.",
    "With fewer than § samples the estimate says little about the tail.",
    "The error grows slowly at first, and then, beyond point §, all at once.",
    "That is a trade between memory and time, and here memory is the cheaper one.",
    "Run it twice and compare: both runs of experiment § should agree to the last digit.",
    "If they do not, look for a clock, a random seed or a set that is iterated over.",
)
_RICH = (
    "So the **loss after § steps** is about $L = \\frac{1}{n}\\sum_i (y_i - x_i)^2$, as expected.",
    "Call `model.fit(x, y, epochs=§)` and look at the *first* column only.",
    "See [chapter §](https://example.com/book/§) for a proof, and `help(solve)` for the details.",
    "Here $x_{§}$ and $y_{§}$ are *independent*, **not** merely uncorrelated.",
    "The flag `--limit=§` is ~~required~~ optional since version 2.",
    "Both \\(a_{§} \\le b\\) and **`b < §`** have to hold.",
)
_CELLS = (
    "as `expected`",
    "**slow** start",
    "see [note](https://example.net/§)",
    "$x = §$",
    "平均值",
    "",
)
_FORMULAS = (
    "$$\n\\int_0^{§} e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2}\\operatorname{erf}(§)\n$$",
    "\\[\n\\nabla \\times \\mathbf{B} = \\mu_0 \\mathbf{J}_{§} + \\mu_0 \\varepsilon_0 "
    "\\frac{\\partial \\mathbf{E}}{\\partial t}\n\\]",
    "$$\nA_{§} = \\begin{pmatrix} a & b \\\\ c & d \\end{pmatrix}, \\quad "
    "\\det A_{§} = ad - bc\n$$",
)
_CHINESE = (
    "第§步要先检查输入的数据是否完整，然后再开始计算。",
    "天空之所以是蓝色的，是因为短波长的光更容易被空气分子散射。",
    "如果样本少于§个，平均值就不太可靠，需要再做一次实验。",
    "这种方法占用的内存多一些，但是速度快得多。",
    "请注意第§行的结果和上面的表格并不一致。",
)
_PYTHON = (
    "def step_§(state: State, rate: float = 0.5) -> State:",
    '    """Move by one step of § along the gradient."""',
    "    if state.is_done and state.count > §:",
    "        return state",
    "    total = sum(w * v for w, v in zip(state.weights, state.values, strict=True))",
    '    logger.debug("step %d: total %.3f", §, total)',
    "    return replace(state, total=total * rate, count=state.count + 1)",
    "",
)
_JAVASCRIPT = (
    "export async function load§(url, { retries = 3, signal } = {}) {",
    "  const response = await fetch(`${url}?page=§`, { signal });",
    "  if (!response.ok && retries > 0) {",
    "    return load§(url, { retries: retries - 1, signal });",
    "  }",
    "  const rows = (await response.json()).items.filter((row) => row.id > §);",
    "  return rows.map(({ id, name }) => ({ id, name: name.trim() })); // page §",
    "}",
)
_BASH = (
    "for file in data/part-§-*.csv; do",
    '  name="$(basename "$file" .csv)"',
    '  if [[ ! -s "$file" ]]; then echo "empty: $name (§)" >&2; continue; fi',
    '  sort -t, -k2,2n "$file" | uniq | head -n § > "out/$name.sorted"',
    "done",
    "# § files are enough for a test",
    'curl --fail --silent --retry 3 "https://example.com/api?part=§" | tee "log/§.json"',
    "",
)
_CODE = (("python", _PYTHON), ("javascript", _JAVASCRIPT), ("bash", _BASH))
