"""The broker in memory keeps Kafka's guarantees on transactions, fencing and groups."""

from collections.abc import Callable

import pytest

from pipeline.broker.checkpoint import Checkpoint, Member, PartitionCheckpoint
from pipeline.broker.contract import Assigned, Dropped, OutOfRange
from pipeline.broker.memory.memory_consumer import MemoryConsumer
from pipeline.clock import ManualClock
from pipeline.errors import (
    BrokerUnavailableError,
    CommitRefusedError,
    CommitTimedOutError,
    FencedError,
    PartitionCountError,
    RestoreStalledError,
    TopicError,
)
from pipeline.records import Destination, Outgoing, Record, Topics
from pipeline.wire.changelog import Manifest
from tests.memory_faults import FaultyBroker, MovableLog, no_fault

TOPICS = Topics("frames", "predictions", "frames.dlq", "g.state")


@pytest.fixture
def log() -> MovableLog:
    return MovableLog(TOPICS, partitions=4, clock=ManualClock())


def broker(
    log: MovableLog, slot: str = "a", *, fault: Callable[[str], None] = no_fault
) -> FaultyBroker:
    return FaultyBroker(log, slot=slot, fault=fault, stall_s=0.0)


def failing(at: str) -> Callable[[str], None]:
    """Fail once at one step of the protocol, like a lost connection."""
    left = [at]

    def fault(step: str) -> None:
        if step in left:
            left.remove(step)
            raise BrokerUnavailableError(f"lost at {step}")

    return fault


def prediction(value: bytes, partition: int = 0) -> Outgoing:
    return Outgoing(Destination.PREDICTIONS, partition, b"cam-1", value)


def state(value: bytes | None, key: bytes = b"s:cam-1", partition: int = 0) -> Outgoing:
    return Outgoing(Destination.STATE, partition, key, value)


def checkpoint(*outgoing: Outgoing, partition: int = 0, number: int = 0) -> Checkpoint:
    manifest = Manifest(0, 1, number, "w", 1, "b", 4, 0)
    written = (*outgoing, manifest.write(partition))
    part = PartitionCheckpoint(partition, 1, number, 0, 1, written, manifest, (), {})
    return Checkpoint((part,), 0.0)


def joined(log: MovableLog) -> tuple[MemoryConsumer, Member]:
    consumer = broker(log).consumer()
    consumer.poll(0, 10)
    member = consumer.member()
    assert member is not None
    return consumer, member


def owned(consumer: MemoryConsumer, before: frozenset[int] = frozenset()) -> frozenset[int]:
    for event in consumer.poll(0, 0).events:
        if isinstance(event, Assigned):
            before |= event.partitions
        else:
            before -= event.partitions
    return before


def values(log: MovableLog, topic: str = "predictions") -> list[bytes | None]:
    return [record.value for record in log.read_committed(topic)]


# ----------------------------------------------------------------------------------- transactions


def test_a_commit_is_seen_whole(log: MovableLog) -> None:
    _, member = joined(log)
    writer = broker(log).writer()
    writer.commit(checkpoint(prediction(b"1"), prediction(b"2", 1), state(b"s")), member)
    assert values(log) == [b"1", b"2"]
    assert [r.key for r in log.read_committed("g.state")] == [b"s:cam-1", b"m"]


@pytest.mark.parametrize("at", ["begin", "send", "offsets", "commit"])
def test_a_commit_that_broke_off_is_not_seen(log: MovableLog, at: str) -> None:
    _, member = joined(log)
    writer = broker(log, fault=failing(at)).writer()
    with pytest.raises(BrokerUnavailableError):
        writer.commit(checkpoint(prediction(b"1")), member)
    assert values(log) == values(log, "g.state") == []
    writer.renew()
    assert values(log) == values(log, "g.state") == []
    writer.commit(checkpoint(prediction(b"again")), member)
    assert values(log) == [b"again"]


def test_a_commit_whose_answer_was_lost_is_in_the_log(log: MovableLog) -> None:
    _, member = joined(log)
    writer = broker(log, fault=failing("committed")).writer()
    with pytest.raises(BrokerUnavailableError):
        writer.commit(checkpoint(prediction(b"1")), member)
    writer.renew()
    assert values(log) == [b"1"]


