"""Freezes the finished records of partitions into the bytes of one transaction."""

from collections.abc import Iterable
from dataclasses import replace

from engines.base import Engine
from pipeline.broker.checkpoint import Checkpoint, PartitionCheckpoint
from pipeline.records import Headers
from pipeline.streams.partition import Partition
from pipeline.streams.stream import Stream
from pipeline.wire.belongings.ownership import GROUP_HEADER
from pipeline.wire.changelog import Manifest, snapshot_key, tombstone
from pipeline.wire.snapshots import Snapshot


class Freezer:
    """Freezes partitions into checkpoints. The owner thread uses it between batches.

    `bundle` is the digest to write into snapshots and manifests; `worker` and `partitions` are
    written into manifests, `group` and `worker` into the headers of outputs.
    """

    def __init__(
        self, engine: Engine, *, bundle: str, group: str, worker: str, partitions: int
    ) -> None:
        self._engine = engine
        self._bundle = bundle
        self._group = group
        self._worker = worker
        self._partitions = partitions

    def freeze(
        self,
        partitions: Iterable[Partition],
        *,
        generation: int,
        evicted: dict[int, list[str]],
        now_s: float,
    ) -> Checkpoint:
        """Freeze partitions up to their `next_offset` and open their next checkpoints.

        `evicted` names the streams whose snapshots are deleted, by partition.
        """
        headers = self.headers(generation, now_s)
        parts = [
            self._part(partition, generation, headers, evicted.get(partition.number, []))
            for partition in partitions
        ]
        return Checkpoint(tuple(parts), now_s)

    def headers(self, generation: int, now_s: float) -> Headers:
        """Return the headers that record which group and worker published a record, and when."""
        return (
            (GROUP_HEADER, self._group.encode()),
            ("processed-at", f"{now_s * 1000:.3f}".encode()),
            ("worker", self._worker.encode()),
            ("generation", str(generation).encode()),
        )

    def _part(
        self, partition: Partition, generation: int, headers: Headers, evicted: list[str]
    ) -> PartitionCheckpoint:
        closed = partition.close_checkpoint()
        number = partition.number
        manifest = Manifest(
            first_offset=partition.first_offset,
            next_offset=partition.next_offset,
            checkpoint=partition.checkpoint,
            worker=self._worker,
            generation=generation,
            bundle=self._bundle,
            partitions=self._partitions,
            stream_time_ms=partition.stream_time_ms,
            fates=dict(partition.fates),
            absent=partition.absent,
            expired=partition.expired,
            attempts=closed.attempts,
            life=partition.life,
            letters_omitted=partition.letters_omitted,
            identity=partition.identity.at(partition.next_offset),
            unknown=partition.unknown,
        )
        outgoing = (
            *(replace(out, headers=out.headers + headers) for out in closed.outgoing),
            *(shot.write(number) for shot in self._snapshots(list(closed.changed.values()))),
            *(tombstone(number, snapshot_key(name)) for name in evicted),
            *(skips.write(number) for skips in closed.skipped.values()),
            manifest.write(number),
        )
        return PartitionCheckpoint(
            number,
            partition.era,
            partition.checkpoint,
            closed.start,
            partition.next_offset,
            outgoing,
            manifest,
            tuple(closed.captured_us),
            dict(closed.fates),
            closed.expired,
        )

    def _snapshots(self, streams: list[Stream]) -> Iterable[Snapshot]:
        """Copy the memory of streams. A stream with a pending reset has no tensors."""
        kept = [s for s in streams if s.pending_reset is None and s.row is not None]
        rows = [s.row for s in kept if s.row is not None]
        tensors = self._engine.read(rows) if rows else {}  # (M, *shape) each
        indices = {stream: index for index, stream in enumerate(kept)}
        for stream in streams:
            if stream.admission is None:
                raise AssertionError(f"stream {stream.name} changed before a record was finished")
            index = indices.get(stream)
            yield Snapshot(
                stream=stream.name,
                bundle=self._bundle,
                offset=stream.offset,
                admission=stream.admission,
                stepped_us=stream.stepped_us,
                age_us=stream.age_us,
                frames=stream.frames,
                chain=stream.chain,
                pending_reset=stream.pending_reset,
                keyframe=stream.keyframe,
                events=stream.events,
                tensors={} if index is None else {n: t[index] for n, t in tensors.items()},
                unknown=stream.unknown,
            )
