"""GroupMember in the group, and the frames of its partitions, on a log in memory."""

from collections.abc import Sequence

from pipeline.broker.checkpoint import Member
from pipeline.broker.contract import Assigned, Dropped, Event, OutOfRange, Poll
from pipeline.broker.memory.log import MemoryLog
from pipeline.records import Record


class MemoryConsumer:
    """See `FrameConsumer`."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self.member_id = log.group.join()
        self._member: Member | None = None
        self._assigned: set[int] = set()
        self._positions: dict[int, int] = {}
        self._paused: set[int] = set()
        self._polls = 0

    def poll(self, timeout_s: float, max_records: int) -> Poll:
        """See `FrameConsumer`."""
        self._polls += 1
        generation = self._log.group.generation_of(self.member_id)
        if generation is None:
            return self._rejoin()
        events = list(self._log.group.news(self.member_id))
        for event in events:
            self._apply(event)
        self._member = Member(self.member_id, generation)
        records = self._fetch(max_records, events)
        if not records and not events and timeout_s > 0:
            with self._log.changed:
                self._log.changed.wait(timeout_s)
            records = self._fetch(max_records, events)
        return Poll(tuple(events), tuple(records))

    def _apply(self, event: Event) -> None:
        if isinstance(event, Assigned):
            self._assigned |= event.partitions
        else:
            self._assigned -= event.partitions
        for number in event.partitions:
            self._positions.pop(number, None)
            self._paused.discard(number)

    def _rejoin(self) -> Poll:
        """Drop all partitions and join as a new member, after the group removed this one."""
        lost = Dropped(frozenset(self._assigned))
        self._apply(lost)
        self._member = None
        self.member_id = self._log.group.join()
        return Poll((lost,) if lost.partitions else (), ())

    def _fetch(self, limit: int, events: list[Event]) -> list[Record]:
        """Return records of all partitions being read, each with an equal share of the limit."""
        fetched: list[Record] = []
        numbers = sorted(set(self._positions) - self._paused)
        for number in numbers:
            share = max(1, limit // len(numbers))
            records, in_range = self._log.fetch(number, self._positions[number], share)
            if not in_range:
                del self._positions[number]
                events.append(OutOfRange(frozenset([number])))
            elif records:
                self._positions[number] = records[-1].offset + 1
                fetched += records
        return fetched

    def member(self) -> Member | None:
        """See `FrameConsumer`."""
        return self._member

    def delay_joins(self, *, delayed: bool) -> None:
        """See `FrameConsumer`. This group asks nobody to join."""

    def is_joining(self) -> bool:
        """See `FrameConsumer`."""
        return False

    def group_answers(self) -> int:
        """See `FrameConsumer`. This group answers each poll."""
        return self._polls

    def start(self, partition: int, offset: int) -> None:
        """See `FrameConsumer`."""
        if partition in self._assigned:
            self._positions[partition] = offset

    def position(self, partition: int) -> int | None:
        """See `FrameConsumer`."""
        return self._positions.get(partition)

    def pause(self, partitions: Sequence[int]) -> None:
        """See `FrameConsumer`."""
        self._paused.update(partitions)

    def resume(self, partitions: Sequence[int]) -> None:
        """See `FrameConsumer`."""
        self._paused.difference_update(partitions)

    def close(self) -> None:
        """See `FrameConsumer`."""
        self._log.group.leave(self.member_id)
