"""Videos are shown turned and mirrored as they declare, and interlaced ones as whole pictures."""

import threading
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from numpy.typing import NDArray
from PIL import Image

from pipeline.cameras.capture.connecting import Connecting
from pipeline.cameras.capture.live import LiveSource
from pipeline.cameras.values import Picture
from pipeline.clock import SystemClock
from pipeline.errors import CameraLostError
from pipeline.media.address import Address
from pipeline.media.opening.media import Limits
from pipeline.media.pictures import Fit, decode_picture, fit_frame
from pipeline.media.sources import encode_jpeg, open_source
from tests.cameras.hostile import Page, web
from tests.pipeline.pictures import encoded, scene, turn_video, write_video

Turn = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]

# a, b, c, d of a display matrix -> what numpy does to rows and columns
MATRICES: dict[str, tuple[tuple[int, int, int, int], Turn]] = {
    "none": ((1, 0, 0, 1), lambda p: p),
    "mirrored": ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    "half": ((-1, 0, 0, -1), lambda p: p[::-1, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda p: p[::-1]),
    "transposed": ((0, 1, 1, 0), lambda p: p.swapaxes(0, 1)),
    "quarter clockwise": ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    "other diagonal": ((0, -1, -1, 0), lambda p: np.rot90(p, 2).swapaxes(0, 1)),
    "quarter counter-clockwise": ((0, -1, 1, 0), lambda p: np.rot90(p)),
}


def film(path: Path, pictures: list[NDArray[np.uint8]], **options: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1", **options})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for number, pixels in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def shown(path: Path) -> list[NDArray[np.int64]]:
    frames = open_source(path)
    return [frame.picture.to_ndarray(format="rgb24").astype(np.int64) for frame in frames]


def interlaced(path: Path) -> Path:
    """Write a film whose fields show different moments: the even rows are bright."""
    pixels = np.full((96, 64, 3), 40, np.uint8)
    pixels[::2] = 200
    options = {"x264-params": "interlaced=1:tff=1"}
    path = film(path, [pixels] * 3, **options)
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    return path


@pytest.mark.parametrize("name", MATRICES)
def test_each_of_the_eight_display_matrices_is_followed(name: str, tmp_path: Path) -> None:
    matrix, turn = MATRICES[name]
    pixels = np.asarray(scene(64, 96))
    path = film(tmp_path / "clip.mp4", [pixels] * 2)
    turn_video(path, matrix)
    for picture in shown(path):
        assert picture.shape == turn(pixels).shape
        assert np.abs(picture - turn(pixels)).mean() < 4


def test_a_matrix_of_no_quarter_turn_is_not_followed(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", [0, 40])
    turn_video(path, (1, 1, -1, 1))
    assert [frame.picture.width for frame in open_source(path)] == [64, 64]


def turned_once(folder: Path) -> Path:
    """Write twelve frames, three of them keyframes; only the first carries a turn (SEI)."""
    path = film(folder / "clip.mp4", [np.asarray(scene(64, 96))] * 12, g="4", bf="0")
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        first, *others = [packet for packet in source.demux(stream) if packet.size]
        turn = BitStreamFilterContext(
            "h264_mp4toannexb,h264_metadata=rotate=90:display_orientation=insert", stream
        )
        plain = BitStreamFilterContext("h264_mp4toannexb", stream)
        units = [*turn.filter(first), *(unit for one in others for unit in plain.filter(one))]
    turned = folder / "turned.h264"
    turned.write_bytes(b"".join(bytes(unit) for unit in units))
    return turned


def seen_live(content: bytes) -> list[av.VideoFrame]:
    """Return the frames that a camera sees which sends these bytes."""
    how = Connecting(Limits(connect_s=5, read_s=5))
    with web({"/live": Page(content)}) as server:
        address = Address.of(f"http://{server.at}/live", {})
        live = LiveSource(lambda: address, how, clock=SystemClock())
        frames = []
        with suppress(CameraLostError):  # the end
            for picture in live.pictures(threading.Event()):
                frames += [picture.frame] if isinstance(picture, Picture) else []
    return [frame for frame in frames if frame is not None]


def test_a_turn_that_one_frame_carries_holds_for_those_after_it(tmp_path: Path) -> None:
    path = turned_once(tmp_path)
    assert [picture.shape for picture in shown(path)] == [(96, 64, 3)] * 12
    assert {(frame.height, frame.width) for frame in seen_live(path.read_bytes())} == {(96, 64)}


def test_a_camera_that_sends_interlaced_video_is_seen_as_a_file_is(tmp_path: Path) -> None:
    path = interlaced(tmp_path / "clip.mkv")
    file, *_ = open_source(path)
    live, *_ = seen_live(path.read_bytes())
    fit = Fit(48, 48, "stretch")
    assert np.array_equal(fit_frame(live, fit), fit_frame(file.picture, fit))


@pytest.mark.parametrize("height", [48, 40, 192])
def test_interlaced_video_is_scaled_as_whole_pictures(height: int, tmp_path: Path) -> None:
    fit = Fit(height, 64, "stretch")
    frame = next(open_source(interlaced(tmp_path / "clip.mp4"))).picture
    whole = decode_picture(
        encoded(Image.fromarray(frame.to_ndarray(format="rgb24")), "PNG"), fit
    )  # a PNG knows no fields
    assert np.abs(fit_frame(frame, fit).astype(int) - whole).max() <= 3


def test_run_and_worker_see_the_same_of_an_interlaced_video(tmp_path: Path) -> None:
    fit = Fit(48, 48, "stretch")
    frame = next(open_source(interlaced(tmp_path / "clip.mp4"))).picture
    by_the_worker = decode_picture(encode_jpeg(frame, quality=100), fit).astype(int)
    assert np.abs(fit_frame(frame, fit) - by_the_worker).mean() < 2
