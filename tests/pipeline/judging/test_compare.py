"""Which differences between published predictions and their replay count."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from engines.model.bundle import Bundle
from engines.onnxrt import onnxruntime_engine
from pipeline.config import WorkerConfig
from pipeline.judging.compare import Comparison
from pipeline.offline.replay import Replay
from pipeline.records import Record
from pipeline.streams.served import ServedModel
from pipeline.wire.predictions import Prediction
from tests.engines.bundles import LABELS, tiny
from tests.world import decode

START_MS = 1_700_000_000_000
GAP_S, END = 10.0, None  # a step that resets, and the null value


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    labels = ("walk", "stand", "sit")
    return tiny(tmp_path_factory.mktemp("bundles") / "other", name="other", labels=labels, seed=9)


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def film(*steps_s: float | None) -> list[Record]:
    """Return a stream's frames with these intervals; None ends the stream."""
    records, ms = [], float(START_MS)
    for n, step_s in enumerate(steps_s):
        ms += 1000 * (step_s or 0)
        headers = (("captured-at", b"%d" % ms),)
        value = None if step_s is END else b"%d" % n
        records.append(Record(0, n, int(ms), b"a", value, headers))
    return records


def run(
    bundle: Bundle, pool: ThreadPoolExecutor, records: Sequence[Record], start: int = 0
) -> list[Prediction]:
    config, engine = WorkerConfig(), onnxruntime_engine(bundle, 1)
    replay = Replay(
        config,
        model=ServedModel.configured(config, bundle, engine, decoder=decode),
        decodes=pool,
        starts={0: start},
        skips={},
    )
    return list(replay.run(records[start:]))


def logged(predictions: Sequence[Prediction]) -> list[Record]:
    """Return the predictions as log records, with a marker's gap after every second one."""
    return [Record(0, 2 * n, 0, p.stream.encode(), p.value) for n, p in enumerate(predictions)]


def altered(record: Record, old: str, new: str) -> Record:
    value = (record.value or b"").replace(old.encode(), new.encode(), 1)
    assert value != record.value
    return replace(record, value=value)


def compare(
    replayed: Sequence[Prediction],
    published: Sequence[Record],
    *,
    start: int = 0,
    end: int = 1000,
    whole: bool = True,
    same_bundle: bool = True,
    repeats: bool = False,
) -> Comparison:
    made = Comparison(same_bundle=same_bundle, repeats=repeats)
    exact = start == 0
    passed = made.follow(replayed, published, start=start, end=end, exact=exact, whole=whole)
    assert list(passed) == list(replayed)
    return made


@pytest.fixture
def steady(bundle: Bundle, pool: ThreadPoolExecutor) -> list[Prediction]:
    return run(bundle, pool, film(*[0.1] * 8))


def test_the_same_bytes_agree(steady: list[Prediction]) -> None:
    found = compare(steady, logged(steady))
    assert found.agrees
    c = found.counts
    assert (c.replayed, c.published, c.compared, c.same, c.labels_agree) == (8, 8, 8, 8, 8)
    assert (c.score_difference, c.scores, found.differences) == (0.0, 8 * len(LABELS), [])


def test_streams_beyond_the_limit_are_counted_and_not_compared(steady: list[Prediction]) -> None:
    made = Comparison(same_bundle=True, repeats=False, most_streams=0)
    assert len(list(made.follow(steady, logged(steady), start=0, end=9, exact=True, whole=True)))
    assert (made.counts.compared, made.counts.same, made.counts.not_compared) == (8, 0, 8)


def test_the_first_field_that_differs_is_named_with_both_values(
    steady: list[Prediction],
) -> None:
    published = logged(steady)
    published[3] = altered(published[3], '"frames":3', '"frames":33')
    published[5] = altered(published[5], '"frames":5', '"frames":55')
    found = compare(steady, published)
    (first,) = found.differences
    assert not found.agrees
    assert (first.stream, first.partition, first.offset) == ("a", 0, 3)
    assert (first.field, first.published, first.replayed) == ("memory.frames", 33, 3)
    assert (found.counts.same, found.counts.differing) == (6, 2)


def test_bytes_that_say_the_same_in_another_way_differ(steady: list[Prediction]) -> None:
    published = logged(steady)
    published[2] = altered(published[2], '"schema":1', '"schema": 1')
    found = compare(steady, published)
    assert [d.field for d in found.differences] == ["bytes"]
    assert found.counts.differing == 1


def test_a_prediction_that_is_missing_in_the_log_is_named(
    steady: list[Prediction],
) -> None:
    found = compare(steady, logged(steady[:4] + steady[5:]))
    (first,) = found.differences
    assert (found.counts.only_replayed, found.counts.same, found.agrees) == (1, 7, False)
    assert (first.offset, first.published) == (4, None)


@pytest.mark.parametrize("at", [0, 4, 7])
def test_a_prediction_that_the_replay_does_not_have_is_named(
    steady: list[Prediction], at: int
) -> None:
    found = compare(steady[:at] + steady[at + 1 :], logged(steady))
    (first,) = found.differences
    assert (found.counts.only_published, found.counts.same, found.agrees) == (1, 7, False)
    assert (first.offset, first.replayed) == (at, None)


