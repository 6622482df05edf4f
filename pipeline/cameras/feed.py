"""Reads one camera in a thread of its own: connect, read, detect stalls, connect again."""

import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Protocol

from pipeline.broker.shots import Shot
from pipeline.cameras.backoff import Backoff
from pipeline.cameras.capture.shutter import Shutter
from pipeline.cameras.capture.timing import Captured
from pipeline.cameras.passing.passage import LONG_GROUP_S
from pipeline.cameras.tally import CameraTally
from pipeline.cameras.values import ClockFault, Picture, PictureFate, PublishedAs, State
from pipeline.clock import Clock
from pipeline.errors import CameraLostError, LossReason

log = logging.getLogger(__name__)

AGAIN_S = 0.01
WELL_S = 10.0  # a connection that lasted this long resets the backoff
# A new connection may begin in the middle of a group of pictures: it can take so long (and
# `stall_s`) until the next keyframe. Connecting anew would begin in the middle again.
KEYFRAME_S = 60.0
WAITING = "waiting for a keyframe"


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
    """Passes the shots of one camera to `post`, and reconnects whenever the camera is lost.

    `post` never waits, and returns whether it accepted the shot; a shot that was not accepted is
    offered again. `stall_s` limits the time without a good picture on one connection. Feeds share
    nothing but `post`.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        shutter: Shutter,
        *,
        post: Callable[[Shot], bool],
        tally: CameraTally,
        backoff: Backoff,
        clock: Clock,
        stop: threading.Event,
        stall_s: float,
    ) -> None:
        self._name = name
        self._source = source
        self._shutter = shutter
        self._post = post
        self._tally = tally
        self._backoff = backoff
        self._clock = clock
        self._stall_s = stall_s
        self._stop = stop
        self._said = PublishedAs()  # what is known of it in the log
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
        self._shutter.connected()
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
        self._record_loss(lost)

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
                self._tally.count(picture)
                if picture is PictureFate.UNKEYED and not began:
                    waiting = True
                    self._wait_for_keyframe()
            limit_s = self._stall_s + (KEYFRAME_S if waiting else 0.0)
            if now_s - seen_s > limit_s:
                raise CameraLostError(LossReason.STALLED, _stall_words(limit_s, waiting=waiting))

    def _wait_for_keyframe(self) -> None:
        if not self._tally.why.startswith(WAITING):  # said once, not at every attempt
            self._change_state(self._tally.state, WAITING)
            log.info("%s: %s", self._name, WAITING)

    def _take(self, picture: Picture) -> bool:
        """Make a shot of one picture and post it; returns whether the picture was good."""
        taken = self._shutter.take(
            picture,
            arrived_us=round(self._clock.time() * 1e6),
            steady_us=round(self._clock.monotonic() * 1e6),
        )
        if (captured := self._shutter.captured) is not None:
            self._follow_clock(captured)
        if (new_epoch := self._shutter.take_new_epoch()) is not None:
            self._tally.count_epoch(new_epoch)
        self._follow_published(self._shutter.published)
        if isinstance(taken, Shot):
            self._tally.record_shot(taken.captured_us)
            while not self._post(taken) and not self._stop.wait(AGAIN_S):
                pass
        else:
            self._tally.count(taken)
        if taken is PictureFate.DAMAGED:
            return False
        state = State.FROZEN if taken is PictureFate.FROZEN else State.LIVE
        if state is not self._tally.state:
            self._become(state, picture)
        return True

    def _follow_clock(self, captured: Captured) -> None:
        """Count a picture that its own time stamp does not date, and log a change of trust."""
        if captured.redated is not None:
            self._tally.count_redated(captured.redated)
        if not self._tally.change_trust(captured.distrusted):
            return
        if captured.distrusted is None:
            log.info("%s: its time stamps are trusted again", self._name)
        elif captured.distrusted is ClockFault.JUMPED:
            log.warning("%s: its time stamps jumped", self._name)
        else:
            words = captured.distrusted.words
            log.warning(
                "%s: its time stamps %s; pictures are dated when they arrive", self._name, words
            )

    def _follow_published(self, published: PublishedAs) -> None:
        """Record what the frames are published as, and log it if it is not what was said last."""
        self._tally.change_published(published)
        said, self._said = self._said, published
        if published == said:
            return
        if not published.units and not published.why_not:  # not known: what was said is not wrong
            self._said = said
        elif published.units and not said.units:
            log.info("%s: its own H.264 is published", self._name)
        elif not published.units and published.why_not != said.why_not:
            log.info("%s: JPEG is published, not its own H.264: %s", self._name, published.why_not)
        if published.long_groups and not said.long_groups:
            log.warning(
                "%s: its keyframes are more than %g s apart: after a loss or a restart nothing can"
                " be decoded for so long; set its keyframe interval to 1 or 2 s",
                self._name,
                LONG_GROUP_S,
            )

    def _become(self, state: State, picture: Picture) -> None:
        if state is State.LIVE:
            self._change_state(state)
            own = picture.jpeg is not None or self._tally.published.units
            how = "passed through" if own else "encoded here"
            log.info("%s: live, %d x %d, %s", self._name, picture.width, picture.height, how)
        else:
            self._change_state(state, "its picture stands still")
            log.warning("%s: its picture stands still; withheld until it moves", self._name)

    def _change_state(self, state: State, why: str = "") -> bool:
        return self._tally.change_state(state, why, now_s=self._clock.time())

    def _record_loss(self, exc: CameraLostError) -> None:
        self._tally.count_loss(exc.reason)
        if exc.reason is LossReason.REFUSED:
            state = State.REFUSED
        elif self._tally.captured_us:
            state = State.STALLED
        else:
            state = State.CONNECTING
        if self._change_state(state, str(exc)):  # logged once, not at every attempt
            again = "; trying again" if self._source.retries else ""
            level = logging.WARNING if again or exc.reason is LossReason.REFUSED else logging.INFO
            log.log(level, "%s: %s: %s%s", self._name, exc.reason, exc, again)


def _stall_words(limit_s: float, *, waiting: bool) -> str:
    if waiting:
        return f"{WAITING}: none came in {limit_s:g} s; set its keyframe interval to 1 or 2 s"
    return f"no good picture for {limit_s:g} s (`stall_s`), though something came"
