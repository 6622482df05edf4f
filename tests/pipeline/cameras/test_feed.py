"""A feed keeps the camera's state and counts, and connects again after a loss."""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from random import Random

import pytest

from pipeline.broker.shots import Shot
from pipeline.cameras.backoff import MOST_S, Backoff
from pipeline.cameras.capture.shutter import Exposure, Shutter
from pipeline.cameras.feed import Feed
from pipeline.cameras.tally import CameraTally
from pipeline.cameras.values import ClockFault, NewEpoch, Picture, PictureFate, State
from pipeline.cameras.views.camera_stream import CameraStream
from pipeline.cameras.views.camera_view import CameraView
from pipeline.clock import ManualClock
from pipeline.errors import CameraLostError, LossReason
from pipeline.media.video.outcomes import StorableUnit, Unstorable
from tests.pipeline.cameras.scene import START_S, Pause, SettableClock, decoded, filmed

UNITS: dict[str | LossReason, StorableUnit | Unstorable] = {
    "key": StorableUnit(b"key", 0),
    "unit": StorableUnit(b"unit", 1),
    "reordered": Unstorable("its pictures may be reordered"),
}

Step = Callable[[], Picture | PictureFate | None]


class Script:
    """See `Source`. Each connection is a list of steps; after the last one the feed is stopped."""

    retries = True

    def __init__(self, *connections: Sequence[Step]) -> None:
        self._connections = list(connections)

    def pictures(self, stop: threading.Event) -> Iterator[Picture | PictureFate | None]:
        if not self._connections:
            stop.set()
            return
        for step in self._connections.pop(0):
            yield step()
        raise CameraLostError(LossReason.ENDED, "it said goodbye")


class Stop(Pause):
    """Also records the camera's state whenever the feed waits before another attempt."""

    def __init__(self, clock: ManualClock, tally: CameraTally) -> None:
        super().__init__(clock)
        self._tally = tally
        self.states = list[State]()

    def wait(self, timeout: float | None = None) -> bool:
        self.states.append(self._tally.state)
        return super().wait(timeout)


class Scene:
    """A feed that follows a script, without a thread."""

    def __init__(
        self,
        *connections: Sequence[str | LossReason],
        frozen_s: float = 0.0,
        obstacle: str | None = "",
    ) -> None:
        self.clock = SettableClock(START_S)
        self.tally = CameraTally()
        self.stop = Stop(self.clock, self.tally)
        self.shots = list[Shot]()
        self.states = list[State]()  # after each picture
        self._greys = itertools.cycle(range(100, 250, 20))
        script = Script(*[[self._step(what) for what in one] for one in connections])
        self.feed = Feed(
            "gate",
            script,
            [
                CameraStream(
                    "gate",
                    Shutter("gate", Exposure(frozen_s=frozen_s, obstacle=obstacle), epoch_s=7),
                    view=CameraView(),
                    post=self._post,
                    tally=self.tally,
                    clock=self.clock,
                )
            ],
            backoff=Backoff(Random(1)),  # noqa: S311
            clock=self.clock,
            stop=self.stop,
            stall_s=5.0,
        )

    def _post(self, shot: Shot) -> bool:
        self.shots.append(shot)
        return True

    def _step(self, what: str | LossReason) -> Step:
        def step() -> Picture | PictureFate | None:
            if isinstance(what, LossReason):
                raise CameraLostError(what, "in words")
            if what == "bug":
                raise ZeroDivisionError("rtsp://me:secret@gate/")
            self.states.append(self.tally.state)  # its state after the last picture
            self.clock.advance(0.5)
            if what in ("bad", "unkeyed"):
                return PictureFate.DAMAGED if what == "bad" else PictureFate.UNKEYED
            if what == "nothing":
                return None
            if what == "set":
                self.clock.set_by(1.5)
            if what in ("stamped", "set"):
                at_us = round(self.clock.monotonic() * 1e6)
                return replace(decoded(next(self._greys), at_us=0), captured_us=None, pts_us=at_us)
            if what == "stamp":  # always the same
                return replace(decoded(next(self._greys), at_us=0), captured_us=None, pts_us=777)
            if what in UNITS:
                at_us = round(self.clock.time() * 1e6)
                return filmed(UNITS[what], next(self._greys), at_us=at_us)
            grey = 7 if what == "still" else next(self._greys)
            return decoded(grey, at_us=round(self.clock.time() * 1e6))

        return step

    def run(self) -> float:
        """Follow the script to its end; returns the seconds that it took."""
        began_s = self.clock.time()
        self.feed.run()
        return self.clock.time() - began_s


def test_a_camera_that_sends_pictures_is_live_and_counts_its_epoch() -> None:
    scene = Scene(["good"] * 3)
    scene.run()
    assert [shot.seq for shot in scene.shots] == [0, 1, 2]
    assert scene.tally.epochs == {NewEpoch.START: 1}
    assert scene.tally.captured_us == scene.shots[-1].captured_us


@pytest.mark.parametrize(
    ("why", "before", "state"),
    [
        (LossReason.UNREACHABLE, [], State.CONNECTING),
        (LossReason.REFUSED, [], State.REFUSED),
        (LossReason.UNREACHABLE, ["good"], State.STALLED),
        (LossReason.STALLED, ["good"], State.STALLED),
        (LossReason.BROKEN, ["good"], State.STALLED),
        (LossReason.REFUSED, ["good"], State.REFUSED),
    ],
)
def test_the_reason_of_a_loss_decides_the_state_of_the_camera(
    why: LossReason, before: list[str], state: State
) -> None:
    scene = Scene([*before, why])
    scene.run()
    assert scene.stop.states[0] == state
    assert scene.tally.losses[why] == 1


