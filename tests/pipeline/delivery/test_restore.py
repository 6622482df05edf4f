"""What a partition is after a restore, whatever its changelog holds."""

import re
from dataclasses import replace

import numpy as np
import pytest

from engines.base import Tensors
from engines.model.bundle import Bundle
from pipeline.config import Delivery, ForeignState, Start
from pipeline.delivery.restore import RestorePolicy, restore
from pipeline.errors import (
    CorruptStateError,
    ForeignStateError,
    IdentityError,
    PartitionCountError,
    ShortLogError,
)
from pipeline.records import Changelog, Destination, Keyframe, Outgoing, Reset
from pipeline.streams.partition import Partition
from pipeline.streams.row_pool import RowPool
from pipeline.wire.belongings.remains import NOTHING_LEFT, Remains
from pipeline.wire.growths.growth import Growth, GrowthArrival
from pipeline.wire.growths.moved_stream import MovedStream
from pipeline.wire.skips import Skips
from pipeline.wire.snapshots import Snapshot
from tests.pipeline.adder import Adder, sums
from tests.pipeline.changelogs import changelog, logged, manifest
from tests.pipeline.predictions import remembered


class Restored:
    """Restores partition 0 of a changelog; `engine` has the rows."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.engine = Adder()
        self.rows = RowPool(self.engine)
        self.how = RestorePolicy(
            bundle=bundle,
            partitions=1,
            group="g",
            start=Start.LATEST,
            foreign=ForeignState.REFUSE,
            delivery=Delivery.EXACTLY_ONCE,
        )

    def restore(self, found: Changelog) -> Partition:
        restored = self.take(0, found)
        assert restored is not None
        return restored

    def take(
        self, number: int, found: Changelog, remains: Remains = NOTHING_LEFT
    ) -> Partition | None:
        return restore(
            number,
            found,
            self.how,
            era=7,
            wanted_s=0.0,
            engine=self.engine,
            rows=self.rows,
            remains=remains,
        )

    def snapshot(self, stream: str, tensors: Tensors, *, bundle: str = "") -> Outgoing:
        """A stream's memory of the bundle that is served, unless another one is named."""
        line = {name: tensor[0] for name, tensor in tensors.items()}
        known = replace(remembered(stream), bundle=bundle or self.bundle.digest, tensors=line)
        return known.write(0)


@pytest.fixture
def restored(bundle: Bundle) -> Restored:
    return Restored(bundle)


MANIFEST = manifest(first_offset=3, next_offset=10, checkpoint=4, absent=7).write(0)


# -------------------------------------------------------------------------------- the first start


@pytest.mark.parametrize(("start", "offset"), [(Start.LATEST, 9), (Start.EARLIEST, 5)])
def test_a_partition_without_a_manifest_begins_where_the_operator_says(
    restored: Restored, start: Start, offset: int
) -> None:
    restored.how = replace(restored.how, start=start)
    partition = restored.restore(changelog(log_start=5, log_end=9))
    assert (partition.first_offset, partition.next_offset) == (offset, offset)


def test_the_first_checkpoint_of_a_partition_has_number_0(restored: Restored) -> None:
    partition = restored.restore(changelog(log_end=9))
    assert partition.close_checkpoint().attempts == 1
    assert partition.checkpoint == 0


# --------------------------------------------------------------------------------------- a growth


def test_a_new_partition_is_held_until_streams_are_moved_there(restored: Restored) -> None:
    growth = Growth(1, 3, 5_000)
    assert restored.take(2, changelog(growth.write(2), log_end=9)) is None
    arrived = replace(growth, arrival=GrowthArrival(1, 0, 17, 6_000))
    shot = Snapshot.read(logged(restored.snapshot("a", sums(1.5))))
    begun = manifest(partitions=3).write(2)
    found = changelog(arrived.write(2), replace(shot, offset=-1).write(2), begun, log_end=9)
    partition = restored.take(2, found)
    assert partition is not None
    assert (partition.next_offset, restored.engine.sum_of(partition.streams["a"].row)) == (0, 1.5)


@pytest.mark.parametrize(("committed", "present"), [(1, 3), (3, 1)])
def test_counts_that_a_growth_connects_fit_each_other(
    restored: Restored, committed: int, present: int
) -> None:
    restored.how = replace(restored.how, partitions=present)
    written = manifest(partitions=committed).write(0)
    with pytest.raises(PartitionCountError, match="topics grow"):
        restored.restore(changelog(written))
    restored.restore(changelog(written, Growth(1, 3, 5_000).write(0)))


def test_a_partition_that_came_without_a_growth_is_refused(restored: Restored) -> None:
    with pytest.raises(PartitionCountError, match=r"partition 2 .* is new.*topics grow"):
        restored.take(2, changelog(log_end=9))


