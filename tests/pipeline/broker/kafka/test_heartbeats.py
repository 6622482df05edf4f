"""When heartbeats are due: often after a join, because a second follows where partitions move."""

import time

import pytest

from pipeline.broker.kafka.vendor.coordinator import (
    UNSETTLED_HEARTBEAT_S,
    UNSETTLED_S,
    Heartbeats,
)

USUAL_S = 0.5


@pytest.fixture
def now_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which heartbeats are told."""
    at_s = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: at_s[0])
    return at_s


def joined() -> Heartbeats:
    beats = Heartbeats(group_id="g", heartbeat_interval_ms=1000 * USUAL_S, session_timeout_ms=6000)
    beats.reset_timeouts()
    return beats


def test_they_come_often_after_a_join_and_then_as_usual(now_s: list[float]) -> None:
    beats = joined()
    assert beats.time_to_next_heartbeat() == pytest.approx(UNSETTLED_HEARTBEAT_S)
    now_s[0] += UNSETTLED_HEARTBEAT_S
    assert beats.time_to_next_heartbeat() == pytest.approx(0, abs=1e-6)
    now_s[0] += UNSETTLED_S
    beats.sent_heartbeat()
    assert beats.time_to_next_heartbeat() == pytest.approx(USUAL_S)


def test_one_that_failed_is_repeated_as_usual(now_s: list[float]) -> None:
    beats = joined()
    beats.sent_heartbeat()
    beats.fail_heartbeat()
    assert beats.time_to_next_heartbeat() == pytest.approx(0.1)  # the client's pause
    now_s[0] += 0.1
    assert beats.time_to_next_heartbeat() == pytest.approx(0, abs=1e-6)
