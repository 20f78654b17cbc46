"""A reply as a page and as text: what stands there, and that nothing hostile can act in it."""

from collections.abc import Iterator
from typing import Any

import html5lib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glm_magic.api.events import Source, Usage
from glm_magic.api.reply import Reply
from glm_magic.render.reply import (
    ending_line,
    header_line,
    render_reasoning,
    render_reply,
    render_reply_plain,
)
from glm_magic.render.settings import render_settings, render_settings_plain
from glm_magic.render.sources import render_sources, render_sources_plain
from glm_magic.session.settings import GlmMagic, Setting

USAGE = Usage(prompt_tokens=12, completion_tokens=100, total_tokens=112)
SOURCE = Source(
    1, "一季度开局良好", "https://example.org/q1", "示例统计网", "2024-04-16", "GDP 296299亿元"
)
WHOLE = Reply(
    text="GDP 增长 **5.3%**[ref_1]。",
    reasoning="想 <b>一</b> 想",
    cited=(SOURCE,),
    usage=USAGE,
    model="glm-4.7",
    endpoint="api.z.ai",
    finish_reason="stop",
    seconds=3.04,
    first_token_s=0.54,
    state="complete",
)
TAGS = {"html", "head", "body", "div", "p", "em", "strong", "small", "code", "pre", "span", "a"}
TAGS |= {"details", "summary", "table", "caption", "thead", "tbody", "tr", "th", "td"}
ATTRIBUTES = {"class", "style", "scope", "href", "rel", "target", "title", "open"}


def nodes(html: str) -> Iterator[Any]:
    """Every element a browser would make of `html`."""
    yield from html5lib.parse(html, namespaceHTMLElements=False).iter()


def text_of(html: str) -> str:
    return "".join(html5lib.parse(html, namespaceHTMLElements=False).itertext())


def assert_harmless(html: str) -> None:
    for node in nodes(html):
        assert node.tag in TAGS
        assert set(node.attrib) <= ATTRIBUTES
        assert node.get("href", "https://").startswith(("https://", "http://", "mailto:"))


def cells(html: str) -> list[str]:
    return ["".join(node.itertext()) for node in nodes(html) if node.tag in ("th", "td")]


# -- the header ----------------------------------------------------------------------------


def test_the_header_says_model_endpoint_time_tokens_and_speed() -> None:
    assert header_line(WHOLE) == "glm-4.7 · api.z.ai · 3.0 s · 12 + 100 tokens · 40 tokens/s"


def test_the_header_leaves_out_what_is_not_known() -> None:
    assert header_line(Reply(model="m", seconds=1.26)) == "m · 1.3 s"


def test_a_note_stands_by_the_model() -> None:
    reply = Reply(model="tiny.gguf", endpoint="local")
    assert header_line(reply, note="135M parameters") == (
        "tiny.gguf (135M parameters) · local · 0.0 s"
    )


def test_a_model_name_with_line_breaks_stays_in_the_line() -> None:
    assert header_line(Reply(model="a\n\x1b[31mb", endpoint="x")) == "a b · x · 0.0 s"


# -- the ending ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "line"),
    [
        (Reply("a", state="complete", finish_reason="stop"), ""),
        (Reply("a", state="complete"), ""),
        (Reply("", state="streaming"), ""),
        (Reply("a", state="streaming"), ""),
        (Reply(" \n", state="complete", finish_reason="stop"), "the answer is empty"),
        (Reply("", reasoning="hm", state="complete"), "the answer is empty"),
        (Reply("a", state="stopped"), "stopped: the answer is not complete"),
        (Reply("a", state="cut off"), "cut off: the answer is not complete"),
        (
            Reply("a", state="cut off", finish_reason="length"),
            "cut off: the answer is not complete",
        ),
        (Reply("", state="failed"), "no answer came"),
    ],
)
def test_the_ending_says_how_a_reply_ended(reply: Reply, line: str) -> None:
    assert ending_line(reply) == line


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("length", "the token limit was reached"),
        ("sensitive", "the safety review ended it"),
        ("network_error", "the platform failed"),
        ("model_context_window_exceeded", "the model's context is full"),
        ("tool_calls", "it asks for a tool"),
        ("brand_new", "brand_new"),
        ("<b>\n\x1b[31m", "<b>"),
    ],
)
def test_every_finish_reason_is_put_in_words(reason: str, words: str) -> None:
    reply = Reply("a", state="complete", finish_reason=reason)
    assert ending_line(reply) == f"ended early: {words}"
    assert f"[ended early: {words}]" in text_of(render_reply(reply))
    assert_harmless(render_reply(reply))


def test_reasoning_that_used_up_the_limit_is_told_with_the_way_out() -> None:
    reply = Reply("", reasoning="hm", state="complete", finish_reason="length")
    assert ending_line(reply) == (
        "ended early: the token limit was reached; reasoning used it up, raise --max-tokens or "
        "use --thinking off"
    )


# -- the page ------------------------------------------------------------------------------


