"""The contract of every broker: one suite for the broker in memory and for a real Kafka."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from typing import Protocol, TypeVar

import pytest

from pipeline.broker.checkpoint import Checkpoint, Member, PartitionCheckpoint
from pipeline.broker.contract import Assigned, Dropped, Event, FrameConsumer, OutOfRange
from pipeline.broker.kafka.vendor import coordinator
from pipeline.broker.partitioner import partition_of
from pipeline.errors import CommitRefusedError, LongtakeError, PartitionCountError, TopicError
from pipeline.local.cluster import LocalKafka
from pipeline.records import Destination, Outgoing, Record
from pipeline.wire.changelog import Manifest
from tests.clusters import PARTITIONS, Cluster, KafkaCluster

PATIENCE_S = 30.0
BUSY_POLLS = 40  # of a member that works for 0.1 s between two polls
Part = TypeVar("Part", bound="Closeable")


class Closeable(Protocol):
    def close(self) -> None: ...


class OpenParts(Protocol):
    """Remembers what is opened, and hands it through."""

    def __call__(self, part: Part) -> Part: ...


@pytest.fixture
def open_parts() -> Iterator[OpenParts]:
    """Remember what is opened, and close it in the end."""
    opened: list[Closeable] = []

    def remember(part: Part) -> Part:
        opened.append(part)
        return part

    yield remember
    for part in opened:
        with suppress(LongtakeError):
            part.close()


class Owner:
    """A consumer with its partitions, events and records, as a worker keeps them."""

    def __init__(self, consumer: FrameConsumer) -> None:
        self.consumer = consumer
        self.partitions: set[int] = set()
        self.events: list[Event] = []
        self.records: list[Record] = []
        self.member: Member | None = None

    def poll(self, *, start: bool = True, timeout_s: float = 0.05) -> None:
        polled = self.consumer.poll(timeout_s, 100)
        for event in polled.events:
            self.events.append(event)
            if isinstance(event, Assigned):
                self.partitions |= event.partitions
                for number in event.partitions if start else ():
                    self.consumer.start(number, 0)
            elif isinstance(event, Dropped):
                self.partitions -= event.partitions
        self.member = self.consumer.member()
        self.records += polled.records

    def joined(self) -> Member:
        assert self.member is not None, "it is no member of the group"
        return self.member


def until(condition: Callable[[], bool], owners: Sequence[Owner]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen"
        for owner in owners:
            owner.poll()


def settled(cluster: Cluster, open_parts: OpenParts) -> Owner:
    """Return a single member that has all partitions in a stable group."""
    owner = Owner(open_parts(cluster.broker("one").consumer()))
    until(lambda: len(owner.partitions) == PARTITIONS and owner.member is not None, [owner])
    return owner


def shared(one: Owner, two: Owner) -> bool:
    """Return whether two members are stable, each with half of the partitions."""
    return (
        len(one.partitions) == len(two.partitions) == PARTITIONS // 2
        and one.member is not None
        and two.member is not None
        and one.member.generation == two.member.generation
    )


def checkpoint(number: int = 0, *, offset: int = 1, value: bytes = b"{}") -> Checkpoint:
    manifest = Manifest(0, offset, number, "one", 1, "digest", PARTITIONS, 0)
    outgoing = (
        Outgoing(Destination.PREDICTIONS, 0, b"cam", value, (("worker", b"one"),)),
        Outgoing(Destination.STATE, 0, b"s:cam", value),
        manifest.write(0),
    )
    part = PartitionCheckpoint(0, 1, number, 0, offset, outgoing, manifest, (), {})
    return Checkpoint((part,), time.time())


def test_frames_arrive_once_in_order_with_all_that_was_said_of_them(
    cluster: Cluster, open_parts: OpenParts
) -> None:
    for n in range(20):
        cluster.publish(1, b"cam", b"picture %d" % n, (("seq", b"%d" % n),))
    owner = settled(cluster, open_parts)
    until(lambda: len(owner.records) >= 20, [owner])
    assert [r.value for r in owner.records] == [b"picture %d" % n for n in range(20)]
    assert [r.offset for r in owner.records] == list(range(20))
    assert {(r.partition, r.key) for r in owner.records} == {(1, b"cam")}
    assert dict(owner.records[3].headers)["seq"] == b"3"
    assert abs(owner.records[3].timestamp_ms / 1000 - time.time()) < 60


def test_a_null_value_arrives_as_such(cluster: Cluster, open_parts: OpenParts) -> None:
    cluster.publish(0, b"cam", None)
    owner = settled(cluster, open_parts)
    until(lambda: len(owner.records) == 1, [owner])
    assert owner.records[0].value is None


def test_an_assigned_partition_is_silent_until_it_is_started(
    cluster: Cluster, open_parts: OpenParts
) -> None:
    cluster.publish(0, b"cam", b"picture")
    owner = Owner(open_parts(cluster.broker("one").consumer()))
    for _ in range(40):
        owner.poll(start=False)
    assert owner.partitions == set(range(PARTITIONS))
    assert owner.records == []


def test_a_position_is_where_reading_goes_on(cluster: Cluster, open_parts: OpenParts) -> None:
    for n in range(10):
        cluster.publish(0, b"cam", b"%d" % n)
    owner = settled(cluster, open_parts)
    until(lambda: len(owner.records) == 10, [owner])
    assert owner.consumer.position(0) == 10
    owner.consumer.start(0, 7)
    assert owner.consumer.position(0) == 7
    assert owner.consumer.position(PARTITIONS) is None


def test_a_member_gets_answers_of_its_group_as_long_as_it_polls(
    cluster: Cluster, open_parts: OpenParts
) -> None:
    owner = settled(cluster, open_parts)
    before = owner.consumer.group_answers()
    until(lambda: owner.consumer.group_answers() >= before + 2, [owner])


def test_the_ends_of_the_frames_are_those_that_can_be_read(
    cluster: Cluster, open_parts: OpenParts
) -> None:
    for n in range(10):
        cluster.publish(0, b"cam", b"%d" % n)
    reader = open_parts(cluster.broker("one").changelog())
    assert reader.ends([0, 1]) == {0: 10, 1: 0}


def test_reading_starts_where_it_is_told_to(cluster: Cluster, open_parts: OpenParts) -> None:
    for n in range(10):
        cluster.publish(0, b"cam", b"%d" % n)
    owner = settled(cluster, open_parts)
    until(lambda: len(owner.records) == 10, [owner])
    owner.consumer.start(0, 7)
    until(lambda: len(owner.records) == 13, [owner])
    assert [r.offset for r in owner.records[10:]] == [7, 8, 9]


def test_a_paused_partition_is_silent_and_goes_on_where_it_was(
    cluster: Cluster, open_parts: OpenParts
) -> None:
    owner = settled(cluster, open_parts)
    owner.consumer.pause([0])
    cluster.publish(0, b"cam", b"picture")
    for _ in range(10):
        owner.poll()
    assert owner.records == []
    owner.consumer.resume([0])
    until(lambda: len(owner.records) == 1, [owner])


def test_a_partition_that_was_paused_amid_its_records_goes_on_after_others_are_read(
    cluster: Cluster, open_parts: OpenParts
) -> None:
    owner = settled(cluster, open_parts)
    owner.consumer.pause([0, 1, 2])
    for number in (0, 1, 2):
        for n in range(250):  # more than one poll returns
            cluster.publish(number, b"cam", b"%d" % n)
    for number in (0, 1):  # the client has fetched a rest of each
        owner.consumer.resume([number])
        until(partial(has_read, owner, number), [owner])
        owner.consumer.pause([number])
    owner.consumer.resume([2])
    until(lambda: read_of(owner, 2) == 250, [owner])
    owner.consumer.resume([0, 1])
    until(lambda: len(owner.records) == 750, [owner])


def test_a_backlog_of_one_partition_holds_up_no_other(
    cluster: Cluster, open_parts: OpenParts
) -> None:
    owner = settled(cluster, open_parts)
    owner.consumer.pause([0, 1])
    for number, count in ((0, 3000), (1, 3000)):
        for _ in range(count):
            cluster.publish(number, b"flood", b"x")
    owner.consumer.resume([0, 1])
    until(lambda: min(read_of(owner, 0), read_of(owner, 1)) > 0, [owner])
    cluster.publish(2, b"cam", b"picture")
    until(lambda: read_of(owner, 2) == 1, [owner])
    assert len(owner.records) < 6001, "it came last"


def test_what_is_new_elsewhere_at_each_poll_holds_up_no_backlog(
    cluster: Cluster, open_parts: OpenParts
) -> None:
    owner = settled(cluster, open_parts)
    owner.consumer.pause([0])
    for n in range(250):  # more than one poll returns
        cluster.publish(0, b"cam", b"%d" % n)
    owner.consumer.resume([0])
    until(partial(has_read, owner, 0), [owner])
    for n in range(20):
        cluster.publish(1, b"cam", b"%d" % n)
        time.sleep(0.1)  # the client has fetched it before it is asked
        owner.poll()
    assert read_of(owner, 0) == 250


def has_read(owner: Owner, partition: int) -> bool:
    return read_of(owner, partition) > 0


def read_of(owner: Owner, partition: int) -> int:
    return sum(record.partition == partition for record in owner.records)


def test_a_commit_shows_everything_at_once(cluster: Cluster, open_parts: OpenParts) -> None:
    owner = settled(cluster, open_parts)
    writer = open_parts(cluster.broker("one").writer())
    writer.commit(checkpoint(value=b"answer"), owner.joined())
    (prediction,) = cluster.committed(cluster.topics.predictions)
    assert (prediction.partition, prediction.key, prediction.value) == (0, b"cam", b"answer")
    assert dict(prediction.headers) == {"worker": b"one"}
    assert len(cluster.committed(cluster.topics.state)) == 2


def test_a_topic_that_is_made_anew_has_another_id_and_the_others_keep_theirs(
    cluster: Cluster, open_parts: OpenParts
) -> None:
    reader = open_parts(cluster.broker("one").changelog())
    before = reader.topic_ids()
    assert before.keys() == cluster.topics.by_role.keys()
    assert len(set(before.values())) == len(before)
    assert reader.read([0])[0].topic_ids == before
    cluster.make_anew(cluster.topics.frames)
    after = reader.topic_ids()
    assert {role for role in before if after[role] != before[role]} == {"frames"}


def test_the_committed_offsets_are_those_of_the_last_commit(
    cluster: Cluster, open_parts: OpenParts
) -> None:
    owner = settled(cluster, open_parts)
    broker = cluster.broker("one")
    reader, writer = open_parts(broker.changelog()), open_parts(broker.writer())
    assert reader.committed([0, 1]) == {}
    writer.commit(checkpoint(offset=7), owner.joined())
    until(lambda: reader.committed([0, 1]) == {0: 7}, [owner])


def test_what_leaves_at_once_is_seen_in_its_order_without_any_commit(
    cluster: Cluster, open_parts: OpenParts
) -> None:
    outlet = open_parts(cluster.broker("one").outlet())
    for burst in (range(3), range(3, 50)):
        predictions = [b"answer %d" % n for n in burst]
        outlet.publish(
            [
                Outgoing(Destination.PREDICTIONS, 1, b"cam", value, (("worker", b"one"),))
                for value in predictions
            ]
        )
    seen = cluster.committed(cluster.topics.predictions)
    assert [r.value for r in seen] == [b"answer %d" % n for n in range(50)]
    assert {(r.partition, r.key, r.headers) for r in seen} == {(1, b"cam", (("worker", b"one"),))}


def test_a_camera_and_its_removal_are_written_in_their_order_and_dated_by_the_log(
    cluster: Cluster, open_parts: OpenParts
) -> None:
    outlet = open_parts(cluster.broker("one").outlet())
    for value in (b"live", b"gone", None):
        outlet.publish([Outgoing(Destination.CAMERAS, None, b"gate", value)])
    seen = cluster.committed(cluster.topics.cameras)
    assert [(r.key, r.value) for r in seen] == [
        (b"gate", b"live"),
        (b"gate", b"gone"),
        (b"gate", None),
    ]
    assert all(abs(r.timestamp_ms / 1000 - time.time()) < 60 for r in seen)


def test_a_key_decides_the_partition_where_none_is_named(
    cluster: Cluster, open_parts: OpenParts
) -> None:
    """Both brokers choose the same partition, so that readers can rely on it."""
    outlet = open_parts(cluster.broker("one").outlet())
    keys = [b"cam-%d" % (n % 8) for n in range(16)]
    outlet.publish([Outgoing(Destination.DEAD_LETTERS, None, key, b"{}") for key in keys])
    found = cluster.committed(cluster.topics.dead_letters)
    assert len(found) == 16
    assert {(r.key, r.partition) for r in found} == {(k, partition_of(k, PARTITIONS)) for k in keys}
    assert len({r.partition for r in found}) > 1


def test_a_member_of_the_past_commits_nothing(cluster: Cluster, open_parts: OpenParts) -> None:
    owner = settled(cluster, open_parts)
    past = owner.joined()
    other = Owner(open_parts(cluster.broker("two").consumer()))
    until(lambda: shared(owner, other), [owner, other])
    writer = open_parts(cluster.broker("one").writer())
    with pytest.raises(CommitRefusedError):
        writer.commit(checkpoint(), past)
    writer.renew()
    assert cluster.committed(cluster.topics.predictions) == []
    assert cluster.committed(cluster.topics.state) == []


def test_a_member_that_is_busy_between_short_polls_joins_all_the_same(
    cluster: Cluster, open_parts: OpenParts
) -> None:
    """K14: the outcome of a join that ends between two polls must not be discarded."""
    busy = Owner(open_parts(cluster.broker("one").consumer()))
    work_s = 0.1 if isinstance(cluster, KafkaCluster) else 0.0  # no join goes on without us there
    polls = 0  # they are counted: given time enough, luck lets the vendor's coordinator in too
    while busy.partitions != set(range(PARTITIONS)) or busy.member is None:
        assert (polls := polls + 1) <= BUSY_POLLS, "a busy member does not get in"
        busy.poll(timeout_s=0.0)
        time.sleep(work_s)
    joined = busy.joined()
    for _ in range(10):
        busy.poll(timeout_s=0.0)
        time.sleep(work_s)
    assert busy.member == joined
    open_parts(cluster.broker("one").writer()).commit(checkpoint(), busy.joined())


@pytest.mark.kafka
def test_a_member_joins_after_the_commit_that_is_on_its_way(
    kafka: LocalKafka, open_parts: OpenParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the commit would be refused at each rebalance. The log in memory has no joins."""
    monkeypatch.setattr(coordinator, "JOIN_DELAY_S", PATIENCE_S)
    with closing(KafkaCluster(kafka.connection, PARTITIONS)) as cluster:
        owner = settled(cluster, open_parts)
        owner.consumer.delay_joins(delayed=True)
        other = Owner(open_parts(cluster.broker("two").consumer()))
        for _ in range(20):  # its join is heard of meanwhile
            owner.poll()
            other.poll()
        assert not owner.consumer.is_joining()
        open_parts(cluster.broker("one").writer()).commit(checkpoint(), owner.joined())
        monkeypatch.setattr(coordinator, "JOIN_DELAY_S", 0.0)  # a commit that hangs holds nobody up
        until(lambda: shared(owner, other), [owner, other])


