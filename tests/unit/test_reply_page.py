"""A reply as a page and as text: what stands there, and that nothing hostile can act in it."""

from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from typing import Any

import html5lib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glm_magic.api.events import Event, ReasoningDelta, Source, TextDelta, Usage
from glm_magic.api.reply import Context, ReasoningView, Reply, State
from glm_magic.jupyter.views.bundles import reply_metadata
from glm_magic.jupyter.views.live import LiveView
from glm_magic.jupyter.views.show import Look
from glm_magic.jupyter.views.terminal import TerminalView
from glm_magic.render.footer import context_words, ending_line, footer_line, header_line
from glm_magic.render.reply import render_reasoning, render_reply, render_reply_plain
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
    found=(SOURCE,),
    usage=USAGE,
    model="glm-4.7",
    endpoint="api.z.ai",
    finish_reason="stop",
    seconds=3.04,
    first_token_s=0.54,
    state="complete",
)
TAGS = {"html", "head", "body", "div", "p", "em", "strong", "small", "code", "pre", "span", "a"}
TAGS |= {"br", "h1", "li", "ol", "sup", "ul"} | {
    "details",
    "summary",
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
}
ATTRIBUTES = {"class", "style", "scope", "href", "rel", "target", "title", "open", "role"}


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


def test_the_header_says_model_and_endpoint() -> None:
    assert header_line(WHOLE) == "glm-4.7 · api.z.ai"


def test_the_header_leaves_out_what_is_not_known() -> None:
    assert header_line(Reply(model="m")) == "m"


def test_a_note_stands_by_the_model() -> None:
    reply = Reply(model="tiny.gguf", endpoint="local")
    assert header_line(reply, note="135M parameters") == "tiny.gguf (135M parameters) · local"


def test_a_model_name_with_line_breaks_stays_in_the_line() -> None:
    assert header_line(Reply(model="a\n\x1b[31mb", endpoint="x")) == "a b · x"


@pytest.mark.parametrize(
    ("context", "words"),
    [
        (Context("", 1), ""),
        (Context("", 3), "turn 3"),
        (Context("story", 1), "chat story, turn 1"),
        (Context("story", 3, left_out=1), "chat story, turn 3 · the oldest turn was left out"),
        (
            Context("story", 3, left_out=2, stale=1),
            "chat story, turn 3 · the oldest 2 turns were left out · 1 stale turn is not sent",
        ),
        (Context("", 4, stale=2), "turn 4 · 2 stale turns are not sent"),
        (Context("a\n\x1b[31mb", 2), "chat a b, turn 2"),
    ],
)
def test_the_header_says_what_of_a_chat_went_along(context: Context, words: str) -> None:
    assert context_words(context) == words
    line = header_line(replace(WHOLE, context=context))
    assert line == " · ".join(filter(None, ("glm-4.7", "api.z.ai", words)))


def test_the_title_of_the_live_view_says_it_too() -> None:
    assert Look("glm-4.7", "api.z.ai").title == "glm-4.7 · api.z.ai"
    assert Look("glm-4.7", "x.org", context="turn 3").title == "glm-4.7 · x.org · turn 3"


def test_the_metadata_names_chat_and_turn() -> None:
    facts = reply_metadata(replace(WHOLE, context=Context("story", 3)))["glm_magic"]
    assert (facts["chat"], facts["turn"]) == ("story", 3)
    for single in (None, Context("", 1)):
        assert "turn" not in reply_metadata(replace(WHOLE, context=single))["glm_magic"]


# -- the footer ----------------------------------------------------------------------------


def test_the_footer_says_tokens_times_speed_cost_and_how_it_ended() -> None:
    usage = Usage(1200, 800, 2000, cached_tokens=1000, reasoning_tokens=300)
    reply = replace(WHOLE, usage=usage, billed_in="USD")
    assert footer_line(reply) == (
        "1,200 tokens in (1,000 cached) · 800 out (300 reasoning) · first token 0.54 s · "
        "total 3.0 s · 320 tokens/s · about $0.0020 without the search (prices of 2026-09) · "
        "finished"
    )


def test_the_footer_leaves_out_what_is_not_known() -> None:
    assert footer_line(Reply(seconds=1.26, state="stopped")) == "total 1.3 s · stopped"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("glm-4.7-flash", "free (prices of 2026-09)"),
        ("GLM-4.7-FLASH", "free (prices of 2026-09)"),
        ("glm-unheard-of", "cost unknown"),
    ],
)
def test_a_cost_is_free_or_unknown_where_that_is_so(model: str, words: str) -> None:
    reply = Reply("a", model=model, usage=USAGE, billed_in="USD", state="complete")
    assert words in footer_line(reply).split(" · ")


