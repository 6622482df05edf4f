"""From the packets of a container or a connection to outcomes, for any codec."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import av
from av.packet import Packet
from av.video.frame import PictureType
from av.video.stream import VideoStream

from pipeline.errors import UndecodableFrameError
from pipeline.media.video.first_slice import Codec
from pipeline.media.video.headers.annexb import Framing
from pipeline.media.video.orientation import Orientation
from pipeline.media.video.outcomes import Broken, Decoded, Outcome, Unkeyed
from pipeline.media.video.regrouping import Regrouper, TimedUnit
from pipeline.media.video.storable_chain import StorableChain
from pipeline.media.video.unit_decoder import UnitDecoder

CHECKED = ("h264", "hevc")  # whose units are checked, each with its own settings of the decoder
# Decoders of libav that mark keyframes, by what stands in the stream
KEYED = frozenset({"flv", "h263", "libdav1d", "mpeg1video", "mpeg2video", "mpeg4", "vp8", "vp9"})
MOST_DELAYED = 32  # packets whose pictures a decoder holds back


class PacketDecoder(Protocol):
    """Decodes the packets of one stream. One thread at a time."""

    def feed(self, packet: "Packet[Any]") -> Sequence[Outcome]:
        """Decode a packet; returns what is known now. The empty packet at the end ends the stream.

        Whatever libav says of a packet is an outcome, never an exception.
        """


def packet_decoder(stream: VideoStream) -> PacketDecoder:
    """Return the decoder for a stream. Its codec context must not have been used.

    Raises `UndecodableFrameError` if no decoder is known for its codec, or the parameter sets of
    the container cannot be read.
    """
    if stream.codec_context is None:  # PyAV's own types do not say so
        raise UndecodableFrameError("video in a codec that is not known")
    name = stream.codec_context.name
    if name == "h264":
        return _UnitPackets(stream, "h264")
    if name == "hevc":
        return _UnitPackets(stream, "hevc")
    return _PlainPackets(name)


class _UnitPackets:
    """H.264 and H.265: regrouped to units, whose damage and losses are detected."""

    def __init__(self, stream: VideoStream, codec: Codec) -> None:
        context = stream.codec_context
        self._codec: Codec = codec
        self._framing = Framing.of(codec, context.extradata or b"")
        self._regrouper = Regrouper(codec)
        self._decoder = UnitDecoder(codec, context, sets=self._framing.sets)
        self._storable = StorableChain() if codec == "h264" else None

    def feed(self, packet: "Packet[Any]") -> Sequence[Outcome]:
        """See `PacketDecoder`."""
        if packet.size:
            units = self._units(packet)
            return [outcome for unit in units for outcome in self._decode(unit)]
        last = [outcome for unit in self._regrouper.end() for outcome in self._decode(unit)]
        return [*last, *self._decoder.end()]

    def _decode(self, unit: TimedUnit) -> Sequence[Outcome]:
        outcomes = self._decoder.feed(unit)
        if self._storable is None:
            return outcomes
        judged = self._storable.judge(unit, outcomes, self._decoder.sets)
        return [replace(one, unit=judged) if isinstance(one, Decoded) else one for one in outcomes]

    def _units(self, packet: "Packet[Any]") -> list[TimedUnit]:
        payload = bytes(packet)
        damaged = packet.is_corrupt
        content = b""
        try:
            content = self._framing.annexb(payload)
            if packet.has_sidedata("new_extradata"):
                extradata = bytes(packet.get_sidedata("new_extradata"))
                sets = Framing.of(self._codec, extradata).sets
                payload, content = self._framing.with_sets(payload, sets), sets + content
        except UndecodableFrameError:
            damaged = True
        unit = TimedUnit(
            content,
            packet.pts,
            packet.dts,
            packet.time_base,
            damaged=damaged,
            shown=not packet.is_discard,
            payload=payload if self._framing.length_bytes else None,
        )
        if self._framing.length_bytes:  # a packet is a sample of the file: it is never in pieces
            return [unit]
        return list(self._regrouper.add(unit))


class _PlainPackets:
    """Other codecs: libav alone decides what is damaged. A packet that is lost is not detected.

    In codecs of which libav marks keyframes, nothing comes before the first, and after damage
    nothing until the next. libav would go on with pictures that build on the damage, and some of
    its decoders begin anywhere. A B picture waits for the picture behind it, on which it builds.
    """

    def __init__(self, codec: str) -> None:
        self._orientation = Orientation()
        self._keyed = codec in KEYED
        self._whole = not self._keyed  # what the next pictures build on is there
        self._began = False
        # Pictures can come later than their packets. The packets of these were fed while what they
        # build on was there, in decoding order.
        self._on_whole: deque[int] = deque(maxlen=MOST_DELAYED)
        self._fed: deque[int] = deque(maxlen=MOST_DELAYED)  # time stamps of all packets
        self._before_loss = frozenset[int]()
        self._held = list[Decoded]()  # B pictures

    def feed(self, packet: "Packet[Any]") -> Sequence[Outcome]:
        """See `PacketDecoder`."""
        if packet.is_corrupt and packet.size:
            return [self._lose("a part of it was lost on the way")]
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError, MemoryError) as exc:
            if self._keyed and not self._began and not packet.is_keyframe:
                return [Unkeyed()]  # libav refuses to begin here
            return [self._lose(f"does not decode ({type(exc).__name__})")]
        if packet.pts is not None:
            self._fed.append(packet.pts)
            if self._whole:
                self._on_whole.append(packet.pts)
        outcomes = [one for frame in frames for one in self._outcomes(frame)]
        return outcomes if packet.size else [*outcomes, *self._release()]

    def _outcomes(self, frame: object) -> list[Outcome]:
        if not isinstance(frame, av.VideoFrame):
            return [self._lose("its picture is damaged")]
        if frame.is_corrupt:
            following = [Unkeyed() for _ in self._held]
            self._held = []
            self._forget_from(frame.pts)
            return [*following, self._lose("its picture is damaged")]
        if not self._whole and frame.pts not in self._on_whole:
            if not frame.key_frame or frame.pts in self._before_loss:
                return [Unkeyed()]
            self._whole = True
        self._began = True
        decoded = Decoded(frame, orientation=self._orientation.of(frame, message=None))
        if self._keyed and frame.pict_type == PictureType.B and len(self._held) < MOST_DELAYED:
            self._held.append(decoded)
            return []
        return [*self._release(), decoded]

    def _release(self) -> list[Outcome]:
        held, self._held = self._held, []
        return list(held)

    def _forget_from(self, pts: int | None) -> None:
        """Forget a picture, whose damage is known only now, and those that were decoded after."""
        while self._on_whole and self._on_whole.pop() != pts:
            pass

    def _lose(self, words: str) -> Broken:
        self._whole = not self._keyed
        self._before_loss = frozenset(self._fed)
        return Broken(words)
