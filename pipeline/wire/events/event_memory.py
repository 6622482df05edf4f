"""What is remembered of a stream's events between two predictions. Part of its snapshot's `meta`.

Scores are whole numbers of ten thousandths, as predictions show them, so sums are exact. Times are
microseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from pipeline.wire.frames import LAST_US
from pipeline.wire.json_text import Fields
from pipeline.wire.predictions import CHAIN, CHAIN_WANTED, MOST_LABEL, MOST_MODEL, NEW_CHAIN

WHOLE = 10_000
"""A score of 1."""


@dataclass(frozen=True, slots=True)
class EventPlace:
    """The frame of a prediction, and its capture time."""

    partition: int
    offset: int
    us: int

    def content(self) -> dict[str, Any]:
        """Return it as the content of a JSON object."""
        return {"partition": self.partition, "offset": self.offset, "us": self.us}

    @classmethod
    def read(cls, fields: Fields) -> "EventPlace":
        """Read it. Raises `UnreadableError`."""
        return cls(
            fields.integer("partition", -1, 2**31 - 1),
            fields.integer("offset"),
            fields.integer("us", 0, LAST_US),
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """The scores of one label in some consecutive frames: how many, their sum, the highest.

    `span_us` is the sum of the steps of capture time before these frames that went forwards.
    """

    frames: int = 0
    total: int = 0
    peak: int = 0
    span_us: int = 0

    def plus(self, score: int, step_us: int) -> "Evidence":
        """Return it with one more frame, `step_us` after the one before."""
        return Evidence(
            self.frames + 1, self.total + score, max(self.peak, score), self.span_us + step_us
        )

    def merged(self, later: "Evidence") -> "Evidence":
        """Return it with the frames that came after it."""
        return Evidence(
            self.frames + later.frames,
            self.total + later.total,
            max(self.peak, later.peak),
            self.span_us + later.span_us,
        )

    def content(self) -> dict[str, Any]:
        """Return it as the content of a JSON object."""
        return {
            "frames": self.frames,
            "total": self.total,
            "peak": self.peak,
            "span_us": self.span_us,
        }

    @classmethod
    def read(cls, fields: Fields) -> "Evidence":
        """Read it. Raises `UnreadableError`."""
        return cls(
            frames=fields.integer("frames"),
            total=fields.integer("total"),
            peak=fields.integer("peak", 0, WHOLE),
            span_us=fields.integer("span_us"),
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """A label that may start: the frames since `first`, in all of which it was strong enough."""

    label: str
    first: EventPlace
    seen: Evidence

    def content(self) -> dict[str, Any]:
        """Return it as the content of a JSON object."""
        return {
            "label": self.label,
            "first": self.first.content(),
            "seen": self.seen.content(),
        }

    @classmethod
    def read(cls, fields: Fields) -> "Candidate":
        """Read it. Raises `UnreadableError`."""
        return cls(
            label=fields.text("label", MOST_LABEL),
            first=EventPlace.read(fields.inner("first")),
            seen=Evidence.read(fields.inner("seen")),
        )


@dataclass(frozen=True, slots=True)
class OpenEvent:
    """A label that has started and not ended. `model` is the bundle that saw it start.

    `seen` are its frames from `first` to `last`. `doubtful` are those after `last`, which belong to
    it only if it becomes strong again. It has been below its limit for `weak_us`; None: it is not.
    """

    label: str
    model: str
    first: EventPlace
    last: EventPlace
    seen: Evidence
    doubtful: Evidence = field(default_factory=Evidence)
    weak_us: int | None = None

    def content(self) -> dict[str, Any]:
        """Return it as the content of a JSON object."""
        return {
            "label": self.label,
            "model": self.model,
            "first": self.first.content(),
            "last": self.last.content(),
            "seen": self.seen.content(),
            "doubtful": self.doubtful.content(),
            "weak_us": self.weak_us,
        }

    @classmethod
    def read(cls, fields: Fields) -> "OpenEvent":
        """Read it. Raises `UnreadableError`."""
        return cls(
            label=fields.text("label", MOST_LABEL),
            model=fields.text("model", MOST_MODEL),
            first=EventPlace.read(fields.inner("first")),
            last=EventPlace.read(fields.inner("last")),
            seen=Evidence.read(fields.inner("seen")),
            doubtful=Evidence.read(fields.inner("doubtful")),
            weak_us=fields.integer_or_none("weak_us"),
        )


@dataclass(frozen=True, slots=True)
class EventMemory:
    """The events of one stream so far: what is open, what may start, and the chain.

    `stale`: frames have passed since, unseen, because events were switched off or a worker of an
    older release was at work. `unknown` holds fields of a newer release.
    """

    open: OpenEvent | None = None
    candidate: Candidate | None = None
    chain: str = NEW_CHAIN
    stale: bool = False
    unknown: Mapping[str, JsonValue] = field(default_factory=dict)

    def content(self, offset: int) -> dict[str, Any]:
        """Return it as the content of a JSON object, valid after the record at `offset`.

        An older release writes it back with a snapshot of another offset.
        """
        return {
            "open": None if self.open is None else self.open.content(),
            "candidate": None if self.candidate is None else self.candidate.content(),
            "chain": self.chain,
            "offset": None if self.stale else offset,
            **self.unknown,
        }

    @classmethod
    def read(cls, fields: Fields, offset: int) -> "EventMemory":
        """Read it from a snapshot whose newest record is at `offset`. Raises `UnreadableError`."""
        valid = fields.integer_or_none("offset", -1)
        opened = None if fields.is_null("open") else OpenEvent.read(fields.inner("open"))
        waiting = None if fields.is_null("candidate") else Candidate.read(fields.inner("candidate"))
        return cls(
            open=opened,
            candidate=waiting,
            chain=fields.matching("chain", CHAIN, CHAIN_WANTED),
            stale=valid != offset,
            unknown=fields.rest,
        )
