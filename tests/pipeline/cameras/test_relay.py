"""Every camera's shots reach the log in order, whatever happens to the broker."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.broker.shots import Shot, ShotKind
from pipeline.cameras.lane import LANE_SHOTS
from pipeline.cameras.relay import LATE_S, WINDOW_BYTES, Relay
from pipeline.cameras.spool import Spool
from pipeline.cameras.values import PictureFate
from pipeline.clock import ManualClock
from pipeline.errors import OutputError
from tests.cli.commands import until
from tests.pipeline.cameras.groups import groups, out_of_the_middle
from tests.uplinks import Log, LogUplink
from tests.world import Steps


class Scene:
    """A relay whose cycles the test runs one by one, and the counts of fates."""

    def __init__(self, folder: Path, *, most_bytes: int = 1 << 30) -> None:
        self.log, self.clock, self.opening = Log(), ManualClock(), Steps()
        self.fates: Counter[PictureFate] = Counter()
        self.uplink = self.log.connect()
        self.spool = Spool(folder / "spool.db", most_bytes=most_bytes, most_us=60_000_000)
        self.relay = Relay(
            self.log.connect,
            self.spool,
            self,
            uplink=self.uplink,
            opening=self.opening,
            clock=self.clock,
        )
        self.posted = list[Shot]()

    def count(self, stream: str, fate: PictureFate, shots: int) -> None:
        self.fates[fate] += shots

    def published(self, shot: Shot, age_s: float) -> None:
        self.fates[PictureFate.PUBLISHED] += 1

    def film(
        self,
        shots: int,
        *,
        stream: str = "gate",
        size: int = 100,
        kind: ShotKind = ShotKind.PICTURE,
    ) -> None:
        """Send one shot at a time, ten a second."""
        for _ in range(shots):
            at_us = round(self.clock.time() * 1e6)
            shot = Shot(stream, len(self.posted), 7, at_us, b"x" * size, kind)
            self.posted.append(shot)
            self.relay.post(shot)
            self.turn()

    def film_group(self, units: int, *, key_size: int = 300) -> None:
        """Send a group of units."""
        self.film(1, size=key_size, kind=ShotKind.KEYFRAME)
        self.film(units - 1, kind=ShotKind.UNIT)

    def turn(self) -> None:
        self.clock.advance(0.1)
        self.relay.turn(0.0)
        self.opening.run_all()

    def settle(self) -> None:
        for _ in range(30):
            self.turn()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.spool.close()


def test_while_the_broker_answers_nothing_touches_the_disk(scene: Scene) -> None:
    scene.film(50)
    scene.settle()
    assert scene.log.shots == scene.posted
    assert scene.fates == {PictureFate.PUBLISHED: 50}
    assert scene.spool.newest == 0
    assert scene.relay.spooled == (0, 0)


def test_while_it_is_away_shots_wait_on_disk_and_leave_in_order(scene: Scene) -> None:
    scene.film(10)
    scene.log.up = False
    scene.film(100)
    assert not scene.relay.broker_up
    assert scene.relay.spooled[0] == 100 - round(LATE_S * 10)
    scene.log.up = True
    scene.film(20)
    scene.settle()
    assert scene.log.shots == scene.posted
    assert (scene.relay.broker_up, scene.relay.spooled) == (True, (0, 0))


def test_why_the_broker_does_not_answer_is_logged_once_and_forgotten_when_it_answers(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.film(10)
    scene.log.up, scene.log.trouble = False, "k:9093 refuses the login of user camera"
    scene.film(100)
    assert scene.relay.trouble == scene.log.trouble
    assert caplog.text.count(scene.log.trouble) == 1
    scene.log.up = True
    scene.film(20)
    scene.settle()
    assert scene.relay.trouble == ""


def test_what_failed_on_its_way_leaves_again_before_all_later_shots(scene: Scene) -> None:
    scene.log.up = False
    scene.film(30)
    assert isinstance(scene.uplink, LogUplink)
    scene.uplink.fail()
    scene.film(10)
    scene.log.up = True
    scene.settle()
    assert scene.log.shots == scene.posted


def test_a_broker_that_is_away_is_tried_again_until_it_is_there(scene: Scene) -> None:
    scene.log.up = False
    assert isinstance(scene.uplink, LogUplink)
    scene.uplink.fail()
    scene.film(60)
    scene.log.up = True
    scene.settle()
    assert scene.log.shots == scene.posted


def test_when_the_spool_is_full_the_oldest_in_it_go_and_are_counted(tmp_path: Path) -> None:
    scene = Scene(tmp_path, most_bytes=5000)
    scene.log.up = False
    scene.film(100)
    scene.log.up = True
    scene.settle()
    assert scene.fates == {
        PictureFate.PUBLISHED: 100 - scene.fates[PictureFate.EXPIRED],
        PictureFate.EXPIRED: 39,
    }
    seqs = [shot.seq for shot in scene.log.shots]
    assert seqs == sorted(seqs)
    assert seqs[-50:] == list(range(50, 100))
    scene.spool.close()


def test_a_shot_that_is_too_large_is_dropped_and_the_others_go_on(scene: Scene) -> None:
    scene.film(3)
    scene.film(1, size=6000)
    scene.film(3)
    scene.settle()
    assert scene.fates == {PictureFate.PUBLISHED: 6, PictureFate.OVERSIZED: 1}
    assert [shot.seq for shot in scene.log.shots] == [0, 1, 2, 4, 5, 6]


def test_a_keyframe_that_is_too_large_takes_its_group_with_it(scene: Scene) -> None:
    scene.film_group(5)
    scene.film_group(5, key_size=6000)
    scene.film_group(5)
    scene.settle()
    assert groups(scene.log.shots) == [[*range(5)], [*range(10, 15)]]
    assert scene.fates[PictureFate.OVERSIZED] == 5


def full(shots: object, *, now_us: int) -> list[tuple[int, str]]:
    raise OutputError(f"the disk is full at {now_us}")


def test_on_a_full_disk_units_are_dropped_until_the_next_keyframe(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.film_group(3)
    scene.log.up = False
    scene.film(20, kind=ShotKind.UNIT)
    with monkeypatch.context() as patch:
        patch.setattr(scene.spool, "put", full)
        scene.film(1, kind=ShotKind.UNIT)
    scene.film(2, kind=ShotKind.UNIT)
    scene.log.up = True
    scene.film_group(3)
    scene.settle()
    assert groups(scene.log.shots) == [[*range(23)], [26, 27, 28]]


@settings(max_examples=50)
@given(
    days=st.lists(st.tuples(st.booleans(), st.integers(1, 30)), min_size=2, max_size=12),
    most_bytes=st.integers(500, 20_000),
)
def test_whatever_the_broker_does_no_unit_is_in_the_log_without_the_one_before(
    days: list[tuple[bool, int]], most_bytes: int
) -> None:
    with TemporaryDirectory() as folder:
        scene = Scene(Path(folder), most_bytes=most_bytes)
        for scene.log.up, units in days:
            scene.film_group(units)
            if scene.log.up and units % 5 == 0 and isinstance(scene.uplink, LogUplink):
                scene.uplink.fail()
        scene.log.up = True
        scene.settle()
        assert out_of_the_middle(scene.log.shots) == []
        assert len(scene.log.shots) + scene.fates.total() - scene.fates[
            PictureFate.PUBLISHED
        ] == len(scene.posted)
        scene.spool.close()


def test_of_shots_that_are_too_large_the_first_alone_is_told(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    for size in range(6000, 6100, 10):
        scene.film(1, size=size)
    scene.settle()
    assert caplog.text.count("too large; dropped") == 1


def test_what_ends_the_relays_thread_is_kept_for_its_owner(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene.uplink, "settled", lambda: 1 / 0)
    scene.relay.start()
    until(lambda: scene.relay.failure, "the end of the thread")
    assert isinstance(scene.relay.failure, ZeroDivisionError)


def test_one_camera_that_floods_costs_the_others_nothing(scene: Scene) -> None:
    flood = [Shot("mad", n, 7, 0, b"x" * 100) for n in range(LANE_SHOTS * 5)]
    for shot in flood:
        scene.relay.post(shot)
    scene.film(5)
    scene.settle()
    assert scene.fates[PictureFate.OVERFLOWED] == LANE_SHOTS * 4
    assert [s.seq for s in scene.log.shots if s.stream == "gate"] == [0, 1, 2, 3, 4]
    assert [s for s in scene.log.shots if s.stream == "mad"] == flood[-LANE_SHOTS:]


def test_what_is_on_its_way_is_bounded(scene: Scene) -> None:
    scene.log.up = False
    for n in range(40):
        scene.relay.post(Shot("gate", n, 7, 0, bytes(1 << 20)))
        scene.relay.turn(0.0)
    assert scene.relay.spooled[1] >= (40 << 20) - WINDOW_BYTES


def test_who_has_time_is_taken_only_while_the_way_is_free(scene: Scene) -> None:
    offer: Callable[[], bool] = lambda: scene.relay.offer(Shot("clip", 0, 7, 0, b"x"))  # noqa: E731
    taken = [offer() for _ in range(LANE_SHOTS)]
    assert taken.count(True) == LANE_SHOTS // 2
    scene.log.up = False
    scene.film(30)
    assert not offer()


def test_at_the_end_what_the_broker_has_not_taken_stays_for_the_next_process(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    scene.log.up = False
    scene.film(30)
    scene.relay.start()
    scene.relay.stop(0.0)
    kept = Spool(tmp_path / "spool.db", most_bytes=1 << 30, most_us=60_000_000)
    assert [found[1] for found in iter(kept.take, None) if found] == scene.posted
    kept.close()