@pytest.mark.parametrize(
    ("prompt", "completion", "amount"),
    [(1_000, 100, 0.0028), (1_000, 1_000, 0.017), (40_000, 1_000, 0.176)],
)
def test_the_price_is_that_of_a_request_of_this_size(
    prompt: int, completion: int, amount: float
) -> None:
    usage = Usage(prompt, completion, prompt + completion)
    cost = Reply(model="glm-4.7", usage=usage, billed_in="CNY").cost
    assert cost is not None
    assert cost.amount == pytest.approx(amount)


@pytest.mark.parametrize(
    ("tokens", "words"),
    [(20, "about ¥0.00016"), (100_000, "about ¥0.80"), (20_000_000, "about ¥160.00")],
)
def test_a_cost_is_in_digits_and_not_in_powers_of_ten(tokens: int, words: str) -> None:
    usage = Usage(tokens, 0, tokens)
    reply = Reply("a", model="glm-5.3", usage=usage, billed_in="CNY", state="complete")
    assert f" · {words} (prices of 2026-08) · " in footer_line(reply)


def test_a_reply_from_memory_says_so_in_the_place_of_its_cost() -> None:
    reply = replace(WHOLE, billed_in="USD", is_cached=True)
    assert footer_line(reply).endswith(" · from this session's memory, nothing was sent · finished")
    assert "$" not in footer_line(reply)


def test_a_page_without_its_footer_still_says_how_the_reply_ended() -> None:
    text = text_of(render_reply(replace(WHOLE, has_footer=False, state="stopped")))
    assert "tokens" not in text
    assert "[stopped: the answer is not complete]" in text


def test_a_reply_that_nobody_bills_by_token_has_no_cost() -> None:
    assert Reply(model="glm-4.7", usage=USAGE).cost is None
    assert "cost" not in footer_line(Reply(model="glm-4.7", usage=USAGE, state="complete"))


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        ("complete", None, "finished"),
        ("complete", "stop", "finished"),
        ("complete", "length", "the token limit was reached"),
        ("complete", "brand_new", "ended: brand_new"),
        ("cut off", "stop", "cut off"),
        ("withdrawn", "sensitive", "withdrawn"),
    ],
)
def test_the_footer_ends_with_the_reason_in_words(
    state: State, reason: str | None, words: str
) -> None:
    assert footer_line(Reply("a", state=state, finish_reason=reason)).endswith(f" · {words}")


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
        (Reply("", state="stopped"), "stopped: the answer is not complete"),
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


