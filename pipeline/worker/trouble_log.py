"""Knows why a worker cannot use the broker, and logs each reason once, and when it is over."""

import logging

from pipeline.errors import BrokerUnavailableError

log = logging.getLogger(__name__)


class TroubleLog:
    """Remembers what was logged since the broker answered last. Empty text: it answers."""

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
