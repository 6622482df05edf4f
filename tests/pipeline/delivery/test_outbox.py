"""Predictions that leave at once: all of them, in order, whatever a broker answers."""

import pytest

from pipeline.clock import ManualClock
from pipeline.delivery.outbox import BURST, PAUSE_S, Outbox
from pipeline.errors import BrokerUnavailableError, FencedError
from pipeline.records import Destination, Outgoing
from pipeline.streams.open_checkpoint import Departure
from tests.memory_faults import FaultyBroker, MovableLog
from tests.world import TOPICS, Faults, Steps


def departures(*numbers: int) -> list[Departure]:
    return [
        Departure(Outgoing(Destination.PREDICTIONS, 0, b"a", b"%d" % n), captured_us=n)
        for n in numbers
    ]


class Leaving:
    """An outbox and the log into which it publishes when the test says so."""

    def __init__(self) -> None:
        self.clock, self.faults, self.sends = ManualClock(), Faults(), Steps()
        self._log = MovableLog(TOPICS, partitions=1, clock=self.clock)
        outlet = FaultyBroker(self._log, slot="w", fault=self.faults).outlet()
        self.outbox = Outbox(outlet, sends=self.sends, clock=self.clock)

    def go(self) -> list[int]:
        """Publish one burst; returns what has left, by the capture times."""
        self.outbox.advance()
        self.sends.run_all()
        return [departure.captured_us for departure in self.outbox.advance()]

    @property
    def log(self) -> list[int]:
        return [int(record.value or b"") for record in self._log.read_committed(TOPICS.predictions)]


@pytest.fixture
def leaving() -> Leaving:
    return Leaving()


def test_predictions_leave_in_the_order_in_which_they_were_put_in(leaving: Leaving) -> None:
    leaving.outbox.put(departures(1, 2))
    leaving.outbox.put(departures(3))
    assert leaving.go() == [1, 2, 3]
    assert leaving.log == [1, 2, 3]


def test_a_prediction_has_departed_only_when_the_log_has_it(leaving: Leaving) -> None:
    leaving.outbox.put(departures(1, 2))
    assert leaving.outbox.advance() == []
    assert (leaving.outbox.taken, leaving.outbox.departed, leaving.outbox.size) == (2, 0, 2)
    leaving.go()
    assert (leaving.outbox.taken, leaving.outbox.departed, leaving.outbox.size) == (2, 2, 0)


def test_what_is_put_in_meanwhile_waits_for_the_burst_that_is_on_its_way(leaving: Leaving) -> None:
    leaving.outbox.put(departures(1))
    leaving.outbox.advance()
    leaving.outbox.put(departures(2))
    leaving.outbox.advance()
    assert len(leaving.sends.waiting) == 1
    assert (leaving.go(), leaving.go()) == ([1], [2])


def test_a_burst_has_no_more_predictions_than_it_may(leaving: Leaving) -> None:
    leaving.outbox.put(departures(*range(BURST + 1)))
    assert leaving.go() == list(range(BURST))
    assert leaving.go() == [BURST]


@pytest.mark.parametrize("step", ["publish", "published"])
def test_a_burst_that_may_be_missing_goes_again_before_the_next(
    leaving: Leaving, step: str
) -> None:
    leaving.faults.arm(step, 0 if step == "published" else 1, BrokerUnavailableError)
    leaving.outbox.put(departures(1, 2))
    assert leaving.go() == []
    leaving.outbox.put(departures(3))
    leaving.clock.advance(PAUSE_S)
    assert (leaving.go(), leaving.go()) == ([1, 2], [3])
    assert leaving.log == ([1, 2] if step == "published" else [1]) + [1, 2, 3]


def test_a_failed_burst_is_tried_again_only_after_a_pause(leaving: Leaving) -> None:
    leaving.faults.arm("publish", 0, BrokerUnavailableError)
    leaving.outbox.put(departures(1))
    assert (leaving.go(), leaving.go()) == ([], [])
    assert leaving.log == []
    leaving.clock.advance(PAUSE_S)
    assert leaving.go() == [1]


def test_an_error_that_needs_a_person_is_raised(leaving: Leaving) -> None:
    leaving.faults.arm("publish", 0, FencedError)
    leaving.outbox.put(departures(1))
    leaving.outbox.advance()
    leaving.sends.run_all()
    with pytest.raises(FencedError):
        leaving.outbox.advance()
