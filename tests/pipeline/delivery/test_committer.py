"""Each arrow of the committer's state diagram, and each way in which a commit can end."""

from collections.abc import Callable, Mapping

import pytest

from pipeline.broker.checkpoint import Checkpoint, Member, PartitionCheckpoint
from pipeline.broker.memory.memory_consumer import MemoryConsumer
from pipeline.clock import ManualClock
from pipeline.delivery.committer import (
    FENCED_LIMIT,
    PATIENCE_S,
    RENEW_PAUSE_S,
    Committer,
    SettledPart,
)
from pipeline.errors import (
    BrokerUnavailableError,
    CommitTimedOutError,
    FencedError,
    StalledError,
)
from pipeline.records import Destination, Outgoing
from tests.memory_faults import FaultyBroker, MovableLog
from tests.pipeline.changelogs import manifest
from tests.world import TOPICS, Faults, Steps

OURS = {0: 1, 1: 1}  # the era of each partition


def part(partition: int, number: int = 0, *, worker: str = "w") -> PartitionCheckpoint:
    """Checkpoint `number` of one partition: one prediction and the manifest."""
    written = manifest(checkpoint=number, worker=worker, next_offset=number + 1)
    said = Outgoing(Destination.PREDICTIONS, partition, b"a", f"{worker} {number}".encode())
    outgoing = (said, written.write(partition))
    return PartitionCheckpoint(
        partition, 1, number, number, number + 1, outgoing, written, captured_us=(), fates={}
    )


def stable(consumer: MemoryConsumer) -> Member:
    """Poll until nothing is in flux, and say who the consumer is then."""
    while consumer.poll(0.0, 1).events:
        pass
    member = consumer.member()
    assert member is not None
    return member


class Committing:
    """A committer and its log of two partitions. Tasks run when the test says so."""

    def __init__(self) -> None:
        self.clock, self.faults = ManualClock(), Faults()
        self.log = MovableLog(TOPICS, partitions=2, clock=self.clock)
        self.broker = FaultyBroker(self.log, slot="w", fault=self.faults, stall_s=0.0)
        self.consumer = self.broker.consumer()
        self.writes, self.reads = Steps(), Steps()
        self.committer = Committer(
            self.broker.writer(),
            self.broker.changelog(),
            writes=self.writes,
            reads=self.reads,
            clock=self.clock,
        )

    @property
    def member(self) -> Member:
        """Who we are in the group now."""
        return stable(self.consumer)

    def submit(
        self, *parts: PartitionCheckpoint, when: Callable[[], bool] = lambda: True
    ) -> Member:
        member = self.member
        self.committer.submit(Checkpoint(parts, self.clock.time()), member, when=when)
        return member

    def go(self, member: Member, eras: Mapping[int, int] = OURS) -> list[SettledPart]:
        """Work off all tasks and advance, until nothing more can happen at this moment."""
        settled = []
        for _ in range(8):
            self.writes.run_all()
            self.reads.run_all()
            settled += self.committer.advance(member, eras)
        return settled

    def written_by_another(self, *parts: PartitionCheckpoint) -> None:
        """Let another worker commit."""
        another = FaultyBroker(self.log, slot="another")
        consumer = another.consumer()
        another.writer().commit(Checkpoint(parts, 0.0), stable(consumer))
        consumer.close()

    def lose_the_slot(self) -> list[SettledPart]:
        """Commit while a second process makes a producer of our name."""
        member = self.submit(part(0))
        self.log.init_producer("w")
        return self.go(member, eras={})

    def predictions(self) -> list[bytes | None]:
        return [record.value for record in self.log.read_committed(TOPICS.predictions)]


@pytest.fixture
def committing() -> Committing:
    return Committing()


def outcomes(settled: list[SettledPart]) -> list[tuple[int, bool]]:
    return [(one.part.partition, one.committed) for one in settled]


# --------------------------------------------------------------------- a commit that goes through