def test_where_a_stream_went_is_forgotten_when_retention_has_deleted_its_frames(
    restored: Restored,
) -> None:
    gone, kept = (MovedStream(name, 1, at, 0, "9f3a1c02") for name, at in (("a", 4), ("b", 5)))
    found = changelog(MANIFEST, gone.write(0), kept.write(0), log_start=5, log_end=12)
    published = restored.restore(found).close_checkpoint().outgoing
    assert [(out.key, out.value) for out in published] == [(b"v:a", None)]


# ------------------------------------------------------------------------------------ what is read


def test_a_partition_goes_on_at_its_manifest_and_with_the_memory_of_its_streams(
    restored: Restored,
) -> None:
    written = [restored.snapshot(name, sums(value)) for name, value in (("a", 1.5), ("b", 2.5))]
    partition = restored.restore(changelog(MANIFEST, *written, log_end=20))
    memory = {n: restored.engine.sum_of(s.row) for n, s in partition.streams.items()}
    assert memory == {"a": 1.5, "b": 2.5}
    assert (partition.next_offset, partition.checkpoint, partition.era) == (10, 4, 7)


def test_a_stream_that_starts_afresh_anyway_takes_no_row(restored: Restored) -> None:
    ended = replace(remembered("a"), bundle=restored.bundle.digest, pending_reset=Reset.ENDED)
    partition = restored.restore(changelog(MANIFEST, ended.write(0), log_end=20))
    assert (partition.streams["a"].row, restored.engine.rows) == (None, 0)
    assert partition.streams["a"].pending_reset is Reset.ENDED


@pytest.mark.parametrize(
    "key", [b"m", b"s:cam-1", b"k:cam-1:4"], ids=["manifest", "snapshot", "skips"]
)
def test_a_record_that_cannot_be_read_is_named_with_its_partition(
    restored: Restored, key: bytes
) -> None:
    broken = Outgoing(Destination.STATE, 0, key, b"{}")
    with pytest.raises(
        CorruptStateError, match="the changelog of partition 0 cannot be read"
    ) as told:
        restored.restore(changelog(MANIFEST, broken, log_end=20))
    assert f"{key!r} at offset 0" in str(told.value)


def test_another_number_of_partitions_is_refused(restored: Restored) -> None:
    grown = manifest(partitions=2).write(0)
    with pytest.raises(PartitionCountError, match=r"with 2 partitions.* has 1 now"):
        restored.restore(changelog(grown))


def test_what_retention_deleted_before_it_was_read_is_counted_as_expired(
    restored: Restored,
) -> None:
    partition = restored.restore(changelog(MANIFEST, log_start=14, log_end=20))
    assert (partition.next_offset, partition.expired) == (14, 4)


def test_skips_of_frames_that_retention_has_deleted_are_buried(restored: Restored) -> None:
    old, new = Skips("a", ((1, 4),)), Skips("b", ((2, 4), (7, 9)))
    partition = restored.restore(
        changelog(MANIFEST, old.write(0), new.write(0), log_start=8, log_end=20)
    )
    buried = [(out.key, out.value) for out in partition.close_checkpoint().outgoing]
    assert buried == [(old.key, None)]


@pytest.mark.parametrize(("attempts", "suspects_end"), [(1, 10), (2, 20)])
def test_from_the_third_attempt_on_all_that_is_in_the_log_is_suspect(
    restored: Restored, attempts: int, suspects_end: int
) -> None:
    tried = manifest(next_offset=10, absent=10, attempts=attempts).write(0)
    partition = restored.restore(changelog(tried, log_end=20))
    assert (partition.attempts, partition.suspects_end) == (attempts + 1, suspects_end)


@pytest.mark.parametrize(("log_start", "log_end"), [(0, 10), (12, 12)])
def test_workers_that_stop_while_no_frame_waits_are_not_counted_as_failed(
    restored: Restored, log_start: int, log_end: int
) -> None:
    attempts = 1
    for _ in range(4):
        tried = manifest(next_offset=10, absent=10, attempts=attempts).write(0)
        attempts = restored.restore(changelog(tried, log_start=log_start, log_end=log_end)).attempts
    tried = manifest(next_offset=10, absent=10, attempts=attempts).write(0)
    frames_came = restored.restore(changelog(tried, log_start=log_start, log_end=log_end + 20))
    assert (frames_came.attempts, frames_came.suspects_end) == (2, 10)


@pytest.mark.parametrize(
    ("delivery", "end"), [(Delivery.EXACTLY_ONCE, 10), (Delivery.LOW_LATENCY, 20)]
)
def test_with_low_latency_no_frame_that_is_in_the_log_is_skipped(
    restored: Restored, delivery: Delivery, end: int
) -> None:
    restored.how = replace(restored.how, delivery=delivery)
    assert restored.restore(changelog(MANIFEST, log_end=20)).unskippable_end == end


def test_a_log_that_ends_before_the_manifest_is_to_be_read_again_later(restored: Restored) -> None:
    with pytest.raises(
        ShortLogError, match="ends at offset 2, and group g has finished it up to 10"
    ):
        restored.restore(changelog(MANIFEST, log_end=2))
    assert restored.engine.rows == 0


