"""What an examination for keys has found, as a table and as lines of text; never the keys."""

from __future__ import annotations

from collections.abc import Iterator

from glm_magic.render.clean import clean_line
from glm_magic.render.columns import align
from glm_magic.render.frame import frame, muted
from glm_magic.render.markdown import render_line
from glm_magic.render.words import counted
from glm_magic.session.doctor import Examination, Finding

__all__ = ["render_doctor", "render_doctor_plain"]

_HEAD = ("Cell", "Where", "Line", "Looks like")
_NAME_CHARACTERS = 100
_ADVICE = (
    "Revoke the key on the platform's API keys page and make a new one: who has the file has it.",
    "Then delete the line, or clear the output, and save the notebook.",
    "IPython's history keeps inputs too, and saved copies and commits keep the file as it was.",
)


def render_doctor(examination: Examination) -> str:
    """Return the table, or one line, as HTML."""
    title = render_line(_title(examination))
    if not examination.findings:
        return frame(f"<p>{title}</p>")
    heads = "".join(f'<th scope="col">{name}</th>' for name in _HEAD)
    rows = "".join(map(_row, examination.findings))
    table = (
        f"<table><caption>{title}</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    )
    return frame(table, muted("<br>".join(map(render_line, _ADVICE))))


def _row(finding: Finding) -> str:
    first, *others = map(render_line, _texts(finding))
    cells = "".join(f"<td>{text}</td>" for text in others)
    return f'<tr><th scope="row">{first}</th>{cells}</tr>'


def render_doctor_plain(examination: Examination) -> str:
    """Return the same as lines of text."""
    title = _title(examination)
    if not examination.findings:
        return title
    rows = [_HEAD, *map(_texts, examination.findings)]
    return "\n".join((title, *align(rows), *_ADVICE))


def _title(examination: Examination) -> str:
    found = len(examination.findings)
    name = clean_line(examination.name, _NAME_CHARACTERS)
    places = [f"{counted(examination.cells, 'cell')} of {name}"]
    if examination.inputs is not None:
        places.append(f"{counted(examination.inputs, 'input')} of this session")
    if not found:
        return f"no key-like text in {' or '.join(places)}"
    return f"key-like text in {counted(found, 'place')}, of {' and '.join(places)}"


def _texts(finding: Finding) -> tuple[str, ...]:
    cell = clean_line("".join(_cell(finding)), _NAME_CHARACTERS)
    where = "input of this session" if finding.where == "history" else finding.where
    return cell, where, str(finding.line), finding.kind


def _cell(finding: Finding) -> Iterator[str]:
    if finding.cell_type == "session":
        yield f"In[{finding.cell}]"
        return
    yield f"{finding.cell} {finding.cell_type}" if finding.cell else "the notebook"
    if finding.execution_count is not None:
        yield f" [{finding.execution_count}]"
