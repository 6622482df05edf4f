"""Decides whether a worker is ready: it is restored, in its group, and the log answers it."""

from collections.abc import Callable

from pipeline.broker.contract import FrameConsumer
from pipeline.clock import Clock
from pipeline.delivery.committer import Committer
from pipeline.delivery.stall import StallDetector
from pipeline.delivery.topic_check import TopicCheck
from pipeline.worker.membership import Membership
from pipeline.worker.unanswered import OVERDUE_S, Question, Unanswered

PROMPT_S = 2.0  # questions answered within it: Kafka answers, though commits may not succeed


class Readiness:
    """The readiness of one worker, and why it is not ready. `look` is called by its owner thread.

    Commits that fail for long while Kafka answers, and a changelog that cannot be read, make it
    look whether the topics are still as a worker needs them.
    """

    def __init__(
        self,
        membership: Membership,
        consumer: FrameConsumer,
        stalls: StallDetector,
        committer: Committer,
        topics: TopicCheck,
        *,
        session_timeout_s: float,
        clock: Clock,
    ) -> None:
        self._membership = membership
        self._consumer = consumer
        self._stalls = stalls
        self._committer = committer
        self._topics = topics
        limits_s = {Question.GROUP: max(OVERDUE_S, session_timeout_s)}
        self._unanswered = Unanswered(clock=clock, limits_s=limits_s)
        # As of the end of a turn: during one, another thread would see partitions that are dropped
        # and not yet requested again.
        self.ready = False
        self.trouble = ""

    @property
    def note(self) -> str:
        """What an operator of a ready worker has to know; empty if there is nothing."""
        held = sorted(self._membership.held)
        return (
            f"partitions {held} are new and wait until `longtake topics grow` is finished"
            if held
            else ""
        )

    def look(self, report: Callable[[float, float], None], *, why: str) -> None:
        """Update `ready` and `trouble` at the end of a turn.

        `report` is called with the seconds since Kafka should have answered, and since a checkpoint
        should have been committed; `why` is the last error of a commit. Raises `TopicError` or
        `PartitionCountError`.
        """
        restoring = self._membership.restoring  # it has the same thread as questions about ends
        self._unanswered.look(
            {
                Question.GROUP: self._consumer.group_answers(),
                Question.ENDS: None if restoring else self._stalls.unanswered,
                Question.COMMIT: self._committer.pending,
            },
            why=why,
        )
        silent_s = self._unanswered.seconds(Question.GROUP, Question.ENDS)
        pending_s = self._unanswered.seconds(Question.COMMIT)
        stuck = pending_s > OVERDUE_S and silent_s < PROMPT_S
        self._topics.look(wanted=stuck or self._membership.failing)
        self.trouble = self._unanswered.trouble(why)
        self.ready = self._membership.running and not self.trouble
        report(silent_s, pending_s)
