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
from pipeline.media.completeness import Completeness, Missing
from pipeline.media.headers.picture_headers import MAX_PIXELS
from pipeline.media.opening.access import STRICT, Access
from pipeline.media.opening.media import Limits, Media, open_media
from pipeline.media.opening.video_streams import find_video, stream_kinds
from pipeline.media.pictures import SCALING, decode_upright
from pipeline.media.refusals import explain
from pipeline.media.showing.display import shown
from pipeline.media.showing.frame_times import FrameTimes
from pipeline.media.video.outcomes import NOT_H264, Decoded, StorableUnit, Unstorable
from pipeline.media.video.packet_decoders import packet_decoder

PICTURES = frozenset({".jpeg", ".jpg", ".png", ".webp"})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """One upright frame; `pts_us` counts from the first frame of its source.

    `unit` is the unit of video that gave it.
    """

    index: int
    pts_us: int
    picture: av.VideoFrame
    unit: StorableUnit | Unstorable = NOT_H264


class FrameSource(Iterator[SourceFrame]):
    """The frames of an open source, once."""

    def __init__(self, frames: Generator[SourceFrame, None, None], missing: Missing) -> None:
        self._frames = frames
        self._missing = missing

    def __next__(self) -> SourceFrame:
        """Return the next frame. Raises `SourceError` if the source breaks."""
        return next(self._frames)

    def close(self) -> None:
        """Close the source, also before its end."""
        self._frames.close()

    @property
    def completeness(self) -> Completeness:
        """What is missing of what was read so far; at the end, of the whole source."""
        return self._missing.so_far


def open_source(
    source: Address | Path,
    *,
    access: Access = STRICT,
    picture_rate_hz: float = 25.0,
    max_pixels: int = MAX_PIXELS,
    timeout_s: float = 10.0,
    frame_threads: bool = True,
) -> FrameSource:
    """Open a video file, a URL, a camera device, a picture or a folder of pictures.

    Raises `SourceError` here if the source cannot be opened, and while iterating if it breaks
    later. Frames come in presentation order with the time stamps of the stream (`FrameTimes` has
    the rules for missing and wrong ones). Pictures come in natural order of their names (2 before
    10) at `picture_rate_hz`, and have at most `max_pixels`. Damaged frames, and frames that build
    on them, are left out (a camera with a bad radio link sends such), as are pictures of a folder
    that do not decode; what is missing is logged at the end. `timeout_s` limits every wait for a
    network or device. `frame_threads`: decode files in several threads; False in a process that
    opens RTSP (`rtp_holes`).
    """
    address = source if isinstance(source, Address) else Address.at(source)
    name, path = address.shown, Path(address.url)
    if path.is_dir():
        paths = _pictures_in(name, path)
        return FrameSource(_folder_frames(name, paths, picture_rate_hz, max_pixels), Missing())
    if path.suffix.lower() in PICTURES and path.is_file():
        return FrameSource(_picture_frame(name, path, max_pixels), Missing())
    with _translated(name):
        media = open_media(
            address,
            access=access,
            transport="tcp",
            limits=Limits(connect_s=timeout_s, read_s=timeout_s),
            clock=SystemClock(),
        )
    try:
        missing = Missing()
        threads = frame_threads and not address.is_live
        stream = _video_stream(name, media, frame_threads=threads)
        return FrameSource(_video_frames(name, media, stream, missing), missing)
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


def _pictures_in(name: str, folder: Path) -> list[Path]:
    """Return the pictures of a folder in their order, without hidden files (`._1.jpg`)."""
    with _translated(name):
        found = [
            one
            for one in folder.iterdir()
            if one.suffix.lower() in PICTURES and not one.name.startswith(".") and one.is_file()
        ]
    if not found:
        raise SourceError(f"{name}: the folder holds no {', '.join(sorted(PICTURES))} file")
    return sorted(found, key=_natural)


def _picture_frame(name: str, path: Path, max_pixels: int) -> Generator[SourceFrame, None, None]:
    with _translated(name):
        picture = decode_upright(path.read_bytes(), max_pixels=max_pixels)
    yield SourceFrame(0, 0, picture)


def _folder_frames(
    name: str, paths: list[Path], rate_hz: float, max_pixels: int
) -> Generator[SourceFrame, None, None]:
    """Yield the pictures that decode; each keeps the time of its place in the folder."""
    index, first_place, faults = 0, 0, list[str]()
    try:
        for place, path in enumerate(paths):
            try:
                with _translated(path.name):
                    picture = decode_upright(path.read_bytes(), max_pixels=max_pixels)
            except SourceError as exc:
                faults.append(str(exc))
                continue
            first_place = first_place if index else place
            yield SourceFrame(index, round((place - first_place) * 1_000_000 / rate_hz), picture)
            index += 1
        if index == 0:
            raise SourceError(f"{name}: none of its {len(paths)} pictures decodes; {faults[0]}")
    finally:
        if faults and index:
            left_out = f"{len(faults)} of {len(paths)} pictures"
            _log.warning("%s: %s were left out; the first: %s", name, left_out, faults[0])


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    parts = re.findall(r"(\d+)|(\D+)", path.name)
    return [(int(digits or -1), text) for digits, text in parts], path.name


def _video_stream(name: str, media: Media, *, frame_threads: bool) -> VideoStream:
    with _translated(name):
        stream = find_video(media.container)
    if stream is None:
        kinds = stream_kinds(media.container)
        raise SourceError(f"{name}: holds no video (streams: {kinds})")
    if frame_threads:
        stream.thread_type = "AUTO"  # frame threads are faster, but would delay live pictures
    return stream


def _video_frames(
    name: str, media: Media, stream: VideoStream, missing: Missing
) -> Generator[SourceFrame, None, None]:
    times = FrameTimes(media.container.format.name, stream)
    index = 0
    with closing(media):
        for decoded in _decoded(name, media, stream, missing):
            frame = decoded.picture
            at_us, picture = times.time_of(frame), shown(frame, decoded.orientation)
            yield SourceFrame(index, at_us, picture, decoded.unit)
            index += 1
    if index == 0:
        words = str(missing.so_far)
        raise SourceError(f"{name}: holds no frame that decodes{words and f': {words}'}")


def _decoded(name: str, media: Media, stream: VideoStream, missing: Missing) -> Iterator[Decoded]:
    try:
        with _translated(name):
            decoder = packet_decoder(stream)
            for packet in media.packets(stream):
                missing.saw(packet)
                for outcome in decoder.feed(packet):
                    if isinstance(outcome, Decoded):
                        yield outcome
                    else:
                        missing.count(outcome)
            missing.ended(media.container, stream)
    finally:
        if words := str(missing.so_far):
            _log.warning("%s: %s", name, words)


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
