"""From the packets of a container or a connection to outcomes, for any codec."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import av
from av.packet import Packet
from av.video.stream import VideoStream

from pipeline.errors import UndecodableFrameError
from pipeline.media.video.first_slice import Codec
from pipeline.media.video.headers.annexb import Framing
from pipeline.media.video.orientation import Orientation
from pipeline.media.video.outcomes import Broken, Decoded, Outcome
from pipeline.media.video.regrouping import Regrouper, TimedUnit
from pipeline.media.video.storable_chain import StorableChain
from pipeline.media.video.unit_decoder import UnitDecoder

CHECKED = ("h264", "hevc")  # whose units are checked, each with its own settings of the decoder


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
    return _PlainPackets()


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
    """Other codecs: libav alone decides what is damaged. What stands on damage is not detected."""

    def __init__(self) -> None:
        self._orientation = Orientation()

    def feed(self, packet: "Packet[Any]") -> Sequence[Outcome]:
        """See `PacketDecoder`."""
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError, MemoryError) as exc:
            return [Broken(f"does not decode ({type(exc).__name__})")]
        return [self._outcome(frame) for frame in frames]

    def _outcome(self, frame: object) -> Outcome:
        if not isinstance(frame, av.VideoFrame) or frame.is_corrupt:
            return Broken("its picture is damaged")
        return Decoded(frame, orientation=self._orientation.of(frame, turned=False))
