"""Lets partitions take turns at what the client has fetched.

K33: the client parks the fetched rest of a paused partition, and takes it up again after `resume`
only if it has nothing in hand. But it counts the last batch that it read as in hand, even when that
is used up. From then on it neither returns the parked records nor fetches new ones: the partition
stands still until another one is paused amid its records, and no seek helps.

K34: it returns all that it has fetched of one partition before it looks at another: a hundred
thousand small records of one flooded partition, which take a worker half a minute.
"""

# ruff: noqa: SLF001 - the client has no public names for what it has fetched
from collections.abc import Iterator
from contextlib import contextmanager

from kafka import KafkaConsumer


class Turns:
    """Lets the client return other records first than at the last poll. One thread at a time.

    By turns come records of partitions that have just been fetched, and those of a partition with
    a rest; such partitions take turns too. Neither may always come first: a flooded partition has
    a rest at each poll, and among many partitions some have something new at each poll.
    """

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer
        self._held_back = False  # whether partitions with a rest were, at the last poll

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Poll once in the block."""
        fetcher = self._consumer._fetcher  # type: ignore[attr-defined]
        assignment = self._consumer._subscription.assignment  # type: ignore[attr-defined]
        rests, in_hand = fetcher._paused_partition_records, fetcher._next_partition_records
        fetcher._next_partition_records = None
        if in_hand:
            rests[in_hand.topic_partition] = in_hand  # behind the others
        paused = self._consumer.paused()
        waiting = []
        if not self._held_back and any(
            new.topic_partition not in paused for new in list(fetcher._completed_fetches)
        ):
            waiting = [assignment[place] for place in rests if place in assignment.keys() - paused]
        self._held_back = bool(waiting)
        for partition in waiting:
            partition.pause()
        try:
            yield
        finally:
            for partition in waiting:  # if it was assigned anew meanwhile, that is another object
                partition.resume()
