"""The group of a log in memory: members, generations, and the owner of each partition."""

import threading
from collections import deque
from dataclasses import dataclass, field

from pipeline.broker.contract import Assigned, Dropped, Event


@dataclass(slots=True)
class GroupMember:
    """A member as the group knows it, and the events that it has not polled yet."""

    generation: int = -1
    partitions: set[int] = field(default_factory=set)
    unpolled: deque[Event] = field(default_factory=deque)

    def enter(self, generation: int) -> None:
        """Set the generation that the member belongs to."""
        self.generation = generation

    def assign(self, number: int) -> None:
        """Give the member a partition."""
        self.partitions.add(number)
        self.unpolled.append(Assigned(frozenset([number])))

    def drop(self, numbers: frozenset[int]) -> None:
        """Take partitions from the member."""
        self.partitions -= numbers
        self.unpolled.append(Dropped(numbers))

    def take_events(self) -> tuple[Event, ...]:
        """Return the events since the last call."""
        events = tuple(self.unpolled)
        self.unpolled.clear()
        return events

    @property
    def unpolled_drops(self) -> frozenset[int]:
        """The partitions that the member has lost and not polled the loss of."""
        drops = (event.partitions for event in self.unpolled if isinstance(event, Dropped))
        return frozenset[int]().union(*drops)


class MemoryGroup:
    """Divides partitions among members, cooperatively: it moves no more partitions than it must.

    `changed` guards the group and the log that it belongs to, and is notified of every change.
    """

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.changed = threading.Condition()
        self._members: dict[str, GroupMember] = {}
        self._generation = 0
        self._joined = 0

    @property
    def member_ids(self) -> tuple[str, ...]:
        """The ids of the members."""
        with self.changed:
            return tuple(self._members)

    def grow(self, partitions: int) -> None:
        """Divide more partitions, in a generation of its own."""
        with self.changed:
            self.partitions = partitions
            self._rebalance()

    def join(self) -> str:
        """Let a new member into the group. Returns its id."""
        with self.changed:
            self._joined += 1
            member_id = f"member-{self._joined}"
            self._members[member_id] = GroupMember()
            self._rebalance()
            return member_id

    def leave(self, member_id: str) -> None:
        """Take a member out: it left, or was silent for the session timeout."""
        with self.changed:
            if self._members.pop(member_id, None) is not None:
                self._rebalance()

    def news(self, member_id: str) -> tuple[Event, ...]:
        """Return the changes of a member's assignment since its last call."""
        with self.changed:
            member = self._members.get(member_id)
            if member is None:
                return ()
            events = member.take_events()
            if any(isinstance(event, Dropped) for event in events):
                self._hand_out()
            return events

    def generation_of(self, member_id: str) -> int | None:
        """Return the generation that a member belongs to; None if it is not a member any more."""
        with self.changed:
            member = self._members.get(member_id)
            return None if member is None else member.generation

    def _rebalance(self) -> None:
        """Begin a generation. Partitions that must move are dropped first."""
        self._generation += 1
        if not self._members:
            return
        quota = -(-self.partitions // len(self._members))
        for member in self._members.values():
            surplus = frozenset(sorted(member.partitions)[quota:])
            if surplus:
                member.drop(surplus)
            member.enter(self._generation)
        self._hand_out()
        self.changed.notify_all()

    def _hand_out(self) -> None:
        """Assign the free partitions whose last owners have polled the loss."""
        members = self._members.values()
        taken = {n for member in members for n in member.partitions | member.unpolled_drops}
        free = sorted(set(range(self.partitions)) - taken)
        for number in free:
            min(members, key=lambda member: len(member.partitions)).assign(number)
        if free:  # this is a generation of its own: commits with an older one are refused
            self._generation += 1
            for member in members:
                member.enter(self._generation)
