"""A log in memory and the way there, for tests of what sends to it. See tests/contracts."""

from collections import deque

from pipeline.broker.shots import SettledShot, Shot, ShotOutcome, Uplink
from pipeline.errors import BrokerUnreachableError


class Log:
    """What a broker has taken, whether one is there, and what is too large for it."""

    def __init__(self) -> None:
        self.shots = list[Shot]()
        self.up = True
        self.trouble = ""
        self.most_bytes = 5000

    def connect(self) -> Uplink:
        if not self.up:
            raise BrokerUnreachableError("no Kafka answers at nowhere:9092")
        return LogUplink(self)


class LogUplink:
    """See `Uplink`: holds shots while its log is away, as an idempotent producer does."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._waiting: deque[tuple[int, Shot]] = deque()
        self._settled = list[SettledShot]()

    def send(self, number: int, shot: Shot) -> None:
        self._waiting.append((number, shot))

    def settled(self) -> list[SettledShot]:
        while self._log.up and self._waiting:
            number, shot = self._waiting.popleft()
            large = len(shot.content) > self._log.most_bytes
            if not large:
                self._log.shots.append(shot)
            self._settled.append(
                SettledShot(
                    number, ShotOutcome.OVERSIZED if large else ShotOutcome.TAKEN, "too large"
                )
            )
        found, self._settled = self._settled, []
        return found

    def fail(self) -> None:
        self._settled.append(SettledShot(0, ShotOutcome.FAILED, "fenced"))

    @property
    def trouble(self) -> str:
        return "" if self._log.up else self._log.trouble

    def close(self) -> None:
        self._waiting.clear()
