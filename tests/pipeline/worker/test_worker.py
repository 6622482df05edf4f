"""What one turn of a worker does and in which order, and how a worker ends."""

import json
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from engines.base import InputArray
from engines.model.bundle import Bundle
from pipeline.clock import ManualClock
from pipeline.config import WorkerConfig
from pipeline.errors import BrokerUnavailableError, ForeignOutputError
from pipeline.streams.served import ServedModel
from pipeline.wire.belongings.ownership import publisher_of
from pipeline.wire.changelog import Manifest
from pipeline.worker.executors import Executors
from pipeline.worker.metrics.worker_metrics import WorkerMetrics
from pipeline.worker.worker import Worker
from tests.memory_faults import MovableLog
from tests.pipeline.adder import Adder, decode_brightness
from tests.pipeline.changelogs import manifest
from tests.world import TOPICS, Broker, Faults, Steps

CHECKPOINT_S = 1.0
OPENING_TURNS = 4  # assigned; restored and announced; opened; read


class Prompt(Executor):
    """Has done a task as soon as it is given one."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        steps = Steps()
        future = steps.submit(fn, *args, **kwargs)
        steps.run_all()
        return future


class Working:
    """One worker over a log of one partition; all tasks are prompt but those put off by name."""

    def __init__(self, bundle: Bundle, *put_off: str, **settings: Any) -> None:
        self.clock, self.faults, self.metrics = ManualClock(), Faults(), WorkerMetrics()
        self.log = MovableLog(TOPICS, partitions=1, clock=self.clock)
        self.broker = Broker(self.log, slot="w", fault=self.faults)
        self.steps = {name: Steps() for name in put_off}
        self.careful: list[bytes] = []
        wanted: dict[str, Any] = {"start": "earliest", "checkpoint_s": CHECKPOINT_S}
        config = WorkerConfig(**wanted | settings)
        kinds = ("decodes", "writes", "reads", "sends")
        self.worker = Worker(
            config,
            name="w",
            broker=self.broker,
            model=ServedModel.configured(config, bundle, Adder(), decoder=decode_brightness),
            sandboxed=self._decode_carefully,
            executors=Executors(**{name: self.steps.get(name, Prompt()) for name in kinds}),
            clock=self.clock,
            metrics=self.metrics,
        )

    def _decode_carefully(self, content: bytes) -> InputArray:
        self.careful.append(content)
        return decode_brightness(content)

    def turn(self, count: int = 1, *, after_s: float = 0.0) -> None:
        for _ in range(count):
            self.clock.advance(after_s)
            self.worker.turn()

    def open(self) -> None:
        """Turn until the partition is read, and no checkpoint is due."""
        self.turn(2, after_s=CHECKPOINT_S)
        self.turn()

    def film(self, *brightness: int) -> None:
        for value in brightness:
            self.clock.advance(0.01)
            self.log.publish(0, b"a", bytes([value]))

    def predictions(self) -> list[int]:
        """The frames' offsets, as a reader of committed records sees them."""
        records = self.log.read_committed(TOPICS.predictions)
        return [json.loads(record.value or b"")["source"]["offset"] for record in records]

    def manifests(self) -> list[Manifest]:
        records = self.log.read_committed(TOPICS.state)
        return [Manifest.read(record) for record in records if record.key == b"m"]

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


# ------------------------------------------------------------------------------------- beginning


def test_a_partition_is_announced_in_the_log_before_its_first_record_is_read(
    bundle: Bundle,
) -> None:
    working = Working(bundle, "writes")
    working.film(1)
    working.turn(6, after_s=CHECKPOINT_S)
    assert working.value("longtake_frame_age_seconds_count", stage="polled") == 0
    working.steps["writes"].run_all()
    working.turn(2)
    assert [(m.attempts, m.next_offset) for m in working.manifests()] == [(1, 0)]
    assert working.value("longtake_frame_age_seconds_count", stage="polled") == 1


def test_a_worker_is_ready_once_its_partition_is_restored_and_read(bundle: Bundle) -> None:
    working, ready = Working(bundle), []
    for _ in range(OPENING_TURNS):
        working.turn(after_s=CHECKPOINT_S)
        ready.append(working.worker.ready)
    assert ready == [False, False, True, True]


