"""Logs troubles that last, once each: a broker that cannot be used, units without a keyframe."""

import logging
from collections.abc import Iterable

from pipeline.errors import BrokerUnavailableError
from pipeline.records import Fate
from pipeline.streams.item import Item

log = logging.getLogger(__name__)


class TroubleLog:
    """Knows why the broker cannot be used, and remembers what was logged since it answered last.

    Empty text: it answers.
    """

    def __init__(self) -> None:
        self._polling = ""
        self._logged: set[str] = set()
        self.trouble = ""  # as of the last `look`

    def polled(self, trouble: str) -> None:
        """Keep why the last poll reached no broker."""
        self._polling = trouble

    def look(self, committing: Exception | None) -> None:
        """Log the reason of now, if it is new. `committing`: why the last commit failed."""
        unreached = isinstance(committing, BrokerUnavailableError)
        self.trouble = self._polling or (str(committing) if unreached else "")
        if self.trouble and self.trouble not in self._logged:
            self._logged.add(self.trouble)
            log.warning("%s; trying again", self.trouble)
        elif not self.trouble and self._logged:
            self._logged.clear()
            log.info("the broker answers again")


class UnkeyedLog:
    """Logs the first unit without a keyframe of each stream, and the next after a decoded one.

    Streams without memory are not logged: anyone can publish under any name.
    """

    def __init__(self) -> None:
        self._unkeyed: set[str] = set()

    def look(self, items: Iterable[Item]) -> None:
        """Log what is new in the finished records of a batch."""
        for item in items:
            if item.unit is None or item.stream is None:
                continue
            name = item.stream.name
            if item.fate is Fate.PREDICTED:
                self._unkeyed.discard(name)
            elif item.fate is Fate.UNKEYED and name not in self._unkeyed:
                self._unkeyed.add(name)
                log.warning(
                    "stream %s: no whole chain of units from a keyframe on is before offset %d of"
                    " partition %d; units are left out (fate unkeyed) until the next keyframe",
                    name,
                    item.record.offset,
                    item.record.partition,
                )
