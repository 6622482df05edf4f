"""A worker whose log does not answer is not ready, says why, and is ready when it answers."""

import re

import pytest

from engines.model.bundle import Bundle
from pipeline.errors import BrokerUnavailableError, TopicError
from pipeline.worker.unanswered import OVERDUE_S, Question
from tests.pipeline.adder import Adder
from tests.world import KINDS, World

ONE = "one"


class Silent:
    """A world with one ready worker, which can lose any kind of answer."""

    def __init__(self, bundle: Bundle, **settings: str) -> None:
        self.world = World(bundle, lambda _: Adder(), partitions=1, max_batch=4, **settings)
        self.world.launch(ONE)
        self.world.settle()
        self.process = self.world.processes[ONE]

    def pass_time(self, seconds: float, *, unanswered: str = "") -> None:
        """Turn as real time goes; tasks of the kind `unanswered` do not run."""
        for _ in range(round(seconds / 0.06)):
            self.world.turn(ONE)
            for kind in KINDS:
                if kind != unanswered:
                    self.world.work_off(ONE, kind)

    @property
    def trouble(self) -> str:
        readiness = self.process.worker.readiness
        assert readiness.ready == (not readiness.trouble)
        return readiness.trouble

    def gauge(self, name: str) -> float:
        value = self.process.metrics.registry.get_sample_value(name)
        assert value is not None
        return value


@pytest.fixture
def silent(bundle: Bundle) -> Silent:
    return Silent(bundle)


def test_a_worker_whose_log_answers_is_ready_however_long_nothing_comes(silent: Silent) -> None:
    silent.pass_time(10 * OVERDUE_S)
    assert silent.trouble == ""
    assert silent.gauge("longtake_broker_silent_seconds") < OVERDUE_S / 2


def test_a_worker_whose_group_is_frozen_is_not_ready_until_it_answers(silent: Silent) -> None:
    silent.process.broker.made.frozen = True
    silent.pass_time(OVERDUE_S + 1)
    assert silent.trouble.startswith(Question.GROUP)
    assert silent.gauge("longtake_broker_silent_seconds") > OVERDUE_S
    silent.process.broker.made.frozen = False
    silent.pass_time(0.06)
    assert (silent.trouble, silent.gauge("longtake_broker_silent_seconds")) == ("", 0)


def test_a_worker_that_is_not_told_the_ends_of_the_log_is_not_ready(silent: Silent) -> None:
    silent.pass_time(2 * OVERDUE_S, unanswered="reads")
    assert silent.trouble.startswith(Question.ENDS)
    silent.pass_time(0.12)
    assert silent.trouble == ""


def test_a_worker_whose_commit_hangs_is_not_ready_until_it_is_over(silent: Silent) -> None:
    silent.world.log.publish(0, b"cam-1", b"ab")
    silent.pass_time(OVERDUE_S + 1, unanswered="writes")
    assert silent.trouble.startswith(Question.COMMIT)
    assert silent.gauge("longtake_commit_pending_seconds") > OVERDUE_S
    silent.pass_time(1)
    assert (silent.trouble, silent.gauge("longtake_commit_pending_seconds")) == ("", 0)


def test_a_commit_that_fails_again_and_again_makes_the_worker_unready_and_names_the_error(
    silent: Silent,
) -> None:
    silent.process.faults.arm_for_good("begin", BrokerUnavailableError)
    silent.world.log.publish(0, b"cam-1", b"ab")
    silent.pass_time(OVERDUE_S + 1)
    assert re.fullmatch(rf"{Question.COMMIT} \d+ s \(fault at begin\)", silent.trouble)
    silent.process.faults.arm("", 0, BrokerUnavailableError)
    silent.pass_time(1)
    assert silent.trouble == ""


def test_predictions_that_cannot_be_published_at_once_make_the_worker_unready(
    bundle: Bundle,
) -> None:
    silent = Silent(bundle, delivery="low_latency")
    silent.process.faults.arm_for_good("publish", BrokerUnavailableError)
    silent.world.log.publish(0, b"cam-1", b"ab")
    silent.pass_time(OVERDUE_S + 1)
    assert silent.trouble.endswith(" s (fault at publish)")


def test_a_worker_whose_topic_was_deleted_ends_once_commits_have_failed_for_long(
    silent: Silent,
) -> None:
    silent.process.faults.arm_for_good("begin", BrokerUnavailableError)
    silent.world.log.publish(0, b"cam-1", b"ab")
    silent.process.broker.missing = "frames.dlq"
    with pytest.raises(TopicError, match=r"frames\.dlq is missing"):
        silent.pass_time(OVERDUE_S + 1)


def test_a_jump_of_the_clock_makes_no_worker_unready(silent: Silent) -> None:
    silent.world.clock.advance(7 * 86_400.0)
    silent.pass_time(0.06)
    assert silent.trouble == ""
    silent.world.clock.advance(-7 * 86_400.0)
    silent.pass_time(1)
    assert silent.trouble == ""
