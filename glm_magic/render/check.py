"""What a check of an endpoint has found so far, as a table and as lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glm_magic.api.check import STEPS, Finding, Verdict
from glm_magic.render.clean import clean_line
from glm_magic.render.frame import frame, muted
from glm_magic.render.markdown import render_line
from glm_magic.render.words import counted

# Always beside the word, never instead of it.
_SIGNS: dict[Verdict, str] = {
    "works": "✓",
    "offered": "✓",
    "fails": "✗",
    "not offered": "–",
    "skipped": "–",
    "not known": "?",
}
_HEAD = (
    '<th scope="col">Step</th><th scope="col">Result</th><th scope="col">Why</th>'
    '<th scope="col" align="right">ms</th>'
)
# A style of one's own stands in for the frame's.
_NO_WRAP = ' style="text-align: left; white-space: nowrap"'


@dataclass(frozen=True, slots=True)
class CheckTable:
    """A check of `title`, plain text, under way or at its end.

    Attributes:
        findings: those of the first steps, in the order of the steps.
        is_stopped: whether the user ended it.
    """

    title: str
    findings: tuple[Finding, ...] = ()
    is_stopped: bool = False

    @property
    def running(self) -> str:
        """The step that is under way; "" at the end."""
        done = len(self.findings)
        return "" if self.is_stopped or done >= len(STEPS) else STEPS[done]


def render_check(table: CheckTable) -> str:
    """Return the table as HTML."""
    rows = "".join(map(_row, table.findings)) + _running_row(table.running)
    return frame(
        f"<table><caption>{render_line(table.title)}</caption>"
        f"<thead><tr>{_HEAD}</tr></thead><tbody>{rows}</tbody></table>",
        muted(render_line(ending_line(table))),
    )


def _row(finding: Finding) -> str:
    result = render_line(_result(finding))
    result = f"<strong>{result}</strong>" if finding.verdict == "fails" else result
    return (
        f'<tr><th scope="row">{finding.step}</th>'
        f"<td{_NO_WRAP}>{result}</td>"
        f'<td>{render_line(finding.reason)}</td><td align="right">{_time(finding)}</td></tr>'
    )


def _running_row(step: str) -> str:
    return f'<tr><th scope="row">{step}</th><td>…</td><td></td><td></td></tr>' if step else ""


def _result(finding: Finding) -> str:
    return f"{_SIGNS[finding.verdict]} {finding.verdict}"


def _time(finding: Finding) -> str:
    return "" if finding.milliseconds is None else f"{finding.milliseconds:.0f}"


def ending_line(table: CheckTable) -> str:
    """Return the cost, and what is still to come."""
    cost = _cost(table.findings)
    if table.is_stopped:
        return f"stopped after {len(table.findings)} of {len(STEPS)} steps; {cost}"
    return f"checking {table.running} …" if table.running else cost


def _cost(findings: Sequence[Finding]) -> str:
    requests = sum(finding.requests for finding in findings)
    tokens = sum(finding.tokens for finding in findings)
    return f"{counted(requests, 'request')}, {counted(tokens, 'token')}"


def render_check_plain(table: CheckTable) -> str:
    """Return the same as lines of text."""
    return "\n".join((table.title, *map(finding_line, table.findings), ending_line(table)))


def finding_line(finding: Finding) -> str:
    """Return one finding as a line of text."""
    width = max(map(len, STEPS))
    results = max(map(len, _SIGNS)) + 2
    time = f" ({_time(finding)} ms)" if finding.milliseconds is not None else ""
    reason = clean_line(finding.reason)
    return f"{finding.step:<{width}}  {_result(finding):<{results}}  {reason}{time}"
