"""The group of a log in memory: members, generations, and whose each partition is."""

import threading
from collections import deque
from dataclasses import dataclass, field

from pipeline.broker.contract import Assigned, Dropped, Event


@dataclass(slots=True)
class GroupMember:
    """A member as the group sees it, and what it has not been told yet."""

    generation: int = -1
    partitions: set[int] = field(default_factory=set)
    news: deque[Event] = field(default_factory=deque)


class MemoryGroup:
    """Divides partitions among members, cooperatively: what can stay stays.

    `changed` guards the group and the log that it belongs to, and is notified of every change.
    """

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.changed = threading.Condition()
        self._members: dict[str, GroupMember] = {}
        self._generation = 0
        self._joined = 0

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
        """Return what has happened to a member's assignment since it last asked."""
        with self.changed:
            membership = self._members.get(member_id)
            if membership is None:
                return ()
            events = tuple(membership.news)
            membership.news.clear()
            if any(isinstance(event, Dropped) for event in events):
                self._hand_out()
            return events

    def generation_of(self, member_id: str) -> int | None:
        """Return the generation that a member belongs to; None when it is no member any more."""
        with self.changed:
            membership = self._members.get(member_id)
            return None if membership is None else membership.generation

    def _rebalance(self) -> None:
        """Begin a generation: what must move is dropped first."""
        self._generation += 1
        if not self._members:
            return
        quota = -(-self.partitions // len(self._members))
        for membership in self._members.values():
            surplus = set(sorted(membership.partitions)[quota:])
            if surplus:
                membership.partitions -= surplus
                membership.news.append(Dropped(frozenset(surplus)))
            membership.generation = self._generation
        self._hand_out()
        self.changed.notify_all()

    def _hand_out(self) -> None:
        """Assign the partitions that no member has, once their last owners know of the loss."""
        unheard = {
            number
            for membership in self._members.values()
            for event in membership.news
            if isinstance(event, Dropped)
            for number in event.partitions
        }
        owned = {n for m in self._members.values() for n in m.partitions}
        free = sorted(set(range(self.partitions)) - owned - unheard)
        for number in free:
            poorest = min(self._members.values(), key=lambda m: len(m.partitions))
            poorest.partitions.add(number)
            poorest.news.append(Assigned(frozenset([number])))
        if free:  # handing out is a round of its own: claims from before it are of the past
            self._generation += 1
            for membership in self._members.values():
                membership.generation = self._generation
