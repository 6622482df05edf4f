"""Replaying a stretch of the log: skipped frames, bounds, ledger."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from engines.model.bundle import Bundle
from engines.onnxrt import onnxruntime_engine
from pipeline.config import WorkerConfig
from pipeline.offline.replay import Replay, SkippedFrames
from pipeline.records import Fate, Record
from pipeline.streams.served import ServedModel
from pipeline.wire.predictions import Prediction
from pipeline.wire.skips import Skips
from tests.engines.bundles import tiny
from tests.world import POISON, alone, decode

START_MS = 1_700_000_000_000


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def film(
    count: int, *, stream: str = "a", first: int = 0, epochs: Sequence[int] = ()
) -> list[Record]:
    records = []
    for n in range(first, first + count):
        headers = [("seq", b"%d" % n), ("captured-at", b"%d" % (START_MS + n * 100))]
        if epochs:
            headers.append(("epoch", b"%d" % epochs[n - first]))
        record = Record(0, n, START_MS + n * 100, stream.encode(), b"%d" % n, tuple(headers))
        records.append(record)
    return records


def make(bundle: Bundle, pool: ThreadPoolExecutor, *skips: Skips, **settings: Any) -> Replay:
    config, engine = WorkerConfig(**settings), onnxruntime_engine(bundle, 1)
    return Replay(
        config,
        model=ServedModel.configured(config, bundle, engine, decoder=decode),
        decodes=pool,
        starts={0: 0},
        skips={0: skips},
    )


def parsed(predictions: Sequence[Prediction]) -> list[Any]:
    return [json.loads(prediction.value) for prediction in predictions]


def test_a_replay_says_what_the_stream_alone_says(bundle: Bundle, pool: ThreadPoolExecutor) -> None:
    records = film(40)
    replayed = list(make(bundle, pool, max_batch=4).run(records))
    values, _, _ = alone(records, bundle, onnxruntime_engine(bundle, 1), WorkerConfig())
    assert [p.value for p in replayed] == values
    assert [(p.stream, p.partition, p.offset) for p in replayed] == [("a", 0, n) for n in range(40)]


def test_frames_that_the_group_left_out_step_nothing(
    bundle: Bundle, pool: ThreadPoolExecutor
) -> None:
    replay = make(bundle, pool, Skips("a", ((2, 3), (5, 5))), Skips("b", ((0, 9),)))
    predictions = parsed(list(replay.run(film(8))))
    assert [p["source"]["offset"] for p in predictions] == [0, 1, 4, 6, 7]
    assert [p["memory"]["frames"] for p in predictions] == [0, 1, 2, 3, 4]
    assert all(b["prev"] == a["chain"] for a, b in pairwise(predictions))
    assert replay.partitions[0].fates == Counter({Fate.PREDICTED: 5, Fate.SKIPPED: 3})


def test_a_reset_that_a_left_out_frame_brought_is_owed_to_the_next(
    bundle: Bundle, pool: ThreadPoolExecutor
) -> None:
    records = film(5, epochs=[1, 1, 2, 2, 2])
    predictions = parsed(list(make(bundle, pool, Skips("a", ((2, 3),))).run(records)))
    assert [p["memory"]["reset"] for p in predictions] == ["new", None, "epoch"]


def test_what_admission_refuses_within_a_range_keeps_its_own_fate(
    bundle: Bundle, pool: ThreadPoolExecutor
) -> None:
    records = film(2)
    repeat = film(1, first=1)[0]
    ends = Record(0, 3, START_MS, b"a", None)
    records += [Record(0, 2, START_MS, b"a", repeat.value, repeat.headers), ends]
    replay = make(bundle, pool, Skips("a", ((1, 3),)))
    list(replay.run(records))
    assert replay.partitions[0].fates == Counter(
        {Fate.PREDICTED: 1, Fate.SKIPPED: 1, Fate.DUPLICATE: 1, Fate.ENDED: 1}
    )


def test_a_left_out_picture_is_not_even_decoded(bundle: Bundle, pool: ThreadPoolExecutor) -> None:
    records = film(3)
    records[1] = Record(0, 1, START_MS, b"a", POISON, records[1].headers)
    replay = make(bundle, pool, Skips("a", ((1, 1),)))
    list(replay.run(records))
    assert replay.partitions[0].fates == Counter({Fate.PREDICTED: 2, Fate.SKIPPED: 1})


def test_ranges_of_several_records_belong_together() -> None:
    skipped = SkippedFrames([Skips("a", ((20, 29),)), Skips("a", ((1, 1), (3, 5)))])
    covered = [n for n in range(40) if skipped.covers("a", n)]
    assert covered == [1, 3, 4, 5, *range(20, 30)]
    assert not skipped.covers("b", 3)


def test_reading_runs_ahead_by_two_batches_at_most(
    bundle: Bundle, pool: ThreadPoolExecutor
) -> None:
    read = 0

    def records() -> Iterator[Record]:
        nonlocal read
        for record in film(50):
            read += 1
            yield record

    predictions = make(bundle, pool, max_batch=4).run(records())
    ahead = [read - done for done, _ in enumerate(predictions)]
    assert max(ahead) == 8


def test_large_frames_are_not_hoarded(bundle: Bundle, pool: ThreadPoolExecutor) -> None:
    records = [
        Record(0, r.offset, r.timestamp_ms, r.key, POISON + bytes(600 * 1024), r.headers)
        for r in film(20)
    ]
    replay = make(bundle, pool, max_pending_bytes=1 << 20)
    pending = []

    def watched() -> Iterator[Record]:
        for record in records:
            pending.append(replay.partitions[0].pending_bytes)
            yield record

    list(replay.run(watched()))
    assert max(pending) <= 1 << 20
    assert replay.partitions[0].fates == Counter({Fate.DEAD_LETTERED: 20})


def test_a_long_run_of_repeats_is_finished_on_the_way(
    bundle: Bundle, pool: ThreadPoolExecutor
) -> None:
    (first,) = film(1)
    replay = make(bundle, pool)
    waiting = []

    def watched() -> Iterator[Record]:
        for offset in range(3000):
            waiting.append(len(replay.partitions[0].items))
            yield Record(0, offset, START_MS, b"a", first.value, first.headers)

    assert len(list(replay.run(watched()))) == 1
    assert max(waiting) < 1024
    assert replay.partitions[0].fates[Fate.DUPLICATE] == 2999


def test_offsets_without_a_record_are_counted_and_change_nothing(
    bundle: Bundle, pool: ThreadPoolExecutor
) -> None:
    replay = make(bundle, pool)
    list(replay.run(r for r in film(10) if r.offset not in (3, 4, 8)))
    assert (replay.partitions[0].absent, replay.partitions[0].next_offset) == (3, 10)
