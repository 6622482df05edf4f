"""Turns the packets of one connection into pictures."""

import struct
from collections import deque
from collections.abc import Iterator
from statistics import median_low
from typing import Any

from av.packet import Packet
from av.video.stream import VideoStream

from pipeline.cameras.values import Picture, PictureFate
from pipeline.errors import UndecodableFrameError
from pipeline.media.headers.picture_headers import MAX_PIXELS
from pipeline.media.pictures import picture_size
from pipeline.media.showing.display import shown
from pipeline.media.video.outcomes import Decoded, Unkeyed
from pipeline.media.video.packet_decoders import CHECKED, packet_decoder


class PacketReader:
    """Reads the packets of one stream. `timed`: the time stamps are real.

    MJPEG is passed through without decoding. A packet's wall-clock time can be that of the packet
    after it, because libav's parser has a delay. But wall-clock time minus time stamp is the same
    for all packets, so the median of the last differences is right. Raises `UndecodableFrameError`
    here if the stream cannot be decoded.
    """

    def __init__(self, stream: VideoStream, *, timed: bool) -> None:
        self._stream = stream
        self._timed = timed
        self._walls_us: deque[int] = deque(maxlen=9)  # the camera's clock at time stamp 0
        decoder = packet_decoder(stream)
        codec = stream.codec_context
        self._decoder = None if codec.name == "mjpeg" else decoder
        if codec.name not in CHECKED:
            codec.thread_count = 1
            codec.options = {"max_pixels": str(MAX_PIXELS)}

    def read(self, packet: "Packet[Any]") -> Iterator[Picture | PictureFate | None]:
        """Yield the pictures that are known now, and fates for pictures that are left out.

        Yields None if the packet settles neither, so that the caller always gets something.
        """
        pts_us = self._microseconds(packet.pts)
        wall_us = _producer_time_us(packet)
        if wall_us is not None and pts_us is not None:
            self._walls_us.append(wall_us - pts_us)
        if self._decoder is None:
            yield self._pass(packet, pts_us)
            return
        outcomes = self._decoder.feed(packet)
        if not outcomes:
            yield None
        for outcome in outcomes:
            if isinstance(outcome, Decoded):
                yield self._picture(outcome)
            else:
                yield PictureFate.UNKEYED if isinstance(outcome, Unkeyed) else PictureFate.DAMAGED

    def _pass(self, packet: "Packet[Any]", pts_us: int | None) -> Picture | PictureFate | None:
        jpeg = bytes(packet)
        if not jpeg:  # the last packet is empty
            return None
        try:
            width, height = picture_size(jpeg)
        except UndecodableFrameError:
            return PictureFate.DAMAGED
        return Picture(width, height, jpeg=jpeg, pts_us=pts_us, wall_us=self._wall(pts_us))

    def _picture(self, decoded: Decoded) -> Picture | PictureFate:
        try:
            whole = shown(decoded.picture, decoded.orientation)
        except UndecodableFrameError:
            return PictureFate.DAMAGED
        pts_us = self._microseconds(decoded.picture.pts)
        return Picture(
            whole.width,
            whole.height,
            frame=whole,
            pts_us=pts_us,
            wall_us=self._wall(pts_us),
            unit=decoded.unit,
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
