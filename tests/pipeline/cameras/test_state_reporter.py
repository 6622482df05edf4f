"""The states of cameras reach the log when they change, and again and again while they do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.broker.outlet import Outlet
from pipeline.cameras.state_reporter import (
    AGAIN_S,
    ENDED,
    LATER_S,
    MOST_RECORDS,
    REMOVED,
    RENEW_S,
    StateReporter,
)
from pipeline.cameras.tally import CameraTally
from pipeline.cameras.values import Condition, PictureFate, State
from pipeline.clock import ManualClock
from pipeline.errors import BrokerUnavailableError, LongtakeError, NotPermittedError, TopicError
from pipeline.records import Record, Topics
from pipeline.wire.camera_states import GONE, CameraState
from tests.cli.commands import until
from tests.memory_faults import FaultyOutlet, MovableLog

EVERY_S = 30.0


class Scene:
    """A reporter whose cycles the test runs, a log in memory, and what is wrong with it."""

    def __init__(self, *cameras: str) -> None:
        self.clock = ManualClock()
        self.tallies = {name: CameraTally(Condition(since_s=self.clock.time())) for name in cameras}
        topics = Topics("frames", "predictions", "frames.dlq", "group.state")
        self.log = MovableLog(topics, partitions=1, clock=self.clock)
        self.trouble: LongtakeError | None = None
        self.connected = 0
        self.reporter = StateReporter(
            lambda: self.tallies, self._connect, every_s=EVERY_S, process="p", clock=self.clock
        )

    def _connect(self) -> Outlet:
        self.connected += 1
        if isinstance(self.trouble, TopicError):
            raise self.trouble
        return FaultyOutlet(self.log, self._fault)

    def _fault(self, step: str) -> None:
        if self.trouble is not None:
            raise self.trouble

    def change(self, state: State, why: str = "", *, camera: str = "gate") -> None:
        self.tallies[camera].change_state(state, why, now_s=self.clock.time())

    def turn(self, *, after_s: float = 0.25) -> None:
        self.clock.advance(after_s)
        while self.reporter.turn():
            pass

    @property
    def records(self) -> list[Record]:
        return self.log.read_committed("cameras")

    @property
    def states(self) -> list[CameraState | None]:
        return [CameraState.read(record) for record in self.records]

    @property
    def words(self) -> list[str]:
        return ["null" if one is None else one.state for one in self.states]


@pytest.fixture
def scene() -> Scene:
    return Scene("gate")


def test_a_state_is_published_at_once_and_when_it_changes(scene: Scene) -> None:
    scene.turn()
    scene.change(State.LIVE)
    scene.turn()
    scene.turn()
    scene.change(State.STALLED, "no good picture for 5 s")
    scene.turn()
    assert scene.words == ["connecting", "live", "stalled"]
    newest = scene.states[-1]
    assert newest is not None
    assert (newest.reason, newest.at_ms - newest.since_ms) == ("no good picture for 5 s", 250)


def test_a_state_that_does_not_change_is_published_again_with_newer_counts(scene: Scene) -> None:
    scene.turn()
    scene.tallies["gate"].count(PictureFate.PUBLISHED, 7)
    for _ in range(4):
        scene.turn(after_s=EVERY_S / 2)
    found = [one for one in scene.states if one is not None]
    assert [one.fates["published"] for one in found] == [0, 7, 7]
    assert len({(one.state, one.since_ms) for one in found}) == 1


def test_another_reason_is_published_and_the_state_is_as_old_as_before(scene: Scene) -> None:
    scene.change(State.REFUSED, "the camera refuses the login")
    scene.turn()
    scene.change(State.REFUSED, "it refers to another address")
    scene.turn()
    first, second = (one for one in scene.states if one is not None)
    assert (first.reason, second.reason) == (
        "the camera refuses the login",
        "it refers to another address",
    )
    assert first.since_ms == second.since_ms


def test_while_the_broker_is_away_only_the_newest_state_is_kept(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.trouble = BrokerUnavailableError("no Kafka answers")
    for n in range(100):
        scene.change(State.STALLED, f"reason {n}")
        scene.turn(after_s=AGAIN_S)
    scene.trouble = None
    for _ in range(3):
        scene.turn(after_s=AGAIN_S)
    reasons = [one.reason for one in scene.states if one is not None]
    assert (len(reasons) <= 2, reasons[-1]) == (True, "reason 99")
    assert caplog.text.count("no Kafka answers") == 1


@pytest.mark.parametrize("refusal", [TopicError("no topic cameras"), NotPermittedError("WRITE")])
def test_a_refusal_is_logged_once_and_tried_again_now_and_then(
    scene: Scene, refusal: LongtakeError, caplog: pytest.LogCaptureFixture
) -> None:
    scene.trouble = refusal
    for _ in range(int(10 * LATER_S)):
        scene.turn(after_s=1.0)
    assert caplog.text.count(f"{refusal}; frames are not affected") == 1
    assert 9 <= scene.connected <= 11
    scene.trouble = None
    scene.turn(after_s=LATER_S)
    assert scene.words == ["connecting"]


def test_a_producer_that_fails_for_long_is_replaced(scene: Scene) -> None:
    scene.trouble = BrokerUnavailableError("the topic was deleted, but a producer does not know")
    for _ in range(int(RENEW_S) + 5):
        scene.turn(after_s=AGAIN_S)
    assert scene.connected == 2


def test_a_removed_camera_is_gone_with_its_last_counts_and_then_null(scene: Scene) -> None:
    scene.turn()
    scene.tallies["gate"].count(PictureFate.PUBLISHED, 3)
    scene.tallies = {}
    scene.turn()
    scene.turn(after_s=EVERY_S)
    assert scene.words == ["connecting", GONE, "null"]
    last = scene.states[1]
    assert last is not None
    assert (last.reason, last.fates["published"]) == (REMOVED, 3)


def test_a_camera_that_is_configured_again_is_published_again(scene: Scene) -> None:
    scene.turn()
    scene.tallies = {}
    scene.turn()
    scene.tallies = {"gate": CameraTally()}
    scene.turn()
    assert scene.words == ["connecting", GONE, "null", "connecting"]


def test_many_cameras_that_change_at_once_are_published_in_bursts_of_a_limit() -> None:
    scene = Scene(*(f"cam-{n}" for n in range(3 * MOST_RECORDS + 1)))
    scene.turn()
    keys = [record.key for record in scene.records]
    assert keys == [name.encode() for name in scene.tallies]


NAMES = ("gate", "yard", "hall")
events = st.one_of(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(State)),
    st.tuples(st.sampled_from(NAMES), st.just("removed")),
    st.tuples(st.just("kafka"), st.sampled_from(["away", "back"])),
)


def happen(scene: Scene, name: str, what: State | str) -> None:
    """Change a camera's state, remove a camera, or take Kafka away or back."""
    if name == "kafka":
        scene.trouble = BrokerUnavailableError("away") if what == "away" else None
    elif isinstance(what, State):
        scene.tallies.setdefault(name, CameraTally())
        scene.change(what, camera=name)
    else:
        scene.tallies.pop(name, None)


