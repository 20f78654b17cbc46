"""Signatures: the parameters that a model may set, and the types they are hinted with."""

from __future__ import annotations

import inspect
from functools import partial
from types import SimpleNamespace
from typing import Any, get_type_hints

from glm_magic.api.line import quoted, reason, short
from glm_magic.errors import SettingsError

__all__ = ["Parameters", "hints_of", "parameters_of", "shown_hint", "unreadable"]

_WRAPPERS = 100  # more than anybody puts around a function; a loop of wrappers ends here

Parameters = tuple[inspect.Parameter, ...]


def parameters_of(name: str, value: Any) -> Parameters:
    """Return those that a model may set: no `*args`, no `**kwargs`, none bound by a partial.

    Raises:
        SettingsError: there is no signature that Python can read, or a default is a `Field`.
    """
    bound: set[str] = set()
    inner = value
    while isinstance(inner, partial):
        bound |= inner.keywords.keys()
        inner = inner.func
    if isinstance(value, partial):
        # Without what `update_wrapper` may have put on it: bound parameters would be there again.
        value = partial(value.func, *value.args, **value.keywords)
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"tool {quoted(name)} has no signature that Python can read; write a function around it"
        ) from error
    stars = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    free = tuple(p for p in parameters if p.kind not in stars and p.name not in bound)
    _refuse_fields(name, free)
    return free


def _refuse_fields(name: str, parameters: Parameters) -> None:
    """Refuse `n: int = Field(...)`, as some frameworks have it: the call would get the `Field`."""
    from pydantic.fields import FieldInfo

    for parameter in parameters:
        if isinstance(parameter.default, FieldInfo):
            raise SettingsError(
                f"parameter {quoted(parameter.name)} of tool {quoted(name)} has a pydantic Field "
                "as its default; write it as Annotated[..., Field(...)]"
            )


def _innermost(value: Any) -> Any:
    """The function as it was written, within partial objects, decorators and instances."""
    for _ in range(_WRAPPERS):
        if isinstance(value, partial):
            value = value.func
        elif hasattr(value, "__wrapped__"):
            value = value.__wrapped__
        elif inspect.isroutine(value):
            break
        else:
            value = type(value).__call__
    return value


def hints_of(name: str, value: Any, parameters: Parameters) -> dict[str, Any]:
    """Return the type hints of parameters by their names.

    Raises:
        SettingsError: a parameter has none, or one that cannot be evaluated.
    """
    known = getattr(_innermost(value), "__globals__", {})
    return {p.name: _hint(name, p, known) for p in parameters}


def _hint(tool: str, parameter: inspect.Parameter, known: dict[str, Any]) -> Any:
    """The type hint of a parameter, evaluated if it is a string."""
    where = f"parameter {quoted(parameter.name)} of tool {quoted(tool)}"
    if parameter.annotation is parameter.empty:
        example = short(parameter.name)
        raise SettingsError(f"{where} has no type hint; write one, such as {example}: str")
    # One by one, so that the message can name it; the signature's, which a decorator may have set.
    holder: Any = SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    try:
        return get_type_hints(holder, known, include_extras=True)[parameter.name]
    except Exception as error:
        hint, why = shown_hint(parameter.annotation), reason(error)
        raise SettingsError(f"{where} has the type hint {hint}, but {why}") from error


def shown_hint(hint: Any) -> str:
    """Return a type hint as it stands in a message."""
    return short(inspect.formatannotation(hint))


def unreadable(name: str, error: Exception) -> SettingsError:
    """Return the refusal of what raised something when it was looked at."""
    return SettingsError(f"{quoted(name)} cannot be read: {reason(error)}")