def test_a_page_has_header_reasoning_answer_sources_and_footer_in_this_order() -> None:
    text = text_of(render_reply(WHOLE))
    parts = [
        "glm-4.7 · api.z.ai",
        "Reasoning",
        "想 <b>一</b> 想",
        "GDP 增长 5.3%",
        "Sources (1)",
        "tokens/s",
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert_harmless(render_reply(WHOLE))


def test_reasoning_is_folded() -> None:
    assert render_reasoning("hm").startswith("<details><summary>Reasoning</summary>")
    assert render_reasoning(" \n") == ""
    assert "<details" not in render_reply(Reply("a", state="complete"))


def test_reasoning_is_shown_or_hidden_as_the_reply_says() -> None:
    shown = render_reply(replace(WHOLE, shows_reasoning="show"))
    assert "<details open><summary>Reasoning</summary>" in shown
    assert_harmless(shown)
    hidden = render_reply(replace(WHOLE, shows_reasoning="hide"))
    assert "Reasoning" not in hidden and "一</b>" not in text_of(hidden)


def test_a_reference_in_the_answer_links_to_its_source() -> None:
    links = [node for node in nodes(render_reply(WHOLE)) if node.tag == "a"]
    assert [link.get("href") for link in links] == ["https://example.org/q1"] * 2
    assert {link.get("rel") for link in links} == {"noopener noreferrer nofollow"}
    assert {link.get("target") for link in links} == {"_blank"}


def test_a_reference_without_a_source_stays_text() -> None:
    html = render_reply(Reply("a[ref_9]", found=(SOURCE,), state="complete"))
    assert "[ref_9]" in text_of(html)


# -- sources -------------------------------------------------------------------------------


def test_a_source_is_a_row_with_its_true_host() -> None:
    assert cells(render_sources([SOURCE], {1})) == [
        "#",
        "Title",
        "Site",
        "Date",
        "Snippet",
        "Cited",
        "1",
        "一季度开局良好 (example.org)",
        "示例统计网",
        "2024-04-16",
        "GDP 296299亿元",
        "yes",
    ]


def test_a_page_that_was_found_twice_is_one_row() -> None:
    again = replace(SOURCE, number=3, link=f"{SOURCE.link}/#part", title="again")
    other = replace(SOURCE, number=2, link="https://example.org/q2")
    html = render_sources([SOURCE, other, again], {3})
    rows = [cells(html)[start : start + 6] for start in (6, 12)]
    assert [(row[0], row[5]) for row in rows] == [("1, 3", "yes"), ("2", "no")]
    assert len(cells(html)) == 18
    assert "Sources (2)" in html


def test_pages_that_differ_in_more_than_a_place_are_rows_of_their_own() -> None:
    links = ["https://a.org/#/a", "https://a.org/#/b", "https://a.org/?q=x", "https://a.org/?q=x/"]
    sources = [Source(n, "t", link, "", "", "") for n, link in enumerate(links, 1)]
    assert "Sources (4)" in render_sources(sources)


def test_pages_without_links_are_the_same_only_if_all_they_say_is() -> None:
    first = Source(1, "Q1", "", "s", "", "x")
    others = [replace(first, number=2), replace(first, number=3, snippet="y")]
    assert render_sources_plain([first, *others]) == "[1, 2] Q1 · s\n[3] Q1 · s"


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
    assert cells(html)[7] == cell
    assert [node for node in nodes(html) if node.tag == "a"] == []
    assert_harmless(html)


def test_a_source_without_a_title_is_untitled() -> None:
    assert cells(render_sources([Source(1, " ", "", "", "", "")]))[7] == "untitled (no link given)"


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
    assert len(cells(html)) == 12
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
    reply = Reply("你好\x1b[31m[ref_1]\n", found=(SOURCE,), state="stopped")
    assert render_reply_plain(reply) == (
        "你好[ref_1]\n\n"
        "[stopped: the answer is not complete]\n\n"
        "[1] 一季度开局良好 · https://example.org/q1 · 示例统计网 · 2024-04-16 · cited"
    )


def test_a_reply_that_simply_ended_is_its_text() -> None:
    assert render_reply_plain(Reply("你好", state="complete")) == "你好"


def test_a_reply_as_text_ends_with_what_of_its_chat_is_amiss() -> None:
    reply = Reply("你好", state="complete", context=Context("story", 5, left_out=2, stale=1))
    assert render_reply_plain(reply) == (
        "你好\n\n[the oldest 2 turns were left out · 1 stale turn is not sent]"
    )
    assert render_reply_plain(replace(reply, context=Context("story", 5))) == "你好"


def test_a_substituted_model_and_a_chat_are_told_once_each_as_text() -> None:
    reply = Reply("a", model="m", asked_model="n", state="complete", context=Context("c", 2, 1))
    assert render_reply_plain(reply) == (
        "a\n\n[asked for n, answered by m]\n\n[the oldest turn was left out]"
    )


def test_a_source_with_nothing_in_it_is_untitled_as_text() -> None:
    assert render_sources_plain([Source(2, "", "", "", "", "x")]) == "[2] untitled"


# -- while it comes ------------------------------------------------------------------------

THOUGHT_OUT = (ReasoningDelta("six "), ReasoningDelta("sevens"), TextDelta("42"))


def printed(reasoning: ReasoningView, *events: Event, **reply: Any) -> str:
    """What a terminal shows of a reply that comes event by event."""
    out = StringIO()
    view = TerminalView(out, reasoning=reasoning)
    for event in events:
        view.feed([event])
        view.paint()
    view.finish(Reply(model="m", **reply))
    return out.getvalue()


@pytest.mark.parametrize(
    ("reasoning", "screen"),
    [
        ("fold", "(reasoning …)\n42\n"),
        ("show", "(reasoning …)\nsix sevens\n\n42\n"),
        ("hide", "42\n"),
    ],
)
def test_a_terminal_prints_as_much_of_the_reasoning_as_it_is_told(
    reasoning: ReasoningView, screen: str
) -> None:
    shown = printed(reasoning, *THOUGHT_OUT, text="42", state="complete", has_footer=False)
    assert shown == f"{screen}m\n"


def test_a_terminal_keeps_reasoning_that_led_to_no_answer() -> None:
    shown = printed("show", *THOUGHT_OUT[:2], state="stopped", has_footer=False)
    assert shown == ("(reasoning …)\nsix sevens\n\n\nstopped: the answer is not complete\nm\n")


@pytest.mark.parametrize(
    ("reasoning", "html"),
    [
        ("fold", "<details><summary>Reasoning</summary>"),
        ("show", "six sevens"),
        ("hide", ""),
    ],
)
def test_a_live_view_draws_the_reasoning_as_it_is_told(
    reasoning: ReasoningView, html: str, capsys: pytest.CaptureFixture[str]
) -> None:
    view = LiveView("m", lambda: None, reasoning=reasoning)
    view.feed(list(THOUGHT_OUT))
    while view.dirty:
        view.paint()
    drawn = "".join(_values(view._window))
    view.leave("gone")
    assert html in drawn
    assert ("<details" in drawn, "six sevens" in drawn) == (reasoning == "fold", bool(html))


def _values(widget: Any) -> Iterator[str]:
    yield getattr(widget, "value", "")
    for child in getattr(widget, "children", ()):
        yield from _values(child)


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
