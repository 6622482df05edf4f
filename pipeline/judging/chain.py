"""Reads predictions as any consumer may: repeats dropped, every link of every chain checked.

Records in, links out. From where the records come is the caller's business.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from pipeline.records import Record
from pipeline.wire.json_text import UnreadableError
from pipeline.wire.predictions import NEW_CHAIN, Prediction


class Fault(StrEnum):
    """What is wrong with a link."""

    UNREADABLE = "unreadable"  # not a prediction at all
    ALTERED = "altered"  # its bytes do not give its chain
    UNLINKED = "unlinked"  # its `prev` is not the stream's previous chain
    RESTARTED = "restarted"  # its `prev` is that of a new stream, its `reset` gives no reason


@dataclass(frozen=True, slots=True)
class Link:
    """A record and what it says; `prediction` is None where it cannot be read."""

    record: Record
    prediction: Prediction | None
    fault: Fault | None = None
    wanted: str | None = None  # the chain that `prev` should name
    unreadable: str = ""  # why it is no prediction

    @property
    def complaint(self) -> str:
        """Say what is wrong, in words; empty if nothing is."""
        prediction = self.prediction
        if self.fault is None:
            return ""
        if prediction is None:
            return f"this is no prediction: {self.unreadable}"
        if self.fault is Fault.ALTERED:
            return f"the bytes do not give the chain {prediction.chain}"
        if self.fault is Fault.RESTARTED:
            return "the chain begins anew, and the stream is not new"
        return f"prev is {prediction.prev}, wanted {self.wanted}"


class ChainReader:
    """Follows every stream's chain through the records of one topic, in the log's order.

    `drop_repeats` leaves out what was read before: per stream and partition, every frame's offset
    that is not above the newest one. That is what a reader of `low_latency` predictions needs, in
    which a crash repeats some, with the same bytes. (It also leaves out what a partition that was
    moved back publishes again.) `whole` says that reading begins where the log began, so that even
    the first link of a stream has to be a new one; otherwise the first is taken as it is.
    """

    def __init__(self, *, drop_repeats: bool, whole: bool) -> None:
        self._drop_repeats = drop_repeats
        self._whole = whole
        self._newest: dict[tuple[int, str], tuple[int, str]] = {}  # -> frame's offset, chain

    def read(self, records: Iterable[Record]) -> Iterator[Link]:
        """Check records one by one. A link that is broken is told, and the next follows it."""
        links = (self.follow(record) for record in records)
        return (link for link in links if link is not None)

    def follow(self, record: Record) -> Link | None:
        """Check the next record; None says that it is a repeat and dropped."""
        try:
            prediction = Prediction.read(record.value)
        except UnreadableError as exc:
            return Link(record, None, Fault.UNREADABLE, unreadable=str(exc))
        place = prediction.partition, prediction.stream
        newest = self._newest.get(place)
        dropped = self._drop_repeats and newest is not None and prediction.offset <= newest[0]
        if not dropped:
            self._newest[place] = prediction.offset, prediction.chain
        if not prediction.intact:
            return Link(record, prediction, Fault.ALTERED)
        if dropped:
            return None
        return self._judge(record, prediction, None if newest is None else newest[1])

    def _judge(self, record: Record, prediction: Prediction, newest: str | None) -> Link:
        new = prediction.reset is not None and prediction.reset.forgets_stream
        wanted = NEW_CHAIN if new or (newest is None and self._whole) else newest
        if prediction.prev == NEW_CHAIN and not new and newest != NEW_CHAIN:
            return Link(record, prediction, Fault.RESTARTED, wanted)
        if wanted is not None and prediction.prev != wanted:
            return Link(record, prediction, Fault.UNLINKED, wanted)
        return Link(record, prediction)