def test_a_page_has_header_reasoning_answer_and_sources_in_this_order() -> None:
    text = text_of(render_reply(WHOLE))
    parts = ["glm-4.7 · api.z.ai", "Reasoning", "想 <b>一</b> 想", "GDP 增长 5.3%", "Sources (1)"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert_harmless(render_reply(WHOLE))


def test_reasoning_is_folded_unless_it_is_to_be_open() -> None:
    assert render_reasoning("hm").startswith("<details><summary>Reasoning</summary>")
    assert render_reasoning("hm", is_open=True).startswith("<details open>")
    assert render_reasoning(" \n") == ""
    assert "<details" not in render_reply(Reply("a", state="complete"))


def test_a_reference_in_the_answer_links_to_its_source() -> None:
    links = [node for node in nodes(render_reply(WHOLE)) if node.tag == "a"]
    assert [link.get("href") for link in links] == ["https://example.org/q1"] * 2
    assert {link.get("rel") for link in links} == {"noopener noreferrer nofollow"}
    assert {link.get("target") for link in links} == {"_blank"}


def test_a_reference_without_a_source_stays_text() -> None:
    html = render_reply(Reply("a[ref_9]", cited=(SOURCE,), state="complete"))
    assert "[ref_9]" in text_of(html)


# -- sources -------------------------------------------------------------------------------


def test_a_source_is_a_row_with_its_true_host() -> None:
    assert cells(render_sources([SOURCE])) == [
        "#",
        "Title",
        "Site",
        "Date",
        "Snippet",
        "1",
        "一季度开局良好 (example.org)",
        "示例统计网",
        "2024-04-16",
        "GDP 296299亿元",
    ]


def test_without_sources_there_is_no_table() -> None:
    assert render_sources([]) == ""
    assert render_sources_plain([]) == ""


@pytest.mark.parametrize(
    ("link", "cell"),
    [
        ("", "Q1 (no link given)"),
        ("  ", "Q1 (no link given)"),
        ("javascript:alert(1)", "Q1 (not linked: javascript:alert(1))"),
        ("http://127.0.0.1/x", "Q1 (not linked: http://127.0.0.1/x)"),
        ("https://a@b.example/", "Q1 (not linked: https://a@b.example/)"),
        ('"><script>x</script>', 'Q1 (not linked: "><script>x</script>)'),
    ],
)
def test_a_source_without_a_good_link_says_why(link: str, cell: str) -> None:
    html = render_sources([Source(1, "Q1", link, "", "", "")])
    assert cells(html)[6] == cell
    assert [node for node in nodes(html) if node.tag == "a"] == []
    assert_harmless(html)


def test_a_source_without_a_title_is_untitled() -> None:
    assert cells(render_sources([Source(1, " ", "", "", "", "")]))[6] == "untitled (no link given)"


HOSTILE = st.sampled_from(
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onmouseover='alert(1)",
        "</td></table><iframe src=//evil.example>",
        "<!--",
        "&lt;b&gt;",
        'https://example.org/"onclick="x',
        "javascript:alert(1)",
        "\x1b]8;;https://evil.example\x07x",
        "\u202egpj.exe",
        "\x00",
        "\ud83d",
        "[x](javascript:x)",
        "a\nb",
    ]
) | st.text(max_size=20)


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_hostile_sources_are_text(title: str, link: str, site: str, date: str, text: str) -> None:
    source = Source(1, title, link, site, date, text)
    html = render_sources([source])
    assert_harmless(html)
    assert len(cells(html)) == 10
    html.encode("utf-8")
    assert len(render_sources_plain([source]).splitlines()) == 1


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_the_frame_of_a_hostile_reply_holds(
    model: str, endpoint: str, reason: str, request_id: str
) -> None:
    reply = Reply(
        model=model, endpoint=endpoint, finish_reason=reason, request_id=request_id, text="a"
    )
    html = render_reply(reply, note=model)
    assert_harmless(html)
    (body,) = [node for node in nodes(html) if node.tag == "body"]
    assert [node.tag for node in body] == ["div"]


# -- plain text ----------------------------------------------------------------------------


def test_a_reply_as_text_is_the_answer_its_ending_and_its_sources() -> None:
    reply = Reply("你好\x1b[31m[ref_1]\n", cited=(SOURCE,), state="stopped")
    assert render_reply_plain(reply) == (
        "你好[ref_1]\n\n"
        "[stopped: the answer is not complete]\n\n"
        "[1] 一季度开局良好 · https://example.org/q1 · 示例统计网 · 2024-04-16"
    )


def test_a_reply_that_simply_ended_is_its_text() -> None:
    assert render_reply_plain(Reply("你好", state="complete")) == "你好"


def test_a_source_with_nothing_in_it_is_untitled_as_text() -> None:
    assert render_sources_plain([Source(2, "", "", "", "", "x")]) == "[2] untitled"


# -- settings ------------------------------------------------------------------------------


def test_settings_are_a_table_of_name_value_origin_and_meaning() -> None:
    html = render_settings(GlmMagic().rows())
    assert cells(html)[:8] == [
        "Setting",
        "Value",
        "From",
        "Meaning",
        "endpoint",
        "auto",
        "default",
        "Where requests go: auto, bigmodel, zai, coding, coding-zai, local or a URL.",
    ]
    assert_harmless(html)


def test_a_setting_with_tags_in_it_is_text() -> None:
    row = Setting("system", "<img src=x>\nbe brief", "session", "System message.")
    assert cells(render_settings([row]))[5] == "<img src=x> be brief"
    assert_harmless(render_settings([row]))


def test_settings_as_text_are_one_line_each() -> None:
    rows = [
        Setting("model", "glm-4.7", "session", "Chat model."),
        Setting("top_p", None, "default", "Nucleus sampling."),
    ]
    assert render_settings_plain(rows) == (
        "model  glm-4.7  session      Chat model.\ntop_p  None     default      Nucleus sampling."
    )
