"""Functions of a notebook as tools that a model may call."""

import asyncio
import functools
import json
import operator
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from types import ModuleType, SimpleNamespace
from typing import Annotated, Any, Literal, Self, TypedDict

import jsonschema_rs
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator

from glm_magic.errors import SettingsError
from glm_magic.session.functions import ArgumentsError, Function, find_functions


class Unit(Enum):
    """How warm it is told."""

    C = "celsius"
    F = "fahrenheit"


@dataclass
class Spot:
    x: float
    y: float = 0.0


class Trip(BaseModel):
    title: str
    stops: list[Spot] = []

    @field_validator("title")
    @classmethod
    def check(cls, title: str) -> str:
        if title == "key":
            raise KeyError("no\nsuch")
        if title == "bad":
            raise ValueError("a bad\ntitle")
        return title


class Exact(BaseModel):
    model_config = ConfigDict(strict=True)
    day: date


def weather(city: str, days: int = 3, *, unit: Literal["C", "F"] = "C") -> str:
    """Tell the weather of a city.

    Europe only,
    for now.

    Args:
        city: the city's name,
            in English.
        days (int): how many days ahead

    Returns:
        A sentence.

    Raises:
        KeyError: no such city.
    """
    return f"{city} {days} {unit}"


def find(**namespace: Any) -> Function:
    (function,) = find_functions(list(namespace), namespace)
    return function


def schema(call: Any) -> dict[str, Any]:
    parameters: dict[str, Any] = json.loads(find(f=call).tool.parameters)
    jsonschema_rs.meta.validate(parameters)
    return parameters


def run(call: Any, arguments: str) -> Any:
    args, kwargs = find(f=call).bind(arguments)
    return call(*args, **kwargs)


def refusal(names: list[str], namespace: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as caught:
        find_functions(names, namespace)
    assert str(caught.value).isprintable()
    return str(caught.value)


def refused(call: Any) -> str:
    return refusal(["f"], {"f": call})


def problem(call: Any, arguments: str) -> str:
    function = find(f=call)
    with pytest.raises(ArgumentsError) as caught:
        function.bind(arguments)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 350
    return str(caught.value)


def described(call: Any, text: str) -> Any:
    call.__doc__ = text
    return call


# -- what the model is told --------------------------------------------------------------------


def test_a_tool_is_made_of_signature_and_docstring() -> None:
    tool = find(weather=weather).tool
    assert tool.name == "weather"
    assert tool.description == "Tell the weather of a city.\n\nEurope only,\nfor now."
    assert tool.parameters == (
        '{"additionalProperties":false,"properties":{'
        '"city":{"type":"string","description":"the city\'s name,\\nin English."},'
        '"days":{"type":"integer","description":"how many days ahead","default":3},'
        '"unit":{"enum":["C","F"],"type":"string","default":"C"}},'
        '"required":["city"],"type":"object"}'
    )


def test_a_function_without_parameters_takes_an_empty_object() -> None:
    def now() -> str:
        """Tell the time."""
        return "8:00"

    assert schema(now) == {"additionalProperties": False, "properties": {}, "type": "object"}
    assert run(now, "") == run(now, "null") == run(now, " {} ") == "8:00"


DOCSTRINGS = [
    "Go.\n\nArgs:\n    city (str): the city\n    a: one\n\nReturns:\n    x",
    "Go.\n\nParameters\n----------\ncity : str\n    the city\na, b : int\n    one\n\nReturns\n"
    "-------\nint",
    "Go.\n\n:param city: the city\n:param int a: one\n:returns: x",
]


@pytest.mark.parametrize("text", DOCSTRINGS)
def test_docstrings_of_three_styles_describe_parameters(text: str) -> None:
    def go(city: str, a: int) -> int:
        return a

    properties = schema(described(go, text))["properties"]
    assert properties["city"] == {"type": "string", "description": "the city"}
    assert properties["a"] == {"type": "integer", "description": "one"}
    assert find(f=go).tool.description == "Go."


def test_a_docstring_of_sections_only_is_told_whole() -> None:
    def go() -> None: ...

    assert find(f=described(go, "Returns:\n    the sum")).tool.description.startswith("Returns:")


def test_a_description_of_a_field_wins() -> None:
    def go(n: Annotated[int, Field(description="ours", ge=1)] = 1) -> None:
        """Go.

        Args:
            n: theirs
        """

    assert schema(go)["properties"]["n"] == {
        "type": "integer",
        "minimum": 1,
        "description": "ours",
        "default": 1,
    }


def test_titles_go_but_for_arguments_of_that_name() -> None:
    def go(title: str, trip: Trip, data: Annotated[dict[str, int], Field(examples=[{"title": 1}])]):
        """Go."""

    parameters = schema(go)
    assert parameters["properties"]["title"] == {"type": "string"}
    assert parameters["properties"]["data"]["examples"] == [{"title": 1}]
    assert parameters["$defs"]["Trip"]["properties"]["title"] == {"type": "string"}
    assert parameters["$defs"]["Spot"]["properties"]["x"] == {"type": "number"}
    assert "title" not in parameters["$defs"]["Trip"]


def test_text_that_is_no_ascii_stays_and_half_a_character_goes() -> None:
    def go(城市: Literal["北京"] = "北京") -> str:
        return 城市

    tool = find(f=described(go, "天气\ud800\n\nArgs:\n    城市: 哪个\udc00")).tool
    assert tool.description == "天气\ufffd"
    assert '"城市":{"const":"北京","type":"string","description":"哪个\ufffd"' in tool.parameters
    assert run(go, '{"城市": "北京"}') == "北京"


class Odd:
    def __repr__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("hint", "default", "told"),
    [
        (str | None, None, {"default": None}),
        (Unit, Unit.F, {"default": "fahrenheit"}),
        (date, date(2026, 11, 25), {"default": "2026-11-25"}),
        (Spot, Spot(1.0), {"default": {"x": 1.0, "y": 0.0}}),
        (list[int], (1, 2), {"default": [1, 2]}),
        (float, float("nan"), {}),
        (Any, Odd(), {}),
    ],
)
def test_a_default_is_told_if_json_can_say_it(hint: Any, default: Any, told: Any) -> None:
    def go(x=default):
        """Go."""
        return x

    go.__annotations__["x"] = hint
    x = schema(go)["properties"]["x"]
    assert {key: x[key] for key in x if key == "default"} == told
    assert find(f=go).bind("{}") == ((), {})


