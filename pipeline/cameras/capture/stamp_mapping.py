"""Maps the time stamps of one connection to our clock, while they can be trusted."""

from dataclasses import dataclass, replace

from pipeline.cameras.capture.arrivals_map import OFF_US, SETTLE_US, SLEW, ArrivalsMap
from pipeline.cameras.capture.sender_reports import SenderReports
from pipeline.cameras.capture.stamp_checks import AGREE_US, JUMP_US, WILD, Misfits, Trust, Unwrapped
from pipeline.cameras.values import ClockFault

BACK_US = 100_000  # time stamps may be this much out of order
STILL = 3  # pictures in a row with the same stamp
MOST_STEP_US = 500_000  # a replaced stamp is at most this much after the one before


@dataclass(frozen=True, slots=True)
class Stamp:
    """The times of one picture in us: its stamp, the camera's wall clock, and its arrival."""

    pts_us: int
    wall_us: int | None
    arrived_us: int
    elapsed_us: int  # since the picture before arrived

    @property
    def difference_us(self) -> int:
        """The arrival minus the stamp: larger by the delay than our clock minus the camera's."""
        return self.arrived_us - self.pts_us


@dataclass(frozen=True, slots=True)
class Dated:
    """When a picture was taken by its stamp; `redated`: why the stamp was not used."""

    at_us: int
    jumped: bool = False
    redated: ClockFault | None = None


class StampMapping:
    """The mapping of one connection.

    The camera's wall clock (`SenderReports`) is used while it is near ours, otherwise the fastest
    arrivals (`ArrivalsMap`). A single stamp that does not continue those before is replaced;
    several in a row that agree are a jump (`Misfits`). Stamps that stand still, fit nothing, or run
    at a wrong rate are not trusted (`Trust`): then the arrival counts.
    """

    def __init__(self) -> None:
        self._trust = Trust()
        self._wraps = Unwrapped()
        self._misfits = Misfits()
        self._reports = SenderReports()
        self._map: ArrivalsMap | None = None
        self._newest_us = 0  # the newest stamp that continued those before
        self._same = 0  # pictures with this stamp
        self._by_reports = False
        self._offset_us = 0.0  # our clock minus the stamp, of the last picture
        self._residual_us = 0.0  # of it: decays slowly, so that a better source moves no times
        self._step_us = MOST_STEP_US
        self._jumped_us: int | None = None  # the arrival after a jump, until the map has settled

    @property
    def distrusted(self) -> ClockFault | None:
        """Why the stamps are not used at present, or not certain yet."""
        if self._trust.fault is not None and not self._by_reports:
            return self._trust.fault
        return None if self._jumped_us is None else ClockFault.JUMPED

    @property
    def _trusted(self) -> bool:
        return self._by_reports or self._trust.fault is None

    def date(self, stamp: Stamp, *, last_us: int) -> Dated:
        """Return when a picture was taken; `last_us` is the time of the one before."""
        pts_us = self._wraps.unwrap(stamp.pts_us, stamp.elapsed_us)
        stamp = replace(stamp, pts_us=pts_us)
        if self._jumped_us is not None and stamp.arrived_us - self._jumped_us >= SETTLE_US:
            self._jumped_us = None
        mapped = self._map
        if mapped is None:
            return self._continued(self._begin(stamp), stamp, last_us)
        if stamp.pts_us == self._newest_us:
            return self._repeated(stamp, last_us)
        if not self._misfit(mapped, stamp):
            return self._continued(mapped, stamp, last_us)
        if not self._misfits.add(stamp.difference_us):
            return self._replaced(stamp, last_us)
        jumped = False
        if self._distant(mapped, stamp):
            jumped = self._trust.believes_jump(stamp.arrived_us) and self._trusted
        self._jumped_us = stamp.arrived_us
        return replace(self._continued(self._begin(stamp), stamp, last_us), jumped=jumped)

    def _begin(self, stamp: Stamp) -> ArrivalsMap:
        self._map = ArrivalsMap(stamp.pts_us, stamp.arrived_us)
        self._newest_us = stamp.pts_us
        self._reports, self._by_reports, self._residual_us = SenderReports(), False, 0.0
        return self._map

    def _misfit(self, mapped: ArrivalsMap, stamp: Stamp) -> bool:
        most_us = OFF_US if mapped.settled(stamp.arrived_us) else JUMP_US
        early_us = mapped.offset_us - stamp.difference_us
        if stamp.pts_us < self._newest_us - BACK_US or early_us > most_us:
            return True
        return abs(early_us) > AGREE_US and self._misfits.like(stamp.difference_us)

    def _distant(self, mapped: ArrivalsMap, stamp: Stamp) -> bool:
        back = stamp.pts_us < self._newest_us - BACK_US
        return back or abs(mapped.offset_us - stamp.difference_us) > JUMP_US

    def _repeated(self, stamp: Stamp, last_us: int) -> Dated:
        self._same += 1
        if self._same >= STILL:
            self._trust.lose(ClockFault.STILL, stamp.arrived_us)
            self._by_reports = False
        return self._between(stamp, last_us, ClockFault.STILL)

    def _replaced(self, stamp: Stamp, last_us: int) -> Dated:
        if self._misfits.count >= WILD:
            self._trust.lose(ClockFault.WILD, stamp.arrived_us)
            self._by_reports = False
        return self._between(stamp, last_us, ClockFault.WILD)

    def _between(self, stamp: Stamp, last_us: int, why: ClockFault) -> Dated:
        if not self._trusted:
            return Dated(stamp.arrived_us, redated=why)
        step_us = min(stamp.elapsed_us, self._step_us)
        return Dated(last_us + step_us, redated=why)

    def _continued(self, mapped: ArrivalsMap, stamp: Stamp, last_us: int) -> Dated:
        self._misfits, self._same = Misfits(), 1
        self._newest_us = max(stamp.pts_us, self._newest_us)
        self._wraps.accept(stamp.pts_us)
        fault = mapped.follow(stamp.pts_us, stamp.arrived_us)
        if fault is not None:
            self._trust.lose(fault, stamp.arrived_us)
            mapped = self._map = ArrivalsMap(stamp.pts_us, stamp.arrived_us)
        self._trust.look(stamp.arrived_us)
        target_us = self._reported_us(mapped, stamp)
        if self._trust.fault is not None and (
            target_us is None or stamp.pts_us + target_us <= last_us
        ):
            self._by_reports, self._residual_us = False, 0.0
            self._offset_us = stamp.difference_us
            return Dated(stamp.arrived_us, redated=self._trust.fault)
        by_reports = target_us is not None
        if target_us is None:
            target_us = mapped.offset_us
        if by_reports != self._by_reports and mapped.settled(stamp.arrived_us):
            self._residual_us = max(-JUMP_US, min(JUMP_US, self._offset_us - target_us))
        self._by_reports = by_reports
        self._residual_us = _nearer_zero(self._residual_us, SLEW * max(0, stamp.elapsed_us))
        self._offset_us = target_us + self._residual_us
        at_us = round(stamp.pts_us + self._offset_us)
        if at_us > last_us:
            self._step_us = min(MOST_STEP_US, at_us - last_us)
        return Dated(at_us)

    def _reported_us(self, mapped: ArrivalsMap, stamp: Stamp) -> float | None:
        if stamp.wall_us is None:
            return None
        return self._reports.offset_us(stamp.pts_us, stamp.wall_us, ours_us=mapped.offset_us)


def _nearer_zero(value: float, most: float) -> float:
    return value - max(-most, min(most, value))
