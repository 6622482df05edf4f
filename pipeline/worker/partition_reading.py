"""The reading of partitions: paused by what is pending, sought again where it stands still."""

import logging

from pipeline.broker.contract import FrameConsumer, Poll
from pipeline.clock import Clock
from pipeline.delivery.stall import StallDetector
from pipeline.delivery.topic_watch import TopicWatch
from pipeline.errors import BrokerUnavailableError
from pipeline.worker.membership import Membership
from pipeline.worker.metrics.worker_metrics import WorkerMetrics
from pipeline.worker.throttle import Throttle
from pipeline.worker.trouble_log import TroubleLog

log = logging.getLogger(__name__)

POLL_RECORDS = 256
ENOUGH_RECORDS = 128  # that wait for the engine: no more are fetched, nor decoded, than are needed
POLL_S = 0.1  # at the latest: the group wants to hear of us, and we of the group
BRIEF_S = 0.02  # while somebody else has news for us soon


class Reading:
    """The reading of one worker's partitions. Owner thread only."""

    def __init__(
        self,
        consumer: FrameConsumer,
        stalls: StallDetector,
        topics: TopicWatch,
        membership: Membership,
        *,
        throttle: Throttle,
        troubles: TroubleLog,
        metrics: WorkerMetrics,
        clock: Clock,
    ) -> None:
        self._consumer = consumer
        self._stalls = stalls
        self._topics = topics
        self._membership = membership
        self._throttle = throttle
        self._troubles = troubles
        self._metrics = metrics
        self._clock = clock
        self._polled_s = clock.monotonic()

    def poll(self, *, busy: bool, due_s: float) -> Poll:
        """Return what has come, and wait for it while there is nothing else to be done.

        `busy`: a commit, a restore or the group may have news soon. Finished records are to be
        committed in `due_s` seconds. A broker that cannot be reached brings nothing.
        """
        partitions, now_s = self._membership.partitions.values(), self._clock.monotonic()
        pending = sum(len(partition.items) for partition in partitions)
        if pending >= ENOUGH_RECORDS and now_s - self._polled_s < POLL_S:
            return Poll((), ())
        self._polled_s = now_s
        wait_s = BRIEF_S if busy else POLL_S
        if not busy and any(partition.dirty for partition in partitions):
            wait_s = max(0.0, min(wait_s, due_s))
        try:
            polled = self._consumer.poll(0.0 if pending else wait_s, POLL_RECORDS)
        except BrokerUnavailableError as exc:
            self._metrics.broker_unavailable()
            self._troubles.polled(str(exc))
            return Poll((), ())
        self._troubles.polled("")
        return polled

    def look(self) -> None:
        """Pause or resume by what is pending, look for stalls and for topics made anew."""
        self._throttle.look(self._membership.partitions)
        if self._stalls.due:
            self._look_for_stalls()
        others = self._topics.look(self._membership.opened)
        if others:
            self._membership.restore_again(others)

    def _look_for_stalls(self) -> None:
        """Seek again in partitions whose reading does not advance although the log has more."""
        opened = self._membership.opened
        positions = {n: at for n in opened if (at := self._consumer.position(n)) is not None}
        lost = self._stalls.look(positions, paused=self._throttle.paused)
        ends = self._stalls.ends
        lag = sum(max(0, ends.get(n, 0) - p.next_offset) for n, p in opened.items())
        self._metrics.set_lag(lag)
        for number in lost:
            log.warning(
                "partition %d stands still at offset %d, the log has more: seeking there anew",
                number,
                positions[number],
            )
            self._metrics.stalled()
            self._consumer.start(number, positions[number])
