"""The lanes of one partition's H.264 streams, and the units that are to be decoded next.

Admission decides in offset order where a chain of units ends, and decoding follows it: the owner
submits what is due after each step. The same records give the same results in a replay.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.media.video.lanes.unit_chain import ChainRules, UnitChain
from pipeline.media.video.lanes.unit_lane import Post, UnitJob, UnitLane
from pipeline.records import Frame, Keyframe, ParsedRecord, Reset

CHAIN_ENDS = frozenset({Reset.NEW, Reset.EPOCH, Reset.ENDED})
"""Resets after which a unit cannot continue the chain before it. A gap does not end a chain."""


@dataclass(frozen=True, slots=True)
class _DueUnit:
    """The next unit of a stream; `ends`: the chain before it has ended. None: it ends only."""

    stream: str
    ends: bool
    job: UnitJob | None


class StreamLanes:
    """The lanes of the streams of one partition. One owner thread.

    Suspected units are decoded where they cannot end the worker.
    """

    def __init__(self) -> None:
        self._suspects_end = 0
        self._lanes: dict[str, UnitLane] = {}
        self._due: list[_DueUnit] = []
        self._keyframes: Mapping[str, Keyframe] = {}  # of restored streams, whose chains go on
        self._primed_offset = self._restored_offset = 0  # units from one to the other are primed
        self._primed: deque[UnitJob] = deque()
        self._primed_bytes = 0
        self._swept_ms = 0

    def suspect(self, suspects_end: int) -> None:
        """Suspect the units below this offset."""
        self._suspects_end = suspects_end

    def enter(self, frame: Frame, now_ms: int, *, wanted: bool, ends: bool) -> UnitJob:
        """Make a unit due. `ends`: the chain before it has ended; `now_ms`: the partition's time.

        Units are decoded even if their pictures are not wanted, because later ones need them.
        """
        job = UnitJob(frame, now_ms, wanted, suspected=frame.offset < self._suspects_end)
        self._due.append(_DueUnit(frame.stream, ends, job))
        return job

    def restart(self, keyframes: Mapping[str, Keyframe], next_offset: int) -> int:
        """Let the chains of restored streams go on. Returns the offset to read from.

        The units from there to `next_offset` are decoded by `prime`.
        """
        self._keyframes = keyframes
        self._primed_offset = min([next_offset, *(one.offset for one in keyframes.values())])
        self._restored_offset = next_offset
        return self._primed_offset

    def prime(self, record: ParsedRecord) -> None:
        """Make a unit due that was finished before a restore, for those that follow it.

        Each offset is primed once, in order.
        """
        if not self._primed_offset <= record.offset < self._restored_offset:
            return
        self._primed_offset = record.offset + 1
        if not isinstance(record, Frame) or not record.unit:
            return
        keyframe = self._keyframes.get(record.stream)
        if keyframe is None or record.offset < keyframe.offset:
            return
        begins = record.offset == keyframe.offset
        self._primed.append(self.enter(record, keyframe.time_ms, wanted=False, ends=begins))
        self._primed_bytes += len(record.content)

    def end(self, stream: str) -> None:
        """End the chain of a stream after the units that are due."""
        if self._lanes or self._due:
            self._due.append(_DueUnit(stream, ends=True, job=None))

    def submit(self, rules: ChainRules, post: Post) -> list[UnitJob]:
        """Submit the units that are due to the lanes of their streams. Returns them."""
        due, self._due = self._due, []
        for one in due:
            if one.ends:
                self._drop(one.stream)
            if one.job is not None:
                lane = self._lanes.get(one.stream)
                if lane is None:
                    lane = self._lanes[one.stream] = UnitLane(UnitChain(rules), post)
                lane.submit(one.job)
        return [one.job for one in due if one.job is not None]

    def leave_out(self) -> None:
        """Leave out the waiting units that no wanted picture needs."""
        for lane in self._lanes.values():
            lane.leave_out()

    def primed_bytes(self) -> int:
        """Return about how many bytes of primed units wait to be decoded.

        Raises what a decoder raised that a unit's bytes do not explain: no record would show it.
        """
        while self._primed and self._primed[0].future.done():
            job = self._primed.popleft()
            self._primed_bytes -= len(job.frame.content)
            job.future.result()
        return self._primed_bytes

    def sweep(self, now_ms: int, most_age_ms: int) -> int:
        """Free the decoders of streams whose keyframe is too old to be continued; return how many.

        It checks only ten times in that age.
        """
        if now_ms - self._swept_ms < most_age_ms // 10:
            return 0
        self._swept_ms = now_ms
        silent = [
            name
            for name, lane in self._lanes.items()
            if lane.idle and now_ms - lane.began_ms > most_age_ms
        ]
        for name in silent:
            self._drop(name)
        return len(silent)

    def abandon(self) -> int:
        """Drop all units that wait and free all decoders; return how many lanes there were."""
        count = len(self._lanes)
        for lane in self._lanes.values():
            lane.abandon()
        self._lanes.clear()
        self._due.clear()
        self._primed.clear()
        self._primed_bytes = 0
        return count

    def _drop(self, stream: str) -> None:
        lane = self._lanes.pop(stream, None)
        if lane is not None:
            lane.end()
