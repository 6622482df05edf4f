"""Our membership in the group, and the frames of our partitions."""

import logging
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from kafka import TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.errors import (
    IllegalStateError,
    KafkaTimeoutError,
    LogTruncationError,
    OffsetOutOfRangeError,
)
from kafka.structs import ConsumerGroupMetadata, MemberState

from pipeline.broker.checkpoint import Member
from pipeline.broker.contract import Assigned, Dropped, Event, OutOfRange, Poll
from pipeline.broker.kafka.vendor.assignor import GenerationAwareCooperativeSticky
from pipeline.broker.kafka.vendor.border import REQUEST_MS, as_record, translated
from pipeline.broker.kafka.vendor.connecting.refusal_patience import RefusalPatience
from pipeline.broker.kafka.vendor.connecting.watching import trouble_of
from pipeline.broker.kafka.vendor.coordinator import PatientCoordinator
from pipeline.broker.kafka.vendor.fetching.fetcher import GatheringFetcher
from pipeline.broker.kafka.vendor.fetching.turns import Turns
from pipeline.broker.kafka.vendor.opening import open_consumer
from pipeline.clock import Clock
from pipeline.connection import Connection
from pipeline.errors import BrokerUnavailableError

log = logging.getLogger(__name__)

TOPIC_REFRESH_MS = 5_000
CREATE_TIME = 0  # as `timestamp_type` of a record
LEAVE_MS = 2_000  # how long to wait for the broker's answer before the process ends