def test_a_commit_without_an_error_settles_every_part(committing: Committing) -> None:
    member = committing.submit(part(0), part(1))
    assert outcomes(committing.go(member)) == [(0, True), (1, True)]
    assert not committing.committer.busy
    assert committing.predictions() == [b"w 0", b"w 0"]


def test_a_settled_part_says_how_long_it_took_since_it_was_frozen(committing: Committing) -> None:
    member = committing.submit(part(0))
    committing.clock.advance(0.25)
    (settled,) = committing.go(member)
    assert settled.seconds == pytest.approx(0.25)


def test_advancing_never_waits_for_the_commit(committing: Committing) -> None:
    member = committing.submit(part(0))
    assert committing.committer.advance(member, OURS) == []
    assert committing.committer.busy
    assert committing.committer.commit_in_flight == 1


def test_a_checkpoint_is_held_until_its_condition_is_true(committing: Committing) -> None:
    may: list[bool] = []
    member = committing.submit(part(0), when=lambda: bool(may))
    assert committing.go(member) == []
    assert (committing.committer.commit_in_flight, committing.predictions()) == (None, [])
    may.append(True)
    assert outcomes(committing.go(member)) == [(0, True)]


def test_only_partitions_of_the_checkpoint_on_its_way_are_held(committing: Committing) -> None:
    member = committing.submit(part(0))
    assert [committing.committer.holds(n) for n in (0, 1)] == [True, False]
    committing.go(member)
    assert not committing.committer.holds(0)


# ----------------------------------------------------------------------------- renewing, waiting


def test_after_an_error_the_producer_is_renewed_and_its_transaction_ends(
    committing: Committing,
) -> None:
    committing.faults.arm("commit", 0, BrokerUnavailableError)
    member = committing.submit(part(0))
    committing.writes.run_all()
    assert committing.log.changelog(0) is None  # the transaction is open
    committing.committer.advance(member, OURS)
    committing.writes.run_all()
    assert committing.log.changelog(0) is not None


def test_a_renewal_that_fails_is_tried_again_after_a_pause(committing: Committing) -> None:
    committing.faults.arm("commit", 0, BrokerUnavailableError)
    member = committing.submit(part(0))
    committing.writes.run_all()
    committing.committer.advance(member, OURS)
    committing.faults.arm("renew", 0, BrokerUnavailableError)
    assert committing.go(member) == []
    committing.clock.advance(RENEW_PAUSE_S)
    assert outcomes(committing.go(member)) == [(0, True)]


def test_while_membership_is_in_flux_nothing_is_resolved(committing: Committing) -> None:
    committing.faults.arm("committed", 0, BrokerUnavailableError)
    member = committing.submit(part(0))
    for _ in range(4):
        committing.writes.run_all()
        assert committing.committer.advance(None, OURS) == []
    assert not committing.reads.waiting
    assert outcomes(committing.go(member)) == [(0, True)]


def test_a_refused_checkpoint_waits_for_another_generation(committing: Committing) -> None:
    member = committing.submit(part(0))
    committing.log.group.rebalance()
    assert committing.go(member) == []
    assert committing.committer.busy
    assert outcomes(committing.go(committing.member)) == [(0, True)]


def test_a_group_that_refuses_and_does_not_move_on_ends_the_worker(committing: Committing) -> None:
    member = committing.submit(part(0))
    committing.log.group.rebalance()
    committing.go(member)
    committing.clock.advance(PATIENCE_S + 1)
    with pytest.raises(StalledError, match="no new generation has come"):
        committing.go(member)


def test_a_producer_that_keeps_being_fenced_ends_the_worker(committing: Committing) -> None:
    for _ in range(FENCED_LIMIT - 1):
        assert committing.lose_the_slot() == []
    with pytest.raises(FencedError, match=f"fenced {FENCED_LIMIT} times"):
        committing.lose_the_slot()


