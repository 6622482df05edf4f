"""What the log of the first schema holds is read to exactly what it meant."""

import hashlib
from collections import Counter

import numpy as np
import pytest

from pipeline.judging.audit import Audit
from pipeline.judging.chain import ChainReader
from pipeline.records import Admission, Fate, Reset
from pipeline.wire.changelog import MANIFEST_KEY, SNAPSHOT_PREFIX, Manifest
from pipeline.wire.history import History
from pipeline.wire.lives import Life
from pipeline.wire.predictions import Prediction
from pipeline.wire.skips import Skips
from pipeline.wire.snapshots import Snapshot
from tests.golden.records import Run, changelog, facts, records

SEED = "854a789973e3bfae3fdb4868e6f142048ff01f74ef11d845fc4815207b2d43bb"
ACTIONS = "ecd528034b406b9bb936db716eefa02e79d4a88a8b8d2ec8c379e748888c16b1"


def manifest(run: Run, partition: int) -> Manifest:
    return Manifest.read(changelog(run, partition).records[MANIFEST_KEY])


def snapshot(run: Run, partition: int, stream: str) -> Snapshot:
    return Snapshot.read(changelog(run, partition).records[b"s:" + stream.encode()])


def nonzero(fates: dict[Fate, int]) -> dict[Fate, int]:
    return {fate: count for fate, count in fates.items() if count}


# ------------------------------------------------------------------------------------- manifests


def test_a_manifest_is_read_with_its_whole_ledger() -> None:
    read = manifest("exactly_once", 0)
    assert (read.first_offset, read.next_offset, read.absent, read.expired) == (0, 70, 0, 0)
    assert read.checkpoint_id == (21, "golden", 4)
    assert (read.bundle, read.partitions, read.life) == (SEED, 2, 1)
    assert (read.stream_time_ms, read.attempts) == (1796010789443, 1)
    assert nonzero(dict(read.fates)) == {
        Fate.PREDICTED: 57,
        Fate.DEAD_LETTERED: 10,
        Fate.DUPLICATE: 1,
        Fate.LATE: 2,
    }


def test_the_manifest_of_a_partition_that_was_moved_is_of_its_second_life() -> None:
    read = manifest("exactly_once", 1)
    assert (read.first_offset, read.next_offset, read.life) == (8, 40, 2)
    assert (read.checkpoint_id, read.attempts) == ((23, "golden", 4), 0)
    assert nonzero(dict(read.fates)) == {Fate.PREDICTED: 30, Fate.ENDED: 2}


def test_the_manifest_of_a_move_names_no_member_of_the_group() -> None:
    read = [Manifest.read(r) for r in records("exactly_once", "state") if r.key == MANIFEST_KEY]
    (moved,) = [one for one in read if one.worker == "reset"]
    assert (moved.generation, moved.first_offset, moved.next_offset) == (-1, 8, 8)
    assert (moved.stream_time_ms, moved.attempts, moved.life) == (0, 0, 2)
    assert sum(moved.fates.values()) == 0


def test_every_manifest_that_a_worker_ever_wrote_is_read_and_adds_up() -> None:
    runs: tuple[Run, ...] = ("exactly_once", "low_latency")
    found = [r for run in runs for r in records(run, "state") if r.key == MANIFEST_KEY]
    assert len(found) == 57
    for one in map(Manifest.read, found):
        accounted = sum(one.fates.values()) + one.absent + one.expired
        assert one.next_offset - one.first_offset == accounted


# ------------------------------------------------------------------------------------- snapshots


def test_a_snapshot_is_read_with_its_tensors_bit_by_bit() -> None:
    read = snapshot("exactly_once", 0, "gate")
    at_us = 1796010529376250
    assert (read.stream, read.bundle, read.offset, read.chain) == ("gate", SEED, 57, "0bd3565e")
    assert read.admission == Admission(
        record_ms=1796010789381, seen_us=at_us, planned_us=at_us, due_us=at_us, seq=41, epoch=1
    )
    assert (read.stepped_us, read.age_us, read.frames) == (at_us, 1_900_000, 20)
    assert read.pending_reset is None
    assert {name: hashed(tensor) for name, tensor in read.tensors.items()} == {
        "h": ((128,), "float32", "3f92fd7834beae6e"),
        "c": ((128,), "float32", "f309fe619aa33fc5"),
    }


def hashed(tensor: np.ndarray) -> tuple[tuple[int, ...], str, str]:
    return tensor.shape, str(tensor.dtype), hashlib.sha256(tensor.tobytes()).hexdigest()[:16]


def test_the_snapshot_of_a_stream_that_owes_a_reset_has_no_tensors() -> None:
    read = snapshot("exactly_once", 0, "yard")
    assert (read.pending_reset, dict(read.tensors)) == (Reset.EPOCH, {})
    assert (read.admission.seq, read.admission.epoch, read.chain) == (1, 3, "78534959")


def test_the_snapshot_of_a_stream_that_has_ended_keeps_its_chain_and_no_times() -> None:
    read = snapshot("exactly_once", 1, "lobby")
    assert (read.pending_reset, dict(read.tensors)) == (Reset.ENDED, {})
    assert read.admission == Admission(record_ms=1796010804057)
    assert (read.frames, read.chain, read.offset) == (1, "95f3feb3", 39)