class KafkaFrames(ConsumerRebalanceListener):
    """See `FrameConsumer`. The client calls rebalance callbacks on its own thread: they only queue.

    `leaves`: whether `close` leaves the group if `instance` makes the member a static one. Where
    records come all the time, the broker gathers those of `gather_s` for one answer.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        topic: str,
        group: str,
        instance: str | None,
        session_timeout_s: float,
        heartbeat_s: float,
        leaves: bool,
        gather_s: float,
        clock: Clock,
    ) -> None:
        self._connection, self._topic = connection, topic
        self._leaves = leaves or instance is None
        self._session_timeout_s = session_timeout_s
        self._patience = RefusalPatience(clock)
        self._warned = False  # of records that their producer has dated
        self._events: deque[Event] = deque()
        self._member: Member | None = None
        session_ms = int(session_timeout_s * 1000)
        with translated("joining the group", connection):
            self._consumer = open_consumer(
                connection,
                group_id=group,
                group_instance_id=instance,
                partition_assignment_strategy=[GenerationAwareCooperativeSticky],
                auto_offset_reset="none",
                session_timeout_ms=session_ms,
                heartbeat_interval_ms=int(heartbeat_s * 1000),
                max_poll_interval_ms=max(60_000, session_ms),
                metadata_max_age_ms=TOPIC_REFRESH_MS,
                request_timeout_ms=max(REQUEST_MS, session_ms + 1000),
            )
            self._coordinator = PatientCoordinator.install(self._consumer)
            GatheringFetcher.install(self._consumer, gather_s=gather_s)
            self._turns = Turns(self._consumer)
            # A group leader that does not know the topic yet assigns nothing, and the group does
            # not rebalance before its metadata is refreshed: load the topic first, refresh often.
            self._consumer.partitions_for_topic(topic)
            self._consumer.subscribe([topic], listener=self)

    # ------------------------------------------------------- callbacks, on the client's thread

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Queue the event, pause the partitions and seek to an arbitrary offset.

        With a position set, the client looks up no committed offset, so that `poll` never waits for
        another worker's open commit. `start` seeks to the offset of the manifest.
        """
        partitions = list(assigned)
        for partition in partitions:
            self._consumer.pause(partition)
            self._consumer.seek(partition, 0)
        self._events.append(Assigned(frozenset(p.partition for p in partitions)))

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Queue the event. K10: the client has the new assignment already, so ask it nothing."""
        self._events.append(Dropped(frozenset(p.partition for p in revoked)))

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        """Queue the event."""
        self._events.append(Dropped(frozenset(p.partition for p in lost)))

    # ----------------------------------------------------------------- the owner thread's part

    def poll(self, timeout_s: float, max_records: int) -> Poll:
        """See `FrameConsumer`. Without a broker the client itself returns nothing, and no error."""
        batches: dict[TopicPartition, list[Any]] = {}
        gone: Event | None = None
        with translated("polling", self._connection):
            try:
                with self._turns.taken():
                    batches = self._consumer.poll(int(timeout_s * 1000), max_records=max_records)
            except OffsetOutOfRangeError as exc:
                gone = self._out_of_range(exc.args[0])
            except LogTruncationError as exc:
                gone = self._out_of_range(exc.divergent_offsets)
        if not batches and gone is None and not self._events:
            with self._patience.retried():
                self._require_broker()
        events = [gone] if gone is not None else []
        while self._events:
            events.append(self._events.popleft())
        events = [event for event in events if event.partitions]
        if not self._warned:
            self._look_at_clock(raw for batch in batches.values() for raw in batch)
        records = (as_record(raw) for batch in batches.values() for raw in batch)
        return Poll(tuple(events), tuple(records))

    def _look_at_clock(self, records: Iterable[Any]) -> None:
        """Warn once of records that their producer has dated; this needs no permission."""
        if any(raw.timestamp_type == CREATE_TIME for raw in records):
            self._warned = True
            log.warning(
                "topic %s: message.timestamp.type=CreateTime lets every producer date its records:"
                " one camera with a wrong clock makes the others of its partition lose their"
                " memory; `longtake topics check` shows how to mend it",
                self._topic,
            )

    def _require_broker(self) -> None:
        """Raise why no broker can be reached, if the client knows it."""
        trouble = trouble_of(self._consumer)
        if trouble is not None:
            raise BrokerUnavailableError(trouble.text) if trouble.heals else trouble.error

    def _out_of_range(self, offsets: Iterable[TopicPartition]) -> OutOfRange:
        partitions = list(offsets)
        for partition in partitions:
            with suppress(IllegalStateError, KeyError, ValueError):
                self._consumer.pause(partition)
                self._consumer.seek(partition, 0)
        return OutOfRange(frozenset(p.partition for p in partitions))

    def member(self) -> Member | None:
        """See `FrameConsumer`.

        K13: the client returns the next generation before it reports the assignment that belongs to
        it. So a new generation is used only if the group is stable and no event is waiting; until
        then the old one is used. K7: without a generation or a member id we are in no group.
        """
        seen: ConsumerGroupMetadata = self._consumer.group_metadata()  # type: ignore[no-untyped-call]
        if seen.generation_id < 0 or not seen.member_id:
            self._member = None
        elif seen.state == MemberState.STABLE and not self._events:
            self._member = Member(seen.member_id, seen.generation_id, seen)
        return self._member

    def delay_joins(self, *, delayed: bool) -> None:
        """See `FrameConsumer`."""
        self._coordinator.delay_joins(delayed=delayed)

    def is_joining(self) -> bool:
        """See `FrameConsumer`."""
        return self._coordinator.is_joining

    def group_answers(self) -> int:
        """See `FrameConsumer`."""
        return self._coordinator.answers

    def start(self, partition: int, offset: int) -> None:
        """See `FrameConsumer`."""
        place = TopicPartition(self._topic, partition)
        try:
            self._consumer.seek(place, offset)
            self._consumer.resume(place)
        except (IllegalStateError, KeyError, ValueError, AssertionError):
            log.debug("partition %d was taken from us before it could start", partition)

    def position(self, partition: int) -> int | None:
        """See `FrameConsumer`."""
        with suppress(IllegalStateError, KeyError, ValueError, AssertionError, KafkaTimeoutError):
            place = TopicPartition(self._topic, partition)
            return self._consumer.position(place, timeout_ms=0)
        return None

    def pause(self, partitions: Sequence[int]) -> None:
        """See `FrameConsumer`."""
        for number in partitions:
            with suppress(IllegalStateError, KeyError, ValueError):  # its revocation is on the way
                self._consumer.pause(TopicPartition(self._topic, number))

    def resume(self, partitions: Sequence[int]) -> None:
        """See `FrameConsumer`."""
        for number in partitions:
            with suppress(IllegalStateError, KeyError, ValueError):
                self._consumer.resume(TopicPartition(self._topic, number))

    def close(self) -> None:
        """See `FrameConsumer`."""
        joined = self._member is not None
        if self._leaves:
            self._coordinator.leave_when_closed()
        with translated("leaving the group", self._connection):
            self._consumer.close(autocommit=False, timeout_ms=LEAVE_MS)
        if joined and self._leaves and not self._coordinator.has_left:
            log.warning(
                "the group has not confirmed that we left: our partitions may wait up to %g s"
                " (session_timeout_s) for another worker",
                self._session_timeout_s,
            )
