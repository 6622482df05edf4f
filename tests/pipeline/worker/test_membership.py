"""Which partitions are ours, and when their memory is trusted no longer."""

import pytest

from engines.model.bundle import Bundle
from pipeline.broker.checkpoint import Member
from pipeline.broker.contract import Assigned, Dropped, OutOfRange
from pipeline.clock import ManualClock
from pipeline.config import Delivery, ForeignState, Start
from pipeline.delivery.restore import RestorePolicy
from pipeline.delivery.restorer import Restorer
from pipeline.streams.partition import Partition
from pipeline.streams.row_pool import RowPool
from pipeline.streams.stream import Stream
from pipeline.worker.membership import Membership
from tests.memory_faults import FaultyBroker, MovableLog
from tests.pipeline.adder import Adder
from tests.world import TOPICS, Steps

ONE = Member("one", 1)


class Belonging:
    """A membership over an empty log of three partitions; readings happen in `take`."""

    def __init__(self, bundle: Bundle) -> None:
        clock, engine = ManualClock(), Adder()
        self.log = MovableLog(TOPICS, partitions=3, clock=clock)
        self.reads, self.rows = Steps(), RowPool(engine)
        self.held: set[int] = set()
        how = RestorePolicy(
            bundle=bundle,
            partitions=3,
            group="g",
            start=Start.EARLIEST,
            foreign=ForeignState.REFUSE,
            delivery=Delivery.EXACTLY_ONCE,
        )
        reader = FaultyBroker(self.log, slot="w", stall_s=0.0).changelog()
        restorer = Restorer(
            reader, how, reads=self.reads, engine=engine, rows=self.rows, clock=clock
        )
        self.membership = Membership(restorer, self.rows)

    def assign(self, *numbers: int) -> None:
        self.membership.handle(Assigned(frozenset(numbers)))

    def drop(self, *numbers: int) -> None:
        self.membership.handle(Dropped(frozenset(numbers)))

    def take(self) -> list[int]:
        """Read what is wanted; the numbers of the partitions that have been restored."""
        found = list(self.membership.take_restored(self.held.__contains__))
        self.reads.run_all()
        found += self.membership.take_restored(self.held.__contains__)
        return sorted(partition.number for partition in found)

    def own(self, *numbers: int) -> dict[int, Partition]:
        """Let these be ours, restored and read, as member `one`."""
        self.assign(*numbers)
        self.membership.follow(ONE)
        self.take()
        for partition in self.membership.partitions.values():
            partition.settle(0)
        return dict(self.membership.partitions)


@pytest.fixture
def belonging(bundle: Bundle) -> Belonging:
    return Belonging(bundle)


def stream_with_row(partition: Partition, rows: RowPool) -> int:
    """Give a partition a stream that has an engine row."""
    stream = Stream("a")
    stream.take_row(rows)
    partition.adopt([stream])
    assert stream.row is not None
    return stream.row


def test_an_assigned_partition_is_ours_once_it_is_restored(belonging: Belonging) -> None:
    belonging.assign(0, 2)
    assert dict(belonging.membership.partitions) == {}
    assert belonging.take() == [0, 2]
    assert sorted(belonging.membership.partitions) == [0, 2]


def test_a_dropped_partition_gives_its_rows_back_and_commits_nothing(belonging: Belonging) -> None:
    (partition,) = belonging.own(0).values()
    row = stream_with_row(partition, belonging.rows)
    belonging.drop(0)
    assert dict(belonging.membership.partitions) == {}
    assert (belonging.rows.take(), partition.streams) == (row, {})
    assert belonging.log.read_committed(TOPICS.state) == []


def test_only_the_dropped_partition_is_dropped(belonging: Belonging) -> None:
    before = belonging.own(0, 1)
    belonging.drop(0)
    assert dict(belonging.membership.partitions) == {1: before[1]}


def test_a_partition_that_is_dropped_before_it_is_restored_is_not_restored(
    belonging: Belonging,
) -> None:
    belonging.assign(0, 1)
    belonging.drop(0)
    assert belonging.take() == [1]


def test_another_member_id_restores_everything(belonging: Belonging) -> None:
    before = belonging.own(0, 1)
    belonging.membership.follow(Member("two", 1))
    assert dict(belonging.membership.partitions) == {}
    assert belonging.take() == [0, 1]
    assert all(belonging.membership.partitions[n].era != before[n].era for n in before)


def test_another_member_id_restores_what_is_being_restored_once_more(belonging: Belonging) -> None:
    belonging.own(0)
    belonging.assign(1)
    belonging.membership.take_restored(belonging.held.__contains__)
    belonging.reads.run_all()  # as the member before
    belonging.membership.follow(Member("two", 2))
    assert list(belonging.membership.take_restored(belonging.held.__contains__)) == []
    assert belonging.take() == [0, 1]


def test_another_generation_of_the_same_member_keeps_all_memory(belonging: Belonging) -> None:
    before = belonging.own(0)
    belonging.membership.follow(Member(ONE.member_id, 9))
    assert dict(belonging.membership.partitions) == before
    assert (belonging.membership.generation, belonging.take()) == (9, [])


def test_the_first_member_id_restores_nothing_anew(belonging: Belonging) -> None:
    belonging.assign(0)
    belonging.take()
    before = dict(belonging.membership.partitions)
    belonging.membership.follow(ONE)
    assert dict(belonging.membership.partitions) == before


def test_while_membership_is_in_flux_memory_and_generation_are_kept(belonging: Belonging) -> None:
    before = belonging.own(0)
    belonging.membership.follow(None)
    assert belonging.membership.member is None
    assert (dict(belonging.membership.partitions), belonging.membership.generation) == (before, 1)


def test_a_member_who_comes_back_from_flux_under_another_id_restores_everything(
    belonging: Belonging,
) -> None:
    belonging.own(0)
    belonging.membership.follow(None)
    belonging.membership.follow(Member("two", 1))
    assert belonging.take() == [0]


def test_a_partition_that_retention_has_overtaken_is_restored(belonging: Belonging) -> None:
    before = belonging.own(0)
    belonging.membership.handle(OutOfRange(frozenset([0])))
    assert belonging.take() == [0]
    assert belonging.membership.partitions[0] is not before[0]


def test_a_partition_is_not_read_back_while_its_checkpoint_is_on_its_way(
    belonging: Belonging,
) -> None:
    belonging.own(0)
    belonging.held.add(0)
    belonging.membership.restore_again([0])
    assert belonging.take() == []
    belonging.held.clear()
    assert belonging.take() == [0]


def test_only_a_partition_whose_announcement_is_in_the_log_is_read(belonging: Belonging) -> None:
    belonging.assign(0, 1)
    belonging.take()
    belonging.membership.partitions[1].settle(0)
    assert list(belonging.membership.opened) == [1]


def test_a_member_runs_once_every_partition_is_restored_and_read(belonging: Belonging) -> None:
    membership, ran = belonging.membership, [belonging.membership.running]
    belonging.assign(0)
    membership.follow(ONE)
    ran.append(membership.running)
    belonging.take()
    ran.append(membership.running)
    membership.partitions[0].settle(0)
    ran.append(membership.running)
    membership.follow(None)
    assert (ran, membership.running) == ([False, False, False, True], False)
