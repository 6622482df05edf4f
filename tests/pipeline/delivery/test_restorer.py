"""Which partitions are restored, and when: wishes, eras, readings that fail or come too late."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from engines.model.bundle import Bundle
from pipeline.clock import ManualClock
from pipeline.config import Delivery, ForeignState, Start
from pipeline.delivery.restore import RestorePolicy
from pipeline.delivery.restorer import AGAIN_S, LOOK_S, Restorer
from pipeline.delivery.short_logs import PATIENCE_S
from pipeline.errors import BrokerUnavailableError, IdentityError
from pipeline.records import Changelog, Destination, Outgoing, Record
from pipeline.streams.partition import Partition
from pipeline.streams.row_pool import RowPool
from pipeline.wire.belongings.ownership import GROUP_HEADER
from pipeline.wire.growths.growth import Growth, GrowthArrival
from tests.pipeline.adder import Adder
from tests.pipeline.changelogs import changelog, manifest
from tests.pipeline.predictions import tape
from tests.world import Steps


class Shelf:
    """A `ChangelogReader` of three changelogs, empty at first; it keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[Sequence[int]] = []
        self.away = False
        self.log_end = 0
        self.written: dict[int, list[Outgoing]] = {}
        self.offsets: dict[int, int] = {}  # that the group has committed
        self.published: list[Record] = []  # predictions

    def read(self, partitions: Sequence[int]) -> Mapping[int, Changelog]:
        self.asked.append(partitions)
        if self.away:
            raise BrokerUnavailableError("no answer")
        return {n: changelog(*self.written.get(n, []), log_end=self.log_end) for n in partitions}

    def ends(self, partitions: Sequence[int]) -> Mapping[int, int]:
        raise AssertionError("only changelogs are asked for")

    def topic_ids(self) -> Mapping[str, str]:
        return {}

    def committed(self, partitions: Sequence[int]) -> Mapping[int, int]:
        return {number: at for number, at in self.offsets.items() if number in partitions}

    def newest(
        self, kind: Destination, partitions: Sequence[int], *, most: int = 1
    ) -> Sequence[Record]:
        return [one for one in self.published if one.partition in partitions]

    def close(self) -> None: ...


class Wanting:
    """A restorer whose readings happen when the test says so."""

    def __init__(self, bundle: Bundle) -> None:
        engine = Adder()
        how = RestorePolicy(
            bundle=bundle,
            partitions=3,
            group="g",
            start=Start.LATEST,
            foreign=ForeignState.REFUSE,
            delivery=Delivery.EXACTLY_ONCE,
        )
        self.shelf, self.reads, self.clock = Shelf(), Steps(), ManualClock()
        self.held: set[int] = set()
        self.restorer = Restorer(
            self.shelf,
            how,
            reads=self.reads,
            engine=engine,
            rows=RowPool(engine),
            clock=self.clock,
        )

    def advance(self) -> list[Partition]:
        return self.restorer.advance(self.held.__contains__)

    def go(self) -> list[int]:
        """Begin to read what is wanted, read it, and take what has come."""
        found = self.advance()
        self.reads.run_all()
        return [partition.number for partition in found + self.advance()]


@pytest.fixture
def wanting(bundle: Bundle) -> Wanting:
    return Wanting(bundle)


def test_what_is_wanted_is_restored_in_one_reading(wanting: Wanting) -> None:
    wanting.restorer.want([2, 0])
    assert sorted(wanting.go()) == [0, 2]
    assert (wanting.shelf.asked, wanting.restorer.wanted) == ([[0, 2]], frozenset())


def test_what_is_forgotten_while_it_is_read_is_not_restored(wanting: Wanting) -> None:
    wanting.restorer.want([0, 1])
    wanting.advance()
    wanting.restorer.forget([0])
    assert wanting.go() == [1]


def test_what_is_wanted_again_while_it_is_read_is_read_once_more(wanting: Wanting) -> None:
    wanting.restorer.want([0])
    wanting.advance()
    wanting.restorer.forget([0])
    wanting.restorer.want([0])
    assert wanting.go() == []
    assert wanting.go() == [0]
    assert wanting.shelf.asked == [[0], [0]]


def test_every_wish_has_an_era_of_its_own(wanting: Wanting) -> None:
    eras = []
    for _ in range(3):
        wanting.restorer.want([0])
        wanting.advance()
        wanting.reads.run_all()
        eras += [partition.era for partition in wanting.advance()]
    assert len(eras) == len(set(eras)) == 3


