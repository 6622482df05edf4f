"""Runs the frame path over a stretch of the log in one process, without rebalances or crashes.

If the stretch begins where the partition's manifest began and the engine is bit-stable, the
predictions equal those that the group published, byte for byte.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Any

from pipeline.config import WorkerConfig
from pipeline.records import Destination, Fate, Frame, Record
from pipeline.streams.item import Item
from pipeline.streams.partition import Partition
from pipeline.streams.served import ServedModel
from pipeline.wire.changelog import Manifest
from pipeline.wire.growths.moved_stream import MovedStream
from pipeline.wire.predictions import Prediction
from pipeline.wire.skips import Skips

OPEN_RECORDS = 1024  # cap on admitted, unfinished records (sampled and bad ones count too)


class SkippedFrames:
    """The frames of one partition that the group skipped for newer ones (overload `latest`)."""

    def __init__(self, skips: Iterable[Skips]) -> None:
        ranges: dict[str, list[tuple[int, int]]] = {}
        for record in skips:
            ranges.setdefault(record.stream, []).extend(record.ranges)
        self._ranges = {stream: sorted(found) for stream, found in ranges.items()}
        self._firsts = {
            stream: [first for first, _ in found] for stream, found in self._ranges.items()
        }

    def covers(self, stream: str, offset: int) -> bool:
        """Return whether a frame that admission lets through at this offset was skipped."""
        at = bisect_right(self._firsts.get(stream, ()), offset) - 1
        return at >= 0 and offset <= self._ranges[stream][at][1]


class Replay:
    """Predicts the records of some partitions from the offsets `starts` on. One owner thread.

    Of `config` it uses only max_batch and max_pending_bytes. `skips` are those of the changelogs,
    by partition, and so are the streams that have `moved` away at a growth. Decoding runs ahead in
    `decodes`, by a batch at most. The engine's rows are overwritten.
    """

    def __init__(
        self,
        config: WorkerConfig,
        *,
        model: ServedModel,
        decodes: Executor,
        starts: Mapping[int, int],
        skips: Mapping[int, Sequence[Skips]],
        moved: Mapping[int, Sequence[MovedStream]] | None = None,
    ) -> None:
        self._model = model
        self._decodes = decodes
        self._most_frames = 2 * config.max_batch
        self._most_bytes = config.max_pending_bytes
        self._max_batch = config.max_batch
        self._skipped = {number: SkippedFrames(found) for number, found in skips.items()}
        self._decoding: deque[Future[Any]] = deque()  # in the order of admission
        self._frames = 0  # decoded, or being decoded, and not finished
        self.events: dict[int, list[bytes]] = {number: [] for number in starts}  # by partition
        digest = model.bundle.digest
        beginnings = {
            number: Manifest.beginning(start, bundle=digest, partitions=0)
            for number, start in starts.items()
        }
        self.partitions = {n: Partition(n, era=0, manifest=one) for n, one in beginnings.items()}
        for number, left in (moved or {}).items():
            self.partitions[number].adopt([], left)

    def run(self, records: Iterable[Record]) -> Iterator[Prediction]:
        """Predict records, which are in offset order per partition, as the predictions are.

        The partitions' ledgers count the fates of all records, and `events` has the values of their
        events so far. Raises what the engine raises.
        """
        for record in records:
            self._admit(record)
            while self._enough:
                yield from self._predict()
        while any(partition.items for partition in self.partitions.values()):
            yield from self._predict()

    @property
    def _enough(self) -> bool:
        """Whether to run a batch: enough waits for the engine while another batch is decoded."""
        partitions = self.partitions.values()
        return (
            self._frames >= self._most_frames
            or sum(len(p.items) for p in partitions) >= OPEN_RECORDS
            or sum(p.pending_bytes for p in partitions) > self._most_bytes
        )

    def _admit(self, record: Record) -> None:
        item = self._model.admit(self.partitions[record.partition], record)
        frame = None if item is None else item.let_through
        if item is not None and frame is not None:
            skipped = self._skipped.get(frame.partition)
            if skipped is not None and skipped.covers(frame.stream, frame.offset):
                item.skip()
            elif not frame.unit:
                decoded = self._decodes.submit(self._model.decoder, frame.content)
                item.decode(decoded)
                self._decoding.append(decoded)
                self._frames += 1
        self._submit_units()

    def _submit_units(self) -> None:
        """Submit the units that are due. Their chains follow admission, as in a worker."""
        if self._model.chains is None:
            return
        for partition in self.partitions.values():
            for job in partition.submit_units(self._model.chains, self._post):
                self._decoding.append(job.future)
                self._frames += 1

    def _post(self, frame: Frame, unpacked_bytes: int, call: Callable[[], None]) -> None:
        del frame, unpacked_bytes  # without others there is nothing to share
        self._decodes.submit(call)

    def _predict(self) -> Iterator[Prediction]:
        for _ in range(min(self._max_batch, len(self._decoding))):
            self._decoding.popleft().exception()  # waits; the predictor handles the exception
        stepped = self._model.step(self.partitions.values())
        for partition, items in stepped.batch.items():
            partition.sweep(self._model.rules, self._model.rows)
            closed = partition.close_checkpoint()  # frees it: nothing is committed here
            self.events[partition.number] += [
                out.value or b"" for out in closed.outgoing if out.destination is Destination.EVENTS
            ]
            self._frames -= sum(item.submitted for item in items)
            yield from _predictions(items)
        self._submit_units()


def _predictions(items: Iterable[Item]) -> Iterator[Prediction]:
    for item in items:
        out = item.outgoing
        if item.fate is Fate.PREDICTED and out is not None:
            yield Prediction.read(out.value)
