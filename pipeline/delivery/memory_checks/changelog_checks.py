"""What must hold between the records of a changelog, and between them and the bundle.

Each record alone is checked where it is read. The `require_` functions raise `CorruptStateError`;
`require_count` raises `PartitionCountError`.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from engines.base import Tensors
from engines.model.bundle import Bundle
from pipeline.errors import PartitionCountError
from pipeline.records import Changelog, Keyframe
from pipeline.streams.stream import Stream
from pipeline.wire.changelog import SNAPSHOT_PREFIX, Manifest, corrupt, snapshot_key
from pipeline.wire.growths.growth import Growth
from pipeline.wire.skips import Skips
from pipeline.wire.snapshots import Snapshot


def require_no_memory(changelog: Changelog) -> None:
    """Refuse snapshots without a manifest: every transaction that writes one writes both."""
    for key, record in changelog.records.items():
        if key.startswith(SNAPSHOT_PREFIX):
            raise corrupt(record, "there is memory of a stream, but no manifest")


def require_below(
    manifest: Manifest, snapshots: Iterable[Snapshot], skips: Iterable[Skips], changelog: Changelog
) -> None:
    """Refuse records of frames that the manifest does not count yet: they are read again."""
    end = manifest.next_offset
    for key, last in (
        *((snapshot_key(snapshot.stream), snapshot.offset) for snapshot in snapshots),
        *((record.key, record.ranges[-1][1]) for record in skips),
    ):
        if last >= end:
            why = f"it is of the frame at offset {last}, and the manifest ends before {end}"
            raise corrupt(changelog.records[key], why)


def require_count(
    number: int, group: str, *, committed: int, present: int, grown: Iterable[Growth]
) -> None:
    """Refuse another count of partitions than the `committed` one, unless `topics grow` made it."""
    known = {count for growth in grown for count in (growth.before, growth.after)}
    if committed != present and not {committed, present} <= known:
        raise PartitionCountError(
            f"partition {number} of group {group} was committed with {committed} partitions, the"
            f" frames topic has {present} now: streams may have moved to other partitions, where"
            " their memory is not. `longtake topics grow` is the way to more partitions. After"
            " another one: use a topic of its old size, or start afresh under another --group"
        )


def require_expected(number: int, group: str, *, present: int) -> None:
    """Refuse a partition without a manifest that was added since the worker counted `present`."""
    if number >= present:
        raise PartitionCountError(
            f"partition {number} of the frames topic is new, there were {present} when this worker"
            f" of group {group} started: streams that moved there would have no memory. `longtake"
            " topics grow` is the way to more partitions"
        )


def fits(tensors: Tensors, bundle: Bundle) -> bool:
    """Return whether tensors have names, shapes and types of the bundle's state."""
    return len(tensors) == len(bundle.state) and all(
        spec.name in tensors
        and tensors[spec.name].shape == spec.shape
        and tensors[spec.name].dtype == spec.dtype
        for spec in bundle.state
    )


def require_finite(streams: Sequence[Stream], stacked: Tensors, changelog: Changelog) -> None:
    """Refuse tensors that are not finite: workers reset such memory and never write it."""
    for tensor in stacked.values():  # (S, *shape)
        finite = np.isfinite(tensor).reshape(len(streams), -1).all(axis=1)
        if not finite.all():
            record = changelog.records[snapshot_key(streams[int(finite.argmin())].name)]
            raise corrupt(record, "its tensors hold numbers that are not finite")


def usable_keyframes(
    snapshots: Iterable[Snapshot], manifest: Manifest, changelog: Changelog, *, most_age_ms: int
) -> dict[str, Keyframe]:
    """Return the keyframes of the streams whose chains of units can go on.

    Retention may have deleted others. Those that are too old are of no use to any unit to come.
    """
    first = max(changelog.log_start, manifest.first_offset)
    return {
        shot.stream: shot.keyframe
        for shot in snapshots
        if shot.keyframe is not None
        and shot.keyframe.offset >= first
        and manifest.stream_time_ms - shot.keyframe.time_ms <= most_age_ms
    }