def test_a_partition_whose_checkpoint_is_on_its_way_is_read_only_afterwards(
    wanting: Wanting,
) -> None:
    wanting.held.add(0)
    wanting.restorer.want([0, 1])
    assert wanting.go() == [1]
    wanting.held.clear()
    assert wanting.go() == [0]
    assert wanting.shelf.asked == [[1], [0]]


def test_a_broker_that_does_not_answer_is_asked_again(wanting: Wanting) -> None:
    wanting.shelf.away = True
    wanting.restorer.want([0])
    assert wanting.go() == []
    assert wanting.restorer.failing
    wanting.shelf.away = False
    wanting.clock.advance(AGAIN_S)
    assert wanting.go() == [0]
    assert not wanting.restorer.failing


def test_a_partition_is_waited_for_since_it_was_wanted_first(wanting: Wanting) -> None:
    wanting.restorer.want([0])
    first_s = wanting.clock.monotonic()
    wanting.clock.advance(5)
    wanting.restorer.want([0])
    wanting.advance()
    wanting.reads.run_all()
    (partition,) = wanting.advance()
    assert partition.wanted_s == first_s


# ------------------------------------------------------------------------------------ short logs


def short(wanting: Wanting) -> None:
    """The group has finished ten frames; the log of frames ends before the ninth."""
    wanting.shelf.written[0] = [manifest(next_offset=10, absent=10, partitions=3).write(0)]
    wanting.shelf.log_end = 8


def test_a_log_that_is_too_short_is_read_again_after_a_pause(wanting: Wanting) -> None:
    short(wanting)
    wanting.restorer.want([0])
    assert wanting.go() == []
    assert wanting.go() == []
    assert wanting.shelf.asked == [[0]]  # no second reading yet
    wanting.clock.advance(AGAIN_S)
    wanting.shelf.log_end = 10
    assert wanting.go() == [0]


def test_a_log_that_stays_too_short_is_given_up_after_a_minute_at_the_least(
    wanting: Wanting, caplog: pytest.LogCaptureFixture
) -> None:
    assert PATIENCE_S > 60
    short(wanting)
    wanting.restorer.want([0])
    for _ in range(int(PATIENCE_S / AGAIN_S)):
        assert wanting.go() == []
        wanting.clock.advance(AGAIN_S)
    assert len(caplog.messages) <= 4
    wanting.clock.advance(AGAIN_S)
    wanting.advance()
    wanting.reads.run_all()
    with pytest.raises(IdentityError, match=r"log ends at offset 8.* it has lost its end"):
        wanting.advance()


def test_a_partition_that_is_taken_from_us_is_not_waited_for(wanting: Wanting) -> None:
    short(wanting)
    wanting.restorer.want([0])
    wanting.go()
    wanting.restorer.forget([0])
    wanting.clock.advance(PATIENCE_S + 1)
    wanting.restorer.want([0])
    assert wanting.go() == []


@pytest.mark.parametrize(
    ("number", "left"), [(1, "has committed its offset 40"), (2, "predictions up to its offset 40")]
)
def test_a_partition_without_a_manifest_is_lost_if_the_group_has_left_anything_there(
    wanting: Wanting, number: int, left: str
) -> None:
    wanting.shelf.offsets = {1: 40}
    ours = tape(range(40), partition=2).records[-1]
    wanting.shelf.published = [replace(ours, headers=((GROUP_HEADER, b"g"),))]
    wanting.restorer.want([0])
    assert wanting.go() == [0]
    wanting.restorer.want([number])
    with pytest.raises(IdentityError, match=left):
        wanting.go()


def test_a_new_partition_is_held_and_begins_when_its_streams_have_moved_there(
    wanting: Wanting,
) -> None:
    growth = Growth(1, 3, 5_000)
    wanting.shelf.written[2] = [growth.write(2)]
    wanting.restorer.want([0, 2])
    assert wanting.go() == [0]
    assert wanting.restorer.held == {2}
    assert not wanting.restorer.wanted
    arrival = GrowthArrival(0, 0, 0, 6_000)
    wanting.shelf.written[2] = [
        Growth(1, 3, 5_000, arrival).write(2),
        manifest(partitions=3).write(2),
    ]
    assert wanting.go() == []  # it does not look all the time
    wanting.clock.advance(LOOK_S)
    assert wanting.go() == [2]
    assert wanting.restorer.held == set()


def test_a_held_partition_that_is_no_longer_ours_is_not_looked_at(wanting: Wanting) -> None:
    wanting.shelf.written[2] = [Growth(1, 3, 5_000).write(2)]
    wanting.restorer.want([2])
    wanting.go()
    wanting.restorer.forget([2])
    wanting.clock.advance(LOOK_S)
    assert (wanting.go(), wanting.shelf.asked) == ([], [[2]])