# -- kinds of functions ------------------------------------------------------------------------


class Shop:
    """A shop."""

    def __init__(self, stock: int) -> None:
        self.stock = stock

    def count(self, extra: int = 0) -> int:
        """Count what is there."""
        return self.stock + extra

    @classmethod
    def many(cls, n: int) -> int:
        """Count shops."""
        return n

    @staticmethod
    def price(n: int) -> int:
        """Tell the price."""
        return n * 2

    def __call__(self, n: int) -> int:
        return self.stock * n

    @property
    def broken(self) -> Callable[[], int]:
        raise RuntimeError("no\nstock")

    @property
    def half_broken(self) -> Callable[[], int]:
        return self.missing  # type: ignore[attr-defined, no-any-return]


class Caller:
    """A class."""

    def __call__(self, n: int) -> int:
        """Call it."""
        return n


def test_methods_of_a_dotted_name_are_called_by_its_last_part() -> None:
    namespace = {"shop": Shop(4), "Shop": Shop, "m": ModuleType("m")}
    namespace["m"].inner = SimpleNamespace(weather=weather)  # type: ignore[attr-defined]
    names = ["shop.count", "Shop.many", "shop.price", "m.inner.weather"]
    functions = find_functions(names, namespace)
    assert [f.tool.name for f in functions] == ["count", "many", "price", "weather"]
    assert functions[0].tool.parameters == (
        '{"additionalProperties":false,"properties":{"extra":{"type":"integer","default":0}},'
        '"type":"object"}'
    )
    assert functions[0].call(**functions[0].bind('{"extra": 2}')[1]) == 6


def test_an_instance_has_the_docstring_of_its_call_or_its_class() -> None:
    assert find(f=Caller()).tool.description == "Call it."
    assert find(f=Shop(4)).tool.description == "A shop."
    assert run(Shop(4), '{"n": 2}') == 8


def test_a_partial_object_has_the_docstring_of_its_function_and_the_rest_of_its_arguments() -> None:
    short = functools.partial(functools.partial(weather, "Bonn"), unit="F")
    assert find(f=short).tool.description.startswith("Tell the weather")
    assert list(schema(short)["properties"]) == ["days"]
    assert run(short, '{"days": 1}') == "Bonn 1 F"
    assert find(f=functools.partial(Shop(4), 2)).tool.description == "A shop."


def test_a_partial_object_that_looks_like_its_function_still_hides_what_is_bound() -> None:
    short = functools.update_wrapper(functools.partial(weather, "Bonn"), weather)
    assert list(schema(short)["properties"]) == ["days", "unit"]
    assert find(f=described(functools.partial(weather), "Mine.")).tool.description == "Mine."


