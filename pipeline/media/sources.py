"""Opens a video, a camera or a folder of pictures as decoded frames; encodes JPEG; reads labels.

Sources neither loop nor pace themselves: that is the caller's task.
"""

import csv
import logging
import re
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from pipeline.clock import SystemClock
from pipeline.errors import CameraLostError, SourceError, UndecodableFrameError
from pipeline.media.address import Address
from pipeline.media.frame_times import FrameTimes
from pipeline.media.opening.access import STRICT, Access
from pipeline.media.opening.media import Limits, Media, open_media
from pipeline.media.picture_headers import MAX_PIXELS
from pipeline.media.pictures import SCALING, decode_upright, upright
from pipeline.media.refusals import explain

PICTURES = frozenset({".jpeg", ".jpg", ".png", ".webp"})

# degrees counter-clockwise by which a video must be turned -> EXIF orientation
_ORIENTATIONS = {-90: 6, 90: 8, 180: 3, -180: 3}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """One upright frame; `pts_us` counts from the first frame of its source."""

    index: int
    pts_us: int
    picture: av.VideoFrame


def open_source(
    source: Address | Path,
    *,
    access: Access = STRICT,
    picture_rate_hz: float = 25.0,
    max_pixels: int = MAX_PIXELS,
    timeout_s: float = 10.0,
) -> Generator[SourceFrame, None, None]:
    """Open a video file, a URL, a camera device, a picture or a folder of pictures.

    Raises `SourceError` here if the source cannot be opened, and while iterating if it breaks
    later. Frames come in presentation order with the time stamps of the stream (`FrameTimes` has
    the rules for missing and wrong ones). Pictures come in natural order of their names (2 before
    10) at `picture_rate_hz`, and have at most `max_pixels`. A packet that does not decode is left
    out (a camera with a bad radio link sends such packets), and the number of them is logged at
    the end. `timeout_s` limits every wait for a network or device. Close the generator to close
    the source early.
    """
    address = source if isinstance(source, Address) else Address.at(source)
    name, path = address.shown, Path(address.url)
    if path.is_dir():
        pictures = [one for one in path.iterdir() if one.suffix.lower() in PICTURES]
        if not pictures:
            raise SourceError(f"{name}: the folder holds no {', '.join(sorted(PICTURES))} file")
        return _picture_frames(sorted(pictures, key=_natural), picture_rate_hz, max_pixels)
    if path.suffix.lower() in PICTURES and path.is_file():
        return _picture_frames([path], picture_rate_hz, max_pixels)
    with _translated(name):
        media = open_media(
            address,
            access=access,
            transport="tcp",
            limits=Limits(connect_s=timeout_s, read_s=timeout_s),
            clock=SystemClock(),
        )
    try:
        return _video_frames(name, media, _video_stream(name, media, live=address.is_live))
    except SourceError:
        media.close()
        raise


def encode_jpeg(frame: av.VideoFrame, *, quality: int = 90) -> bytes:
    """Encode a frame as baseline JPEG (4:2:0, full range); the same frame gives the same bytes.

    `quality` 1-100 maps linearly to libav's quantiser scale 31-2. Each frame gets a new encoder:
    that costs 0.1 ms, and no frame depends on another.
    """
    if not 1 <= quality <= 100:
        raise ValueError(f"JPEG quality is 1-100, not {quality}")
    # JPEG is BT.601 at full range by definition, the video may be something else
    picture = frame.reformat(
        format="yuvj420p",
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.JPEG,
        interpolation=SCALING,
        threads=1,
    )
    encoder = av.VideoCodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = picture.width, picture.height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)  # required by libav, not written to the JPEG
    encoder.thread_count = 1
    encoder.qmin = encoder.qmax = 31 - round((quality - 1) * 29 / 99)
    return b"".join(bytes(packet) for packet in [*encoder.encode(picture), *encoder.encode(None)])


def rotation(frame: av.VideoFrame) -> int:
    """Return the EXIF orientation of a video frame."""
    return _ORIENTATIONS.get(frame.rotation, 1)


def read_labels(path: Path) -> list[str]:
    """Read the label of every frame from a CSV file `frame,label`, one row per frame from 0."""
    with _translated(str(path)), path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        if header != ["frame", "label"]:
            raise SourceError(f"{path} line 1: expected frame,label, not {','.join(header)!r}")
        labels = list[str]()
        for row in rows:
            if len(row) != 2 or row[0] != str(len(labels)) or not row[1]:
                raise SourceError(
                    f"{path} line {rows.line_num}: expected {len(labels)},<label>,"
                    f" not {','.join(row)!r}; every frame from 0 has one row"
                )
            labels.append(row[1])
    return labels


def _picture_frames(
    paths: list[Path], rate_hz: float, max_pixels: int
) -> Generator[SourceFrame, None, None]:
    for index, path in enumerate(paths):
        with _translated(str(path)):
            picture = decode_upright(path.read_bytes(), max_pixels=max_pixels)
        yield SourceFrame(index, round(index * 1_000_000 / rate_hz), picture)


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    parts = re.findall(r"(\d+)|(\D+)", path.name)
    return [(int(digits or -1), text) for digits, text in parts], path.name


def _video_stream(name: str, media: Media, *, live: bool) -> VideoStream:
    container = media.container
    if not container.streams.video:
        found = ", ".join(sorted({stream.type for stream in container.streams})) or "none"
        raise SourceError(f"{name}: holds no video (streams: {found})")
    stream = container.streams.video[0]
    if not live:
        stream.thread_type = "AUTO"  # frame threads are faster, but would delay live pictures
    return stream


def _video_frames(
    name: str, media: Media, stream: VideoStream
) -> Generator[SourceFrame, None, None]:
    times = FrameTimes(media.container.format.name, stream)
    index = 0
    with closing(media):
        for frame in _decoded(name, media, stream):
            yield SourceFrame(index, times.time_of(frame), upright(frame, rotation(frame)))
            index += 1
    if index == 0:
        raise SourceError(f"{name}: holds no frame that decodes")


def _decoded(name: str, media: Media, stream: VideoStream) -> Iterator[av.VideoFrame]:
    lost = 0
    try:
        with _translated(name):
            for packet in media.packets(stream):
                try:
                    yield from packet.decode()
                except av.InvalidDataError:
                    lost += 1
    finally:
        if lost:
            _log.warning("%s: %d packets did not decode and were left out", name, lost)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except CameraLostError as exc:
        raise SourceError(f"{name}: {exc}") from None
    except TimeoutError:
        raise SourceError(f"{name}: nothing came in time") from None
    except (av.FFmpegError, OSError, UnicodeError, csv.Error, UndecodableFrameError) as exc:
        # the text of exc can contain the password
        raise SourceError(f"{name}: {explain(exc, is_url=False)}") from None
