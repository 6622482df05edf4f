"""Publishes the states of cameras, so that readers can tell a dead camera from a quiet one."""

import logging
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from pipeline.broker.outlet import Outlet
from pipeline.cameras.tally import CameraTally
from pipeline.cameras.values import Condition, PictureFate
from pipeline.clock import Clock
from pipeline.errors import BrokerUnavailableError, BrokerUnreachableError, LongtakeError
from pipeline.records import Outgoing
from pipeline.wire.camera_states import GONE, CameraState, removal

log = logging.getLogger(__name__)

LOOK_S = 0.25  # how often the states are looked at
AGAIN_S = 1.0  # until the next attempt while Kafka is away
LATER_S = 30.0  # until the next attempt after a refusal: the topic is missing, or not permitted
RENEW_S = 30.0  # a producer that fails for so long is replaced: its topic may have been deleted
MOST_RECORDS = 100  # of one burst, so that it fits into one request of 1 MiB
ENDED = "its process ended"
REMOVED = "removed from the configuration"


@dataclass(frozen=True, slots=True)
class _Report:
    """What is published of one camera at once: its state, and for a removed one the removal."""

    stream: str
    tally: CameraTally
    condition: Condition
    made_s: float  # by the monotonic clock
    records: tuple[Outgoing, ...]
    last: bool  # nothing more will be published of this camera


class StateReporter:
    """Publishes each camera's state when it changes, and every `every_s`. See `camera_states`.

    It has a thread and a producer of its own, so the cameras topic can be missing, refused or slow
    without an effect on frames. While nothing can be published, only the newest state of each
    camera counts. `connect` opens the producer, and raises as commands do at their start.
    """

    def __init__(
        self,
        tallies: Callable[[], Mapping[str, CameraTally]],
        connect: Callable[[], Outlet],
        *,
        every_s: float,
        process: str,
        clock: Clock,
    ) -> None:
        self._tallies = tallies
        self._connect = connect
        self._every_s = every_s
        self._process = process
        self._clock = clock
        self._started_s = clock.time()
        self._published: dict[str, _Report] = {}  # the newest report of each camera
        self._burst: list[_Report] = []  # not known to be in the log
        self._outlet: Outlet | None = None
        self._try_s = clock.monotonic()
        self._failing_s: float | None = None  # since when the present producer fails
        self._trouble = ""  # the kind of the last that was logged, until something is published
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="states", daemon=True)

    def start(self) -> None:
        """Call `turn` in a thread of its own until `stop`."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Publish that all cameras stopped, for at most `timeout_s`; nothing if not started."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                if not self.turn():
                    self._stopping.wait(LOOK_S)
            self.finish()
        except Exception as exc:  # noqa: BLE001 - frames go on without the states
            where = traceback.extract_tb(exc.__traceback__)[-1]  # its text may hold a password
            log.error(
                "the states of cameras are no longer published: a bug in longtake: %s at %s, line"
                " %d; frames are not affected",
                type(exc).__name__,
                where.name,
                where.lineno,
            )

    def turn(self) -> bool:
        """Publish what is due, up to `MOST_RECORDS`. Returns whether more is due at once."""
        if self._clock.monotonic() < self._try_s:
            return False
        if not self._burst:
            self._burst = list(islice(self._due(), MOST_RECORDS))
        full = len(self._burst) == MOST_RECORDS
        return bool(self._burst) and self._publish() and full

    def finish(self) -> None:
        """Publish that all cameras stopped, unless the last attempt failed; close the producer."""
        ends = [self._report(name, one, ENDED) for name, one in self._tallies().items()]
        for first in range(0, len(ends), MOST_RECORDS):
            if not self._trouble:
                self._burst = ends[first : first + MOST_RECORDS]
                self._publish()
        self._close()

    def _due(self) -> Iterator[_Report]:
        """Make the reports that are due: of removed cameras, of changes, and of long silence."""
        tallies, now_s = self._tallies(), self._clock.monotonic()
        for name, before in self._published.items():
            if name not in tallies:
                yield self._report(name, before.tally, REMOVED)
        for name, tally in tallies.items():
            known = self._published.get(name)
            if (
                known is None
                or known.condition is not tally.condition
                or now_s - known.made_s >= self._every_s
            ):
                yield self._report(name, tally)

    def _report(self, name: str, tally: CameraTally, ended: str = "") -> _Report:
        """Make the report of a camera as it is now; `ended` says why it is the last one."""
        condition, now_s = tally.condition, self._clock.time()
        state = CameraState(
            stream=name,
            state=GONE if ended else condition.state,
            since_ms=_ms(now_s if ended else condition.since_s),
            reason=ended or condition.why,
            at_ms=_ms(now_s),
            every_ms=_ms(self._every_s),
            process=self._process,
            started_ms=_ms(self._started_s),
            newest_ms=tally.captured_us // 1000 or None,
            fates={str(fate): tally.fates[fate] for fate in PictureFate},
        )
        more = (removal(name),) if ended == REMOVED else ()
        records = (state.write(), *more)
        return _Report(name, tally, condition, self._clock.monotonic(), records, last=bool(ended))

    def _publish(self) -> bool:
        """Publish the burst. Returns whether the log has it; otherwise the trouble is logged."""
        try:
            if self._outlet is None:
                self._outlet = self._connect()
            self._outlet.publish([one for report in self._burst for one in report.records])
        except (BrokerUnavailableError, BrokerUnreachableError) as exc:
            self._fail(exc, AGAIN_S, refused=False)
            return False
        except LongtakeError as exc:
            self._fail(exc, LATER_S, refused=True)
            return False
        for report in self._burst:
            self._record(report)
        self._burst, self._failing_s = [], None
        if self._trouble:
            log.info("the states of cameras are published again")
            self._trouble = ""
        return True

    def _record(self, report: _Report) -> None:
        removed = report.last and report.stream not in self._tallies()
        if removed:
            self._published.pop(report.stream, None)
        else:
            self._published[report.stream] = report

    def _fail(self, exc: LongtakeError, wait_s: float, *, refused: bool) -> None:
        """Log a trouble once, and wait. A producer that was refused, or fails long, is replaced."""
        now_s = self._clock.monotonic()
        self._try_s = now_s + wait_s
        self._failing_s = now_s if self._failing_s is None else self._failing_s
        if self._outlet is None or refused or now_s - self._failing_s > RENEW_S:
            self._close()
        kind = type(exc).__name__ if refused else "away"
        if self._trouble != kind:
            self._trouble = kind
            log.warning(
                "the states of cameras are not published for now: %s; frames are not affected", exc
            )

    def _close(self) -> None:
        """Give the producer up, and with it the burst: the next one has newer states."""
        outlet, self._outlet = self._outlet, None
        self._burst, self._failing_s = [], None
        if outlet is not None:
            outlet.close()


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
