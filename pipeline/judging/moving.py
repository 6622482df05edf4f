"""Moves a partition to another offset: the records to write so that its next worker begins there.

A new life begins: its ledger starts at zero, and its streams have no memory.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pipeline.broker.checkpoint import Checkpoint, PartitionCheckpoint
from pipeline.errors import CannotMoveError, ConfigError
from pipeline.judging.books import Books
from pipeline.records import Changelog, Outgoing
from pipeline.wire.changelog import SNAPSHOT_PREFIX, Manifest, tombstone
from pipeline.wire.lives import Life
from pipeline.wire.skips import Skips

WORKER = "reset"  # the worker's name in the manifest


@dataclass(frozen=True, slots=True)
class Move:
    """A partition, and the offset `target` to move it to.

    `predictions_end` and `dead_letters_end` are the present ends of those logs, as in `Life`.
    """

    partition: int
    target: int
    predictions_end: int
    dead_letters_end: Mapping[int, int]


def find_target(text: str, changelog: Changelog) -> int:
    """Return the offset that `earliest`, `latest` or a number means.

    Raises `ConfigError`, and `CannotMoveError` if the frames' log does not hold that offset.
    """
    named = {"earliest": changelog.log_start, "latest": changelog.log_end}
    if text in named:
        return named[text]
    if not text.isdecimal():
        raise ConfigError(f"--to {text}: wanted an offset, earliest or latest")
    if not changelog.log_start <= int(text) <= changelog.log_end:
        raise CannotMoveError(
            f"--to {text}: the partition holds frames from offset {changelog.log_start} to"
            f" {changelog.log_end}; choose one of these"
        )
    return int(text)


def require_manifest(number: int, changelog: Changelog) -> Manifest:
    """Return the partition's manifest. Raises `CannotMoveError` if it has none."""
    manifest = Books.read(changelog).manifest
    if manifest is None:
        raise CannotMoveError(
            f"partition {number} has no manifest: no worker of this group has begun it yet."
            " `longtake worker --start` says where it begins; is the --group right?"
        )
    return manifest


def move(changelog: Changelog, to: Move, *, now_s: float) -> Checkpoint:
    """Return the checkpoint that moves the partition. Commit it while no worker is in the group."""
    before = require_manifest(to.partition, changelog)
    books = Books.read(changelog)
    manifest = replace(
        before,
        first_offset=to.target,
        next_offset=to.target,
        checkpoint=before.checkpoint + 1,
        worker=WORKER,
        generation=-1,
        stream_time_ms=0,  # otherwise streams of records read again would expire at once
        fates={},
        absent=0,
        expired=0,
        attempts=0,
        letters_omitted=0,
        life=max(before.life, books.newest_life) + 1,
    )
    life = Life(manifest.life, to.target, to.predictions_end, to.dead_letters_end)
    outgoing = (
        *(tombstone(to.partition, key) for key in changelog.records if _is_snapshot(key)),
        *_cut(to, books.skips),
        life.write(to.partition),
        manifest.write(to.partition),
    )
    part = PartitionCheckpoint(
        partition=to.partition,
        era=0,
        number=manifest.checkpoint,
        start=to.target,
        next_offset=to.target,
        outgoing=outgoing,
        manifest=manifest,
        captured_us=(),
        fates={},
    )
    return Checkpoint((part,), now_s)


def _is_snapshot(key: bytes) -> bool:
    return key.startswith(SNAPSHOT_PREFIX)


def _cut(to: Move, skips: Iterable[Skips]) -> Iterable[Outgoing]:
    """Delete the skips at and beyond the target, because those frames are judged again."""
    for record in skips:
        kept = tuple(
            (first, min(last, to.target - 1)) for first, last in record.ranges if first < to.target
        )
        if not kept:
            yield tombstone(to.partition, record.key)
        elif kept != record.ranges:
            yield replace(record, ranges=kept).write(to.partition)
