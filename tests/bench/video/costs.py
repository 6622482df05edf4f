"""CPU time and bytes of one camera's frames, as JPEG and as its own H.264.

All of it runs in this thread, in longtake's own code: what `longtake camera` does with the packets
of a camera until a shot is ready, and what a worker does with a record until the model's input is.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av

from engines.model.bundle import Bundle
from pipeline.broker.shots import Shot, ShotKind
from pipeline.cameras.capture.reading import PacketReader
from pipeline.cameras.capture.shutter import Exposure, Shutter
from pipeline.cameras.values import Picture
from pipeline.config import KEYFRAME_S, MAX_DECODERS
from pipeline.media.decoder import Decoder
from pipeline.media.headers.picture_headers import FRAME_PIXELS
from pipeline.media.kinds import decoder_for, open_fitting_for
from pipeline.media.video.lanes.decoder_limit import DecoderLimit
from pipeline.media.video.lanes.unit_chain import ChainRules, UnitChain
from pipeline.records import Frame, Record
from pipeline.wire.frames import read_frame
from tests.bench.served import BenchError

BEGAN_MS = 1_800_000_000_000
MAX_BYTES = 8 << 20
AS_JPEG = ""  # see `Exposure.obstacle`
AS_UNITS = None


@dataclass(frozen=True, slots=True)
class SideCost:
    """One pass over a film. Times are CPU time. `restore` is by stream, and 0 for JPEG.

    The mean is that of a stream which stops anywhere in its group, the maximum that of one which
    stops at its end.
    """

    kb: float  # of a frame in the log: key, value and headers, 1 KB = 1000 bytes
    producer_ms: float
    worker_ms: float
    restore_ms: float = 0.0
    most_restore_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class CostPair:
    """Both sides of a film, measured directly after each other."""

    jpeg: SideCost
    h264: SideCost


class Costs:
    """Measures films, with the input size of a bundle."""

    def __init__(self, bundle: Bundle) -> None:
        opens = open_fitting_for(bundle.input, max_frame_pixels=FRAME_PIXELS)
        if opens is None:
            raise BenchError(f"{bundle.id} takes no units of H.264")
        self._decoder: Decoder = decoder_for(bundle.input, max_frame_pixels=FRAME_PIXELS)
        self._rules = ChainRules(opens, opens, DecoderLimit(MAX_DECODERS), round(1000 * KEYFRAME_S))

    def measure(self, film: Path) -> CostPair:
        """Measure one pass over a film."""
        jpegs, jpeg_ms = shoot(film, AS_JPEG)
        units, unit_ms = shoot(film, AS_UNITS)
        pictures, chained = records(jpegs), records(units)
        decoder, chain = self._decoder, UnitChain(self._rules)
        jpeg = SideCost(
            _kb(pictures), jpeg_ms, _mean_ms(pictures, lambda frame: decoder(frame.content))
        )
        worker_ms = _mean_ms(chained, lambda frame: _pixels(chain, frame))
        chain.close()
        restores = self.restores(chained)
        unit_cost = SideCost(
            _kb(chained), unit_ms, worker_ms, statistics.fmean(restores), max(restores)
        )
        return CostPair(jpeg, unit_cost)

    def restores(self, units: Sequence[Record]) -> list[float]:
        """Return, for each unit, the CPU ms to bring the decoder of its stream back behind it."""
        chain, spent_ms, after = UnitChain(self._rules), 0.0, list[float]()
        for record in units:
            frame = _read(record)
            if frame.keyframe:
                chain.close()
                chain, spent_ms = UnitChain(self._rules), 0.0
            began_s = time.thread_time()
            result = chain.feed(frame, now_ms=0, wanted=lambda: False, suspected=False)
            spent_ms += 1000 * (time.thread_time() - began_s)
            if result.error is not None:
                raise BenchError(f"unit {frame.seq}: {result.error}")
            after.append(spent_ms)
        chain.close()
        return after


def shoot(film: Path, obstacle: str | None) -> tuple[list[Shot], float]:
    """Make the shots of a camera that sends this film. Returns them, and the CPU ms of each."""
    shutter = Shutter("cam-1", Exposure(obstacle=obstacle), epoch_s=1)
    shots = []
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        reader = PacketReader(stream, timed=True)
        began_s = time.thread_time()
        for packet in container.demux(stream):
            for picture in reader.read(packet):
                if isinstance(picture, Picture):
                    shot = shutter.take(picture, arrived_us=BEGAN_MS * 1000 + (picture.pts_us or 0))
                    if not isinstance(shot, Shot):
                        raise BenchError(f"{film.name}: a picture ended as {shot}")
                    shots.append(shot)
        spent_s = time.thread_time() - began_s
    wanted_unit = obstacle is AS_UNITS
    if not shots or any((shot.kind is ShotKind.PICTURE) is wanted_unit for shot in shots):
        why = shutter.published.why_not or "it was to be encoded"
        raise BenchError(f"{film.name} is not published as wanted: {why}")
    return shots, 1000 * spent_s / len(shots)


def records(shots: Sequence[Shot]) -> list[Record]:
    """Return the records of shots, as the log holds them."""
    return [
        Record(0, n, shot.captured_us // 1000, shot.stream.encode(), shot.content, shot.headers)
        for n, shot in enumerate(shots)
    ]


def _read(record: Record) -> Frame:
    frame = read_frame(record, max_bytes=MAX_BYTES)
    if not isinstance(frame, Frame):
        raise BenchError(f"offset {record.offset} is no frame: {frame}")
    return frame


def _pixels(chain: UnitChain, frame: Frame) -> None:
    result = chain.feed(frame, now_ms=0, wanted=lambda: True, suspected=False)
    if result.pixels is None:
        raise BenchError(f"unit {frame.seq} gave no picture: {result.error}")


def _mean_ms(logged: Sequence[Record], decode: Callable[[Frame], object]) -> float:
    """Return the CPU ms of a record: parsing, decoding and fitting."""
    began_s = time.thread_time()
    for record in logged:
        decode(_read(record))
    return 1000 * (time.thread_time() - began_s) / len(logged)


def _kb(logged: Sequence[Record]) -> float:
    return statistics.fmean(record.size for record in logged) / 1000
