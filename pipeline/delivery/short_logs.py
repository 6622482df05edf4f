"""Waits for logs of frames that end before what the group has finished.

A leader that has just been elected, or a broker that was killed and is back, can be behind for a
while: the same topic looks shorter than it is. So a short log is no loss until it has lasted.
"""

import logging

from pipeline.clock import Clock
from pipeline.errors import IdentityError, ShortLogError

log = logging.getLogger(__name__)

PATIENCE_S = 90.0  # longer than brokers take to start and to elect a leader
REPEAT_S = 30.0


class ShortLogs:
    """How long each partition's log has been too short. One owner thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_s: dict[int, float] = {}
        self._logged_s: dict[int, float] = {}

    def wait(self, number: int, short: ShortLogError) -> None:
        """Wait on for a partition. Raises `IdentityError` when PATIENCE_S are over."""
        now_s = self._clock.monotonic()
        since_s = self._since_s.setdefault(number, now_s)
        if now_s - since_s > PATIENCE_S:
            raise IdentityError(
                f"{short}, for {now_s - since_s:.0f} s: it has lost its end (a leader was elected"
                " that did not have it, or a disk was set back). What was finished there cannot be"
                " read again. With all workers stopped, `longtake reset partition"
                f" {number} --to latest` goes on with the frames to come, and --to earliest with"
                " all that are there; its streams start afresh"
            ) from short
        if now_s - self._logged_s.get(number, now_s - REPEAT_S) >= REPEAT_S:
            self._logged_s[number] = now_s
            log.warning("%s; waiting for at most %g s", short, PATIENCE_S)

    def forget(self, number: int) -> None:
        """Stop waiting for a partition: its log is long enough, or it is not ours any more."""
        self._since_s.pop(number, None)
        self._logged_s.pop(number, None)