def logged(call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def logging(*args: Any, **kwargs: Any) -> Any:
        return call(*args, **kwargs)

    return logging


def test_a_decorated_function_keeps_its_signature() -> None:
    assert list(schema(logged(weather))["properties"]) == ["city", "days", "unit"]
    assert list(schema(functools.cache(weather))["properties"]) == ["city", "days", "unit"]
    assert run(logged(logged(weather)), '{"city": "Bonn"}') == "Bonn 3 C"


def test_a_cached_function_without_docstring_does_not_borrow_that_of_the_cache() -> None:
    def go() -> None: ...

    assert "has no docstring" in refused(functools.cache(go))
    assert "has no docstring" in refused(functools.partial(go))


def test_an_async_function_is_a_function() -> None:
    async def go(n: int) -> int:
        """Go."""
        return n + 1

    args, kwargs = find(f=go).bind('{"n": 1}')
    assert asyncio.run(go(*args, **kwargs)) == 2


def test_stars_are_not_offered() -> None:
    def go(a: int, *rest: int, **more: int) -> tuple[Any, ...]:
        """Go."""
        return a, rest, more

    assert list(schema(go)["properties"]) == ["a"]
    assert problem(go, '{"a": 1, "more": 2}') == "more: there is no such argument"


def test_parameters_without_a_name_are_given_by_place() -> None:
    def go(a: int = 1, b: int = 2, /, c: int = 3) -> tuple[int, ...]:
        """Go."""
        return a, b, c

    assert run(go, "{}") == (1, 2, 3)
    assert run(go, '{"b": 5}') == (1, 5, 3)
    assert run(go, '{"c": 7, "a": 6}') == (6, 2, 7)
    assert run(abs_, '{"x": -3}') == 3


def abs_(x: int, /) -> int:
    """Take the sign away."""
    return abs(x)


def test_names_that_pydantic_uses_itself_are_names_like_any_other() -> None:
    def go(_x: int, schema: str, copy: int, model_config: int, self: str, title: str = "t") -> Any:
        """Go."""
        return _x, schema, copy, model_config, self, title

    text = '{"_x": 1, "schema": "s", "copy": 2, "model_config": 3, "self": "me"}'
    assert run(go, text) == (1, "s", 2, 3, "me", "t")


def test_hints_may_be_strings() -> None:
    def go(when: "date", unit: "Literal['C'] | None" = None) -> "Nowhere":  # type: ignore[name-defined] # noqa: F821
        """Go."""
        return when

    assert run(logged(go), '{"when": "2026-11-25"}') == date(2026, 11, 25)


# -- what the model wrote ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [
        (int, "5", 5),
        (int, '"5"', 5),
        (float, "1", 1.0),
        (bool, '"true"', True),
        (date, '"2026-11-25"', date(2026, 11, 25)),
        (Decimal, '"1.50"', Decimal("1.50")),
        (Unit, '"celsius"', Unit.C),
        (Literal["a", 1], "1", 1),
        (int | None, "null", None),
        (list[int], '[1, "2"]', [1, 2]),
        (set[str], '["a"]', {"a"}),
        (tuple[int, str], '[1, "a"]', (1, "a")),
        (dict[int, str], '{"1": "a"}', {1: "a"}),
        (Spot, '{"x": 1}', Spot(1.0, 0.0)),
        (Trip, '{"title": "t", "stops": [{"x": 1}]}', Trip(title="t", stops=[Spot(1.0)])),
        (Exact, '{"day": "2026-11-25"}', Exact(day=date(2026, 11, 25))),
        (Any, '[{"a": null}]', [{"a": None}]),
    ],
)
def test_arguments_become_the_types_of_the_hints(hint: Any, text: str, value: object) -> None:
    def go(x):
        """Go."""
        return x

    go.__annotations__["x"] = hint
    got = run(go, f'{{"x": {text}}}')
    assert (got, type(got)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"city" "Bonn"}',
            "the arguments are no JSON: Expecting ':' delimiter: line 1 column 9 (char 8)",
        ),
        ('{"city": NaN}', "the arguments are no JSON: it has no NaN"),
        ('{"city": "B", "days": -Infinity}', "the arguments are no JSON: it has no -Infinity"),
        ("[" * 100_000, "the arguments are no JSON: they are nested too deep"),
        ("[1, 2]", "the arguments are no JSON object (got [1, 2])"),
        ('"' + "x" * 100 + '"', f"the arguments are no JSON object (got '{'x' * 58}…)"),
        ("{}", "city: Field required"),
        ("", "city: Field required"),
        ('{"city": null}', "city: Input should be a valid string (got None)"),
        ('{"city": "B", "citty": 1}', "citty: there is no such argument"),
        ('{"city": "B", "a\\nb": 1}', "a b: there is no such argument"),
        ('{"city": "B", "days": "two"}', "days: Input should be a valid integer (got 'two')"),
        (
            '{"city": "B", "days": 1.5}',
            "days: Input should be a valid integer, got a number with a fractional part (got 1.5)",
        ),
        ('{"city": "B", "unit": "K"}', "unit: Input should be 'C' or 'F' (got 'K')"),
        (
            '{"city": "\\ud800"}',
            "the arguments are no JSON: unexpected end of hex escape at line 1 column 17",
        ),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(text: str, message: str) -> None:
    assert problem(weather, text) == message


