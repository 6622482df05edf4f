"""Reads one camera in a thread of its own: connect, read, detect stalls, connect again."""

import threading
import traceback
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Protocol

from pipeline.cameras.backoff import Backoff
from pipeline.cameras.values import Picture, PictureFate
from pipeline.cameras.views.camera_stream import WAITING, CameraStream
from pipeline.cameras.views.camera_view import WholePicture
from pipeline.clock import Clock
from pipeline.errors import CameraLostError, LossReason

AGAIN_S = 0.01
WELL_S = 10.0  # a connection that lasted this long resets the backoff
# A new connection may begin in the middle of a group of pictures: it can take so long (and
# `stall_s`) until the next keyframe. Connecting anew would begin in the middle again.
KEYFRAME_S = 60.0


class Source(Protocol):
    """A source of pictures. `retries` is False if a new connection would make no sense."""

    retries: bool

    def pictures(self, stop: threading.Event) -> Iterator[Picture | PictureFate | None]:
        """Connect and yield what arrives until the source is lost: then raise `CameraLostError`.

        A `PictureFate` stands for a picture that cannot be used. None stands for any other data;
        it is yielded so that the caller can check its limits. No wait is longer than the source's
        own limits. `stop` ends the iteration.
        """


class Feed:
    """Passes the pictures of one camera to its streams, and reconnects whenever it is lost.

    All streams live on one connection, and each picture is decoded once for all that cut it.
    `stall_s` limits the time without a good picture on one connection.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        streams: Sequence[CameraStream],
        *,
        backoff: Backoff,
        clock: Clock,
        stop: threading.Event,
        stall_s: float,
    ) -> None:
        self._source = source
        self._streams = streams
        self._backoff = backoff
        self._clock = clock
        self._stall_s = stall_s
        self._stop = stop
        self.over = False  # no more shots will come
        self._thread = threading.Thread(target=self.run, name=f"camera-{name}", daemon=True)

    def start(self) -> None:
        """Start `run` in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Request the end, from any thread; it comes when the source returns."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread to end."""
        self._thread.join(timeout_s)

    def run(self) -> None:
        """Connect again and again until `stop`, or until a source without retries ends."""
        try:
            while not self._stop.is_set():
                self._connect()
                if not self._source.retries or self._stop.wait(self._backoff.wait_s()):
                    break
        finally:
            self.over = True

    def _connect(self) -> None:
        """Read one connection until it is lost."""
        for stream in self._streams:
            stream.connected()
        began_s = self._clock.monotonic()
        try:
            self._watch()
        except CameraLostError as exc:
            lost = exc
        except Exception as exc:  # noqa: BLE001 - after any error this camera is tried again
            where = traceback.extract_tb(exc.__traceback__)[-1]  # its text may hold a password
            words = f"a bug in longtake: {type(exc).__name__} at {where.name}, line {where.lineno}"
            lost = CameraLostError(LossReason.BROKEN, words)
        else:
            return
        if self._clock.monotonic() - began_s >= WELL_S:
            self._backoff.reset()
        for stream in self._streams:
            stream.record_loss(lost, retries=self._source.retries)

    def _watch(self) -> None:
        seen_s = self._clock.monotonic()
        began = waiting = False
        for picture in self._source.pictures(self._stop):
            if self._stop.is_set():
                return
            now_s = self._clock.monotonic()
            if isinstance(picture, Picture) and self._take(picture):
                seen_s = now_s
                began, waiting = True, False
            elif isinstance(picture, PictureFate):
                waits = picture is PictureFate.UNKEYED and not began
                waiting |= waits
                self._leave_out(picture, waiting=waits)
            limit_s = self._stall_s + (KEYFRAME_S if waiting else 0.0)
            if now_s - seen_s > limit_s:
                raise CameraLostError(LossReason.STALLED, _stall_words(limit_s, waiting=waiting))

    def _leave_out(self, fate: PictureFate, *, waiting: bool) -> None:
        for stream in self._streams:
            stream.tally.count(fate)
            if waiting:
                stream.wait_for_keyframe()

    def _take(self, picture: Picture) -> bool:
        """Hand one picture to all streams; returns whether it was good for any."""
        whole = WholePicture(picture)
        arrived_us = round(self._clock.time() * 1e6)
        steady_us = round(self._clock.monotonic() * 1e6)
        pause = partial(self._stop.wait, AGAIN_S)
        good = [
            stream.take(whole, arrived_us=arrived_us, steady_us=steady_us, pause=pause)
            for stream in self._streams
        ]
        return any(good)


def _stall_words(limit_s: float, *, waiting: bool) -> str:
    if waiting:
        return f"{WAITING}: none came in {limit_s:g} s; set its keyframe interval to 1 or 2 s"
    return f"no good picture for {limit_s:g} s (`stall_s`), though something came"
