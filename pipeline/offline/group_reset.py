"""Changes the memory of a group on a Kafka: ends streams, moves partitions."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from pipeline.broker.kafka.group import KafkaGroup
from pipeline.broker.kafka.publisher import KafkaPublisher
from pipeline.broker.kafka.readers.span_reader import SpanReader
from pipeline.clock import Clock
from pipeline.connection import GroupSettings
from pipeline.errors import ConfigError
from pipeline.judging.moving import Move, find_target, move, require_manifest
from pipeline.offline.group_state import read_changelogs
from pipeline.records import Changelog
from pipeline.wire.changelog import SNAPSHOT_PREFIX, snapshot_key


@dataclass(frozen=True, slots=True)
class EndedStream:
    """Where a stream was ended: `offsets` has the offset of the record that ends it, by partition.

    `remembered_in` are the partitions in which the group had its memory, `usual` is the one that
    `longtake camera` publishes it to.
    """

    stream: str
    offsets: Mapping[int, int]
    remembered_in: tuple[int, ...]
    usual: int


@dataclass(frozen=True, slots=True)
class PlannedMove:
    """A partition that is to go on at `target`, not at `next_offset`; it forgets its streams."""

    partition: int
    next_offset: int
    target: int
    streams: int


def end_streams(
    settings: GroupSettings, names: Sequence[str], *, partition: int | None, clock: Clock
) -> Iterator[EndedStream]:
    """End each stream, when its turn in the iterator comes.

    A stream is ended in `partition` if one is named, else where the group remembers it, else where
    `longtake camera` would publish it. Raises `ConfigError` when there is no such partition.
    """
    changelogs = read_changelogs(settings, clock=clock)
    if partition is not None:
        _require(partition, changelogs)
    topic = settings.topics.frames
    with closing(KafkaPublisher(settings.connection, topic=topic)) as publisher:
        for name in names:
            usual = publisher.partition_of(name)
            key = snapshot_key(name)
            lives = tuple(number for number, log in changelogs.items() if key in log.records)
            places = (partition,) if partition is not None else lives or (usual,)
            offsets = {number: publisher.end(name, number) for number in places}
            yield EndedStream(name, offsets, lives, usual)


def plan_move(settings: GroupSettings, number: int, to: str, *, clock: Clock) -> PlannedMove:
    """See that a partition can be moved `to` an offset, `earliest` or `latest`. Changes nothing.

    Raises `ConfigError`, and `CannotMoveError` where workers are in the group, none of them has
    ever begun the partition, or its log does not hold the offset.
    """
    changelogs = read_changelogs(settings, clock=clock)
    _require(number, changelogs)
    changelog = changelogs[number]
    before = require_manifest(number, changelog)
    target = find_target(to, changelog)
    KafkaGroup(settings, clock=clock).require_empty()
    streams = sum(key.startswith(SNAPSHOT_PREFIX) for key in changelog.records)
    return PlannedMove(number, before.next_offset, target, streams)


def move_partition(settings: GroupSettings, planned: PlannedMove, *, clock: Clock) -> int:
    """Move the partition; returns the number of the life that begins with it.

    Raises `CannotMoveError` if workers have come into the group since it was planned.
    """
    number = planned.partition
    to = Move(number, planned.target, *_ends(settings, number, clock=clock))
    changelog = read_changelogs(settings, clock=clock)[number]
    checkpoint = move(changelog, to, now_s=clock.time())
    KafkaGroup(settings, clock=clock).commit(checkpoint)
    return checkpoint.parts[0].manifest.life


def _ends(settings: GroupSettings, number: int, *, clock: Clock) -> tuple[int, Mapping[int, int]]:
    """Where a partition's predictions end now, and all partitions' dead letters."""
    topics = settings.topics
    with closing(SpanReader(settings.connection, stall_s=settings.stall_s, clock=clock)) as reader:
        predictions = reader.spans(topics.predictions, [number])
        letters = reader.spans(topics.dead_letters, reader.partitions(topics.dead_letters))
    return predictions[number].stop, {number: span.stop for number, span in letters.items()}


def _require(number: int, changelogs: Mapping[int, Changelog]) -> None:
    if number not in changelogs:
        raise ConfigError(f"there is no partition {number}: there are {len(changelogs)}, from 0 on")