def test_a_place_within_an_argument_is_told() -> None:
    def go(trip: Trip) -> None:
        """Go."""

    inner = '{"trip": {"title": "t", "stops": [{"x": 1}, {"x": "far"}]}}'
    assert problem(go, inner) == ("trip.stops.1.x: Input should be a valid number (got 'far')")
    assert problem(go, '{"trip": {"title": "bad"}}') == (
        "trip.title: Value error, a bad title (got 'bad')"
    )


def test_a_validator_that_fails_is_told() -> None:
    def go(trip: Trip) -> None:
        """Go."""

    assert problem(go, '{"trip": {"title": "key"}}') == (
        "the arguments cannot be read: KeyError: 'no\\nsuch'"
    )


@pytest.mark.parametrize("text", ["1e999", "-1e999", '"nan"', '"Infinity"'])
def test_numbers_without_end_are_refused(text: str) -> None:
    def go(x: float) -> None:
        """Go."""

    assert problem(go, f'{{"x": {text}}}').startswith("x: Input should be a finite number (got ")


def test_a_hidden_argument_is_refused_within_a_partial_too() -> None:
    bound = functools.partial(weather, unit="F")
    assert problem(bound, '{"city": "B", "unit": "C"}') == "unit: there is no such argument"


HOSTILE = st.text() | st.text('{}[]",:\\ud8\x00\ud800 \n1eN-', max_size=30)


@given(HOSTILE)
def test_whatever_a_model_writes_is_bound_or_refused_in_one_line(text: str) -> None:
    try:
        WEATHER.bind(text)
    except ArgumentsError as error:
        assert str(error).isprintable()


WEATHER = find(weather=weather)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["city", "days", "unit", "x"]), VALUES))
def test_what_is_bound_has_the_types_of_the_hints(values: dict[str, Any]) -> None:
    try:
        args, kwargs = WEATHER.bind(json.dumps(values))
    except ArgumentsError as error:
        assert str(error).isprintable()
    else:
        assert args == () and kwargs.keys() == values.keys()
        assert isinstance(kwargs["city"], str) and isinstance(kwargs.get("days", 3), int)


# -- what is no tool ---------------------------------------------------------------------------


def plain(n: int) -> int:
    """Do it."""
    return n


def test_an_unknown_name_says_which_is_near() -> None:
    namespace = {"weather": weather, "weathers": 3}
    assert refusal(["wether"], namespace) == "unknown function 'wether'; did you mean 'weather'?"
    assert refusal(["zzz"], namespace) == (
        "unknown function 'zzz'; run the cell that defines it first"
    )
    assert refusal(["s.coutn"], {"s": Shop(1)}) == "'s' has no 'coutn'; did you mean 'count'?"


@pytest.mark.parametrize("name", ["", "f()", "f.", ".f", "a b", "f\n"])
def test_what_is_no_name_is_refused(name: str) -> None:
    assert "is no name of a function; one such as f or module.f is expected" in refusal(
        [name], {"f": plain}
    )


def test_a_property_that_fails_is_told() -> None:
    namespace = {"shop": Shop(1)}
    assert refusal(["shop.broken"], namespace) == (
        "'shop.broken' cannot be read: RuntimeError: no stock"
    )
    assert refusal(["shop.half_broken"], namespace).startswith(
        "'shop.half_broken' cannot be read: AttributeError: "
    )


def test_names_are_there_once() -> None:
    namespace = {"f": plain, "m": SimpleNamespace(f=plain)}
    assert refusal(["f", "f"], namespace) == "tool 'f' is named twice"
    assert refusal(["f", "m.f"], namespace) == (
        "'f' and 'm.f' are both called 'f' by the model; assign one of them to another name"
    )