def test_a_worker_whose_topics_belong_to_another_group_ends_before_it_publishes(
    bundle: Bundle,
) -> None:
    working = Working(bundle, delivery="low_latency")
    working.log.claim("other", working.log.owners())
    working.film(1, 2, 3)
    with pytest.raises(ForeignOutputError, match="topic predictions belongs to group other"):
        working.turn(OPENING_TURNS, after_s=CHECKPOINT_S)
    assert (working.predictions(), working.manifests()) == ([], [])


def test_every_output_names_its_group(bundle: Bundle) -> None:
    working = Working(bundle, group="actions")
    working.film(1, 2)
    working.turn(OPENING_TURNS + 2, after_s=CHECKPOINT_S)
    named = [publisher_of(one) for one in working.log.read_committed(TOPICS.predictions)]
    assert named == ["actions", "actions"]
    assert set(working.log.owners().values()) == {"actions"}


def test_frames_are_predicted_and_committed_in_their_order(bundle: Bundle) -> None:
    working = Working(bundle)
    working.film(1, 2, 3)
    working.turn(OPENING_TURNS + 2, after_s=CHECKPOINT_S)
    assert working.predictions() == [0, 1, 2]
    assert working.manifests()[-1].next_offset == 3
    assert working.worker.idle


# ----------------------------------------------------------------------------------- checkpoints


def test_what_is_finished_is_committed_when_a_checkpoint_is_due(bundle: Bundle) -> None:
    working = Working(bundle)
    working.open()
    working.film(1)
    working.turn(5, after_s=CHECKPOINT_S / 10)
    assert (working.predictions(), working.worker.idle) == ([], False)
    working.turn(after_s=CHECKPOINT_S)
    assert working.predictions() == [0]


def test_one_checkpoint_is_on_its_way_while_frames_are_predicted(bundle: Bundle) -> None:
    working = Working(bundle, "writes")
    working.turn(2, after_s=CHECKPOINT_S)
    working.steps["writes"].run_all()
    for value in range(1, 5):
        working.film(value)
        working.turn(2, after_s=CHECKPOINT_S)
    assert len(working.steps["writes"].waiting) == 1
    assert working.value("longtake_batch_frames_sum") == 4


def test_a_checkpoint_that_is_lost_has_its_partition_restored(bundle: Bundle) -> None:
    working = Working(bundle)
    working.open()
    working.faults.arm("begin", 0, BrokerUnavailableError)
    working.film(1)
    working.turn(2, after_s=CHECKPOINT_S)
    working.log.write_through(manifest(checkpoint=7, worker="other").write(0))
    working.turn(12, after_s=CHECKPOINT_S)
    assert (working.worker.restores, working.predictions()) == (2, [0])
    assert working.manifests()[-1].checkpoint_id[:2] == (8, "w")


def test_what_is_polled_while_a_partition_is_restored_anew_is_read_again(bundle: Bundle) -> None:
    working = Working(bundle)
    working.open()
    working.faults.arm("begin", 0, BrokerUnavailableError)
    working.film(1)
    working.turn(2, after_s=CHECKPOINT_S)
    working.log.write_through(manifest(checkpoint=7, worker="other").write(0))
    for value in range(2, 10):
        working.film(value)
        working.turn(after_s=CHECKPOINT_S)
    working.turn(3, after_s=CHECKPOINT_S)
    assert (working.worker.restores, working.predictions()) == (2, list(range(9)))


def test_a_commit_of_unknown_outcome_publishes_nothing_twice(bundle: Bundle) -> None:
    working = Working(bundle)
    working.open()
    working.faults.arm("committed", 0, BrokerUnavailableError)
    working.film(1, 2)
    working.turn(8, after_s=CHECKPOINT_S)
    assert (working.predictions(), working.worker.idle) == ([0, 1], True)


# -------------------------------------------------------------------------------------- the group


