"""An audit follows streams to where they moved at a growth, and finds each fault."""

from dataclasses import replace

import pytest

from pipeline.judging.audit import Audit, AuditReport
from pipeline.judging.growing import move_streams, moving
from pipeline.records import Changelog, Fate, Outgoing, Record, Reset
from pipeline.wire.changelog import MANIFEST_KEY, Manifest
from pipeline.wire.growths.growth import Growth
from pipeline.wire.growths.moved_stream import MovedStream
from pipeline.wire.predictions import NEW_CHAIN
from pipeline.wire.snapshots import Snapshot
from tests.pipeline.changelogs import changelog, logged, manifest
from tests.pipeline.predictions import Tape, remembered

GROWTH = Growth(1, 2, 5_000)
STAYS, MOVES = "cam-4", "cam-0"  # of two partitions: 0 and 1


class Grown:
    """A group of one partition that has grown to two: one stream stayed, one moved.

    Each has two predictions before the growth, and one after it.
    """

    def __init__(self) -> None:
        self.old, self.new = Tape(0), Tape(1)
        chains = {}
        for offset, stream in enumerate((STAYS, MOVES, STAYS, MOVES)):
            chains[stream] = self._predict(self.old, offset, stream)
        shots = [remembered(name, chains[name], at) for name, at in ((STAYS, 2), (MOVES, 3))]
        before = manifest(next_offset=4, fates={Fate.PREDICTED: 4})
        source = changelog(before.write(0), *(one.write(0) for one in shots), log_end=4)
        streams = moving(source, 0, GROWTH)[1]
        assert [one.stream for one in streams] == [MOVES]
        (part,) = move_streams(source, 1, GROWTH, streams, now_s=7.0).parts
        self.logs: dict[int, dict[bytes, Record]] = {0: dict(source.records), 1: {}}
        for out in part.outgoing:
            self.write(out)
        self._predict(self.old, 4, STAYS)
        self._predict(self.new, 0, MOVES)
        after = replace(before, next_offset=5, fates={Fate.PREDICTED: 5})
        self.write(after.write(0))
        begun = Manifest.read(self.logs[1][MANIFEST_KEY])
        self.write(replace(begun, next_offset=1, fates={Fate.PREDICTED: 1}).write(1))
        self.predictions_start = 0

    def _predict(self, tape: Tape, offset: int, stream: str) -> str:
        if tape is self.new:  # it goes on with the stream's chain
            tape.chains[stream] = self.old.chains[stream]
        tape.predict(offset, stream)
        return tape.chains[stream][0]

    def write(self, out: Outgoing) -> None:
        log = self.logs[out.partition or 0]
        if out.value is None:
            log.pop(out.key or b"", None)
        else:
            log[out.key or b""] = logged(out)

    def audit(self) -> AuditReport:
        for tape, names in ((self.old, {STAYS}), (self.new, set(self.new.chains))):
            for name in names:  # memory is that after the last prediction
                self.write(remembered(name, tape.chains[name][0], 0).write(tape.partition))
        audit = Audit(
            {n: Changelog(found, 0, 9) for n, found in self.logs.items()},
            group="g",
            frames_topic="frames",
            names={},
            predictions_start={0: self.predictions_start, 1: 0},
            dead_letters_start={},
            repeats_allowed=False,
        )
        for record in (*self.old.records[self.predictions_start :], *self.new.records):
            audit.enter_prediction(record)
        return audit.report()

    def findings(self) -> list[tuple[str, int, str | None]]:
        lives = self.audit().lives
        return [(one.kind, one.partition, one.stream) for life in lives for one in life.findings]


@pytest.fixture
def grown() -> Grown:
    return Grown()


def test_streams_that_went_on_where_they_moved_to_are_no_break(grown: Grown) -> None:
    assert grown.findings() == []
    (origin,) = [life.origin for life in grown.audit().lives if life.origin is not None]
    assert (origin.source, origin.before, origin.after, origin.streams) == (0, 1, 2, 1)
    assert origin.at_ms == 7_000


def test_a_moved_stream_is_in_exactly_one_changelog_and_below_all_of_its_records(
    grown: Grown,
) -> None:
    assert b"s:" + MOVES.encode() not in grown.logs[0]
    assert Snapshot.read(grown.logs[1][b"s:" + MOVES.encode()]).offset == -1
    left = MovedStream.read(grown.logs[0][b"v:" + MOVES.encode()])
    assert (left.to, left.offset) == (1, 3)


def test_a_chain_that_does_not_go_on_is_found(grown: Grown) -> None:
    grown.new = Tape(1)
    grown.new.chains[MOVES] = ("12345678", 2)
    grown.new.predict(0, MOVES)
    assert ("unlinked", 1, MOVES) in grown.findings()


def test_a_chain_of_a_stream_that_was_never_in_the_source_is_found(grown: Grown) -> None:
    grown.new.chains["cam-99"] = ("12345678", 2)
    grown.new.predict(1, "cam-99")
    begun = Manifest.read(grown.logs[1][MANIFEST_KEY])
    grown.write(replace(begun, next_offset=2, fates={Fate.PREDICTED: 2}).write(1))
    assert grown.findings() == [("unlinked", 1, "cam-99")]
    grown.predictions_start = 1  # it may have been there, in what retention has deleted
    assert ("unlinked", 1, "cam-99") not in grown.findings()


def test_a_stream_that_begins_anew_in_its_new_partition_is_no_break(grown: Grown) -> None:
    grown.new = Tape(1)
    grown.new.predict(0, MOVES, Reset.NEW)
    assert grown.findings() == []


def test_a_prediction_after_the_move_in_the_old_partition_is_found(grown: Grown) -> None:
    grown.old.predict(5, MOVES)
    before = Manifest.read(grown.logs[0][MANIFEST_KEY])
    grown.write(replace(before, next_offset=6, fates={Fate.PREDICTED: 6}).write(0))
    assert grown.findings() == [("memory", 0, MOVES)]


def test_a_stream_that_is_remembered_in_both_partitions_is_found(grown: Grown) -> None:
    grown.write(remembered(MOVES, NEW_CHAIN, 3).write(0))
    assert grown.findings() == [("memory", 0, MOVES)]


def test_a_new_partition_that_does_not_begin_with_its_first_frame_is_found(grown: Grown) -> None:
    begun = Manifest.read(grown.logs[1][MANIFEST_KEY])
    late = replace(begun, first_offset=1, next_offset=1, fates={})
    grown.write(late.write(1))
    grown.new.records.clear()
    assert grown.findings() == [("life", 1, None)]


def test_the_end_of_a_stream_moves_with_it(grown: Grown) -> None:
    """Its next frame has `reset: ended`, and no record of the new partition ended it."""
    found = Growth.read(grown.logs[1][b"g:2"])
    assert found.arrival is not None
    grown.new = Tape(1)
    grown.new.chains[MOVES] = ("12345678", 2)
    grown.new.predict(0, MOVES, Reset.ENDED)
    assert grown.findings() == [("ended", 1, None)]
    arrival = replace(found.arrival, ended=1)
    grown.write(replace(found, arrival=arrival).write(1))
    assert grown.findings() == []