def test_it_goes_on_after_a_loss_with_the_same_epoch_and_the_next_number() -> None:
    scene = Scene(["good", "good", LossReason.BROKEN], [LossReason.UNREACHABLE], ["good"])
    scene.run()
    assert [(shot.seq, shot.epoch) for shot in scene.shots] == [(0, 7), (1, 7), (2, 7)]
    assert scene.tally.losses == {
        LossReason.BROKEN: 1,
        LossReason.UNREACHABLE: 1,
        LossReason.ENDED: 1,
    }
    times = [shot.captured_us for shot in scene.shots]
    assert times == sorted(set(times))


def test_a_state_is_as_old_as_its_first_loss_whatever_the_attempts_since_then_said() -> None:
    scene = Scene(["good"], [LossReason.UNREACHABLE], [LossReason.BROKEN])
    scene.run()
    condition = scene.tally.condition
    assert condition.state is State.STALLED
    assert condition.since_s == START_S + 0.5
    assert scene.clock.time() > condition.since_s


def test_pictures_that_are_all_damaged_are_a_stall() -> None:
    scene = Scene(["good", *["bad"] * 20])
    scene.run()
    assert (scene.tally.losses[LossReason.STALLED], scene.tally.fates[PictureFate.DAMAGED]) == (
        1,
        11,
    )


@pytest.mark.parametrize("what", ["unkeyed", "nothing"])
def test_a_camera_that_goes_blind_is_a_stall_whatever_it_sends(what: str) -> None:
    scene = Scene(["good", *[what] * 20])
    scene.run()
    assert scene.tally.losses == {LossReason.STALLED: 1}
    assert scene.stop.states[0] is State.STALLED


def test_a_new_connection_waits_long_for_its_first_keyframe_and_says_so() -> None:
    scene = Scene([*["unkeyed"] * 100, "good"])
    scene.run()
    assert (len(scene.shots), scene.tally.fates[PictureFate.UNKEYED]) == (1, 100)
    assert scene.tally.losses == {LossReason.ENDED: 1}


def test_a_camera_that_never_sends_a_keyframe_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    scene = Scene(["unkeyed"] * 200, ["unkeyed"] * 200)
    scene.run()
    assert scene.tally.losses == {LossReason.STALLED: 2}
    assert scene.tally.why.startswith("waiting for a keyframe: none came in 65 s")
    assert caplog.text.count("waiting for a keyframe") == 2  # while waiting, and when given up


def test_a_bug_in_the_reading_of_a_camera_is_logged_without_its_text_and_it_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene(["good", "bug"], ["good"])
    scene.run()
    assert [shot.seq for shot in scene.shots] == [0, 1]
    assert "a bug in longtake: ZeroDivisionError at step" in caplog.text
    assert "secret" not in caplog.text


def test_a_frozen_picture_is_withheld_and_the_camera_is_live_again_when_it_moves() -> None:
    scene = Scene(["good", *["still"] * 8, "good", "good"], frozen_s=2)
    scene.run()
    assert scene.states[1:] == [State.LIVE] * 5 + [State.FROZEN] * 4 + [State.LIVE]
    assert scene.tally.fates[PictureFate.FROZEN] == 4


def test_waits_double_up_to_half_a_minute_and_no_two_cameras_wait_alike() -> None:
    one, other = Backoff(Random(1)), Backoff(Random(2))  # noqa: S311
    waits = [one.wait_s() for _ in range(10)]
    assert all(0.5 <= wait / min(MOST_S, 0.5 * 2**n) <= 1 for n, wait in enumerate(waits))
    assert waits != [other.wait_s() for _ in range(10)]
    one.reset()
    assert one.wait_s() <= 0.5


def test_a_camera_that_flaps_is_tried_less_and_less_one_that_was_well_at_once() -> None:
    assert Scene(*[["good", LossReason.BROKEN]] * 8).run() > 40
    assert Scene(*[["good"] * 25] * 8).run() < 8 * (25 * 0.5 + 0.5)


def test_time_stamps_that_are_not_trusted_are_counted_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene(["stamp"] * 20)
    scene.run()
    assert scene.tally.redated == {ClockFault.STILL: 19}
    assert scene.tally.distrusted is ClockFault.STILL
    words = "gate: its time stamps stand still; pictures are dated when they arrive"
    assert caplog.text.count(words) == 1


def test_our_own_clock_that_is_set_begins_one_epoch_and_dates_the_next_pictures() -> None:
    scene = Scene([*["stamped"] * 5, "set", *["stamped"] * 5])
    scene.run()
    assert scene.tally.epochs == {NewEpoch.START: 1, NewEpoch.CLOCK: 1}
    times = [shot.captured_us for shot in scene.shots]
    assert [b - a for a, b in itertools.pairwise(times)] == [*[500_000] * 4, 2_000_000] + [
        500_000
    ] * 5


def test_what_is_published_is_logged_when_it_changes_and_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    scene = Scene([*["key", "unit"] * 3, *["reordered"] * 3], ["reordered"], obstacle=None)
    scene.run()
    said = [record.getMessage() for record in caplog.records if "H.264" in record.getMessage()]
    assert said == [
        "gate: its own H.264 is published",
        "gate: JPEG is published, not its own H.264: its pictures may be reordered",
    ]
    assert not scene.tally.published.units
    assert scene.tally.epochs == {NewEpoch.START: 1, NewEpoch.CONTENT: 1}


def test_a_camera_whose_keyframes_are_far_apart_is_named_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene(["key", *["good"] * 30] * 3, obstacle=None)
    scene.run()
    assert caplog.text.count("its keyframes are more than 10 s apart") == 1


def test_pictures_that_are_encoded_by_choice_are_no_news(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    Scene(["key", "unit", "good"]).run()
    assert "H.264" not in caplog.text
