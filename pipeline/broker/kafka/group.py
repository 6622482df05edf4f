"""A group as `longtake reset` uses it: its members, and a commit while it has none."""

from kafka.structs import ConsumerGroupMetadata

from pipeline.broker.checkpoint import Checkpoint, Member
from pipeline.broker.kafka.vendor.border import translated
from pipeline.broker.kafka.vendor.opening import open_admin
from pipeline.broker.kafka.writer import KafkaWriter
from pipeline.clock import Clock
from pipeline.connection import RESET_SLOT, GroupSettings, transactional_id
from pipeline.errors import CannotMoveError


class KafkaGroup:
    """Commits for a group without being a member, for `longtake reset`. One thread."""

    def __init__(self, settings: GroupSettings, *, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._group = settings.group

    def require_empty(self) -> None:
        """Raise `CannotMoveError`, with the members' names, if workers are in the group."""
        with translated(f"looking group {self._group} up", self._settings.connection):
            admin = open_admin(self._settings.connection)
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
        """Write a checkpoint like a worker, without being a member.

        K7: the broker does not fence such a commit, even if the group has members. So the group is
        checked once more, as late as possible.
        """
        writer = KafkaWriter(
            self._settings.connection,
            topics=self._settings.topics,
            name=transactional_id(self._group, RESET_SLOT),
            transaction_timeout_s=self._settings.transaction_timeout_s,
            longest_transaction_s=self._settings.longest_transaction_s,
            clock=self._clock,
        )
        try:
            self.require_empty()
            no_member = ConsumerGroupMetadata(self._group, -1, "", None)
            writer.commit(checkpoint, Member("", -1, no_member))
        finally:
            writer.close()
