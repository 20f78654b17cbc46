"""The settings of a notebook session: one traitlets `Configurable`, nothing on disk.

`%config GlmMagic.model = "glm-4.7"`, `c.GlmMagic.model` in ipython_config.py and
`%glm config model=glm-4.7` all set the same traits.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from traitlets import (
    Bool,
    Enum,
    Float,
    Int,
    List,
    TraitError,
    TraitType,
    Unicode,
    observe,
    validate,
)
from traitlets.config import Config, Configurable

from glm_magic.api.catalog import DEFAULT_EMBEDDING_MODEL, DEFAULT_MODEL
from glm_magic.api.endpoints import parse_endpoint
from glm_magic.api.requests import EFFORTS, RECENCIES
from glm_magic.api.tables import read_tables, use_tables
from glm_magic.api.tiers import TIERS
from glm_magic.errors import SettingsError
from glm_magic.session.leaks import looks_like_key
from glm_magic.session.names import NAME_RULE, did_you_mean, is_name
from glm_magic.session.texts import expected, read_text, unit_of

NO_KEY = "that looks like an API key, which is no setting; use `%glm login`"
Origin = Literal["default", "environment", "config", "session", "line", "keyring"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of `%glm config`."""

    name: str
    value: object
    origin: Origin
    help: str
    unit: str = ""

    @property
    def meaning(self) -> str:
        """The help, with the unit of its numbers where neither help nor name tells it."""
        is_told = not self.unit or self.unit in self.help.split() or self.name.endswith("_s")
        return self.help if is_told else f"{self.help} Unit: {self.unit}."


