"""Reads the changelogs of a whole group, without being a member of it."""

from collections.abc import Mapping
from contextlib import closing

from pipeline.broker.kafka.broker import KafkaBroker
from pipeline.clock import Clock
from pipeline.connection import GroupSettings
from pipeline.records import Changelog


def read_changelogs(settings: GroupSettings, *, clock: Clock) -> Mapping[int, Changelog]:
    """Read the changelog of each partition to its end. Raises what `KafkaBroker` raises."""
    broker = KafkaBroker(settings, clock=clock)
    partitions = range(broker.partition_count())
    with closing(broker.changelog()) as reader:
        return reader.read(partitions)
