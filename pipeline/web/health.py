"""How a worker is: what its probes are told."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Health:
    """One answer. `failure`: why it cannot work; `starting`: what it does before it can."""

    failure: str = ""
    starting: str = ""
    ready: bool = False

    @property
    def alive(self) -> str:
        """In words, unless it has failed."""
        return f"alive, starting: {self.starting}" if self.starting else "alive"

    @property
    def waiting(self) -> str:
        """Why it is not ready, in words."""
        return self.failure or self.starting or "restoring, or not in the group yet"