def test_after_a_refusal_and_a_renewal_the_same_checkpoint_can_be_committed(
    cluster: Cluster, open_parts: OpenParts
) -> None:
    owner = settled(cluster, open_parts)
    past = owner.joined()
    other = Owner(open_parts(cluster.broker("two").consumer()))
    until(lambda: shared(owner, other), [owner, other])
    writer = open_parts(cluster.broker("one").writer())
    with pytest.raises(CommitRefusedError):
        writer.commit(checkpoint(), past)
    writer.renew()
    writer.commit(checkpoint(), owner.joined())
    assert len(cluster.committed(cluster.topics.predictions)) == 1


def test_of_two_producers_of_one_name_only_the_newer_can_commit(
    cluster: Cluster, open_parts: OpenParts
) -> None:
    owner = settled(cluster, open_parts)
    older = open_parts(cluster.broker("one").writer())
    newer = open_parts(cluster.broker("one").writer())
    with pytest.raises(LongtakeError):
        older.commit(checkpoint(value=b"older"), owner.joined())
    newer.commit(checkpoint(value=b"newer"), owner.joined())
    values = [r.value for r in cluster.committed(cluster.topics.predictions)]
    assert values == [b"newer"]


def test_a_changelog_gives_the_newest_of_every_key_and_nothing_that_is_buried(
    cluster: Cluster, open_parts: OpenParts
) -> None:
    owner = settled(cluster, open_parts)
    writer = open_parts(cluster.broker("one").writer())
    writer.commit(checkpoint(0, value=b"old"), owner.joined())
    writer.commit(checkpoint(1, value=b"new"), owner.joined())
    reader = open_parts(cluster.broker("one").changelog())
    assert reader.read([0])[0].records[b"s:cam"].value == b"new"
    buried = Outgoing(Destination.STATE, 0, b"s:cam", None)
    last = checkpoint(2).parts[0]
    part = PartitionCheckpoint(0, 1, 2, 0, 1, (buried, last.outgoing[-1]), last.manifest, (), {})
    writer.commit(Checkpoint((part,), 0.0), owner.joined())
    found = reader.read([0, 1])
    assert set(found[0].records) == {b"m"}
    assert Manifest.read(found[0].records[b"m"]).checkpoint == 2
    assert found[1].records == {}


