"""A partition that does not advance while the log has more is found, and no other one is."""

from collections.abc import Collection, Mapping, Sequence

import pytest

from pipeline.clock import ManualClock
from pipeline.delivery.stall import LOOK_S, SEEK_AFTER, STOP_AFTER, StallDetector
from pipeline.errors import BrokerUnavailableError, StalledError
from pipeline.records import Changelog, Destination, Record
from tests.world import Steps


class Ends:
    """A log whose ends the test sets, or that does not answer."""

    def __init__(self, **ends: int) -> None:
        self.answer: dict[int, int] | None = {int(n[1:]): end for n, end in ends.items()}

    def read(self, partitions: Sequence[int]) -> Mapping[int, Changelog]:
        raise AssertionError("only the ends are asked for")

    def newest(
        self, kind: Destination, partitions: Sequence[int], *, most: int = 1
    ) -> Sequence[Record]:
        raise AssertionError("only the ends are asked for")

    def ends(self, partitions: Sequence[int]) -> Mapping[int, int]:
        if self.answer is None:
            raise BrokerUnavailableError("no answer")
        return {number: self.answer[number] for number in partitions}

    def topic_ids(self) -> Mapping[str, str]:
        raise AssertionError("only the ends are asked for")

    def committed(self, partitions: Sequence[int]) -> Mapping[int, int]:
        raise AssertionError("only the ends are asked for")

    def close(self) -> None: ...


class Looking:
    """A detector that runs for some rounds."""

    def __init__(self, log: Ends) -> None:
        self._clock, self._reads = ManualClock(), Steps()
        self.detector = StallDetector(log, reads=self._reads, clock=self._clock)

    def rounds(
        self, count: int, positions: Mapping[int, int], *, paused: Collection[int] = ()
    ) -> list[list[int]]:
        found: list[list[int]] = []
        for _ in range(count):
            self._clock.advance(LOOK_S)
            assert self.detector.due
            assert self.detector.look(positions, paused=paused) == []
            assert not self.detector.due
            self._reads.run_all()
            found.append(self.detector.look(positions, paused=paused))
        return found


def test_what_stands_still_before_the_end_is_sought_anew_once() -> None:
    found = Looking(Ends(p0=20, p1=20)).rounds(SEEK_AFTER + 2, {0: 10, 1: 20})
    assert found == [[]] * SEEK_AFTER + [[0], []]


def test_what_moves_is_left_alone() -> None:
    looking = Looking(Ends(p0=20))
    for position in range(12):
        assert looking.rounds(1, {0: position}) == [[]]


def test_what_stands_still_all_the_same_ends_the_worker() -> None:
    with pytest.raises(StalledError, match=r"\[0\].*offsets \[10\]"):
        Looking(Ends(p0=20)).rounds(STOP_AFTER + 1, {0: 10})


def test_what_moved_after_it_was_sought_is_forgiven() -> None:
    looking = Looking(Ends(p0=20))
    looking.rounds(STOP_AFTER, {0: 10})
    assert looking.rounds(1, {0: 11}) == [[]]
    assert looking.rounds(STOP_AFTER - 1, {0: 11})[SEEK_AFTER - 1] == [0]


def test_who_is_paused_need_not_go_on_but_the_ends_are_looked_at() -> None:
    looking = Looking(Ends(p0=20))
    for _ in range(STOP_AFTER + 2):
        assert looking.rounds(1, {0: 10}, paused={0}) == [[]]
    assert looking.detector.ends == {0: 20}


def test_a_partition_that_is_not_paused_is_found_beside_one_that_is() -> None:
    found = Looking(Ends(p0=20, p1=20)).rounds(SEEK_AFTER + 1, {0: 10, 1: 10}, paused={0})
    assert found[-1] == [1]


def test_a_broker_that_does_not_answer_convicts_nobody() -> None:
    log = Ends(p0=20)
    log.answer = None
    assert Looking(log).rounds(STOP_AFTER + 2, {0: 10}) == [[]] * (STOP_AFTER + 2)
