"""Looks whether the topics still exist when commits go on failing.

To a producer, a topic that was deleted looks like a broker that does not answer.
"""

from collections.abc import Callable
from concurrent.futures import Executor, Future

from pipeline.clock import Clock
from pipeline.errors import BrokerUnavailableError, BrokerUnreachableError

CHECK_S = 30.0


class TopicCheck:
    """Calls `require`, at most every CHECK_S, on the executor `reads`. One owner thread.

    `require` raises `TopicError` or `PartitionCountError` if a topic is not as a worker needs it.
    """

    def __init__(self, require: Callable[[], object], *, reads: Executor, clock: Clock) -> None:
        self._require = require
        self._reads = reads
        self._clock = clock
        self._answer: Future[object] | None = None
        self._asked_s: float | None = None

    def look(self, *, wanted: bool) -> None:
        """Begin a check if one is wanted and due. Raises what a finished one has raised."""
        if self._answer is not None and self._answer.done():
            answer, self._answer = self._answer, None
            try:
                answer.result()
            except (BrokerUnavailableError, BrokerUnreachableError):
                return  # it was not answered either; the committer goes on trying
        now_s = self._clock.monotonic()
        due = self._asked_s is None or now_s - self._asked_s >= CHECK_S
        if wanted and due and self._answer is None:
            self._asked_s = now_s
            self._answer = self._reads.submit(self._require)
