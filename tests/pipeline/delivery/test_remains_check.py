"""What a group has left in a partition whose changelog is lost, and what says nothing of it."""

import pytest

from pipeline.broker.memory.memory_broker import MemoryBroker
from pipeline.clock import ManualClock
from pipeline.delivery.memory_checks.identity_check import OwnIdentity
from pipeline.delivery.memory_checks.remains_check import LOOKED_AT, find_remains, require_new
from pipeline.errors import IdentityError
from pipeline.records import Destination, Headers, Outgoing
from pipeline.wire.belongings.ownership import GROUP_HEADER
from pipeline.wire.belongings.remains import Remains
from tests.memory_faults import MovableLog
from tests.pipeline.predictions import tape
from tests.world import TOPICS

OURS: Headers = ((GROUP_HEADER, b"g"),)
THEIRS: Headers = ((GROUP_HEADER, b"other"),)
OWN = OwnIdentity("g", TOPICS.by_role)
FRAMES = range(40, 43)


@pytest.fixture
def log() -> MovableLog:
    return MovableLog(TOPICS, partitions=2, clock=ManualClock())


def publish(
    log: MovableLog, headers: Headers, frames: range = FRAMES, *, of: int = 1, into: int = 1
) -> None:
    """Publish the predictions of these frames of partition `of`."""
    for record in tape(frames, of).records:
        log.write_through(
            Outgoing(Destination.PREDICTIONS, into, record.key, record.value, headers)
        )


def left_in(log: MovableLog, number: int) -> Remains:
    return find_remains(MemoryBroker(log, slot="w").changelog(), "g", [number])[number]


def test_a_group_that_has_left_nothing_may_begin(log: MovableLog) -> None:
    publish(log, OURS)
    assert left_in(log, 0) == Remains()
    require_new(0, OWN, left_in(log, 0))


def test_a_committed_offset_without_a_manifest_is_a_lost_changelog(log: MovableLog) -> None:
    log.committed_offsets = {1: 44}
    with pytest.raises(
        IdentityError, match=r"1 has no manifest in group\.state.*offset 44.*--to committed"
    ):
        require_new(1, OWN, left_in(log, 1))


def test_so_is_a_prediction_of_the_group_when_its_offsets_are_forgotten(log: MovableLog) -> None:
    publish(log, OURS)
    with pytest.raises(IdentityError, match=r"predictions up to its offset 43.*--to predicted"):
        require_new(1, OWN, left_in(log, 1))


def test_what_others_published_behind_it_does_not_hide_it(log: MovableLog) -> None:
    publish(log, OURS)
    publish(log, THEIRS, range(LOOKED_AT - 1))
    assert left_in(log, 1) == Remains(None, 43)
    publish(log, THEIRS, range(1))
    assert left_in(log, 1) == Remains()  # no more records are looked at


def test_predictions_that_do_not_say_that_they_are_ours_and_of_here_say_nothing(
    log: MovableLog,
) -> None:
    publish(log, ())
    publish(log, THEIRS)
    publish(log, OURS, of=0)
    log.write_through(Outgoing(Destination.PREDICTIONS, 1, b"cam-1", b"no prediction", OURS))
    assert left_in(log, 1) == Remains()
