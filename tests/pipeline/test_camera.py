"""A camera plays at the true rate; its clock and its waiting are ours."""

import threading
from itertools import islice
from pathlib import Path

import pytest

from pipeline.camera import Camera
from pipeline.clock import ManualClock
from pipeline.decode import Fit, decode_picture
from pipeline.errors import SourceError
from pipeline.records import Headers
from tests.pipeline.pictures import write_video

START_S = 1_700_000_000.25


class Pause(threading.Event):
    """An event that is waited for by turning a clock on."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock
        self.waits = list[float]()

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        self._clock.advance(timeout or 0.0)
        return self.is_set()


class Scene:
    """A clock, an event, and a publisher that keeps what it gets and takes its time."""

    def __init__(self, *, costs_s: float = 0.0) -> None:
        self.clock = ManualClock(START_S)
        self.stop = Pause(self.clock)
        self.sent = list[tuple[str, bytes | None, dict[str, bytes]]]()
        self._costs_s = costs_s

    def publish(self, stream: str, content: bytes | None, headers: Headers) -> None:
        self.sent.append((stream, content, dict(headers)))
        self.clock.advance(self._costs_s)

    def play(self, camera: Camera, frames: int = 1000) -> list[float]:
        """Play; the capture times since the start in ms."""
        for _ in islice(camera.play(self, clock=self.clock, stop=self.stop), frames):
            pass
        return [
            round(float(headers["captured-at"]) - START_S * 1000, 1) for *_, headers in self.sent
        ]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Five frames, the third late."""
    folder = tmp_path_factory.mktemp("camera")
    return str(write_video(folder / "clip.mp4", [0, 100, 250, 300, 400]))


def test_a_file_is_captured_when_its_frames_are_due(clip: str) -> None:
    scene = Scene()
    assert scene.play(Camera(clip, "gate")) == [0, 100, 250, 300, 400]
    assert scene.stop.waits == pytest.approx([0, 0.1, 0.15, 0.05, 0.1], abs=1e-6)


def test_time_that_publishing_takes_is_not_waited_again(clip: str) -> None:
    scene = Scene(costs_s=0.04)
    scene.play(Camera(clip, "gate"))
    assert scene.stop.waits == pytest.approx([0, 0.06, 0.11, 0.01, 0.06], abs=1e-6)


def test_a_camera_that_is_late_does_not_wait_and_keeps_its_times(clip: str) -> None:
    scene = Scene(costs_s=0.5)
    assert scene.play(Camera(clip, "gate")) == [0, 100, 250, 300, 400]
    assert set(scene.stop.waits) == {0.0}


def test_a_frame_is_a_jpeg_with_its_counter_and_the_cameras_start(clip: str) -> None:
    scene = Scene()
    scene.play(Camera(clip, "gate"))
    stream, content, headers = scene.sent[3]
    assert stream == "gate"
    assert decode_picture(content or b"", Fit(48, 64, "stretch")).shape == (48, 64, 3)
    assert headers["seq"] == b"3"
    assert headers["epoch"] == b"1700000000"
    assert headers["content-type"] == b"image/jpeg"


def test_a_loop_goes_on_in_time_and_counter(clip: str) -> None:
    scene = Scene()
    times = scene.play(Camera(clip, "gate", loop=True), frames=11)
    assert times == [0, 100, 250, 300, 400, 500, 600, 750, 800, 900, 1000]
    assert [headers["seq"] for *_, headers in scene.sent] == [b"%d" % n for n in range(11)]


def test_fps_leaves_frames_out(clip: str) -> None:
    times = Scene().play(Camera(clip, "gate", loop=True, fps=5), frames=5)
    assert times == [0, 250, 400, 600, 800]


def test_fps_above_the_true_rate_changes_nothing(clip: str) -> None:
    assert Scene().play(Camera(clip, "gate", fps=1000)) == [0, 100, 250, 300, 400]


def test_a_clip_of_a_single_frame_can_be_looped(tmp_path: Path) -> None:
    single = write_video(tmp_path / "single.mp4", [0])
    times = Scene().play(Camera(str(single), "gate", loop=True), frames=3)
    assert times == [0, 33.3, 66.7]


def test_it_stops_between_two_frames(clip: str) -> None:
    scene = Scene()
    playing = Camera(clip, "gate", loop=True).play(scene, clock=scene.clock, stop=scene.stop)
    assert [next(playing), next(playing)] == [1, 2]
    scene.stop.set()
    assert list(playing) == []
    assert len(scene.sent) == 2


def test_a_source_that_cannot_be_opened_is_an_error() -> None:
    with pytest.raises(SourceError, match=r"nowhere\.mp4: no such file"):
        Scene().play(Camera("nowhere.mp4", "gate"))
