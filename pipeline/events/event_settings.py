"""The table `[events]` of the settings: when a label starts and ends."""

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from pipeline.errors import ConfigError
from pipeline.events.event_rules import EventRules, LabelRule

MOST_MIN_S = 86_400.0
MOST_LABELS = 10_000


def _no_switch(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("wanted a number, not true or false")
    return value


Level = Annotated[float, Field(gt=0, le=1), BeforeValidator(_no_switch)]
Hold = Annotated[float, Field(ge=0, le=MOST_MIN_S), BeforeValidator(_no_switch)]


class LabelEvents(BaseModel):
    """What one label has instead of the common limits; None: the common one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    on: Level | None = None
    off: Level | None = None
    min_s: Hold | None = None


class EventSettings(BaseModel):
    """The limits of all labels, and those of single ones. Scores from 0 to 1, times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    on: Level = 0.6
    """A label starts when its score was at least this for `min_s`."""
    off: Level = 0.4
    """It ends when its score was below this for `min_s`."""
    min_s: Hold = 0.5
    labels: Annotated[dict[str, LabelEvents], Field(max_length=MOST_LABELS)] = {}

    @model_validator(mode="after")
    def _off_is_not_above_on(self) -> Self:
        for name in (None, *self.labels):
            on, off, _ = self._limits(name)
            if off > on:
                where = "events" if name is None else f"events.labels.{name}"
                raise ValueError(f"{where}: off = {off} is above on = {on}")
        return self

    def _limits(self, label: str | None) -> tuple[float, float, float]:
        own = self.labels.get(label, LabelEvents()) if label is not None else LabelEvents()
        return (
            self.on if own.on is None else own.on,
            self.off if own.off is None else own.off,
            self.min_s if own.min_s is None else own.min_s,
        )

    def deciding(self) -> dict[str, float]:
        """Return the limits as rules that decide, by their place in the settings."""
        common = {"on": self.on, "off": self.off, "min_s": self.min_s}
        own = {
            f"labels.{label}.{name}": value
            for label, limits in self.labels.items()
            for name, value in limits.model_dump().items()
            if value is not None
        }
        return common | own

    def rules(self, labels: Sequence[str], model: str) -> EventRules:
        """Return the rules for a bundle. Raises `ConfigError` for a label that it does not have."""
        strange = sorted(self.labels.keys() - set(labels))
        if strange:
            raise ConfigError(
                f"events.labels.{strange[0]}: the bundle {model} has no such label; it has"
                f" {', '.join(labels)}"
            )
        return EventRules(tuple(labels), model, tuple(self._rule(label) for label in labels))

    def _rule(self, label: str) -> LabelRule:
        on, off, min_s = self._limits(label)
        return LabelRule.of(on, off, min_s)
