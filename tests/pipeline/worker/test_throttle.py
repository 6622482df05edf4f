"""Reading stops while too much waits for the engine, and goes on when half of it is done."""

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
    """Two partitions of which the first is read, and a consumer that is stopped where it should."""

    def __init__(self) -> None:
        self._log = MovableLog(TOPICS, partitions=2, clock=ManualClock())
        consumer = self.consumer = FaultyBroker(self._log, slot="w").consumer()
        consumer.poll(0.0, 1)
        consumer.start(0, 0)
        self.throttle = Throttle(consumer, most_bytes=MOST_BYTES, input_bytes=10)
        self.partitions = {n: Partition(n, era=1, manifest=manifest()) for n in (0, 1)}
        self.partitions[0].settle(0)
        self._arrived = 0

    def wait_for(self, frames: int) -> bool:
        """Let so many frames wait in the first partition; whether the consumer still reads."""
        waiting = self.partitions[0]
        while len(waiting.items) < frames:
            waiting.admit(frame(self._arrived), RULES)
            self._arrived += 1
        while len(waiting.items) > frames:
            item = waiting.take_ready()
            assert item is not None
            item.skip()
            waiting.finish([item])
        self.throttle.look(self.partitions)
        self._log.publish(0, b"a", b"\x01")
        return bool(self.consumer.poll(0.0, 100).records)


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
