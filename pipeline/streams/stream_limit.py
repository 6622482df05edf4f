"""Decides whether a partition has room for another stream. Counts as little as it can."""

from collections.abc import Iterable
from typing import Protocol


class Remembered(Protocol):
    """What the limit needs to know of a stream."""

    @property
    def taken_ms(self) -> int:
        """Timestamp of the stream's newest record that was taken into a batch."""


class StreamLimit:
    """Counts the streams of one partition that are within their time to live.

    The decision depends only on the log: it is made for a record in offset order, by the timestamps
    of the records before it. It does not depend on when expired streams are deleted. Counting
    looks at every stream, so a result is kept for as long as nothing can have changed it.
    """

    def __init__(self) -> None:
        self._at_most = 0  # as many streams, or fewer, are within their time to live
        self._oldest_ms: int | None = None  # no counted stream is older; None: not known to be full

    def adopt(self, streams: int) -> None:
        """Count restored streams."""
        self._at_most += streams

    def begin(self, record_ms: int) -> None:
        """Count a stream that begins with a record of this timestamp."""
        self._at_most += 1
        self.touch(record_ms)

    def touch(self, record_ms: int) -> None:
        """Consider the timestamp of a newer record of a counted stream.

        It can be older than the stream's last one, and so shorten the stream's time.
        """
        if self._oldest_ms is not None and record_ms < self._oldest_ms:
            self._oldest_ms = None

    def full(self, now_ms: int, ttl_ms: int) -> bool:
        """Return whether there is certainly no room at this time of the partition."""
        return self._oldest_ms is not None and now_ms - self._oldest_ms <= ttl_ms

    def has_room(
        self,
        streams: Iterable[Remembered],
        arrived_ms: Iterable[int],
        *,
        now_ms: int,
        ttl_ms: int,
        most: int,
    ) -> bool:
        """Return whether another stream may begin at this time of the partition.

        `arrived_ms` are the timestamps of those streams' records that wait to be taken.
        """
        if self._at_most < most:
            return True
        if self.full(now_ms, ttl_ms):
            return False
        counted = [s.taken_ms for s in streams if now_ms - s.taken_ms <= ttl_ms]
        self._at_most = len(counted)
        self._oldest_ms = min(*counted, *arrived_ms, now_ms) if len(counted) >= most else None
        return self._oldest_ms is None
