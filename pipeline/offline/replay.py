"""The same frame path over a stretch of the log, by one worker that nothing interrupts.

A stretch that begins where its partition's manifest began gives the predictions that the group
published, byte for byte, on an engine that is bit-stable.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future

from engines.base import Engine, Pixels
from engines.model.bundle import Bundle
from pipeline.config import WorkerConfig
from pipeline.media.decoder import Decoder
from pipeline.records import Fate, Frame, Record
from pipeline.streams.admission import Rules
from pipeline.streams.batch import Batcher
from pipeline.streams.partition import Item, Partition
from pipeline.streams.predictor import Predictor
from pipeline.wire.changelog import Manifest
from pipeline.wire.frames import read_frame
from pipeline.wire.predictions import Prediction, PredictionWriter
from pipeline.wire.skips import Skips

OPEN_RECORDS = 1024  # at most, between admission and the end: most of them may be no frames


class SkippedFrames:
    """Which frames of one partition the group left out for newer ones (overload `latest`)."""

    def __init__(self, skips: Iterable[Skips]) -> None:
        ranges: dict[str, list[tuple[int, int]]] = {}
        for record in skips:
            ranges.setdefault(record.stream, []).extend(record.ranges)
        self._ranges = {stream: sorted(found) for stream, found in ranges.items()}
        self._firsts = {
            stream: [first for first, _ in found] for stream, found in self._ranges.items()
        }

    def covers(self, stream: str, offset: int) -> bool:
        """Tell whether a frame that admission lets through at this offset was left out."""
        at = bisect_right(self._firsts.get(stream, ()), offset) - 1
        return at >= 0 and offset <= self._ranges[stream][at][1]


class Replay:
    """Goes over the records of some partitions from `starts` on. One owner thread.

    Of `config` the rules count (gap_reset_s, stream_ttl_s, max_frame_bytes) and the sizes
    (max_batch, max_pending_bytes). `skips` are those that the changelog tells, by partition.
    Decoding runs ahead in `decodes`, by a batch at most. The engine's rows are overwritten.
    """

    def __init__(
        self,
        config: WorkerConfig,
        *,
        bundle: Bundle,
        engine: Engine,
        decoder: Decoder,
        decodes: Executor,
        starts: Mapping[int, int],
        skips: Mapping[int, Sequence[Skips]],
    ) -> None:
        self._config = config
        self._decoder = decoder
        self._decodes = decodes
        self._rules = Rules.of(
            rate_hz=bundle.input.rate_hz,
            gap_reset_s=config.gap_reset_s,
            stream_ttl_s=config.stream_ttl_s,
        )
        writer = PredictionWriter(
            labels=bundle.labels, activation=bundle.activation, model=bundle.id
        )
        self._predictor = Predictor(engine, writer, self._rules, topic=config.frames_topic)
        self._batcher = Batcher(config.max_batch)
        self._skipped = {number: SkippedFrames(found) for number, found in skips.items()}
        self._decoding: deque[Future[Pixels]] = deque()  # in the order of admission
        self._frames = 0  # let through and not predicted
        self.partitions = {
            number: Partition(number, era=0, manifest=_beginning(start, bundle))
            for number, start in starts.items()
        }

    def run(self, records: Iterable[Record]) -> Iterator[Prediction]:
        """Predict the records, each partition's in offset order; so come the predictions.

        The partitions' ledgers tell what became of all. Raises what the engine raises.
        """
        for record in records:
            self._admit(record)
            while self._enough:
                yield from self._predict()
        while any(partition.items for partition in self.partitions.values()):
            yield from self._predict()

    @property
    def _enough(self) -> bool:
        """Whether a full batch waits and the decoders have another one to go on with."""
        partitions = self.partitions.values()
        return (
            self._frames >= 2 * self._config.max_batch
            or sum(len(p.items) for p in partitions) >= OPEN_RECORDS
            or sum(p.pending_bytes for p in partitions) > self._config.max_pending_bytes
        )

    def _admit(self, record: Record) -> None:
        frame = read_frame(record, max_bytes=self._config.max_frame_bytes)
        item = self.partitions[record.partition].admit(frame, self._rules)
        if item is None or item.fate is not None or not isinstance(frame, Frame):
            return
        skipped = self._skipped.get(frame.partition)
        if skipped is not None and skipped.covers(frame.stream, frame.offset):
            item.fate = Fate.SKIPPED
            return
        item.pixels = self._decodes.submit(self._decoder, frame.content)
        self._decoding.append(item.pixels)
        self._frames += 1

    def _predict(self) -> Iterator[Prediction]:
        for _ in range(min(self._config.max_batch, len(self._decoding))):
            self._decoding.popleft().exception()  # waits; what was raised is the predictor's
        batch = self._batcher.take(self.partitions.values())
        self._predictor.run([item for items in batch.values() for item in items])
        for partition, items in batch.items():
            partition.finish(items)
            partition.sweep(self._rules, self._predictor.rows)
            partition.outgoing, partition.changed, partition.captured_us = [], {}, []
            self._frames -= sum(item.pixels is not None for item in items)
            yield from _predictions(items)


def _predictions(items: Iterable[Item]) -> Iterator[Prediction]:
    for item in items:
        out = item.outgoing
        if item.fate is Fate.PREDICTED and out is not None:
            yield Prediction.read(out.value)


def _beginning(offset: int, bundle: Bundle) -> Manifest:
    return Manifest.beginning(offset, bundle=bundle.digest, partitions=1)