def test_transactions_that_take_too_long_are_tried_again_and_taken_for_no_other_process(
    committing: Committing,
) -> None:
    for _ in range(FENCED_LIMIT):
        committing.faults.arm("offsets", 0, CommitTimedOutError)
        committing.go(committing.submit(part(0)), eras={})
    assert committing.committer.take_aborts() == {"CommitTimedOutError": FENCED_LIMIT}
    assert outcomes(committing.go(committing.submit(part(0)))) == [(0, True)]


def test_fencings_that_lie_far_apart_are_survived(committing: Committing) -> None:
    for _ in range(FENCED_LIMIT + 1):
        assert committing.lose_the_slot() == []
        committing.clock.advance(40)
    assert not committing.committer.busy


def test_failed_commits_are_counted_by_their_error_once(committing: Committing) -> None:
    committing.faults.arm("offsets", 0, BrokerUnavailableError)
    committing.go(committing.submit(part(0)))
    assert committing.committer.take_aborts() == {"BrokerUnavailableError": 1}
    assert committing.committer.take_aborts() == {}


# ------------------------------------------------------------------------------------ resolving


def test_a_manifest_of_ours_says_that_the_commit_went_through(committing: Committing) -> None:
    committing.faults.arm("committed", 0, BrokerUnavailableError)
    assert outcomes(committing.go(committing.submit(part(0)))) == [(0, True)]
    assert committing.predictions() == [b"w 0"]


@pytest.mark.parametrize("step", ["begin", "send", "offsets", "commit"])
@pytest.mark.parametrize("number", [0, 1])
def test_where_the_manifest_is_one_below_ours_the_same_bytes_are_committed_again(
    committing: Committing, step: str, number: int
) -> None:
    for before in range(number):
        committing.go(committing.submit(part(0, before)))
    committing.faults.arm(step, 0, BrokerUnavailableError)
    assert outcomes(committing.go(committing.submit(part(0, number)))) == [(0, True)]
    assert committing.predictions() == [b"w %d" % n for n in range(number + 1)]


@pytest.mark.parametrize("found", [1, 7])
def test_any_other_manifest_says_that_ours_is_lost(committing: Committing, found: int) -> None:
    """Number 1 as ours, of another worker; or a number that we have never seen."""
    committing.faults.arm("begin", 0, BrokerUnavailableError)
    committing.submit(part(0, number=1))
    committing.written_by_another(part(0, found, worker="other"))
    assert outcomes(committing.go(committing.member)) == [(0, False)]
    assert committing.predictions() == [b"other %d" % found]


def test_of_two_partitions_only_what_is_missing_is_committed_again(committing: Committing) -> None:
    committing.faults.arm("begin", 0, BrokerUnavailableError)
    committing.submit(part(0), part(1))
    committing.written_by_another(part(0, worker="other"))
    assert outcomes(committing.go(committing.member)) == [(0, False), (1, True)]
    assert committing.predictions() == [b"other 0", b"w 0"]


@pytest.mark.parametrize("eras", [{}, {0: 2}])
def test_a_part_whose_partition_has_left_us_is_not_looked_at(
    committing: Committing, eras: dict[int, int]
) -> None:
    committing.faults.arm("begin", 0, BrokerUnavailableError)
    assert committing.go(committing.submit(part(0)), eras) == []
    assert (committing.committer.busy, committing.predictions()) == (False, [])


def test_manifests_that_cannot_be_read_now_are_read_again(committing: Committing) -> None:
    committing.faults.arm("committed", 0, BrokerUnavailableError)
    member = committing.submit(part(0))
    committing.writes.run_all()
    committing.faults.arm("restore", 0, BrokerUnavailableError)
    assert outcomes(committing.go(member)) == [(0, True)]


def test_what_is_committed_again_goes_on_as_who_we_are_now(committing: Committing) -> None:
    member = committing.submit(part(0))
    committing.log.group.rebalance()
    committing.go(member)
    now = committing.member
    assert now.generation > member.generation
    assert outcomes(committing.go(now)) == [(0, True)]
    assert committing.committer.take_aborts() == {"CommitRefusedError": 1}
