"""The client's side of the group protocol, with a join that survives a busy caller."""

from typing import Any

from kafka.coordinator.consumer import ConsumerCoordinator


class PatientCoordinator(ConsumerCoordinator):
    """K14: kafka-python 3.0 throws a join away that ends while no `poll` runs.

    The next poll joins once more, which disturbs the whole group, and a caller that polls briefly
    and works in between never gets in. Worse, a join that a change of the topic's metadata caused
    is forgotten altogether: no heartbeat is sent any more, and the member waits for good.
    """

    _join_task: Any
    _manager: Any

    @classmethod
    def install(cls, consumer: Any) -> None:
        """Let a consumer that has not subscribed yet coordinate like this."""
        consumer._coordinator.__class__ = cls  # noqa: SLF001 - it is made inside the constructor

    def need_rejoin(self) -> bool:
        """Return whether there is a group to join, or a join whose outcome is not taken yet."""
        return self._join_task is not None or bool(super().need_rejoin())

    async def join_group_async(self, timeout_ms: Any = None) -> Any:
        """Join, or take the outcome of the join that has ended since the last poll."""
        ended = self._join_task
        if ended is not None and ended.is_done:
            self._join_task = self._manager.call_soon(_outcome, ended)  # not done yet: is awaited
        return await super().join_group_async(timeout_ms)


async def _outcome(future: Any) -> Any:
    return await future