def test_a_changelog_is_not_at_its_end_while_somebody_is_still_writing(
    cluster: Cluster, open_parts: OpenParts
) -> None:
    """A transaction that a dead worker left open may still be committed, so readers wait for it."""
    commit = cluster.write_slowly(b"s:cam", b"in flight")
    reader = open_parts(cluster.broker("one").changelog())
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(reader.read, [0])
        with pytest.raises(TimeoutError):
            reading.result(1.0)  # fails at once where the reader does not wait
        commit()
        found = reading.result(PATIENCE_S)
    assert found[0].records[b"s:cam"].value == b"in flight"


def test_a_changelog_says_where_the_frames_begin_and_end(
    cluster: Cluster, open_parts: OpenParts
) -> None:
    for n in range(10):
        cluster.publish(2, b"cam", b"%d" % n)
    cluster.expire(2, 4)
    found = open_parts(cluster.broker("one").changelog()).read([2, 3])
    assert (found[2].log_start, found[2].log_end) == (4, 10)
    assert (found[3].log_start, found[3].log_end) == (0, 0)


def test_an_offset_that_retention_has_deleted_is_told(
    cluster: Cluster, open_parts: OpenParts
) -> None:
    for n in range(10):
        cluster.publish(0, b"cam", b"%d" % n)
    cluster.expire(0, 4)
    owner = settled(cluster, open_parts)
    until(lambda: OutOfRange(frozenset([0])) in owner.events, [owner])
    owner.consumer.start(0, 4)
    until(lambda: len(owner.records) == 6, [owner])


def test_two_members_share_the_partitions_and_one_that_leaves_gives_all_back(
    cluster: Cluster, open_parts: OpenParts
) -> None:
    one = settled(cluster, open_parts)
    two = Owner(cluster.broker("two").consumer())
    until(lambda: len(one.partitions) == len(two.partitions) == 2, [one, two])
    assert one.partitions | two.partitions == set(range(PARTITIONS))
    two.consumer.close()
    until(lambda: len(one.partitions) == PARTITIONS, [one])


def test_kept_partitions_hear_nothing_of_a_rebalance(
    cluster: Cluster, open_parts: OpenParts
) -> None:
    one = settled(cluster, open_parts)
    before = len(one.events)
    two = Owner(open_parts(cluster.broker("two").consumer()))
    until(lambda: len(one.partitions) == len(two.partitions) == 2, [one, two])
    heard = {number for event in one.events[before:] for number in event.partitions}
    assert heard.isdisjoint(one.partitions)


def test_topics_that_disagree_are_refused(cluster: Cluster) -> None:
    assert cluster.broker("one").partition_count() == PARTITIONS
    cluster.grow(cluster.topics.frames, PARTITIONS + 1)
    with pytest.raises((PartitionCountError, TopicError)):
        cluster.broker("one").partition_count()
