"""Reads predictions as any consumer can: it drops repeats and checks every link of every chain.

Records in, links out. The caller reads the records from a log or a file.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from pipeline.records import Record
from pipeline.wire.json_text import UnreadableError
from pipeline.wire.predictions import NEW_CHAIN, Prediction

MOST_STREAMS = 200_000  # whose newest links one reader keeps, in some 60 MB


class Fault(StrEnum):
    """What is wrong with a link."""

    UNREADABLE = "unreadable"  # not a prediction at all
    ALTERED = "altered"  # its bytes do not give its chain
    UNLINKED = "unlinked"  # its `prev` is not the stream's previous chain
    RESTARTED = "restarted"  # its `prev` is that of a new stream, but its `reset` is not


@dataclass(frozen=True, slots=True)
class Link:
    """A record and its prediction, which is None if it cannot be read."""

    record: Record
    prediction: Prediction | None
    fault: Fault | None = None
    wanted: str | None = None  # the chain that `prev` should name
    unreadable: str = ""  # why it is not a prediction

    @property
    def complaint(self) -> str:
        """What is wrong, in words; empty if nothing is."""
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

    `drop_repeats`: drop a prediction if its frame's offset is not above the newest one of its
    stream and partition. Readers of `low_latency` predictions need that, because a crash repeats
    some of them with the same bytes. (It also drops what a partition that was moved back publishes
    again.) `whole`: reading begins where the log began, so that the first link of each stream must
    be that of a new stream; otherwise the first link is accepted as it is. Above `most_streams` the
    stream whose last record is furthest back is forgotten: its next link is accepted as it is.
    """

    def __init__(
        self, *, drop_repeats: bool, whole: bool, most_streams: int = MOST_STREAMS
    ) -> None:
        self._drop_repeats = drop_repeats
        self._whole = whole
        self._most_streams = most_streams
        self._newest: dict[tuple[int, str], tuple[int, str]] = {}  # -> frame's offset, chain

    def read(self, records: Iterable[Record]) -> Iterator[Link]:
        """Check records one by one. A broken link is reported, and the next continues from it."""
        links = (self.follow(record) for record in records)
        return (link for link in links if link is not None)

    def follow(self, record: Record) -> Link | None:
        """Check the next record. Returns None if it is a repeat, which is dropped."""
        try:
            prediction = Prediction.read(record.value)
        except UnreadableError as exc:
            return Link(record, None, Fault.UNREADABLE, unreadable=str(exc))
        place = prediction.partition, prediction.stream
        newest = self._newest.get(place)
        dropped = self._drop_repeats and newest is not None and prediction.offset <= newest[0]
        if not dropped:
            self._keep(place, prediction)
        if not prediction.intact:
            return Link(record, prediction, Fault.ALTERED)
        if dropped:
            return None
        return self._judge(record, prediction, None if newest is None else newest[1])

    def _keep(self, place: tuple[int, str], prediction: Prediction) -> None:
        """Keep a stream's newest link, last in the order of the streams' records."""
        self._newest.pop(place, None)
        self._newest[place] = prediction.offset, prediction.chain
        if len(self._newest) > self._most_streams:
            del self._newest[next(iter(self._newest))]
            self._whole = False  # a stream without a link may be one that was forgotten

    def _judge(self, record: Record, prediction: Prediction, newest: str | None) -> Link:
        new = prediction.reset is not None and prediction.reset.forgets_stream
        wanted = NEW_CHAIN if new or (newest is None and self._whole) else newest
        if prediction.prev == NEW_CHAIN and not new and newest != NEW_CHAIN:
            return Link(record, prediction, Fault.RESTARTED, wanted)
        if wanted is not None and prediction.prev != wanted:
            return Link(record, prediction, Fault.UNLINKED, wanted)
        return Link(record, prediction)
