"""The partitions that the group assigned to this worker, restored or not, and its member id."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from pipeline.broker.checkpoint import Member
from pipeline.broker.contract import Assigned, Dropped, Event
from pipeline.delivery.restorer import Restorer
from pipeline.streams.partition import Partition
from pipeline.streams.row_pool import RowPool

log = logging.getLogger(__name__)


class Membership:
    """This worker's membership in the group, and its partitions. One owner thread.

    A partition is in `partitions` from its restore until it is dropped. Dropping a partition
    returns its engine rows and commits nothing.
    """

    def __init__(self, restorer: Restorer, rows: RowPool) -> None:
        self._restorer = restorer
        self._rows = rows
        self._partitions: dict[int, Partition] = {}
        self._member_id: str | None = None
        self.member: Member | None = None  # None before the first assignment and when it is lost
        self.generation = -1  # of the newest membership

    @property
    def partitions(self) -> Mapping[int, Partition]:
        """The restored partitions, by number."""
        return self._partitions

    @property
    def opened(self) -> dict[int, Partition]:
        """The partitions that are read: their first checkpoint is in the log."""
        return {number: p for number, p in self._partitions.items() if p.opened}

    @property
    def restoring(self) -> bool:
        """Whether partitions of ours are being restored."""
        return bool(self._restorer.wanted)

    @property
    def held(self) -> frozenset[int]:
        """Partitions of ours that are new, and wait until a growth has moved streams there."""
        return self._restorer.held

    @property
    def failing(self) -> bool:
        """Whether the last attempt to restore partitions has failed."""
        return self._restorer.failing

    @property
    def running(self) -> bool:
        """Whether we are in the group, and all our partitions are read, except held ones."""
        return (
            self.member is not None
            and not self._restorer.wanted
            and all(partition.opened for partition in self._partitions.values())
        )

    def handle(self, event: Event) -> None:
        """Drop or restore the partitions of one event of the group."""
        numbers = sorted(event.partitions)
        self._drop(numbers)
        if isinstance(event, Dropped):
            log.info("partitions %s are no longer ours: memory dropped", numbers)
            self._restorer.forget(numbers)
            return
        if isinstance(event, Assigned):
            log.info("partitions %s are ours now", numbers)
        else:
            log.warning("partitions %s: the log has no such offset any more; restoring", numbers)
        self._restorer.want(numbers)

    def follow(self, member: Member | None) -> None:
        """Set our membership. After a change of the member id, restore all partitions.

        Another member id means that the group had removed us: another worker may have advanced our
        partitions since.
        """
        self.member = member
        if member is None:
            return
        self.generation = member.generation
        if member.member_id == self._member_id:
            return
        numbers = sorted(self._partitions.keys() | self._restorer.wanted | self._restorer.held)
        if self._member_id is not None and numbers:
            log.warning("the group knows us by another id now: restoring partitions %s", numbers)
            self.restore_again(numbers)
        self._member_id = member.member_id

    def restore_again(self, numbers: Sequence[int]) -> None:
        """Drop the memory of partitions that stay ours, and restore it from the changelog."""
        self._drop(numbers)
        self._restorer.want(numbers)

    def take_restored(self, holds: Callable[[int], bool]) -> Iterable[Partition]:
        """Advance restores. Returns the partitions restored since the last call.

        `holds` returns whether a checkpoint of a partition is still being committed.
        """
        restored = self._restorer.advance(holds)
        self._partitions.update({partition.number: partition for partition in restored})
        return restored

    def _drop(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            partition = self._partitions.pop(number, None)
            if partition is not None:
                partition.release(self._rows)
