"""Waits at the start of a worker until its topics exist: what creates them may start with it."""

import logging
from collections.abc import Callable
from typing import TypeVar

from pipeline.clock import Clock
from pipeline.errors import BrokerUnreachableError, TopicError

log = logging.getLogger(__name__)

AGAIN_S = 1.0
Opened = TypeVar("Opened")


def wait_for_topics(
    make: Callable[[], Opened],
    *,
    at_most_s: float,
    report: Callable[[str], None],
    clock: Clock,
    pause: Callable[[float], None],
) -> Opened:
    """Return what `make` returns. It looks for the topics before it opens anything.

    While a topic is missing or no broker answers, call `report` with the reason and try again after
    AGAIN_S. After `at_most_s`, raise what `make` raised last.
    """
    end_s = clock.monotonic() + at_most_s
    reported = ""
    while True:
        try:
            return make()
        except (TopicError, BrokerUnreachableError) as exc:
            if clock.monotonic() >= end_s:
                raise
            if str(exc) != reported:
                reported = str(exc)
                log.warning("waiting for at most %g s: %s", at_most_s, reported)
            report(reported)
        pause(AGAIN_S)