class GlmMagic(Configurable):
    """Settings of the %%glm magics.

    A trait's tag `option` makes it an option of the `%%glm` line: its short names, if any. A tag
    `unit` names what its numbers count.
    """

    endpoint = Unicode(
        "auto",
        help="Where requests go: auto, bigmodel, zai, coding, coding-zai, local or a URL.",
    ).tag(config=True, option=())
    model = Unicode(DEFAULT_MODEL, help="Chat model, or the path of a .gguf file.").tag(
        config=True, option=("-m",)
    )
    embedding_model = Unicode(DEFAULT_EMBEDDING_MODEL, help="Model of `%%glm embed`.").tag(
        config=True
    )
    system = Unicode("", help="System message put before every prompt.").tag(
        config=True, option=("-s",)
    )
    temperature = Float(
        None, allow_none=True, min=0.0, max=2.0, help="0 is greedy; GLM takes 0 to 1."
    ).tag(config=True, option=("-t",))
    top_p = Float(
        None, allow_none=True, min=0.0, max=1.0, help="Nucleus sampling; GLM takes 0.01 to 1."
    ).tag(config=True, option=())
    max_tokens = Int(
        None, allow_none=True, min=1, help="Most tokens of an answer, reasoning included."
    ).tag(config=True, option=(), unit="tokens")
    stop = List(
        Unicode(), maxlen=4, help="Texts that end the answer where they come, at most 4."
    ).tag(config=True, option=())
    thinking = Enum(
        ("on", "off"),
        None,
        allow_none=True,
        help="Whether the model reasons first; None lets it choose.",
    ).tag(config=True, option=())
    effort = Enum(
        EFFORTS, None, allow_none=True, help="How much it reasons; for GLM-5.2 and later."
    ).tag(config=True, option=())
    max_tool_rounds = Int(
        10, min=1, help="How often the model may ask for calls of functions before its answer."
    ).tag(config=True, option=(), unit="rounds")
    web_search = Bool(False, help="Search the web and show the sources.").tag(
        config=True, option=()
    )
    search_engine = Unicode(
        "auto", help="Search engine of the platform; auto takes one that returns links."
    ).tag(config=True, option=())
    search_count = Int(
        None, allow_none=True, min=1, max=50, help="Most pages that a search gives."
    ).tag(config=True, option=(), unit="pages")
    search_recency = Enum(
        RECENCIES, None, allow_none=True, help="How old a page may be; None is any age."
    ).tag(config=True, option=())
    search_domain = Unicode("", help="The one site to search, such as www.example.com.").tag(
        config=True, option=()
    )
    chat = Unicode("", help="The chat that every cell goes on with; empty is none.").tag(
        config=True, option=()
    )
    keep_reasoning = Bool(False, help="Send the reasoning of earlier turns along too.").tag(
        config=True, option=()
    )
    reasoning = Enum(
        ("fold", "show", "hide"), "fold", help="How the reasoning of an answer is shown."
    ).tag(config=True, option=())
    footer = Bool(True, help="Show tokens, times and cost below an answer.").tag(
        config=True, option=()
    )

    cache = Bool(False, help="Answer a request that was answered in this session from memory.").tag(
        config=True, option=()
    )
    store = Unicode(
        "auto",
        help="Where vectors of `%%glm embed` are kept: auto, off, or the path of a file.",
    ).tag(config=True)
    budget = Float(
        None,
        allow_none=True,
        min=0.0,
        help="What the session may cost, in the endpoint's currency; None is no limit.",
    ).tag(config=True, unit="CNY or USD")
    catalog = Unicode(
        "", help="A folder whose models.csv and prices.csv come before the built-in ones."
    ).tag(config=True)

    connect_timeout_s = Float(10.0, min=0.0, help="Until a connection stands.").tag(
        config=True, option=(), unit="s"
    )
    first_byte_timeout_s = Float(
        120.0, min=0.0, help="From the request to the first byte of the answer."
    ).tag(config=True, option=(), unit="s")
    idle_timeout_s = Float(60.0, min=0.0, help="Of silence in mid-answer.").tag(
        config=True, option=(), unit="s"
    )
    total_timeout_s = Float(
        None, allow_none=True, min=0.0, help="For a whole answer; None is for ever."
    ).tag(config=True, option=(), unit="s")
    max_retries = Int(2, min=0, help="Tries after the first, all before the first event.").tag(
        config=True, option=()
    )
    retry_base_s = Float(0.5, min=0.0, help="The first back-off; then doubled.").tag(
        config=True, unit="s"
    )
    max_event_bytes = Int(64 * 2**20, min=1, help="Most of one server-sent event.").tag(
        config=True, unit="bytes"
    )
    tier = Enum(TIERS, "free", help="Tier of the account; see `%glm limits`.").tag(config=True)
    concurrency = Int(
        None, allow_none=True, min=1, help="Requests at a time; None takes it from the tier."
    ).tag(config=True)
    auth = Enum(
        ("key", "jwt"), "key", help="The key itself, or the older tokens signed with it (jwt)."
    ).tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # A copy: `%config` writes into the one that was loaded.
        self._loaded: dict[str, Any] = dict(self.config.get("GlmMagic", Config()))
        self._origins: dict[str, Origin] = {
            name: "config" for name in self._loaded if name in self.settings()
        }
        self.observe(self._note_change, names=self.setting_names())

    @validate("endpoint")
    def _endpoint_is_valid(self, proposal: Mapping[str, Any]) -> str:
        value: str = proposal["value"].strip()
        if value != "auto":
            try:
                parse_endpoint(value)
            except SettingsError as error:
                raise TraitError(str(error)) from error
        return value

    @validate("model", "embedding_model")
    def _model_is_named(self, proposal: Mapping[str, Any]) -> str:
        value: str = _keyless(proposal).strip()
        if not value:
            raise TraitError("a model has a name")
        return value

    @validate("stop")
    def _stop_is_text(self, proposal: Mapping[str, Any]) -> list[str]:
        values: list[str] = proposal["value"]
        if not all(values):
            raise TraitError("an empty text stops nothing")
        return [_keyless({"value": value}) for value in values]

    @validate("system", "search_engine", "search_domain")
    def _text_is_no_key(self, proposal: Mapping[str, Any]) -> str:
        return _keyless(proposal)

    @validate("chat")
    def _chat_is_named(self, proposal: Mapping[str, Any]) -> str:
        value: str = _keyless(proposal).strip()
        if value and not is_name(value):
            raise TraitError(f"'{value}' is no name: {NAME_RULE}")
        return value

    @validate("catalog")
    def _catalog_is_readable(self, proposal: Mapping[str, Any]) -> str:
        value: str = proposal["value"].strip()
        try:
            if value:
                read_tables(Path(value).expanduser())
        except SettingsError as error:
            raise TraitError(str(error)) from error
        return value

    @validate("store")
    def _store_is_a_path(self, proposal: Mapping[str, Any]) -> str:
        value: str = proposal["value"].strip()
        if value in ("auto", "off"):
            return value
        try:
            # Now, and not when it is used: the folder may be another by then.
            return str(Path(value or " ").expanduser().resolve())
        except (RuntimeError, OSError, ValueError) as error:  # no such home, a circle, a NUL
            raise TraitError(f"{value!r} is no path of a file") from error

    @observe("catalog")
    def _use_catalog(self, change: Mapping[str, Any]) -> None:
        value: str = change["new"]
        use_tables(Path(value).expanduser() if value else None)

    @validate(
        "temperature",
        "top_p",
        "budget",
        "connect_timeout_s",
        "first_byte_timeout_s",
        "idle_timeout_s",
        "total_timeout_s",
        "retry_base_s",
    )
    def _number_is_one(self, proposal: Mapping[str, Any]) -> float | None:
        value: float | None = proposal["value"]
        # traitlets lets nan through every range, and inf through one without an upper end.
        if value is not None and not math.isfinite(value):
            raise TraitError(f"{value} is no number")
        return value

    def _note_change(self, change: Mapping[str, Any]) -> None:
        self._origins[change["name"]] = "session"

    def origin(self, name: str) -> Origin:
        """Return whence the value of a setting comes."""
        return self._origins.get(name, "default")

    def rows(self) -> list[Setting]:
        """Return every setting with its value and whence it comes, in the order above."""
        return [
            Setting(name, getattr(self, name), self.origin(name), trait.help, unit_of(trait))
            for name, trait in self.settings().items()
        ]

    def over(self, values: Mapping[str, Any]) -> GlmMagic:
        """Return a copy with some values of one line, which change nothing here.

        Raises:
            SettingsError: a value is not allowed.
        """
        chosen = copy(self)
        chosen._origins = dict(self._origins)
        try:
            for name, value in values.items():
                setattr(chosen, name, value)
        except TraitError as error:
            raise SettingsError(str(error)) from error
        chosen._origins |= dict.fromkeys(values, "line")
        return chosen

    def assign(self, pairs: Mapping[str, str]) -> None:
        """Set several settings from text, or none of them.

        Raises:
            SettingsError: a name is unknown or a value is not allowed; nothing was set.
        """
        values = {name: self._read(name, text) for name, text in pairs.items()}
        before = {name: (getattr(self, name), self.origin(name)) for name in values}
        try:
            for name, value in values.items():
                setattr(self, name, value)
        except TraitError as error:
            for name, (value, origin) in before.items():
                setattr(self, name, value)
                self._origins[name] = origin
            raise SettingsError(f"{name}: {error}; nothing was set") from error
        self._origins |= dict.fromkeys(values, "session")
        if "catalog" in values:  # its files may be others by now
            self._use_catalog({"new": self.catalog})

    def _read(self, name: str, text: str) -> Any:
        self.check_name(name)
        if looks_like_key(text):
            raise SettingsError(f"{name}: {NO_KEY}")
        try:
            return self.parse(name, text)
        except ValueError as error:
            raise SettingsError(f"{name}={text[:60]} is not allowed: {error}") from error

    def reset(self, name: str | None = None) -> tuple[str, ...]:
        """Set one setting, or all, to what they were before the session changed them.

        Returns:
            The names of those that have another value now.

        Raises:
            SettingsError: the name is unknown.
        """
        if name is not None:
            self.check_name(name)
        loaded = self._loaded
        changed = []
        for each, trait in self.settings().items():
            if name not in (None, each) or self.origin(each) != "session":
                continue
            old, new = getattr(self, each), loaded.get(each, trait.default(self))
            setattr(self, each, new)
            self._origins[each] = "config" if each in loaded else "default"
            changed += [each] if new != old else []
        return tuple(changed)

    def check_name(self, name: str) -> None:
        """Raise one line for a name that no setting has, with the nearest one.

        Raises:
            SettingsError: there is no such setting.
        """
        if name not in self.settings():
            raise SettingsError(f"unknown setting '{name}'{did_you_mean(name, self.settings())}")

    def parse(self, name: str, text: str) -> Any:
        """Return the value of a setting that a text stands for.

        Raises:
            ValueError: it is no such value; the message says what is.
        """
        trait = self.settings()[name]
        value = read_text(trait, text)
        try:
            return trait._validate(self, value)
        except TraitError as error:
            if isinstance(trait, (Unicode, List)):
                raise ValueError(" ".join(str(error).split())) from error
            raise ValueError(f"{text} is not {expected(trait)}") from error

    @classmethod
    def setting_names(cls) -> list[str]:
        """Return the names of all settings, in the order above."""
        return list(cls.settings())

    @classmethod
    @functools.cache
    def settings(cls) -> dict[str, TraitType[Any, Any]]:
        """Return the traits of all settings by name, in the order above."""
        traits = cls.class_own_traits(config=True)
        return {name: traits[name] for name in vars(cls) if name in traits}


def _keyless(proposal: Mapping[str, Any]) -> str:
    """The text of a setting, unless it looks like a key: settings are shown, and kept in cells."""
    value: str = proposal["value"]
    if looks_like_key(value):
        raise TraitError(NO_KEY)
    return value
