"""A topic that is made anew under a running worker is noticed, and nothing else is."""

from collections.abc import Mapping, Sequence

import pytest

from pipeline.clock import ManualClock
from pipeline.delivery.topic_watch import LOOK_S, TopicWatch
from pipeline.errors import BrokerUnavailableError, NotPermittedError
from pipeline.records import Changelog, Destination, Record
from pipeline.streams.partition import Partition
from pipeline.wire.belongings.identity import KnownTopic, MemoryIdentity
from tests.pipeline.changelogs import manifest
from tests.world import Steps

KNOWN = MemoryIdentity({"frames": KnownTopic("frames", "f1"), "state": KnownTopic("g.state", "s1")})


class Ids:
    """A log whose ids the test sets, or that fails."""

    def __init__(self) -> None:
        self.answer: dict[str, str] = {"frames": "f1", "state": "s1"}
        self.failure: Exception | None = None

    def topic_ids(self) -> Mapping[str, str]:
        if self.failure is not None:
            raise self.failure
        return self.answer

    def read(self, partitions: Sequence[int]) -> Mapping[int, Changelog]:
        raise AssertionError("only the ids are asked for")

    def ends(self, partitions: Sequence[int]) -> Mapping[int, int]:
        raise AssertionError("only the ids are asked for")

    def newest(
        self, kind: Destination, partitions: Sequence[int], *, most: int = 1
    ) -> Sequence[Record]:
        raise AssertionError("only the ids are asked for")

    def committed(self, partitions: Sequence[int]) -> Mapping[int, int]:
        raise AssertionError("only the ids are asked for")

    def close(self) -> None: ...


class Watching:
    """A watch over two partitions, the second one without an identity."""

    def __init__(self) -> None:
        self.ids, self.reads, self.clock = Ids(), Steps(), ManualClock()
        self.watch = TopicWatch(self.ids, reads=self.reads, clock=self.clock)
        self.partitions = {
            number: Partition(number, era=1, manifest=manifest(identity=identity))
            for number, identity in ((0, KNOWN), (1, MemoryIdentity()))
        }

    def round(self) -> list[int]:
        self.clock.advance(LOOK_S)
        assert self.watch.look(self.partitions) == []
        self.reads.run_all()
        return self.watch.look(self.partitions)


def test_the_same_ids_are_no_news() -> None:
    assert Watching().round() == []


def test_the_partitions_whose_topic_has_another_id_are_returned() -> None:
    watching = Watching()
    watching.ids.answer |= {"frames": "f2"}
    assert watching.round() == [0]


def test_it_asks_once_in_a_while_only() -> None:
    watching = Watching()
    watching.clock.advance(LOOK_S - 0.1)
    watching.watch.look(watching.partitions)
    assert not watching.reads.waiting


@pytest.mark.parametrize("failure", [BrokerUnavailableError("away"), NotPermittedError("no")])
def test_no_answer_is_no_change(failure: Exception) -> None:
    watching = Watching()
    watching.ids.failure = failure
    assert watching.round() == []
    watching.ids.failure = None
    assert watching.round() == []


def test_a_topic_that_is_missing_is_no_other_topic() -> None:
    watching = Watching()
    del watching.ids.answer["frames"]
    assert watching.round() == []