def test_an_open_transaction_hides_what_others_commit_behind_it(log: MovableLog) -> None:
    _, member = joined(log)
    epoch = log.init_producer("slow")
    log.begin("slow", epoch)
    log.write("slow", epoch, prediction(b"slow"))
    broker(log).writer().commit(checkpoint(prediction(b"fast"), prediction(b"else", 1)), member)
    assert values(log) == [b"else"]
    log.finish("slow", epoch, commit=True)
    assert values(log) == [b"slow", b"fast", b"else"]


def test_an_aborted_transaction_hides_only_itself(log: MovableLog) -> None:
    _, member = joined(log)
    epoch = log.init_producer("slow")
    log.begin("slow", epoch)
    log.write("slow", epoch, prediction(b"slow"))
    broker(log).writer().commit(checkpoint(prediction(b"fast")), member)
    log.finish("slow", epoch, commit=False)
    assert values(log) == [b"fast"]


def test_a_marker_takes_an_offset_of_its_own(log: MovableLog) -> None:
    _, member = joined(log)
    writer = broker(log).writer()
    for value in (b"1", b"2"):
        writer.commit(checkpoint(prediction(value)), member)
    assert [record.offset for record in log.read_committed("predictions")] == [0, 2]


def test_a_key_decides_the_partition_where_none_is_named(log: MovableLog) -> None:
    letters = [
        Outgoing(Destination.DEAD_LETTERS, None, b"cam-%d" % (n % 8), b"") for n in range(16)
    ]
    broker(log).outlet().publish(letters)
    places = {(record.key, record.partition) for record in log.read_committed("frames.dlq")}
    assert len(places) == 8
    assert len({partition for _, partition in places}) > 1


# ---------------------------------------------------------------------------------------- fencing


def test_a_new_writer_of_the_same_slot_fences_the_old_one(log: MovableLog) -> None:
    _, member = joined(log)
    old, new = broker(log).writer(), broker(log).writer()
    with pytest.raises(FencedError):
        old.commit(checkpoint(prediction(b"old")), member)
    new.commit(checkpoint(prediction(b"new")), member)
    assert values(log) == [b"new"]


def test_a_writer_of_another_slot_fences_nobody(log: MovableLog) -> None:
    _, member = joined(log)
    first, second = broker(log, "a").writer(), broker(log, "b").writer()
    first.commit(checkpoint(prediction(b"1")), member)
    second.commit(checkpoint(prediction(b"2")), member)
    assert values(log) == [b"1", b"2"]


def test_a_new_writer_ends_what_its_predecessor_left_open(log: MovableLog) -> None:
    _, member = joined(log)
    dying = broker(log, fault=failing("commit")).writer()
    with pytest.raises(BrokerUnavailableError):
        dying.commit(checkpoint(prediction(b"dying")), member)
    broker(log).writer().commit(checkpoint(prediction(b"next")), member)
    assert values(log) == [b"next"]


def test_a_transaction_that_timed_out_fences_its_producer(log: MovableLog) -> None:
    epoch = log.init_producer("slow")
    log.begin("slow", epoch)
    log.write("slow", epoch, prediction(b"slow"))
    log.abort_open()
    with pytest.raises(CommitTimedOutError):
        log.finish("slow", epoch, commit=True)
    assert values(log) == []


# ------------------------------------------------------------------------------------ generations


def test_a_generation_of_the_past_is_refused(log: MovableLog) -> None:
    consumer, member = joined(log)
    log.group.rebalance()
    writer = broker(log).writer()
    with pytest.raises(CommitRefusedError):
        writer.commit(checkpoint(prediction(b"past")), member)
    consumer.poll(0, 0)
    present = consumer.member()
    assert present is not None
    assert (present.member_id, present.generation) == (member.member_id, member.generation + 1)
    writer.renew()
    writer.commit(checkpoint(prediction(b"present")), present)
    assert values(log) == [b"present"]


def test_a_member_that_is_gone_is_refused(log: MovableLog) -> None:
    consumer, member = joined(log)
    consumer.close()
    with pytest.raises(CommitRefusedError):
        broker(log).writer().commit(checkpoint(prediction(b"zombie")), member)
    broker(log).writer()
    assert values(log) == []


def test_we_are_who_we_were_at_the_last_poll(log: MovableLog) -> None:
    consumer, member = joined(log)
    log.group.rebalance()
    assert consumer.member() in (member, None)


def test_nobody_is_a_member_before_the_first_poll(log: MovableLog) -> None:
    assert broker(log).consumer().member() is None


