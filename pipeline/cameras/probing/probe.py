"""Reads a camera for some seconds and measures what it sends.

Fields that ffprobe reports too have ffprobe's names. The rate of a live camera is measured by
packet arrivals, the rate of a file by its time stamps.
Pictures are decoded to detect damage and B-frames.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import PictureType
from av.video.stream import VideoStream

from pipeline.cameras.capture.connecting import Connecting, open_camera, video_of
from pipeline.cameras.capture.timing import CaptureClock
from pipeline.cameras.passing.obstacles import obstacle
from pipeline.cameras.passing.passage import KEYFRAME_S, Passage
from pipeline.cameras.probing.arrivals import Arrival, clock_offset_s, gop_frames, jitter_s, rate_hz
from pipeline.cameras.values import ClockFault
from pipeline.clock import Clock
from pipeline.errors import CameraLostError, SourceError, UndecodableFrameError
from pipeline.media.address import Address
from pipeline.media.opening.media import Limits
from pipeline.media.pictures import decode_upright
from pipeline.media.refusals import words_of
from pipeline.media.showing.display import shown
from pipeline.media.showing.frame_times import INVENTED, declared_rate
from pipeline.media.video.outcomes import Decoded
from pipeline.media.video.packet_decoders import packet_decoder

PATIENCE_S = 10.0
LIMITS = Limits(connect_s=PATIENCE_S, read_s=PATIENCE_S)
SETTLING_S = 1.0  # packets sent while the stream was being opened arrive all at once: not measured

_PARSED = ("h264", "hevc")


@dataclass(frozen=True, slots=True)
class Probed:
    """What a camera sends. None: could not be measured, or does not apply."""

    live: bool  # False for a file: the measures of arrival do not apply
    format_name: str
    codec_name: str
    profile: str | None
    pix_fmt: str
    width: int
    height: int
    avg_frame_rate: float | None  # as declared, frames a second
    fps: float | None  # as measured
    bit_rate: int | None  # as measured, bits a second
    gop_frames: int | None  # frames from keyframe to keyframe
    gop_s: float | None
    b_frames: bool
    first_picture_s: float  # from the call until the first picture was decoded
    frames: int
    frames_damaged: int  # or with no whole keyframe before them
    packets_lost: int  # RTP packets that never arrived
    wall_clock: bool  # whether RTCP sender reports contain capture times
    clock_offset_s: float | None  # the camera's clock minus ours, too low by the network delay
    arrival_jitter_s: float | None
    clock_fault: ClockFault | None = None  # why the time stamps are not trusted
    wild_stamps: int = 0  # single time stamps that do not continue those before
    passes_through: bool = False  # whether its own H.264 can be published
    why_not_passed: str = ""


def _ignore(picture: av.VideoFrame) -> None:
    del picture


def probe(
    address: Address,
    how: Connecting,
    *,
    seconds: float,
    clock: Clock,
    cut: bool = False,
    show: Callable[[av.VideoFrame], None] = _ignore,
) -> Probed:
    """Read for `seconds`, or `seconds` of a file; `show` gets the newest picture, upright.

    `cut`: its pictures would be cut or masked. Raises `SourceError`.
    """
    if not address.is_live and Path(address.url).is_dir():
        raise SourceError(f"{address.shown}: a folder; one camera or video file is probed")
    began_s = clock.time()
    with _translated(address), closing(open_camera(address, how, clock)) as media:
        stream = video_of(media.container)
        watched = _StreamStatistics(
            media.container,
            stream,
            live=address.is_live,
            clock=clock,
            obstacle=obstacle(address, transport=how.transport, cut=cut),
        )
        for packet in media.packets(stream):
            if packet.size:
                watched.take(packet)
            if watched.span_s > seconds:
                break
        if watched.newest is None:
            raise SourceError(
                f"{address.shown}: sent {len(watched.arrivals)} packets, and none of them is a"
                f" picture that decodes ({stream.codec_context.name})"
            )
        show(watched.newest_shown())
        first_s = watched.first_picture_at_s - began_s
        return watched.summary(watched.newest, first_picture_s=first_s, lost=media.missed_packets)


@contextmanager
def _translated(address: Address) -> Iterator[None]:
    try:
        yield
    except CameraLostError as exc:
        raise SourceError(f"{address.shown}: {exc}") from None
    except UndecodableFrameError as exc:
        raise SourceError(f"{address.shown}: {exc}") from None
    except (av.ExitError, TimeoutError):
        raise SourceError(f"{address.shown}: no picture for {PATIENCE_S:g} s") from None
    except (av.FFmpegError, OSError) as exc:
        raise SourceError(f"{address.shown}: the connection broke ({words_of(exc)})") from None


class _StreamStatistics:
    """Collects statistics of a stream, packet by packet."""

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        *,
        live: bool,
        clock: Clock,
        obstacle: str | None,
    ) -> None:
        self.arrivals: list[Arrival] = []
        self.newest: av.VideoFrame | None = None
        self.first_picture_at_s = 0.0
        self._orientation, self._jpeg = 1, b""  # of the newest picture; its JPEG if it came as one
        self._format_name, self._stream = container.format.name, stream
        self._decoder = packet_decoder(stream)
        self._passage = Passage(obstacle=obstacle, keyframe_s=KEYFRAME_S)
        self._timed = container.format.name not in INVENTED
        self._live, self._clock = live, clock
        self._steady_from_s = clock.time() + (SETTLING_S if live else 0.0)
        self._frames = self._damaged = 0
        self._b_frames = False
        self._capture_clock = CaptureClock()
        self._clock_fault: ClockFault | None = None
        self._wild_stamps = 0

    @property
    def span_s(self) -> float:
        """How many seconds of steady arrivals were read, or how many seconds of a file."""
        times_s = self._times_s()
        return times_s[-1] - times_s[0] if times_s else 0.0

    def take(self, packet: "Packet[VideoStream]") -> None:
        """Record a packet's arrival, and decode the pictures in it."""
        ticks = packet.pts if packet.dts is None else packet.dts
        reference = bytes(packet.get_sidedata("prft"))[:8]  # microseconds since 1970, by RTCP
        arrival = Arrival(
            at_s=self._clock.time(),
            sent_s=float(ticks * packet.time_base) if self._timed and ticks is not None else None,
            taken_s=int.from_bytes(reference, "little") / 1e6 if reference else None,
            size_bytes=packet.size,
            keyframe=packet.is_keyframe,
        )
        self.arrivals.append(arrival)
        if self._live and arrival.at_s >= self._steady_from_s:
            self._follow_clock(arrival)
        for outcome in self._decoder.feed(packet):
            if isinstance(outcome, Decoded):
                self._see(outcome.picture)
                self._orientation = outcome.orientation
                self._jpeg = bytes(packet) if self._stream.codec_context.name == "mjpeg" else b""
                at_s = arrival.at_s if arrival.sent_s is None else arrival.sent_s
                self._passage.decide(outcome.unit, round(at_s * 1e6), too_large=False)
            else:
                self._damaged += 1

    def newest_shown(self) -> av.VideoFrame:
        """Return the newest picture as `longtake camera` shows it. Raises what decoders raise."""
        if self._jpeg:
            return decode_upright(self._jpeg)
        if self.newest is None:
            raise UndecodableFrameError("no picture has come")
        return shown(self.newest, self._orientation)

    def summary(self, newest: av.VideoFrame, *, first_picture_s: float, lost: int) -> Probed:
        """Return all measures; size and pixel format are those of the newest picture."""
        codec, steady = self._stream.codec_context, self._steady()
        fps, gop = rate_hz(self._times_s()), gop_frames(self.arrivals)
        declared = declared_rate(self._format_name, self._stream)
        published = self._passage.published
        return Probed(
            live=self._live,
            format_name=self._format_name,
            codec_name=codec.name,
            profile=codec.profile,
            pix_fmt=newest.format.name,
            width=newest.width,
            height=newest.height,
            avg_frame_rate=float(declared) if declared else None,
            fps=fps,
            bit_rate=round(8 * fps * mean(one.size_bytes for one in steady)) if fps else None,
            gop_frames=gop,
            gop_s=gop / fps if gop and fps else None,
            b_frames=self._b_frames,
            first_picture_s=first_picture_s,
            frames=self._frames,
            frames_damaged=self._damaged,
            packets_lost=lost,
            wall_clock=any(one.taken_s is not None for one in self.arrivals),
            clock_offset_s=self._offset_s(fps),
            arrival_jitter_s=jitter_s(steady) if self._live else None,
            clock_fault=self._clock_fault,
            wild_stamps=self._wild_stamps,
            passes_through=published.units,
            why_not_passed=published.why_not
            or ("" if published.units else f"no keyframe came in {self.span_s:.0f} s"),
        )

    def _follow_clock(self, arrival: Arrival) -> None:
        if arrival.sent_s is None:
            return
        captured = self._capture_clock.capture(
            round(arrival.sent_s * 1e6),
            None if arrival.taken_s is None else round(arrival.taken_s * 1e6),
            arrived_us=round(arrival.at_s * 1e6),
            steady_us=round(self._clock.monotonic() * 1e6),
        )
        if captured.distrusted not in (None, ClockFault.JUMPED):
            self._clock_fault = captured.distrusted
        self._wild_stamps += captured.redated is ClockFault.WILD

    def _see(self, frame: av.VideoFrame) -> None:
        if self.newest is None:
            self.first_picture_at_s = self._clock.time()
        self.newest = frame
        self._frames += 1
        self._b_frames |= frame.pict_type == PictureType.B

    def _steady(self) -> list[Arrival]:
        """Return the arrivals at the camera's own pace: after `SETTLING_S`; all of a file."""
        return [one for one in self.arrivals if one.at_s >= self._steady_from_s]

    def _times_s(self) -> list[float]:
        """Return the arrival times of packets; of a file, its time stamps."""
        if self._live:
            return [one.at_s for one in self._steady()]
        return [one.sent_s for one in self.arrivals if one.sent_s is not None]

    def _offset_s(self, fps: float | None) -> float | None:
        """Correct the offset for H.264: libav's parser returns a frame when the next one begins."""
        offset_s = clock_offset_s(self._steady())
        if offset_s is None or fps is None or self._stream.codec_context.name not in _PARSED:
            return offset_s
        return offset_s + 1 / fps
