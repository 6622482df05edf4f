"""Hands back what the client fetched of a partition that was paused.

K33: the client parks the fetched rest of a paused partition, and takes it up again after `resume`
only if it has nothing else in hand. But it counts the last batch that it read as in hand, even when
that is used up. From then on it neither returns the parked records nor fetches new ones: the
partition stands still until another one is paused amid its records, and no seek helps.
"""

from kafka import KafkaConsumer


def let_parked_return(consumer: KafkaConsumer) -> None:
    """Forget the batch in hand if it is used up. Call it before each poll, on the same thread."""
    fetcher = consumer._fetcher  # type: ignore[attr-defined]  # noqa: SLF001
    if not fetcher._next_partition_records:  # noqa: SLF001
        fetcher._next_partition_records = None  # noqa: SLF001
