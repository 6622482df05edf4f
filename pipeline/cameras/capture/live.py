"""A camera on the network or on this machine, read through libav: one connection at a time."""

import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from statistics import median_low
from typing import Any

import av
from av.packet import Packet
from av.video.stream import VideoStream

from pipeline.cameras.capture.connecting import Connecting, open_camera, video_of
from pipeline.cameras.capture.pacing import Burst, paced
from pipeline.cameras.values import Picture, PictureFate
from pipeline.clock import Clock
from pipeline.errors import CameraLostError, ConfigError, LossReason, UndecodableFrameError
from pipeline.media.address import Address
from pipeline.media.opening.media import Media
from pipeline.media.picture_headers import MAX_PIXELS
from pipeline.media.pictures import picture_size, upright
from pipeline.media.refusals import words_of
from pipeline.media.sources import rotation

INVENTS_TIMES = "mpjpeg"  # MJPEG over HTTP has no time stamps: libav invents them, at 25 Hz
IN_PIECES = "hls"  # arrives in segments of several seconds


class LiveSource:
    """See `Source`. MJPEG is passed through without decoding, other codecs use one thread.

    `address` is called at each connection, so that a replaced secret is used without a restart.
    """

    retries = True

    def __init__(self, address: Callable[[], Address], how: Connecting, *, clock: Clock) -> None:
        self._address = address
        self._how = how
        self._clock = clock
        self._waited_s = 0.0

    def pictures(self, stop: threading.Event) -> Iterator[Picture | PictureFate | None]:
        """See `Source`."""
        with closing(self._open()) as media:
            stream = video_of(media.container)
            pictures = self._read(media, stream, stop)
            if media.container.format.name == IN_PIECES:
                yield from paced(pictures, clock=self._clock, stop=stop)
            elif media.container.format.name == INVENTS_TIMES:
                yield from pictures
            else:
                yield from self._caught_up(pictures)
        if not stop.is_set():
            raise CameraLostError(LossReason.ENDED, "the connection was closed")

    def _caught_up(
        self, pictures: Iterator[Picture | PictureFate | None]
    ) -> Iterator[Picture | PictureFate | None]:
        burst = Burst()
        try:
            for picture in pictures:
                if isinstance(picture, Picture):
                    yield from burst.add(picture, waited_s=self._waited_s)
                else:
                    yield picture
        except CameraLostError:
            yield from burst.end()
            raise
        yield from burst.end()

    def _read(
        self, media: Media, stream: VideoStream, stop: threading.Event
    ) -> Iterator[Picture | PictureFate | None]:
        """Yield pictures as they arrive.

        `_waited_s` is the longest wait for a packet since the one before, of sound for example.
        """
        reader = _Reader(stream, timed=media.container.format.name != INVENTS_TIMES)
        packets = media.packets()
        waited_s = 0.0
        try:
            while not stop.is_set():
                began_s = self._clock.monotonic()
                packet = next(packets, None)
                waited_s = max(waited_s, self._clock.monotonic() - began_s)
                if packet is None:
                    return
                if packet.stream.index == stream.index:
                    self._waited_s, waited_s = waited_s, 0.0
                    yield from reader.read(packet)
                else:
                    yield None
        except (av.ExitError, TimeoutError):
            words = f"nothing came for {self._how.limits.read_s:g} s"
            raise CameraLostError(LossReason.STALLED, words) from None
        except (av.FFmpegError, OSError) as exc:
            words = f"the connection broke ({words_of(exc)})"
            raise CameraLostError(LossReason.BROKEN, words) from None

    def _open(self) -> Media:
        try:
            address = self._address()
        except ConfigError as exc:  # a secret is being replaced, perhaps
            raise CameraLostError(LossReason.UNREACHABLE, str(exc)) from None
        return open_camera(address, self._how, self._clock)


class _Reader:
    """Turns the packets of one connection into pictures. `timed`: the time stamps are real.

    A packet's wall-clock time can be that of the packet after it, because libav's parser has a
    delay. But wall-clock time minus time stamp is the same for all packets, so the median of the
    last differences is right.
    """

    def __init__(self, stream: VideoStream, *, timed: bool) -> None:
        self._stream = stream
        self._timed = timed
        self._walls_us: deque[int] = deque(maxlen=9)  # the camera's clock at time stamp 0
        self._passes = stream.codec_context.name == "mjpeg"
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}

    def read(self, packet: "Packet[Any]") -> Iterator[Picture | PictureFate]:
        pts_us = self._microseconds(packet.pts)
        wall_us = _producer_time_us(packet)
        if wall_us is not None and pts_us is not None:
            self._walls_us.append(wall_us - pts_us)
        try:
            if self._passes:
                yield from self._pass(packet, pts_us)
            else:
                yield from self._decode(packet)
        except (av.InvalidDataError, UndecodableFrameError, ValueError, MemoryError):
            yield PictureFate.DAMAGED

    def _pass(self, packet: "Packet[Any]", pts_us: int | None) -> Iterator[Picture]:
        jpeg = bytes(packet)
        if jpeg:  # the last packet is empty
            width, height = picture_size(jpeg)
            yield Picture(width, height, jpeg=jpeg, pts_us=pts_us, wall_us=self._wall(pts_us))

    def _decode(self, packet: "Packet[Any]") -> Iterator[Picture | PictureFate]:
        for frame in packet.decode():
            if not isinstance(frame, av.VideoFrame) or frame.is_corrupt:
                yield PictureFate.DAMAGED
                continue
            pts_us = self._microseconds(frame.pts)
            shown = upright(frame, rotation(frame))
            yield Picture(
                shown.width, shown.height, frame=shown, pts_us=pts_us, wall_us=self._wall(pts_us)
            )

    def _microseconds(self, pts: int | None) -> int | None:
        base = self._stream.time_base
        if pts is None or base is None or not self._timed:
            return None
        return round(pts * base * 1_000_000)

    def _wall(self, pts_us: int | None) -> int | None:
        if pts_us is None or not self._walls_us:
            return None
        return pts_us + median_low(self._walls_us)


def _producer_time_us(packet: "Packet[Any]") -> int | None:
    """Return the camera's wall-clock time (libav's AVProducerReferenceTime), us since 1970."""
    if not packet.has_sidedata("prft"):
        return None
    return int(struct.unpack_from("=q", bytes(packet.get_sidedata("prft")))[0])
