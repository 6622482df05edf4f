"""The values that one transaction commits: frozen bytes, so a repeated commit writes the same."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.records import Fate, Outgoing
from pipeline.wire.changelog import Manifest


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the group. `vendor` is the broker's own object for it, opaque to others."""

    member_id: str
    generation: int
    vendor: object = None


@dataclass(frozen=True, slots=True)
class PartitionCheckpoint:
    """One partition's part of a checkpoint. It covers the offsets [start, next_offset)."""

    partition: int
    era: int
    number: int
    start: int
    next_offset: int
    outgoing: tuple[Outgoing, ...]  # outputs in offset order, snapshots, skips, the manifest last
    manifest: Manifest
    captured_us: tuple[int, ...]  # capture times of its predictions
    fates: Mapping[Fate, int]  # of the records it covers
    expired: int = 0  # records that retention deleted before they were read


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What one transaction commits: a part for each partition that has something to commit."""

    parts: tuple[PartitionCheckpoint, ...]
    frozen_s: float  # seconds since 1970

    @property
    def offsets(self) -> dict[int, int]:
        """The offset to resume each partition at, by partition number."""
        return {part.partition: part.next_offset for part in self.parts}
