"""The settings of a notebook session: one traitlets `Configurable`, nothing on disk.

`%config GlmMagic.model = "glm-4.7"`, `c.GlmMagic.model` in ipython_config.py and
`%glm config model=glm-4.7` all set the same traits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from traitlets import Bool, Enum, Float, Int, TraitError, TraitType, Unicode, validate
from traitlets.config import Config, Configurable

from glm_magic.api.catalog import DEFAULT_EMBEDDING_MODEL, DEFAULT_MODEL
from glm_magic.api.endpoints import parse_endpoint
from glm_magic.api.tiers import TIERS
from glm_magic.errors import SettingsError

Origin = Literal["default", "environment", "config", "session"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of `%glm config`."""

    name: str
    value: object
    origin: Origin
    help: str


class GlmMagic(Configurable):
    """Settings of the %%glm magics."""

    endpoint = Unicode(
        "auto",
        help="Where requests go: auto, bigmodel, zai, coding, coding-zai, local or a URL.",
    ).tag(config=True)
    model = Unicode(DEFAULT_MODEL, help="Chat model, or the path of a .gguf file.").tag(config=True)
    embedding_model = Unicode(DEFAULT_EMBEDDING_MODEL, help="Model of `%%glm embed`.").tag(
        config=True
    )
    system = Unicode("", help="System message put before every prompt.").tag(config=True)
    temperature = Float(
        None, allow_none=True, min=0.0, max=2.0, help="0 is greedy; GLM takes 0 to 1."
    ).tag(config=True)
    top_p = Float(None, allow_none=True, min=0.0, max=1.0, help="Nucleus sampling, 0.01 to 1.").tag(
        config=True
    )
    max_tokens = Int(
        None, allow_none=True, min=1, help="Most tokens of an answer, reasoning included."
    ).tag(config=True)
    thinking = Enum(
        ("on", "off"),
        None,
        allow_none=True,
        help="Whether the model reasons first: on or off; None lets it choose.",
    ).tag(config=True)
    web_search = Bool(False, help="Search the web before every answer.").tag(config=True)
    search_engine = Unicode(
        "auto", help="Search engine of the platform; auto takes one that returns links."
    ).tag(config=True)

    connect_timeout_s = Float(10.0, min=0.0, help="Seconds until a connection stands.").tag(
        config=True
    )
    first_byte_timeout_s = Float(
        120.0, min=0.0, help="Seconds from the request to the first byte of the answer."
    ).tag(config=True)
    idle_timeout_s = Float(60.0, min=0.0, help="Seconds of silence in mid-answer.").tag(config=True)
    total_timeout_s = Float(
        None, allow_none=True, min=0.0, help="Seconds for a whole answer; None is for ever."
    ).tag(config=True)
    max_retries = Int(2, min=0, help="Tries after the first, all before the first event.").tag(
        config=True
    )
    retry_base_s = Float(0.5, min=0.0, help="Seconds of the first back-off; then doubled.").tag(
        config=True
    )
    max_event_bytes = Int(64 * 2**20, min=1, help="Most bytes of one server-sent event.").tag(
        config=True
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
        loaded: Config = self.config.get("GlmMagic", Config())
        self._origins: dict[str, Origin] = {
            name: "config" for name in loaded if name in self.trait_names(config=True)
        }
        self.observe(self._note_change, names=list(self.trait_names(config=True)))

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
        value: str = proposal["value"].strip()
        if not value:
            raise TraitError("a model has a name")
        return value

    @validate(
        "temperature",
        "top_p",
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
            Setting(name, getattr(self, name), self.origin(name), trait.help)
            for name, trait in self._settings().items()
        ]

    def assign(self, pairs: Mapping[str, str]) -> None:
        """Set several settings from text, or none of them.

        Raises:
            SettingsError: a name is unknown or a value is not allowed; nothing was set.
        """
        values = {name: self._parse(name, text) for name, text in pairs.items()}
        before = {name: getattr(self, name) for name in values}
        try:
            for name, value in values.items():
                setattr(self, name, value)
        except TraitError as error:
            for name, value in before.items():
                setattr(self, name, value)
            raise SettingsError(f"{name}: {error}; nothing was set") from error
        self._origins |= dict.fromkeys(values, "session")

    def _parse(self, name: str, text: str) -> Any:
        trait = self._settings().get(name)
        if trait is None:
            raise SettingsError(f"unknown setting '{name}'{did_you_mean(name, self._settings())}")
        try:
            return trait._validate(self, trait.from_string(text))
        except (TraitError, ValueError) as error:
            reason = str(error).replace("\n", " ")
            raise SettingsError(
                f"{name}={text} is not allowed: {_reason(trait, reason)}"
            ) from error

    @classmethod
    def setting_names(cls) -> list[str]:
        """Return the names of all settings, in the order above."""
        return list(cls._settings())

    @classmethod
    def _settings(cls) -> dict[str, TraitType[Any, Any]]:
        traits = cls.class_own_traits(config=True)
        return {name: traits[name] for name in vars(cls) if name in traits}


def _reason(trait: TraitType[Any, Any], reason: str) -> str:
    """What a trait expects, in the words of its help where the trait's own say less."""
    return reason if isinstance(trait, Unicode) else f"{trait.help} ({type(trait).__name__})"


def did_you_mean(word: str, known: object) -> str:
    """Return "; did you mean 'x'?" for the nearest of `known`, or "" when none is near."""
    names = [str(name) for name in known] if isinstance(known, (dict, list, tuple)) else []
    begun = [name for name in names if len(word) > 2 and name.startswith(word)]
    near = begun or get_close_matches(word, names, n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""
