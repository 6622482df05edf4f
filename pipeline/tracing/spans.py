"""The contract of tracing: the spans of one process, whatever exports them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

Attributes = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class FinishedSpan:
    """One step of a frame, in seconds since 1970. A clock that was set back gives no length."""

    name: str
    began_s: float
    ended_s: float
    attributes: Attributes = field(default_factory=dict)


class OpenSpan(Protocol):
    """A span that has begun a trace. It is exported if it is ended, and only then."""

    @property
    def traceparent(self) -> bytes | None:
        """The header of W3C for the steps that follow; None if the trace is not sampled."""

    def end(self, ended_s: float) -> None:
        """End the span."""


class Tracing(Protocol):
    """The spans of one process. One thread uses it; no call waits for the collector."""

    def begin(self, name: str, *, seed: bytes, began_s: float, attributes: Attributes) -> OpenSpan:
        """Begin a trace whose ids are made from the seed: the same seed gives the same ids."""

    def write(self, traceparent: bytes, spans: Iterable[FinishedSpan]) -> None:
        """Export spans as children of the header's span, if its trace is sampled.

        A header that is not valid has none.
        """

    def close(self) -> None:
        """Export what waits, for a bounded time."""