def test_what_was_polled_of_a_partition_that_left_is_never_committed(bundle: Bundle) -> None:
    working = Working(bundle)
    working.open()
    working.film(1, 2)
    working.turn()
    working.log.group.leave(working.broker.made.member_id)
    working.turn(after_s=CHECKPOINT_S)
    assert working.worker.partitions == frozenset()
    assert working.predictions() == []


def test_a_broker_that_does_not_answer_a_poll_is_survived_and_counted(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(timeout_s: float, max_records: int) -> None:
        raise BrokerUnavailableError(f"no answer in {timeout_s} s to a poll of {max_records}")

    working = Working(bundle)
    working.open()
    with monkeypatch.context() as patch:
        patch.setattr(working.broker.made, "poll", away)
        working.turn(2)
        assert working.worker.trouble.startswith("no answer in")
    working.film(1)
    working.turn(2, after_s=CHECKPOINT_S)
    assert (working.worker.trouble, caplog.text.count("no answer in")) == ("", 1)
    assert working.value("longtake_broker_unavailable_total") == 2
    assert working.predictions() == [0]


# ---------------------------------------------------------------------------------- the frame path


def test_what_may_have_killed_workers_before_is_decoded_with_care(bundle: Bundle) -> None:
    working = Working(bundle)
    working.film(1, 2)
    working.log.write_through(manifest(attempts=2).write(0))
    working.turn(OPENING_TURNS, after_s=CHECKPOINT_S)
    working.film(3)
    working.turn(2, after_s=CHECKPOINT_S)
    assert working.careful == [b"\x01", b"\x02"]
    assert working.predictions() == [0, 1, 2]


def test_where_too_much_waits_for_the_log_nothing_more_is_predicted(bundle: Bundle) -> None:
    working = Working(bundle, max_open_records=2, max_batch=1)
    working.open()
    working.film(1, 2, 3, 4)
    working.turn(6)
    assert working.value("longtake_batch_frames_sum") == 2
    working.turn(8, after_s=CHECKPOINT_S)
    assert working.predictions() == [0, 1, 2, 3]


@pytest.mark.parametrize(("overload", "stepped"), [("process_all", 4), ("latest", 2)])
def test_only_where_it_is_wanted_frames_are_left_out_for_newer_ones(
    bundle: Bundle, overload: str, stepped: int
) -> None:
    working = Working(bundle, overload=overload)
    working.open()
    working.film(1)
    working.turn(3, after_s=CHECKPOINT_S)
    working.film(2, 3, 4)
    working.turn(3, after_s=CHECKPOINT_S)
    assert working.value("longtake_batch_frames_sum") == stepped
    assert working.predictions() == ([0, 3] if overload == "latest" else [0, 1, 2, 3])


def test_with_low_latency_predictions_are_in_the_log_before_their_checkpoint(
    bundle: Bundle,
) -> None:
    working = Working(bundle, "sends", delivery="low_latency")
    working.open()
    working.film(1, 2)
    working.turn(4, after_s=CHECKPOINT_S)
    assert (working.predictions(), working.manifests()[-1].next_offset) == ([], 0)
    working.steps["sends"].run_all()
    assert working.predictions() == [0, 1]
    working.turn(2)
    assert working.manifests()[-1].next_offset == 2


# ---------------------------------------------------------------------------------------- the end


def test_a_worker_that_stops_commits_what_is_finished_and_leaves_the_group(
    bundle: Bundle,
) -> None:
    working = Working(bundle)
    working.open()
    working.film(1, 2)
    working.turn()
    working.worker.stop()
    assert working.predictions() == [0, 1]
    assert working.log.group.member_ids == ()


def test_what_a_stopping_worker_has_not_finished_is_left_for_the_next(bundle: Bundle) -> None:
    working = Working(bundle, "decodes")
    working.open()
    working.film(1, 2)
    working.turn()
    working.steps["decodes"].run_next()
    working.turn()
    working.worker.stop()
    assert (working.predictions(), working.manifests()[-1].next_offset) == ([0], 1)


def test_a_worker_that_is_closed_commits_nothing_and_leaves_the_group(bundle: Bundle) -> None:
    working = Working(bundle)
    working.open()
    working.film(1)
    working.turn()
    working.worker.close()
    assert (working.predictions(), working.log.group.member_ids) == ([], ())
