"""Logs why a worker cannot use the broker: each reason once, and when it is over."""

import logging

log = logging.getLogger(__name__)


class TroubleLog:
    """Remembers what was logged since the broker answered last. One thread."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def look(self, trouble: str) -> None:
        """Log a reason that is new; empty text means that the broker answers."""
        if trouble and trouble not in self._logged:
            self._logged.add(trouble)
            log.warning("%s; trying again", trouble)
        elif not trouble and self._logged:
            self._logged.clear()
            log.info("the broker answers again")
