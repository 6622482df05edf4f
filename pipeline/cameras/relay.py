"""Sends the shots of all cameras to the broker, in order; while it is away, to the spool."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Protocol

from pipeline.broker.shots import Shot, ShotOutcome, Uplink
from pipeline.cameras.lane import Cuts, Lane
from pipeline.cameras.spool import Spool
from pipeline.cameras.values import PictureFate
from pipeline.clock import Clock
from pipeline.errors import LongtakeError, OutputError
from pipeline.tracing.capture_traces import CaptureTraces

log = logging.getLogger(__name__)

WINDOW_BYTES = 16 << 20  # sent to the broker and not acknowledged
LATE_S = 1.0  # a broker that has not answered for this long counts as away
AGAIN_S = 1.0
IDLE_S = 0.05


class FateCounter(Protocol):
    """Counts the fates of shots."""

    def count(self, stream: str, fate: PictureFate, shots: int) -> None:
        """Count shots of a stream that ended with this fate."""

    def published(self, shot: Shot, age_s: float) -> None:
        """Count a shot that the broker acknowledged `age_s` after its capture."""


class Relay:
    """Carries the shots of all cameras to the log. `post` from any thread; one thread calls `turn`.

    The relay numbers each shot, and sends shots to the broker in the order of their numbers. While
    the broker answers, a shot is sent at once. Otherwise shots wait in the spool, and new shots
    wait behind them. If the broker stored a shot but its answer was lost, the shot is sent again:
    it has the same `seq`, `epoch` and time, so workers drop it as a duplicate. A unit of video is
    dropped with all that continue it (`Cuts`).
    `connect` opens an uplink whenever there is none, on the executor `opening`; `uplink` is the
    first one, if the caller has opened it already. Without `traces` no shot has a span.
    """

    def __init__(
        self,
        connect: Callable[[], Uplink],
        spool: Spool,
        counter: FateCounter,
        *,
        uplink: Uplink | None,
        opening: Executor,
        clock: Clock,
        traces: CaptureTraces | None = None,
    ) -> None:
        self._connect = connect
        self._spool = spool
        self._counter = counter
        self._opening = opening
        self._clock = clock
        self._traces = traces
        self._lanes: dict[str, Lane] = {}
        self._arrival = threading.Condition()
        self._stopping = threading.Event()
        self._cuts = Cuts()
        self._number = spool.newest
        self._uplink = uplink
        self._opened: Future[Uplink] | None = None
        self._try_s = clock.monotonic()
        self._sent: OrderedDict[int, tuple[Shot, float]] = OrderedDict()  # number -> shot, when
        self._sent_bytes = 0
        self._spooled = 0  # shots, since the broker went away
        self._dropped = 0
        self._logged: set[str] = set()
        self.broker_up = uplink is not None  # as of the last turn
        self.trouble = ""  # why it is not, as far as this is known
        self.failure: Exception | None = None  # the exception that ended the thread
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    # ------------------------------------------------------------------------ from any thread

    def post(self, shot: Shot) -> bool:
        """Accept a shot; returns True. Never waits: a full lane drops its oldest shots."""
        with self._arrival:
            gone = self._lanes.setdefault(shot.stream, Lane()).put(shot)
            self._arrival.notify()
        if gone:
            self._counter.count(shot.stream, PictureFate.OVERFLOWED, gone)
        return True

    def offer(self, shot: Shot) -> bool:
        """Accept a shot only while the backlog is short; for file sources, which can wait."""
        with self._arrival:
            lane = self._lanes.setdefault(shot.stream, Lane())
            if self._spool.frames or not lane.has_room:
                return False
            lane.put(shot)
            self._arrival.notify()
        return True

    @property
    def spooled(self) -> tuple[int, int]:
        """The number of shots in the spool, and their size in bytes."""
        return self._spool.frames, self._spool.bytes

    # --------------------------------------------------------------------- from the one thread

    def start(self) -> None:
        """Call `turn` in a thread of its own until `stop`."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Send the waiting shots for at most `timeout_s`; the rest stays in the spool."""
        self._stopping.set()
        self._thread.join()
        deadline_s = self._clock.monotonic() + timeout_s
        self.turn(0.0)
        while (self._sent or self._spool.frames) and self._clock.monotonic() < deadline_s:
            self.turn(IDLE_S)
        self._put_back()
        if self._uplink is not None:
            self._uplink.close()
        self._spool.close()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self.turn(IDLE_S)
        except Exception as exc:  # noqa: BLE001 - re-raised by the owner: nothing else can publish
            self.failure = exc

    def turn(self, wait_s: float) -> None:
        """Run one cycle: take new shots, process the broker's answers, send or spool shots."""
        fresh = self._take_fresh(wait_s)
        self._look_after_uplink()
        self._settle()
        numbered: list[tuple[int, Shot]] = []
        for shot in fresh:
            self._number += 1
            if (fate := self._cuts.fate_of(self._number, shot)) is not None:
                self._counter.count(shot.stream, fate, 1)
            elif self._open and not self._spool.frames and not numbered:
                self._send(self._number, shot)
            else:
                numbered.append((self._number, shot))
        self._keep(numbered)
        self._drain()
        self._look_for_trouble()
        self.broker_up = self._answers

    def _take_fresh(self, wait_s: float) -> list[Shot]:
        with self._arrival:
            fresh = [shot for lane in self._lanes.values() for shot in lane.take_all()]
            if not fresh and self._arrival.wait(wait_s):
                fresh = [shot for lane in self._lanes.values() for shot in lane.take_all()]
        return fresh

    @property
    def _answers(self) -> bool:
        """Whether an uplink exists and its oldest unanswered shot is at most `LATE_S` old."""
        oldest = next(iter(self._sent.values()), None)
        late = oldest is not None and self._clock.monotonic() - oldest[1] > LATE_S
        return self._uplink is not None and not late

    @property
    def _open(self) -> bool:
        return self._answers and self._sent_bytes < WINDOW_BYTES

    def _look_after_uplink(self) -> None:
        if self._uplink is not None:
            return
        if self._opened is None:
            if self._clock.monotonic() >= self._try_s:
                self._opened = self._opening.submit(self._connect)
        elif self._opened.done():
            opened, self._opened = self._opened, None
            try:
                self._uplink = opened.result()
            except LongtakeError as exc:
                self._try_s = self._clock.monotonic() + AGAIN_S
                self.trouble = str(exc)
                self._log_once(self.trouble, f"the broker is away: {exc}; frames are spooled")

    def _look_for_trouble(self) -> None:
        """Keep why the broker does not answer, and log each reason once."""
        if self._answers:
            self.trouble = ""
        elif self._uplink is not None and self._uplink.trouble:
            self.trouble = self._uplink.trouble
            self._log_once(self.trouble, f"the broker does not answer: {self.trouble}")

    def _settle(self) -> None:
        """Process the broker's answers. After a failure, spool all unanswered shots."""
        failed = ""
        for settled in () if self._uplink is None else self._uplink.settled():
            if settled.outcome is ShotOutcome.FAILED:
                failed = settled.why
                continue
            shot, _ = self._sent.pop(settled.number)
            self._sent_bytes -= len(shot.content)
            if self._traces is not None:
                self._traces.settle(settled, self._clock.time())
            if settled.outcome is ShotOutcome.TAKEN:
                self._counter.published(shot, self._clock.time() - shot.captured_us / 1e6)
            else:
                words = f"{shot.stream}: {settled.why}; dropped"
                self._log_once(f"oversized {shot.stream}", words, level=logging.ERROR)
                self._counter.count(shot.stream, PictureFate.OVERSIZED, 1)
                self._cuts.drop(shot.stream, settled.number, PictureFate.OVERSIZED)
        if failed:
            self._log_once("failed", f"the broker failed: {failed}; connecting anew")
            self._put_back()
            if self._uplink is not None:
                self._uplink.close()
            self._uplink = None
            self._try_s = self._clock.monotonic() + AGAIN_S

    def _send(self, number: int, shot: Shot) -> None:
        if self._traces is not None:
            shot = self._traces.begin(number, shot)
        self._sent[number] = shot, self._clock.monotonic()
        self._sent_bytes += len(shot.content)
        if self._uplink is not None:
            self._uplink.send(number, shot)

    def _put_back(self) -> None:
        """Spool the shots that were sent but not acknowledged: they have the lowest numbers."""
        unanswered = [(number, shot) for number, (shot, _) in self._sent.items()]
        self._sent.clear()
        if self._traces is not None:
            self._traces.drop_all()
        self._sent_bytes = 0
        self._keep(unanswered)

    def _keep(self, numbered: Sequence[tuple[int, Shot]]) -> None:
        if not numbered:
            return
        if not self._spooled:
            self._log_once("away", "the broker does not answer: frames are spooled")
        self._spooled += len(numbered)
        try:
            gone = self._spool.put(numbered, now_us=round(self._clock.time() * 1e6))
        except OutputError as exc:
            self._log_once("spool", f"{exc}; frames are dropped", level=logging.ERROR)
            gone = [(number, shot.stream) for number, shot in numbered]
        self._dropped += len(gone)
        for number, stream in gone:
            self._cuts.drop(stream, number, PictureFate.EXPIRED)
            self._counter.count(stream, PictureFate.EXPIRED, 1)

    def _drain(self) -> None:
        """Send shots from the spool while the window has room."""
        while self._spool.frames and self._open:
            try:
                found = self._spool.take()
            except OutputError as exc:
                self._log_once("spool", f"{exc}; what it holds is not sent", level=logging.ERROR)
                return
            if found is None:
                return
            self._send(*found)
        if self._spooled and not self._spool.frames and self._answers:
            log.info(
                "the broker takes frames again: %d were spooled, %d of them dropped as too old",
                self._spooled,
                self._dropped,
            )
            self._spooled = self._dropped = 0
            self._logged.clear()

    def _log_once(self, what: str, words: str, *, level: int = logging.WARNING) -> None:
        """Log a trouble once; log it again only after the broker has recovered."""
        if what not in self._logged:
            self._logged.add(what)
            log.log(level, "%s", words)
