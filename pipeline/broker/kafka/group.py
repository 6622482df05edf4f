"""A group seen from outside: who is in it, and a commit in its name while nobody is."""

from kafka.structs import ConsumerGroupMetadata

from pipeline.broker.checkpoint import Checkpoint, Member
from pipeline.broker.kafka.vendor.border import translated
from pipeline.broker.kafka.vendor.opening import open_admin
from pipeline.broker.kafka.writer import KafkaWriter
from pipeline.errors import CannotMoveError
from pipeline.records import Topics


class KafkaGroup:
    """Whoever has to change what is a worker's otherwise. One thread."""

    def __init__(
        self, bootstrap: str, *, group: str, topics: Topics, transaction_timeout_s: float
    ) -> None:
        self._bootstrap = bootstrap
        self._group = group
        self._topics = topics
        self._transaction_timeout_s = transaction_timeout_s

    def require_empty(self) -> None:
        """Raises `CannotMoveError`, with their names, while workers are in the group."""
        with translated(f"looking group {self._group} up"):
            admin = open_admin(self._bootstrap)
            found = admin.describe_groups([self._group])[self._group]
            admin.close()
        names = [
            f"{m['group_instance_id'] or m['member_id']} {m['client_host']}"
            for m in found["members"]
        ]
        if names:
            raise CannotMoveError(
                f"group {self._group} is at work: {', '.join(names)}. Stop these workers; one that"
                " was killed, or that stays at a stop (--on-stop stay), is a member until its"
                " session_timeout_s is over"
            )

    def commit(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint as a worker would, as nobody's member.

        K7: the broker accepts that without any fencing, even beside members. So the group is looked
        at once more, as late as can be.
        """
        writer = KafkaWriter(
            self._bootstrap,
            topics=self._topics,
            name=f"{self._group}.reset",
            transaction_timeout_s=self._transaction_timeout_s,
        )
        try:
            self.require_empty()
            nobody = ConsumerGroupMetadata(self._group, -1, "", None)
            writer.commit(checkpoint, Member("", -1, nobody))
        finally:
            writer.close()
