"""What one checkpoint holds, in which order, and that later work does not change it."""

from collections import Counter
from collections.abc import Sequence

import pytest

from pipeline.broker.checkpoint import PartitionCheckpoint
from pipeline.delivery.freezer import Freezer
from pipeline.records import Destination, EndOfStream, Fate, Reset
from pipeline.wire.changelog import Manifest
from pipeline.wire.skips import Skips
from pipeline.wire.snapshots import Snapshot
from tests.pipeline.adder import BROKEN
from tests.pipeline.changelogs import DIGEST, logged, manifest
from tests.pipeline.frame_path import FramePath, frame, undecodable

NOW_S = 1_700_000_000.25


class Freezing(FramePath):
    """A frame path whose checkpoints are frozen."""

    def __init__(self) -> None:
        super().__init__(manifest(checkpoint=4, attempts=1))
        self.freezer = Freezer(self.engine, bundle=DIGEST, group="g", worker="w", partitions=8)

    def freeze(self, evicted: Sequence[str] = ()) -> PartitionCheckpoint:
        (part,) = self.freezer.freeze(
            [self.partition], generation=6, evicted={0: list(evicted)}, now_s=NOW_S
        ).parts
        return part


@pytest.fixture
def freezing() -> Freezing:
    return Freezing()


def snapshots(part: PartitionCheckpoint) -> dict[str, Snapshot]:
    written = [out for out in part.outgoing if (out.key or b"")[:2] == b"s:" and out.value]
    return {s.stream: s for s in (Snapshot.read(logged(out)) for out in written)}


def test_outputs_come_first_then_memory_and_the_manifest_last(freezing: Freezing) -> None:
    freezing.work(frame(0), undecodable(1, "unknown"), frame(2, "b"))
    kinds = [(out.destination, out.key) for out in freezing.freeze(evicted=["gone"]).outgoing]
    assert kinds == [
        (Destination.PREDICTIONS, b"a"),
        (Destination.DEAD_LETTERS, b"unknown"),
        (Destination.PREDICTIONS, b"b"),
        (Destination.STATE, b"s:a"),
        (Destination.STATE, b"s:b"),
        (Destination.STATE, b"s:gone"),
        (Destination.STATE, b"m"),
    ]


def test_the_manifest_says_where_the_partition_stands_and_who_wrote_it(freezing: Freezing) -> None:
    freezing.freeze()  # the announcement keeps its number
    freezing.work(frame(2), EndOfStream("a", 0, 3, 300))
    found = Manifest.read(logged(freezing.freeze().outgoing[-1]))
    assert (found.first_offset, found.next_offset, found.absent) == (0, 4, 2)
    assert found.checkpoint_id == (5, "w", 6)
    assert (found.bundle, found.partitions, found.attempts) == (DIGEST, 8, 0)
    assert +Counter(found.fates) == {Fate.PREDICTED: 1, Fate.ENDED: 1}


def test_the_first_checkpoint_of_a_restored_partition_says_which_attempt_it_is(
    freezing: Freezing,
) -> None:
    part = freezing.freeze()
    assert (part.manifest.attempts, part.number) == (2, 4)
    assert [out.key for out in part.outgoing] == [b"m"]


def test_a_checkpoint_covers_the_records_since_the_one_before(freezing: Freezing) -> None:
    freezing.work(frame(0), frame(1))
    freezing.freeze()
    freezing.work(undecodable(2), frame(3))
    part = freezing.freeze()
    assert (part.start, part.next_offset, part.era) == (2, 4, 3)
    assert part.fates == {Fate.DEAD_LETTERED: 1, Fate.PREDICTED: 1}
    assert part.captured_us == (300_000,)


def test_only_streams_that_changed_are_written_each_with_its_own_tensors(
    freezing: Freezing,
) -> None:
    freezing.work(frame(0, "a", 10), frame(1, "b", 20), frame(2, "c", 30))
    freezing.freeze()
    freezing.work(frame(3, "c", 5), frame(4, "a", 7))
    found = snapshots(freezing.freeze())
    assert {name: float(shot.tensors["sum"][0]) for name, shot in found.items()} == {
        "a": 17,
        "c": 35,
    }


@pytest.mark.parametrize("ends", [True, False])
def test_a_stream_that_is_to_start_afresh_is_written_without_tensors(
    freezing: Freezing, *, ends: bool
) -> None:
    freezing.work(frame(0), EndOfStream("a", 0, 1, 100) if ends else frame(1, brightness=BROKEN))
    shot = snapshots(freezing.freeze())["a"]
    assert shot.pending_reset is (Reset.ENDED if ends else Reset.NONFINITE)
    assert shot.tensors == {}


def test_a_snapshot_holds_what_admission_and_the_chain_go_on_from(freezing: Freezing) -> None:
    _, last = freezing.work(frame(0), frame(1))
    freezing.arrive(frame(2))  # it has arrived and is not finished
    shot, stream = snapshots(freezing.freeze())["a"], freezing.partition.streams["a"]
    assert last.answer is not None
    assert (shot.offset, shot.frames, shot.chain) == (1, 2, last.answer.chain)
    assert shot.admission == stream.admission != stream.head


def test_a_stream_that_is_evicted_gets_a_tombstone(freezing: Freezing) -> None:
    part = freezing.freeze(evicted=["gone"])
    assert [(out.key, out.value) for out in part.outgoing[:-1]] == [(b"s:gone", None)]


def test_skipped_ranges_are_written_with_the_checkpoint_that_counts_them(
    freezing: Freezing,
) -> None:
    freezing.work(frame(0))
    freezing.freeze()
    freezing.work(frame(1), frame(2), frame(3), newest_only=True)
    part = freezing.freeze()
    assert [out.key for out in part.outgoing] == [b"a", b"s:a", b"k:a:1", b"m"]
    assert Skips.read(logged(part.outgoing[2])) == Skips("a", ((1, 2),))
    assert part.manifest.fates[Fate.SKIPPED] == 2


def test_a_checkpoint_is_not_changed_by_later_work(freezing: Freezing) -> None:
    freezing.work(frame(0, brightness=10))
    part = freezing.freeze()
    before = (part.outgoing, dict(part.fates), dict(part.manifest.fates), part.captured_us)
    freezing.work(frame(1, brightness=20), frame(2, "b"), EndOfStream("a", 0, 3, 300))
    assert (part.outgoing, part.fates, part.manifest.fates, part.captured_us) == before
    assert float(snapshots(part)["a"].tensors["sum"][0]) == 10


def test_what_is_published_says_when_by_whom_and_in_which_generation(freezing: Freezing) -> None:
    freezing.work(frame(0))
    said = dict(freezing.freeze().outgoing[0].headers)
    assert said == {
        "group": b"g",
        "processed-at": b"1700000000250.000",
        "worker": b"w",
        "generation": b"6",
    }
