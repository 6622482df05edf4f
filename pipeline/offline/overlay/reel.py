"""Writes pictures to an H.264 MP4 file, which appears complete or not at all."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream
from numpy.typing import NDArray

from pipeline.errors import DependencyError, OutputError
from pipeline.media.pictures import SCALING
from pipeline.private_files import FILE_MODE

ENCODER = "libx264"
TICK = Fraction(1, 360_000)  # s; pictures of 23.976, 24, 25, 29.97, 30, 50, 59.94 and 60 Hz fit

# The encoder returns every picture at once (no look-ahead, no B-frames), so that it holds none in
# memory, and pictures written before a Ctrl-C are not lost.
OPTIONS = {"preset": "veryfast", "crf": "20", "tune": "zerolatency"}


class FilmReel:
    """Writes a temporary file beside `path`, which `finish` renames to `path`.

    A file that had this name is replaced. Only its owner can read the new one. All pictures must
    have the size of the first, and even sides. Raises `OutputError`, and `DependencyError` if the
    encoder is missing.
    """

    def __init__(self, path: Path) -> None:
        if ENCODER not in av.codecs_available:
            raise DependencyError(
                f"an overlay needs the H.264 encoder {ENCODER}, which this build of av"
                f" {av.__version__} lacks; the wheels on PyPI have it:"
                " pip install --force-reinstall --only-binary av av"
            )
        if path.is_dir():
            raise OutputError(f"cannot write {path}: it is a folder, name a file in it")
        self._path = path
        self._part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
        self._last = -round(Fraction(1, 25) / TICK)  # a single picture is shown for 1/25 s
        self._stream: VideoStream | None = None
        with self._translated():
            # fails here if the file cannot be written, before the first picture
            self._part.touch(mode=FILE_MODE, exist_ok=False)
            self._container: OutputContainer = av.open(
                str(self._part), "w", format="mp4", options={"movflags": "faststart"}
            )

    def write(self, pixels: NDArray[np.uint8], pts_us: int) -> None:
        """Write one picture (H, W, 3). A time at or before the last one becomes one tick later."""
        tick = max(round(pts_us / 1_000_000 / TICK), self._last + 1)
        picture = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=SCALING,
        )
        picture.pts, picture.time_base = tick, TICK
        step, self._last = tick - self._last, tick
        with self._translated():
            if self._stream is None:
                self._stream = self._begin(picture.height, picture.width)
            for packet in self._stream.encode(picture):
                packet.duration = step  # else the file's last picture would have no duration
                self._container.mux(packet)

    def finish(self) -> None:
        """Complete the file and rename it to `path`; without any picture there is no file."""
        if self._stream is None:
            self.abandon()
            return
        try:
            with self._translated():
                self._container.mux(self._stream.encode(None))
                self._container.close()
                self._part.replace(self._path)
        finally:
            self._part.unlink(missing_ok=True)  # after an error (disk full) it still exists

    def abandon(self) -> None:
        """Remove the temporary file."""
        with suppress(av.FFmpegError, OSError):  # a full disk was reported already
            self._container.close()
        self._part.unlink(missing_ok=True)

    def _begin(self, height: int, width: int) -> VideoStream:
        stream = self._container.add_stream(ENCODER, options=OPTIONS)
        if not isinstance(stream, VideoStream):
            raise AssertionError(f"{ENCODER} makes {type(stream).__name__}, no video")
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.codec_context.time_base = TICK
        stream.codec_context.color_range = ColorRange.MPEG
        stream.codec_context.colorspace = Colorspace.ITU709
        stream.codec_context.color_primaries = ColorPrimaries.BT709
        stream.codec_context.color_trc = ColorTrc.BT709
        return stream

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, OSError) as exc:
            raise OutputError(f"cannot write {self._path}: {exc.strerror or exc}") from exc
