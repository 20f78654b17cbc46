"""The asynchronous tasks of a session as a table and as lines of text."""

from __future__ import annotations

from collections.abc import Sequence

from glm_magic.render.clean import clean_line
from glm_magic.render.columns import align
from glm_magic.render.frame import frame
from glm_magic.render.markdown import render_line
from glm_magic.session.tasks import TaskRow

# The status is that of the last poll: listing asks nobody.
_HEAD = ("Task", "Model", "Last status", "Age", "Prompt")
_MODEL_CHARACTERS = 60
_PROMPT_CHARACTERS = 60


def render_tasks(rows: Sequence[TaskRow]) -> str:
    """Return the table as HTML."""
    head = "".join(f'<th scope="col">{name}</th>' for name in _HEAD)
    body = "".join(map(_row, rows))
    return frame(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def _row(row: TaskRow) -> str:
    task_id, *rest = map(render_line, _cells(row))
    cells = "".join(f"<td>{cell}</td>" for cell in rest)
    return f'<tr><th scope="row"><code>{task_id}</code></th>{cells}</tr>'


def _cells(row: TaskRow) -> tuple[str, ...]:
    return (
        clean_line(row.id),
        clean_line(row.model, _MODEL_CHARACTERS),
        clean_line(row.status),
        row.age,
        clean_line(row.prompt, _PROMPT_CHARACTERS),
    )


def render_tasks_plain(rows: Sequence[TaskRow]) -> str:
    """Return the same as lines of text."""
    return "\n".join(align([_HEAD, *map(_cells, rows)]))
