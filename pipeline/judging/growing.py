"""What a growth changes: which streams move, and the records that move them with their memory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.broker.checkpoint import Checkpoint, PartitionCheckpoint
from pipeline.broker.partitioner import partition_of
from pipeline.errors import CannotMoveError
from pipeline.records import Changelog, Outgoing, Record, Reset
from pipeline.wire.changelog import MANIFEST_KEY, SNAPSHOT_PREFIX, Manifest, tombstone
from pipeline.wire.growths.growth import Growth, GrowthArrival, growths
from pipeline.wire.growths.moved_stream import MovedStream
from pipeline.wire.snapshots import Snapshot

GROWING = "grow"  # the worker's name in the manifest
NAMED = 3  # streams that a message names


@dataclass(frozen=True, slots=True)
class StaleRecord:
    """A record that a producer wrote by the old count of partitions, into one where it was."""

    stream: str
    partition: int
    offset: int


def require_begun(changelogs: Mapping[int, Changelog], *, group: str) -> None:
    """Raise `CannotMoveError` unless the group has begun each of these partitions."""
    absent = [n for n, changelog in changelogs.items() if MANIFEST_KEY not in changelog.records]
    if absent:
        raise CannotMoveError(
            f"no worker of group {group} has begun partitions {absent}: there is no memory to keep."
            " Start a worker first; or is the --group right? A group that has never worked needs no"
            " growth: raise the partitions of its topics with Kafka's own tools"
        )


def require_placed(
    changelogs: Mapping[int, Changelog], before: int, *, group: str, ttl_ms: int
) -> None:
    """Raise `CannotMoveError` if a stream lives where the default partitioner would not put it.

    Nobody can know where its producer puts it among more partitions. Streams that have ended, or
    were silent for `ttl_ms`, do not count.
    """
    found = [
        f"{one.stream} (in {number}, not {partition_of(one.stream.encode(), before)})"
        for number, changelog in changelogs.items()
        for one in _remembered(changelog)
        if partition_of(one.stream.encode(), before) != number
        and one.pending_reset is not Reset.ENDED
        and _time_ms(changelog) - one.admission.record_ms <= ttl_ms
    ]
    if found:
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        raise CannotMoveError(
            f"group {group} remembers streams where Kafka's default partitioner does not put them:"
            f" {', '.join(found[:NAMED])}{more}. Nobody knows where their producers would put them"
            " among more partitions. Let these use murmur2 (librdkafka and kcat:"
            " partitioner=murmur2_random), and end the streams with `longtake reset stream NAME`"
        )


def moving(changelog: Changelog, number: int, growth: Growth) -> dict[int, list[Snapshot]]:
    """Return the streams of an old partition that move, by the partition that they move to."""
    found: dict[int, list[Snapshot]] = {}
    for one in _remembered(changelog):
        to = partition_of(one.stream.encode(), growth.after)
        if growth.source_of(to) == number:
            found.setdefault(to, []).append(one)
    return found


def staying(changelog: Changelog, number: int, growth: Growth) -> list[str]:
    """Return the streams whose keys belong elsewhere before and after: they stay where they are."""
    return [
        one.stream
        for one in _remembered(changelog)
        if partition_of(one.stream.encode(), growth.before) != number
    ]


def stale(records: Iterable[Record], growth: Growth) -> list[StaleRecord]:
    """Return the records in old partitions whose keys belong to a new one."""
    return [
        StaleRecord(record.key.decode("ascii", "replace"), record.partition, record.offset)
        for record in records
        if record.key
        and growth.source_of(partition_of(record.key, growth.after)) == record.partition
    ]


def move_streams(
    source: Changelog, target: int, growth: Growth, streams: Sequence[Snapshot], *, now_s: float
) -> Checkpoint:
    """Return the checkpoint with which a new partition begins: `streams` of its source, moved.

    It is one transaction, so that each stream's memory is in one partition at any time. Commit it
    when no record of these streams is left unread in the source, and no worker is in the group.
    The partition's time is that of the source, so no stream lives longer, or less long, for the
    move. Ranges of skipped frames stay: they are offsets of the source. A chain of H.264 units
    ends, because its keyframe is in the source.
    """
    origin = growth.source_of(target)
    if origin is None:
        raise AssertionError(f"partition {target} is not new in a growth to {growth.after}")
    before = Manifest.read(source.records[MANIFEST_KEY])
    manifest = replace(
        Manifest.beginning(0, bundle=before.bundle, partitions=growth.after),
        checkpoint=0,
        worker=GROWING,
        stream_time_ms=before.stream_time_ms,
        identity=before.identity.begun(),
        unknown=before.unknown,
    )
    arrival = GrowthArrival(
        streams=len(streams),
        ended=sum(one.pending_reset is Reset.ENDED for one in streams),
        source_end=before.next_offset,
        at_ms=round(now_s * 1000),
    )
    outgoing = (
        *(out for one in streams for out in _move(one, origin, target)),
        replace(growth, arrival=arrival).write(target),
        manifest.write(target),
    )
    part = PartitionCheckpoint(
        partition=target,
        era=0,
        number=manifest.checkpoint,
        start=0,
        next_offset=0,
        outgoing=outgoing,
        manifest=manifest,
        captured_us=(),
        fates={},
    )
    return Checkpoint((part,), now_s)


def _move(stream: Snapshot, source: int, target: int) -> tuple[Outgoing, Outgoing, Outgoing]:
    mark = MovedStream(
        stream.stream, target, stream.offset, stream.admission.record_ms, stream.chain
    )
    moved = replace(stream, offset=-1, keyframe=None).write(target)
    return moved, mark.write(source), tombstone(source, moved.key or b"")


def unfinished(changelogs: Mapping[int, Changelog]) -> list[Growth]:
    """Return the growths of which a new partition is missing, or has not begun yet."""
    found: dict[int, Growth] = {}
    begun: dict[int, set[int]] = {}
    for number, changelog in changelogs.items():
        for one in growths(changelog):
            found[one.after] = one
            if one.arrival is not None:
                begun.setdefault(one.after, set()).add(number)
    return [
        one
        for after, one in sorted(found.items())
        if not begun.get(after, set()) >= set(range(one.before, after))
    ]


def _remembered(changelog: Changelog) -> list[Snapshot]:
    return [
        Snapshot.read(record)
        for key, record in changelog.records.items()
        if key.startswith(SNAPSHOT_PREFIX)
    ]


def _time_ms(changelog: Changelog) -> int:
    return Manifest.read(changelog.records[MANIFEST_KEY]).stream_time_ms
