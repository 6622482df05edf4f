"""One stream as the page knows it: what came last, when, and the state that follows from that.

Times are seconds of the reader's monotonic clock, so no camera's clock decides what is out of date.
"""

from collections import deque

from pipeline.judging.camera_watch import UNKNOWN, CameraChange
from pipeline.judging.chain import Link
from pipeline.live.moments import Past
from pipeline.records import EndOfStream, Frame
from pipeline.wire.camera_states import GONE
from pipeline.wire.predictions import Prediction

QUIET_S = 3.0  # without a frame, of a camera that sends one a second or more
MISSED_FRAMES = 3  # of a slower camera
LONGEST_QUIET_S = 60.0
LATE_S = 5.0  # from capture to reading
RATE_S = 5.0
MOST_ARRIVALS = 300
LIVE = "live"
BY_OTHERS = (UNKNOWN, GONE)  # another program may publish the frames that come all the same


class LiveStream:
    """The newest frame and prediction of one stream, and its past. One owner at a time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.past = Past()
        self.newest: Prediction | None = None
        self.behind_s = 0.0  # of the newest prediction, from capture to reading
        self._predicted_s: float | None = None
        self._arrivals: deque[float] = deque(maxlen=MOST_ARRIVALS)
        self._ended = False

    def predicted(self, link: Link, said: Prediction, *, now_s: float, time_s: float) -> None:
        """Take the next prediction. `time_s` is the time of day."""
        self.newest, self._predicted_s = said, now_s
        self.behind_s = max(0.0, time_s - said.captured_s)
        self.past.follow(link, said)

    def arrived(self, frame: Frame | EndOfStream, *, now_s: float) -> None:
        """Take the next record of the frames topic."""
        self._ended = isinstance(frame, EndOfStream)
        if not self._ended:
            self._arrivals.append(now_s)

    def fps(self, now_s: float) -> float:
        """Return how many frames came a second, of the last RATE_S seconds."""
        return sum(at_s > now_s - RATE_S for at_s in self._arrivals) / RATE_S

    def quiet_s(self, now_s: float) -> float | None:
        """Return for how long no frame has come; None if none ever did."""
        return now_s - self._arrivals[-1] if self._arrivals else None

    def silent_s(self, now_s: float) -> float | None:
        """Return for how long no prediction has come; None if none ever did."""
        return None if self._predicted_s is None else now_s - self._predicted_s

    def state(self, camera: CameraChange | None, *, now_s: float) -> tuple[str, str]:
        """Return the state in a word or two, and its reason, which may be empty."""
        if self._ended:
            return "ended", "its camera has ended the stream"
        quiet_s, silent_s = self.quiet_s(now_s), self.silent_s(now_s)
        flows = quiet_s is not None and quiet_s <= self._patience_s()
        if (
            camera is not None
            and camera.state != LIVE
            and not (flows and camera.state in BY_OTHERS)
        ):
            return camera.state, camera.reason
        if quiet_s is not None and not flows:
            return "stalled", f"no frame for {quiet_s:.0f} s"
        if quiet_s is not None and (silent_s is None or silent_s > self._patience_s()):
            return "no predictions", "frames arrive, and no worker's predictions of them"
        if silent_s is not None and silent_s > LONGEST_QUIET_S:
            return "stalled", f"nothing for {silent_s:.0f} s"
        if self.behind_s > LATE_S:
            return "late", f"predictions come {self.behind_s:.0f} s after their frames"
        return LIVE, ""

    def _patience_s(self) -> float:
        """Return for how long this stream may be quiet: by how often its frames came."""
        if len(self._arrivals) < 2:
            return QUIET_S
        usual_s = (self._arrivals[-1] - self._arrivals[0]) / (len(self._arrivals) - 1)
        return min(max(QUIET_S, MISSED_FRAMES * usual_s), LONGEST_QUIET_S)
