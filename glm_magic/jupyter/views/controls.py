"""The controls of the form of settings, each made from the trait of its setting.

A control shows a value, and hands on the text that `%glm config` takes for a new one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import ipywidgets
from traitlets import Bool, Enum, Float, List, TraitType, Unicode

from glm_magic.jupyter.views.column import Widgets
from glm_magic.session.texts import choices_of

__all__ = ["Choices", "Control", "Form", "Take", "text_of"]

Take = Callable[[str], None]
Choices = Callable[[str], Sequence[str]]

# Stands where a setting is None.
_DEFAULT = "default"
# Fine enough to try things out; a text field beside a slider takes any value.
_STEPS = {"temperature": 0.05, "top_p": 0.01}
_SLIDER_STEPS = 100
_LONG_TEXTS = ("system",)


class Control(Protocol):
    """What shows one setting and takes the text of a new value."""

    box: Any

    def show(self, value: object) -> None:
        """Show what is set."""


class _Field:
    """One widget, whose value is the text of the setting.

    Args:
        empty: the text that the empty field stands for.
    """

    def __init__(self, widget: Any, take: Take, empty: str = "") -> None:
        self.box, self._empty = widget, empty
        widget.observe(lambda change: take(self._read(change["new"])), names="value")

    def _read(self, text: str) -> str:
        return text if text.strip() else self._empty

    def show(self, value: object) -> None:
        text = text_of(value)
        self.box.value = "" if text == self._empty else text


class _Switch:
    """A checkbox for a setting that is on or off."""

    def __init__(self, widget: Any, take: Take) -> None:
        self.box = widget
        widget.observe(lambda change: take(text_of(change["new"])), names="value")

    def show(self, value: object) -> None:
        self.box.value = value


class _Slider:
    """A field for any value, a slider over the range, and a checkbox for None.

    The slider stands on whole steps always: the front end moves it to one and says so, and a
    value between them would not outlive that.
    """

    def __init__(self, box: Any, field: _Field, slider: Any, default: Any, take: Take) -> None:
        self.box, self._field, self._slider, self._default = box, field, slider, default
        self._take, self._value = take, None
        slider.observe(self._slide, names="value")
        default.observe(self._switch, names="value")

    def _slide(self, change: Mapping[str, Any]) -> None:
        place = self._snap(change["new"])
        if self._value is None or place != self._snap(self._value):
            self._take(text_of(place))

    def _switch(self, change: Mapping[str, Any]) -> None:
        is_default = change["new"]
        if is_default != (self._value is None):
            self._take(text_of(None if is_default else self._snap(self._slider.value)))

    def _snap(self, value: float) -> float:
        low, step = float(self._slider.min), float(self._slider.step)
        return round(low + round((value - low) / step) * step, 9)

    def show(self, value: Any) -> None:
        self._value = value
        self._field.show(value)
        self._default.value = value is None
        if value is not None:
            self._slider.value = self._snap(value)


def text_of(value: object) -> str:
    """Return the text that `%glm config` takes for a value."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        is_plain = len(value) == 1 and value[0] and not value[0].startswith("[")
        return value[0] if is_plain else json.dumps(value, ensure_ascii=False) if value else ""
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


class Form:
    """Makes the controls of a form; those of a kind share how they look."""

    def __init__(self, widgets: Widgets, choices: Choices) -> None:
        self._widgets, self._choices = widgets, choices
        self._styles: dict[Any, Any] = {}
        new = widgets.new
        self._wide = new(ipywidgets.Layout, width="34em", max_width="100%")
        self._narrow = new(ipywidgets.Layout, width="18em")
        self._flexible = new(
            ipywidgets.Layout, flex="1 1 6em", width="auto", min_width="6em", margin="2px 1em"
        )
        self._natural = new(ipywidgets.Layout, width="auto", flex="0 0 auto")
        self._page = new(
            ipywidgets.Layout,
            grid_template_columns="minmax(auto, 34em) minmax(10em, 1fr)",
            grid_gap="0 1em",
            align_items="center",
        )

    def page(self, cells: Sequence[Any]) -> Any:
        """Return controls and what is said of each, in two columns."""
        return self._widgets.new(ipywidgets.GridBox, children=list(cells), layout=self._page)

    def control(self, name: str, trait: TraitType[Any, Any], take: Take) -> Control:
        """Return the control for a setting."""
        looks: dict[str, Any] = {"description": name, "tooltip": trait.help, "layout": self._wide}
        empty = "None" if trait.allow_none else ""
        if isinstance(trait, Bool):
            return _Switch(self._new(ipywidgets.Checkbox, **looks), take)
        if isinstance(trait, Enum):
            options = [(text, text) for text in choices_of(trait) if text != "None"]
            options = [*([(_DEFAULT, "None")] if trait.allow_none else []), *options]
            return _Field(self._new(ipywidgets.Dropdown, options=options, **looks), take)
        if isinstance(trait, Float) and trait.max not in (None, math.inf):
            return self._slider(name, trait, take)
        looks |= {"continuous_update": False, "placeholder": _DEFAULT if trait.allow_none else ""}
        if not isinstance(trait, (Unicode, List)):
            widget = self._new(ipywidgets.Text, **looks | {"layout": self._narrow})
        elif name in _LONG_TEXTS:
            widget = self._new(ipywidgets.Textarea, rows=3, **looks)
        elif names := self._choices(name):
            widget = self._new(ipywidgets.Combobox, options=list(names), **looks)
        else:
            widget = self._new(ipywidgets.Text, **looks)
        return _Field(widget, take, empty)

    def _slider(self, name: str, trait: Float[Any, Any], take: Take) -> Control:
        low, high = float(trait.min or 0.0), float(trait.max)
        field = self._new(
            ipywidgets.Text,
            description=name,
            tooltip=trait.help,
            placeholder=_DEFAULT,
            continuous_update=False,
            layout=self._narrow,
        )
        slider = self._widgets.new(
            ipywidgets.FloatSlider,
            value=min(high, 1.0),
            min=low,
            max=high,
            step=_STEPS.get(name, (high - low) / _SLIDER_STEPS),
            readout=False,
            tooltip=trait.help,
            layout=self._flexible,
        )
        default = self._widgets.new(
            ipywidgets.Checkbox,
            description=_DEFAULT,
            tooltip=f"Leave {name} to the server",
            indent=False,
            layout=self._natural,
        )
        box = self._widgets.new(
            ipywidgets.HBox, children=[field, slider, default], layout=self._wide
        )
        return _Slider(box, _Field(field, take, "None"), slider, default, take)

    def _new(self, kind: Any, **traits: Any) -> Any:
        style = self._styles.get(kind, {"description_width": "11em"})
        widget = self._widgets.new(kind, style=style, **traits)
        self._styles[kind] = widget.style
        return widget
