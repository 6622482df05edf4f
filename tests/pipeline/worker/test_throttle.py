"""Reading stops while too much waits for the engine, and goes on when half of it is done."""

from collections import Counter

import pytest

from pipeline.clock import ManualClock
from pipeline.streams.partition import Partition
from pipeline.worker.throttle import Throttle
from tests.memory_faults import FaultyBroker, MovableLog
from tests.pipeline.changelogs import manifest
from tests.pipeline.frame_path import RULES, frame
from tests.world import TOPICS

FRAME_BYTES = 11  # one of content, ten of pixels
MOST_BYTES = 4 * FRAME_BYTES


class Throttled:
    """Two partitions that are read, and a consumer that is stopped where it should."""

    def __init__(self) -> None:
        self._log = MovableLog(TOPICS, partitions=2, clock=ManualClock())
        consumer = self.consumer = FaultyBroker(self._log, slot="w").consumer()
        consumer.poll(0.0, 1)
        self.undecoded = Counter[int]()
        self.throttle = Throttle(
            consumer,
            most_bytes=MOST_BYTES,
            input_bytes=10,
            undecoded_bytes=lambda number: self.undecoded[number],
        )
        self.partitions = {n: Partition(n, era=1, manifest=manifest()) for n in (0, 1)}
        for number, partition in self.partitions.items():
            consumer.start(number, 0)
            partition.settle(0)
        self._arrived = 0

    def wait_for(self, frames: int) -> bool:
        """Let so many frames wait in the first partition; whether the consumer still reads it."""
        waiting = self.partitions[0]
        while len(waiting.items) < frames:
            waiting.admit(frame(self._arrived), RULES)
            self._arrived += 1
        while len(waiting.items) > frames:
            item = waiting.take_ready()
            assert item is not None
            item.skip()
            waiting.finish([item])
        return 0 in self.read()

    def read(self) -> set[int]:
        """The partitions that the consumer reads."""
        self.throttle.look(self.partitions)
        for number in self.partitions:
            self._log.publish(number, b"a", b"\x01")
        return {record.partition for record in self.consumer.poll(0.0, 100).records}


@pytest.fixture
def throttled() -> Throttled:
    return Throttled()


def test_reading_goes_on_up_to_the_limit(throttled: Throttled) -> None:
    assert throttled.wait_for(4)
    assert not throttled.throttle.paused


def test_reading_stops_above_the_limit(throttled: Throttled) -> None:
    assert not throttled.wait_for(5)
    assert throttled.throttle.paused


def test_reading_goes_on_only_below_half_of_the_limit(throttled: Throttled) -> None:
    assert [throttled.wait_for(count) for count in (5, 4, 2, 1)] == [False, False, False, True]


def test_reading_that_goes_on_stops_again_only_above_the_limit(throttled: Throttled) -> None:
    assert [throttled.wait_for(count) for count in (5, 1, 4, 5)] == [False, True, True, False]


def test_the_frames_of_all_partitions_are_counted(throttled: Throttled) -> None:
    for offset in range(3):
        throttled.partitions[1].admit(frame(offset), RULES)
    assert throttled.wait_for(1)
    assert not throttled.wait_for(2)


def test_a_picture_that_is_not_decoded_counts_unpacked(throttled: Throttled) -> None:
    throttled.undecoded[0] = MOST_BYTES
    assert not throttled.wait_for(1)
    throttled.undecoded[0] = 0
    assert throttled.wait_for(1)


def test_a_partition_that_holds_little_is_read_beside_the_backlog_of_another(
    throttled: Throttled,
) -> None:
    throttled.undecoded[0] = 100 * MOST_BYTES
    assert throttled.read() == {1}
    throttled.undecoded[1] = MOST_BYTES // 8 + 1  # more than a quarter of an equal share
    assert throttled.read() == set()
    throttled.undecoded[1] = MOST_BYTES // 16  # half of that
    assert throttled.read() == set()
    throttled.undecoded[1] -= 1
    assert throttled.read() == {1}


def test_a_paused_partition_that_is_restored_is_paused_no_more(throttled: Throttled) -> None:
    assert not throttled.wait_for(5)
    throttled.partitions[0] = Partition(0, era=2, manifest=manifest())
    throttled.throttle.look(throttled.partitions)
    assert throttled.throttle.paused == frozenset()