def test_the_snapshot_of_another_bundle_names_its_own_tensors() -> None:
    read = snapshot("low_latency", 1, "market")
    assert (read.bundle, read.offset, read.frames, read.chain) == (ACTIONS, 89, 1, "d1c5fa09")
    assert read.admission.due_us == 1796010863578459
    assert {name: hashed(tensor) for name, tensor in read.tensors.items()} == {
        "h": ((128,), "float32", "f9121b568947db1d"),
        "held": ((10,), "float32", "9aa4eb16322fc20d"),
    }


def test_streams_that_were_evicted_or_moved_away_are_gone() -> None:
    keys = {key for n in (0, 1) for key in changelog("exactly_once", n).records}
    assert {key for key in keys if key.startswith(SNAPSHOT_PREFIX)} == {
        *(b"s:gate", b"s:yard", b"s:lobby")
    }
    buried = {r.key for r in records("exactly_once", "state") if r.value is None}
    assert buried == {b"s:leaves", b"s:hall", b"s:lobby"}


# ------------------------------------------------------------------------------- skips and lives


def test_skips_are_read_range_by_range() -> None:
    read = Skips.read(changelog("low_latency", 0).records[b"k:gate:0"])
    assert read == Skips("gate", ((0, 1), (3, 8), (10, 12), (14, 14), (16, 58)))
    assert read.key == b"k:gate:0"


def test_a_history_is_read_with_the_newest_version_of_its_skips() -> None:
    read = History.read(1, changelog("low_latency", 1))
    assert read is not None
    assert read.skips == (Skips("market", ((0, 31), (33, 88))),)
    assert (read.published_from, read.log_start, read.log_end) == (0, 0, 90)


def test_a_life_is_read_with_the_ends_of_the_logs_when_it_began() -> None:
    read = Life.read(changelog("exactly_once", 1).records[b"l:2"])
    assert read == Life(
        number=2, first_offset=8, predictions_end=57, dead_letters_end={0: 4, 1: 10}
    )
    history = History.read(1, changelog("exactly_once", 1))
    assert history is not None
    assert history.published_from == 57


# --------------------------------------------------------------------- predictions, dead letters


def test_a_prediction_is_read_as_it_was_published() -> None:
    first = records("low_latency", "predictions")[0]
    read = Prediction.read(first.value)
    assert (read.stream, read.partition, read.offset) == ("market", 1, 32)
    assert (read.captured_at, read.label) == ("2026-11-30T03:54:04.545Z", "work")
    assert (read.confidence, read.scores["work"], read.frames) == (0.5203, 0.5203, 0)
    assert (read.reset, read.prev, read.chain) == (Reset.NEW, "00000000", "f09160b7")
    assert read.intact
    assert read.value == first.value


@pytest.mark.parametrize(
    ("run", "links", "resets"),
    [
        ("exactly_once", 124, {"new": 8, "gap": 8, "epoch": 2, None: 106}),
        ("low_latency", 7, {"new": 2, "gap": 3, None: 2}),
    ],
)
def test_every_link_of_every_chain_holds(
    run: Run, links: int, resets: dict[str | None, int]
) -> None:
    life = facts(run)["audit"]["lives"][-1]["life"]
    reader = ChainReader(drop_repeats=False, whole=life == 1)
    read = list(reader.read(records(run, "predictions")))
    assert [link.complaint for link in read] == [""] * links
    said = Counter(link.prediction.reset for link in read if link.prediction is not None)
    assert said == resets


def test_a_dead_letter_says_where_it_came_from_and_why() -> None:
    first = records("exactly_once", "dead_letters")[0]
    assert (first.key, first.value) == (b"yard", b"no picture")
    assert dict(first.headers) == {
        "error": b"stream yard offset 28: 10 bytes are no JPEG, PNG or WebP;"
        b" dead-lettered, memory kept",
        "reason": b"undecodable",
        "source-topic": b"exact.frames",
        "source-partition": b"0",
        "source-offset": b"28",
        "size": b"10",
        "processed-at": b"1796010771913.164",
        "worker": b"golden",
        "generation": b"1",
    }


# ------------------------------------------------------------------------------------ all of it


@pytest.mark.parametrize("run", ["exactly_once", "low_latency"])
def test_an_audit_finds_what_the_audit_of_its_own_version_found(run: Run) -> None:
    audit = Audit(
        {n: changelog(run, n) for n in (0, 1)},
        group="g",
        frames_topic=facts(run)["topics"]["frames"],
        predictions_start={},
        dead_letters_start={},
        repeats_allowed=run == "low_latency",
        names={},
    )
    for record in records(run, "predictions"):
        audit.enter_prediction(record)
    for record in records(run, "dead_letters"):
        audit.enter_dead_letter(record)
    theirs, ours = facts(run)["audit"]["lives"], audit.report().json()["lives"]
    names = ("life", "first_offset", "next_offset", "predicted", "dead_lettered", "predictions")
    assert [[one[n] for n in names] for one in ours] == [[one[n] for n in names] for one in theirs]
    assert audit.report().breaks == 0
