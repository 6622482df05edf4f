"""Moves a partition to another offset: the records to write so that its next worker begins there.

A new life begins: its ledger starts at zero, and its streams have no memory.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pipeline.broker.checkpoint import Checkpoint, PartitionCheckpoint
from pipeline.errors import CannotMoveError, ConfigError
from pipeline.judging.books import Books
from pipeline.records import Changelog, Outgoing
from pipeline.wire.belongings.identity import KnownTopic, MemoryIdentity
from pipeline.wire.belongings.remains import Remains
from pipeline.wire.changelog import SNAPSHOT_PREFIX, Manifest, tombstone
from pipeline.wire.lives import Life
from pipeline.wire.skips import Skips

WORKER = "reset"  # the worker's name in the manifest
COMMITTED, PREDICTED = "committed", "predicted"
MISSING = {
    COMMITTED: "the group has committed no offset of partition {number}; choose predicted,"
    " earliest, latest or an offset",
    PREDICTED: "the newest predictions of partition {number} name no frame of this group; choose"
    " committed, earliest, latest or an offset",
}


@dataclass(frozen=True, slots=True)
class Move:
    """A partition, and the offset `target` to move it to.

    `predictions_end` and `dead_letters_end` are the present ends of those logs, as in `Life`.
    `topics` are the names of the topics that the new life belongs to, by role. `partitions`: how
    many the topic of frames has, for a partition whose manifest is lost.
    """

    partition: int
    target: int
    predictions_end: int
    dead_letters_end: Mapping[int, int]
    topics: Mapping[str, str] = field(default_factory=dict)
    partitions: int = 1


def find_target(text: str, number: int, changelog: Changelog, remains: Remains) -> int:
    """Return the offset of partition `number` that `earliest`, `latest`, or a number means.

    `committed` and `predicted` mean those of `remains`. Raises `ConfigError`, and `CannotMoveError`
    if the frames' log does not hold that offset.
    """
    named = {
        "earliest": changelog.log_start,
        "latest": changelog.log_end,
        COMMITTED: remains.committed,
        PREDICTED: remains.predicted,
    }
    offset = named.get(text, int(text) if text.isdecimal() else None)
    if offset is None and text in MISSING:
        raise CannotMoveError(f"--to {text}: {MISSING[text].format(number=number)}")
    if offset is None:
        raise ConfigError(
            f"--to {text}: wanted an offset, earliest, latest, committed or predicted"
        )
    if not changelog.log_start <= offset <= changelog.log_end:
        raise CannotMoveError(
            f"--to {text}: partition {number} holds frames from offset {changelog.log_start} to"
            f" {changelog.log_end}, {offset} is not one of these; choose one"
        )
    return offset


def next_offset_of(changelog: Changelog, remains: Remains) -> int | None:
    """Return where the group goes on in a partition; None if it has never begun it.

    Where the manifest is lost, `remains` says it.
    """
    manifest = Books.read(changelog).manifest
    if manifest is not None:
        return manifest.next_offset
    return remains.predicted if remains.committed is None else remains.committed


def never_begun(numbers: Iterable[int]) -> CannotMoveError:
    """Return the error for partitions that no worker has begun: there is nothing to move."""
    text = ", ".join(map(str, numbers))
    return CannotMoveError(
        f"partition {text} has no manifest: no worker of this group has begun it yet."
        " `longtake worker --start` says where it begins; is the --group right?"
    )


def move(changelog: Changelog, to: Move, *, now_s: float) -> Checkpoint:
    """Return the checkpoint that moves the partition. Commit it while no worker is in the group.

    The new life belongs to the topics of today. Its rules are those of its first worker.
    """
    books = Books.read(changelog)
    before = books.manifest or Manifest.beginning(to.target, bundle="", partitions=to.partitions)
    ids = changelog.topic_ids
    topics = {role: KnownTopic(name, ids.get(role, "")) for role, name in to.topics.items()}
    manifest = replace(  # of no time yet: streams of records read again would expire at once
        Manifest.beginning(to.target, bundle=before.bundle, partitions=before.partitions),
        checkpoint=before.checkpoint + 1,
        worker=WORKER,
        identity=MemoryIdentity(topics, rules_since=to.target, offset=to.target),
        life=max(before.life, books.newest_life) + 1,
        unknown=before.unknown,
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
