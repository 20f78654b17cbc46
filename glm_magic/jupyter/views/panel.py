"""`%glm config panel`: the settings as a form that shows what is set, whoever sets it.

Each control is made from the trait of its setting, and speaks the text of `%glm config`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import ipywidgets
from IPython.display import DisplayHandle, display
from traitlets import TraitError

from glm_magic.errors import SettingsError
from glm_magic.jupyter.completion.candidates import Known, setting_values
from glm_magic.jupyter.completion.variables import Variables
from glm_magic.jupyter.options import GROUPS
from glm_magic.jupyter.views.bundles import line_bundle
from glm_magic.jupyter.views.column import Widgets
from glm_magic.jupyter.views.controls import Choices, Control, Form, Take, text_of
from glm_magic.render.clean import clean_line
from glm_magic.render.frame import muted
from glm_magic.render.markdown import render_line
from glm_magic.session.leaks import looks_like_key
from glm_magic.session.settings import NO_KEY, GlmMagic, Setting

if TYPE_CHECKING:
    from glm_magic.jupyter.magics import Glm

__all__ = ["close_panel", "open_panel"]

Rows = Callable[[], Sequence[Setting]]

# Stands above the form, and in a notebook opened again, where JupyterLab has nothing to say of a
# form whose kernel is gone but "Error displaying widget: model not found".
_TITLE = "the settings of this session as a form; run the cell again to open it anew"
# For viewers without widgets, and for JupyterLab where it does not trust the notebook.
_NO_FORM = "the form is not open"
_CLOSED = "the form is closed; run the cell again to open it anew"
_MOVED = "the form is open elsewhere; run the cell again to open it here"
_NOTHING = {"text/html": "", "text/plain": ""}
_REST = "the session"
# Two lines below the form at most.
_LIMIT_CHARACTERS = 200
# What the endpoint in use, and the local engine, put in the place of these.
_STAND_INS = ("endpoint", "model", "embedding_model")
# JupyterLab sets the lines of a widget as far apart as the heights of its controls.
_LINES = "line-height: 1.35"
_VIEW = "application/vnd.jupyter.widget-view+json"


# -- the one panel of a shell ------------------------------------------------------------------

_panels: WeakKeyDictionary[Glm, Panel] = WeakKeyDictionary()


def open_panel(glm: Glm) -> None:
    """Show the settings as a form below the cell; a form that is open elsewhere closes."""
    close_panel(glm, _MOVED)
    session, _ = glm.open()
    known = Known(Variables(glm.shell.user_ns, glm.shell.user_ns_hidden), session)
    _panels[glm] = Panel(glm.settings, session.setting_rows, lambda name: _choices(name, known))


def close_panel(glm: Glm, line: str = _CLOSED) -> None:
    """Put a line in the place of the form of this shell, if one is open."""
    if panel := _panels.pop(glm, None):
        panel.close(line)


def _choices(name: str, known: Known) -> list[str]:
    """What completion offers for a setting, but for folders, which are no values yet."""
    names = setting_values(name, "", known).names
    return [each for each in names if not each.strip('"').endswith("/")]


class Panel:
    """A form whose controls and settings follow each other.

    Args:
        settings: what it shows and sets.
        rows: gives the rows of `%glm config`, in which the values in use stand.
        choices: gives some values of a setting that takes any text; none where none are known.
    """

    def __init__(self, settings: GlmMagic, rows: Rows, choices: Choices) -> None:
        self._settings, self._rows, self._choices = settings, rows, choices
        self._widgets = Widgets()
        self._controls: dict[str, Control] = {}
        self._helps: dict[str, Any] = {}
        try:
            box = self._build()
            self._title = _show(line_bundle(_TITLE))
            self._place = _show({_VIEW: box.get_view_spec(), "text/plain": _NO_FORM})
        except BaseException:  # an interrupt too: nobody else knows these widgets
            self._widgets.close()
            raise
        settings.observe(self._follow, names=settings.setting_names())

    def close(self, line: str) -> None:
        """Put one line in the place of the widgets and close them all."""
        self._settings.unobserve(self._follow, names=self._settings.setting_names())
        if self._title and self._place:
            self._title.update(line_bundle(line), raw=True)
            self._place.update(_NOTHING, raw=True)
        self._widgets.close()

    # -- from the settings to the form -----------------------------------------------------

    def _build(self) -> Any:
        form = Form(self._widgets, self._choices)
        pages = {
            title: self._build_page(form, names) for title, names in _groups(self._settings).items()
        }
        titles = [title[0].upper() + title[1:] for title in pages]
        tab = self._widgets.new(
            ipywidgets.Tab, children=[*pages.values()], titles=titles, selected_index=0
        )
        self._status = self._widgets.new_html()
        reset = self._widgets.new(
            ipywidgets.Button,
            description="Reset all",
            icon="undo",
            tooltip="Take back all that this session has changed",
        )
        reset.layout.flex = "0 0 auto"
        reset.on_click(lambda _: self._reset())
        foot = self._widgets.new(ipywidgets.HBox, children=[reset, self._status])
        foot.layout.align_items, foot.layout.grid_gap = "center", "0.5em"
        self._tell()
        self._say("each change counts at once, for this session")
        return self._widgets.new(ipywidgets.VBox, children=[tab, foot])

    def _build_page(self, form: Form, names: Sequence[str]) -> Any:
        cells = []
        for name in names:
            control = form.control(name, self._settings.settings()[name], self._taker(name))
            self._controls[name], self._helps[name] = control, self._widgets.new_html()
            control.show(getattr(self._settings, name))
            cells += [control.box, self._helps[name]]
        return form.page(cells)

    def _follow(self, change: Mapping[str, Any]) -> None:
        name = change["name"]
        self._controls[name].show(change["new"])
        if name in _STAND_INS:
            self._tell()

    def _tell(self) -> None:
        """Say beside each control what it is for, and what is in use where that is another."""
        for row in self._rows():
            if row.name in self._helps:
                html = muted(render_line(self._help_of(row)))
                self._helps[row.name].value = f'<div style="{_LINES}">{html}</div>'

    def _help_of(self, row: Setting) -> str:
        is_used = row.value == getattr(self._settings, row.name)
        return row.meaning if is_used else f"{row.meaning} Now {row.value}."

    # -- from the form to the settings -----------------------------------------------------

    def _taker(self, name: str) -> Take:
        return lambda text: self._take(name, text)

    def _take(self, name: str, text: str) -> None:
        """Set a setting to what its control says; a refused value goes back to what is set."""
        # Where a control says what is set, it was mostly made to; that changes nothing.
        if text != text_of(getattr(self._settings, name)):
            self._assign(name, text)
        self._controls[name].show(getattr(self._settings, name))

    def _assign(self, name: str, text: str) -> None:
        try:
            if looks_like_key(text):
                raise SettingsError(f"{name}: {NO_KEY}")
            self._settings.assign({name: text})
        except SettingsError as error:
            self._say(str(error), is_error=True)
        else:
            self._say(f"{name} = {getattr(self._settings, name)!r}")

    def _reset(self) -> None:
        try:
            changed = self._settings.reset()
        except TraitError as error:  # what was loaded is allowed no more
            return self._say(str(error), is_error=True)
        what = ", ".join(changed)
        return self._say(f"taken back: {what}" if what else "nothing to take back")

    def _say(self, line: str, *, is_error: bool = False) -> None:
        html = render_line(clean_line(f"⚠ {line}" if is_error else line, _LIMIT_CHARACTERS))
        colour = "color: var(--jp-error-color1, #c62828)" if is_error else ""
        self._status.value = f'<div role="status" style="{_LINES}; {colour}">{html}</div>'


def _show(bundle: Mapping[str, object]) -> DisplayHandle | None:
    handle: DisplayHandle | None = display(bundle, raw=True, display_id=True)
    return handle


def _groups(settings: GlmMagic) -> dict[str, list[str]]:
    """The names of the settings by the group of their options; those without come last."""
    groups: dict[str, list[str]] = {}
    title = _REST
    for name, trait in settings.settings().items():
        title = GROUPS.get(name, title)
        group = title if "option" in trait.metadata else _REST
        groups.setdefault(group, []).append(name)
    rest = groups.pop(_REST, None)
    return groups | ({_REST: rest} if rest else {})
