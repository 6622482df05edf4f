"""A worker publishes only into output topics of its own group, whichever group came first."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from pipeline.broker.memory.memory_broker import MemoryBroker
from pipeline.broker.memory.memory_owners import MemoryOwners
from pipeline.broker.owners import UNREADABLE, Owners
from pipeline.clock import ManualClock
from pipeline.config import WorkerConfig
from pipeline.delivery.ownership import CHECK_S, EXTEND_S, Ownership
from pipeline.errors import ForeignOutputError, NotPermittedError
from pipeline.records import OUTPUTS, Destination, Fate, Headers, Outgoing, Record
from pipeline.wire.belongings.ownership import GROUP_HEADER
from tests.memory_faults import MovableLog
from tests.pipeline.changelogs import manifest
from tests.pipeline.predictions import remembered, tape
from tests.world import TOPICS, Steps

OURS: Headers = ((GROUP_HEADER, b"quiet"),)
THEIRS: Headers = ((GROUP_HEADER, b"actions"),)
PREDICTIONS, LETTERS = OUTPUTS


class Outputs:
    """A log of two partitions with three frames each, and a worker of group `quiet` that starts."""

    def __init__(self, **settings: Any) -> None:
        self.clock, self.reads = ManualClock(), Steps()
        self.log = MovableLog(TOPICS, partitions=2, clock=self.clock)
        self.broker = MemoryBroker(self.log, slot="w")
        self.config = WorkerConfig(group="quiet", **settings)
        self.ownership = self.made()

    def made(self, **settings: Any) -> Ownership:
        config = self.config.model_copy(update=settings)
        reader = self.broker.changelog()
        return Ownership(config, self.broker, reader, 2, reads=self.reads, clock=self.clock)

    def start(self) -> Owners:
        """Restore partition 0; returns whom the topics belong to then."""
        self.ownership.read([0])
        return self.log.owners()

    def refused(self) -> str:
        with pytest.raises(ForeignOutputError) as refused:
            self.start()
        return str(refused.value)

    def claimed_by(self, group: str) -> None:
        self.log.claim(group, self.log.owners())

    def predicted(self, record: Record, headers: Headers = (), partition: int = 0) -> None:
        out = Outgoing(PREDICTIONS, partition, record.key, record.value, headers)
        self.log.write_through(out)

    def remembers(self, chain: str, offset: int, partition: int = 0) -> None:
        """Let our group have predicted, with this newest prediction of the stream cam-1."""
        predicted = manifest(next_offset=offset + 1, fates={Fate.PREDICTED: 1})
        self.log.write_through(predicted.write(partition))
        self.log.write_through(remembered("cam-1", chain, offset).write(partition))

    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.ownership.look()
        self.reads.run_all()
        self.ownership.look()


def chain_of(record: Record) -> str:
    return (record.value or b"")[-10:-2].decode()


ALL_OURS: Mapping[Destination, str] = dict.fromkeys(OUTPUTS, "quiet")


def test_topics_that_belong_to_none_are_claimed_before_anything_is_published() -> None:
    outputs = Outputs()
    assert outputs.start() == ALL_OURS
    assert outputs.log.read_committed("predictions") == []


def test_topics_that_another_group_has_claimed_are_refused_with_the_lines_to_type() -> None:
    outputs = Outputs()
    outputs.claimed_by("actions")
    lines = outputs.refused().splitlines()
    assert lines[0].startswith(
        "topic predictions belongs to group actions; topic frames.dlq belongs to group actions."
    )
    own = "--predictions-topic quiet.predictions --dead-letters-topic quiet.dlq"
    assert lines[1] == f"longtake topics create --group quiet {own}"
    assert lines[2] == f"longtake worker --group quiet {own}"
    assert lines[4] == "longtake topics take --group quiet"


def test_a_group_that_has_never_predicted_keeps_its_topics() -> None:
    outputs = Outputs()
    outputs.start()
    with pytest.raises(ForeignOutputError, match="belongs to group quiet"):
        outputs.made(group="late").read([1])


def test_of_two_groups_that_start_together_on_empty_topics_one_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outputs = Outputs()
    before = MemoryOwners.claim

    def overtaken(owners: MemoryOwners, group: str, seen: Owners) -> Owners:
        outputs.claimed_by("actions")  # between our look and our claim
        return before(owners, group, seen)

    monkeypatch.setattr(MemoryOwners, "claim", overtaken)
    assert "belongs to group actions" in outputs.refused()


def test_a_topic_whose_claim_is_lost_is_known_by_what_was_published_last() -> None:
    outputs = Outputs()
    outputs.predicted(tape(range(2)).records[1], THEIRS, partition=1)
    assert "topic predictions belongs to group actions" in outputs.refused()
    assert outputs.log.owners() == dict.fromkeys(OUTPUTS)


def test_it_is_so_though_we_cannot_read_that_release() -> None:
    outputs = Outputs()
    outputs.log.write_through(Outgoing(PREDICTIONS, 1, b"cam-1", b'{"schema":9}', THEIRS))
    assert "topic predictions belongs to group actions" in outputs.refused()


def test_our_own_predictions_let_us_claim_the_topic_again() -> None:
    outputs = Outputs()
    outputs.predicted(tape(range(2)).records[1], OURS)
    assert outputs.start() == ALL_OURS


def test_only_the_topic_that_is_foreign_has_to_be_another_one() -> None:
    outputs = Outputs()
    outputs.log.write_through(Outgoing(LETTERS, 1, b"cam-1", b"bad", THEIRS))
    told = outputs.refused()
    assert told.startswith("topic frames.dlq belongs to group actions. ")
    assert "--predictions-topic" not in told


# ------------------------------------------------------------------- records that name no group


def test_a_group_that_begins_is_refused_where_records_name_no_group_until_it_takes_the_topic() -> (
    None
):
    outputs = Outputs()
    outputs.predicted(tape(range(2)).records[1])
    told = outputs.refused()
    assert "topic predictions holds what an earlier release, or another program, has pub" in told
    assert told.splitlines()[3:] == [
        "Or, if nobody publishes there any more, or what is there is of this group:",
        "longtake topics take --group quiet",
    ]
    outputs.claimed_by("quiet")  # as `topics take` does
    assert outputs.start() == ALL_OURS


def test_dead_letters_that_name_no_group_are_as_nobodys_as_predictions() -> None:
    outputs = Outputs()
    outputs.log.write_through(Outgoing(LETTERS, 1, b"cam-1", b"bad"))
    assert "topic frames.dlq holds what an earlier release" in outputs.refused()


def test_a_record_that_is_no_prediction_stops_nobody() -> None:
    outputs = Outputs()
    outputs.log.write_through(Outgoing(PREDICTIONS, 1, b"cam-1", b"no prediction"))
    assert outputs.start() == ALL_OURS


def begun(number: int) -> Callable[[Outputs], None]:
    """Let a worker of our group have tried a partition, and published nothing yet."""
    return lambda outputs: outputs.log.write_through(manifest(attempts=1).write(number))


def committed(outputs: Outputs) -> None:
    """Let our group have lost its changelog: the restore says so, with its own ways out."""
    outputs.log.committed_offsets = {1: 5}


@pytest.mark.parametrize("worked", [begun(0), begun(1), committed], ids=["here", "there", "lost"])
def test_a_group_that_has_worked_before_is_never_stopped_by_records_that_name_no_group(
    worked: Callable[[Outputs], None],
) -> None:
    outputs = Outputs()
    outputs.predicted(tape(range(3), partition=1).records[2], partition=1)
    outputs.log.write_through(Outgoing(LETTERS, 1, b"cam-1", b"bad"))
    worked(outputs)
    assert outputs.start() == ALL_OURS


def upgraded(chain: str, offset: int = 2, **settings: Any) -> Outputs:
    """Start on the third prediction of an earlier release, when memory is at this link."""
    outputs = Outputs(**settings)
    outputs.predicted(tape(range(3)).records[2])
    outputs.remembers(chain, offset)
    assert outputs.start() == ALL_OURS
    return outputs


def test_its_own_predictions_are_known_by_their_chain(caplog: pytest.LogCaptureFixture) -> None:
    upgraded(chain_of(tape(range(3)).records[2]))
    assert [one for one in caplog.records if one.levelno > logging.INFO] == []


def test_a_prediction_that_its_memory_does_not_know_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    upgraded("0badcafe")
    assert "partition 0 of topic predictions ends with a prediction that names no g" in caplog.text


@pytest.mark.parametrize(("delivery", "named"), [("low_latency", 0), ("exactly_once", 1)])
def test_only_low_latency_publishes_ahead_of_memory(
    caplog: pytest.LogCaptureFixture, delivery: str, named: int
) -> None:
    upgraded(chain_of(tape(range(2)).records[1]), 1, delivery=delivery)
    assert caplog.text.count("names no group") == named


# ---------------------------------------------------------------------------------- other claims


def test_a_claim_that_we_cannot_read_is_respected() -> None:
    outputs = Outputs()
    outputs.claimed_by(UNREADABLE)
    assert "has a claim of a newer release, or of another program" in outputs.refused()


def test_an_owner_goes_on_beside_an_intruder_and_names_it(caplog: pytest.LogCaptureFixture) -> None:
    outputs = Outputs()
    outputs.start()
    outputs.predicted(tape(range(2)).records[1], THEIRS)
    with caplog.at_level(logging.WARNING):
        outputs.later(CHECK_S)
    assert "partition 0 of topic predictions ends with a prediction of group actions" in caplog.text


def test_a_worker_that_has_seen_its_claims_restores_without_another_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outputs = Outputs()
    outputs.start()
    later = outputs.made()  # another worker of the group
    later.look()
    outputs.reads.run_all()
    looks = Counter[str]()
    read = MemoryOwners.read

    def counted(owners: MemoryOwners) -> Owners:
        looks["read"] += 1
        return read(owners)

    monkeypatch.setattr(MemoryOwners, "read", counted)
    later.read([0])
    assert looks["read"] == 0
    outputs.clock.advance(CHECK_S)
    later.read([0])
    assert looks["read"] == 1


def test_the_first_look_claims_nothing_and_refuses_what_is_foreign() -> None:
    outputs = Outputs()
    outputs.later(0)
    assert outputs.log.owners() == dict.fromkeys(OUTPUTS)
    outputs.claimed_by("actions")
    late = outputs.made()
    late.look()
    outputs.reads.run_all()
    with pytest.raises(ForeignOutputError, match="belongs to group actions"):
        late.look()


def test_a_user_who_may_not_see_claims_works_on_with_one_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(owners: MemoryOwners) -> Owners:
        del owners
        raise NotPermittedError("the broker does not permit User:x to READ the group y")

    outputs = Outputs()
    monkeypatch.setattr(MemoryOwners, "read", forbidden)
    assert outputs.ownership.read([0, 1]).keys() == {0, 1}
    outputs.ownership.read([0])
    outputs.later(CHECK_S)
    (told,) = [record.getMessage() for record in caplog.records]
    assert "is not checked: the broker does not permit User:x" in told
    assert "`longtake topics check --group quiet --as worker`" in told


def test_a_running_worker_ends_when_its_topics_were_taken_over() -> None:
    outputs = Outputs()
    outputs.start()
    outputs.later(0)  # the look at the start
    outputs.claimed_by("actions")
    outputs.later(CHECK_S - 1)
    with pytest.raises(ForeignOutputError, match="belongs to group actions"):
        outputs.later(1)


def test_a_running_worker_extends_its_claims_so_that_no_quiet_week_ends_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outputs = Outputs()
    outputs.start()
    extended: list[str] = []
    before = MemoryOwners.claim

    def counted(owners: MemoryOwners, group: str, seen: Owners) -> Owners:
        extended.append(group)
        return before(owners, group, seen)

    monkeypatch.setattr(MemoryOwners, "claim", counted)
    for _ in range(int(2 * EXTEND_S / CHECK_S)):
        outputs.later(CHECK_S)
    assert len(extended) == 2


def test_a_claim_that_the_log_has_forgotten_is_made_again() -> None:
    outputs = Outputs()
    outputs.start()
    outputs.later(0)  # the look at the start
    outputs.log.forget_claims()
    outputs.later(CHECK_S)
    assert outputs.log.owners() == ALL_OURS


class Counted(Executor):
    """Runs a task at once, and counts."""

    def __init__(self) -> None:
        self.tasks = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.tasks += 1
        done = Future[Any]()
        done.set_result(fn(*args, **kwargs))
        return done


def test_claims_are_not_asked_for_turn_by_turn() -> None:
    outputs = Outputs()
    outputs.start()
    reader, reads = outputs.broker.changelog(), Counted()
    ownership = Ownership(
        outputs.config, outputs.broker, reader, 2, reads=reads, clock=outputs.clock
    )
    for _ in range(100):
        outputs.clock.advance(CHECK_S / 101)
        ownership.look()
    assert reads.tasks == 1  # at the start
    assert outputs.log.owners() == ALL_OURS
