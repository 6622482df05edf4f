"""One stream of a camera: its view, its shots, and its state in the log and for people."""

import logging
from collections.abc import Callable

from pipeline.broker.shots import Shot
from pipeline.cameras.capture.shutter import Shutter
from pipeline.cameras.capture.timing import Captured
from pipeline.cameras.passing.passage import LONG_GROUP_S
from pipeline.cameras.tally import CameraTally
from pipeline.cameras.values import ClockFault, Picture, PictureFate, PublishedAs, State
from pipeline.cameras.views.camera_view import CameraView, Viewfinder, WholePicture
from pipeline.cameras.views.rectangles import UnfitViewError
from pipeline.clock import Clock
from pipeline.errors import CameraLostError, LossReason, UndecodableFrameError

log = logging.getLogger(__name__)

WAITING = "waiting for a keyframe"
STANDS_STILL = "its picture stands still"


class CameraStream:
    """Makes shots of what its camera sends. The camera's thread uses it.

    `post` never waits, and returns whether it accepted the shot. Streams of one camera share
    nothing but its pictures: one that is refused does not stop the others.
    """

    def __init__(
        self,
        name: str,
        shutter: Shutter,
        *,
        view: CameraView,
        post: Callable[[Shot], bool],
        tally: CameraTally,
        clock: Clock,
    ) -> None:
        self.name = name
        self.tally = tally
        self._shutter = shutter
        self._viewfinder = Viewfinder(view)
        self._post = post
        self._clock = clock
        self._said = PublishedAs()  # what is known of it in the log

    def connected(self) -> None:
        """Prepare for a new connection."""
        self._shutter.connected()

    def take(
        self, whole: WholePicture, *, arrived_us: int, steady_us: int, pause: Callable[[], bool]
    ) -> bool:
        """Post a shot of what it shows of a picture; returns whether the picture was good.

        While the shot is not accepted, `pause` waits a moment; True ends the attempts.
        """
        try:
            picture = self._viewfinder.find(whole)
        except UnfitViewError as exc:
            self._refuse(str(exc))
            return True  # of no use here, but the camera is well
        except UndecodableFrameError:
            self.tally.count(PictureFate.DAMAGED)
            return False
        taken = self._shutter.take(picture, arrived_us=arrived_us, steady_us=steady_us)
        if (captured := self._shutter.captured) is not None:
            self._follow_clock(captured)
        if (new_epoch := self._shutter.take_new_epoch()) is not None:
            self.tally.count_epoch(new_epoch)
        self._follow_published(self._shutter.published)
        if isinstance(taken, Shot):
            self.tally.record_shot(taken.captured_us)
            while not self._post(taken) and not pause():
                pass
        else:
            self.tally.count(taken)
        if taken is PictureFate.DAMAGED:
            return False
        state = State.FROZEN if taken is PictureFate.FROZEN else State.LIVE
        if state is not self.tally.state:
            self._become(state, picture)
        return True

    def wait_for_keyframe(self) -> None:
        """Record that a new connection has not brought a keyframe yet."""
        if not self.tally.why.startswith(WAITING):  # said once, not at every attempt
            self._change_state(self.tally.state, WAITING)
            log.info("%s: %s", self.name, WAITING)

    def record_loss(self, exc: CameraLostError, *, retries: bool) -> None:
        """Count the loss of the camera and log it, once for each reason."""
        self.tally.count_loss(exc.reason)
        if exc.reason is LossReason.REFUSED:
            state = State.REFUSED
        elif self.tally.captured_us:
            state = State.STALLED
        else:
            state = State.CONNECTING
        if self._change_state(state, str(exc)):  # logged once, not at every attempt
            again = "; trying again" if retries else ""
            level = logging.WARNING if again or exc.reason is LossReason.REFUSED else logging.INFO
            log.log(level, "%s: %s: %s%s", self.name, exc.reason, exc, again)

    def _refuse(self, why: str) -> None:
        self.tally.count(PictureFate.UNFIT)
        if self._change_state(State.REFUSED, why):
            log.error("%s: %s; nothing of it is published", self.name, why)

    def _follow_clock(self, captured: Captured) -> None:
        """Count a picture that its own time stamp does not date, and log a change of trust."""
        if captured.redated is not None:
            self.tally.count_redated(captured.redated)
        if not self.tally.change_trust(captured.distrusted):
            return
        if captured.distrusted is None:
            log.info("%s: its time stamps are trusted again", self.name)
        elif captured.distrusted is ClockFault.JUMPED:
            log.warning("%s: its time stamps jumped", self.name)
        else:
            words = captured.distrusted.words
            log.warning(
                "%s: its time stamps %s; pictures are dated when they arrive", self.name, words
            )

    def _follow_published(self, published: PublishedAs) -> None:
        """Record what the frames are published as, and log it if it is not what was said last."""
        self.tally.change_published(published)
        said, self._said = self._said, published
        if published == said:
            return
        if not published.units and not published.why_not:  # not known: what was said is not wrong
            self._said = said
        elif published.units and not said.units:
            log.info("%s: its own H.264 is published", self.name)
        elif not published.units and published.why_not != said.why_not:
            log.info("%s: JPEG is published, not its own H.264: %s", self.name, published.why_not)
        if published.long_groups and not said.long_groups:
            log.warning(
                "%s: its keyframes are more than %g s apart: after a loss or a restart nothing can"
                " be decoded for so long; set its keyframe interval to 1 or 2 s",
                self.name,
                LONG_GROUP_S,
            )

    def _become(self, state: State, picture: Picture) -> None:
        if state is State.LIVE:
            self._change_state(state)
            own = picture.jpeg is not None or self.tally.published.units
            how = "passed through" if own else "encoded here"
            log.info("%s: live, %d x %d, %s", self.name, picture.width, picture.height, how)
        else:
            self._change_state(state, STANDS_STILL)
            log.warning("%s: %s; withheld until it moves", self.name, STANDS_STILL)

    def _change_state(self, state: State, why: str = "") -> bool:
        return self.tally.change_state(state, why, now_s=self._clock.time())
