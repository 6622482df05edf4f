"""Notices a topic that is deleted and made anew under a running worker.

The client reads on in the new one as if nothing had happened: its offsets exist there too, sooner
or later, and what is before them would never be read.
"""

import logging
from collections.abc import Mapping
from concurrent.futures import Executor, Future

from pipeline.broker.contract import ChangelogReader
from pipeline.clock import Clock
from pipeline.errors import RetryError, StopError
from pipeline.streams.partition import Partition

log = logging.getLogger(__name__)

LOOK_S = 5.0


class TopicWatch:
    """Compares the ids of the topics with those of our memory, every LOOK_S. One owner thread.

    It decides nothing: a restore compares them again, and knows what to do. An unanswered question
    counts as no change: others notice a broker that does not answer and topics that are missing.
    """

    def __init__(self, reader: ChangelogReader, *, reads: Executor, clock: Clock) -> None:
        self._reader = reader
        self._reads = reads
        self._clock = clock
        self._answer: Future[Mapping[str, str]] | None = None
        self._asked_s = clock.monotonic()

    def look(self, partitions: Mapping[int, Partition]) -> list[int]:
        """Return the partitions whose memory belongs to other topics than there are now."""
        now_s = self._clock.monotonic()
        if self._answer is None:
            if now_s - self._asked_s >= LOOK_S:
                self._asked_s = now_s
                self._answer = self._reads.submit(self._reader.topic_ids)
            return []
        if not self._answer.done():
            return []
        answer, self._answer = self._answer, None
        try:
            ids = answer.result()
        except (RetryError, StopError) as exc:
            log.debug("the ids of the topics: %s", exc)
            return []
        others = {number: p.identity.others(ids) for number, p in partitions.items()}
        changed = sorted({role for roles in others.values() for role in roles})
        if changed:
            log.warning("the topics of %s are other ones than before: restoring", changed)
        return sorted(number for number, roles in others.items() if roles)
