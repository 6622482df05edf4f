"""The health of a process, as its probes report it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Health:
    """One answer. `failure`: why it cannot work; `starting`: what it still does before it can.

    `trouble`: what keeps it from working now, though it may end by itself. `note`: what an operator
    has to know of a process that works.
    """

    failure: str = ""
    starting: str = ""
    trouble: str = ""
    note: str = ""
    ready: bool = False

    @property
    def alive(self) -> str:
        """The text of a successful /healthz."""
        if self.trouble:
            return f"alive, in trouble: {self.trouble}"
        return f"alive, starting: {self.starting}" if self.starting else "alive"

    @property
    def prepared(self) -> str:
        """The text of a successful /readyz."""
        return f"ready; {self.note}" if self.note else "ready"

    @property
    def waiting(self) -> str:
        """The text of an unsuccessful /readyz: why the process is not ready."""
        return self.failure or self.starting or self.trouble or "restoring, or not in the group yet"
