"""Turns snapshots back into streams, and their tensors into rows of the engine."""

from collections.abc import Sequence

import numpy as np

from engines.base import Engine
from engines.model.bundle import Bundle
from pipeline.config import ForeignState
from pipeline.delivery.memory_checks.changelog_checks import fits, require_finite
from pipeline.errors import ForeignStateError
from pipeline.records import Changelog, Record, Reset
from pipeline.streams.row_pool import RowPool
from pipeline.streams.stream import Stream
from pipeline.text.printable import printable
from pipeline.wire.changelog import SNAPSHOT_PREFIX, corrupt
from pipeline.wire.snapshots import Snapshot


def read_snapshots(changelog: Changelog, bundle: Bundle) -> list[Snapshot]:
    """Read all snapshots. Those that name `bundle` must fit it. Raises `CorruptStateError`."""
    return [
        _read_snapshot(record, bundle)
        for key, record in changelog.records.items()
        if key.startswith(SNAPSHOT_PREFIX)
    ]


def _read_snapshot(record: Record, bundle: Bundle) -> Snapshot:
    """Read a snapshot. Its tensors must fit `bundle` if it names that bundle's digest."""
    snapshot = Snapshot.read(record)
    kept = snapshot.pending_reset is None and snapshot.bundle == bundle.digest
    if kept and not fits(snapshot.tensors, bundle):
        raise corrupt(record, f"its tensors are not the state of the bundle {bundle.id}")
    return snapshot


def streams_of(
    snapshots: Sequence[Snapshot], bundle: Bundle, foreign: ForeignState, *, group: str
) -> list[Stream]:
    """Return the streams of snapshots, without rows.

    Raises `ForeignStateError` if memory belongs to another bundle and `foreign` does not allow it.
    """
    streams = []
    for snapshot in snapshots:
        stream = Stream.restore(snapshot)
        if snapshot.bundle != bundle.digest and _discard(snapshot, bundle, foreign, group):
            stream.require_reset(Reset.BUNDLE)
        streams.append(stream)
    return streams


def _discard(snapshot: Snapshot, bundle: Bundle, foreign: ForeignState, group: str) -> bool:
    """Return whether another bundle's memory of a stream is discarded (True) or kept (False)."""
    if foreign is ForeignState.RESET:
        return True
    if foreign is ForeignState.CARRY and (
        snapshot.pending_reset is not None or fits(snapshot.tensors, bundle)
    ):
        return False
    raise ForeignStateError(
        f"group {group} holds memory of bundle {printable(snapshot.bundle[:8])} (stream"
        f" {snapshot.stream}), this worker runs {bundle.id}. Run the old bundle, take"
        " another --group, or say --foreign-state reset to let every stream start afresh, or carry"
        " where names, shapes and types of the state tensors agree"
    )


def fill_rows(
    streams: Sequence[Stream],
    snapshots: Sequence[Snapshot],
    changelog: Changelog,
    engine: Engine,
    rows: RowPool,
) -> None:
    """Write tensors of streams without a pending reset into rows. Raises `CorruptStateError`."""
    kept = [
        (stream, snapshot.tensors)
        for stream, snapshot in zip(streams, snapshots, strict=True)
        if stream.pending_reset is None
    ]
    if not kept:
        return
    stacked = {name: np.stack([tensors[name] for _, tensors in kept]) for name in kept[0][1]}
    require_finite([stream for stream, _ in kept], stacked, changelog)
    for stream, _ in kept:
        stream.take_row(rows)
    engine.write(
        [stream.row for stream, _ in kept if stream.row is not None],
        stacked,
    )
