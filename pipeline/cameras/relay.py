"""Takes every camera's shots to the broker, in their order; while that is away, to the spool."""

import logging
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Protocol

from pipeline.broker.shots import Shot, ShotOutcome, Uplink
from pipeline.cameras.spool import Spool
from pipeline.cameras.values import Left
from pipeline.clock import Clock
from pipeline.errors import LongtakeError, OutputError

log = logging.getLogger(__name__)

LANE_SHOTS = 100  # of one camera that wait for the relay's thread: some seconds
LANE_BYTES = 16 << 20
WINDOW_BYTES = 16 << 20  # on their way to the broker
LATE_S = 1.0  # a broker that has not answered for so long is away
AGAIN_S = 1.0
IDLE_S = 0.05


class Account(Protocol):
    """Who is told what became of shots."""

    def count(self, stream: str, left: Left, shots: int) -> None:
        """So many shots of a stream ended like this."""

    def taken(self, shot: Shot, age_s: float) -> None:
        """The broker has a shot, so long after its capture."""


class Lane:
    """One camera's shots on their way to the relay's thread. Bounded: the newest stay."""

    def __init__(self) -> None:
        self._shots: deque[Shot] = deque()
        self._bytes = 0

    @property
    def shots(self) -> int:
        """How many wait."""
        return len(self._shots)

    def put(self, shot: Shot) -> int:
        """Add a shot; returns how many older ones had to go for it."""
        self._shots.append(shot)
        self._bytes += len(shot.content)
        gone = 0
        while len(self._shots) > LANE_SHOTS or (self._bytes > LANE_BYTES and len(self._shots) > 1):
            self._bytes -= len(self._shots.popleft().content)
            gone += 1
        return gone

    def take_all(self) -> list[Shot]:
        """Take out everything, in its order."""
        shots = list(self._shots)
        self._shots.clear()
        self._bytes = 0
        return shots


