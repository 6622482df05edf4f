"""The served model: one value that takes records of any partitions through the frame path."""

import pytest

from engines.model.bundle import Bundle
from pipeline.config import WorkerConfig
from pipeline.records import BadRecord, Fate, Record, Reset
from pipeline.streams.item import Item
from pipeline.streams.partition import Partition
from pipeline.streams.served import ServedModel
from tests.pipeline.adder import Adder, decode_brightness, decoded
from tests.pipeline.changelogs import manifest

MOST_BYTES = 1024


class Serving:
    """A served model and two partitions."""

    def __init__(self, bundle: Bundle, *, max_batch: int = 8) -> None:
        self.engine = Adder()
        self.model = ServedModel.of(
            bundle,
            self.engine,
            decoder=decode_brightness,
            topic="frames",
            gap_reset_s=2,
            stream_ttl_s=600,
            max_record_bytes=MOST_BYTES,
            max_batch=max_batch,
        )
        self.partitions = [Partition(n, era=1, manifest=manifest()) for n in (0, 1)]

    def admit(self, number: int, record: Record) -> Item | None:
        item = self.model.admit(self.partitions[number], record)
        if item is not None and item.undecoded is not None:
            item.decode(decoded(item.undecoded.content))
        return item


def record(partition: int, offset: int, value: bytes = b"\x01", *, ms: int = 0) -> Record:
    return Record(partition, offset, ms + offset * 100, b"cam-%d" % partition, value)


@pytest.fixture
def serving(bundle: Bundle) -> Serving:
    return Serving(bundle)


def test_where_nothing_is_ready_the_batch_is_empty(serving: Serving) -> None:
    serving.model.admit(serving.partitions[0], record(0, 0))  # no decoder has it yet
    stepped = serving.model.step(serving.partitions[1:])
    assert (stepped.batch, stepped.items, stepped.resets) == ({}, [], [])
    assert serving.engine.asked == []


def test_a_batch_is_entered_in_its_partitions_in_offset_order(serving: Serving) -> None:
    for number, offset in ((0, 0), (1, 0), (0, 1), (0, 2)):
        serving.admit(number, record(number, offset))
    batch = serving.model.step(serving.partitions).batch
    taken = {part.number: [i.record.offset for i in items] for part, items in batch.items()}
    assert taken == {0: [0, 1, 2], 1: [0]}
    assert [part.next_offset for part in serving.partitions] == [3, 1]
    assert [part.fates for part in serving.partitions] == [{Fate.PREDICTED: 3}, {Fate.PREDICTED: 1}]


def test_all_records_of_a_batch_and_its_resets_are_returned(serving: Serving) -> None:
    items = [serving.admit(number, record(number, 0)) for number in (0, 1)]
    stepped = serving.model.step(serving.partitions)
    assert (stepped.items, stepped.resets) == (items, [Reset.NEW, Reset.NEW])


def test_what_is_beyond_the_batch_waits_for_the_next(bundle: Bundle) -> None:
    serving = Serving(bundle, max_batch=2)
    for offset in range(3):
        serving.admit(0, record(0, offset))
    sizes = [len(serving.model.step(serving.partitions).items) for _ in range(3)]
    assert sizes == [2, 1, 0]


def test_a_record_that_is_read_again_is_not_admitted(serving: Serving) -> None:
    assert serving.admit(0, record(0, 0)) is not None
    assert serving.admit(0, record(0, 0)) is None


@pytest.mark.parametrize(
    ("size", "bad"), [(MOST_BYTES, False), (MOST_BYTES + 1, True)], ids=["allowed", "too large"]
)
def test_a_record_above_the_limit_is_a_bad_record(
    serving: Serving, size: int, *, bad: bool
) -> None:
    item = serving.admit(0, record(0, 0, bytes(size)))
    assert item is not None
    assert isinstance(item.record, BadRecord) == bad


def test_streams_of_all_partitions_share_the_rows_of_one_table(serving: Serving) -> None:
    for number in (0, 1):
        serving.admit(number, record(number, 0))
    serving.model.step(serving.partitions)
    rows = [stream.row for part in serving.partitions for stream in part.streams.values()]
    assert len({row for row in rows if row is not None}) == 2
    assert serving.model.rows.take() not in rows


def test_a_configured_model_has_the_workers_limits_and_rules(bundle: Bundle) -> None:
    config = WorkerConfig(max_frame_bytes=2048, gap_reset_s=3, stream_ttl_s=60)
    model = ServedModel.configured(config, bundle, Adder(), decoder=decode_brightness)
    assert model.max_record_bytes == 2048
    assert (model.rules.gap_reset_us, model.rules.ttl_ms) == (3_000_000, 60_000)


def test_a_configured_model_takes_no_more_than_the_workers_batch(bundle: Bundle) -> None:
    config = WorkerConfig(max_batch=1)
    model = ServedModel.configured(config, bundle, Adder(), decoder=decode_brightness)
    partition = Partition(0, era=1, manifest=manifest())
    for offset in range(2):
        item = model.admit(partition, record(0, offset))
        assert item is not None
        item.decode(decoded(b"\x01"))
    assert len(model.step([partition]).items) == 1


def test_predictions_are_signed_with_the_bundle(serving: Serving) -> None:
    item = serving.admit(0, record(0, 0))
    serving.model.step(serving.partitions)
    assert item is not None
    assert item.answer is not None
    assert f'"model":"{serving.model.bundle.id}"'.encode() in item.answer.value
