"""Reads the changelogs of partitions from a log in memory."""

from collections.abc import Mapping, Sequence

from pipeline.broker.memory.log import MemoryLog
from pipeline.errors import RestoreStalledError
from pipeline.records import Changelog, Destination, Record

LOOK_AGAIN_S = 0.05


class MemoryChangelog:
    """See `ChangelogReader`."""

    def __init__(self, log: MemoryLog, *, stall_s: float) -> None:
        self._log = log
        self._stall_s = stall_s

    def read(self, partitions: Sequence[int]) -> Mapping[int, Changelog]:
        """See `ChangelogReader`."""
        deadline_s = self._log.clock.monotonic() + self._stall_s
        with self._log.changed:
            while True:
                found = {number: self._log.changelog(number) for number in partitions}
                ready = {number: changelog for number, changelog in found.items() if changelog}
                if len(ready) == len(partitions):
                    return ready
                if self._log.clock.monotonic() >= deadline_s:
                    raise RestoreStalledError(
                        "a transaction stays open in partitions"
                        f" {sorted(found.keys() - ready.keys())}"
                    )
                self._log.changed.wait(LOOK_AGAIN_S)

    def ends(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """See `ChangelogReader`."""
        return {number: self._log.stable_end(number) for number in partitions}

    def topic_ids(self) -> Mapping[str, str]:
        """See `ChangelogReader`."""
        return self._log.topic_ids()

    def committed(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """See `ChangelogReader`."""
        offsets = self._log.committed_offsets
        return {number: offsets[number] for number in partitions if number in offsets}

    def newest(
        self, kind: Destination, partitions: Sequence[int], *, most: int = 1
    ) -> Sequence[Record]:
        """See `ChangelogReader`."""
        held = self._log.read_committed(self._log.topics.of(kind))
        of_each = ([one for one in held if one.partition == number] for number in partitions)
        return [one for records in of_each for one in records[-most:]]

    def close(self) -> None:
        """See `ChangelogReader`."""