def test_what_has_moved_cannot_be_committed_by_its_old_owner(log: MovableLog) -> None:
    old, before = joined(log)
    new = broker(log, "b").consumer()
    frozen_with = old.member() or before  # we have no event of a move yet
    old.poll(0, 0)
    assert 3 in owned(new)
    new_member = new.member()
    assert new_member is not None
    broker(log, "b").writer().commit(checkpoint(prediction(b"new", 3), partition=3), new_member)
    with pytest.raises(CommitRefusedError):
        broker(log).writer().commit(checkpoint(prediction(b"old", 3), partition=3), frozen_with)


# ------------------------------------------------------------------------------------- rebalances


def test_the_first_member_gets_everything(log: MovableLog) -> None:
    assert owned(broker(log).consumer()) == {0, 1, 2, 3}


def test_a_partition_moves_only_after_its_old_owner_has_heard_of_it(log: MovableLog) -> None:
    old = broker(log, "a").consumer()
    at_old = owned(old)
    new = broker(log, "b").consumer()
    assert owned(new) == set()
    at_old = owned(old, at_old)
    at_new = owned(new)
    assert len(at_old) == len(at_new) == 2
    assert at_old | at_new == {0, 1, 2, 3}


def test_further_rebalances_do_not_hand_over_what_is_still_unheard(log: MovableLog) -> None:
    old = broker(log, "a").consumer()
    at_old = owned(old)
    new, third = broker(log, "b").consumer(), broker(log, "c").consumer()
    log.group.rebalance()
    at_new, at_third = owned(new), owned(third)
    assert at_new == at_third == set()
    at_old, at_new, at_third = owned(old, at_old), owned(new), owned(third)
    assert sorted([*at_old, *at_new, *at_third]) == [0, 1, 2, 3]
    assert all((at_old, at_new, at_third))


def test_what_can_stay_stays(log: MovableLog) -> None:
    consumer = broker(log).consumer()
    before = owned(consumer)
    log.group.rebalance()
    assert consumer.poll(0, 0).events == ()
    broker(log, "b").consumer()
    assert owned(consumer, before) < before


def test_a_member_hears_nothing_of_what_it_takes_for_its_own_and_has_it(log: MovableLog) -> None:
    member_id = log.group.join()
    log.group.hand_over(member_id, range(4))
    assert log.group.news(member_id) == ()
    broker(log, "b").consumer()
    (moved,) = log.group.news(member_id)
    assert moved == Dropped(frozenset({2, 3}))


def test_a_member_that_left_is_inherited_at_once(log: MovableLog) -> None:
    first, second = broker(log, "a").consumer(), broker(log, "b").consumer()
    owned(first)
    at_second = owned(second)
    first.close()
    assert owned(second, at_second) == {0, 1, 2, 3}


@pytest.mark.parametrize("started", [True, False])
def test_a_member_that_was_given_up_hears_that_all_is_lost(
    log: MovableLog, *, started: bool
) -> None:
    consumer, member = joined(log)
    for number in range(4 if started else 0):
        consumer.start(number, 0)
    log.group.leave(member.member_id)
    assert Dropped(frozenset({0, 1, 2, 3})) in consumer.poll(0, 10).events
    assert owned(consumer) == {0, 1, 2, 3}
    again = consumer.member()
    assert again is not None
    assert again.member_id != member.member_id


# ---------------------------------------------------------------------------------------- reading


def offsets(records: tuple[Record, ...]) -> list[int]:
    return [record.offset for record in records]


def test_nothing_is_read_before_it_is_started(log: MovableLog) -> None:
    log.publish(0, b"cam-1", b"x")
    consumer, _ = joined(log)
    assert consumer.poll(0, 10).records == ()
    consumer.start(0, 0)
    assert offsets(consumer.poll(0, 10).records) == [0]


def test_each_record_is_polled_once_and_in_order(log: MovableLog) -> None:
    for _ in range(7):
        log.publish(0, b"cam-1", b"x")
    consumer, _ = joined(log)
    consumer.start(0, 2)
    assert [offsets(consumer.poll(0, 3).records) for _ in range(3)] == [[2, 3, 4], [5, 6], []]


