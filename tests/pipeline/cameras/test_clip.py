"""A clip plays at its true rate; the test controls its clock and its waits."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.cameras.capture.clip import ClipSource
from pipeline.cameras.values import Picture, PictureFate
from pipeline.clock import ManualClock
from pipeline.errors import CameraLostError, LossReason
from pipeline.media.sources import open_source
from tests.pipeline.cameras.scene import START_S, START_US, Pause
from tests.pipeline.media.video.encoding import numbered
from tests.pipeline.pictures import write_video


class Scene:
    """A clip with its clock, and a consumer that takes some time."""

    def __init__(self, clip: str, *, costs_s: float = 0.0, **how: bool) -> None:
        self.clock = ManualClock(START_S)
        self.stop = Pause(self.clock)
        self.source = ClipSource(
            Path(clip), **{"loop": False, "realtime": True} | how, clock=self.clock
        )
        self._costs_s = costs_s

    def times_ms(self, frames: int = 1000) -> list[float]:
        """Return capture times since the start."""
        times = []
        try:
            for picture in islice(self.source.pictures(self.stop), frames):
                assert isinstance(picture, Picture)
                times.append(round(((picture.captured_us or 0) - START_US) / 1000, 1))
                self.clock.advance(self._costs_s)
        except CameraLostError as exc:
            assert exc.reason == LossReason.ENDED  # noqa: PT017
        return times


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Five frames, the third late."""
    folder = tmp_path_factory.mktemp("camera")
    return str(write_video(folder / "clip.mp4", [0, 100, 250, 300, 400]))


def test_frames_are_captured_when_they_are_due(clip: str) -> None:
    scene = Scene(clip)
    assert scene.times_ms() == [0, 100, 250, 300, 400]
    assert scene.stop.waits == pytest.approx([0, 0.1, 0.15, 0.05, 0.1], abs=1e-6)


def test_time_that_a_frame_takes_is_not_waited_again(clip: str) -> None:
    scene = Scene(clip, costs_s=0.04)
    scene.times_ms()
    assert scene.stop.waits == pytest.approx([0, 0.06, 0.11, 0.01, 0.06], abs=1e-6)


def test_a_clip_that_is_late_does_not_wait_and_keeps_its_times(clip: str) -> None:
    scene = Scene(clip, costs_s=0.5)
    assert scene.times_ms() == [0, 100, 250, 300, 400]
    assert set(scene.stop.waits) == {0.0}


def test_not_in_real_time_nothing_is_waited_for_and_times_stay(clip: str) -> None:
    scene = Scene(clip, realtime=False)
    assert scene.times_ms() == [0, 100, 250, 300, 400]
    assert set(scene.stop.waits) == {0.0}


def test_a_loop_goes_on_in_time(clip: str) -> None:
    times = Scene(clip, loop=True).times_ms(11)
    assert times == [0, 100, 250, 300, 400, 500, 600, 750, 800, 900, 1000]


def test_a_clip_of_a_single_frame_can_be_looped(tmp_path: Path) -> None:
    single = write_video(tmp_path / "single.mp4", [0])
    assert Scene(str(single), loop=True).times_ms(3) == [0, 33.3, 66.7]


def test_it_stops_between_two_frames(clip: str) -> None:
    scene = Scene(clip, loop=True)
    pictures = scene.source.pictures(scene.stop)
    assert len(list(islice(pictures, 2))) == 2
    scene.stop.set()
    assert list(pictures) == []


def test_frames_that_are_left_out_are_counted_where_they_were(tmp_path: Path) -> None:
    path = tmp_path / "film.h264"
    path.write_bytes(b"".join(unit for n, unit in numbered("cabac") if n != 5))
    found = Scene(str(path)).source.pictures(Pause(ManualClock(START_S)))
    fates = [one for one in islice(found, 39) if isinstance(one, PictureFate)]
    assert fates == [PictureFate.DAMAGED, *[PictureFate.UNKEYED] * 3]


def test_a_clip_that_cannot_be_opened_is_refused() -> None:
    scene = Scene("nowhere.mp4")
    with pytest.raises(CameraLostError, match=r"nowhere\.mp4: no such file") as caught:
        next(scene.source.pictures(scene.stop))
    assert caught.value.reason == LossReason.REFUSED


@pytest.mark.skipif(os.cpu_count() == 1, reason="libav uses one thread anyway")
def test_a_clip_is_decoded_without_threads_that_could_stop_cameras_by_rtsp(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=25, width=64, height=64, pix_fmt="yuv420p")
        frames = [av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))] * 3
        for packet in [one for frame in [*frames, None] for one in stream.encode(frame)]:
            container.mux(packet)
    assert _threads_of(_pictures(path)) == 0
    assert _threads_of(open_source(path)) > 0


def _pictures(path: Path) -> Iterator[object]:
    scene = Scene(str(path), realtime=False)
    return iter(scene.source.pictures(scene.stop))


def _threads_of(frames: Iterator[object]) -> int:
    """Return how many threads reading the first frame begins."""
    tasks = Path("/proc/self/task")
    before = len(list(tasks.iterdir()))
    next(frames)
    return len(list(tasks.iterdir())) - before
