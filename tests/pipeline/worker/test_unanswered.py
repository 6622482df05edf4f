"""How long questions are open is measured without errors, and whatever the clocks do."""

import logging

import pytest

from pipeline.clock import ManualClock
from pipeline.worker.unanswered import OVERDUE_S, REPEAT_S, STEP_S, Question, Unanswered

GROUP, ENDS, COMMIT = Question


class Asking:
    """A worker that looks often, at a log that answers the questions for which `answers` grow."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.unanswered = Unanswered(clock=self.clock, limits_s={GROUP: 2 * OVERDUE_S})
        self._answers: dict[Question, int | None] = dict.fromkeys(Question)

    def look(self, seconds: float, *, open_: Question | None = None, why: str = "") -> str:
        """Look twice a second for so long; `open_` is asked and not answered."""
        for _ in range(round(seconds / 0.5)):
            self.clock.advance(0.5)
            self._answers = dict.fromkeys(Question) | ({} if open_ is None else {open_: 1})
            self.unanswered.look(self._answers, why=why)
        return self.unanswered.trouble(why)


@pytest.fixture
def asking() -> Asking:
    return Asking()


def test_a_question_is_overdue_after_its_limit_and_no_longer_once_it_is_answered(
    asking: Asking,
) -> None:
    assert asking.look(OVERDUE_S, open_=ENDS) == ""
    assert asking.look(1, open_=ENDS) == f"{ENDS} 10 s"
    assert asking.look(0.5) == ""
    assert asking.unanswered.seconds(*Question) == 0


def test_a_question_can_have_a_higher_limit(asking: Asking) -> None:
    assert asking.look(2 * OVERDUE_S, open_=GROUP) == ""
    assert asking.look(1, open_=GROUP) == f"{GROUP} 20 s"


def test_a_commit_that_is_overdue_says_why(asking: Asking) -> None:
    trouble = asking.look(OVERDUE_S + 1, open_=COMMIT, why="the disk of the broker is full")
    assert trouble == f"{COMMIT} 10 s (the disk of the broker is full)"


def test_a_jump_of_the_clock_opens_no_question(asking: Asking) -> None:
    asking.look(1, open_=GROUP)
    for seconds in (7 * 86_400.0, -7 * 86_400.0):  # as after SIGCONT, or a set time of day
        asking.clock.advance(seconds)
        assert asking.look(0.5, open_=GROUP) == ""
    assert asking.unanswered.seconds(GROUP) <= 1 + 2 * STEP_S


def test_what_is_overdue_is_logged_once_in_a_while_and_when_it_is_over(
    asking: Asking, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    asking.look(OVERDUE_S + REPEAT_S - 1, open_=ENDS)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    asking.look(2, open_=ENDS)
    asking.look(2)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "INFO"]
    assert caplog.messages[0] == f"not ready: {ENDS} 10 s; trying again"
