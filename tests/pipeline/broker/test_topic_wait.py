"""A worker that starts before its topics exist."""

import logging

import pytest

from pipeline.broker.topic_wait import wait_for_topics
from pipeline.clock import ManualClock
from pipeline.errors import BrokerUnreachableError, PartitionCountError, StopError, TopicError


class FirstStart:
    """The first start of an installation, in which each look for the topics takes a second."""

    def __init__(self, *errors: StopError) -> None:
        self.reported: list[str] = []
        self._errors = list(errors)
        self._clock = ManualClock()

    def wait(self, at_most_s: float) -> str:
        return wait_for_topics(
            self._look,
            at_most_s=at_most_s,
            report=self.reported.append,
            clock=self._clock,
            pause=self._clock.advance,
        )

    def _look(self) -> str:
        if self._errors:
            raise self._errors.pop(0)
        return "a worker"


MISSING = TopicError("topic frames is missing")
AWAY = BrokerUnreachableError("nobody listens there")


def test_topics_that_are_created_in_time_are_waited_for() -> None:
    start = FirstStart(AWAY, MISSING, MISSING)
    assert start.wait(at_most_s=3.0) == "a worker"
    assert start.reported == ["nobody listens there", *["topic frames is missing"] * 2]


@pytest.mark.parametrize("error", [MISSING, AWAY])
def test_the_wait_ends_with_the_last_error(error: StopError) -> None:
    with pytest.raises(type(error)):
        FirstStart(*[error] * 10).wait(at_most_s=5.0)


def test_a_worker_that_is_not_to_wait_looks_once() -> None:
    start = FirstStart(MISSING)
    with pytest.raises(TopicError):
        start.wait(at_most_s=0.0)
    assert start.reported == []


def test_topics_that_do_not_fit_are_not_waited_for() -> None:
    with pytest.raises(PartitionCountError):
        FirstStart(PartitionCountError("3 and 4")).wait(at_most_s=5.0)


def test_each_reason_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    FirstStart(AWAY, AWAY, MISSING, MISSING).wait(at_most_s=60.0)
    assert [record.getMessage() for record in caplog.records] == [
        "waiting for at most 60 s: nobody listens there",
        "waiting for at most 60 s: topic frames is missing",
    ]
