"""When labels start and end, as whole numbers."""

from dataclasses import dataclass

from pipeline.wire.events.event_memory import WHOLE


@dataclass(frozen=True, slots=True)
class LabelRule:
    """The limits of one label: scores in ten thousandths, a time in microseconds."""

    on: int
    off: int
    min_us: int

    @classmethod
    def of(cls, on: float, off: float, min_s: float) -> "LabelRule":
        """Return the limits. Scores are published with four decimals, and so are compared."""
        return cls(round(on * WHOLE), round(off * WHOLE), round(min_s * 1e6))


@dataclass(frozen=True, slots=True)
class EventRules:
    """The labels of a bundle in its order, the limits of each, and the bundle's id."""

    labels: tuple[str, ...]
    model: str
    limits: tuple[LabelRule, ...]

    def index(self, label: str) -> int | None:
        """Return a label's place in the bundle; None if it has no such label."""
        return self.labels.index(label) if label in self.labels else None