def test_a_committed_offset_without_a_manifest_is_refused(restored: Restored) -> None:
    with pytest.raises(IdentityError, match="the changelog is lost"):
        restored.take(0, changelog(log_end=9), Remains(committed=4))


# -------------------------------------------------------------------------- another bundle's state


def test_the_memory_of_another_bundle_is_refused_by_default(restored: Restored) -> None:
    foreign = restored.snapshot("cam-1", sums(1), bundle="f" * 64)
    message = (
        f"holds memory of bundle ffffffff (stream cam-1), this worker runs {restored.bundle.id}"
    )
    with pytest.raises(ForeignStateError, match=re.escape(message)):
        restored.restore(changelog(MANIFEST, foreign, log_end=20))


def test_the_memory_of_another_bundle_is_thrown_away_where_that_is_wanted(
    restored: Restored,
) -> None:
    restored.how = replace(restored.how, foreign=ForeignState.RESET)
    foreign, own = restored.snapshot("a", sums(1), bundle="f" * 64), restored.snapshot("b", sums(2))
    streams = restored.restore(changelog(MANIFEST, foreign, own, log_end=20)).streams
    assert (streams["a"].pending_reset, streams["a"].row) == (Reset.BUNDLE, None)
    assert restored.engine.sum_of(streams["b"].row) == 2


def test_the_memory_of_another_bundle_is_carried_on_where_its_tensors_fit(
    restored: Restored,
) -> None:
    restored.how = replace(restored.how, foreign=ForeignState.CARRY)
    foreign = restored.snapshot("a", sums(1), bundle="f" * 64)
    stream = restored.restore(changelog(MANIFEST, foreign, log_end=20)).streams["a"]
    assert (stream.pending_reset, restored.engine.sum_of(stream.row)) == (None, 1)


@pytest.mark.parametrize(
    "tensors",
    [
        {"total": np.zeros((1, 1), np.float32)},
        {"sum": np.zeros((1, 2), np.float32)},
        {"sum": np.zeros((1, 1), np.float16)},
        sums(1) | {"more": np.zeros((1, 1), np.float32)},
    ],
    ids=["name", "shape", "type", "count"],
)
def test_memory_that_does_not_fit_is_not_carried_on(restored: Restored, tensors: Tensors) -> None:
    restored.how = replace(restored.how, foreign=ForeignState.CARRY)
    foreign = restored.snapshot("a", tensors, bundle="f" * 64)
    with pytest.raises(ForeignStateError):
        restored.restore(changelog(MANIFEST, foreign, log_end=20))


# ------------------------------------------------------------------------------- units of H.264


def keyed(restored: Restored, stream: str, at: int, time_ms: int = 0) -> Outgoing:
    """A snapshot of a stream that waits for a reset, whose chain of units began at an offset."""
    known = replace(
        remembered(stream, offset=9),
        bundle=restored.bundle.digest,
        pending_reset=Reset.NEW,
        keyframe=Keyframe(at, time_ms),
    )
    return known.write(0)


@pytest.mark.parametrize(
    ("keyframes", "log_start", "read_from"),
    [
        ([], 0, 10),
        ([5, 8], 0, 5),
        ([5, 8], 5, 5),
        ([5, 8], 6, 8),  # retention has deleted the first
        ([2, 8], 0, 8),  # the first is of a life before: first_offset is 3
        ([5], 10, 10),
    ],
)
def test_reading_begins_at_the_oldest_keyframe_that_can_be_used(
    restored: Restored, keyframes: list[int], log_start: int, read_from: int
) -> None:
    shots = [keyed(restored, f"s{at}", at) for at in keyframes]
    partition = restored.restore(changelog(MANIFEST, *shots, log_start=log_start, log_end=12))
    assert (partition.read_from, partition.next_offset) == (read_from, 10)
    used = {name for name, stream in partition.streams.items() if stream.keyframe is not None}
    assert used == {f"s{at}" for at in keyframes if at >= max(3, log_start)}


@pytest.mark.parametrize(("age_ms", "read_from"), [(60_000, 5), (60_001, 10)])
def test_a_keyframe_that_no_unit_can_continue_is_not_read_again(
    restored: Restored, age_ms: int, read_from: int
) -> None:
    late = manifest(first_offset=3, next_offset=10, absent=7, stream_time_ms=age_ms).write(0)
    partition = restored.restore(changelog(late, keyed(restored, "s", 5), log_end=12))
    assert partition.read_from == read_from


@pytest.mark.parametrize(("keyframes", "attempts"), [([], 1), ([5], 2)])
def test_units_that_are_read_again_count_as_something_to_try(
    restored: Restored, keyframes: list[int], attempts: int
) -> None:
    tried = manifest(first_offset=3, next_offset=10, absent=7, attempts=1).write(0)
    shots = [keyed(restored, "s", at) for at in keyframes]
    assert restored.restore(changelog(tried, *shots, log_end=10)).attempts == attempts
