"""The state protocol: what must happen at each step that can fail."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from engines.base import InputArray
from engines.model.bundle import Bundle
from engines.onnxrt import onnxruntime_engine
from pipeline.broker.contract import Poll
from pipeline.errors import (
    BrokerUnavailableError,
    CorruptStateError,
    CrashingFrameError,
    FencedError,
    ForeignStateError,
    PartitionCountError,
    StalledError,
)
from pipeline.records import Destination, Fate, Outgoing
from pipeline.wire.snapshots import Snapshot
from tests.engines.bundles import tiny
from tests.properties.worlds import START_MS, film, go, make_world
from tests.world import TOPICS, WHITE, CrashError, World, alone, decode


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny(tmp_path_factory.mktemp("bundles") / "tiny", explodes=True)


@pytest.fixture
def world(bundle: Bundle) -> World:
    return make_world(bundle)


def assert_as_if_alone(world: World, bundle: Bundle) -> None:
    world.settle()
    records = world.log.read_committed(TOPICS.frames)
    values, _, _ = alone(records, bundle, onnxruntime_engine(bundle, 1), world.config)
    assert world.predictions().get("a", []) == values


@pytest.mark.parametrize("step", ["begin", "send", "offsets", "commit", "committed", "restore"])
@pytest.mark.parametrize("passages", [0, 1, 2])
def test_a_crash_at_any_step_is_invisible(
    world: World, bundle: Bundle, step: str, passages: int
) -> None:
    film(world, 10)
    world.launch("left")
    world.processes["left"].faults.arm(step, passages, CrashError)
    go(world, "left")
    film(world, 10, first=10)
    world.launch("right")
    assert_as_if_alone(world, bundle)


@pytest.mark.parametrize("step", ["begin", "send", "offsets", "commit", "committed"])
def test_a_commit_of_unknown_outcome_is_settled_by_the_manifest(
    world: World, bundle: Bundle, step: str
) -> None:
    film(world, 10)
    world.launch("left")
    go(world, "left", 3)
    process = world.processes["left"]
    process.faults.arm(step, 0, BrokerUnavailableError)
    go(world, "left", 20)
    restored = process.worker.restores
    film(world, 5, first=10)
    assert_as_if_alone(world, bundle)
    assert process.worker.restores == restored == 1  # memory was kept, the same bytes went out


def test_a_worker_whose_commits_are_refused_for_good_ends_for_its_supervisor(
    world: World,
) -> None:
    """As after K14: the group has removed us, and our client does not know."""
    film(world, 10)
    world.launch("left")
    while not world.processes["left"].decodes.waiting:
        world.turn("left")
        world.work_off("left", "reads")
        world.work_off("left", "writes")
    member = world.processes["left"].broker.made.member()
    world.log.group.leave(world.processes["left"].member_id)
    world.processes["left"].broker.made.poll = lambda timeout_s, max_records: Poll((), ())  # type: ignore[method-assign]
    assert member is not None
    with pytest.raises(StalledError, match="refuses"):
        go(world, "left", 2000)


def test_a_renewal_that_fails_is_tried_again(world: World, bundle: Bundle) -> None:
    film(world, 10)
    world.launch("left")
    go(world, "left", 3)
    world.processes["left"].faults.arm("commit", 0, BrokerUnavailableError)
    world.turn("left")
    world.turn("left")
    world.work_off("left", "writes")
    world.processes["left"].faults.arm("renew", 0, BrokerUnavailableError)
    go(world, "left")
    assert_as_if_alone(world, bundle)


def test_a_zombie_publishes_nothing_of_the_past(world: World, bundle: Bundle) -> None:
    film(world, 10)
    world.launch("left")
    go(world, "left", 3)  # stops here, with frames stepped and not committed
    world.launch("right")
    world.log.group.leave(world.processes["left"].member_id)
    go(world, "right")
    film(world, 10, first=10)
    go(world, "left", 3)
    assert_as_if_alone(world, bundle)


def test_a_silent_rejoin_restores_everything(world: World, bundle: Bundle) -> None:
    """K12: another worker advanced our partition, and we got no event."""
    film(world, 10)
    world.launch("left")
    go(world, "left")
    film(world, 10, first=10)
    world.processes["left"].broker.made.quiet = True
    world.log.group.leave(world.processes["left"].member_id)
    world.launch("right")
    go(world, "right")
    go(world, "left")
    assert_as_if_alone(world, bundle)


def test_a_silent_rejoin_in_the_middle_of_a_restore_restores_anew(
    world: World, bundle: Bundle
) -> None:
    """K12: the changelog that was read is outdated before it is used."""
    film(world, 10)
    world.launch("left")
    go(world, "left")
    world.crash("left")
    world.bury()
    world.launch("left")
    world.turn("left")
    world.work_off("left", "reads")  # read to its end, not used yet
    film(world, 10, first=10)
    world.processes["left"].broker.made.quiet = True
    world.log.group.leave(world.processes["left"].member_id)
    world.launch("right")
    go(world, "right")
    go(world, "left")
    assert_as_if_alone(world, bundle)


def test_a_partition_that_comes_back_during_its_restore_is_restored_anew(
    world: World, bundle: Bundle
) -> None:
    film(world, 10)
    world.launch("left")
    go(world, "left")
    left = world.processes["left"]
    world.log.group.leave(left.member_id)
    world.turn("left")  # gets the event, joins again
    world.turn("left")  # is assigned, requests the changelog
    left.reads.run_all()  # which is read now
    world.log.group.leave(left.member_id)
    world.launch("right")
    go(world, "right")
    film(world, 10, first=10)
    go(world, "right")
    world.crash("right")
    world.bury()
    assert_as_if_alone(world, bundle)


def test_two_processes_in_one_slot_end_with_a_word_about_it(world: World) -> None:
    world.launch("left")
    go(world, "left")

    def share_the_slot() -> None:
        for n in range(40):
            film(world, 1, first=n)
            world.log.init_producer("left")
            go(world, "left", 3)

    with pytest.raises(FencedError, match="--slot"):
        share_the_slot()


def test_a_new_partition_begins_where_it_was_first_seen_even_after_a_crash(
    bundle: Bundle,
) -> None:
    world = make_world(bundle, start="latest")
    film(world, 5)
    world.launch("left")
    go(world, "left", 4)  # its manifest number 0 is in the log, nothing was read
    world.crash("left")
    film(world, 5, first=5)
    world.launch("right")
    world.settle()
    (manifest,) = world.manifests()
    assert (manifest.first_offset, manifest.next_offset) == (5, 10)
    assert len(world.predictions()["a"]) == 5


def test_what_retention_deleted_is_counted_as_expired(world: World) -> None:
    film(world, 10)
    world.launch("left")
    go(world, "left")
    world.crash("left")
    film(world, 10, first=10)
    world.log.expire(0, 14)
    world.launch("right")
    world.settle()
    (manifest,) = world.manifests()
    assert manifest.expired == 4
    accounted = sum(manifest.fates.values()) + manifest.absent + manifest.expired
    assert manifest.next_offset - manifest.first_offset == accounted == 20


def test_a_topic_that_has_grown_is_refused_with_a_way_out(bundle: Bundle) -> None:
    world = make_world(bundle)
    film(world, 3)
    world.launch("left")
    go(world, "left")
    world.crash("left")
    world.bury()
    for name in (TOPICS.frames, TOPICS.predictions, TOPICS.state):
        world.log.grow(name, 2)
    world.launch("right")
    with pytest.raises(PartitionCountError, match="--group"):
        go(world, "right")


def other_bundle(tmp_path: Path, cell: str = "lstm") -> Bundle:
    return tiny(tmp_path / "other", cell=cell, name="other", seed=1)


def after_a_change_of_bundle(bundle: Bundle, other: Bundle, policy: str) -> World:
    world = make_world(bundle)
    film(world, 10)
    world.launch("left")
    world.settle()
    world.crash("left")
    world.bury()
    changed = make_world(other, foreign_state=policy)
    changed.log, changed.clock = world.log, world.clock
    film(changed, 5, first=10)
    changed.launch("right")
    return changed


def test_another_bundles_memory_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    world = after_a_change_of_bundle(bundle, other_bundle(tmp_path), "refuse")
    with pytest.raises(ForeignStateError, match="--foreign-state reset"):
        go(world, "right")


def test_another_bundles_memory_can_be_reset_and_the_chain_goes_on(
    bundle: Bundle, tmp_path: Path
) -> None:
    world = after_a_change_of_bundle(bundle, other_bundle(tmp_path), "reset")
    world.settle()
    first_of_new = world.predictions()["a"][10]
    assert b'"reset":"bundle"' in first_of_new
    assert b'"prev":"00000000"' not in first_of_new


def test_another_bundles_memory_is_carried_where_it_fits(bundle: Bundle, tmp_path: Path) -> None:
    world = after_a_change_of_bundle(bundle, other_bundle(tmp_path), "carry")
    world.settle()
    assert b'"frames":10,' in world.predictions()["a"][10]


def test_another_bundles_memory_is_not_carried_where_it_does_not_fit(
    bundle: Bundle, tmp_path: Path
) -> None:
    world = after_a_change_of_bundle(bundle, other_bundle(tmp_path, "gru"), "carry")
    with pytest.raises(ForeignStateError):
        go(world, "right")


def test_a_changelog_that_cannot_be_read_is_told_apart_from_an_empty_one(world: World) -> None:
    epoch = world.log.init_producer("stranger")
    world.log.begin("stranger", epoch)
    world.log.write("stranger", epoch, Outgoing(Destination.STATE, 0, b"m", b"not a manifest"))
    world.log.finish("stranger", epoch, commit=True)
    world.launch("left")
    with pytest.raises(CorruptStateError, match="partition 0"):
        go(world, "left")


def test_a_nonfinite_answer_is_dead_lettered_and_memory_starts_afresh(world: World) -> None:
    film(world, 3)
    world.log.publish(0, b"a", WHITE, (("captured-at", b"%d" % (START_MS + 300)),))
    film(world, 3, first=4)
    world.launch("left")
    world.settle()
    values = world.predictions()["a"]
    assert len(values) == 6
    assert b'"memory":{"frames":0,"age_s":0.000,"gap_s":null,"reset":"nonfinite"' in values[3]
    (manifest,) = world.manifests()
    assert manifest.fates[Fate.DEAD_LETTERED] == 1


def deadly(content: bytes) -> InputArray:
    if content == b"3":
        raise CrashError("a native crash")
    return decode(content)


def survived(content: bytes) -> InputArray:
    if content == b"3":
        raise CrashingFrameError("crashed in a child")
    return decode(content)


def test_with_low_latency_nothing_is_committed_before_its_prediction_has_left(
    bundle: Bundle,
) -> None:
    world = make_world(bundle, delivery="low_latency")
    film(world, 10)
    world.launch("left")
    for _ in range(12):
        world.turn("left")
        for kind in ("decodes", "reads", "writes"):
            world.work_off("left", kind)
    assert world.manifests()[0].next_offset == 0
    world.crash("left")  # with predictions that no reader has seen
    world.launch("right")
    assert_as_if_alone(world, bundle)


def test_a_frame_that_kills_its_worker_is_found_at_the_third_attempt(world: World) -> None:
    world.decoder, world.sandboxed = deadly, survived
    film(world, 10)
    deaths = 0
    while deaths < 9:
        world.launch("left")
        go(world, "left")
        if "left" in world.processes:
            break
        deaths += 1
        world.bury()
    assert deaths == 2
    world.settle()
    seen = [json.loads(value)["seq"] for value in world.predictions()["a"]]
    assert seen == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    (letter,) = world.log.read_committed(TOPICS.dead_letters)
    assert dict(letter.headers)["reason"] == b"crash"
    assert world.manifests()[0].attempts == 0


def test_a_machine_that_is_killed_again_and_again_convicts_no_frame(
    world: World, bundle: Bundle
) -> None:
    film(world, 10)
    for _ in range(5):
        world.launch("left")
        go(world, "left", 3)
        world.crash("left")
        world.bury()
    assert world.manifests()[0].attempts == 5
    world.launch("left")
    assert_as_if_alone(world, bundle)
    assert world.log.read_committed(TOPICS.dead_letters) == []
    assert world.manifests()[0].attempts == 0


def test_the_skips_of_frames_that_retention_deleted_are_buried(bundle: Bundle) -> None:
    world = make_world(bundle, overload="latest")
    film(world, 1)
    world.launch("left")
    world.settle()
    film(world, 10, first=1)
    world.settle()
    assert world.skipped("a") == [range(1, 10)]
    world.log.expire(0, 10)
    world.launch("right")
    world.crash("left")
    film(world, 1, first=11)
    world.settle()
    assert world.skipped("a") == []


def test_a_stream_that_is_silent_for_too_long_is_buried(bundle: Bundle) -> None:
    world = make_world(bundle, stream_ttl_s=10.0)
    film(world, 3)
    world.launch("left")
    world.settle()
    assert set(world.snapshots()) == {"a"}
    world.clock.advance(60)
    film(world, 3, stream="b")
    world.settle()
    world.clock.advance(5)
    film(world, 3, stream="b", first=3)
    world.settle()
    assert set(world.snapshots()) == {"b"}


def test_a_snapshot_of_a_stream_that_begins_afresh_holds_no_tensors(world: World) -> None:
    film(world, 3)
    world.log.publish(0, b"a", None)
    world.launch("left")
    world.settle()
    snapshot: Snapshot = world.snapshots()["a"]
    assert (dict(snapshot.tensors), snapshot.pending_reset) == ({}, "ended")


def test_a_snapshot_holds_the_row_that_the_engine_had(world: World, bundle: Bundle) -> None:
    film(world, 7)
    world.launch("left")
    world.settle()
    records = world.log.read_committed(TOPICS.frames)
    _, _, state = alone(records, bundle, onnxruntime_engine(bundle, 1), world.config)
    for name, tensor in world.snapshots()["a"].tensors.items():
        assert np.array_equal(tensor, state["a"][name][0])


def pauses(world: World, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect the partitions that the worker launched here stops reading."""
    world.launch("left")
    paused: list[int] = []
    consumer = world.processes["left"].broker.made
    pause: Callable[..., None] = consumer.pause

    def noted(numbers: Iterable[int]) -> None:
        paused.extend(numbers)
        pause(numbers)

    monkeypatch.setattr(consumer, "pause", noted)
    return paused


@pytest.mark.parametrize(("pixels", "wanted"), [(50, True), (200, False)])
def test_reading_pauses_while_the_pixels_of_too_many_frames_wait_and_goes_on_afterwards(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, pixels: int, *, wanted: bool
) -> None:
    world = make_world(bundle)
    world.config = world.config.model_copy(update={"max_pending_bytes": pixels * 16 * 16 * 3})
    film(world, 100)
    paused = pauses(world, monkeypatch)
    world.settle()
    assert bool(paused) is wanted
    assert len(world.predictions()["a"]) == 100


def test_reading_pauses_while_large_dead_letters_wait_for_their_commit(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"max_pending_bytes": 1 << 20, "max_frame_bytes": 1024}
    world = make_world(bundle)
    world.config = world.config.model_copy(update=limits)
    paused = pauses(world, monkeypatch)
    world.settle()
    for _ in range(1200):
        world.log.publish(0, b"a", bytes(8192))  # ten megabytes
    for _ in range(10):
        world.turn("left")  # and no transaction is open
    assert paused
    world.settle()
    assert len(world.log.read_committed(TOPICS.dead_letters)) == 1200