class Relay:
    """The way from all cameras to the log. `post` from any thread; one thread turns it.

    A shot gets its number here, and goes to the broker in the order of the numbers. As long as
    the broker answers, that is at once. Otherwise shots wait in the spool, and those that come
    meanwhile wait behind them. A broker that took a shot without our hearing of it gets it again:
    it has the same `seq`, `epoch` and time, and workers drop it as a duplicate.
    `connect` makes an uplink, in `opening`, whenever there is none; `uplink` is the first.
    """

    def __init__(
        self,
        connect: Callable[[], Uplink],
        spool: Spool,
        account: Account,
        *,
        uplink: Uplink | None,
        opening: Executor,
        clock: Clock,
    ) -> None:
        self._connect = connect
        self._spool = spool
        self._account = account
        self._opening = opening
        self._clock = clock
        self._lanes: dict[str, Lane] = {}
        self._arrival = threading.Condition()
        self._stopping = threading.Event()
        self._number = spool.newest
        self._uplink = uplink
        self._opened: Future[Uplink] | None = None
        self._try_s = clock.monotonic()
        self._sent: OrderedDict[int, tuple[Shot, float]] = OrderedDict()  # number -> shot, when
        self._sent_bytes = 0
        self._spooled = 0  # since the broker went away
        self._dropped = 0
        self._told: set[str] = set()
        self.broker_up = uplink is not None  # as of the last turn
        self.failure: Exception | None = None  # what has ended the thread
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    # ------------------------------------------------------------------------ from any thread

    def post(self, shot: Shot) -> bool:
        """Take a shot over. Never waits."""
        with self._arrival:
            gone = self._lanes.setdefault(shot.stream, Lane()).put(shot)
            self._arrival.notify()
        if gone:
            self._account.count(shot.stream, Left.OVERFLOWED, gone)
        return True

    def offer(self, shot: Shot) -> bool:
        """Take a shot over if it can leave soon: for who has all the time in the world."""
        with self._arrival:
            lane = self._lanes.setdefault(shot.stream, Lane())
            if self._spool.frames or lane.shots >= LANE_SHOTS // 2:
                return False
            lane.put(shot)
            self._arrival.notify()
        return True

    @property
    def spooled(self) -> tuple[int, int]:
        """How many shots wait in the spool, and how many bytes they have."""
        return self._spool.frames, self._spool.bytes

    # --------------------------------------------------------------------- from the one thread

    def start(self) -> None:
        """Turn in a thread of its own until `stop`."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Send what waits, as far as the broker takes it in time; the rest stays in the spool."""
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
        except Exception as exc:  # noqa: BLE001 - the owner raises it: cameras without a way are none
            self.failure = exc

    def turn(self, wait_s: float) -> None:
        """Go once around: what came, what became of what was sent, what can be sent now."""
        fresh = self._take_fresh(wait_s)
        self._look_after_uplink()
        self._settle()
        numbered: list[tuple[int, Shot]] = []
        for shot in fresh:
            self._number += 1
            if self._open and not self._spool.frames and not numbered:
                self._send(self._number, shot)
            else:
                numbered.append((self._number, shot))
        self._keep(numbered)
        self._drain()
        self.broker_up = self._answers

    def _take_fresh(self, wait_s: float) -> list[Shot]:
        with self._arrival:
            fresh = [shot for lane in self._lanes.values() for shot in lane.take_all()]
            if not fresh and self._arrival.wait(wait_s):
                fresh = [shot for lane in self._lanes.values() for shot in lane.take_all()]
        return fresh

    @property
    def _answers(self) -> bool:
        """Whether the broker is there, and owes us no answer for too long."""
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
                self._tell("away", f"the broker is away: {exc}; frames are spooled")

    def _settle(self) -> None:
        """Take in what became of shots. After a failure all that is on its way is spooled."""
        failed = ""
        for settled in () if self._uplink is None else self._uplink.settled():
            if settled.outcome is ShotOutcome.FAILED:
                failed = settled.why
                continue
            shot, _ = self._sent.pop(settled.number)
            self._sent_bytes -= len(shot.content)
            if settled.outcome is ShotOutcome.TAKEN:
                self._account.taken(shot, self._clock.time() - shot.captured_us / 1e6)
            else:
                words = f"{shot.stream}: {settled.why}; dropped"
                self._tell(f"oversized {shot.stream}", words, level=logging.ERROR)
                self._account.count(shot.stream, Left.OVERSIZED, 1)
        if failed:
            self._tell("failed", f"the broker failed: {failed}; connecting anew")
            self._put_back()
            if self._uplink is not None:
                self._uplink.close()
            self._uplink = None
            self._try_s = self._clock.monotonic() + AGAIN_S

    def _send(self, number: int, shot: Shot) -> None:
        self._sent[number] = shot, self._clock.monotonic()
        self._sent_bytes += len(shot.content)
        if self._uplink is not None:
            self._uplink.send(number, shot)

    def _put_back(self) -> None:
        """Spool what was sent and not answered for: the oldest numbers of all."""
        unanswered = [(number, shot) for number, (shot, _) in self._sent.items()]
        self._sent.clear()
        self._sent_bytes = 0
        self._keep(unanswered)

    def _keep(self, numbered: Sequence[tuple[int, Shot]]) -> None:
        if not numbered:
            return
        if not self._spooled:
            self._tell("away", "the broker does not answer: frames are spooled")
        self._spooled += len(numbered)
        try:
            gone = self._spool.put(numbered, now_us=round(self._clock.time() * 1e6))
        except OutputError as exc:
            self._tell("spool", f"{exc}; frames are dropped", level=logging.ERROR)
            gone = Counter(shot.stream for _, shot in numbered)
        for stream, shots in gone.items():
            self._dropped += shots
            self._account.count(stream, Left.EXPIRED, shots)

    def _drain(self) -> None:
        """Send what waits in the spool, as far as the window reaches."""
        while self._spool.frames and self._open:
            try:
                found = self._spool.take()
            except OutputError as exc:
                self._tell("spool", f"{exc}; what it holds is not sent", level=logging.ERROR)
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
            self._told.clear()

    def _tell(self, what: str, words: str, *, level: int = logging.WARNING) -> None:
        """Say of something what is wrong with it: once, until all is well again."""
        if what not in self._told:
            self._told.add(what)
            log.log(level, "%s", words)
