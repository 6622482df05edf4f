"""Reads the changelogs of a whole group, without being a member of it."""

from collections.abc import Mapping, Sequence
from contextlib import closing

from pipeline.broker.kafka.broker import KafkaBroker
from pipeline.broker.kafka.readers.group_evidence import GroupEvidence
from pipeline.clock import Clock
from pipeline.connection import GroupSettings
from pipeline.delivery.memory_checks.remains_check import find_predicted
from pipeline.records import Changelog


def read_changelogs(settings: GroupSettings, *, clock: Clock) -> Mapping[int, Changelog]:
    """Read the changelog of each partition to its end. Raises what `KafkaBroker` raises."""
    broker = KafkaBroker(settings, clock=clock)
    partitions = range(broker.partition_count())
    with closing(broker.changelog()) as reader:
        return reader.read(partitions)


def read_committed(settings: GroupSettings, partitions: Sequence[int]) -> Mapping[int, int]:
    """Read the group's committed offsets of these partitions of the frames, where it has one."""
    evidence = GroupEvidence(settings.connection, topics=settings.topics, group=settings.group)
    with closing(evidence):
        return evidence.committed(partitions)


def read_predicted(
    settings: GroupSettings, partitions: Sequence[int], *, clock: Clock
) -> Mapping[int, int]:
    """Read up to which frames the group's newest predictions go, where they are known."""
    if not partitions:
        return {}
    with closing(KafkaBroker(settings, clock=clock).changelog()) as reader:
        return find_predicted(reader, settings.group, partitions)
