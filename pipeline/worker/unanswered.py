"""Measures how long the log has left a worker's questions unanswered, and logs it.

It is the only rule for that. A broker that refuses is seen at once, by an error. One that is frozen
but connected (SIGSTOP, a half-open connection, a proxy that swallows bytes) raises nothing.
"""

import logging
from collections.abc import Hashable, Mapping
from enum import StrEnum

from pipeline.clock import Clock

log = logging.getLogger(__name__)

# Two of the intervals at which the ends are asked for, and longer than a group or a partition needs
# to find a new leader among brokers that are well.
OVERDUE_S = 10.0
STEP_S = 1.0
REPEAT_S = 30.0


class Question(StrEnum):
    """What a worker asks of the log again and again. The words are followed by a duration."""

    GROUP = "the group's coordinator has not answered for"
    ENDS = "Kafka has not returned the ends of our partitions for"
    COMMIT = "a checkpoint has been waiting for its commit for"


class Unanswered:
    """How long each question has been open. One owner thread.

    `look` is called in each turn. A turn counts for at most STEP_S, whatever the clock says: after
    SIGSTOP and SIGCONT of this process a monotonic clock has jumped too, and the answers have
    waited for us. The time of day is not used. A question may have a limit above OVERDUE_S.
    """

    def __init__(self, *, clock: Clock, limits_s: Mapping[Question, float]) -> None:
        self._clock = clock
        self._limits_s = {question: limits_s.get(question, OVERDUE_S) for question in Question}
        self._looked_s = clock.monotonic()
        self._answers: dict[Question, Hashable | None] = dict.fromkeys(Question)
        self._open_s = dict.fromkeys(Question, 0.0)
        self._logged_s: float | None = None  # None: nothing is overdue
        self._longest_s = 0.0

    def look(self, answers: Mapping[Question, Hashable | None], *, why: str) -> None:
        """Measure each question. Its value changes with each answer; None: nothing is asked.

        `why` is the last error of a commit, for the log.
        """
        now_s = self._clock.monotonic()
        step_s = min(max(0.0, now_s - self._looked_s), STEP_S)
        self._looked_s = now_s
        for question, value in answers.items():
            waits = value is not None and value == self._answers[question]
            self._open_s[question] = self._open_s[question] + step_s if waits else 0.0
            self._answers[question] = value
        self._log(now_s, self.trouble(why))

    def seconds(self, *questions: Question) -> float:
        """Return for how long the oldest of these questions has been open."""
        return max(self._open_s[question] for question in questions)

    def trouble(self, why: str) -> str:
        """Return what is overdue, for people; empty if nothing is."""
        overdue = [q for q, open_s in self._open_s.items() if open_s > self._limits_s[q]]
        if not overdue:
            return ""
        oldest = max(overdue, key=lambda question: self._open_s[question])
        reason = f" ({why})" if why and oldest is Question.COMMIT else ""
        return f"{oldest} {self._open_s[oldest]:.0f} s{reason}"

    def _log(self, now_s: float, trouble: str) -> None:
        """Log a trouble when it begins, every REPEAT_S while it lasts, and when it is over."""
        if trouble:
            self._longest_s = max(self._open_s.values())
            if self._logged_s is None or now_s - self._logged_s >= REPEAT_S:
                self._logged_s = now_s
                log.warning("not ready: %s; trying again", trouble)
        elif self._logged_s is not None:
            self._logged_s = None
            log.info("Kafka answers again, after %.0f s", self._longest_s)