@pytest.mark.parametrize("value", [b"", b"{}", b"[1]", b"nonsense", b'{"source":null}'])
def test_what_is_no_prediction_does_not_agree(steady: list[Prediction], value: bytes) -> None:
    found = compare(steady, [*logged(steady), Record(0, 99, 0, b"a", value)])
    assert (found.counts.unreadable, found.agrees) == (1, False)


def test_a_prediction_of_another_partition_does_not_agree(
    steady: list[Prediction],
) -> None:
    stray = replace(logged(steady)[3], partition=1)
    found = compare(steady, [*logged(steady), stray])
    assert (found.counts.unreadable, found.agrees) == (1, False)


@pytest.mark.parametrize("repeats", [True, False])
def test_repeats_are_dropped_and_forgiven_where_the_delivery_may_repeat(
    steady: list[Prediction], *, repeats: bool
) -> None:
    log = logged(steady)
    found = compare(steady, [*log[:5], *log[2:]], repeats=repeats)
    assert (found.counts.repeated, found.counts.same, found.agrees) == (3, 8, repeats)


def test_what_was_published_of_records_outside_of_the_stretch_is_not_looked_at(
    steady: list[Prediction],
) -> None:
    found = compare(steady[:5], logged(steady), end=5)
    assert found.agrees
    assert found.counts.published == 5


def test_what_the_predictions_log_no_longer_holds_is_not_missing(
    steady: list[Prediction],
) -> None:
    found = compare(steady, logged(steady[3:]), whole=False)
    assert found.agrees
    assert (found.counts.not_compared, found.counts.same) == (3, 5)
    assert not compare(steady, logged(steady[3:6]), whole=False).agrees


def test_from_the_middle_a_stream_counts_from_its_next_reset_on(
    bundle: Bundle, pool: ThreadPoolExecutor
) -> None:
    records = film(*[0.1] * 6, GAP_S, *[0.1] * 3)
    found = compare(run(bundle, pool, records, 3), logged(run(bundle, pool, records)), start=3)
    c = found.counts
    assert found.agrees
    assert (c.published, c.not_compared, c.same_but_chain, c.same) == (7, 3, 4, 0)


def test_a_stream_that_ended_counts_with_every_byte_again(
    bundle: Bundle, pool: ThreadPoolExecutor
) -> None:
    records = film(*[0.1] * 5, END, *[0.1] * 4)
    found = compare(run(bundle, pool, records, 3), logged(run(bundle, pool, records)), start=3)
    assert (found.counts.not_compared, found.counts.same, found.agrees) == (2, 4, True)


def test_the_gap_before_the_first_counted_frame_may_differ(
    bundle: Bundle, pool: ThreadPoolExecutor
) -> None:
    records = film(*[0.1] * 6, GAP_S, 0.1)
    published = logged(run(bundle, pool, records))
    published[6] = altered(published[6], '"gap_s":10.000', '"gap_s":11.000')
    assert compare(run(bundle, pool, records, 3), published, start=3).agrees


@pytest.mark.parametrize("offset", [6, 7])
def test_after_the_reset_all_but_the_chain_is_compared(
    bundle: Bundle, pool: ThreadPoolExecutor, offset: int
) -> None:
    records = film(*[0.1] * 6, GAP_S, 0.1)
    published = logged(run(bundle, pool, records))
    published[offset] = altered(published[offset], '"frames":', '"frames":1')
    found = compare(run(bundle, pool, records, 3), published, start=3)
    assert [(d.offset, d.field) for d in found.differences] == [(offset, "memory.frames")]
    assert not found.agrees


def test_new_in_the_replay_alone_is_no_common_reset(
    bundle: Bundle, pool: ThreadPoolExecutor
) -> None:
    records = film(*[0.1] * 8)
    found = compare(run(bundle, pool, records, 3), logged(run(bundle, pool, records)), start=3)
    assert (found.counts.not_compared, found.counts.compared, found.agrees) == (5, 5, True)


def test_another_bundle_may_differ_and_is_weighed(
    bundle: Bundle, other: Bundle, pool: ThreadPoolExecutor
) -> None:
    records = film(*[0.1] * 20)
    ours, published = run(other, pool, records), run(bundle, pool, records)
    found = compare(ours, logged(published), same_bundle=False)
    pairs = [
        (json.loads(a.value), json.loads(b.value)) for a, b in zip(ours, published, strict=True)
    ]
    agree = [a["label"] == b["label"] for a, b in pairs]
    common = [abs(a["scores"][x] - b["scores"][x]) for a, b in pairs for x in ("stand", "walk")]
    c = found.counts
    assert found.agrees
    assert (c.differing, c.labels_agree, c.scores) == (20, sum(agree), 40)
    assert c.score_difference == pytest.approx(sum(common))
    assert [(d.offset, d.field) for d in found.differences] == [(agree.index(False), "label")]


def test_what_another_bundle_published_in_between_is_not_compared(
    bundle: Bundle, other: Bundle, pool: ThreadPoolExecutor
) -> None:
    """The group ran another bundle for a while (--foreign-state reset or carry)."""
    records = film(*[0.1] * 6, GAP_S, *[0.1] * 3)
    ours, theirs = run(bundle, pool, records), run(other, pool, records)
    found = compare(ours, logged([*theirs[:3], *run(bundle, pool, records, 3)]))
    c = found.counts
    assert (c.not_compared, c.same_but_chain, found.agrees) == (6, 4, True)
