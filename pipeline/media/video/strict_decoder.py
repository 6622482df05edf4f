"""Decodes one stream unit by unit, each to its own picture, or not at all."""

import av
from av.video.codeccontext import VideoCodecContext

from pipeline.errors import UndecodableFrameError
from pipeline.media.headers.picture_headers import MAX_PIXELS
from pipeline.media.video.first_slice import Codec
from pipeline.media.video.orientation import Orientation
from pipeline.media.video.outcomes import Broken, Decoded, Outcome, Unkeyed
from pipeline.media.video.strict_chains import StrictChain, StrictH264, StrictH265, StrictLink
from pipeline.media.video.strictness import open_at_once


class StrictDecoder:
    """Decodes the units of one stream: one access unit in, its picture or the reason out.

    For H.264 the outcomes are a function of the bytes since the keyframe, damaged ones included:
    a decoder that starts at the keyframe gives the same pictures and the same words. For H.265
    only undamaged units have that property, and damage within a unit is detected only if the
    stream has checksums (MD5 SEI). One thread at a time. `sets`: parameter sets in Annex B, for
    streams whose keyframes come without any; keyframes that have their own ignore it. Units with
    more than `max_pixels` are refused before they are decoded.
    """

    def __init__(self, codec: Codec, *, sets: bytes = b"", max_pixels: int = MAX_PIXELS) -> None:
        self._codec: Codec = codec
        self._sets = sets
        self._max_pixels = max_pixels
        self._orientation = Orientation()
        self._chain = self._new_chain()
        self._decoder: VideoCodecContext | None = None
        self._seq: int | None = None
        self._number = 0  # of the unit in its chain

    @property
    def whole(self) -> bool:
        """Whether all units since a keyframe were good, so that the next one can be decoded."""
        return self._decoder is not None

    def feed(self, content: bytes, *, seq: int | None = None) -> Outcome:
        """Decode one unit. A hole in `seq`, the number of the unit, ends the chain."""
        try:
            link = self._chain.follow(content, whole=self.whole)
            if link is None:
                return Unkeyed()
            if link.width * link.height > self._max_pixels:
                raise UndecodableFrameError(
                    f"video of {link.width} x {link.height} pixels; at most {self._max_pixels} are"
                    " decoded (max_frame_pixels)"
                )
            if link.key or self._decoder is None:
                self._decoder = open_at_once(self._codec, sets=link.sets)
                self._number = 0
                self._orientation = Orientation()
            elif seq is not None and self._seq is not None and seq != self._seq + 1:
                raise UndecodableFrameError(
                    f"units are missing before it: seq is {seq}, not {self._seq + 1}"
                )
            picture = self._decode(content, link, self._decoder)
        except UndecodableFrameError as exc:
            return self._end(str(exc))
        except (av.FFmpegError, ValueError, MemoryError) as exc:
            return self._end(f"does not decode ({type(exc).__name__})")
        self._seq = seq
        turn = self._orientation.of(picture, turned=link.turned)
        return Decoded(picture, key=link.key, orientation=turn)

    def _decode(
        self, content: bytes, link: StrictLink, decoder: VideoCodecContext
    ) -> av.VideoFrame:
        self._number += 1
        packet = av.Packet(content)
        packet.pts = packet.dts = self._number
        pictures = decoder.decode(packet)
        if len(pictures) != 1 or pictures[0].pts != self._number:
            raise UndecodableFrameError(
                f"{len(pictures)} pictures come of it, not its own: they are reordered"
            )
        picture = pictures[0]
        if picture.is_corrupt:
            raise UndecodableFrameError("its picture is damaged")
        if (picture.width, picture.height) != (link.width, link.height):
            raise UndecodableFrameError(
                f"its picture is {picture.width} x {picture.height},"
                f" its SPS says {link.width} x {link.height}"
            )
        picture.pts = None  # the unit's number, of no use to others
        return picture

    def _end(self, words: str) -> Broken:
        self._decoder = None
        self._chain = self._new_chain()
        return Broken(words)

    def _new_chain(self) -> StrictChain:
        return StrictH264(self._sets) if self._codec == "h264" else StrictH265(self._sets)