def test_there_are_128_tools_at_most() -> None:
    namespace = {f"f{n}": plain for n in range(129)}
    assert len(find_functions(list(namespace)[:128], namespace)) == 128
    assert refusal(list(namespace), namespace) == (
        "129 tools are named; a request takes at most 128"
    )


@pytest.mark.parametrize("name", ["天气", "f" * 65])
def test_a_name_that_the_platform_does_not_take_is_refused(name: str) -> None:
    assert refusal([name], {name: plain}).endswith(
        "only ASCII letters, digits, _ and -, at most 64; assign the function to such a name"
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "'f' is no function, but of type int"),
        (None, "'f' is no function, but of type NoneType"),
        (Shop, "'f' is a class, not a function; write a function that makes one"),
        (max, "tool 'f' has no signature that Python can read; write a function around it"),
        (
            operator.itemgetter(1),
            "tool 'f' has no signature that Python can read; write a function around it",
        ),
        (
            Shop.count,
            "parameter 'self' of tool 'f' has no type hint; write one, such as self: str",
        ),
        (
            lambda: None,
            "tool 'f' has no docstring; the model reads from it what the function does: write one",
        ),
        (
            described(lambda: None, "  \n "),
            "tool 'f' has no docstring; the model reads from it what the function does: write one",
        ),
    ],
)
def test_what_is_no_function_with_docstring_is_refused(value: Any, message: str) -> None:
    assert refused(value) == message


class Unfinished(BaseModel):
    x: "Nowhere"  # type: ignore[name-defined] # noqa: F821


class Old(TypedDict):
    x: int


@pytest.mark.parametrize(
    ("hint", "message"),
    [
        (pd.DataFrame, "has the type hint pandas.DataFrame, which has no JSON Schema; str, int"),
        (list[pd.DataFrame], "has the type hint list[pandas.DataFrame], which has no JSON Schema;"),
        (Callable[[], int], "has the type hint collections.abc.Callable[[], int], which has no"),
        (5, "has the type hint 5, which has no JSON Schema;"),
        ("Nowhere", "has the type hint 'Nowhere', but NameError: name 'Nowhere' is not defined"),
        ("1 +", "has the type hint '1 +', but SyntaxError: "),
        (Unfinished, "which has no JSON Schema (PydanticUserError: "),
        (Literal, "has the type hint Literal, which has no JSON Schema (TypeError: Plain "),
    ],
)
def test_a_hint_that_says_nothing_to_a_model_is_named(hint: Any, message: str) -> None:
    def go(a: int, frame):
        """Go."""

    go.__annotations__["frame"] = hint
    assert message in refused(go)
    assert refused(go).startswith("parameter 'frame' of tool 'f' has the type hint ")


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="pydantic takes it from 3.12 on")
def test_a_hint_that_pydantic_takes_elsewhere_says_where() -> None:
    def go(old: Old) -> None:
        """Go."""

    assert "`typing_extensions.TypedDict`" in refused(go)


def test_a_hint_that_stands_for_the_class_around_it_is_refused() -> None:
    def go(other: Self) -> None:
        """Go."""

    assert "has the type hint Self, which has no JSON Schema (TypeError: Self " in refused(go)


def test_a_field_in_place_of_a_default_is_refused() -> None:
    def go(n: int = Field(ge=1)) -> int:
        """Go."""
        return n

    assert refused(go) == (
        "parameter 'n' of tool 'f' has a pydantic Field as its default; write it as "
        "Annotated[..., Field(...)]"
    )


class Proxy:
    """A proxy of nothing."""

    @property
    def __class__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("not\nbound")

    def __call__(self) -> None: ...


class Signed:
    """An object that lies about itself."""

    __signature__ = 5

    def __call__(self) -> None: ...


def test_an_object_that_cannot_be_looked_at_is_refused_in_one_line() -> None:
    assert refused(Proxy()) == "'f' cannot be read: RuntimeError: not bound"
    assert refused(Signed()).startswith("tool 'f' has no signature that Python can read")


def test_wrappers_in_a_loop_are_refused() -> None:
    def go() -> None:
        """Go."""

    go.__wrapped__ = go  # type: ignore[attr-defined]
    assert refused(go).startswith("tool 'f' has no signature")


def test_nothing_is_imported_until_it_is_needed() -> None:
    script = (
        "import sys\n"
        "import glm_magic.session.functions\n"
        "print(*set(sys.modules) & {'pydantic', 'pydantic_core', 'docstring_parser', 'pandas'})"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert done.stdout == "\n"
