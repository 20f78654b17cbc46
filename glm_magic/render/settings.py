"""The settings of a session as a table."""

from __future__ import annotations

from collections.abc import Sequence

from glm_magic.render.clean import clean_line, escape
from glm_magic.render.frame import frame
from glm_magic.session.settings import Setting

_HEAD = "".join(f'<th scope="col">{name}</th>' for name in ("Setting", "Value", "From", "Meaning"))


def render_settings(rows: Sequence[Setting]) -> str:
    """Return the table as HTML."""
    body = "".join(map(_row, rows))
    return frame(f"<table><thead><tr>{_HEAD}</tr></thead><tbody>{body}</tbody></table>")


def _row(setting: Setting) -> str:
    return (
        f'<tr><th scope="row">{escape(setting.name)}</th>'
        f"<td>{_code(setting)}</td><td>{escape(setting.origin)}</td>"
        f"<td>{escape(setting.meaning)}</td></tr>"
    )


def _code(setting: Setting) -> str:
    value = escape(_value(setting))
    return f"<code>{value}</code>" if value else ""


def _value(setting: Setting) -> str:
    has_unit = setting.unit and setting.value is not None
    return clean_line(f"{setting.value} {setting.unit}" if has_unit else str(setting.value))


def render_settings_plain(rows: Sequence[Setting]) -> str:
    """Return the settings as lines of text."""
    names = max(len(row.name) for row in rows)
    values = min(40, max(len(_value(row)) for row in rows))
    return "\n".join(
        f"{row.name:<{names}}  {_value(row):<{values}}  {row.origin:<11}  {clean_line(row.meaning)}"
        for row in rows
    )
