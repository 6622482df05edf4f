"""A reader of cameras' states knows what changed, and which cameras nothing is known of."""

from dataclasses import replace

import pytest

from pipeline.judging.camera_watch import REMOVED, UNKNOWN, CameraWatch
from pipeline.records import Record
from pipeline.wire.camera_states import GONE
from pipeline.wire.json_text import UnreadableError
from tests.pipeline.camera_states import GATE, state_record, stated

LATER_MS = GATE.at_ms + 90_001  # three intervals of 30 s without a state


@pytest.fixture
def watch() -> CameraWatch:
    return CameraWatch()


def test_a_state_that_is_only_repeated_is_no_change(watch: CameraWatch) -> None:
    first = watch.follow(state_record(GATE))
    again = replace(GATE, at_ms=GATE.at_ms + 30_000, fates={"published": 99_999})
    assert first is not None
    assert (first.state, first.reason) == ("stalled", GATE.reason)
    assert watch.follow(state_record(again)) is None
    assert watch.newest["gate"].written == again


@pytest.mark.parametrize(
    "other", [stated("live"), stated("stalled", reason="refused"), stated("stalled", since_ms=5)]
)
def test_another_state_reason_or_beginning_is_a_change(watch: CameraWatch, other: object) -> None:
    watch.follow(state_record(GATE))
    assert isinstance(other, type(GATE))
    assert watch.follow(state_record(other)) is not None


def test_a_camera_whose_process_is_gone_is_unknown_once_and_until_it_is_back(
    watch: CameraWatch,
) -> None:
    watch.follow(state_record(stated("live")))
    assert watch.overdue(LATER_MS - 1) == []
    (gone,) = watch.overdue(LATER_MS)
    assert (gone.state, gone.since_ms, watch.overdue(LATER_MS + 1)) == (UNKNOWN, GATE.at_ms, [])
    assert "no process has repeated its state for 90 s; the last was live" in gone.reason
    back = watch.follow(state_record(stated("live", at_ms=LATER_MS)))
    assert back is not None
    assert back.state == "live"


def test_the_time_of_the_log_decides_and_not_that_of_the_process(watch: CameraWatch) -> None:
    wrong = stated("live", at_ms=5)
    watch.follow(state_record(wrong, logged_ms=LATER_MS))
    assert watch.overdue(LATER_MS + 90_000) == []


def test_a_camera_that_is_gone_is_never_unknown(watch: CameraWatch) -> None:
    watch.follow(state_record(stated(GONE)))
    assert watch.overdue(LATER_MS + 10**9) == []


def test_a_camera_that_was_removed_is_a_change_and_then_forgotten(watch: CameraWatch) -> None:
    removal = Record(0, 7, 1000, b"gate", None)
    assert watch.follow(removal) is None
    watch.follow(state_record(GATE))
    change = watch.follow(removal)
    assert change is not None
    assert (change.state, change.since_ms, dict(watch.newest)) == (REMOVED, 1000, {})


def test_a_foreign_record_is_refused_and_the_next_is_read(watch: CameraWatch) -> None:
    with pytest.raises(UnreadableError):
        watch.follow(Record(0, 7, 1000, b"gate", b"no JSON"))
    assert watch.follow(state_record(GATE)) is not None


def test_above_its_limit_the_camera_that_is_furthest_back_is_forgotten() -> None:
    watch = CameraWatch(most_cameras=2)
    for name in ("a", "b", "a", "c"):
        watch.follow(state_record(replace(GATE, stream=name)))
    assert list(watch.newest) == ["a", "c"]
