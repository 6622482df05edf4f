"""The contract of the producer that writes records outside of any transaction."""

from collections.abc import Sequence
from typing import Protocol

from pipeline.records import Outgoing


class Outlet(Protocol):
    """Our idempotent producer, for records outside of any transaction. One thread at a time."""

    def publish(self, burst: Sequence[Outgoing]) -> None:
        """Write records in order, and wait until the log has all of them.

        Raises `BrokerUnavailableError` if some may be missing: publish the same burst again, before
        any other. Records may repeat then, but their order within a partition stays the same.
        """

    def close(self) -> None:
        """Release it. Records in flight may still arrive."""
