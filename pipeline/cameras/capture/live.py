"""A camera on the network or at this machine, through libav: one connection, picture by picture."""

import struct
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from statistics import median_low
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from pipeline.cameras.capture.connecting import Transport, open_camera, video_of
from pipeline.cameras.capture.pacing import Burst, paced
from pipeline.cameras.values import Left, Lost, Picture
from pipeline.clock import Clock
from pipeline.errors import CameraLostError, UndecodableFrameError
from pipeline.media.address import Address
from pipeline.media.pictures import MAX_PIXELS, picture_size, upright
from pipeline.media.refusals import words_of
from pipeline.media.sources import rotation

INVENTS_TIMES = "mpjpeg"  # libav's format of MJPEG over HTTP, which has none: 25 a second
IN_PIECES = "hls"


class LiveSource:
    """See `Source`. Its own MJPEG is passed through, all else is decoded by one thread.

    `connect_s` bounds the opening, `stall_s` every wait for more.
    """

    retries = True

    def __init__(
        self,
        address: Address,
        *,
        transport: Transport,
        connect_s: float,
        stall_s: float,
        clock: Clock,
    ) -> None:
        self._address = address
        self._transport = transport
        self._connect_s = connect_s
        self._stall_s = stall_s
        self._clock = clock
        self._waited_s = 0.0

    def pictures(self, stop: threading.Event) -> Iterator[Picture | Left | None]:
        """See `Source`."""
        with closing(self._open()) as container:
            stream = video_of(container)
            pictures = self._read(container, stream, stop)
            if container.format.name == IN_PIECES:
                yield from paced(pictures, clock=self._clock, stop=stop)
            else:
                yield from self._caught_up(pictures)
        if not stop.is_set():
            raise CameraLostError(Lost.ENDED, "the connection was closed")

    def _caught_up(
        self, pictures: Iterator[Picture | Left | None]
    ) -> Iterator[Picture | Left | None]:
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
        self, container: InputContainer, stream: VideoStream, stop: threading.Event
    ) -> Iterator[Picture | Left | None]:
        """What comes, as it comes; notes how long it was waited for."""
        reader = _Reader(stream, counts=container.format.name != INVENTS_TIMES)
        packets = container.demux()
        try:
            while not stop.is_set():
                began_s = self._clock.monotonic()
                packet = next(packets, None)
                self._waited_s = self._clock.monotonic() - began_s
                if packet is None:
                    return
                if packet.stream.index == stream.index:
                    yield from reader.read(packet)
                else:
                    yield None
        except av.ExitError:
            words = f"nothing came for {self._stall_s:g} s"
            raise CameraLostError(Lost.STALLED, words) from None
        except (av.FFmpegError, OSError) as exc:
            words = f"the connection broke ({words_of(exc)})"
            raise CameraLostError(Lost.BROKEN, words) from None

    def _open(self) -> InputContainer:
        return open_camera(
            self._address,
            transport=self._transport,
            connect_s=self._connect_s,
            stall_s=self._stall_s,
            clock=self._clock,
        )


class _Reader:
    """Packets of one connection to pictures; `counts` tells whether their time stamps are its own.

    A packet's wall clock can be that of the packet after it: libav's parser has a delay. What it
    says of time stamp 0 is the same for all, so the median of some is right.
    """

    def __init__(self, stream: VideoStream, *, counts: bool) -> None:
        self._stream = stream
        self._counts = counts
        self._walls_us: deque[int] = deque(maxlen=9)  # the camera's clock at time stamp 0
        self._passes = stream.codec_context.name == "mjpeg"
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}

    def read(self, packet: "Packet[Any]") -> Iterator[Picture | Left]:
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
            yield Left.DAMAGED

    def _pass(self, packet: "Packet[Any]", pts_us: int | None) -> Iterator[Picture]:
        jpeg = bytes(packet)
        if jpeg:  # the last packet is empty
            width, height = picture_size(jpeg)
            yield Picture(width, height, jpeg=jpeg, pts_us=pts_us, wall_us=self._wall(pts_us))

    def _decode(self, packet: "Packet[Any]") -> Iterator[Picture | Left]:
        for frame in packet.decode():
            if not isinstance(frame, av.VideoFrame) or frame.is_corrupt:
                yield Left.DAMAGED
                continue
            pts_us = self._microseconds(frame.pts)
            shown = upright(frame, rotation(frame))
            yield Picture(
                shown.width, shown.height, frame=shown, pts_us=pts_us, wall_us=self._wall(pts_us)
            )

    def _microseconds(self, pts: int | None) -> int | None:
        base = self._stream.time_base
        if pts is None or base is None or not self._counts:
            return None
        return round(pts * base * 1_000_000)

    def _wall(self, pts_us: int | None) -> int | None:
        if pts_us is None or not self._walls_us:
            return None
        return pts_us + median_low(self._walls_us)


def _producer_time_us(packet: "Packet[Any]") -> int | None:
    """What the camera says the time was (libav's AVProducerReferenceTime), since 1970."""
    if not packet.has_sidedata("prft"):
        return None
    return int(struct.unpack_from("=q", bytes(packet.get_sidedata("prft")))[0])
