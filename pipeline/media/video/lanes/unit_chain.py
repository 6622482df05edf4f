"""The chain of one stream: the units since its keyframe, and the decoder that has decoded them."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from engines.base import InputArray
from pipeline.errors import (
    CrashingFrameError,
    RecordError,
    UndecodableFrameError,
    UnkeyedFrameError,
)
from pipeline.media.video.lanes.decoder_limit import DecoderLimit
from pipeline.media.video.lanes.fitting import (
    FitOutcome,
    Fitted,
    FittingDecoder,
    LostDecoderError,
    OpenFitting,
)
from pipeline.media.video.outcomes import Broken
from pipeline.media.video.strict_chains import StrictH264
from pipeline.records import Frame

MAX_GROUP_BYTES = 32 << 20  # of a keyframe and what follows it; 60 s of video at 4 Mbit/s
UnitError = RecordError | UnkeyedFrameError
TRIES = 2  # of a unit that ends the process that decodes it


@dataclass(frozen=True, slots=True)
class UnitResult:
    """What became of a unit.

    `pixels` is None if there is an `error`, or if they were not wanted. `whole`: the next unit can
    be decoded. `key`: a chain began with this one. `decoded` is False if it was left out, because
    a keyframe behind it makes it unnecessary: then `whole` and `key` are not known.
    """

    pixels: InputArray | None = None
    error: UnitError | None = None
    whole: bool = False
    key: bool = False
    decoded: bool = True


LEFT_OUT = UnitResult(decoded=False)


def keyless_error(content: bytes) -> UnitError:
    """Return the error of a unit that is no keyframe, and has no chain before it: by its headers.

    It is the one that a new `UnitChain` gives.
    """
    try:
        StrictH264(b"").follow(content, whole=False)
    except UndecodableFrameError as exc:
        return exc
    return UnkeyedFrameError("no whole chain of units is before it")


@dataclass(frozen=True, slots=True)
class ChainRules:
    """How chains decode. `most_age_ms`: units of a partition's time after the keyframe.

    `sandboxed` opens decoders for units that may have ended a worker before.
    """

    open_fitting: OpenFitting
    sandboxed: OpenFitting
    limit: DecoderLimit
    most_age_ms: int


class UnitChain:
    """Decodes the units of one stream, in order. A function of the records since the keyframe.

    So a chain that begins at the keyframe again, after a restart, has the same results. It keeps
    the units since the keyframe, to decode them again if its decoder was closed or is lost.
    """

    def __init__(self, rules: ChainRules) -> None:
        self._rules = rules
        self._lock = threading.Lock()
        self._decoder: FittingDecoder | None = None
        self._kept: list[Frame] = []  # since the keyframe; empty: there is no whole chain
        self._suspected = False  # its keyframe may have ended a worker before
        self.kept_bytes = 0
        self.began_ms = 0  # the partition's time at its keyframe

    @property
    def whole(self) -> bool:
        """Whether all units since a keyframe were good."""
        return bool(self._kept)

    def feed(
        self, frame: Frame, *, now_ms: int, wanted: Callable[[], bool], suspected: bool
    ) -> UnitResult:
        """Decode the stream's next unit. `now_ms` is the partition's time at its record.

        `wanted` is asked before the picture is converted.
        """
        with self._lock:
            if self._kept and not frame.keyframe and self._too_old(now_ms):
                self._end()
            if not self._kept and not frame.keyframe:
                return UnitResult(error=keyless_error(frame.content))
            repeat = self._repeat(frame) if self._kept else None
            if repeat is not None:
                return UnitResult(error=UndecodableFrameError(repeat), whole=True)
            if not frame.keyframe and self.kept_bytes + len(frame.content) > MAX_GROUP_BYTES:
                self._end()
                error = f"its group has more than {MAX_GROUP_BYTES} bytes since the keyframe"
                return UnitResult(error=UndecodableFrameError(error))
            return self._decode(frame, now_ms, wanted=wanted, suspected=suspected)

    def park(self) -> bool:
        """See `Closable`."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            self._close_decoder()
        finally:
            self._lock.release()
        return True

    def close(self) -> None:
        """End the chain and free its decoder."""
        with self._lock:
            self._end()

    def _too_old(self, now_ms: int) -> bool:
        return now_ms - self.began_ms > self._rules.most_age_ms

    def _repeat(self, frame: Frame) -> str | None:
        """Return why a unit is not decoded though the chain is whole; None if it is."""
        first, last = self._kept[0], self._kept[-1]
        if frame.epoch is not None and first.epoch is not None and frame.epoch < first.epoch:
            return f"its epoch {frame.epoch} is before that of its keyframe, {first.epoch}"
        if frame.seq is not None and last.seq is not None and frame.seq <= last.seq:
            return f"its seq {frame.seq} is not after that of the last unit, {last.seq}"
        return None

    def _decode(
        self, frame: Frame, now_ms: int, *, wanted: Callable[[], bool], suspected: bool
    ) -> UnitResult:
        if frame.keyframe:
            self._end()
            self._suspected = suspected
        outcome = self._try(frame, wanted)
        if isinstance(outcome, Fitted):
            return self._continue(frame, now_ms, outcome)
        self._end()
        if outcome is None:
            error = f"a unit of {len(frame.content)} bytes crashed or hung its decoder in {TRIES}"
            return UnitResult(error=CrashingFrameError(f"{error} child processes"))
        if isinstance(outcome, Broken):
            return UnitResult(error=UndecodableFrameError(outcome.words))
        return UnitResult(error=keyless_error(frame.content))

    def _continue(self, frame: Frame, now_ms: int, fitted: Fitted) -> UnitResult:
        self._kept.append(frame)
        self.kept_bytes += len(frame.content)
        if fitted.key:
            self.began_ms = now_ms
            self._rules.limit.enter(self)
        error = UndecodableFrameError(fitted.words) if fitted.words else None
        return UnitResult(fitted.pixels, error, whole=True, key=fitted.key)

    def _try(self, frame: Frame, wanted: Callable[[], bool]) -> FitOutcome | None:
        """Decode a unit; None if the decoder is lost at each try."""
        for _ in range(TRIES):
            try:
                decoder = self._opened()
                return decoder.feed(frame.content, seq=frame.seq, wanted=wanted())
            except LostDecoderError:
                continue
        return None

    def _opened(self) -> FittingDecoder:
        """Return a decoder that has decoded the units since the keyframe. One may be open."""
        if self._decoder is not None and not self._decoder.lost:
            return self._decoder
        self._close_decoder()
        opened = self._rules.sandboxed() if self._suspected else self._rules.open_fitting()
        for frame in self._kept:
            opened.feed(frame.content, seq=frame.seq, wanted=False)
        self._decoder = opened
        if self._kept:
            self._rules.limit.enter(self)
        return opened

    def _end(self) -> None:
        self._close_decoder()
        self._rules.limit.leave(self)
        self._kept, self.kept_bytes, self._suspected = [], 0, False

    def _close_decoder(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None