def test_a_paused_partition_goes_on_where_it_was(log: MovableLog) -> None:
    consumer, _ = joined(log)
    consumer.start(0, 0)
    log.publish(0, b"cam-1", b"x")
    consumer.pause([0])
    assert consumer.poll(0, 10).records == ()
    consumer.resume([0])
    assert offsets(consumer.poll(0, 10).records) == [0]


def test_a_partition_that_is_gone_is_not_read(log: MovableLog) -> None:
    consumer, _ = joined(log)
    for number in range(4):
        log.publish(number, b"cam-1", b"x")
        consumer.start(number, 0)
    broker(log, "b").consumer()
    polled = consumer.poll(0, 10)
    gone = {n for event in polled.events for n in event.partitions}
    assert len(gone) == 2
    assert {record.partition for record in polled.records} == {0, 1, 2, 3} - gone


def test_an_offset_that_retention_deleted_is_told(log: MovableLog) -> None:
    for _ in range(5):
        log.publish(0, b"cam-1", b"x")
    consumer, _ = joined(log)
    log.expire(0, 3)
    consumer.start(0, 1)
    polled = consumer.poll(0, 10)
    assert (polled.events, polled.records) == ((OutOfRange(frozenset([0])),), ())
    consumer.start(0, 3)
    assert offsets(consumer.poll(0, 10).records) == [3, 4]


def test_a_backlog_does_not_hide_another_partition(log: MovableLog) -> None:
    consumer, _ = joined(log)
    for number in range(2):
        consumer.start(number, 0)
        for _ in range(20):
            log.publish(number, b"cam-1", b"x")
    polled = [record.partition for _ in range(4) for record in consumer.poll(0, 5).records]
    assert {0, 1} <= set(polled)


# -------------------------------------------------------------------------------------- changelog


def test_the_changelog_is_the_newest_record_of_each_key(log: MovableLog) -> None:
    _, member = joined(log)
    writer = broker(log).writer()
    writer.commit(checkpoint(state(b"1"), state(b"x", b"s:cam-2")), member)
    writer.commit(checkpoint(state(b"2"), state(None, b"s:cam-2"), number=1), member)
    found = broker(log).changelog().read([0, 1])
    assert {key: record.value for key, record in found[0].records.items() if key != b"m"} == {
        b"s:cam-1": b"2"
    }
    assert Manifest.read(found[0].records[b"m"]).checkpoint == 1
    assert found[1].records == {}


def test_the_changelog_says_where_the_frames_begin_and_end(log: MovableLog) -> None:
    for _ in range(5):
        log.publish(2, b"cam-1", b"x")
    log.expire(2, 3)
    found = broker(log).changelog().read([2])[2]
    assert (found.log_start, found.log_end) == (3, 5)


def test_what_a_dying_worker_has_in_flight_is_waited_for(log: MovableLog) -> None:
    epoch = log.init_producer("dying")
    log.begin("dying", epoch)
    log.write("dying", epoch, state(b"in flight"))
    with pytest.raises(RestoreStalledError):
        broker(log).changelog().read([0])
    assert broker(log).changelog().read([1])[1].records == {}
    log.finish("dying", epoch, commit=True)
    assert broker(log).changelog().read([0])[0].records[b"s:cam-1"].value == b"in flight"


def test_what_was_aborted_is_not_restored(log: MovableLog) -> None:
    epoch = log.init_producer("dying")
    log.begin("dying", epoch)
    log.write("dying", epoch, state(b"in flight"))
    log.abort_open()
    assert broker(log).changelog().read([0])[0].records == {}


# ----------------------------------------------------------------------------------------- topics


def test_the_partitions_are_counted(log: MovableLog) -> None:
    assert broker(log).partition_count() == 4


@pytest.mark.parametrize("lacking", ["predictions", "g.state"])
def test_a_topic_with_fewer_partitions_than_the_frames_is_refused(
    log: MovableLog, lacking: str
) -> None:
    for topic in {"frames", "predictions", "g.state"} - {lacking}:
        log.grow(topic, 6)
    with pytest.raises(PartitionCountError, match="6"):
        broker(log).partition_count()


def test_while_a_growth_has_not_reached_the_frames_yet_their_partitions_count(
    log: MovableLog,
) -> None:
    for topic in ("predictions", "g.state"):
        log.grow(topic, 6)
    assert broker(log).partition_count() == 4


def test_a_topic_that_is_not_there_is_named(log: MovableLog) -> None:
    with pytest.raises(TopicError, match="elsewhere"):
        log.read_committed("elsewhere")
