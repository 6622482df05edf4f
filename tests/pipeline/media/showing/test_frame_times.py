"""Times of frames in files whose time stamps are missing, invented or wrong."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.media.sources import open_source


def write(path: Path, codec: str, *, rate: int, b_frames: int = 0, frames: int = 30) -> Path:
    """Write a moving picture: only then does the encoder use B-frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = (
            64,
            48,
            "yuv420p" if codec != "mjpeg" else "yuvj420p",
        )
        stream.codec_context.max_b_frames = b_frames
        for n in range(frames):
            pixels = np.full((48, 64, 3), 40, np.uint8)
            pixels[8:24, 2 * n % 48 : 2 * n % 48 + 16] = 220
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = n, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def times(path: Path) -> list[int]:
    return [frame.pts_us for frame in open_source(path)]


@pytest.mark.parametrize(
    ("name", "codec"), [("clip.h264", "libx264"), ("clip.hevc", "libx265"), ("clip.m4v", "mpeg4")]
)
@pytest.mark.parametrize("rate", [10, 15, 50])
def test_a_raw_stream_plays_at_the_rate_of_its_headers(
    name: str, codec: str, rate: int, tmp_path: Path
) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"libav has no {codec}")
    found = times(write(tmp_path / name, codec, rate=rate))
    assert found == pytest.approx([n * 1_000_000 / rate for n in range(30)], abs=1)


def test_a_raw_stream_without_a_rate_plays_at_25_a_second(tmp_path: Path) -> None:
    found = times(write(tmp_path / "clip.mjpeg", "mjpeg", rate=25, frames=5))
    assert found == [0, 40_000, 80_000, 120_000, 160_000]


@pytest.mark.parametrize("b_frames", [0, 1, 3])
@pytest.mark.parametrize("rate", [10, 15, 30])
def test_b_frames_in_avi_do_not_go_back_in_time(b_frames: int, rate: int, tmp_path: Path) -> None:
    found = times(write(tmp_path / "clip.avi", "libx264", rate=rate, b_frames=b_frames))
    assert found == pytest.approx([n * 1_000_000 / rate for n in range(len(found))], abs=2)
    assert len(found) >= 28


@pytest.mark.parametrize("b_frames", [0, 3])
@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts", "clip.flv"])
def test_b_frames_elsewhere_have_the_times_of_the_stream(
    name: str, b_frames: int, tmp_path: Path
) -> None:
    found = times(write(tmp_path / name, "libx264", rate=20, b_frames=b_frames))
    assert found == pytest.approx([n * 50_000 for n in range(30)], abs=1_000)
