"""A camera on the network or at this machine, through libav: one connection, picture by picture."""

import errno
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Literal

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from pipeline.cameras.address import Address
from pipeline.cameras.values import Left, Lost, Picture
from pipeline.decode import MAX_PIXELS, picture_size, upright
from pipeline.errors import CameraLostError, UndecodableFrameError
from pipeline.sources import rotation

Transport = Literal["tcp", "udp"]

# A playlist from outside must not name our files.
NETWORK = "http,https,httpproxy,tcp,tls,crypto,udp,rtp,srtp,rtsp,rtmp,rtmps,rtmpt,srt,data"
# How long a stream is looked at before its first picture. By default libav measures its rate over
# twenty frames; and `nobuffer` would throw away what it looked at, up to the next key frame.
PROBING = {"fpsprobesize": "0", "analyzeduration": "500000"}  # microseconds

_REFUSALS = (
    av.HTTPClientError,
    av.InvalidDataError,
    av.DemuxerNotFoundError,
    av.DecoderNotFoundError,
    av.ProtocolNotFoundError,
    FileNotFoundError,
    PermissionError,
)


class LiveSource:
    """See `Source`. Its own MJPEG is passed through, all else is decoded by one thread.

    `connect_s` bounds the opening, `stall_s` every wait for more.
    """

    retries = True

    def __init__(
        self, address: Address, *, transport: Transport, connect_s: float, stall_s: float
    ) -> None:
        self._address = address
        self._transport = transport
        self._connect_s = connect_s
        self._stall_s = stall_s

    def pictures(self, stop: threading.Event) -> Iterator[Picture | Left | None]:
        """See `Source`."""
        with closing(self._open()) as container:
            stream = _video_of(container, self._address.shown)
            reader = _Reader(stream)
            try:
                for packet in container.demux():
                    if stop.is_set():
                        return
                    if packet.stream.index == stream.index:
                        yield from reader.read(packet)
                    else:
                        yield None
            except av.ExitError as exc:
                raise CameraLostError(
                    Lost.STALLED, f"nothing came for {self._stall_s:g} s"
                ) from exc
            except (av.FFmpegError, OSError) as exc:
                raise CameraLostError(Lost.BROKEN, _words(exc)) from exc
        raise CameraLostError(Lost.ENDED, "it said goodbye")

    def _open(self) -> InputContainer:
        url = self._address.url
        device = url.startswith("/dev/")
        options = dict(PROBING)
        if not device:
            options["protocol_whitelist"] = NETWORK
        if url.startswith(("rtsp:", "rtsps:")):
            options |= {"rtsp_transport": self._transport, "allowed_media_types": "video"}
        began_s = time.monotonic()
        try:
            return av.open(
                url,
                format="v4l2" if device else None,
                options=options,
                timeout=(self._connect_s, self._stall_s),
            )
        except (av.FFmpegError, OSError) as exc:
            raise self._unopened(exc, time.monotonic() - began_s) from exc

    def _unopened(self, exc: Exception, after_s: float) -> CameraLostError:
        """A server that says nothing can look like one that talks nonsense: the time tells."""
        if isinstance(exc, av.ExitError) or after_s >= self._connect_s:
            return CameraLostError(Lost.UNREACHABLE, f"no answer in {self._connect_s:g} s")
        lost = Lost.REFUSED if isinstance(exc, _REFUSALS) else Lost.UNREACHABLE
        return CameraLostError(lost, _words(exc))


class _Reader:
    """Packets of one connection to pictures."""

    def __init__(self, stream: VideoStream) -> None:
        self._stream = stream
        self._wall_us: int | None = None  # the camera's clock where its time stamps are 0
        self._passes = stream.codec_context.name == "mjpeg"
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}

    def read(self, packet: "Packet[Any]") -> Iterator[Picture | Left]:
        pts_us = self._microseconds(packet.pts)
        wall_us = _producer_time_us(packet)
        if wall_us is not None and pts_us is not None:
            self._wall_us = wall_us - pts_us
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
        return None if pts is None or base is None else round(pts * base * 1_000_000)

    def _wall(self, pts_us: int | None) -> int | None:
        return None if pts_us is None or self._wall_us is None else pts_us + self._wall_us


def _producer_time_us(packet: "Packet[Any]") -> int | None:
    """What the camera says the time was (libav's AVProducerReferenceTime), since 1970."""
    if not packet.has_sidedata("prft"):
        return None
    return int(struct.unpack_from("=q", bytes(packet.get_sidedata("prft")))[0])


def _video_of(container: InputContainer, shown: str) -> VideoStream:
    if container.format.name == "tty":  # libav shows any text as a film of a terminal
        raise CameraLostError(Lost.REFUSED, "a text, no video")
    if not container.streams.video:
        raise CameraLostError(Lost.REFUSED, f"{shown} has no video")
    return container.streams.video[0]


def _words(exc: Exception) -> str:
    """Why, without the address: libav repeats it, with its password."""
    if isinstance(exc, av.HTTPUnauthorizedError):
        return "it wants another user or password"
    if isinstance(exc, av.HTTPNotFoundError):
        return "it has nothing at this path"
    if isinstance(exc, av.InvalidDataError):
        return "what it sends is no video"
    if isinstance(exc, OSError) and exc.errno == errno.EIO:
        return "it cannot be reached, or its name is not known"
    strerror = getattr(exc, "strerror", None)
    return str(strerror) if strerror else type(exc).__name__
