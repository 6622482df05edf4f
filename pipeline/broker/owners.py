"""The contract of claims: to which group the output topics belong."""

from collections.abc import Mapping
from typing import Protocol

from pipeline.records import Destination

Owners = Mapping[Destination, str | None]
"""The group that each of `Topics.outputs` belongs to; None for a topic that none has claimed."""

UNREADABLE = "?"
"""Stands for the group in a claim that this release cannot read; no group has this name."""


class TopicOwners(Protocol):
    """Reads and writes the claims on the output topics. One thread.

    A claim is durable while it is extended: the log may forget one that nobody has extended for
    days (Kafka's `offsets.retention.minutes`, 7 days). It is deleted with its topic.
    """

    def read(self) -> Owners:
        """Return whom the output topics belong to."""

    def claim(self, group: str, seen: Owners) -> Owners:
        """Claim for `group` each topic whose owner is still as in `seen`, or extend its claim.

        Returns whom the topics belong to now: of several groups that claim at once, one wins.
        """

    def close(self) -> None:
        """Close the connections."""
