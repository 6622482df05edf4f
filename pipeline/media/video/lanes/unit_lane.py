"""The queue of one stream's units: decoded in order, one at a time, in the threads of others."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from engines.base import InputArray
from pipeline.media.headers.picture_headers import RGB_BYTES
from pipeline.media.video.headers.h264_unit import keyframe_pixels
from pipeline.media.video.lanes.unit_chain import LEFT_OUT, UnitChain, UnitError, UnitResult
from pipeline.records import Frame

Post = Callable[[Frame, int, Callable[[], None]], object]
"""Runs a call that decodes a unit in some thread. The number is its picture's size in RGB."""


@dataclass(slots=True)
class UnitJob:
    """A unit that is to be decoded, and its result. `now_ms`: the partition's time at its record.

    `certain`: it is a keyframe that begins a chain, or ends it, whatever is before it. If its
    picture is not `wanted`, it is decoded for those that follow. `refused`: it needed no decoder.
    Only the owner thread writes.
    """

    frame: Frame
    now_ms: int
    wanted: bool
    suspected: bool = False
    certain: bool = False
    refused: bool = False
    future: Future[UnitResult] = field(default_factory=Future)

    def set_certain(self, follows: bool) -> None:  # noqa: FBT001 - the value itself
        """Set whether a keyframe is certainly no repeat."""
        self.certain = follows

    def unwant(self) -> None:
        """Give up the picture. The unit is decoded all the same."""
        self.wanted = False

    def refuse(self, error: UnitError) -> None:
        """End a unit that needs no decoder."""
        self.refused = True
        self.future.set_result(UnitResult(error=error))

    def pixels(self) -> InputArray:
        """Return the model's input once the unit is decoded. Raises its error."""
        result = self.future.result()
        if result.error is not None:
            raise result.error
        if result.pixels is None:
            raise AssertionError(f"offset {self.frame.offset} is decoded, but was not wanted")
        return result.pixels


class UnitLane:
    """Decodes the units of one stream in order. `submit` and the rest: owner thread."""

    def __init__(self, chain: UnitChain, post: Post) -> None:
        self._chain = chain
        self._post = post
        self._lock = threading.Lock()
        self._waiting: deque[UnitJob] = deque()
        self._running = False
        self._closing = False
        self._newest: tuple[int | None, int | None] = (None, None)  # largest epoch and seq
        self._unpacked_bytes = 0  # of a picture, as its newest keyframe says

    @property
    def idle(self) -> bool:
        """Whether no unit waits or is decoded."""
        return not self._running and not self._waiting

    @property
    def began_ms(self) -> int:
        """The partition's time at the keyframe of the chain."""
        return self._chain.began_ms

    def submit(self, job: UnitJob) -> None:
        """Decode a unit after those before it."""
        follows = self._follows(job.frame)
        if job.frame.keyframe:
            job.set_certain(follows)
            self._unpacked_bytes = RGB_BYTES * keyframe_pixels(job.frame.content)
        with self._lock:
            self._waiting.append(job)
            if self._running:
                return
            self._running = True
        self._post(job.frame, self._unpacked_bytes, self._run)

    def leave_out(self) -> None:
        """Leave out waiting units whose pictures are not wanted before a keyframe that waits.

        No unit is left out whose chain is needed, or without which it is not certain where a chain
        begins.
        """
        if len(self._waiting) < 2:
            return
        with self._lock:
            waiting = list(self._waiting)
            end = 0
            for index, job in enumerate(waiting):
                if job.frame.keyframe:
                    if not job.certain:
                        break
                    end = index
                if job.wanted:
                    break
            left_out = waiting[:end]
            self._waiting = deque(waiting[end:])
        for job in left_out:
            if job.future.set_running_or_notify_cancel():
                job.future.set_result(LEFT_OUT)

    def end(self) -> None:
        """Free the decoder once the waiting units are decoded. No more units come."""
        with self._lock:
            self._closing = True
            running = self._running
        if not running:
            self._chain.close()

    def abandon(self) -> None:
        """Drop the waiting units, and free the decoder."""
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
        for job in waiting:
            job.future.cancel()
        self.end()

    def _follows(self, frame: Frame) -> bool:
        """Whether a unit is certainly no repeat: by all numbers before it. Counts the unit."""
        epoch, seq = self._newest
        later_epoch = epoch is None or frame.epoch is None or frame.epoch >= epoch
        later_seq = seq is None or frame.seq is None or frame.seq > seq
        self._newest = _larger(epoch, frame.epoch), _larger(seq, frame.seq)
        return later_epoch and later_seq

    def _run(self) -> None:
        """Decode the next unit, then post the one after it."""
        with self._lock:
            job = self._waiting.popleft() if self._waiting else None
        if job is not None and job.future.set_running_or_notify_cancel():
            self._decode(job)
        with self._lock:
            self._running = bool(self._waiting)
            following = self._waiting[0] if self._waiting else None
            closing = self._closing and following is None
        if following is not None:
            self._post(following.frame, self._unpacked_bytes, self._run)
        elif closing:
            self._chain.close()

    def _decode(self, job: UnitJob) -> None:
        try:
            result = self._chain.feed(
                job.frame, now_ms=job.now_ms, wanted=lambda: job.wanted, suspected=job.suspected
            )
        except BaseException as exc:  # noqa: BLE001 - as an executor does: it is raised by `result`
            self._chain.close()
            job.future.set_exception(exc)
        else:
            job.future.set_result(result)


def _larger(one: int | None, other: int | None) -> int | None:
    return other if one is None or (other is not None and other > one) else one
