"""One camera's life, in a thread of its own: connect, read, notice what is wrong, connect again."""

import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Protocol

from pipeline.broker.shots import Shot
from pipeline.cameras.backoff import Backoff
from pipeline.cameras.capture.shutter import Shutter
from pipeline.cameras.tally import CameraTally
from pipeline.cameras.values import Left, Lost, Picture, State
from pipeline.clock import Clock
from pipeline.errors import CameraLostError

log = logging.getLogger(__name__)

AGAIN_S = 0.01
WELL_S = 10.0  # who has been live for so long is tried again at once when lost


class Source(Protocol):
    """Where pictures come from. `retries` says whether it makes sense to begin again."""

    retries: bool

    def pictures(self, stop: threading.Event) -> Iterator[Picture | Left | None]:
        """Connect, and give what comes until it is lost: then raise `CameraLostError`.

        `Left` stands for a picture that cannot be had, None for anything else that was sent: the
        caller gets its turn. No wait is longer than the source's own limits; `stop` ends it.
        """


class Feed:
    """Feeds the shots of one camera to `post`, whatever happens to the camera.

    `post` never waits, and says whether it has taken a shot; one that it has not is offered again.
    `stall_s` is how long a connection may go without a good picture. Nothing else is shared with
    other feeds.
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
        self.over = False  # nothing will come any more
        self._thread = threading.Thread(target=self.run, name=f"camera-{name}", daemon=True)

    def start(self) -> None:
        """Begin to `run` in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; it does when its source lets go. From any thread."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        """Wait for its end."""
        self._thread.join(timeout_s)

    def run(self) -> None:
        """Live until told to stop, or until there is no more to come."""
        try:
            while not self._stop.is_set():
                self._connect()
                if not self._source.retries or self._stop.wait(self._backoff.wait_s()):
                    break
        finally:
            self.over = True

    def _connect(self) -> None:
        """Live through one connection."""
        self._shutter.connected()
        began_s = self._clock.monotonic()
        try:
            self._watch()
        except CameraLostError as exc:
            lost = exc
        except Exception as exc:  # noqa: BLE001 - whatever it is, this camera is tried again
            where = traceback.extract_tb(exc.__traceback__)[-1]  # its words may hold a password
            words = f"a bug in longtake: {type(exc).__name__} at {where.name}, line {where.lineno}"
            lost = CameraLostError(Lost.BROKEN, words)
        else:
            return
        if self._clock.monotonic() - began_s >= WELL_S:
            self._backoff.reset()
        self._lose(lost)

    def _watch(self) -> None:
        seen_s = self._clock.monotonic()
        for picture in self._source.pictures(self._stop):
            if self._stop.is_set():
                return
            now_s = self._clock.monotonic()
            if isinstance(picture, Picture) and self._take(picture):
                seen_s = now_s
            elif isinstance(picture, Left):
                self._tally.left[picture] += 1
            if now_s - seen_s > self._stall_s:
                raise CameraLostError(
                    Lost.STALLED, f"no good picture for {self._stall_s:g} s, though something came"
                )

    def _take(self, picture: Picture) -> bool:
        """Take one picture; whether it is a good one."""
        taken = self._shutter.take(picture, arrived_us=round(self._clock.time() * 1e6))
        if self._shutter.began is not None:
            self._tally.epochs[self._shutter.began] += 1
            self._shutter.began = None
        if isinstance(taken, Shot):
            self._tally.captured_us = taken.captured_us
            while not self._post(taken) and not self._stop.wait(AGAIN_S):
                pass
        else:
            self._tally.left[taken] += 1
        if taken is Left.DAMAGED:
            return False
        state = State.FROZEN if taken is Left.FROZEN else State.LIVE
        if state is not self._tally.state:
            self._become(state, picture)
        return True

    def _become(self, state: State, picture: Picture) -> None:
        self._tally.state = state
        if state is State.LIVE:
            self._tally.why = ""
            how = "passed through" if picture.jpeg is not None else "encoded here"
            log.info("%s: live, %d x %d, %s", self._name, picture.width, picture.height, how)
        else:
            self._tally.why = "its picture stands still"
            log.warning("%s: its picture stands still; withheld until it moves", self._name)

    def _lose(self, exc: CameraLostError) -> None:
        self._tally.lost[Lost(exc.lost)] += 1
        before = self._tally.state, self._tally.why
        if exc.lost == Lost.REFUSED:
            self._tally.state = State.REFUSED
        elif self._tally.captured_us:
            self._tally.state = State.STALLED
        else:
            self._tally.state = State.CONNECTING
        self._tally.why = str(exc)
        if (self._tally.state, self._tally.why) != before:  # told once, not at every attempt
            again = "; trying again" if self._source.retries else ""
            level = logging.WARNING if again or exc.lost == Lost.REFUSED else logging.INFO
            log.log(level, "%s: %s: %s%s", self._name, exc.lost, exc, again)
