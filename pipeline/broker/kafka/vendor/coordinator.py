"""The client's group coordinator: a join survives a busy caller, a static member can leave.

A partition that moves needs two joins, because its old owner gives it up before the new one gets
it, and nobody predicts its streams in between. The other members hear of the second join with their
next heartbeat. So for a while after each join heartbeats come often.
"""

import time
from typing import Any, cast

from kafka.coordinator.consumer import ConsumerCoordinator
from kafka.coordinator.heartbeat import Heartbeat
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    NotCoordinatorError,
)

# answers of a broker that does not coordinate the group now
ABSENT = (
    CoordinatorLoadInProgressError.errno,
    CoordinatorNotAvailableError.errno,
    NotCoordinatorError.errno,
)

SOON_S = 0.001
UNSETTLED_S = 3.0  # after a join
UNSETTLED_HEARTBEAT_S = 0.05
JOIN_DELAY_S = 1.0
USUAL_JOIN_S = 0.5  # all members of a healthy group have joined by then


class Heartbeats(Heartbeat):
    """Come every UNSETTLED_HEARTBEAT_S for UNSETTLED_S after a join, then as configured."""

    def time_to_next_heartbeat(self) -> float:
        """Return the time in seconds until the next heartbeat is due."""
        usual_s = float(super().time_to_next_heartbeat())  # type: ignore[no-untyped-call]
        now_s = time.monotonic()
        if self.heartbeat_failed or now_s - self.last_reset > UNSETTLED_S:
            return usual_s
        since_s = now_s - max(self.last_send, self.last_reset)
        return min(usual_s, max(0.0, UNSETTLED_HEARTBEAT_S - since_s))


class PatientCoordinator(ConsumerCoordinator):
    """K14: kafka-python 3.0 discards a join that ends while no `poll` runs.

    The next poll joins once more, which makes the whole group rebalance, and a caller that polls
    briefly and works in between never becomes a member. Worse, a join that a change of the topic's
    metadata caused is lost: the client sends no heartbeat any more, and the member waits for ever.

    K23: a static member never leaves its group, and no setting changes that (Java's client has
    KIP-1092). The request could carry the static id; only `is_dynamic_member` prevents it.
    """

    _client: Any
    _join_task: Any
    _manager: Any
    _leaving = False
    _delayed = False
    _wanted_s: float | None = None  # since when a join is wanted; None: it is not
    _joined_s = 0.0  # when the newest join began
    has_left = False  # whether the broker has confirmed that we left
    answers = 0  # of the coordinator to heartbeats and joins; written by the client's own thread

    @classmethod
    def install(cls, consumer: Any) -> "PatientCoordinator":
        """Give this class to the coordinator of a consumer that has not subscribed yet."""
        coordinator = consumer._coordinator  # noqa: SLF001 - it is made inside the constructor
        coordinator.__class__ = cls
        coordinator.heartbeat.__class__ = Heartbeats
        return cast(PatientCoordinator, coordinator)

    def leave_when_closed(self) -> None:
        """Let `close` leave the group even if the member is static."""
        self._leaving = True

    def is_dynamic_member(self) -> bool:
        """Return whether `close` leaves the group."""
        return self._leaving or bool(super().is_dynamic_member())  # type: ignore[no-untyped-call]

    def _handle_leave_group_response(self, response: Any) -> None:
        super()._handle_leave_group_response(response)  # type: ignore[misc]
        errors = [response.error_code, *(member.error_code for member in response.members)]
        self.has_left = not any(errors)

    def _handle_heartbeat_response(self, response: Any, send_time: float) -> Any:
        self._count_answer(response)
        return super()._handle_heartbeat_response(response, send_time)  # type: ignore[misc]

    def _process_join_group_response(self, response: Any, send_time: float) -> Any:
        self._count_answer(response)
        return super()._process_join_group_response(response, send_time)  # type: ignore[misc]

    def _count_answer(self, response: Any) -> None:
        if response.error_code not in ABSENT:
            self.answers += 1

    def ensure_coordinator_ready(self, timeout_ms: Any = None) -> bool:
        """Wait for the coordinator in the client's own thread only if it is not connected (K38)."""
        known = self.coordinator_id
        if known is not None and self._client.connected(known):
            return True
        return bool(super().ensure_coordinator_ready(timeout_ms))

    def time_to_next_poll(self) -> float:
        """Return for how many seconds a poll may wait; at 0 it would look again and again (K38)."""
        return max(SOON_S, float(super().time_to_next_poll()))  # type: ignore[no-untyped-call]

    @property
    def is_joining(self) -> bool:
        """Whether a join is on its way that has not taken longer than usual."""
        return self._join_task is not None and time.monotonic() - self._joined_s < USUAL_JOIN_S

    def delay_joins(self, *, delayed: bool) -> None:
        """Begin no join while this holds, but for at most JOIN_DELAY_S."""
        self._delayed = delayed

    def need_rejoin(self) -> bool:
        """Return whether to join the group now, or to process a join's outcome."""
        if self._join_task is not None:
            return True
        if not super().need_rejoin():
            self._wanted_s = None
            return False
        now_s = time.monotonic()
        self._wanted_s = now_s if self._wanted_s is None else self._wanted_s
        if self._delayed and now_s - self._wanted_s < JOIN_DELAY_S:
            return False
        self._joined_s = now_s
        return True

    async def join_group_async(self, timeout_ms: Any = None) -> Any:
        """Join, or process the outcome of the join that has ended since the last poll."""
        ended = self._join_task
        if ended is not None and ended.is_done:
            self._join_task = self._manager.call_soon(_outcome, ended)  # not done: it is awaited
        return await super().join_group_async(timeout_ms)


async def _outcome(future: Any) -> Any:
    return await future