@given(st.lists(events, max_size=60))
def test_whatever_happens_the_newest_record_of_each_camera_is_its_state_when_kafka_is_back(
    happened: list[tuple[str, State | str]],
) -> None:
    scene = Scene()
    for name, what in happened:
        happen(scene, name, what)
        scene.turn()
    scene.trouble = None
    for _ in range(3):
        scene.turn(after_s=AGAIN_S)
    newest = {(record.key or b"").decode(): CameraState.read(record) for record in scene.records}
    found = {name: one.state for name, one in newest.items() if one is not None}
    assert found == {name: tally.state for name, tally in scene.tallies.items()}


def test_a_clean_end_publishes_that_all_cameras_are_gone() -> None:
    scene = Scene(*(f"cam-{n}" for n in range(MOST_RECORDS + 5)))
    scene.reporter.start()
    until(lambda: len(scene.records) == MOST_RECORDS + 5, "the first states")
    scene.reporter.stop(5.0)
    last = [one for one in scene.states if one is not None][MOST_RECORDS + 5 :]
    assert [one.stream for one in last] == list(scene.tallies)
    assert {(one.state, one.reason) for one in last} == {(GONE, ENDED)}


def test_an_end_while_nothing_can_be_published_tries_no_more(scene: Scene) -> None:
    scene.trouble = TopicError("no topic cameras")
    scene.turn()
    scene.reporter.finish()
    assert (scene.connected, scene.records) == (1, [])


def test_a_fault_of_our_own_ends_the_reports_and_is_logged_without_its_text(
    scene: Scene, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene, "_fault", lambda _: int("rtsp://me:secret@gate/"))
    scene.reporter.start()
    until(lambda: "a bug in longtake: ValueError" in caplog.text, "the fault in the log")
    scene.reporter.stop(5.0)
    assert "secret" not in caplog.text
