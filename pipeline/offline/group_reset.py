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
from pipeline.judging.moving import (
    PREDICTED,
    Move,
    find_target,
    move,
    never_begun,
    next_offset_of,
)
from pipeline.offline.group_state import read_changelogs, read_committed, read_predicted
from pipeline.records import Changelog
from pipeline.wire.belongings.remains import Remains
from pipeline.wire.changelog import MANIFEST_KEY, SNAPSHOT_PREFIX, snapshot_key


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


def plan_moves(
    settings: GroupSettings, numbers: Sequence[int], to: str, *, clock: Clock
) -> list[PlannedMove]:
    """See that partitions can be moved `to` an offset, or one of the names in `find_target`.

    No numbers: all that the group has begun. It changes nothing. Raises `ConfigError`, and
    `CannotMoveError` where workers are in the group, none of them has ever begun a partition, or
    its log does not hold the offset.
    """
    changelogs = read_changelogs(settings, clock=clock)
    for number in numbers:
        _require(number, changelogs)
    wanted = list(numbers) or sorted(changelogs)
    remains = _remains(settings, to, {n: changelogs[n] for n in wanted}, clock=clock)
    before = {n: next_offset_of(changelogs[n], remains[n]) for n in wanted}
    begun = {number: offset for number, offset in before.items() if offset is not None}
    if not begun or (numbers and len(begun) < len(wanted)):
        raise never_begun(number for number in wanted if number not in begun)
    targets = {n: find_target(to, n, changelogs[n], remains[n]) for n in begun}
    KafkaGroup(settings, clock=clock).require_empty()
    return [
        PlannedMove(number, offset, targets[number], _streams(changelogs[number]))
        for number, offset in begun.items()
    ]


def move_partitions(
    settings: GroupSettings, planned: Sequence[PlannedMove], *, clock: Clock
) -> dict[int, int]:
    """Move partitions, one after the other. Returns the numbers of the lives that begin with it.

    Raises `CannotMoveError` if workers have come into the group since it was planned. Those that
    were moved before stay so; moving all again does no harm.
    """
    changelogs = read_changelogs(settings, clock=clock)
    ends = _ends(settings, [one.partition for one in planned], clock=clock)
    group, lives = KafkaGroup(settings, clock=clock), {}
    for one in planned:
        number = one.partition
        to = Move(
            number,
            one.target,
            *ends[number],
            topics=settings.topics.by_role,
            partitions=len(changelogs),
        )
        checkpoint = move(changelogs[number], to, now_s=clock.time())
        group.commit(checkpoint)
        lives[number] = checkpoint.parts[0].manifest.life
    return lives


def _remains(
    settings: GroupSettings, to: str, changelogs: Mapping[int, Changelog], *, clock: Clock
) -> dict[int, Remains]:
    """Look for what the group has left, at its predictions only where nothing else says it."""
    committed = read_committed(settings, list(changelogs))
    lost = [n for n, changelog in changelogs.items() if MANIFEST_KEY not in changelog.records]
    asked = list(changelogs) if to == PREDICTED else [n for n in lost if n not in committed]
    predicted = read_predicted(settings, asked, clock=clock)
    return {n: Remains(committed.get(n), predicted.get(n)) for n in changelogs}


def _streams(changelog: Changelog) -> int:
    return sum(key.startswith(SNAPSHOT_PREFIX) for key in changelog.records)


def _ends(
    settings: GroupSettings, numbers: Sequence[int], *, clock: Clock
) -> dict[int, tuple[int, Mapping[int, int]]]:
    """Where each partition's predictions end now, and all partitions' dead letters."""
    topics = settings.topics
    with closing(SpanReader(settings.connection, stall_s=settings.stall_s, clock=clock)) as reader:
        predictions = reader.spans(topics.predictions, numbers)
        letters = reader.spans(topics.dead_letters, reader.partitions(topics.dead_letters))
    dead_letters_end = {number: span.stop for number, span in letters.items()}
    return {number: (predictions[number].stop, dead_letters_end) for number in numbers}


def _require(number: int, changelogs: Mapping[int, Changelog]) -> None:
    if number not in changelogs:
        raise ConfigError(f"there is no partition {number}: there are {len(changelogs)}, from 0 on")
