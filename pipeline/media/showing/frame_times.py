"""Times of frames in files, and the list of formats whose time stamps libav invents."""

from fractions import Fraction

import av
from av.video.stream import VideoStream

# These formats have no time stamps. libav computes some from a rate, mostly 25 Hz: they say
# nothing about when a picture was taken.
INVENTED = frozenset(
    {
        "h264",
        "hevc",
        "image2",
        "image2pipe",
        "jpeg_pipe",
        "m4v",
        "mjpeg",
        "mpegvideo",
        "mpjpeg",
        "obu",
        "png_pipe",
        "webp_pipe",
    }
)
DECODE_TIMES = "avi"  # a format that has decode times only: libav passes them off as pts
DEFAULT_RATE = Fraction(25)
# A rate outside is none: encoders of a variable rate write the resolution of their clock instead.
RATES = (Fraction(1, 10), Fraction(240))


def declared_rate(format_name: str, stream: VideoStream) -> Fraction | None:
    """Return the frames a second that a stream declares, not what libav assumes.

    A raw stream declares its rate in its sequence parameter set, known after the first frame.
    """
    if format_name in INVENTED:
        rate = Fraction(stream.codec_context.framerate or 0)
    elif format_name == DECODE_TIMES:  # its average counts the frames that B-frames leave empty
        rate = stream.guessed_rate or stream.average_rate or Fraction(0)
    else:
        rate = stream.average_rate or stream.guessed_rate or Fraction(0)
    return rate if RATES[0] <= rate <= RATES[1] else None


class FrameTimes:
    """Computes the time of each frame of a file, in us since the first; times only grow.

    Frames come in presentation order. Where time stamps are missing, invented or do not grow,
    frames are counted at the rate of the stream. Raw streams have the rate of their sequence
    parameter set (SPS).
    """

    def __init__(self, format_name: str, stream: VideoStream) -> None:
        self._stream = stream
        self._format_name = format_name
        self._invented = format_name in INVENTED
        self._by_decoding = format_name == DECODE_TIMES
        self._origin_us: int | None = None
        self._step: Fraction | None = None
        self._counted = 0  # frames since `_base_us`
        self._base_us = 0
        self._last_us: int | None = None

    def time_of(self, frame: av.VideoFrame) -> int:
        """Return the time of the next frame in presentation order."""
        stamp_us = self._stamp_us(frame)
        counted_us = self._count()
        if stamp_us is not None and self._origin_us is None:
            self._origin_us = stamp_us - counted_us
        at_us = counted_us
        if stamp_us is not None and self._origin_us is not None:
            stamp_us -= self._origin_us
            if self._last_us is None or stamp_us > self._last_us:
                at_us = self._base_us = stamp_us
                self._counted = 0
        self._last_us = at_us
        return at_us

    def _count(self) -> int:
        if self._last_us is None:
            return 0
        self._counted += 1
        return self._base_us + round(self._counted * self._step_us())

    def _stamp_us(self, frame: av.VideoFrame) -> int | None:
        ticks = frame.dts if self._by_decoding else frame.pts
        if self._invented or ticks is None or self._stream.time_base is None:
            return None
        return round(ticks * self._stream.time_base * 1_000_000)

    def _step_us(self) -> Fraction:
        """Return the time between two frames. It is known when a frame has been decoded."""
        if self._step is None:
            declared = declared_rate(self._format_name, self._stream)
            self._step = 1_000_000 / (declared or DEFAULT_RATE)
        return self._step
